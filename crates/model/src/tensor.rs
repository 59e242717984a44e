//! Host matrices to tensors and back: the one place where numbers cross between the host and a device, and where they are
//! counted.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};

static TO_DEVICE: AtomicU64 = AtomicU64::new(0);
static TO_HOST: AtomicU64 = AtomicU64::new(0);

/// How many tensors have crossed in this process. Those of the processor count too, though nothing moves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfers {
    /// From the host to a device.
    pub to_device: u64,
    /// From a device to the host.
    pub to_host: u64,
}

impl Transfers {
    /// Those until now.
    pub fn so_far() -> Self {
        let [to_device, to_host] =
            [&TO_DEVICE, &TO_HOST].map(|count| count.load(Ordering::Relaxed));
        Self { to_device, to_host }
    }

    /// Those after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            to_device: self.to_device - earlier.to_device,
            to_host: self.to_host - earlier.to_host,
        }
    }

    /// In both directions.
    pub fn total(self) -> u64 {
        self.to_device + self.to_host
    }
}

/// A tensor of this shape with `values` in row-major order.
pub fn from_values<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    TO_DEVICE.fetch_add(1, Ordering::Relaxed);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A tensor of indices.
pub fn from_indices(indices: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    TO_DEVICE.fetch_add(1, Ordering::Relaxed);
    let count = indices.len();
    Tensor::from_data(TensorData::new(indices, [count]), device)
}

/// A tensor (`n` x `d`) with the values of a host matrix.
pub fn from_matrix(matrix: ArrayView2<'_, f32>, device: &Device) -> Tensor<2> {
    let values = match matrix.as_slice() {
        Some(values) => values.to_vec(),
        None => matrix.iter().copied().collect(),
    };
    from_values(values, [matrix.nrows(), matrix.ncols()], device)
}

/// The host matrix (`n` x `d`) with the values of a tensor.
pub fn to_matrix(tensor: Tensor<2>) -> Array2<f32> {
    let [rows, columns] = tensor.dims();
    let values = to_values(tensor);
    Array2::from_shape_vec((rows, columns), values)
        .unwrap_or_else(|_| unreachable!("a tensor holds rows x columns numbers"))
}

/// The values of a tensor in row-major order.
pub fn to_values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    TO_HOST.fetch_add(1, Ordering::Relaxed);
    match tensor.try_into_vec_as::<f32>() {
        Ok(values) => values,
        Err(error) => panic!("the device did not give its numbers back: {error}"),
    }
}
