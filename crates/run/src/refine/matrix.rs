//! A matrix as its shape and its numbers, row by row.

use ndarray::Array2;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

pub(super) fn serialize<S: Serializer>(matrix: &Array2<f64>, into: S) -> Result<S::Ok, S::Error> {
    let numbers: Vec<f64> = matrix.iter().copied().collect();
    (matrix.dim(), numbers).serialize(into)
}

pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Array2<f64>, D::Error> {
    let (shape, numbers) = <((usize, usize), Vec<f64>)>::deserialize(from)?;
    Array2::from_shape_vec(shape, numbers).map_err(D::Error::custom)
}
