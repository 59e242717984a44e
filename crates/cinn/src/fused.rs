//! The flow on the processor, composed of fused kernels; the same mathematics as
//! [`Flow`](crate::Flow), which stays the reference.
//!
//! ```text
//! coupling   [x1, x2] = x,  x2' from x2 and NN([x1, y])
//! loss       mean of |z|^2 / 2 + d/2 ln(2 pi) - log|det dz/dx|
//! backward   from dz = z / n and dlog|det| = -1 / n through the layers in reverse
//! ```

use std::f64::consts::TAU;
use std::ops::Range;

use cei_kernels::{
    AdamStep, AffineCoupling, Columns, CouplingTrace, Deltas, Dropout, Gradient, Hidden, Level, Lu,
    Matrix, Mlp, Pool, Residual, ResidualTrace, SplineCoupling, SplineTrace, act_norm,
    act_norm_backward, act_norm_inverse, blocks, permute, permute_back, sum_over_tiles,
};
use cei_model::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::config::{CinnConfig, LayerConfig, SubnetConfig};
use crate::flow::layer_key;
use crate::mixing::{permutation, standardising};
use crate::spline::{LEAST, unit_slope};

/// A flow that computes with kernels.
#[derive(Debug)]
pub(crate) struct FusedFlow {
    parameters: Parameters,
    dimensions: Dimensions,
    layers: Vec<Layer>,
    level: Level,
    /// Features that a coupling leaves alone.
    kept: usize,
    /// Whether a training step draws a dropout.
    drops: bool,
    pool: Pool<Workspace>,
}

/// A layer, with its place in the parameters.
#[derive(Debug)]
enum Layer {
    Affine(Subnet, AffineCoupling),
    Spline(Subnet, SplineCoupling),
    Flip,
    Permutation(Vec<usize>),
    ActNorm(Range<usize>),
    Linear(Vec<usize>, Range<usize>),
}

/// The network of a coupling.
#[derive(Debug)]
enum Subnet {
    Mlp(Mlp),
    /// With the probability of its dropout.
    Residual(Residual, f32),
}

/// What a block of rows needs on its way.
#[derive(Debug, Default)]
struct Workspace {
    state: State,
    kept: Vec<Kept>,
}

#[derive(Debug, Default)]
struct State {
    /// The features, `x` at one end of the flow and `z` at the other; on the way back, the gradient.
    x: Columns,
    log_det: Columns,
    output: Matrix,
    deltas: Deltas,
    d_input: Matrix,
    spare: Columns,
}

/// What a layer keeps for the way back.
#[derive(Debug, Default)]
struct Kept {
    /// `[x1, y]`.
    input: Matrix,
    hidden: Hidden,
    residual: ResidualTrace,
    affine: CouplingTrace,
    spline: SplineTrace,
    /// The features before an ActNorm or a linear map, permuted there.
    x: Columns,
    /// The features between the factors of a linear map.
    between: Columns,
}

/// The dropouts of a training step, for the rows of a tile.
#[derive(Clone, Copy)]
struct Drops {
    key: u64,
    first_row: usize,
}

impl Workspace {
    /// The state and room for `layers`.
    fn parts(&mut self, layers: usize) -> (&mut State, &mut [Kept]) {
        if self.kept.len() < layers {
            self.kept.resize_with(layers, Kept::default);
        }
        (&mut self.state, &mut self.kept[..layers])
    }
}

impl Subnet {
    fn new(
        level: Level,
        config: &SubnetConfig,
        (inputs, outputs): (usize, usize),
        offset: usize,
    ) -> Self {
        match config {
            SubnetConfig::Mlp { hidden, activation } => {
                let widths = [&[inputs], &hidden[..], &[outputs]].concat();
                Self::Mlp(Mlp::new(level, &widths, (*activation).into(), offset))
            }
            SubnetConfig::Residual { width, blocks, activation, dropout } => {
                let widths = (inputs, *width, outputs);
                let network = Residual::new(level, widths, *blocks, (*activation).into(), offset);
                Self::Residual(network, *dropout as f32)
            }
        }
    }

    fn parameters(&self) -> usize {
        match self {
            Self::Mlp(network) => network.parameters(),
            Self::Residual(network, _) => network.parameters(),
        }
    }

    fn set_parameters(&mut self, values: &[f32]) {
        match self {
            Self::Mlp(network) => network.set_parameters(values),
            Self::Residual(network, _) => network.set_parameters(values),
        }
    }

    fn update(&mut self, values: &mut [f32], step: AdamStep<'_>) {
        match self {
            Self::Mlp(network) => network.update(values, step),
            Self::Residual(network, _) => network.update(values, step),
        }
    }

    fn forward(&self, kept: &mut Kept, drops: Option<Drops>, output: &mut Matrix) {
        let Kept { input, hidden, residual, .. } = kept;
        match self {
            Self::Mlp(network) => network.forward(input, hidden, output),
            Self::Residual(network, p) => {
                network.forward(input, dropout(*p, drops), residual, output);
            }
        }
    }

    fn backward(
        &self,
        kept: &mut Kept,
        drops: Option<Drops>,
        deltas: &mut Deltas,
        (gradient, add): (&mut [f32], bool),
        d_input: &mut Matrix,
    ) {
        let Kept { input, hidden, residual, .. } = kept;
        match self {
            Self::Mlp(network) => {
                network.backward(input, hidden, deltas, gradient, add, Some(d_input));
            }
            Self::Residual(network, p) => {
                let dropout = dropout(*p, drops);
                network.backward(input, dropout, residual, deltas, gradient, add, d_input);
            }
        }
    }
}

fn dropout(probability: f32, drops: Option<Drops>) -> Option<Dropout> {
    let drops = drops.filter(|_| probability > 0.0)?;
    Some(Dropout::new(drops.key, probability).from_row(drops.first_row))
}

impl Drops {
    fn of_layer(self, layer: usize) -> Self {
        Self { key: layer_key(self.key, layer), ..self }
    }
}

/// Gives out stretches of the flat vector in the order of the composed flow: layers of a kind together.
struct Places {
    affine: usize,
    spline: usize,
    act_norm: usize,
    linear: usize,
}

impl FusedFlow {
    /// The flow with the `parameters` of a [`Flow`](crate::Flow) of this configuration.
    pub(crate) fn new(config: &CinnConfig, dimensions: Dimensions, parameters: Parameters) -> Self {
        let level = Level::best();
        let d = dimensions.x;
        let kept = d / 2;
        let configs = config.flow_layers();
        let build = |places: &mut Places| -> Vec<Layer> {
            let inputs = kept + dimensions.y;
            let mut layers = Vec::with_capacity(configs.len());
            for (index, layer) in configs.iter().enumerate() {
                layers.push(match layer {
                    LayerConfig::Affine { subnet, clamp } => {
                        let widths = (inputs, 2 * (d - kept));
                        let subnet = Subnet::new(level, subnet, widths, places.affine);
                        places.affine += subnet.parameters();
                        Layer::Affine(subnet, AffineCoupling { level, kept, clamp: *clamp as f32 })
                    }
                    LayerConfig::Spline { subnet, bins, bound } => {
                        let spline = SplineCoupling {
                            level,
                            kept,
                            bins: *bins,
                            bound: *bound as f32,
                            least: LEAST as f32,
                            slope_offset: unit_slope() as f32,
                        };
                        let widths = (inputs, spline.outputs(d));
                        let subnet = Subnet::new(level, subnet, widths, places.spline);
                        places.spline += subnet.parameters();
                        Layer::Spline(subnet, spline)
                    }
                    LayerConfig::Flip {} => Layer::Flip,
                    LayerConfig::Permutation { seed } => {
                        Layer::Permutation(permutation(d, *seed, index))
                    }
                    LayerConfig::ActNorm {} => {
                        let begin = places.act_norm;
                        places.act_norm += 2 * d;
                        Layer::ActNorm(begin..places.act_norm)
                    }
                    LayerConfig::LuLinear { seed } => {
                        let begin = places.linear;
                        places.linear += 2 * d * d + d;
                        Layer::Linear(permutation(d, *seed, index), begin..places.linear)
                    }
                });
            }
            layers
        };
        // once to learn how much each kind needs, then with the places where it stands
        let mut sizes = Places { affine: 0, spline: 0, act_norm: 0, linear: 0 };
        build(&mut sizes);
        let (spline, act_norm) = (sizes.affine, sizes.affine + sizes.spline);
        let linear = act_norm + sizes.act_norm;
        assert_eq!(linear + sizes.linear, parameters.values.len(), "those of the composed flow");
        let layers = build(&mut Places { affine: 0, spline, act_norm, linear });
        let mut flow = Self {
            dimensions,
            layers,
            level,
            kept,
            drops: configs.iter().any(LayerConfig::drops),
            pool: Pool::default(),
            parameters,
        };
        pack(&mut flow.layers, &flow.parameters.values);
        flow
    }

    /// Maps `x` to `z` and `log|det dz/dx|`, both in `state`. `kept` has room for every layer, or
    /// for one alone where there is no way back: memory that stays in the cache.
    fn forward(
        &self,
        batch: Batch<'_>,
        state: &mut State,
        kept: &mut [Kept],
        drops: Option<Drops>,
    ) {
        self.start(batch, state);
        let room = kept.len();
        for index in 0..self.layers.len() {
            self.step(index, batch.y, state, &mut kept[index % room], drops);
        }
    }

    /// Puts the features of a batch into `state`.
    fn start(&self, batch: Batch<'_>, State { x, log_det, .. }: &mut State) {
        x.reshape(batch.x.nrows(), self.dimensions.x);
        x.set(batch.x);
        log_det.reshape(batch.x.nrows(), 1);
        log_det.fill(0.0);
    }

    /// Maps the features in `state` through one layer.
    fn step(
        &self,
        index: usize,
        y: ArrayView2<'_, f32>,
        state: &mut State,
        kept: &mut Kept,
        drops: Option<Drops>,
    ) {
        let State { x, log_det, output, spare, .. } = state;
        let drops = drops.map(|drops| drops.of_layer(index));
        let values = &self.parameters.values;
        match &self.layers[index] {
            Layer::Affine(subnet, coupling) => {
                self.set_input(&mut kept.input, x, y);
                subnet.forward(kept, drops, output);
                coupling.forward(output, x, log_det, &mut kept.affine);
            }
            Layer::Spline(subnet, coupling) => {
                self.set_input(&mut kept.input, x, y);
                subnet.forward(kept, drops, output);
                coupling.forward(output, x, log_det, &mut kept.spline);
            }
            Layer::Flip => x.flip(),
            Layer::Permutation(order) => permute(x, order, spare),
            Layer::ActNorm(place) => {
                kept.x.copy(x);
                let values = &values[place.clone()];
                act_norm(x, values);
                log_det.shift(values[..self.dimensions.x].iter().sum());
            }
            Layer::Linear(order, place) => {
                permute(x, order, spare);
                kept.x.copy(x);
                let lu = Lu::new(&values[place.clone()], self.dimensions.x);
                lu.forward(self.level, x, &mut kept.between);
                log_det.shift(lu.log_det());
            }
        }
    }

    /// Maps `z` to `x` in `state`.
    fn inverse(
        &self,
        z: ArrayView2<'_, f32>,
        y: ArrayView2<'_, f32>,
        state: &mut State,
        kept: &mut Kept,
    ) {
        let State { x, output, spare, .. } = state;
        x.reshape(z.nrows(), self.dimensions.x);
        x.set(z);
        let values = &self.parameters.values;
        for layer in self.layers.iter().rev() {
            match layer {
                Layer::Affine(subnet, coupling) => {
                    self.set_input(&mut kept.input, x, y);
                    subnet.forward(kept, None, output);
                    coupling.inverse(output, x, &mut kept.affine);
                }
                Layer::Spline(subnet, coupling) => {
                    self.set_input(&mut kept.input, x, y);
                    subnet.forward(kept, None, output);
                    coupling.inverse(output, x, &mut kept.spline);
                }
                Layer::Flip => x.flip(),
                Layer::Permutation(order) => permute_back(x, order, spare),
                Layer::ActNorm(place) => act_norm_inverse(x, &values[place.clone()]),
                Layer::Linear(order, place) => {
                    let lu = Lu::new(&values[place.clone()], self.dimensions.x);
                    lu.inverse(self.level, x, &mut kept.between);
                    permute_back(x, order, spare);
                }
            }
        }
    }

    /// Turns the gradient with respect to `z`, in `state.x`, into that of the parameters.
    fn backward(
        &self,
        d_log_det: f32,
        state: &mut State,
        kept: &mut [Kept],
        drops: Option<Drops>,
        gradient: &mut [f32],
        add: bool,
    ) {
        let State { x: d_x, deltas, d_input, spare, .. } = state;
        let values = &self.parameters.values;
        for (index, (layer, kept)) in self.layers.iter().zip(kept).enumerate().rev() {
            let drops = drops.map(|drops| drops.of_layer(index));
            match layer {
                Layer::Affine(subnet, coupling) => {
                    coupling.backward(&mut kept.affine, d_x, d_log_det, &mut deltas.output);
                    subnet.backward(kept, drops, deltas, (gradient, add), d_input);
                    d_x.add_leading(d_input, self.kept);
                }
                Layer::Spline(subnet, coupling) => {
                    coupling.backward(&mut kept.spline, d_x, d_log_det, &mut deltas.output);
                    subnet.backward(kept, drops, deltas, (gradient, add), d_input);
                    d_x.add_leading(d_input, self.kept);
                }
                Layer::Flip => d_x.flip(),
                Layer::Permutation(order) => permute_back(d_x, order, spare),
                Layer::ActNorm(place) => {
                    let (values, gradient) = (&values[place.clone()], &mut gradient[place.clone()]);
                    act_norm_backward(self.level, &kept.x, d_x, d_log_det, values, gradient, add);
                }
                Layer::Linear(order, place) => {
                    let lu = Lu::new(&values[place.clone()], self.dimensions.x);
                    let gradient = &mut gradient[place.clone()];
                    let Kept { x, between, .. } = kept;
                    lu.backward(self.level, x, between, d_x, d_log_det, gradient, add);
                    permute_back(d_x, order, spare);
                }
            }
        }
    }

    /// Sets the input `[x1, y]` of a subnet.
    fn set_input(&self, input: &mut Matrix, x: &Columns, y: ArrayView2<'_, f32>) {
        input.reshape(y.nrows(), self.kept + self.dimensions.y);
        input.set_leading(0, x, self.kept);
        input.set_columns(self.kept, y);
    }

    /// `log p(x | y)` of every row in `state`.
    fn log_densities(&self, state: &State) -> impl Iterator<Item = f64> {
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        let State { x: z, log_det, .. } = state;
        log_det.column(0).iter().enumerate().map(move |(row, log_det)| {
            let square = |column| f64::from(z.column(column)[row]).powi(2);
            let squares: f64 = (0..z.columns()).map(square).sum();
            f64::from(*log_det) - 0.5 * squares - constant
        })
    }

    /// Runs `work` on `z` of blocks of rows and their part of `output`.
    fn latents<T: Send + Sync>(
        &self,
        batch: Batch<'_>,
        output: ArrayViewMut2<'_, T>,
        work: impl Fn(&State, ArrayViewMut2<'_, T>) + Sync,
    ) {
        blocks(output, |block, output| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(1);
                self.forward(batch.rows(block), state, kept, None);
                work(state, output);
            });
        });
    }
}

impl ConditionalModel for FusedFlow {
    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    fn loss_terms(&self) -> &'static [&'static str] {
        &[]
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn set_parameters(&mut self, values: &[f32]) {
        let Self { layers, parameters, .. } = self;
        rayon::join(|| pack(layers, values), || parameters.values.copy_from_slice(values));
    }

    fn update_parameters(&mut self, mut step: AdamStep<'_>) {
        let Self { layers, parameters, level, .. } = self;
        // The flat vector has the subnets of the affine couplings, then those of the splines, then the rest.
        let (mut subnets, mut of_splines) = (Vec::with_capacity(layers.len()), Vec::new());
        for layer in layers {
            match layer {
                Layer::Affine(subnet, _) => subnets.push(subnet),
                Layer::Spline(subnet, _) => of_splines.push(subnet),
                _ => {}
            }
        }
        subnets.append(&mut of_splines);
        let mut rest = &mut parameters.values[..];
        let parts: Vec<_> = subnets
            .into_iter()
            .map(|subnet| {
                let (values, others) = std::mem::take(&mut rest).split_at_mut(subnet.parameters());
                rest = others;
                let step = step.split_off(values.len());
                (subnet, values, step)
            })
            .collect();
        parts.into_par_iter().for_each(|(subnet, values, step)| subnet.update(values, step));
        step.apply(*level, rest);
    }

    fn initialise(&mut self, batch: Batch<'_>) {
        let Workspace { mut state, .. } = Workspace::default();
        let mut kept = Kept::default();
        self.start(batch, &mut state);
        for index in 0..self.layers.len() {
            if let Layer::ActNorm(place) = &self.layers[index] {
                let mut x = Array2::zeros(batch.x.dim());
                state.x.write(x.view_mut());
                let values = standardising(x.view()).concat();
                self.parameters.values[place.clone()].copy_from_slice(&values);
            }
            self.step(index, batch.y, &mut state, &mut kept, None);
        }
    }

    fn loss(&self, batch: Batch<'_>, _noise: &mut ChaCha8Rng) -> Loss {
        let n = batch.x.nrows();
        let mut sums = [0.0];
        sum_over_tiles(n, &mut sums, |tile, sums| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(1);
                self.forward(batch.rows(tile), state, kept, None);
                sums[0] -= self.log_densities(state).sum::<f64>();
            });
        });
        Loss { total: sums[0] / n as f64, terms: Vec::new() }
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut Gradient,
    ) -> Loss {
        let n = batch.x.nrows();
        let key = self.drops.then(|| noise.random());
        let weight = 1.0 / n as f32;
        let mut sums = [0.0];
        let parameters = self.parameters.values.len();
        gradient.accumulate(n, parameters, &mut sums, |tile, gradient, add, sums| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(self.layers.len());
                let drops = key.map(|key| Drops { key, first_row: tile.start });
                self.forward(batch.rows(tile), state, kept, drops);
                sums[0] -= self.log_densities(state).sum::<f64>();
                state.x.scale(weight);
                self.backward(-weight, state, kept, drops, gradient, add);
            });
        });
        Loss { total: sums[0] / n as f64, terms: Vec::new() }
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let shape = (batch.x.nrows(), self.dimensions.z);
        let mut mean = Array2::zeros(shape);
        self.latents(batch, mean.view_mut(), |state, z| state.x.write(z));
        LatentMoments { mean, variance: Array2::zeros(shape) }
    }

    fn decode(&self, z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut x = Array2::zeros((z.nrows(), self.dimensions.x));
        blocks(x.view_mut(), |block, x| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(1);
                let Batch { x: z, y } = Batch { x: z, y }.rows(block);
                self.inverse(z, y, state, &mut kept[0]);
                state.x.write(x);
            });
        });
        x
    }

    fn log_prob(&self, batch: Batch<'_>) -> Option<Vec<f64>> {
        let mut all = Array2::zeros((batch.x.nrows(), 1));
        self.latents(batch, all.view_mut(), |state, mut values| {
            for (value, log_density) in values.iter_mut().zip(self.log_densities(state)) {
                *value = log_density;
            }
        });
        Some(all.into_raw_vec_and_offset().0)
    }
}

/// Gives the subnets their parameters.
fn pack(layers: &mut [Layer], values: &[f32]) {
    layers.par_iter_mut().for_each(|layer| {
        if let Layer::Affine(subnet, _) | Layer::Spline(subnet, _) = layer {
            subnet.set_parameters(values);
        }
    });
}
