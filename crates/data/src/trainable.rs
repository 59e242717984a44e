//! Whether a table has what a model can be trained on.

use ndarray::Array2;

use crate::error::LoadError;
use crate::split::SplitConfig;
use crate::table_rows::TableRows;

/// Whether a model can be trained on the rows of a table at all.
///
/// # Errors
/// Fewer rows than the split needs; no x column or no y column varies; rows that cannot be read again.
pub fn check_trainable(table: &dyn TableRows, split: &SplitConfig) -> Result<(), LoadError> {
    let (needed, head) = (split.least_rows(), table.head());
    if table.count() < needed {
        let (files, rows) = (head.files.clone(), table.count());
        return Err(LoadError::TooFewRows { files, rows, needed });
    }
    let mut constant: Option<[Constant; 2]> = None;
    table.each_block(&mut |_, x, y| {
        let [of_x, of_y] = constant.get_or_insert_with(|| [Constant::of(&x), Constant::of(&y)]);
        of_x.add(&x);
        of_y.add(&y);
    })?;
    let [of_x, of_y] = constant.unwrap_or_default();
    for (side, names, condition) in [(of_y, &head.y_names, true), (of_x, &head.x_names, false)] {
        // A side without columns is told by those who need it.
        if !names.is_empty() && side.is_constant.iter().all(|is| *is) {
            let (files, names) = (head.files.clone(), names.clone());
            return Err(LoadError::Constant { files, names, condition });
        }
    }
    Ok(())
}

/// Which columns of a side have had one value so far.
#[derive(Default)]
struct Constant {
    first: Vec<f64>,
    is_constant: Vec<bool>,
}

impl Constant {
    fn of(rows: &Array2<f64>) -> Self {
        let first = rows.rows().into_iter().next().map(|row| row.to_vec()).unwrap_or_default();
        Self { is_constant: vec![true; first.len()], first }
    }

    fn add(&mut self, rows: &Array2<f64>) {
        let columns = rows.columns().into_iter().zip(&self.first);
        for ((column, first), is_constant) in columns.zip(&mut self.is_constant) {
            *is_constant = *is_constant && column.iter().all(|value| value == first);
        }
    }
}
