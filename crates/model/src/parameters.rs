//! The flat parameter vector of a network: one `Vec<f32>` on the host and the names and shapes of
//! the tensors it is cut into.

use std::ops::Range;

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

/// What has parameters in tensors: every Burn module, and what holds several as trait objects. Without the
/// two methods it has none.
pub trait HasParameters: Send {
    /// Shows every parameter, always in the same order.
    fn visit_parameters(&self, _visitor: &mut Visitor<'_>) {}

    /// Takes a value for every parameter, in the order of [`Self::visit_parameters`].
    fn take_parameters(&mut self, _source: &mut ParameterSource<'_>) {}
}

impl<M: Module> HasParameters for M {
    fn visit_parameters(&self, visitor: &mut Visitor<'_>) {
        self.visit(visitor);
    }

    fn take_parameters(&mut self, source: &mut ParameterSource<'_>) {
        *self = self.clone().map(source);
    }
}

impl Parameters {
    /// Reads the parameters of a network.
    pub fn of(network: &impl HasParameters) -> Self {
        let mut parameters = Self::default();
        let task = Task::Read(&mut parameters);
        network.visit_parameters(&mut Visitor { path: Vec::new(), task });
        parameters
    }

    /// The network with all its parameters set to `values`, placed on `device` (pass
    /// `device.autodiff()` to have gradients).
    ///
    /// # Panics
    /// If `values` is shorter than the parameters of the network.
    pub fn assign<N: HasParameters>(mut network: N, values: &[f32], device: &Device) -> N {
        network.take_parameters(&mut ParameterSource { values, offset: 0, device });
        network
    }

    /// Writes the gradients that `network` received in a backward pass into the flat vector
    /// `gradient`; a parameter that took no part in the loss has gradient zero.
    ///
    /// # Panics
    /// If `gradient` is shorter than the parameters of the network.
    pub fn gather(network: &impl HasParameters, gradients: Gradients, gradient: &mut [f32]) {
        let task = Task::Gather { gradients, gradient, offset: 0 };
        network.visit_parameters(&mut Visitor { path: Vec::new(), task });
    }

    /// Where a part of the network stands in `values`: the tensor called `part`, or all whose names begin with
    /// `part` and a dot; nowhere (`0..0`) where there is none.
    ///
    /// # Panics
    /// If others stand between them.
    pub fn place(&self, part: &str) -> Range<usize> {
        let is_of_part = |parameter: &&Parameter| {
            let rest = parameter.name.strip_prefix(part);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut parameters = self.layout.iter().filter(is_of_part);
        let Some(first) = parameters.next() else { return 0..0 };
        let end = parameters.fold(first.offset + first.len(), |end, parameter| {
            assert_eq!(parameter.offset, end, "`{part}` stands together");
            end + parameter.len()
        });
        first.offset..end
    }
}

/// Sees the parameters of a network, each under the path of its parts.
pub struct Visitor<'a> {
    path: Vec<String>,
    task: Task<'a>,
}

enum Task<'a> {
    Read(&'a mut Parameters),
    Gather { gradients: Gradients, gradient: &'a mut [f32], offset: usize },
}

impl Visitor<'_> {
    /// Visits the part of the network with this name.
    pub fn visit_part(&mut self, name: &str, part: &(impl HasParameters + ?Sized)) {
        self.path.push(name.to_owned());
        part.visit_parameters(self);
        self.path.pop();
    }
}

impl ModuleVisitor for Visitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        match &mut self.task {
            Task::Read(parameters) => {
                parameters.layout.push(Parameter {
                    name: self.path.join("."),
                    shape: value.dims().to_vec(),
                    offset: parameters.values.len(),
                });
                parameters.values.extend(to_values(value));
            }
            Task::Gather { gradients, gradient, offset } => {
                let end = *offset + value.dims().iter().product::<usize>();
                let target = &mut gradient[*offset..end];
                *offset = end;
                match value.grad_remove(gradients) {
                    Some(gradient) => target.copy_from_slice(&to_values(gradient)),
                    None => target.fill(0.0),
                }
            }
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

/// Gives the parameters of a network their values, and places them on a device.
pub struct ParameterSource<'a> {
    values: &'a [f32],
    offset: usize,
    device: &'a Device,
}

impl ModuleMapper for ParameterSource<'_> {
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
