//! The columns of one file: their names, which of them can be read, and which one is meant.

use std::path::Path;

use crate::error::LoadError;
use crate::nearest::nearest;
use crate::source::ColumnRef;

/// What a file says about its columns.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    /// Names without surrounding blanks; none in a text file without a header.
    pub(crate) names: Option<Vec<String>>,
    /// Number of columns.
    pub(crate) count: usize,
    /// For each column, whether pandas keeps its index there; empty for text.
    pub(crate) index: Vec<bool>,
    /// For each column, the type that cannot be read as numbers; empty for text.
    pub(crate) unreadable: Vec<Option<String>>,
    /// For each column, whether its type is text; empty for text files, where cells say it.
    pub(crate) text: Vec<bool>,
}

impl Columns {
    pub(crate) fn of_text(names: Option<Vec<String>>, count: usize) -> Self {
        Self { names, count, index: Vec::new(), unreadable: Vec::new(), text: Vec::new() }
    }

    /// The columns that hold data of the table: all but pandas' index.
    pub(crate) fn data(&self) -> impl Iterator<Item = usize> {
        (0..self.count).filter(|&index| !self.index.get(index).copied().unwrap_or(false))
    }

    /// The type of a column that cannot be read as numbers.
    pub(crate) fn unreadable(&self, index: usize) -> Option<&str> {
        self.unreadable.get(index)?.as_deref()
    }

    /// Whether a column is declared as text.
    pub(crate) fn is_text(&self, index: usize) -> bool {
        self.text.get(index).copied().unwrap_or(false)
    }

    /// The name of a column in messages and results: its own, or `column 3` without a header.
    pub(crate) fn label(&self, index: usize) -> String {
        match &self.names {
            Some(names) => names[index].clone(),
            None => format!("column {index}"),
        }
    }

    /// The index of a wanted column.
    pub(crate) fn find(&self, file: &Path, wanted: &ColumnRef) -> Result<usize, LoadError> {
        match wanted {
            ColumnRef::Index(index) if *index < self.count => Ok(*index),
            ColumnRef::Index(index) => Err(LoadError::IndexOutOfRange {
                file: file.to_path_buf(),
                index: *index,
                columns: self.count,
            }),
            ColumnRef::Name(name) => self.find_name(file, name),
        }
    }

    fn find_name(&self, file: &Path, name: &str) -> Result<usize, LoadError> {
        let file = file.to_path_buf();
        let Some(names) = &self.names else {
            return Err(LoadError::NoHeader { file, name: name.to_owned() });
        };
        let mut places = (0..names.len()).filter(|&index| names[index] == name);
        match (places.next(), places.next()) {
            (Some(index), None) => Ok(index),
            (Some(first), Some(second)) => {
                Err(LoadError::DuplicateName { file, name: name.to_owned(), first, second })
            }
            (None, _) => Err(LoadError::MissingColumn {
                file,
                name: name.to_owned(),
                available: names.clone(),
                nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
            }),
        }
    }
}
