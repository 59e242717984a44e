//! The only place that writes to the terminal.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use cei_data::{Reading, remarks};
use cei_run::train::TrainingPlan;
use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use serde::Serialize;

/// A rule under the header, nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Blanks beside a cell.
const PADDING: usize = 2;

/// Width of tables that do not go to a terminal.
const FILE_WIDTH: u16 = 160;

/// A line of data on stdout. A closed pipe (`cei ... | head`) is no failure; what else prevents it ends the
/// program with exit code 1.
pub(crate) fn to_stdout(text: &str) {
    let written = writeln!(std::io::stdout().lock(), "{text}");
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        to_stderr(&format!("error: the results cannot be written to standard output: {error}"));
        std::process::exit(1);
    }
}

/// A line for the person at the terminal.
pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says on stderr how files were read, where that is not what one expects without being told.
pub(crate) fn say_how_read(readings: &[Reading]) {
    remarks(readings).iter().for_each(|remark| to_stderr(remark));
}

/// What is told of a training before it begins, quiet or not.
pub(crate) fn warnings(plan: &TrainingPlan) -> Vec<String> {
    let mut warnings = plan.remarks.clone();
    if let Some(names) = &plan.dead_columns {
        warnings.push(format!("warning: these columns do not vary and carry nothing: {names}"));
    }
    warnings.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    if plan.dropped.rows > 0 {
        warnings.push(format!("warning: {}", plan.dropped));
    }
    warnings
}

/// One JSON object on stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    to_stdout(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table with a header; the first column is text, the others are numbers. Where the terminal is too narrow for
/// unbroken cells, one row under another with a line for each number.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(FILE_WIDTH);
    }
    // Headers may be broken between words, cells may not.
    let least: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let words = name.split(' ').map(width);
            words
                .chain(rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)))
                .max()
                .unwrap_or(0)
                + PADDING
        })
        .collect();
    if table.width().is_some_and(|available| usize::from(available) < least.iter().sum()) {
        return blocks(header, rows);
    }
    table.set_header(header).set_constraints(least.into_iter().map(|width| {
        ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width).unwrap_or(u16::MAX)))
    }));
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(index, text)| {
            let alignment = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(alignment)
        }));
    }
    table.to_string()
}

/// Each row with a line for every cell that is not empty.
fn blocks(header: &[&str], rows: &[Vec<String>]) -> String {
    let name_width = header.iter().skip(1).map(|name| width(name)).max().unwrap_or(0);
    let row = |row: &Vec<String>| {
        let cells = header.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty());
        let lines = cells.map(|(name, cell)| format!("\n  {name:name_width$}  {cell}"));
        let title = format!("{} {}", header[0], row[0]);
        format!("{}{}", title.trim_start(), lines.collect::<String>())
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A number to `digits` significant digits, without an exponent where that is readable.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let before = magnitude.log10().floor() as i64 + 1;
    let decimals = (digits as i64 - before).max(0) as usize;
    format!("{value:.decimals$}")
}

/// A number, or nothing where it does not apply.
pub(crate) fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| number(value, digits))
}

#[cfg(test)]
mod tests {
    use super::{blocks, number};

    #[test]
    fn a_narrow_terminal_shows_rows_as_blocks() {
        let rows = [["a run", "1.0", ""], ["another", "2.0", "3"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let text = blocks(&["", "NLL", "d"], &rows);
        assert_eq!(text, "a run\n  NLL  1.0\nanother\n  NLL  2.0\n  d    3");
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(number(0.123_456, 3), "0.123");
        assert_eq!(number(12.345, 3), "12.3");
        assert_eq!(number(-1234.5, 3), "-1234");
        assert_eq!(number(1.5e-9, 3), "1.50e-9");
        assert_eq!(number(0.0, 3), "0");
    }
}
