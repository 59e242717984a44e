//! The flat parameter vector of a network: one `Vec<f32>` on the host and the names and shapes of
//! the tensors it is cut into.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};

use crate::tensor::{from_values, to_values};

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

    /// Inputs and outputs, where it is the weight of a layer: what the optimiser Muon moves. Of the matrices only these turn
    /// vectors; others, as the triangular factors of a linear flow, are what their model makes of them.
    pub fn weight_shape(&self) -> Option<[usize; 2]> {
        match self.shape[..] {
            [inputs, outputs] if inputs * outputs > 0 && self.name.ends_with("weight") => {
                Some([inputs, outputs])
            }
            _ => None,
        }
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

    /// The weights of layers ([`Parameter::weight_shape`]): the place of each in `values`, its inputs and outputs.
    pub fn weights(&self) -> Vec<(usize, [usize; 2])> {
        let mut place = 0;
        let of_parameter = |parameter: &Parameter| {
            let begin = place;
            place += parameter.len();
            Some((begin, parameter.weight_shape()?))
        };
        self.layout.iter().filter_map(of_parameter).collect()
    }

    /// The network with all its parameters set to `values`, placed on `device` (pass
    /// `device.autodiff()` to have gradients).
    ///
    /// # Panics
    /// If `values` is shorter than the parameters of the network.
    pub fn assign<N: HasParameters>(mut network: N, values: &[f32], device: &Device) -> N {
        let source = Source::Host { values, device };
        network.take_parameters(&mut ParameterSource { source, offset: 0 });
        network
    }

    /// The network with all its parameters set to the tensors `parts` of one dimension, one for each in their order, with or
    /// without gradients.
    ///
    /// # Panics
    /// If there are fewer than the parameters of the network.
    pub(crate) fn assign_parts<N: HasParameters>(
        mut network: N,
        parts: Vec<Tensor<1>>,
        gradients: bool,
    ) -> N {
        let source = Source::Device { parts: parts.into_iter(), gradients };
        network.take_parameters(&mut ParameterSource { source, offset: 0 });
        network
    }

    /// The gradients that `network` received in a backward pass, one tensor of one dimension for each parameter; zeros for one
    /// that took no part in the loss.
    pub(crate) fn gradient_parts(
        network: &impl HasParameters,
        gradients: Gradients,
    ) -> Vec<Tensor<1>> {
        let mut parts = Vec::new();
        let task = Task::Part { gradients, parts: &mut parts };
        network.visit_parameters(&mut Visitor { path: Vec::new(), task });
        parts
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
    Part { gradients: Gradients, parts: &'a mut Vec<Tensor<1>> },
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
            Task::Part { gradients, parts } => {
                let numbers = value.dims().iter().product::<usize>();
                let gradient = match value.grad_remove(gradients) {
                    Some(gradient) => gradient.reshape([numbers]),
                    None => Tensor::zeros([numbers], &value.device().inner()),
                };
                parts.push(gradient);
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
    source: Source<'a>,
    offset: usize,
}

enum Source<'a> {
    Host { values: &'a [f32], device: &'a Device },
    Device { parts: std::vec::IntoIter<Tensor<1>>, gradients: bool },
}

impl ModuleMapper for ParameterSource<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let end = self.offset + shape.iter().product::<usize>();
        let (tensor, gradients) = match &mut self.source {
            Source::Host { values, device } => {
                let values = values[self.offset..end].to_vec();
                (from_values(values, shape, device), device.is_autodiff())
            }
            Source::Device { parts, gradients } => {
                let Some(part) = parts.next() else { panic!("a tensor for each parameter") };
                let tensor = part.reshape(shape);
                (if *gradients { tensor.autodiff() } else { tensor }, *gradients)
            }
        };
        self.offset = end;
        let tensor = if gradients { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
}
