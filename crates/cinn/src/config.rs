//! Hyper-parameters of the cINN: a preset or a list of layers. Depth and couplings of the preset
//! `proposal` are the proposal's; all other numbers are ours.

use cei_model::Activation;
use cei_model::config::{
    HyperParameterError, check_positive, check_weights, check_widths, weights,
};
use serde::{Deserialize, Serialize};

/// Hyper-parameters of the cINN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Keys")]
pub struct CinnConfig {
    /// What the keys below describe, where no layers are listed.
    #[serde(skip_serializing_if = "is_default")]
    pub preset: FlowPreset,
    /// How many couplings.
    pub couplings: usize,
    /// Hidden layers of every subnet: widths of a perceptron (`proposal`), or of residual blocks, all
    /// alike (`spline`).
    pub hidden: Vec<usize>,
    /// Nonlinearity of the subnets.
    pub activation: Activation,
    /// Bound `c` of the log-scales of affine couplings, `s = c tanh(u / c)`.
    pub clamp: f64,
    /// Bins of a spline (`spline`).
    #[serde(skip_serializing_if = "is_bins")]
    pub bins: usize,
    /// Splines act between `-bound` and `bound` (`spline`).
    #[serde(skip_serializing_if = "is_bound")]
    pub bound: f64,
    /// Share of the inputs of a residual block that are dropped in training (`spline`).
    #[serde(skip_serializing_if = "is_default")]
    pub dropout: f64,
    /// The layers one by one, from the data to the latent, instead of a preset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerConfig>,
}

/// A flow with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowPreset {
    /// Affine couplings, each followed by a flip: the proposal's flow.
    #[default]
    Proposal,
    /// Each coupling is `act-norm`, `lu-linear`, `spline` with a residual subnet.
    Spline,
}

/// One layer of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerConfig {
    /// `x2' = x2 exp(s) + t`.
    Affine {
        /// The network that gives `s` and `t`.
        #[serde(default)]
        subnet: SubnetConfig,
        /// Bound of `s`.
        #[serde(default = "clamp")]
        clamp: f64,
    },
    /// `x2'` is a rational-quadratic spline of `x2` (Durkan et al. 2019).
    Spline {
        /// The network that gives the knots and slopes.
        #[serde(default)]
        subnet: SubnetConfig,
        /// Bins between the bounds.
        #[serde(default = "bins")]
        bins: usize,
        /// The spline acts between `-bound` and `bound`; beyond it is the identity.
        #[serde(default = "bound")]
        bound: f64,
    },
    /// Reverses the order of the features.
    Flip {},
    /// Shuffles the features, in an order that follows from `seed` and the place of the layer.
    Permutation {
        /// Seed of the order.
        #[serde(default)]
        seed: u64,
    },
    /// Scale and shift of every feature, at first such that the training rows have mean 0 and standard
    /// deviation 1 (Kingma & Dhariwal 2018).
    ActNorm {},
    /// A full matrix, kept as its LU factors behind a fixed permutation (Oliva et al. 2018).
    LuLinear {
        /// Seed of the permutation.
        #[serde(default)]
        seed: u64,
    },
}

/// The network of a coupling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SubnetConfig {
    /// A perceptron.
    Mlp {
        /// Widths of its hidden layers.
        hidden: Vec<usize>,
        /// Its nonlinearity.
        #[serde(default = "relu")]
        activation: Activation,
    },
    /// `h + W2 a(W1 dropout(a(h)))`, once a block (He et al. 2016).
    Residual {
        /// Numbers in `h`.
        width: usize,
        /// How many blocks.
        blocks: usize,
        /// The nonlinearity `a`.
        #[serde(default = "relu")]
        activation: Activation,
        /// Share of the inputs of a block that are dropped in training.
        #[serde(default)]
        dropout: f64,
    },
}

impl Default for SubnetConfig {
    fn default() -> Self {
        Self::Residual { width: 128, blocks: 2, activation: relu(), dropout: 0.0 }
    }
}

impl Default for CinnConfig {
    fn default() -> Self {
        Self {
            preset: FlowPreset::Proposal,
            couplings: 20,
            hidden: vec![128, 128],
            activation: relu(),
            clamp: clamp(),
            bins: bins(),
            bound: bound(),
            dropout: 0.0,
            layers: Vec::new(),
        }
    }
}

impl CinnConfig {
    /// The preset `spline` with its default sizes.
    pub fn spline() -> Self {
        Self { preset: FlowPreset::Spline, couplings: 8, ..Self::default() }
    }

    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), HyperParameterError> {
        if !(1..=1000).contains(&self.couplings) {
            return Err(HyperParameterError::new(
                "model.couplings",
                self.couplings,
                "from 1 to 1000",
            ));
        }
        check_widths("model.hidden", &self.hidden)?;
        check_positive("model.clamp", self.clamp)?;
        check_bins("model.bins", self.bins)?;
        check_positive("model.bound", self.bound)?;
        check_dropout("model.dropout", self.dropout)?;
        if self.layers.len() > 1000 {
            let found = format!("a list of {} layers", self.layers.len());
            return Err(HyperParameterError::new(
                "model.layers",
                found,
                "a list of at most 1000 layers",
            ));
        }
        if !self.layers.is_empty() {
            if self.preset != FlowPreset::Proposal {
                let allowed = "left out where `model.layers` lists the layers";
                return Err(HyperParameterError::new("model.preset", "spline", allowed));
            }
            self.layers.iter().try_for_each(LayerConfig::check)?;
            return check_weights(
                "model.layers",
                format!("{} layers", self.layers.len()),
                self.weights(),
            );
        }
        check_weights("model.hidden", format!("{:?}", self.hidden), self.weights())?;
        let alike = self.hidden.windows(2).all(|pair| pair[0] == pair[1]);
        if self.preset == FlowPreset::Spline && (!alike || self.hidden.is_empty()) {
            let allowed = "one width for every residual block, all alike, with preset `spline`";
            return Err(HyperParameterError::new(
                "model.hidden",
                format!("{:?}", self.hidden),
                allowed,
            ));
        }
        if self.preset == FlowPreset::Proposal && self.dropout > 0.0 {
            let allowed = "0 with preset `proposal`, whose subnets have no residual blocks";
            return Err(HyperParameterError::new("model.dropout", self.dropout, allowed));
        }
        Ok(())
    }

    /// The weights of all subnets, about.
    fn weights(&self) -> u64 {
        self.flow_layers().iter().map(LayerConfig::weights).sum()
    }

    /// Checks that no hyper-parameter is set that the preset does not use. Models of earlier versions may have such.
    ///
    /// # Errors
    /// Names the key and the value.
    pub fn check_used(&self) -> Result<(), HyperParameterError> {
        if !self.layers.is_empty() {
            return Ok(());
        }
        let defaults = Self::default();
        let unused = match self.preset {
            FlowPreset::Proposal => [
                ("model.bins", self.bins as f64, defaults.bins as f64),
                ("model.bound", self.bound, defaults.bound),
            ],
            FlowPreset::Spline => [("model.clamp", self.clamp, defaults.clamp); 2],
        };
        for (key, value, default) in unused {
            if value != default {
                let allowed = match self.preset {
                    FlowPreset::Proposal => "left out with preset `proposal`, which has no splines",
                    FlowPreset::Spline => {
                        "left out with preset `spline`, which has no affine couplings"
                    }
                };
                return Err(HyperParameterError::new(key, value, allowed));
            }
        }
        Ok(())
    }

    /// The layers that the preset stands for, or those that are listed, from the data to the latent.
    pub fn flow_layers(&self) -> Vec<LayerConfig> {
        if !self.layers.is_empty() {
            return self.layers.clone();
        }
        let activation = self.activation;
        let group = match self.preset {
            FlowPreset::Proposal => {
                let subnet = SubnetConfig::Mlp { hidden: self.hidden.clone(), activation };
                vec![LayerConfig::Affine { subnet, clamp: self.clamp }, LayerConfig::Flip {}]
            }
            FlowPreset::Spline => {
                let (width, blocks) = (self.hidden.first().map_or(1, |w| *w), self.hidden.len());
                let dropout = self.dropout;
                let subnet = SubnetConfig::Residual { width, blocks, activation, dropout };
                vec![
                    LayerConfig::ActNorm {},
                    LayerConfig::LuLinear { seed: 0 },
                    LayerConfig::Spline { subnet, bins: self.bins, bound: self.bound },
                ]
            }
        };
        let count = group.len() * self.couplings;
        group.into_iter().cycle().take(count).collect()
    }
}

impl LayerConfig {
    /// Whether its subnet drops out.
    pub(crate) fn drops(&self) -> bool {
        let (Self::Affine { subnet, .. } | Self::Spline { subnet, .. }) = self else {
            return false;
        };
        matches!(subnet, SubnetConfig::Residual { dropout, .. } if *dropout > 0.0)
    }

    /// The weights between its hidden layers, and those of its outputs for the few columns that a molecule has.
    fn weights(&self) -> u64 {
        const COLUMNS: usize = 10;
        let (subnet, outputs) = match self {
            Self::Affine { subnet, .. } => (subnet, 2 * COLUMNS),
            Self::Spline { subnet, bins, .. } => (subnet, 3 * bins * COLUMNS),
            _ => return 0,
        };
        match subnet {
            SubnetConfig::Mlp { hidden, .. } => {
                weights(&[&[COLUMNS], hidden.as_slice(), &[outputs]].concat())
            }
            SubnetConfig::Residual { width, blocks, .. } => {
                let hidden = vec![*width; 1 + 2 * blocks];
                weights(&[&[COLUMNS], hidden.as_slice(), &[outputs]].concat())
            }
        }
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        match self {
            Self::Affine { subnet, clamp } => {
                subnet.check()?;
                check_positive("model.layers.clamp", *clamp)
            }
            Self::Spline { subnet, bins, bound } => {
                subnet.check()?;
                check_bins("model.layers.bins", *bins)?;
                check_positive("model.layers.bound", *bound)
            }
            Self::Flip {} | Self::Permutation { .. } | Self::ActNorm {} | Self::LuLinear { .. } => {
                Ok(())
            }
        }
    }
}

impl SubnetConfig {
    fn check(&self) -> Result<(), HyperParameterError> {
        match self {
            Self::Mlp { hidden, .. } => check_widths("model.layers.subnet.hidden", hidden),
            Self::Residual { width, blocks, dropout, .. } => {
                check_widths("model.layers.subnet.width", &[*width])?;
                if !(1..=100).contains(blocks) {
                    let key = "model.layers.subnet.blocks";
                    return Err(HyperParameterError::new(key, blocks, "from 1 to 100"));
                }
                check_dropout("model.layers.subnet.dropout", *dropout)
            }
        }
    }
}

/// The keys as they are written: what is left out depends on the preset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    preset: FlowPreset,
    couplings: Option<usize>,
    hidden: Option<Vec<usize>>,
    activation: Option<Activation>,
    clamp: Option<f64>,
    bins: Option<usize>,
    bound: Option<f64>,
    dropout: Option<f64>,
    #[serde(default)]
    layers: Vec<LayerConfig>,
}

impl From<Keys> for CinnConfig {
    fn from(keys: Keys) -> Self {
        let default = match keys.preset {
            FlowPreset::Proposal => Self::default(),
            FlowPreset::Spline => Self::spline(),
        };
        Self {
            preset: keys.preset,
            couplings: keys.couplings.unwrap_or(default.couplings),
            hidden: keys.hidden.unwrap_or(default.hidden),
            activation: keys.activation.unwrap_or(default.activation),
            clamp: keys.clamp.unwrap_or(default.clamp),
            bins: keys.bins.unwrap_or(default.bins),
            bound: keys.bound.unwrap_or(default.bound),
            dropout: keys.dropout.unwrap_or(default.dropout),
            layers: keys.layers,
        }
    }
}

fn check_bins(key: &'static str, bins: usize) -> Result<(), HyperParameterError> {
    if (2..=128).contains(&bins) {
        return Ok(());
    }
    Err(HyperParameterError::new(key, bins, "from 2 to 128"))
}

fn check_dropout(key: &'static str, dropout: f64) -> Result<(), HyperParameterError> {
    if (0.0..=0.9).contains(&dropout) {
        return Ok(());
    }
    Err(HyperParameterError::new(key, dropout, "from 0 to 0.9"))
}

fn relu() -> Activation {
    Activation::Relu
}

fn clamp() -> f64 {
    2.0
}

fn bins() -> usize {
    10
}

fn bound() -> f64 {
    5.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_bins(value: &usize) -> bool {
    *value == bins()
}

fn is_bound(value: &f64) -> bool {
    *value == bound()
}
