//! Further columns of a table, which are passed on into results: event numbers, draws, delays, texts. Their cells are
//! kept as they are written, so that integers of any size and texts stay exact; a column is written as integers where
//! all of its cells are, as numbers where all are, and else as text.

use crate::error::{Fault, LoadError};
use crate::number::{is_plain_integer, parse_cell};
use crate::source::{ColumnRef, Decimal, Source};
use crate::table_file::TableFile;
use crate::write::ColumnData;

/// The further columns of a table, in file order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Further {
    /// Names and values.
    pub columns: Vec<(String, ColumnData)>,
    /// Columns of a type that is not read, as `name (type)`.
    pub left_out: Vec<String>,
}

impl Further {
    /// The columns of a source but `taken` (those that it has) and pandas' index, in the rows `kept` (numbers from 0
    /// over all files, rising). The memory is that of these cells.
    ///
    /// # Errors
    /// A file that cannot be read. Later files may lack columns of the first; what only they have is left out.
    pub fn load(source: &Source, taken: &[ColumnRef], kept: &[u64]) -> Result<Self, LoadError> {
        let mut further = Self::default();
        let mut labels: Vec<String> = Vec::new();
        let mut columns: Vec<Cells> = Vec::new();
        let mut kept = kept.iter().copied().peekable();
        let mut number = 0;
        for (place, path) in source.resolve()?.into_iter().enumerate() {
            let file = TableFile::open(path.clone(), source)?;
            let known = file.columns();
            let taken: Vec<usize> =
                taken.iter().filter_map(|column| known.find(&path, column).ok()).collect();
            let free: Vec<usize> = known.data().filter(|index| !taken.contains(index)).collect();
            let is_readable =
                |index: usize| matches!(known.unreadable(index), None | Some("boolean"));
            let readable: Vec<usize> =
                free.iter().copied().filter(|&index| is_readable(index)).collect();
            if place == 0 {
                let left_out = free.iter().filter(|&&index| !is_readable(index));
                further.left_out = left_out
                    .map(|&index| {
                        format!(
                            "{} ({})",
                            known.label(index),
                            known.unreadable(index).unwrap_or_default()
                        )
                    })
                    .collect();
                labels = readable.iter().map(|&index| known.label(index)).collect();
                columns = readable.iter().map(|_| Cells::default()).collect();
            }
            if labels.is_empty() {
                return Ok(further);
            }
            let place_of = |(at, label): (usize, &String)| {
                let first = (place == 0).then(|| readable[at]);
                first.or_else(|| {
                    readable.iter().copied().find(|&index| known.label(index) == *label)
                })
            };
            let places: Vec<Option<usize>> = labels.iter().enumerate().map(place_of).collect();
            let wanted: Vec<usize> = places.iter().flatten().copied().collect();
            for (cells, index) in columns.iter_mut().zip(&places) {
                cells.is_text |= index.is_some_and(|index| known.is_text(index));
                cells.is_text |= *cells.decimal.get_or_insert(file.decimal()) != file.decimal();
            }
            file.read_cells(&wanted, &mut |row| {
                if kept.next_if_eq(&number).is_some() {
                    let mut row = row.iter();
                    for (cells, index) in columns.iter_mut().zip(&places) {
                        cells.push(index.and_then(|_| row.next()).and_then(|cell| cell.as_deref()));
                    }
                }
                number += 1;
            })?;
        }
        let named = labels
            .into_iter()
            .enumerate()
            .map(|(place, label)| if label.is_empty() { format!("column {place}") } else { label });
        further.columns = named.zip(columns.into_iter().map(Cells::into_data)).collect();
        Ok(further)
    }

    /// The columns beside those of a result, which are called `own`: one that has the name of another is called
    /// `input_NAME`. With what has to be said about it, in words.
    #[must_use]
    pub fn beside(self, own: &[String]) -> (Vec<(String, ColumnData)>, Vec<String>) {
        let mut taken: Vec<String> = own.to_vec();
        let mut remarks = Vec::new();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, data) in self.columns {
            let mut unique = name.clone();
            while taken.contains(&unique) {
                unique = format!("input_{unique}");
            }
            if unique != name {
                remarks.push(format!(
                    "remark: the column `{name}` of the input is `{unique}` in the results, which have a column of that name"
                ));
            }
            taken.push(unique.clone());
            columns.push((unique, data));
        }
        if !self.left_out.is_empty() {
            remarks.push(format!(
                "remark: columns of the input whose type is not read are not in the results: {}",
                self.left_out.join(", ")
            ));
        }
        (columns, remarks)
    }
}

/// The cells of a column one behind another; nothing is an empty text.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
    /// Whether they are text whatever they look like.
    is_text: bool,
    decimal: Option<Decimal>,
}

impl Cells {
    fn push(&mut self, cell: Option<&str>) {
        self.text.push_str(cell.unwrap_or_default());
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let cells = starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end]);
        cells.map(|cell| (!cell.is_empty()).then_some(cell))
    }

    fn into_data(self) -> ColumnData {
        let decimal = self.decimal.unwrap_or_default();
        let numbers = (!self.is_text && self.iter().any(|cell| cell.is_some())).then(|| {
            let integers = || {
                let integer = |cell: Option<&str>| match cell {
                    Some(cell) => {
                        written_as(cell).map(Some).ok_or(()).or_else(|()| missing(cell, decimal))
                    }
                    None => Ok(None),
                };
                self.iter().map(integer).collect::<Result<_, ()>>().ok().map(ColumnData::I64)
            };
            let large = || {
                let cells = self.iter().map(|cell| written_as(cell?));
                cells.collect::<Option<_>>().map(ColumnData::U64)
            };
            let floats = || {
                let cells = self
                    .iter()
                    .map(|cell| cell.map_or(Some(f64::NAN), |cell| float(cell, decimal)));
                cells.collect::<Option<_>>().map(ColumnData::F64)
            };
            integers().or_else(large).or_else(floats)
        });
        let text = || ColumnData::Text(self.iter().map(|cell| cell.map(str::to_owned)).collect());
        numbers.flatten().unwrap_or_else(text)
    }
}

/// An integer that is written as this program would: no leading zeros, which are part of a name.
fn written_as<T: std::str::FromStr + ToString>(cell: &str) -> Option<T> {
    cell.parse::<T>().ok().filter(|value| value.to_string() == cell)
}

/// Nothing, if the cell says so.
fn missing<T>(cell: &str, decimal: Decimal) -> Result<Option<T>, ()> {
    match parse_cell(cell, decimal) {
        Err(Fault::NotANumber | Fault::Empty) => Ok(None),
        _ => Err(()),
    }
}

/// A number; NaN for nothing. None for a text, an integer that a number cannot hold, or one with leading zeros.
fn float(cell: &str, decimal: Decimal) -> Option<f64> {
    if is_plain_integer(cell) && written_as::<i64>(cell).is_none() {
        return None;
    }
    match parse_cell(cell, decimal) {
        Ok(value) => Some(value),
        Err(Fault::NotANumber | Fault::Empty) => Some(f64::NAN),
        Err(Fault::Infinite) if cell.starts_with('-') => Some(f64::NEG_INFINITY),
        Err(Fault::Infinite) => Some(f64::INFINITY),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(cells: &[&str], decimal: Decimal) -> ColumnData {
        let mut column = Cells { decimal: Some(decimal), ..Cells::default() };
        cells
            .iter()
            .for_each(|cell| column.push(Some(cell).filter(|cell| !cell.is_empty()).copied()));
        column.into_data()
    }

    #[test]
    fn a_column_is_what_all_of_its_cells_are() {
        let point = |cells: &[&str]| data(cells, Decimal::Point);
        let largest = u64::MAX.to_string();
        assert_eq!(point(&["-1", "", "NaN"]), ColumnData::I64(vec![Some(-1), None, None]));
        assert_eq!(
            point(&["9007199254740993"]),
            ColumnData::I64(vec![Some(9_007_199_254_740_993)])
        );
        assert_eq!(point(&["1", &largest]), ColumnData::U64(vec![1, u64::MAX]));
        assert_eq!(point(&["1", "2.5D1"]), ColumnData::F64(vec![1.0, 25.0]));
        assert_eq!(
            data(&["1,5", "-inf"], Decimal::Comma),
            ColumnData::F64(vec![1.5, f64::NEG_INFINITY])
        );
        // What would be changed as a number stays a text.
        let texts = [["007", "8"], ["-1", &largest], ["9007199254740993", "0.5"], ["1", "late"]];
        for cells in texts {
            let expected = cells.iter().map(|cell| Some((*cell).to_owned())).collect();
            assert_eq!(point(&cells), ColumnData::Text(expected));
        }
    }
}
