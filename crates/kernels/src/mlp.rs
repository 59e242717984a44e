//! Multilayer perceptron on a block of rows: `h_0 = input`, `h_k = a(h_{k-1} W_k + b_k)`, output
//! `h W + b`, forward and backward.

use rayon::prelude::*;

use crate::activation::{Activation, Slope};
use crate::adam::AdamStep;
use crate::level::Level;
use crate::matrix::Matrix;
use crate::product::{Epilogue, Panels, Product, WeightGradient};

/// A perceptron whose parameters are a stretch of a flat vector: for every layer the weight
/// (inputs x outputs, row-major), then the bias.
#[derive(Debug, Clone)]
pub struct Mlp {
    level: Level,
    activation: Activation,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Where the weights begin whose outputs stand side by side; each bias follows its weight.
    heads: Vec<usize>,
    forward: Panels,
    backward: Panels,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug, Clone, Default)]
pub struct Hidden {
    values: Vec<Matrix>,
    slopes: Vec<Matrix>,
}

/// Gradients with respect to the outputs of layers.
#[derive(Debug, Clone, Default)]
pub struct Deltas {
    /// With respect to the output of the perceptron: what a backward pass starts from.
    pub output: Matrix,
    above: Matrix,
    below: Matrix,
    heads: Vec<f32>,
}

impl Mlp {
    /// A perceptron of the given `widths` (inputs, hidden layers, outputs) whose parameters begin
    /// at `offset`.
    ///
    /// # Panics
    /// With fewer than two widths.
    ///
    /// ```
    /// use cei_kernels::{Activation, Level, Mlp};
    ///
    /// // 3 inputs, 4 hidden, 2 outputs: (3 + 1) 4 + (4 + 1) 2 parameters.
    /// let perceptron = Mlp::new(Level::best(), &[3, 4, 2], Activation::Relu, 0);
    /// assert_eq!(perceptron.parameters(), 26);
    /// ```
    pub fn new(level: Level, widths: &[usize], activation: Activation, offset: usize) -> Self {
        Self::with_heads(level, widths, 1, activation, offset)
    }

    /// A perceptron whose last layer is `heads` linear layers of equal width, one after the other
    /// in the parameters and side by side in the output, which has `heads` times the last width.
    ///
    /// # Panics
    /// With fewer than two widths.
    pub fn with_heads(
        level: Level,
        widths: &[usize],
        heads: usize,
        activation: Activation,
        offset: usize,
    ) -> Self {
        assert!(widths.len() >= 2, "a perceptron has inputs and outputs");
        let mut begin = offset;
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, width)| {
                let heads = if index + 2 == widths.len() { heads } else { 1 };
                let (inputs, outputs) = (width[0], width[1] * heads);
                let size = (inputs + 1) * width[1];
                let heads = (0..heads).map(|head| begin + head * size).collect::<Vec<_>>();
                begin += size * heads.len();
                Layer {
                    inputs,
                    outputs,
                    heads,
                    forward: Panels::new(inputs, outputs, level.lanes()),
                    backward: Panels::new(outputs, inputs, level.lanes()),
                }
            })
            .collect();
        Self { level, activation, layers }
    }

    /// How many parameters it has.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Takes its parameters from the flat vector `values`.
    ///
    /// # Panics
    /// If `values` ends before its last parameter.
    pub fn set_parameters(&mut self, values: &[f32]) {
        self.layers.par_iter_mut().for_each(|layer| {
            let values = &values[layer.heads[0]..][..layer.parameters()];
            layer.set(values);
        });
    }

    /// Moves its parameters, the stretch `values` of the flat vector, by the `step` and takes them: each
    /// layer on a thread, and its numbers while they are near.
    ///
    /// # Panics
    /// If `values` or the step has another length.
    pub fn update(&mut self, values: &mut [f32], step: AdamStep<'_>) {
        assert_eq!(values.len(), self.parameters(), "the parameters of the perceptron");
        update(&mut self.layers, self.level, values, step);
    }

    /// Maps `input` (rows x inputs) to `output` (rows x outputs); `hidden` is only working memory.
    ///
    /// # Panics
    /// If `input` has not [`Self::inputs`] columns.
    pub fn infer(&self, input: &Matrix, hidden: &mut Hidden, output: &mut Matrix) {
        self.run(input, hidden, output, false);
    }

    /// Maps `input` (rows x inputs) to `output` (rows x outputs) and keeps in `hidden` what
    /// [`Self::backward`] needs.
    ///
    /// # Panics
    /// If `input` has not [`Self::inputs`] columns.
    pub fn forward(&self, input: &Matrix, hidden: &mut Hidden, output: &mut Matrix) {
        self.run(input, hidden, output, self.activation.keeps_slope());
    }

    fn run(&self, input: &Matrix, hidden: &mut Hidden, output: &mut Matrix, keep_slopes: bool) {
        let last = self.layers.len() - 1;
        hidden.values.resize_with(last, Matrix::default);
        hidden.slopes.resize_with(if keep_slopes { last } else { 0 }, Matrix::default);
        for (index, layer) in self.layers.iter().enumerate() {
            let (below, above) = hidden.values.split_at_mut(index);
            let (output, activation) = match above.first_mut() {
                Some(above) => (above, Some(self.activation)),
                None => (&mut *output, None),
            };
            self.level.run(Product {
                input: below.last().unwrap_or(input),
                panels: &layer.forward,
                epilogue: Epilogue::Activate(activation, hidden.slopes.get_mut(index)),
                output,
            });
        }
    }

    /// Propagates `deltas.output` back: writes the gradient of its parameters into their places in
    /// the flat vector `gradient` (adds it there with `add`), and that of the input into
    /// `input_gradient` where asked for.
    ///
    /// `input` and `hidden` are those of the forward pass.
    ///
    /// # Panics
    /// If a shape differs from the forward pass.
    pub fn backward(
        &self,
        input: &Matrix,
        hidden: &Hidden,
        deltas: &mut Deltas,
        gradient: &mut [f32],
        add: bool,
        mut input_gradient: Option<&mut Matrix>,
    ) {
        let Deltas { output, above, below, heads } = deltas;
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let delta = if index == last { &*output } else { &*above };
            let input = if index == 0 { input } else { &hidden.values[index - 1] };
            layer.weight_gradient(self.level, input, delta, gradient, add, heads);
            let (slope, target) = if index > 0 {
                (self.slope(hidden, index - 1), &mut *below)
            } else if let Some(target) = input_gradient.take() {
                (Slope::One, target)
            } else {
                break;
            };
            self.level.run(Product {
                input: delta,
                panels: &layer.backward,
                epilogue: Epilogue::Multiply(slope),
                output: target,
            });
            std::mem::swap(above, below);
        }
    }

    fn slope<'a>(&self, hidden: &'a Hidden, index: usize) -> Slope<'a> {
        match self.activation {
            Activation::Elu => Slope::Elu(&hidden.values[index]),
            Activation::Relu => Slope::Relu(&hidden.values[index]),
            Activation::Tanh => Slope::Tanh(&hidden.values[index]),
            Activation::Gelu => Slope::Kept(&hidden.slopes[index]),
        }
    }
}

/// Moves the parameters `values` of the `layers` and takes them.
fn update(layers: &mut [Layer], level: Level, values: &mut [f32], step: AdamStep<'_>) {
    if let [layer] = layers {
        return layer.update(level, values, step);
    }
    let (below, above) = layers.split_at_mut(layers.len() / 2);
    let length = below.iter().map(Layer::parameters).sum();
    let (values_below, values_above) = values.split_at_mut(length);
    let (step_below, step_above) = step.split_at(length);
    rayon::join(
        || update(below, level, values_below, step_below),
        || update(above, level, values_above, step_above),
    );
}

impl Layer {
    fn parameters(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    /// Takes its parameters.
    fn set(&mut self, values: &[f32]) {
        let [begin, _, ..] = self.heads[..] else { return self.pack(values) };
        let mut joined = vec![0.0; values.len()];
        self.split(&mut joined, |place, part| {
            part.copy_from_slice(&values[place - begin..][..part.len()]);
        });
        self.pack(&joined);
    }

    /// Moves its parameters and takes them.
    fn update(&mut self, level: Level, values: &mut [f32], mut step: AdamStep<'_>) {
        if step.muon.is_some() {
            let outputs = self.outputs / self.heads.len();
            for head in values.chunks_mut((self.inputs + 1) * outputs) {
                let (weight, bias) = head.split_at_mut(self.inputs * outputs);
                let shape = [self.inputs, outputs];
                step.split_off(weight.len()).apply_to_weight(level, shape, weight);
                step.split_off(bias.len()).apply(level, bias);
            }
            return self.set(values);
        }
        if self.heads.len() > 1 {
            step.apply(level, values);
            return self.set(values);
        }
        let (weight, bias) = values.split_at_mut(self.inputs * self.outputs);
        let rows = self.backward.panel_columns();
        for (index, block) in weight.chunks_mut(rows * self.outputs).enumerate() {
            step.split_off(block.len()).apply(level, block);
            self.pack_rows(index * rows, block);
        }
        step.apply(level, bias);
        self.forward.set_bias(bias);
    }

    /// Packs its weight and bias, those of its heads side by side.
    fn pack(&mut self, parameters: &[f32]) {
        let (weight, bias) = parameters.split_at(self.inputs * self.outputs);
        let rows = self.backward.panel_columns();
        for (index, block) in weight.chunks(rows * self.outputs).enumerate() {
            self.pack_rows(index * rows, block);
        }
        self.forward.set_bias(bias);
    }

    /// Packs the rows of its weight from `first` on that are a panel of the transpose.
    fn pack_rows(&mut self, first: usize, rows: &[f32]) {
        self.forward.set_rows(first, rows);
        self.backward.set_columns(first, rows);
    }

    fn weight_gradient(
        &self,
        level: Level,
        input: &Matrix,
        delta: &Matrix,
        gradient: &mut [f32],
        add: bool,
        joined: &mut Vec<f32>,
    ) {
        let size = self.parameters();
        let single = self.heads.len() == 1;
        joined.resize(if single { 0 } else { size }, 0.0);
        let target = if single { &mut gradient[self.heads[0]..][..size] } else { &mut joined[..] };
        let (weight, bias) = target.split_at_mut(self.inputs * self.outputs);
        let added = add && single;
        level.run(WeightGradient { input, delta, weight, bias, add: added, symmetric: false });
        if !single {
            self.split(joined, |begin, part| {
                for (target, value) in gradient[begin..].iter_mut().zip(part.iter()) {
                    *target = if add { *target + *value } else { *value };
                }
            });
        }
    }

    /// Visits the rows of every head in `joined`, the weight and bias of all heads side by side,
    /// with the place where each row belongs in the flat vector.
    fn split(&self, joined: &mut [f32], mut visit: impl FnMut(usize, &mut [f32])) {
        let width = self.outputs / self.heads.len();
        for (row, values) in joined.chunks_exact_mut(self.outputs).enumerate() {
            for (begin, part) in self.heads.iter().zip(values.chunks_exact_mut(width)) {
                visit(begin + row * width, part);
            }
        }
    }
}
