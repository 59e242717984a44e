//! Tables that another library has in memory, handed over by the Arrow C stream interface: Polars, pandas, pyarrow and
//! DuckDB speak it.

use std::ffi::c_void;

use polars::prelude::PolarsError;
use polars_arrow::array::{
    Array, BooleanArray, PrimitiveArray, StructArray, Utf8Array, Utf8ViewArray,
};
use polars_arrow::datatypes::ArrowDataType;
use polars_arrow::ffi::{ArrowArrayStream, ArrowArrayStreamReader};
use polars_arrow::types::NativeType;
use thiserror::Error;

use crate::write::ColumnData;

/// A stream that is no table.
#[derive(Debug, Error)]
pub enum ArrowError {
    /// Its producer failed, or does not keep to the interface.
    #[error("the table cannot be taken over by the Arrow C interface: {0}")]
    Stream(String),
    /// It has no columns with names.
    #[error(
        "the Arrow stream is no table: its items are {0}, not rows with named columns\nhint: give a table or a data frame, not a column"
    )]
    NoTable(String),
}

/// The columns of a table in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArrowTable {
    /// Names and values.
    pub columns: Vec<(String, ColumnData)>,
    /// Columns that are neither numbers nor text, with their type; they are left out.
    pub left_out: Vec<(String, String)>,
}

impl ArrowTable {
    /// Takes all rows of a stream, which is used up.
    ///
    /// # Errors
    /// See [`ArrowError`].
    ///
    /// # Safety
    /// `stream` points to a valid `ArrowArrayStream` of the Arrow C stream interface that nobody else uses meanwhile.
    #[allow(unsafe_code, reason = "the interface is a C structure of function pointers")]
    pub unsafe fn of_stream(stream: *mut c_void) -> Result<Self, ArrowError> {
        let failed = |error: PolarsError| ArrowError::Stream(error.to_string());
        // SAFETY: by the contract of this function; the empty stream left behind is a released one.
        let stream = unsafe {
            std::mem::replace(&mut *stream.cast::<ArrowArrayStream>(), ArrowArrayStream::empty())
        };
        // SAFETY: the stream is valid by the contract of this function.
        let mut reader =
            unsafe { ArrowArrayStreamReader::try_new(Box::new(stream)) }.map_err(failed)?;
        let mut parts: Vec<Vec<Box<dyn Array>>> = Vec::new();
        let fields = match reader.field().dtype() {
            ArrowDataType::Struct(fields) => fields.clone(),
            other => return Err(ArrowError::NoTable(format!("{other:?}"))),
        };
        // SAFETY: as above.
        while let Some(batch) = unsafe { reader.next() } {
            let batch = batch.map_err(failed)?;
            let rows = batch.as_any().downcast_ref::<StructArray>();
            let rows = rows.ok_or_else(|| ArrowError::NoTable(format!("{:?}", batch.dtype())))?;
            parts.push(rows.values().to_vec());
        }
        let mut table = Self::default();
        for (place, field) in fields.iter().enumerate() {
            let name = field.name.to_string();
            let chunks: Vec<&dyn Array> = parts.iter().map(|part| part[place].as_ref()).collect();
            match column(&chunks, &field.dtype) {
                Some(data) => table.columns.push((name, data)),
                None => table.left_out.push((name, format!("{:?}", field.dtype))),
            }
        }
        Ok(table)
    }
}

/// The values of all parts of a column; none if they are neither numbers nor text.
fn column(parts: &[&dyn Array], of: &ArrowDataType) -> Option<ColumnData> {
    use ArrowDataType as Type;
    Some(match of {
        Type::Float64 => ColumnData::F64(numbers(parts, |value: f64| value)?),
        Type::Float32 => ColumnData::F64(numbers(parts, |value: f32| f64::from(value))?),
        Type::Int8 => ColumnData::I64(integers::<i8>(parts)?),
        Type::Int16 => ColumnData::I64(integers::<i16>(parts)?),
        Type::Int32 => ColumnData::I64(integers::<i32>(parts)?),
        Type::Int64 => ColumnData::I64(integers::<i64>(parts)?),
        Type::UInt8 => ColumnData::I64(integers::<u8>(parts)?),
        Type::UInt16 => ColumnData::I64(integers::<u16>(parts)?),
        Type::UInt32 => ColumnData::I64(integers::<u32>(parts)?),
        Type::UInt64 => unsigned(parts)?,
        Type::Boolean => {
            let of_part = |part: &&dyn Array| {
                let values = part.as_any().downcast_ref::<BooleanArray>()?;
                Some(values.iter().map(|value| value.map(i64::from)).collect::<Vec<_>>())
            };
            ColumnData::I64(joined(parts, of_part)?)
        }
        Type::Utf8 => ColumnData::Text(joined(parts, |part| {
            let values = part.as_any().downcast_ref::<Utf8Array<i32>>()?;
            Some(values.iter().map(|value| value.map(str::to_owned)).collect())
        })?),
        Type::LargeUtf8 => ColumnData::Text(joined(parts, |part| {
            let values = part.as_any().downcast_ref::<Utf8Array<i64>>()?;
            Some(values.iter().map(|value| value.map(str::to_owned)).collect())
        })?),
        Type::Utf8View => ColumnData::Text(joined(parts, |part| {
            let values = part.as_any().downcast_ref::<Utf8ViewArray>()?;
            Some(values.iter().map(|value| value.map(str::to_owned)).collect())
        })?),
        _ => return None,
    })
}

fn joined<T>(
    parts: &[&dyn Array],
    of_part: impl Fn(&&dyn Array) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    Some(parts.iter().map(of_part).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Floating-point numbers; NaN where there is nothing.
fn numbers<T: NativeType>(parts: &[&dyn Array], number: impl Fn(T) -> f64) -> Option<Vec<f64>> {
    joined(parts, |part| {
        let values = part.as_any().downcast_ref::<PrimitiveArray<T>>()?;
        Some(values.iter().map(|value| value.map_or(f64::NAN, |value| number(*value))).collect())
    })
}

fn integers<T: NativeType + Into<i64>>(parts: &[&dyn Array]) -> Option<Vec<Option<i64>>> {
    joined(parts, |part| {
        let values = part.as_any().downcast_ref::<PrimitiveArray<T>>()?;
        Some(values.iter().map(|value| value.map(|value| (*value).into())).collect())
    })
}

/// Integers beyond those of i64, which are exact only where none is missing.
fn unsigned(parts: &[&dyn Array]) -> Option<ColumnData> {
    let values: Vec<Option<u64>> = joined(parts, |part| {
        let values = part.as_any().downcast_ref::<PrimitiveArray<u64>>()?;
        Some(values.iter().map(|value| value.copied()).collect())
    })?;
    Some(match values.iter().copied().collect::<Option<Vec<u64>>>() {
        Some(values) => ColumnData::U64(values),
        None => {
            let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            ColumnData::I64(values.into_iter().map(|value| value.map(signed)).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use polars_arrow::datatypes::Field;
    use polars_arrow::ffi::export_iterator;

    use super::*;

    /// Exports chunks of the one column `c` as Polars does, and takes them back.
    #[allow(unsafe_code, reason = "the interface is a C structure of function pointers")]
    fn taken(chunks: Vec<Box<dyn Array>>) -> ArrowTable {
        let field = Field::new("c".into(), chunks[0].dtype().clone(), true);
        let fields = ArrowDataType::Struct(vec![field]);
        let whole = Field::new("".into(), fields.clone(), false);
        let batches: Vec<_> = chunks
            .into_iter()
            .map(|chunk| {
                let rows = chunk.len();
                Ok(StructArray::new(fields.clone(), rows, vec![chunk], None).boxed())
            })
            .collect();
        let mut stream = export_iterator(Box::new(batches.into_iter()), whole);
        // SAFETY: the stream was exported above.
        unsafe { ArrowTable::of_stream((&raw mut stream).cast()) }.unwrap()
    }

    fn column_of(chunks: Vec<Box<dyn Array>>) -> ColumnData {
        let table = taken(chunks);
        assert!(table.left_out.is_empty() && table.columns[0].0 == "c", "{table:?}");
        table.columns[0].1.clone()
    }

    #[test]
    fn chunks_are_joined_and_nothing_stays_nothing() {
        let chunk = |values: [Option<f64>; 2]| PrimitiveArray::from(values).boxed();
        let ColumnData::F64(values) =
            column_of(vec![chunk([Some(1.5), None]), chunk([Some(-2.0), Some(0.1)])])
        else {
            panic!("no numbers")
        };
        assert!(values[1].is_nan());
        assert_eq!([values[0], values[2], values[3]], [1.5, -2.0, 0.1]);
        let small = PrimitiveArray::from([Some(7i16), None, Some(-1)]).boxed();
        assert_eq!(column_of(vec![small]), ColumnData::I64(vec![Some(7), None, Some(-1)]));
        let large = PrimitiveArray::from([Some(u64::MAX)]).boxed();
        assert_eq!(column_of(vec![large]), ColumnData::U64(vec![u64::MAX]));
        let text = Utf8Array::<i64>::from([Some("a"), None]).boxed();
        assert_eq!(column_of(vec![text]), ColumnData::Text(vec![Some("a".into()), None]));
    }

    #[test]
    fn other_types_are_named_and_left_out() {
        let list = StructArray::new_empty(ArrowDataType::Struct(vec![Field::new(
            "inner".into(),
            ArrowDataType::Float64,
            true,
        )]));
        let table = taken(vec![list.boxed()]);
        assert!(table.columns.is_empty());
        assert_eq!(table.left_out[0].0, "c");
    }
}
