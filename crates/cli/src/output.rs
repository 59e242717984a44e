//! The only place that writes to the terminal.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use serde::Serialize;

/// A rule under the header, nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

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

/// One JSON object on stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    to_stdout(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table with a header; the first column is text, the others are numbers.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(FILE_WIDTH);
    }
    table.set_header(header);
    // Headers may be broken into lines, numbers may not.
    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let constraints = (0..header.len()).map(|column| {
        let width = if column == 0 { 0 } else { widest(column).unwrap_or(0) };
        ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width + 2).unwrap_or(u16::MAX)))
    });
    table.set_constraints(constraints);
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(index, text)| {
            let alignment = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(alignment)
        }));
    }
    table.to_string()
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
    use super::number;

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(number(0.123_456, 3), "0.123");
        assert_eq!(number(12.345, 3), "12.3");
        assert_eq!(number(-1234.5, 3), "-1234");
        assert_eq!(number(1.5e-9, 3), "1.50e-9");
        assert_eq!(number(0.0, 3), "0");
    }
}
