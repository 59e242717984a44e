//! Host matrices to tensors and back.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};

/// A tensor (`n` x `d`) with the values of a host matrix.
pub fn from_matrix(matrix: ArrayView2<'_, f32>, device: &Device) -> Tensor<2> {
    let shape = [matrix.nrows(), matrix.ncols()];
    let values = match matrix.as_slice() {
        Some(values) => values.to_vec(),
        None => matrix.iter().copied().collect(),
    };
    Tensor::from_data(TensorData::new(values, shape), device)
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
    match tensor.try_into_vec_as::<f32>() {
        Ok(values) => values,
        Err(error) => panic!("the device did not give its numbers back: {error}"),
    }
}
