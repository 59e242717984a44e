//! How a line of text is cut into cells. A cell that begins with a double quote ends with one, and may hold
//! separators between them; a line end always ends the row.

use crate::source::Separator;

/// What separates cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Never `auto`.
    pub(crate) separator: Separator,
    /// Whether every line ends in a separator.
    pub(crate) trailing: bool,
}

/// A quoted cell that does not end on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenQuote;

impl Cells {
    pub(crate) fn new(separator: Separator) -> Self {
        Self { separator, trailing: false }
    }

    /// The byte between cells; of white space, a blank.
    pub(crate) fn byte(self) -> u8 {
        match self.separator {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
            Separator::Tab => b'\t',
            Separator::Whitespace | Separator::Auto => b' ',
        }
    }

    /// The cells of a line, without the quotes around them.
    ///
    /// # Errors
    /// A quoted cell that does not end.
    pub(crate) fn split(self, line: &str) -> Result<Vec<&str>, OpenQuote> {
        let mut cells = match self.separator {
            Separator::Whitespace | Separator::Auto => by_white_space(line)?,
            _ => separated(line, char::from(self.byte()))?,
        };
        if self.trailing && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
            cells.pop();
        }
        Ok(cells)
    }
}

fn separated(line: &str, separator: char) -> Result<Vec<&str>, OpenQuote> {
    if !line.contains('"') {
        return Ok(line.split(separator).collect());
    }
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let end = match rest.trim_start_matches(' ').strip_prefix('"') {
            Some(quoted) => {
                let from = rest.len() - quoted.len();
                let closed = from + closing_quote(quoted)? + 1;
                rest[closed..].find(separator).map(|at| closed + at)
            }
            None => rest.find(separator),
        };
        let Some(end) = end else { break };
        cells.push(crate::number::unquoted(&rest[..end]));
        rest = &rest[end + separator.len_utf8()..];
    }
    cells.push(crate::number::unquoted(rest));
    Ok(cells)
}

fn by_white_space(line: &str) -> Result<Vec<&str>, OpenQuote> {
    if !line.contains('"') {
        return Ok(line.split_whitespace().collect());
    }
    let mut cells = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => {
                let closed = closing_quote(quoted)? + 2;
                rest[closed..].find(char::is_whitespace).map_or(rest.len(), |at| closed + at)
            }
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        cells.push(crate::number::unquoted(&rest[..end]));
        rest = rest[end..].trim_start();
    }
    Ok(cells)
}

/// Where the quote ends whose content begins the text; doubled quotes are part of it.
fn closing_quote(text: &str) -> Result<usize, OpenQuote> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'"', &bytes[at..]) {
        at += found;
        if bytes.get(at + 1) != Some(&b'"') {
            return Ok(at);
        }
        at += 2;
    }
    Err(OpenQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_separators_only_where_a_cell_begins() {
        let comma = Cells::new(Separator::Comma);
        assert_eq!(comma.split("1, \"a,b\" ,2"), Ok(vec!["1", "a,b", "2"]));
        assert_eq!(comma.split("1,5\" wide,2"), Ok(vec!["1", "5\" wide", "2"]));
        assert_eq!(comma.split("\"say \"\"no\"\",\",2,"), Ok(vec!["say \"\"no\"\",", "2", ""]));
        assert_eq!(comma.split("1,\"a"), Err(OpenQuote));
        let blank = Cells::new(Separator::Whitespace);
        assert_eq!(blank.split(" \"a b\"  1\t2 "), Ok(vec!["a b", "1", "2"]));
        assert_eq!(blank.split("1 \"a b"), Err(OpenQuote));
        let trailing = Cells { separator: Separator::Semicolon, trailing: true };
        assert_eq!(trailing.split("1;2; "), Ok(vec!["1", "2"]));
        assert_eq!(trailing.split("1;2"), Ok(vec!["1", "2"]));
    }
}
