//! Tables that another library has in memory.

use std::path::PathBuf;

use cei_data::ColumnData;
use cei_data::arrow::ArrowTable;
use cei_run::dataset::{ColumnOptions, GivenCharges, LaterTable, ReadingOptions, write_given};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::failure::{Failure, failed};
use crate::watch::detached;

/// Columns with names, taken over from another library.
#[pyclass(frozen, module = "cei._cei")]
pub(crate) struct Table {
    pub(crate) columns: Vec<(String, ColumnData)>,
    left_out: Vec<(String, String)>,
}

/// The cells of one column.
#[derive(FromPyObject)]
enum Cells {
    Numbers(PyBuffer<f64>),
    Integers(PyBuffer<i64>),
    Text(Vec<Option<String>>),
}

#[pymethods]
impl Table {
    /// A table of equally long columns.
    #[new]
    fn new(py: Python<'_>, columns: Vec<(String, Cells)>) -> PyResult<Self> {
        let data = |cells: Cells| -> PyResult<ColumnData> {
            Ok(match cells {
                Cells::Numbers(values) => ColumnData::F64(values.to_vec(py)?),
                Cells::Integers(values) => {
                    ColumnData::I64(values.to_vec(py)?.into_iter().map(Some).collect())
                }
                Cells::Text(values) => ColumnData::Text(values),
            })
        };
        let columns = columns.into_iter().map(|(name, cells)| Ok((name, data(cells)?)));
        let columns = columns.collect::<PyResult<Vec<_>>>()?;
        if let [(first, cells), others @ ..] = &columns[..]
            && let Some((other, found)) =
                others.iter().find(|(_, other)| other.len() != cells.len())
        {
            let (expected, found) = (cells.len(), found.len());
            return Err(Failure::of_value(format!(
                "column `{first}` has {expected} rows, but column `{other}` has {found}"
            ))
            .into());
        }
        Ok(Self { columns, left_out: Vec::new() })
    }

    /// The table behind `__arrow_c_stream__()`.
    #[staticmethod]
    #[allow(unsafe_code, reason = "the interface is a C structure of function pointers")]
    fn of_stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<Self> {
        let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
        // SAFETY: a capsule of this name holds such a structure, and this thread holds Python's lock.
        let table = unsafe { ArrowTable::of_stream(pointer.as_ptr()) };
        let ArrowTable { columns, left_out } = table.map_err(Failure::from)?;
        Ok(Self { columns, left_out })
    }

    /// Names of the columns.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Columns that are neither numbers nor text, with their types.
    #[getter]
    fn left_out(&self) -> Vec<(String, String)> {
        self.left_out.clone()
    }

    /// Writes the table, by the extension of `path`.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detached(py, || write_given(&path, self.columns.clone(), None).map_err(failed))
    }
}

/// Files for a trained run, and how they are read.
#[derive(FromPyObject)]
pub(crate) struct Files {
    #[pyo3(item)]
    files: Vec<String>,
    /// The momenta in the order of the run; empty for its names.
    #[pyo3(item)]
    columns: Vec<String>,
    /// `columns.KEY=VALUE`.
    #[pyo3(item)]
    overrides: Vec<String>,
    #[pyo3(item)]
    drop_invalid: bool,
    /// Charges of the ions in all events; none where they are in columns.
    #[pyo3(item)]
    charges: Option<Charges>,
}

/// Charges that the model is conditioned on, where they are not in columns.
#[derive(FromPyObject, Clone)]
pub(crate) enum Charges {
    /// Those of all events.
    All(Vec<f64>),
    /// `unknown`.
    Word(String),
}

impl Charges {
    pub(crate) fn given(charges: Option<Self>) -> Result<GivenCharges, Failure> {
        Ok(match charges {
            None => GivenCharges::Columns,
            Some(Self::All(charges)) => GivenCharges::All(charges),
            Some(Self::Word(word)) if word == "unknown" => GivenCharges::Unknown,
            Some(Self::Word(word)) => {
                let text = format!("`charges` is `{word}`, but must be numbers or `unknown`");
                return Err(Failure::of_value(text));
            }
        })
    }
}

impl Files {
    pub(crate) fn table(&self) -> Result<LaterTable, Failure> {
        Ok(LaterTable {
            files: self.files.clone(),
            reading: ReadingOptions {
                drop_invalid: self.drop_invalid,
                ..ReadingOptions::default()
            },
            columns: ColumnOptions {
                momenta: self.columns.iter().cloned().map(Into::into).collect(),
                overrides: self.overrides.clone(),
                charges: Charges::given(self.charges.clone())?,
            },
        })
    }
}
