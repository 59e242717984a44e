//! Arrays of numpy by the buffer protocol: views without copies, and new arrays.
//!
//! Python's other threads can write into an array while work is done on its view, as with any function that releases
//! Python's lock; they get what they ask for, wrong numbers.

#![allow(unsafe_code, reason = "the memory is Python's")]

use ndarray::{Array2, ArrayView2, ArrayViewMut3};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

use crate::failure::Failure;

/// Numbers of Python.
pub(crate) type Buffer = PyBuffer<f64>;

/// The rows of a matrix.
pub(crate) fn matrix(buffer: &Buffer) -> PyResult<ArrayView2<'_, f64>> {
    let [rows, columns] = shape(buffer)?;
    if rows * columns == 0 {
        return ArrayView2::from_shape((rows, columns), &[]).map_err(unshaped);
    }
    // SAFETY: the buffer holds so many numbers, row by row, as long as it lives.
    Ok(unsafe { ArrayView2::from_shape_ptr((rows, columns), buffer.buf_ptr().cast()) })
}

/// A stack of matrices that is written into.
pub(crate) fn stack(buffer: &Buffer) -> PyResult<ArrayViewMut3<'_, f64>> {
    let [events, rows, columns] = shape(buffer)?;
    if buffer.readonly() {
        return Err(Failure::of_value("the array cannot be written into").into());
    }
    if events * rows * columns == 0 {
        return ArrayViewMut3::from_shape((events, rows, columns), &mut []).map_err(unshaped);
    }
    let shape = (events, rows, columns);
    // SAFETY: the buffer holds so many numbers, row by row, as long as it lives, and was made for this call.
    Ok(unsafe { ArrayViewMut3::from_shape_ptr(shape, buffer.buf_ptr().cast()) })
}

/// A new array of these numbers.
pub(crate) fn new_matrix<'py>(
    py: Python<'py>,
    values: &Array2<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let (rows, columns) = values.dim();
    let array = py.import("numpy")?.call_method1("empty", ((rows, columns),))?;
    if let (true, Some(values)) = (!values.is_empty(), values.as_standard_layout().as_slice()) {
        Buffer::get(&array)?.copy_from_slice(py, values)?;
    }
    Ok(array)
}

/// A new array of these numbers.
pub(crate) fn new_vector<'py>(py: Python<'py>, values: &[f64]) -> PyResult<Bound<'py, PyAny>> {
    let array = py.import("numpy")?.call_method1("empty", (values.len(),))?;
    if !values.is_empty() {
        Buffer::get(&array)?.copy_from_slice(py, values)?;
    }
    Ok(array)
}

fn unshaped(error: ndarray::ShapeError) -> PyErr {
    Failure::of_value(error.to_string()).into()
}

/// The shape of an array of `N` dimensions, row by row in memory.
fn shape<const N: usize>(buffer: &Buffer) -> PyResult<[usize; N]> {
    match <[usize; N]>::try_from(buffer.shape()) {
        Ok(shape) if buffer.is_c_contiguous() => Ok(shape),
        _ => Err(Failure::of_value(format!(
            "an array has the shape {:?}, but must have {N} dimensions, row by row in memory",
            buffer.shape()
        ))
        .into()),
    }
}
