//! The flow on the processor, composed of fused kernels; the same mathematics as
//! [`Flow`](crate::Flow), which stays the reference.
//!
//! ```text
//! loss       mean of |z|^2 / 2 + d/2 ln(2 pi) - log|det dz/dx|
//! backward   from dz = z / n and dlog|det| = -1 / n through the layers in reverse
//! ```

use std::f64::consts::TAU;
use std::ops::Range;

use cei_kernels::{AdamStep, Gradient, Pool, Team, blocks, sum_over_tiles};
use cei_model::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::layer::{Drops, ErasedLayer, Given, LayerKind, Rows, Slot, Trace, names};

/// A flow that computes with kernels.
#[derive(Debug)]
pub(crate) struct FusedFlow {
    parameters: Parameters,
    dimensions: Dimensions,
    /// From the data to the latent.
    layers: Vec<Placed>,
    /// Whether a training step draws a dropout.
    drops: bool,
    pool: Pool<Workspace>,
}

/// A layer of the flow.
#[derive(Debug)]
struct Placed {
    layer: Box<dyn ErasedLayer>,
    /// Its stretch of the parameters.
    place: Range<usize>,
    /// The first layer with a trace of the same type.
    alike: usize,
}

/// What a block of rows needs on its way.
#[derive(Debug, Default)]
struct Workspace {
    rows: Rows,
    /// One for each layer. Where there is no way back, layers that are alike use that of the first: memory that
    /// stays in the cache.
    traces: Vec<Trace>,
}

impl Workspace {
    /// The rows, and a trace for each of the `layers`.
    fn parts(&mut self, layers: &[Placed]) -> (&mut Rows, &mut [Trace]) {
        if self.traces.is_empty() {
            self.traces.extend(layers.iter().map(|placed| placed.layer.trace()));
        }
        (&mut self.rows, &mut self.traces)
    }
}

impl FusedFlow {
    /// The flow with the `parameters` of a [`Flow`](crate::Flow) of these layers; none if one of them has no
    /// kernels.
    pub(crate) fn new(
        kinds: &[&dyn LayerKind],
        dimensions: Dimensions,
        parameters: Parameters,
    ) -> Option<Self> {
        let mut layers: Vec<Placed> = Vec::with_capacity(kinds.len());
        let mut types = Vec::with_capacity(kinds.len());
        for (index, (kind, name)) in kinds.iter().zip(names(kinds)).enumerate() {
            let layer = kind.in_kernels(Slot { index, x: dimensions.x, y: dimensions.y })?;
            types.push((*layer.trace()).type_id());
            let alike = types.iter().position(|of_other| *of_other == types[index])?;
            layers.push(Placed { layer, place: parameters.place(&name), alike });
        }
        let drops = kinds.iter().any(|kind| kind.drops_out());
        let mut flow = Self { dimensions, layers, drops, pool: Pool::default(), parameters };
        pack(&mut flow.layers, &flow.parameters.values);
        Some(flow)
    }

    /// Maps `x` to `z` and `log|det dz/dx|`, both in `rows`, with what [`Self::backward`] needs in `traces`.
    fn forward(
        &self,
        batch: Batch<'_>,
        drops: Option<Drops>,
        rows: &mut Rows,
        traces: &mut [Trace],
    ) {
        self.start(batch, rows);
        for (index, placed) in self.layers.iter().enumerate() {
            placed.layer.forward(self.given(index, batch.y, drops), rows, &mut traces[index]);
        }
    }

    /// The same where there is no way back.
    fn infer(&self, batch: Batch<'_>, rows: &mut Rows, traces: &mut [Trace]) {
        self.start(batch, rows);
        for (index, placed) in self.layers.iter().enumerate() {
            placed.layer.forward(self.given(index, batch.y, None), rows, &mut traces[placed.alike]);
        }
    }

    /// Puts the features of a batch into `rows`.
    fn start(&self, batch: Batch<'_>, Rows { x, log_det, .. }: &mut Rows) {
        x.reshape(batch.x.nrows(), self.dimensions.x);
        x.set(batch.x);
        log_det.reshape(batch.x.nrows(), 1);
        log_det.fill(0.0);
    }

    /// Maps `z` to `x` in `rows`.
    fn inverse(&self, Batch { x: z, y }: Batch<'_>, rows: &mut Rows, traces: &mut [Trace]) {
        rows.x.reshape(z.nrows(), self.dimensions.x);
        rows.x.set(z);
        for (index, placed) in self.layers.iter().enumerate().rev() {
            placed.layer.inverse(self.given(index, y, None), rows, &mut traces[placed.alike]);
        }
    }

    /// Turns the gradient with respect to `z`, in `rows.x`, into that of the parameters.
    fn backward(
        &self,
        (y, drops): (ArrayView2<'_, f32>, Option<Drops>),
        d_log_det: f32,
        rows: &mut Rows,
        traces: &mut [Trace],
        (gradient, add): (&mut [f32], bool),
    ) {
        for (index, (placed, trace)) in self.layers.iter().zip(traces).enumerate().rev() {
            let gradient = (&mut gradient[placed.place.clone()], add);
            placed.layer.backward(self.given(index, y, drops), d_log_det, rows, trace, gradient);
        }
    }

    /// What a layer is given beside the features.
    fn given<'a>(
        &'a self,
        index: usize,
        y: ArrayView2<'a, f32>,
        drops: Option<Drops>,
    ) -> Given<'a> {
        let parameters = &self.parameters.values[self.layers[index].place.clone()];
        Given { parameters, y, drops: drops.map(|drops| drops.of_layer(index)) }
    }

    /// `log p(x | y)` of every row in `rows`.
    fn log_densities(&self, rows: &Rows) -> impl Iterator<Item = f64> {
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        let Rows { x: z, log_det, .. } = rows;
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
        work: impl Fn(&Rows, ArrayViewMut2<'_, T>) + Sync,
    ) {
        blocks(output, |block, output| {
            self.pool.with(|workspace| {
                let (rows, traces) = workspace.parts(&self.layers);
                self.infer(batch.rows(block), rows, traces);
                work(rows, output);
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
        let Self { layers, parameters, .. } = self;
        let mut layers: Vec<_> =
            layers.iter_mut().filter(|placed| !placed.place.is_empty()).collect();
        layers.sort_by_key(|placed| placed.place.start);
        let mut rest = &mut parameters.values[..];
        let parts: Vec<_> = layers
            .into_iter()
            .map(|placed| {
                let (values, others) = std::mem::take(&mut rest).split_at_mut(placed.place.len());
                rest = others;
                (&mut placed.layer, values, step.split_off(placed.place.len()))
            })
            .collect();
        assert!(rest.is_empty(), "every parameter is that of a layer");
        parts.into_par_iter().for_each(|(layer, values, step)| layer.update(values, step));
    }

    fn initialise(&mut self, batch: Batch<'_>) {
        let Workspace { mut rows, .. } = Workspace::default();
        self.start(batch, &mut rows);
        for index in 0..self.layers.len() {
            let Placed { layer, place, .. } = &mut self.layers[index];
            let parameters = &mut self.parameters.values[place.clone()];
            layer.initialise(&rows.x, parameters);
            layer.set_parameters(parameters);
            let mut trace = layer.trace();
            let layer = &self.layers[index].layer;
            layer.forward(self.given(index, batch.y, None), &mut rows, &mut trace);
        }
    }

    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss {
        self.loss_in_team(batch, noise, &Team::default())
    }

    fn loss_in_team(&self, batch: Batch<'_>, _noise: &mut ChaCha8Rng, team: &Team) -> Loss {
        let n = batch.x.nrows();
        let mut sums = [0.0];
        sum_over_tiles(team, n, &mut sums, |tile, sums| {
            self.pool.with(|workspace| {
                let (rows, traces) = workspace.parts(&self.layers);
                self.infer(batch.rows(tile), rows, traces);
                sums[0] -= self.log_densities(rows).sum::<f64>();
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
                let (rows, traces) = workspace.parts(&self.layers);
                let drops = key.map(|key| Drops { key, first_row: tile.start });
                let batch = batch.rows(tile);
                self.forward(batch, drops, rows, traces);
                sums[0] -= self.log_densities(rows).sum::<f64>();
                rows.x.scale(weight);
                self.backward((batch.y, drops), -weight, rows, traces, (gradient, add));
            });
        });
        Loss { total: sums[0] / n as f64, terms: Vec::new() }
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let shape = (batch.x.nrows(), self.dimensions.z);
        let mut mean = Array2::zeros(shape);
        self.latents(batch, mean.view_mut(), |rows, z| rows.x.write(z));
        LatentMoments { mean, variance: Array2::zeros(shape) }
    }

    fn decode(&self, z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut x = Array2::zeros((z.nrows(), self.dimensions.x));
        blocks(x.view_mut(), |block, x| {
            self.pool.with(|workspace| {
                let (rows, traces) = workspace.parts(&self.layers);
                self.inverse(Batch { x: z, y }.rows(block), rows, traces);
                rows.x.write(x);
            });
        });
        x
    }

    fn log_prob(&self, batch: Batch<'_>) -> Option<Vec<f64>> {
        let mut all = Array2::zeros((batch.x.nrows(), 1));
        self.latents(batch, all.view_mut(), |rows, mut values| {
            for (value, log_density) in values.iter_mut().zip(self.log_densities(rows)) {
                *value = log_density;
            }
        });
        Some(all.into_raw_vec_and_offset().0)
    }
}

/// Tells the layers their parameters.
fn pack(layers: &mut [Placed], values: &[f32]) {
    layers.par_iter_mut().for_each(|placed| {
        placed.layer.set_parameters(&values[placed.place.clone()]);
    });
}
