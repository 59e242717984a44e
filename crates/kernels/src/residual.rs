//! Residual network on a block of rows: `h = input W + b`, then for every block
//! `h += W2 a(W1 dropout(a(h)) + b1) + b2`, then a linear layer; forward and backward.

use pulp::{Simd, WithSimd};

use crate::activation::{Activation, Slope};
use crate::adam::AdamStep;
use crate::dropout::Dropout;
use crate::level::Level;
use crate::matrix::Matrix;
use crate::mlp::{Deltas, Hidden, Mlp};

/// A residual network whose parameters are a stretch of a flat vector: for every linear layer in order
/// the weight (inputs x outputs, row-major), then the bias.
#[derive(Debug, Clone)]
pub struct Residual {
    level: Level,
    activation: Activation,
    first: Mlp,
    blocks: Vec<Mlp>,
    last: Mlp,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug, Clone, Default)]
pub struct ResidualTrace {
    /// `h` before the last layer.
    state: Matrix,
    blocks: Vec<BlockTrace>,
    hidden: Hidden,
    /// What a block adds; on the way back the gradient of its input.
    term: Matrix,
    /// On the way back the gradient of `h`.
    d_state: Matrix,
}

#[derive(Debug, Clone, Default)]
struct BlockTrace {
    /// `a(h)`, before the dropout.
    active: Matrix,
    /// The slope of `a`, where it does not follow from the value.
    slope: Matrix,
    /// `dropout(a(h))`, where there is a dropout.
    dropped: Matrix,
    hidden: Hidden,
}

impl Residual {
    /// A network of `blocks` from `inputs` to `outputs` with `width` numbers in `h`, whose parameters
    /// begin at `offset`.
    pub fn new(
        level: Level,
        (inputs, width, outputs): (usize, usize, usize),
        blocks: usize,
        activation: Activation,
        offset: usize,
    ) -> Self {
        let first = Mlp::new(level, &[inputs, width], activation, offset);
        let mut offset = offset + first.parameters();
        let blocks = (0..blocks)
            .map(|_| {
                let block = Mlp::new(level, &[width; 3], activation, offset);
                offset += block.parameters();
                block
            })
            .collect();
        let last = Mlp::new(level, &[width, outputs], activation, offset);
        Self { level, activation, first, blocks, last }
    }

    /// How many parameters it has.
    pub fn parameters(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Mlp::parameters).sum();
        self.first.parameters() + blocks + self.last.parameters()
    }

    /// Takes its parameters from the flat vector `values`.
    ///
    /// # Panics
    /// If `values` ends before its last parameter.
    pub fn set_parameters(&mut self, values: &[f32]) {
        self.first.set_parameters(values);
        self.blocks.iter_mut().for_each(|block| block.set_parameters(values));
        self.last.set_parameters(values);
    }

    /// Moves its parameters, the stretch `values` of the flat vector, by the `step` and takes them.
    ///
    /// # Panics
    /// If `values` or the step has another length.
    pub fn update(&mut self, mut values: &mut [f32], mut step: AdamStep<'_>) {
        let Self { first, blocks, last, .. } = self;
        for network in std::iter::once(first).chain(blocks).chain(std::iter::once(last)) {
            let (front, rest) = values.split_at_mut(network.parameters());
            network.update(front, step.split_off(front.len()));
            values = rest;
        }
        assert!(values.is_empty(), "the parameters of the network");
    }

    /// Maps `input` (rows x inputs) to `output` (rows x outputs) and keeps in `trace` what
    /// [`Self::backward`] needs.
    ///
    /// # Panics
    /// If `input` has not as many columns as the network has inputs.
    pub fn forward(
        &self,
        input: &Matrix,
        dropout: Option<Dropout>,
        trace: &mut ResidualTrace,
        output: &mut Matrix,
    ) {
        let ResidualTrace { state, blocks, hidden, term, .. } = trace;
        blocks.resize_with(self.blocks.len(), BlockTrace::default);
        self.first.forward(input, hidden, state);
        for (index, (block, trace)) in self.blocks.iter().zip(blocks).enumerate() {
            let BlockTrace { active, slope, dropped, hidden } = trace;
            active.reshape(state.rows(), state.columns());
            slope.reshape(state.rows(), state.columns());
            self.level.run(Activate { activation: self.activation, state, active, slope });
            let input = match dropout {
                Some(dropout) => {
                    let dropout = dropout.block(index);
                    dropped.reshape(active.rows(), active.columns());
                    for row in 0..active.rows() {
                        dropped.row_mut(row).copy_from_slice(active.row(row));
                        dropout.apply(row, dropped.row_mut(row));
                    }
                    &*dropped
                }
                None => &*active,
            };
            block.forward(input, hidden, term);
            self.level.run(Add { state, term, slope: None });
        }
        self.last.forward(state, hidden, output);
    }

    /// Propagates `deltas.output` back: writes the gradient of its parameters into their places in the
    /// flat vector `gradient` (adds it there with `add`), and that of the input into `input_gradient`.
    ///
    /// The others are those of the forward pass.
    ///
    /// # Panics
    /// If a shape differs from the forward pass.
    #[expect(clippy::too_many_arguments, reason = "those of a perceptron, and the dropout")]
    pub fn backward(
        &self,
        input: &Matrix,
        dropout: Option<Dropout>,
        trace: &mut ResidualTrace,
        deltas: &mut Deltas,
        gradient: &mut [f32],
        add: bool,
        input_gradient: &mut Matrix,
    ) {
        let ResidualTrace { state, blocks, hidden, term, d_state } = trace;
        self.last.backward(state, hidden, deltas, gradient, add, Some(d_state));
        for (index, (block, trace)) in self.blocks.iter().zip(&*blocks).enumerate().rev() {
            let BlockTrace { active, slope, dropped, hidden } = trace;
            let input = if dropout.is_some() { dropped } else { active };
            copy(d_state, &mut deltas.output);
            block.backward(input, hidden, deltas, gradient, add, Some(term));
            if let Some(dropout) = dropout {
                let dropout = dropout.block(index);
                (0..term.rows()).for_each(|row| dropout.apply(row, term.row_mut(row)));
            }
            let slope = match self.activation {
                Activation::Elu => Slope::Elu(active),
                Activation::Relu => Slope::Relu(active),
                Activation::Tanh => Slope::Tanh(active),
                Activation::Gelu => Slope::Kept(slope),
            };
            self.level.run(Add { state: d_state, term, slope: Some(slope) });
        }
        copy(d_state, &mut deltas.output);
        self.first.backward(input, hidden, deltas, gradient, add, Some(input_gradient));
    }
}

fn copy(from: &Matrix, to: &mut Matrix) {
    to.reshape(from.rows(), from.columns());
    let len = from.rows() * from.stride();
    to.data_mut()[..len].copy_from_slice(&from.data()[..len]);
}

/// `active = a(state)`, padding included.
struct Activate<'a> {
    activation: Activation,
    state: &'a Matrix,
    active: &'a mut Matrix,
    slope: &'a mut Matrix,
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { activation, state, active, slope } = self;
        let len = state.rows() * state.stride();
        let values = &mut active.data_mut()[..len];
        values.copy_from_slice(&state.data()[..len]);
        let slope = activation.keeps_slope().then(|| &mut slope.data_mut()[..len]);
        activation.apply(simd, S::as_mut_simd_f32s(values).0, slope);
    }
}

/// `state += term`, times the slope where there is one; padding included.
struct Add<'a> {
    state: &'a mut Matrix,
    term: &'a Matrix,
    slope: Option<Slope<'a>>,
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { state, term, slope } = self;
        assert_eq!((state.rows(), state.columns()), (term.rows(), term.columns()));
        let len = state.rows() * state.stride();
        let sums = S::as_mut_simd_f32s(&mut state.data_mut()[..len]).0;
        let terms = S::as_simd_f32s(&term.data()[..len]).0;
        match slope.and_then(|slope| slope.matrix().map(|matrix| (slope, matrix))) {
            None => {
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum = simd.add_f32s(*sum, *term);
                }
            }
            Some((slope, kept)) => {
                let kept = S::as_simd_f32s(&kept.data()[..len]).0;
                for ((sum, term), kept) in sums.iter_mut().zip(terms).zip(kept) {
                    *sum = simd.add_f32s(*sum, slope.times(simd, *term, *kept));
                }
            }
        }
    }
}
