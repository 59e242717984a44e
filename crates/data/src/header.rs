//! Whether the first line of a text names the columns: told from how its cells differ from those below.

use crate::cells::Cells;
use crate::number::{Kind, is_plain_integer, kind};
use crate::source::{Decimal, Header, Separator};

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Names.
    Names,
    /// A row, valid or not.
    Row,
    /// It can be either.
    Unclear,
}

/// Units as they stand below names, in lower case.
const UNITS: &[&str] = &[
    "a.u.",
    "a.u",
    "au",
    "atomic units",
    "arb. u.",
    "arb.u.",
    "bohr",
    "a0",
    "angstrom",
    "ang",
    "å",
    "a",
    "pm",
    "nm",
    "mm",
    "cm",
    "m",
    "fs",
    "ps",
    "ns",
    "us",
    "µs",
    "μs",
    "ms",
    "s",
    "ev",
    "kev",
    "mev",
    "j",
    "hartree",
    "eh",
    "u",
    "amu",
    "deg",
    "degree",
    "degrees",
    "°",
    "rad",
    "kg m/s",
    "kg*m/s",
    "kgm/s",
    "kg m s^-1",
    "kg·m/s",
    "v",
    "k",
    "1",
    "-",
    "none",
    "counts",
    "#",
    "%",
    "",
];

/// Tells whether the first line is a header. `commented` says that a comment line names as many
/// columns, so that names need not be looked for among numbers.
pub(crate) fn told(
    first: &[String],
    rest: &[Vec<String>],
    decimal: Decimal,
    wanted: Header,
    commented: bool,
) -> Verdict {
    match wanted {
        // `numpy.savetxt` has its header in a comment: a first row is not lost for that.
        Header::Yes if commented && is_row(first, decimal) => Verdict::Row,
        Header::Yes => Verdict::Names,
        Header::No | Header::Commented => Verdict::Row,
        Header::Auto => match compared(first, rest, decimal) {
            Verdict::Names => Verdict::Names,
            _ if commented => Verdict::Row,
            verdict => verdict,
        },
    }
}

fn is_row(cells: &[String], decimal: Decimal) -> bool {
    cells.iter().all(|cell| kind(cell, decimal) != Kind::Text)
}

fn compared(first: &[String], rest: &[Vec<String>], decimal: Decimal) -> Verdict {
    let below: Vec<&Vec<String>> = rest.iter().filter(|row| row.len() == first.len()).collect();
    let numeric: Vec<usize> = (0..first.len())
        .filter(|&column| {
            let of = |wanted: &[Kind]| {
                below.iter().filter(|row| wanted.contains(&kind(&row[column], decimal))).count()
            };
            let numbers = of(&[Kind::Number, Kind::Missing]);
            numbers > 0 && numbers >= of(&[Kind::Text])
        })
        .collect();
    let all: Vec<usize> = (0..first.len()).collect();
    let looked_at = if numeric.is_empty() { &all } else { &numeric };
    let with = |wanted: Kind| -> Vec<usize> {
        let is = |&column: &usize| kind_of_first(&first[column], decimal) == wanted;
        looked_at.iter().copied().filter(is).collect()
    };
    let (numbers, texts) = (with(Kind::Number), with(Kind::Text));
    if numbers.is_empty() {
        let same = texts.len() > 1 && texts.iter().all(|&column| first[column] == first[texts[0]]);
        return match texts.is_empty() {
            true => Verdict::Row,
            false if same && !numeric.is_empty() => Verdict::Unclear,
            false => Verdict::Names,
        };
    }
    if numeric.is_empty() {
        return Verdict::Row;
    }
    // Numbers can be names: pandas' 0, 1, 2, years, masses. Rows of decimals have other first rows.
    let integers: Option<Vec<i64>> = numbers
        .iter()
        .map(|&column| {
            Some(&first[column]).filter(|cell| is_plain_integer(cell))?.trim().parse().ok()
        })
        .collect();
    let Some(integers) = integers else {
        let labels = texts.is_empty()
            && numbers.len() > 1
            && (is_count(first, &numbers)
                || is_written_otherwise(first, &below, &numbers, decimal));
        return if labels { Verdict::Unclear } else { Verdict::Row };
    };
    let decimals =
        numbers.iter().filter(|&&column| is_written_with_decimals(&below, column, decimal));
    let decimals = decimals.count();
    let counted = integers.iter().enumerate().all(|(place, &value)| value == place as i64);
    let mut sorted = integers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let distinct = sorted.len() == integers.len();
    match numbers.len() {
        _ if !texts.is_empty() => {
            if counted && numbers.len() > 2 {
                Verdict::Names
            } else {
                Verdict::Unclear
            }
        }
        1 => Verdict::Row,
        2 => {
            if distinct && decimals == 2 {
                Verdict::Unclear
            } else {
                Verdict::Row
            }
        }
        count if counted => {
            if 2 * decimals >= count {
                Verdict::Names
            } else {
                Verdict::Unclear
            }
        }
        count => {
            if distinct && decimals == count {
                Verdict::Unclear
            } else {
                Verdict::Row
            }
        }
    }
}

/// `0.0,1.0,2.0`: labels of pandas, or a row by chance.
fn is_count(first: &[String], columns: &[usize]) -> bool {
    let value = |&column: &usize| first[column].trim().parse::<f64>();
    columns.len() > 2
        && columns.iter().enumerate().all(|(place, column)| value(column) == Ok(place as f64))
}

/// As [`kind`], but what is made of digits without a word is a number that cannot be read, and no name:
/// `-12.5-14.4` where columns touch, `2.5%`, `(1+2j)`, a date.
fn kind_of_first(cell: &str, decimal: Decimal) -> Kind {
    let is_name = |c: char| c.is_alphabetic() && !"eEdDjJ".contains(c);
    match kind(cell, decimal) {
        Kind::Text if cell.contains(|c: char| c.is_ascii_digit()) && !cell.contains(is_name) => {
            if cell.trim().starts_with(char::is_alphabetic) {
                Kind::Text
            } else {
                Kind::Missing
            }
        }
        kind => kind,
    }
}

/// Whether the first line is written otherwise than all rows: with other numbers of decimals in every
/// column, which are constant below. So are labels above numbers of one format.
fn is_written_otherwise(
    first: &[String],
    rows: &[&Vec<String>],
    columns: &[usize],
    decimal: Decimal,
) -> bool {
    rows.len() > 2
        && columns.iter().all(|&column| {
            let below = rows.iter().map(|row| &row[column]);
            let mut below =
                below.filter(|cell| kind(cell, decimal) == Kind::Number).map(|cell| decimals(cell));
            let Some(constant) = below.next() else { return false };
            constant > 1
                && constant != decimals(&first[column])
                && below.all(|found| found == constant)
        })
}

/// Digits behind the decimal sign.
fn decimals(cell: &str) -> usize {
    let behind = cell.trim().split_once(['.', ',']).map_or("", |(_, behind)| behind);
    behind.bytes().take_while(u8::is_ascii_digit).count()
}

/// Whether most numbers of a column are no plain integers.
fn is_written_with_decimals(rows: &[&Vec<String>], column: usize, decimal: Decimal) -> bool {
    let numbers =
        || rows.iter().map(|row| &row[column]).filter(|cell| kind(cell, decimal) == Kind::Number);
    2 * numbers().filter(|cell| !is_plain_integer(cell)).count() > numbers().count()
}

/// The names in a comment line, if there are as many as columns and none is a number.
pub(crate) fn commented(
    text: &str,
    cells: Cells,
    columns: usize,
    decimal: Decimal,
) -> Option<Vec<String>> {
    // numpy's header need not have the separator of the rows.
    let separators = [
        cells.separator,
        Separator::Comma,
        Separator::Tab,
        Separator::Semicolon,
        Separator::Whitespace,
    ];
    separators.into_iter().find_map(|separator| {
        let names = Cells::new(separator).split(text.trim()).ok()?;
        let fit = names.len() == columns
            && names.iter().all(|name| !matches!(kind(name, decimal), Kind::Number | Kind::Empty))
            && names.iter().any(|name| kind(name, decimal) == Kind::Text);
        fit.then(|| names.into_iter().map(str::to_owned).collect())
    })
}

/// Whether the cells below names are units: each a known one or in brackets, and one at least no blank
/// and no mark of a missing value.
pub(crate) fn are_units(cells: &[String], decimal: Decimal) -> bool {
    let is_unit = |cell: &String| {
        let cell = cell.trim();
        let bracketed = (cell.starts_with('[') && cell.ends_with(']'))
            || (cell.starts_with('(') && cell.ends_with(')'));
        bracketed || UNITS.contains(&cell.to_lowercase().as_str())
    };
    cells.iter().all(is_unit) && cells.iter().any(|cell| kind(cell, decimal) == Kind::Text)
}
