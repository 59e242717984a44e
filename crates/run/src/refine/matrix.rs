//! A matrix as its shape and the bytes of its numbers, row by row, the least significant byte of each first.

use ndarray::Array2;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
use serde_bytes::{ByteBuf, Bytes};

pub(super) fn serialize<S: Serializer>(matrix: &Array2<f64>, into: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = matrix.iter().flat_map(|number| number.to_le_bytes()).collect();
    (matrix.dim(), Bytes::new(&bytes)).serialize(into)
}

pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Array2<f64>, D::Error> {
    let (shape, bytes) = <((usize, usize), ByteBuf)>::deserialize(from)?;
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(D::Error::custom("a number that ends early"));
    }
    let numbers = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
    Array2::from_shape_vec(shape, numbers).map_err(D::Error::custom)
}
