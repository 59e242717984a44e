//! The flow on the processor, composed of fused kernels; the same mathematics as
//! [`Flow`](crate::Flow), which stays the reference.
//!
//! ```text
//! forward    [x1, x2] = x,  s, t = NN([x1, y]),  x2' = x2 * exp(s) + t,  then a flip
//! loss       mean of |z|^2 / 2 + d/2 ln(2 pi) - log|det dz/dx|
//! backward   from dz = z / n and dlog|det| = -1 / n through the couplings in reverse
//! ```

use std::f64::consts::TAU;

use cei_kernels::{
    AffineCoupling, Columns, CouplingTrace, Deltas, Hidden, Level, Matrix, Mlp, Pool,
    ShardGradients, blocks,
};
use cei_model::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::CinnConfig;

/// A flow that computes with kernels.
#[derive(Debug)]
pub(crate) struct FusedFlow {
    parameters: Parameters,
    dimensions: Dimensions,
    subnets: Vec<Mlp>,
    coupling: AffineCoupling,
    pool: Pool<Workspace>,
    gradients: ShardGradients,
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
}

/// What a coupling keeps for the way back.
#[derive(Debug, Default)]
struct Kept {
    /// `[x1, y]`.
    input: Matrix,
    hidden: Hidden,
    trace: CouplingTrace,
}

impl Workspace {
    /// The state and room for `couplings`.
    fn parts(&mut self, couplings: usize) -> (&mut State, &mut [Kept]) {
        if self.kept.len() < couplings {
            self.kept.resize_with(couplings, Kept::default);
        }
        (&mut self.state, &mut self.kept[..couplings])
    }
}

impl FusedFlow {
    /// The flow with the `parameters` of a [`Flow`](crate::Flow) of this configuration.
    pub(crate) fn new(config: &CinnConfig, dimensions: Dimensions, parameters: Parameters) -> Self {
        let level = Level::best();
        let d = dimensions.x;
        let kept = d / 2;
        let widths = [&[kept + dimensions.y], &config.hidden[..], &[2 * (d - kept)]].concat();
        let mut offset = 0;
        let mut subnets = Vec::with_capacity(config.couplings);
        for _ in 0..config.couplings {
            let subnet = Mlp::new(level, &widths, config.activation.into(), offset);
            offset += subnet.parameters();
            subnets.push(subnet);
        }
        assert_eq!(offset, parameters.values.len(), "the parameters of the composed flow");
        let mut flow = Self {
            dimensions,
            subnets,
            coupling: AffineCoupling { level, kept, clamp: config.clamp as f32 },
            pool: Pool::default(),
            gradients: ShardGradients::default(),
            parameters,
        };
        pack(&mut flow.subnets, &flow.parameters.values);
        flow
    }

    /// Maps `x` to `z` and `log|det dz/dx|`, both in `state`. `kept` has room for every coupling, or
    /// for one alone where there is no way back: memory that stays in the cache.
    fn forward(&self, batch: Batch<'_>, state: &mut State, kept: &mut [Kept]) {
        let State { x, log_det, output, .. } = state;
        x.reshape(batch.x.nrows(), self.dimensions.x);
        x.set(batch.x);
        log_det.reshape(batch.x.nrows(), 1);
        log_det.fill(0.0);
        let room = kept.len();
        for (index, subnet) in self.subnets.iter().enumerate() {
            let Kept { input, hidden, trace } = &mut kept[index % room];
            self.set_input(input, x, batch.y);
            subnet.forward(input, hidden, output);
            self.coupling.forward(output, x, log_det, trace);
            x.flip();
        }
    }

    /// Maps `z` to `x` in `state`.
    fn inverse(
        &self,
        z: ArrayView2<'_, f32>,
        y: ArrayView2<'_, f32>,
        state: &mut State,
        Kept { input, hidden, trace }: &mut Kept,
    ) {
        let State { x, output, .. } = state;
        x.reshape(z.nrows(), self.dimensions.x);
        x.set(z);
        for subnet in self.subnets.iter().rev() {
            x.flip();
            self.set_input(input, x, y);
            subnet.infer(input, hidden, output);
            self.coupling.inverse(output, x, trace);
        }
    }

    /// Turns the gradient with respect to `z`, in `state.x`, into that of the parameters.
    fn backward(
        &self,
        d_log_det: f32,
        state: &mut State,
        kept: &mut [Kept],
        gradient: &mut [f32],
        add: bool,
    ) {
        let State { x: d_x, deltas, d_input, .. } = state;
        for (subnet, Kept { input, hidden, trace }) in self.subnets.iter().zip(kept).rev() {
            d_x.flip();
            self.coupling.backward(trace, d_x, d_log_det, &mut deltas.output);
            subnet.backward(input, hidden, deltas, gradient, add, Some(d_input));
            d_x.add_leading(d_input, self.coupling.kept);
        }
    }

    /// Sets the input `[x1, y]` of a subnet.
    fn set_input(&self, input: &mut Matrix, x: &Columns, y: ArrayView2<'_, f32>) {
        let kept = self.coupling.kept;
        input.reshape(y.nrows(), kept + self.dimensions.y);
        input.set_leading(0, x, kept);
        input.set_columns(kept, y);
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
                self.forward(batch.rows(block), state, kept);
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
        let Self { subnets, parameters, .. } = self;
        rayon::join(|| pack(subnets, values), || parameters.values.copy_from_slice(values));
    }

    fn loss(&self, batch: Batch<'_>, _noise: &mut ChaCha8Rng) -> Loss {
        let n = batch.x.nrows();
        let mut sums = [0.0];
        self.gradients.accumulate(n, &mut [], &mut sums, |tile, _, _, sums| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(1);
                self.forward(batch.rows(tile), state, kept);
                sums[0] -= self.log_densities(state).sum::<f64>();
            });
        });
        Loss { total: sums[0] / n as f64, terms: Vec::new() }
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        _noise: &mut ChaCha8Rng,
        gradient: &mut [f32],
    ) -> Loss {
        let n = batch.x.nrows();
        let weight = 1.0 / n as f32;
        let mut sums = [0.0];
        self.gradients.accumulate(n, gradient, &mut sums, |tile, gradient, add, sums| {
            self.pool.with(|workspace| {
                let (state, kept) = workspace.parts(self.subnets.len());
                self.forward(batch.rows(tile), state, kept);
                sums[0] -= self.log_densities(state).sum::<f64>();
                state.x.scale(weight);
                self.backward(-weight, state, kept, gradient, add);
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
fn pack(subnets: &mut [Mlp], values: &[f32]) {
    subnets.par_iter_mut().for_each(|subnet| subnet.set_parameters(values));
}
