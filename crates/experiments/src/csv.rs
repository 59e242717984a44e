//! Reading the tables of numbers that `cei` writes.

use std::path::Path;

use anyhow::Context as _;

/// Names of the columns of a table of numbers, and its rows; an empty cell is NaN.
pub(crate) fn read_csv(path: &Path) -> anyhow::Result<(Vec<String>, Vec<Vec<f64>>)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let names = lines.next().context("an empty table")?.split(',').map(str::to_owned).collect();
    let rows =
        lines.map(|line| line.split(',').map(number).collect()).collect::<anyhow::Result<_>>()?;
    Ok((names, rows))
}

/// Where the column `name` stands.
pub(crate) fn column(names: &[String], name: &str) -> anyhow::Result<usize> {
    names.iter().position(|n| n == name).with_context(|| format!("there is no column `{name}`"))
}

/// The columns `ATOMx`, `ATOMy` and `ATOMz` of a row.
pub(crate) fn vector(names: &[String], row: &[f64], atom: &str) -> anyhow::Result<[f64; 3]> {
    let mut vector = [0.0; 3];
    for (axis, value) in ["x", "y", "z"].iter().zip(&mut vector) {
        *value = row[column(names, &format!("{atom}{axis}"))?];
    }
    Ok(vector)
}

fn number(cell: &str) -> anyhow::Result<f64> {
    if cell.is_empty() {
        return Ok(f64::NAN);
    }
    cell.parse().with_context(|| format!("`{cell}` is no number"))
}
