//! Nuisances of given positions: a file that has their columns says them, and nothing is drawn.

use std::path::Path;

use cei_data::{ColumnData, Further};
use cei_physics::Nuisance;

use crate::RunError;

/// What a file says of the nuisances.
pub(super) struct GivenNumbers {
    /// Of each nuisance, its value in each row; none where the file does not say it.
    pub(super) values: Vec<Option<Vec<f64>>>,
    /// What has to be said about it.
    pub(super) remarks: Vec<String>,
}

impl GivenNumbers {
    /// Takes the columns of the nuisances out of the further columns of the file `path`.
    ///
    /// # Errors
    /// A value that is no positive number.
    pub(super) fn take(
        path: &Path,
        nuisances: &[Nuisance],
        further: &mut Further,
    ) -> Result<Self, RunError> {
        let mut values = Vec::with_capacity(nuisances.len());
        let (mut taken, mut drawn) = (Vec::new(), Vec::new());
        for nuisance in nuisances {
            let name = &nuisance.name;
            let place = further.columns.iter().position(|(column, _)| column == name);
            let Some(place) = place else {
                values.push(None);
                drawn.push(format!("`{name}`"));
                continue;
            };
            let (_, column) = further.columns.remove(place);
            values.push(Some(positive(path, name, &column)?));
            taken.push(format!("`{name}`"));
        }
        let file = path.display();
        let mut remarks = Vec::new();
        if !taken.is_empty() {
            let rest = match drawn.is_empty() {
                true => String::new(),
                false => format!("; {} is drawn", drawn.join(", ")),
            };
            remarks.push(format!(
                "`{file}`: {} of each event is that of the file{rest}",
                taken.join(", ")
            ));
        }
        // Names that other simulations give to nuisances.
        let others = further.columns.iter().filter(|(name, _)| name.starts_with("charging_"));
        remarks.extend(others.map(|(name, _)| {
            format!("`{file}`: its column `{name}` is passed on and does not count: the simulation draws no such number for each event\nhint: where it should, make the number of `[charging]` a distribution")
        }));
        Ok(Self { values, remarks })
    }
}

/// The cells of a column as numbers above 0.
fn positive(path: &Path, name: &str, column: &ColumnData) -> Result<Vec<f64>, RunError> {
    let cells: Vec<Result<f64, String>> = match column {
        ColumnData::F64(cells) => cells.iter().map(|cell| Ok(*cell)).collect(),
        ColumnData::F32(cells) => cells.iter().map(|cell| Ok(f64::from(*cell))).collect(),
        ColumnData::I64(cells) => {
            cells.iter().map(|cell| Ok(cell.map_or(f64::NAN, |cell| cell as f64))).collect()
        }
        ColumnData::U64(cells) => cells.iter().map(|cell| Ok(*cell as f64)).collect(),
        ColumnData::U32(cells) => cells.iter().map(|cell| Ok(f64::from(*cell))).collect(),
        ColumnData::Text(cells) => cells
            .iter()
            .map(|cell| {
                let text = cell.as_deref().unwrap_or_default();
                text.parse().map_err(|_| text.to_owned())
            })
            .collect(),
    };
    let number = |(row, cell): (usize, Result<f64, String>)| match cell {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        Ok(value) => Err((row, if value.is_nan() { String::new() } else { value.to_string() })),
        Err(text) => Err((row, text)),
    };
    let values: Result<Vec<f64>, _> = cells.into_iter().enumerate().map(number).collect();
    values.map_err(|(row, value)| RunError::NotPositive {
        path: path.to_owned(),
        row: row + 1,
        column: name.to_owned(),
        value,
    })
}
