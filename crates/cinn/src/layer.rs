//! What a layer of a flow is: an invertible map of the features `x`, given the condition `y`, with its
//! `log|det|`. A kind of layer has keys in the configuration ([`LayerKind`]), its mathematics in tensors
//! ([`TensorLayer`]), and may have a form in kernels for the processor ([`FusedLayer`]).

use std::any::Any;
use std::fmt::Debug;

use burn::tensor::{Device, Tensor};
use cei_kernels::{AdamStep, Columns, Deltas, Level, Matrix};
use cei_model::{HasParameters, HyperParameterError};
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;

/// A kind of layer with its keys, and what is built from them.
pub trait LayerKind: Debug {
    /// What its tensors are called in a saved model: `couplings.0`, `couplings.1`, one number a layer.
    fn group(&self) -> &'static str;

    /// Checks its keys.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    fn check(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    /// The weights of its networks, about: a configuration with too many is refused.
    fn weights(&self) -> u64 {
        0
    }

    /// Whether a training step drops out some of its numbers.
    fn drops_out(&self) -> bool {
        false
    }

    /// The layer in tensors, for every device. It should start as the identity.
    fn in_tensors(&self, slot: Slot, rng: &mut ChaCha8Rng, device: &Device)
    -> Box<dyn TensorLayer>;

    /// The same layer in kernels; a flow with a layer that has none computes in tensors on the processor too.
    fn in_kernels(&self, _slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        None
    }
}

/// Where a layer stands.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Its number in the flow, from the data to the latent.
    pub index: usize,
    /// Columns of `x`.
    pub x: usize,
    /// Columns of `y`.
    pub y: usize,
}

impl Slot {
    /// Features that a coupling leaves alone: the smaller part, so that two couplings with a flip between them
    /// transform every feature.
    pub fn kept(self) -> usize {
        self.x / 2
    }
}

/// The names of the layers in a saved model.
pub(crate) fn names(kinds: &[&dyn LayerKind]) -> Vec<String> {
    let group_of = |index: usize| kinds[index].group();
    let name = |index| {
        let number = (0..index).filter(|other| group_of(*other) == group_of(index)).count();
        format!("{}.{number}", group_of(index))
    };
    (0..kinds.len()).map(name).collect()
}

/// A layer in tensors. A layer with parameters is a Burn module; for one without, an empty `impl HasParameters`
/// says so.
pub trait TensorLayer: HasParameters + Duplicate + Debug {
    /// Maps `x` (`n` x `d`); gives the value and, unless it is zero, `log|det J|` (`n` x 1 or 1 x 1). In a training
    /// step it drops out by `key`.
    fn forward(
        &self,
        x: Tensor<2>,
        y: &Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>);

    /// Undoes [`Self::forward`] without dropout.
    fn inverse(&self, z: Tensor<2>, y: &Tensor<2>) -> Tensor<2>;

    /// Sets the parameters that follow from the rows `x` that come in before the first step of a training.
    fn initialise(&mut self, _x: &Tensor<2>) {}
}

/// What lets a flow be cloned.
pub trait Duplicate {
    /// A copy that shares its tensors.
    fn duplicate(&self) -> Box<dyn TensorLayer>;
}

impl<L: TensorLayer + Clone + 'static> Duplicate for L {
    fn duplicate(&self) -> Box<dyn TensorLayer> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn TensorLayer> {
    fn clone(&self) -> Self {
        (**self).duplicate()
    }
}

/// A layer in kernels. Its parameters are a stretch of the flat vector, in the order of its tensors.
pub trait FusedLayer: Debug + Send + Sync {
    /// What it keeps of a block of rows for the way back.
    type Trace: Default + Send + 'static;

    /// Told its parameters whenever they have changed, for what is packed for the kernels.
    fn set_parameters(&mut self, _parameters: &[f32]) {}

    /// Moves its parameters by a step of the optimiser.
    fn update(&mut self, parameters: &mut [f32], step: AdamStep<'_>) {
        step.apply(Level::best(), parameters);
        self.set_parameters(parameters);
    }

    /// Sets the parameters that follow from the rows `x` that come in before the first step of a training.
    fn initialise(&self, _x: &Columns, _parameters: &mut [f32]) {}

    /// Maps `rows.x` and adds `log|det J|` to `rows.log_det`.
    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Self::Trace);

    /// Undoes the map of `rows.x`; `trace` is only working memory.
    fn inverse(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Self::Trace);

    /// Turns the gradient with respect to its value, in `rows.x`, into that with respect to what came in, and
    /// writes that of its parameters into `gradient`, or adds it there with `true`. `d_log_det` is the gradient with respect
    /// to `log|det J|` of every row.
    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        trace: &mut Self::Trace,
        gradient: (&mut [f32], bool),
    );
}

/// What a fused layer is given beside the features.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its parameters.
    pub parameters: &'a [f32],
    /// What the rows are conditioned on.
    pub y: ArrayView2<'a, f32>,
    /// What drops out, in a training step.
    pub drops: Option<Drops>,
}

/// The dropouts of a training step, for a block of rows.
#[derive(Debug, Clone, Copy)]
pub struct Drops {
    /// The key of the step and, in a layer, of the layer.
    pub key: u64,
    /// The first of the rows in the batch.
    pub first_row: usize,
}

impl Drops {
    pub(crate) fn of_layer(self, index: usize) -> Self {
        Self { key: layer_key(self.key, index), ..self }
    }
}

/// The key of the dropouts of a layer in a training step.
pub(crate) fn layer_key(key: u64, index: usize) -> u64 {
    key.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A block of rows on its way through the flow, and working memory that the layers share.
#[derive(Debug, Default)]
pub struct Rows {
    /// The features, `x` at one end of the flow and `z` at the other; on the way back, the gradient.
    pub x: Columns,
    /// `log|det|` so far, one column.
    pub log_det: Columns,
    /// What a network gives.
    pub output: Matrix,
    /// Gradients on their way through a network.
    pub deltas: Deltas,
    /// The gradient with respect to the input of a network.
    pub d_input: Matrix,
    /// For whatever a layer needs.
    pub spare: Columns,
}

/// What some layer keeps.
pub type Trace = Box<dyn Any + Send>;

/// A [`FusedLayer`] whose trace has its type hidden: every one is such.
pub trait ErasedLayer: Debug + Send + Sync {
    /// A new trace.
    fn trace(&self) -> Trace;

    /// [`FusedLayer::set_parameters`].
    fn set_parameters(&mut self, parameters: &[f32]);

    /// [`FusedLayer::update`].
    fn update(&mut self, parameters: &mut [f32], step: AdamStep<'_>);

    /// [`FusedLayer::initialise`].
    fn initialise(&self, x: &Columns, parameters: &mut [f32]);

    /// [`FusedLayer::forward`].
    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Trace);

    /// [`FusedLayer::inverse`].
    fn inverse(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Trace);

    /// [`FusedLayer::backward`].
    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        trace: &mut Trace,
        gradient: (&mut [f32], bool),
    );
}

impl<L: FusedLayer> ErasedLayer for L {
    fn trace(&self) -> Trace {
        Box::new(L::Trace::default())
    }

    fn set_parameters(&mut self, parameters: &[f32]) {
        FusedLayer::set_parameters(self, parameters);
    }

    fn update(&mut self, parameters: &mut [f32], step: AdamStep<'_>) {
        FusedLayer::update(self, parameters, step);
    }

    fn initialise(&self, x: &Columns, parameters: &mut [f32]) {
        FusedLayer::initialise(self, x, parameters);
    }

    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Trace) {
        FusedLayer::forward(self, given, rows, of::<L>(trace));
    }

    fn inverse(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Trace) {
        FusedLayer::inverse(self, given, rows, of::<L>(trace));
    }

    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        trace: &mut Trace,
        gradient: (&mut [f32], bool),
    ) {
        FusedLayer::backward(self, given, d_log_det, rows, of::<L>(trace), gradient);
    }
}

/// The trace as the layer knows it.
fn of<L: FusedLayer>(trace: &mut Trace) -> &mut L::Trace {
    match trace.downcast_mut() {
        Some(trace) => trace,
        None => unreachable!("a layer is given a trace of its kind"),
    }
}
