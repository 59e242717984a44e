//! Hyper-parameters of the cINN: a preset or a list of layers. Depth and couplings of the preset
//! `proposal` are the proposal's; all other numbers are ours.

use cei_model::Activation;
use cei_model::config::{HyperParameterError, check_positive, check_weights, check_widths};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::spline::check_bins;
use crate::layers::{ActNorm, Affine, Flip, LayerConfig, LuLinear, Spline};
use crate::subnet::{SubnetConfig, check_dropout, relu};

/// Hyper-parameters of the cINN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Keys")]
#[schemars(!from, default)]
pub struct CinnConfig {
    /// Which flow the other keys describe, where no layers are listed.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = FlowPreset::default()))]
    pub preset: FlowPreset,
    /// How many couplings; 8 by default with preset `spline`.
    #[schemars(range(min = 1, max = 1000))]
    pub couplings: usize,
    /// Hidden layers of every subnet: widths of a perceptron (`proposal`), or of residual blocks, all
    /// alike (`spline`).
    #[schemars(length(max = 100), inner(range(min = 1, max = 65_536)))]
    pub hidden: Vec<usize>,
    /// Nonlinearity of the subnets.
    pub activation: Activation,
    /// Bound `c` of the log-scales of affine couplings, `s = c tanh(u / c)` (`proposal`).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub clamp: f64,
    /// Bins of a spline (`spline`).
    #[serde(skip_serializing_if = "is_bins")]
    #[schemars(range(min = 2, max = 128), extend("default" = Spline::default().bins))]
    pub bins: usize,
    /// Splines act between `-bound` and `bound` (`spline`).
    #[serde(skip_serializing_if = "is_bound")]
    #[schemars(extend("exclusiveMinimum" = 0, "default" = Spline::default().bound, "unit" = "scaled units"))]
    pub bound: f64,
    /// Share of the inputs of a residual block that are dropped in training (`spline`).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(range(min = 0.0, max = 0.9), extend("default" = 0.0))]
    pub dropout: f64,
    /// The layers one by one, from the data to the latent, instead of a preset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub layers: Vec<LayerConfig>,
}

/// A flow with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlowPreset {
    /// Affine couplings, each followed by a flip: the proposal's flow.
    #[default]
    Proposal,
    /// Each coupling is `act-norm`, `lu-linear`, `spline` with a residual subnet.
    Spline,
}

impl Default for CinnConfig {
    fn default() -> Self {
        Self {
            preset: FlowPreset::Proposal,
            couplings: 20,
            hidden: vec![128, 128],
            activation: relu(),
            clamp: Affine::default().clamp,
            bins: Spline::default().bins,
            bound: Spline::default().bound,
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
            self.layers.iter().try_for_each(|layer| layer.kind().check())?;
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
        self.flow_layers().iter().map(|layer| layer.kind().weights()).sum()
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
                let affine = Affine { subnet, clamp: self.clamp };
                vec![LayerConfig::Affine(affine), LayerConfig::Flip(Flip {})]
            }
            FlowPreset::Spline => {
                let (width, blocks) = (self.hidden.first().map_or(1, |w| *w), self.hidden.len());
                let dropout = self.dropout;
                let subnet = SubnetConfig::Residual { width, blocks, activation, dropout };
                vec![
                    LayerConfig::ActNorm(ActNorm {}),
                    LayerConfig::LuLinear(LuLinear { seed: 0 }),
                    LayerConfig::Spline(Spline { subnet, bins: self.bins, bound: self.bound }),
                ]
            }
        };
        let count = group.len() * self.couplings;
        group.into_iter().cycle().take(count).collect()
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_bins(value: &usize) -> bool {
    *value == Spline::default().bins
}

fn is_bound(value: &f64) -> bool {
    *value == Spline::default().bound
}
