//! What couplings share: `x1`, the first floor(d/2) features, is kept, and a network of `[x1, y]` says how
//! `x2` is mapped, feature by feature.

use std::fmt::Debug;

use burn::tensor::Tensor;
use cei_kernels::{AdamStep, Columns, Matrix};

use crate::layer::{FusedLayer, Given, Rows};
use crate::subnet::{FusedSubnet, SubnetTrace};

/// The first `kept` features (none for `d = 1`) and those that are transformed.
pub(super) fn split(x: Tensor<2>, kept: usize) -> (Option<Tensor<2>>, Tensor<2>) {
    let d = x.dims()[1];
    let first = (kept > 0).then(|| x.clone().narrow(1, 0, kept));
    (first, x.narrow(1, kept, d - kept))
}

/// `[x1, y]`.
pub(super) fn subnet_input(x1: &Option<Tensor<2>>, y: Tensor<2>) -> Tensor<2> {
    match x1 {
        Some(x1) => Tensor::cat(vec![x1.clone(), y], 1),
        None => y,
    }
}

/// Undoes [`split`].
pub(super) fn merge(x1: Option<Tensor<2>>, x2: Tensor<2>) -> Tensor<2> {
    match x1 {
        Some(x1) => Tensor::cat(vec![x1, x2], 1),
        None => x2,
    }
}

/// The kernel that maps `x2` by the output of the network.
pub(super) trait CouplingKernel: Debug + Send + Sync {
    /// What it keeps for the way back.
    type Trace: Debug + Default + Send + 'static;

    /// Maps `x2` within `x` and adds to `log_det`.
    fn forward(
        &self,
        output: &Matrix,
        x: &mut Columns,
        log_det: &mut Columns,
        trace: &mut Self::Trace,
    );

    /// Undoes the map.
    fn inverse(&self, output: &Matrix, x: &mut Columns, trace: &mut Self::Trace);

    /// Turns the gradient with respect to the value into that of `x2`, and gives that of the output.
    fn backward(
        &self,
        trace: &mut Self::Trace,
        d_x: &mut Columns,
        d_log_det: f32,
        d_output: &mut Matrix,
    );
}

/// A coupling in kernels.
#[derive(Debug)]
pub(super) struct FusedCoupling<K> {
    pub(super) subnet: FusedSubnet,
    pub(super) kernel: K,
    pub(super) kept: usize,
}

/// What a coupling keeps for the way back.
#[derive(Debug, Default)]
pub(super) struct Trace<T> {
    /// `[x1, y]`.
    input: Matrix,
    subnet: SubnetTrace,
    kernel: T,
}

impl<K: CouplingKernel> FusedCoupling<K> {
    /// Sets the input `[x1, y]` of the network, and its output.
    fn run_subnet(
        &self,
        Given { y, drops, .. }: Given<'_>,
        x: &Columns,
        trace: &mut Trace<K::Trace>,
        output: &mut Matrix,
    ) {
        let input = &mut trace.input;
        input.reshape(y.nrows(), self.kept + y.ncols());
        input.set_leading(0, x, self.kept);
        input.set_columns(self.kept, y);
        self.subnet.forward(input, drops, &mut trace.subnet, output);
    }
}

impl<K: CouplingKernel> FusedLayer for FusedCoupling<K> {
    type Trace = Trace<K::Trace>;

    fn set_parameters(&mut self, parameters: &[f32]) {
        self.subnet.set_parameters(parameters);
    }

    fn update(&mut self, parameters: &mut [f32], step: AdamStep<'_>) {
        self.subnet.update(parameters, step);
    }

    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Self::Trace) {
        let Rows { x, log_det, output, .. } = rows;
        self.run_subnet(given, x, trace, output);
        self.kernel.forward(output, x, log_det, &mut trace.kernel);
    }

    fn inverse(&self, given: Given<'_>, rows: &mut Rows, trace: &mut Self::Trace) {
        let Rows { x, output, .. } = rows;
        self.run_subnet(given, x, trace, output);
        self.kernel.inverse(output, x, &mut trace.kernel);
    }

    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        trace: &mut Self::Trace,
        gradient: (&mut [f32], bool),
    ) {
        let Rows { x: d_x, deltas, d_input, .. } = rows;
        let Trace { input, subnet, kernel } = trace;
        self.kernel.backward(kernel, d_x, d_log_det, &mut deltas.output);
        self.subnet.backward(input, given.drops, subnet, deltas, gradient, d_input);
        d_x.add_leading(d_input, self.kept);
    }
}
