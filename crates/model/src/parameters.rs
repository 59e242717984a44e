//! The flat parameter vector of a network: one `Vec<f32>` on the host and the names and shapes of
//! the tensors it is cut into.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::tensor::to_values;

/// Name and place of one tensor in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Path in the network, for example `decoder.layers.0.weight`.
    pub name: String,
    /// Shape; weights are `[inputs, outputs]`.
    pub shape: Vec<usize>,
    /// Index of its first number in the flat vector.
    pub offset: usize,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no number, as the weight of a network without inputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All parameters of a network: values and layout.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    /// The tensors in the order in which they stand in `values`.
    pub layout: Vec<Parameter>,
    /// The numbers.
    pub values: Vec<f32>,
}

impl Parameters {
    /// Reads the parameters of a network.
    pub fn of(network: &impl Module) -> Self {
        let mut reader = Reader::default();
        network.visit(&mut reader);
        reader.parameters
    }

    /// The network with all its parameters set to `values`, placed on `device` (pass
    /// `device.autodiff()` to have gradients).
    ///
    /// # Panics
    /// If `values` is shorter than the parameters of the network.
    pub fn assign<M: Module>(network: M, values: &[f32], device: &Device) -> M {
        network.map(&mut Writer { values, offset: 0, device })
    }

    /// Writes the gradients that `network` received in a backward pass into the flat vector
    /// `gradient`; a parameter that took no part in the loss has gradient zero.
    ///
    /// # Panics
    /// If `gradient` is shorter than the parameters of the network.
    pub fn gather(network: &impl Module, gradients: Gradients, gradient: &mut [f32]) {
        network.visit(&mut Gatherer { gradients, gradient, offset: 0 });
    }
}

#[derive(Default)]
struct Reader {
    path: Vec<String>,
    parameters: Parameters,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        self.parameters.layout.push(Parameter {
            name: self.path.join("."),
            shape: value.dims().to_vec(),
            offset: self.parameters.values.len(),
        });
        self.parameters.values.extend(to_values(value));
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

struct Writer<'a> {
    values: &'a [f32],
    offset: usize,
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let end = self.offset + shape.iter().product::<usize>();
        let values = self.values[self.offset..end].to_vec();
        self.offset = end;
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
}

struct Gatherer<'a> {
    gradients: Gradients,
    gradient: &'a mut [f32],
    offset: usize,
}

impl ModuleVisitor for Gatherer<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let end = self.offset + value.dims().iter().product::<usize>();
        let target = &mut self.gradient[self.offset..end];
        self.offset = end;
        match value.grad_remove(&mut self.gradients) {
            Some(gradient) => target.copy_from_slice(&to_values(gradient)),
            None => target.fill(0.0),
        }
    }
}
