//! What a training on a device begins with, what it is told, and what it gives.

use std::ops::Range;

use cei_kernels::{AdamFactors, MuonFactors};
use ndarray::{Array2, ArrayView2};

use crate::{Batch, Loss};

/// Numbers of a table, at most, that a device keeps: half a gibibyte, where devices let no buffer be larger than one or four.
const MOST_NUMBERS: usize = 1 << 27;

/// What a training on a device begins with.
#[derive(Debug, Clone, Copy)]
pub struct ResidentSetup<'a> {
    /// Rows that move the parameters.
    pub training: Batch<'a>,
    /// Rows of the validation part.
    pub validation: Batch<'a>,
    /// Rows of it that go through the network at once.
    pub validation_chunk: usize,
    /// What is added to the training rows `x` in every step, times standard normal numbers (k x d); none where there is nothing.
    pub directions: Option<&'a Array2<f32>>,
    /// Rows of a mini-batch.
    pub batch_size: usize,
    /// Seed of the streams of noise.
    pub seed: u64,
    /// Parameters.
    pub parameters: &'a [f32],
    /// First moment of every parameter; of a weight that Muon moves its momentum.
    pub first: &'a [f32],
    /// Second moment of every parameter.
    pub second: &'a [f32],
    /// Moving average of the parameters, where there is one.
    pub average: Option<&'a [f32]>,
}

/// One step of the optimiser.
#[derive(Debug, Clone)]
pub struct ResidentStep {
    /// Its number in the epoch, from 0.
    pub batch: usize,
    /// Epochs that are done, in fractions of one.
    pub epochs: f64,
    /// Factors of Adam; that of the clip is found on the device.
    pub adam: AdamFactors,
    /// Largest norm of the gradient; none for no bound.
    pub gradient_clip: Option<f64>,
    /// What Muon moves the weights by, where it is the optimiser: [`crate::Parameter::weight_shape`] says which.
    pub muon: Option<MuonFactors>,
    /// Share of the new parameters in their average.
    pub average: f32,
}

/// A vector with a number for each parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResidentVector {
    /// The parameters.
    Parameters,
    /// Their average where there is one, otherwise themselves: what is validated.
    Validated,
    /// The first moments.
    First,
    /// The second moments.
    Second,
}

/// A training on a device. A step is begun and not waited for, and nothing crosses between device and host in it but the masks
/// of a dropout, which are made on the host.
pub trait ResidentTraining: Send {
    /// Takes other training rows, as many.
    fn set_rows(&mut self, training: Batch<'_>);

    /// Begins an epoch: its rows in their `order`. `first_step` is the number of its first step in the training.
    fn begin_epoch(&mut self, order: &[u32], first_step: u64);

    /// Moves the parameters against the gradient on the rows of a batch.
    fn step(&mut self, step: &ResidentStep);

    /// Waits until all steps are done.
    fn wait(&self);

    /// The losses of the steps since they were last asked for.
    fn losses(&mut self) -> Vec<Loss>;

    /// The losses of the chunks of the validation rows, with their numbers of rows.
    fn validation_losses(&mut self) -> Vec<(Loss, usize)>;

    /// Reads a vector.
    fn read(&self, vector: ResidentVector) -> Vec<f32>;
}

/// The rows of a mini-batch in the order of an epoch.
pub(super) fn rows_of(batches: Range<usize>, batch_size: usize, rows: usize) -> Range<usize> {
    let end = (batches.end * batch_size).min(rows);
    batches.start * batch_size..end
}

/// A table that a device can keep.
pub(crate) fn fits(matrix: ArrayView2<'_, f32>) -> bool {
    matrix.len() <= MOST_NUMBERS
}
