//! How a text is laid out: separator, decimal sign, comments, header. What the user does not say is told from
//! the first lines together, never from one: a header has other cells than the rows below it. Where two
//! readings are as likely as each other, neither is taken.
//!
//! No kept crate does this: CSV sniffers (also Polars' own) look at separators and quotes, take a first
//! row that is missing for a header, and know neither comments that are headers nor decimal commas.

use std::borrow::Cow;
use std::path::Path;

use crate::cells::Cells;
use crate::error::LoadError;
use crate::header::{self, Verdict};
use crate::number::{Kind, begins_with_spreadsheet_error, is_plain_integer, kind};
use crate::opened::text_of;
use crate::source::{Comment, Decimal, Header, Separator, Source};

/// Lines of cells that are looked at.
const LOOKED_AT: usize = 50;

/// Wide lines are fewer, but five at least.
const LOOKED_AT_BYTES: usize = 1 << 18;

/// What lines that are no rows may begin with.
const SIGNS: [&str; 4] = ["#", "%", "!", "//"];

/// More columns than this are no table of events.
const MOST_COLUMNS: usize = 100_000;

/// How a text is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) cells: Cells,
    /// Never `auto`.
    pub(crate) decimal: Decimal,
    /// Never `auto`.
    pub(crate) comment: Comment,
    /// Never `auto`.
    pub(crate) header: Header,
    /// Names of the columns, where there is a header.
    pub(crate) names: Option<Vec<String>>,
    /// Whether the names are numbers.
    pub(crate) numeric_header: bool,
    /// The units of a second header line.
    pub(crate) units: Option<String>,
    /// Number of columns.
    pub(crate) columns: usize,
    /// Lines above the first row.
    pub(crate) above: Above,
    /// Bytes of the first row.
    pub(crate) row_bytes: usize,
}

/// The lines above the first row, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Above {
    pub(crate) header: u64,
    pub(crate) comments: u64,
    pub(crate) blank: u64,
}

impl Above {
    pub(crate) fn lines(self) -> u64 {
        self.header + self.comments + self.blank
    }
}

/// Whether a line is a comment of this sign.
pub(crate) fn is_comment(line: &str, comment: &Comment) -> bool {
    let line = line.trim_start();
    match comment {
        Comment::Sign(sign) => line.starts_with(sign) && !begins_with_spreadsheet_error(line),
        Comment::Auto | Comment::None => false,
    }
}

/// Whether the first lines hold enough to tell the layout from.
pub(crate) fn is_enough<'a>(lines: impl Iterator<Item = &'a [u8]>, source: &Source) -> bool {
    let texts: Vec<Cow<'_, str>> = lines.map(text_of).collect();
    let comment = comment_sign(&texts, source);
    texts
        .iter()
        .filter(|line| !line.trim().is_empty() && !is_comment(line, &comment))
        .nth(2)
        .is_some()
}

impl Layout {
    /// From the first lines of a text, all of its lines where it is short.
    pub(crate) fn of<'a>(
        file: &Path,
        lines: impl Iterator<Item = &'a [u8]>,
        source: &Source,
    ) -> Result<Self, LoadError> {
        let lines: Vec<Cow<'_, str>> = lines.map(text_of).collect();
        let Top { stated, comment, rows, mut above, last_comment } = Top::of(file, &lines, source)?;
        let wanted = match source.separator {
            Separator::Auto => stated.unwrap_or(Separator::Auto),
            separator => separator,
        };
        let (mut cells, decimal) = Self::separation(file, &rows, wanted, source.decimal)?;
        let open = || LoadError::OpenQuote { file: file.to_path_buf() };
        let split = |cells: Cells, line: &str| {
            cells.split(line).map(|cells| cells.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let first = split(cells, rows[0]).map_err(|_| open())?;
        cells.trailing = has_trailing_separator(cells, &rows);
        let first = if cells.trailing { split(cells, rows[0]).unwrap_or(first) } else { first };
        // A row whose quote stays open is told when it is read.
        let mut rest: Vec<Vec<String>> =
            rows[1..].iter().filter_map(|row| split(cells, row).ok()).collect();
        let commented = last_comment.and_then(|line| {
            let text = line.trim_start();
            let text = text.strip_prefix(comment.to_string().as_str()).unwrap_or(text);
            let columns = common_count(&first, &rest);
            header::commented(text.trim_start_matches(['#', '%', '!']), cells, columns, decimal)
        });
        let verdict = header::told(&first, &rest, decimal, source.header, commented.is_some());
        if let Verdict::Unclear = verdict {
            return Err(LoadError::HeaderUnclear {
                file: file.to_path_buf(),
                line: above.lines() + 1,
                text: rows[0].trim().chars().take(60).collect(),
            });
        }
        let is_header = matches!(verdict, Verdict::Names);
        let mut units = None;
        if is_header {
            above.header += 1;
            if rest.first().is_some_and(|cells| header::are_units(cells, decimal)) {
                units = Some(rest.remove(0).join(", "));
                above.header += 1;
            }
        }
        let commented = commented.filter(|_| source.header != Header::No && !is_header);
        let (header, names) = match (is_header, commented) {
            (true, _) => (Header::Yes, Some(first.clone())),
            (false, Some(names)) => (Header::Commented, Some(names)),
            (false, None) => (Header::No, None),
        };
        let names: Option<Vec<String>> =
            names.map(|names| names.iter().map(|name| name.trim().replace("\"\"", "\"")).collect());
        let columns = names.as_ref().map_or_else(|| common_count(&first, &rest), Vec::len);
        let numeric_header =
            is_header && first.iter().any(|cell| kind(cell, decimal) == Kind::Number);
        if is_header
            && rest.len() > 1
            && rest.iter().all(|row| row.len() == rest[0].len() && row.len() != columns)
        {
            return Err(LoadError::HeaderDiffers {
                file: file.to_path_buf(),
                line: above.lines() + 1,
                names: columns,
                cells: rest[0].len(),
            });
        }
        if names.is_none() && are_halves(&cells, &first, &rest) {
            return Err(LoadError::DecimalUnclear {
                file: file.to_path_buf(),
                text: rows[0].trim().chars().take(60).collect(),
            });
        }
        let row_bytes = rows[usize::from(is_header).min(rows.len() - 1)].len() + 1;
        Ok(Self {
            cells,
            decimal,
            comment,
            header,
            names,
            numeric_header,
            units,
            columns,
            above,
            row_bytes,
        })
    }

    /// The separator and the decimal sign that make most cells numbers, in lines of equal length.
    fn separation(
        file: &Path,
        rows: &[&str],
        separator: Separator,
        decimal: Decimal,
    ) -> Result<(Cells, Decimal), LoadError> {
        // A header is no help here.
        let looked_at = if rows.len() > 1 { &rows[1..] } else { rows };
        let separators = match separator {
            Separator::Auto => {
                vec![Separator::Semicolon, Separator::Tab, Separator::Comma, Separator::Whitespace]
            }
            separator => vec![separator],
        };
        let decimals = match decimal {
            Decimal::Auto => vec![Decimal::Point, Decimal::Comma],
            decimal => vec![decimal],
        };
        let mut best: Option<(f64, Separator, Decimal)> = None;
        for &separator in &separators {
            for &decimal in &decimals {
                let share = share_of_numbers(Cells::new(separator), decimal, looked_at);
                if best.is_none_or(|(most, ..)| share > most + 1e-9) {
                    best = Some((share, separator, decimal));
                }
            }
        }
        let chosen = best.filter(|(share, ..)| *share > 0.0);
        let (_, separator, found) = chosen.unwrap_or_else(|| {
            let candidates = separators.iter().copied();
            let holds = |&candidate: &Separator| {
                let byte = char::from(Cells::new(candidate).byte());
                candidate != Separator::Whitespace && rows[0].trim().contains(byte)
            };
            let separator = candidates.clone().find(holds).or(candidates.last());
            (0.0, separator.unwrap_or(Separator::Whitespace), decimals[0])
        });
        let cells = Cells::new(separator);
        if decimal == Decimal::Auto && found == Decimal::Comma && are_thousands(cells, looked_at) {
            return Err(LoadError::DecimalUnclear {
                file: file.to_path_buf(),
                text: looked_at[0].trim().chars().take(60).collect(),
            });
        }
        Ok((cells, found))
    }
}

/// The first lines of a text by kind.
struct Top<'a> {
    /// The separator that a spreadsheet states in the first line.
    stated: Option<Separator>,
    /// Never `auto`.
    comment: Comment,
    /// The first lines that are not above the rows: a header and rows, or rows; at least one.
    rows: Vec<&'a str>,
    /// Those above the first of them.
    above: Above,
    /// The last comment among these.
    last_comment: Option<&'a str>,
}

impl<'a> Top<'a> {
    fn of(file: &Path, lines: &'a [Cow<'_, str>], source: &Source) -> Result<Self, LoadError> {
        let mut above = Above::default();
        let mut start = 0;
        let stated = match lines.iter().position(|line| !line.trim().is_empty()) {
            Some(first) => directive(file, &lines[first])?.inspect(|_| {
                above = Above { header: 1, blank: first as u64, ..above };
                start = first + 1;
            }),
            None => return Err(LoadError::EmptyFile { file: file.to_path_buf() }),
        };
        let comment = comment_sign(&lines[start..], source);
        let mut rows: Vec<&str> = Vec::new();
        let mut last_comment = None;
        let mut bytes = 0;
        for line in &lines[start..] {
            match (line.trim().is_empty(), is_comment(line, &comment), rows.is_empty()) {
                (true, _, true) => above.blank += 1,
                (_, true, true) => {
                    above.comments += 1;
                    last_comment = Some(line.as_ref());
                }
                (false, false, _) => {
                    bytes += line.len();
                    rows.push(line);
                }
                _ => {}
            }
            if rows.len() == LOOKED_AT || (rows.len() > 4 && bytes > LOOKED_AT_BYTES) {
                break;
            }
        }
        if rows.is_empty() {
            return Err(if above.comments > 0 {
                LoadError::OnlyComments { file: file.to_path_buf(), sign: comment.to_string() }
            } else if above.header > 0 {
                LoadError::NoRows { file: file.to_path_buf() }
            } else {
                LoadError::EmptyFile { file: file.to_path_buf() }
            });
        }
        let columns = rows[0].split([',', ';', '\t', ' ']).count();
        if columns > MOST_COLUMNS {
            return Err(LoadError::TooManyColumns { file: file.to_path_buf(), columns });
        }
        Ok(Self { stated, comment, rows, above, last_comment })
    }
}

/// The sign of the source, or the first one that begins a line; without any, `#`.
fn comment_sign(lines: &[Cow<'_, str>], source: &Source) -> Comment {
    let Comment::Auto = &source.comment else { return source.comment.clone() };
    let found = lines.iter().find_map(|line| {
        let line = line.trim_start();
        let sign = SIGNS.iter().find(|sign| line.starts_with(**sign))?;
        (!begins_with_spreadsheet_error(line)).then_some(*sign)
    });
    Comment::Sign(found.unwrap_or("#").to_owned())
}

/// The separator that a spreadsheet's first line `sep=;` names.
fn directive(file: &Path, line: &str) -> Result<Option<Separator>, LoadError> {
    let line = line.trim_matches([' ', '"', '\u{feff}']);
    let Some(named) = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")) else {
        return Ok(None);
    };
    match &line[named.len()..] {
        ";" => Ok(Some(Separator::Semicolon)),
        "," => Ok(Some(Separator::Comma)),
        "\t" | "\\t" => Ok(Some(Separator::Tab)),
        "" => Ok(Some(Separator::Whitespace)),
        other => Err(LoadError::UnknownSeparator {
            file: file.to_path_buf(),
            separator: other.chars().take(8).collect(),
        }),
    }
}

/// Numbers and missing values among all cells, in lines of the most frequent length.
fn share_of_numbers(cells: Cells, decimal: Decimal, lines: &[&str]) -> f64 {
    let split: Vec<Vec<&str>> =
        lines.iter().map(|line| cells.split(line).unwrap_or_default()).collect();
    let length = most_frequent(split.iter().map(Vec::len));
    if length < 2 && cells.separator != Separator::Whitespace {
        return 0.0;
    }
    let total: usize = split.iter().map(Vec::len).sum();
    let numbers = split.iter().filter(|row| row.len() == length).flatten();
    let numbers = numbers.filter(|cell| kind(cell, decimal) != Kind::Text).count();
    let any = split.iter().flatten().any(|cell| kind(cell, decimal) == Kind::Number);
    if any { numbers as f64 / total.max(1) as f64 } else { 0.0 }
}

/// The most frequent of the counts; of equally frequent ones, the first.
fn most_frequent(counts: impl Iterator<Item = usize> + Clone) -> usize {
    let frequency = |wanted| counts.clone().filter(|count| *count == wanted).count();
    let mut best = (0, 0);
    for count in counts.clone() {
        let times = frequency(count);
        if times > best.0 {
            best = (times, count);
        }
    }
    best.1
}

fn common_count(first: &[String], rest: &[Vec<String>]) -> usize {
    let lengths: Vec<usize> =
        std::iter::once(first.len()).chain(rest.iter().map(Vec::len)).collect();
    most_frequent(lengths.iter().copied())
}

/// Whether each line ends in a separator; the header may have none there.
fn has_trailing_separator(cells: Cells, rows: &[&str]) -> bool {
    if cells.separator == Separator::Whitespace {
        return false;
    }
    let split: Vec<Vec<&str>> =
        rows.iter().map(|row| cells.split(row).unwrap_or_default()).collect();
    let open =
        |row: &Vec<&str>| row.len() > 1 && row.last().is_some_and(|cell| cell.trim().is_empty());
    let rest = &split[1..];
    let header_lacks_it =
        !open(&split[0]) && rest.iter().all(|row| row.len() == split[0].len() + 1);
    (open(&split[0]) || (header_lacks_it && !rest.is_empty())) && rest.iter().all(open)
}

/// Whether every decimal comma may as well separate thousands: `1,234`.
fn are_thousands(cells: Cells, rows: &[&str]) -> bool {
    let mut any = false;
    for row in rows {
        for cell in cells.split(row).unwrap_or_default() {
            let cell = cell.trim().trim_start_matches(['-', '+']);
            let Some((before, after)) = cell.split_once(',') else { continue };
            any = true;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let thousands = (1..=3).contains(&before.len())
                && !before.starts_with('0')
                && after.len() == 3
                && digits(before)
                && digits(after);
            if !thousands {
                return false;
            }
        }
    }
    any
}

/// Whether cells in pairs are the halves of numbers with a decimal comma, cut by the comma: `1,288185`.
/// The second halves have leading zeros, which no integer has.
fn are_halves(cells: &Cells, first: &[String], rest: &[Vec<String>]) -> bool {
    if cells.separator != Separator::Comma || first.len() % 2 == 1 || rest.is_empty() {
        return false;
    }
    let mut zeros = false;
    for row in std::iter::once(first).chain(rest.iter().map(Vec::as_slice)) {
        for (place, cell) in row.iter().enumerate() {
            let cell = cell.trim();
            let second = place % 2 == 1;
            if !is_plain_integer(cell) || (second && cell.starts_with(['-', '+'])) {
                return false;
            }
            zeros |= second && cell.len() > 1 && cell.starts_with('0');
        }
    }
    zeros
}
