//! Lines of text as rows of numbers. A line of nothing but plain numbers is read cell by cell; any other is
//! looked at as text, to say where and what is wrong.
//!
//! Every line is counted: as a row, a comment, or blank.

use memchr::{memchr, memrchr};
use rayon::prelude::*;

use crate::block::{Block, CellFault, Wanted};
use crate::error::Fault;
use crate::layout::{Layout, is_comment};
use crate::lines::{count_lines, lines};
use crate::number::{EXACT, checked, parse_cell};
use crate::opened::text_of;
use crate::source::{Comment, Decimal, Separator};

/// Bytes of the lines that a thread takes at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Lines that are no rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Others {
    pub(crate) comments: u64,
    pub(crate) blank: u64,
}

/// Reads the wanted cells of the rows of a file.
pub(crate) struct RowReader<'a> {
    layout: &'a Layout,
    wanted: &'a [Wanted],
    /// Of each column of the file its place among the wanted ones, and the limit below which nothing can be wrong with it.
    places: Vec<Option<(usize, f64)>>,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(layout: &'a Layout, wanted: &'a [Wanted]) -> Self {
        let mut places = vec![None; layout.columns];
        for (place, &Wanted { index, limit }) in wanted.iter().enumerate() {
            // Integers beyond 2^53 are looked at one by one.
            places[index] = Some((place, limit.min(EXACT - 1.0)));
        }
        Self { layout, wanted, places }
    }

    /// The rows of whole lines, of which the first has this number in the file.
    pub(crate) fn read(&self, bytes: &[u8], first_line: u64) -> (Block, Others) {
        let pieces = pieces(bytes);
        let mut line = first_line;
        let numbered = pieces.into_iter().map(|piece| {
            let first = line;
            line += count_lines(piece);
            (piece, first)
        });
        let numbered: Vec<(&[u8], u64)> = numbered.collect();
        let read = numbered.into_par_iter().map(|(piece, first)| self.read_piece(piece, first));
        let read: Vec<(Block, Others)> = read.collect();
        let mut others = Others::default();
        let mut whole = Block::default();
        whole.values.reserve_exact(read.iter().map(|(block, _)| block.values.len()).sum());
        for (block, found) in read {
            others.comments += found.comments;
            others.blank += found.blank;
            whole.append(block);
        }
        (whole, others)
    }

    fn read_piece(&self, bytes: &[u8], first_line: u64) -> (Block, Others) {
        let mut block = Block::default();
        let mut others = Others::default();
        // Quotes hide separators, and there are blanks that are not ASCII.
        let is_odd = |bytes: &[u8]| !bytes.is_ascii() || memchr(b'"', bytes).is_some();
        let may_be_odd = is_odd(bytes);
        let width = self.wanted.len();
        for (number, line) in (first_line..).zip(lines(bytes)) {
            let start = block.values.len();
            block.values.resize(start + width, f64::NAN);
            let is_plain = !(may_be_odd && is_odd(line));
            if is_plain && self.take_plain(line, &mut block.values[start..]).is_some() {
                block.rows += 1;
                continue;
            }
            block.values.truncate(start);
            self.take_text(line, number, &mut block, &mut others);
        }
        (block, others)
    }

    /// Takes a line of as many cells as there are columns, with valid numbers in those that are wanted; none where it may be
    /// anything else.
    fn take_plain(&self, line: &[u8], row: &mut [f64]) -> Option<()> {
        let Layout { cells, comment, decimal, .. } = self.layout;
        let mut rest = self.without_blanks(line);
        if *decimal == Decimal::Comma || may_be_comment(rest, comment) {
            return None;
        }
        let by_white_space = cells.separator == Separator::Whitespace;
        for (column, place) in self.places.iter().enumerate() {
            if column > 0 && !by_white_space {
                rest = self.without_blanks(rest.strip_prefix(&[cells.byte()])?);
            }
            let length = match place {
                Some((place, limit)) => {
                    let (value, length) = fast_float2::parse_partial::<f64, _>(rest).ok()?;
                    row[*place] = checked(value, *limit).ok()?;
                    length
                }
                None if by_white_space => {
                    rest.iter().position(|&byte| byte <= b' ').unwrap_or(rest.len())
                }
                None => memchr(cells.byte(), rest).unwrap_or(rest.len()),
            };
            let after = &rest[length..];
            rest = self.without_blanks(after);
            let is_apart = rest.is_empty() || rest.len() < after.len();
            if by_white_space && (length == 0 || !is_apart) {
                return None;
            }
        }
        if cells.trailing {
            rest = self.without_blanks(rest.strip_prefix(&[cells.byte()]).unwrap_or(rest));
        }
        rest.is_empty().then_some(())
    }

    /// Without the blanks at the beginning, of which a separator is none.
    fn without_blanks<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let tab = if self.layout.cells.separator == Separator::Tab { b' ' } else { b'\t' };
        let blanks = bytes.iter().take_while(|&&byte| byte == b' ' || byte == tab).count();
        &bytes[blanks..]
    }

    /// Takes any line.
    fn take_text(&self, line: &[u8], number: u64, block: &mut Block, others: &mut Others) {
        let line = text_of(line);
        if line.trim().is_empty() {
            others.blank += 1;
            return;
        }
        if is_comment(&line, &self.layout.comment) {
            others.comments += 1;
            return;
        }
        let row = block.rows;
        let mut add = |cell, fault| {
            block.faults.push(CellFault { row, line: Some(number), cell, fault });
        };
        match self.layout.cells_of(&line) {
            Err(fault) => {
                add(None, fault);
                block.values.extend(self.wanted.iter().map(|_| f64::NAN));
            }
            Ok(cells) => {
                for (cell, &Wanted { index, limit }) in self.wanted.iter().enumerate() {
                    let value = parse_cell(cells[index], self.layout.decimal)
                        .and_then(|value| checked(value, limit));
                    block.values.push(value.unwrap_or_else(|fault| {
                        add(Some(cell), fault);
                        f64::NAN
                    }));
                }
            }
        }
        block.rows += 1;
    }
}

impl Layout {
    /// The cells of a row, as many as there are columns.
    ///
    /// # Errors
    /// A quoted cell that does not end; more cells or fewer.
    pub(crate) fn cells_of<'a>(&self, line: &'a str) -> Result<Vec<&'a str>, Fault> {
        let cells = self.cells.split(line).map_err(|_| Fault::OpenQuote)?;
        let (found, expected) = (cells.len(), self.columns);
        if found == expected { Ok(cells) } else { Err(Fault::Ragged { found, expected }) }
    }
}

/// Whole lines, about as many bytes in each part.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::with_capacity(bytes.len() / PIECE_BYTES + 1);
    while bytes.len() > PIECE_BYTES {
        let last = memrchr(b'\n', &bytes[..PIECE_BYTES]);
        let end = last.or_else(|| memchr(b'\n', bytes)).map_or(bytes.len(), |end| end + 1);
        let (piece, rest) = bytes.split_at(end);
        pieces.push(piece);
        bytes = rest;
    }
    if !bytes.is_empty() {
        pieces.push(bytes);
    }
    pieces
}

fn may_be_comment(line: &[u8], comment: &Comment) -> bool {
    match comment {
        Comment::Sign(sign) => line.first() == sign.as_bytes().first(),
        Comment::Auto | Comment::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Header, Source};

    const LINES: &[&str] = &[
        "1.5,-2,3e4",
        " 1.5 , -2\t, +3.25e-4 ",
        "1.5,2,3,",
        "1.5,2",
        "1.5,2,3,4",
        "1.5 2 3",
        "\t1.5  2\t3 ",
        "1.5\t2\t3",
        " 1.5\t 2\t3\t",
        "1.5 2\u{b}3",
        "1.5 2\u{a0}3 4",
        "1.5;2;3;",
        "1.5;2;3; ",
        "1.5;2;3;;",
        "1,5;2;3",
        "\"1.5\",2,3",
        "1.5,\"2,5\",3",
        "1.5,\"2,3",
        "1.5,,3",
        ",2,3",
        "1.5,nan,3",
        "1.5,-inf,infinity",
        "1.5D+03,0.15+101,3",
        "1.5e400,2,1e-400",
        "9007199254740993,9007199254740992,-9007199254740991",
        "\u{2212}1.5,2,3",
        "#1,2,3",
        " # 1,2,3",
        "-1,2,3",
        "--,2,3",
        ".5,5.,0x1",
        "1_000,2,3",
        "1.5e,2,3",
        "17.000000000000004,0.1,123456789012345678901234567890.5",
        "\u{e9}t\u{e9},2,3",
        "",
        "   ",
    ];

    fn layout(separator: Separator, trailing: bool, comment: &str, decimal: Decimal) -> Layout {
        let source = Source { header: Header::No, ..Source::default() };
        let text = [b"1,2,3".as_slice(), b"4,5,6"].into_iter();
        let layout = Layout::of("t.csv".as_ref(), text, &source).unwrap();
        let cells = crate::cells::Cells { separator, trailing };
        Layout { cells, comment: Comment::from(comment.to_owned()), decimal, ..layout }
    }

    /// What is read cell by cell is what the text says, of whatever layout the file is: no line is taken for numbers that is
    /// a comment or has a fault, and no number differs by a bit.
    #[test]
    fn a_plain_line_has_the_numbers_of_its_text() {
        use Separator::{Comma, Semicolon, Tab, Whitespace};
        let of = |index| Wanted { index, limit: 1e30 };
        let (mut plain, mut others) = (0, 0);
        for wanted in [vec![of(0), of(1), of(2)], vec![of(2), of(0)], vec![of(1)]] {
            for separator in [Comma, Semicolon, Tab, Whitespace] {
                for (trailing, comment) in [(false, "#"), (true, "none"), (false, "-")] {
                    for decimal in [Decimal::Point, Decimal::Comma] {
                        let layout = layout(separator, trailing, comment, decimal);
                        let reader = RowReader::new(&layout, &wanted);
                        for line in LINES {
                            let (mut block, mut found) = (Block::default(), Others::default());
                            reader.take_text(line.as_bytes(), 1, &mut block, &mut found);
                            let mut row = vec![f64::NAN; wanted.len()];
                            let odd = !line.is_ascii() || line.contains('"');
                            if odd || reader.take_plain(line.as_bytes(), &mut row).is_none() {
                                others += 1;
                                continue;
                            }
                            plain += 1;
                            let bits = |row: &[f64]| {
                                row.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
                            };
                            assert!(block.faults.is_empty() && block.rows == 1, "{line:?}");
                            assert_eq!(bits(&row), bits(&block.values), "{line:?} {layout:?}");
                        }
                    }
                }
            }
        }
        assert!(plain > 100 && others > 1000, "{plain} {others}");
    }

    /// Lines are numbered, and their faults placed, as if no thread took a part of them.
    #[test]
    fn parts_of_a_text_are_put_together_in_their_order() {
        let mut text = String::new();
        let rows = 40_000;
        for row in 0..rows {
            match row % 10_000 {
                7000 => text.push_str("\n# between\n"),
                9000 => text.push_str(&format!("{row},x,0\n")),
                _ => text.push_str(&format!("{row},{row}.5,0\n")),
            }
        }
        assert!(text.len() > 2 * PIECE_BYTES);
        let layout = layout(Separator::Comma, false, "#", Decimal::Point);
        let wanted = [Wanted { index: 1, limit: 1e9 }, Wanted { index: 0, limit: 1e9 }];
        let (block, others) = RowReader::new(&layout, &wanted).read(text.as_bytes(), 5);
        assert_eq!((block.rows, others.blank, others.comments), (rows - 4, 4, 4));
        let found: Vec<_> =
            block.faults.iter().map(|fault| (fault.row, fault.line, fault.cell)).collect();
        // Above each there are as many rows as its number says, less those that are two other lines.
        let expected = (0_usize..4).map(|at| {
            let number = 10_000 * at + 9000;
            (number - at - 1, Some((5 + number + at + 1) as u64), Some(0))
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
        let numbers = block.values.chunks_exact(2).map(|row| row[1]);
        let all = (0..rows).filter(|row| row % 10_000 != 7000).map(|row| row as f64);
        assert!(numbers.eq(all));
    }
}
