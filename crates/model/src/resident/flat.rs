//! The parameters of a network as one tensor on a device. Each begins at a multiple of [`ALIGNMENT`] numbers, so that a
//! device can take it out as a view, without a copy.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::Parameter;
use crate::tensor::{from_values, to_values};

/// Numbers: 512 bytes, the largest alignment of a buffer that devices ask for.
const ALIGNMENT: usize = 128;

/// Where the parameters stand in the tensor.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    /// Of each parameter the place in the vector of the host, and its beginning in the tensor.
    places: Vec<(Range<usize>, usize)>,
    length: usize,
    device: Device,
}

impl Flat {
    pub(super) fn new(layout: &[Parameter], device: &Device) -> Self {
        let mut length = 0;
        let place = |parameter: &Parameter| {
            let begin = length;
            length += parameter.len().next_multiple_of(ALIGNMENT);
            (parameter.offset..parameter.offset + parameter.len(), begin)
        };
        let places = layout.iter().map(place).collect();
        Self { places, length, device: device.clone() }
    }

    /// A tensor of the numbers of a flat vector.
    pub(super) fn upload(&self, values: &[f32]) -> Tensor<1> {
        let mut spread = vec![0.0; self.length];
        for (place, begin) in &self.places {
            spread[*begin..][..place.len()].copy_from_slice(&values[place.clone()]);
        }
        from_values(spread, [self.length], &self.device)
    }

    /// The flat vector of a tensor.
    pub(super) fn read(&self, tensor: Tensor<1>) -> Vec<f32> {
        let spread = to_values(tensor);
        let numbers = self.places.last().map_or(0, |(place, _)| place.end);
        let mut values = vec![0.0; numbers];
        for (place, begin) in &self.places {
            values[place.clone()].copy_from_slice(&spread[*begin..][..place.len()]);
        }
        values
    }

    /// The numbers of each parameter.
    pub(super) fn parts(&self, tensor: &Tensor<1>) -> Vec<Tensor<1>> {
        self.places
            .iter()
            .map(|(place, begin)| tensor.clone().narrow(0, *begin, place.len()))
            .collect()
    }

    /// One tensor of a part for each parameter.
    pub(super) fn join(&self, parts: Vec<Tensor<1>>) -> Tensor<1> {
        let zeros = Tensor::zeros([self.length], &self.device);
        parts.into_iter().zip(&self.places).fold(zeros, |joined, (part, (place, begin))| {
            joined.slice_assign(*begin..*begin + place.len(), part)
        })
    }

    /// A tensor with the same number at every place of a parameter.
    pub(super) fn constants(&self, value: impl Fn(usize) -> f32) -> Tensor<1> {
        let mut spread = vec![0.0; self.length];
        for (index, (place, begin)) in self.places.iter().enumerate() {
            spread[*begin..][..place.len()].fill(value(index));
        }
        from_values(spread, [self.length], &self.device)
    }
}
