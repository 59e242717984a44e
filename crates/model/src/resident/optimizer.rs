//! Adam and Muon on the flat tensor of parameters: the same equations as those of `cei_kernels`, in tensors.

use burn::tensor::Tensor;
use cei_kernels::{AdamFactors, MuonFactors};

use super::flat::Flat;
use super::training::{ResidentSetup, ResidentStep, ResidentVector};
use crate::Parameter;

/// Parameters, moments and average on the device.
#[derive(Debug)]
pub(super) struct Optimizer {
    flat: Flat,
    parameters: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    average: Option<Tensor<1>>,
    /// The shape of each weight that Muon moves.
    weights: Vec<Option<[usize; 2]>>,
    /// One where Muon moves a parameter, zero elsewhere; there once it is needed.
    is_weight: Option<Tensor<1>>,
}

impl Optimizer {
    pub(super) fn new(flat: Flat, layout: &[Parameter], setup: &ResidentSetup<'_>) -> Self {
        Self {
            parameters: flat.upload(setup.parameters),
            first: flat.upload(setup.first),
            second: flat.upload(setup.second),
            average: setup.average.map(|average| flat.upload(average)),
            weights: layout.iter().map(Parameter::weight_shape).collect(),
            is_weight: None,
            flat,
        }
    }

    /// The parameters, each as a view.
    pub(super) fn parameters(&self) -> Vec<Tensor<1>> {
        self.flat.parts(&self.parameters)
    }

    /// Those that are validated.
    pub(super) fn validated(&self) -> Vec<Tensor<1>> {
        self.flat.parts(self.average.as_ref().unwrap_or(&self.parameters))
    }

    pub(super) fn read(&self, vector: ResidentVector) -> Vec<f32> {
        let tensor = match vector {
            ResidentVector::Parameters => &self.parameters,
            ResidentVector::Validated => self.average.as_ref().unwrap_or(&self.parameters),
            ResidentVector::First => &self.first,
            ResidentVector::Second => &self.second,
        };
        self.flat.read(tensor.clone())
    }

    /// Moves the parameters against the gradient, a part for each.
    pub(super) fn step(&mut self, gradient: Vec<Tensor<1>>, step: &ResidentStep) {
        let mut gradient = self.flat.join(gradient);
        if let Some(bound) = step.gradient_clip {
            let norm = gradient.clone().square().sum().sqrt();
            gradient = gradient * (norm.recip() * bound).clamp_max(1.0);
        }
        match step.muon {
            Some(muon) => self.muon(gradient, &step.adam, muon),
            None => {
                let adam = self.adam(gradient, &step.adam);
                self.parameters = self.parameters.clone() * step.adam.keep - adam;
            }
        }
        if let Some(average) = &mut self.average {
            let change = self.parameters.clone() - average.clone();
            *average = average.clone() + change * step.average;
        }
    }

    /// Updates both moments and gives what the parameters are moved by.
    fn adam(&mut self, gradient: Tensor<1>, factors: &AdamFactors) -> Tensor<1> {
        let AdamFactors { first: b1, second: b2, epsilon, rate, root, .. } = *factors;
        self.first = self.first.clone() * b1 + gradient.clone() * (1.0 - b1);
        self.second = self.second.clone() * b2 + gradient.square() * (1.0 - b2);
        self.first.clone() * rate / (self.second.clone().sqrt() * root + epsilon)
    }

    /// Moves the weights of layers by Muon, and all other parameters by Adam.
    fn muon(&mut self, gradient: Tensor<1>, factors: &AdamFactors, muon: MuonFactors) {
        let weights = &self.weights;
        let is_weight = self
            .is_weight
            .get_or_insert_with(|| {
                self.flat.constants(|index| f32::from(u8::from(weights[index].is_some())))
            })
            .clone();
        let is_other = is_weight.clone().neg() + 1.0;
        let (first, second) = (self.first.clone(), self.second.clone());
        let adam = self.adam(gradient.clone(), factors);
        let momentum = first * muon.momentum + gradient.clone();
        let direction = gradient + momentum.clone() * muon.momentum;
        self.first = self.first.clone() * is_other.clone() + momentum * is_weight.clone();
        self.second = self.second.clone() * is_other.clone() + second * is_weight.clone();
        let directions = self.flat.parts(&direction).into_iter().zip(&self.weights);
        let moved = directions.map(|(direction, shape)| match shape {
            Some(shape) => {
                let rate = muon.rate * (shape[0].max(shape[1]) as f32).sqrt();
                (orthogonal(direction.reshape(*shape)) * rate).flatten(0, 1)
            }
            None => direction,
        });
        let moved = self.flat.join(moved.collect());
        self.parameters =
            self.parameters.clone() * factors.keep - moved * is_weight - adam * is_other;
    }
}

/// The matrix with its singular values brought near one; zeros stay zeros.
fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    // The Gram matrix is the smaller of the two where the matrix is tall.
    let mut tall = if rows < columns { matrix.transpose() } else { matrix };
    let norm = tall.clone().square().sum().sqrt().clamp_min(f32::MIN_POSITIVE);
    tall = tall / norm.unsqueeze();
    for [a, b, c] in MuonFactors::QUINTICS {
        let gram = tall.clone().transpose().matmul(tall.clone());
        let polynomial = gram.clone() * b + gram.clone().matmul(gram) * c;
        tall = tall.clone() * a + tall.matmul(polynomial);
    }
    if rows < columns { tall.transpose() } else { tall }
}
