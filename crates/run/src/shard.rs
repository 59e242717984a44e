//! One part of a work whose rows are shared among many processes, and what is kept beside its table: of which whole it is a part.
//!
//! Shard `I` of `N`, from 1, has the rows `(I - 1) R / N` to `I R / N` of `R`, rounded down: each row is in one shard. Beside the
//! table stands `TABLE.shard.json`, by which [`merge`](crate::merge) tells parts of one whole from others.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cei_files::AtomicFile;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::RunError;
use crate::error::ShardError;
use crate::folder::layout::SHARD;
use crate::folder::sealed::{read_json, write_json};

/// Shards of one work at most: more are a slip of the finger.
const MOST: usize = 1_000_000;

/// Which part of a work: `I` of `N`, from 1.
///
/// ```
/// use cei_run::shard::Shard;
///
/// let second: Shard = "2/3".parse()?;
/// assert_eq!(second.rows(10), 3..6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, from 1.
    number: usize,
    /// How many there are.
    of: usize,
}

/// No part of a work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoShard {
    /// Not two numbers.
    #[error("`{0}` is no shard\nhint: as `2/8`, the second of eight")]
    Form(String),
    /// A number that none of them has.
    #[error("there is no shard {number} of {of}: they are counted from 1 to {of}")]
    Range {
        /// The number.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// More than anybody has processes for.
    #[error("{of} shards are too many, of at most {MOST}")]
    TooMany {
        /// How many there are.
        of: usize,
    },
}

impl Shard {
    /// Shard `number`, from 1, `of` so many.
    ///
    /// # Errors
    /// There is no such one.
    pub fn new(number: usize, of: usize) -> Result<Self, NoShard> {
        if of > MOST {
            return Err(NoShard::TooMany { of });
        }
        if number == 0 || number > of {
            return Err(NoShard::Range { number, of });
        }
        Ok(Self { number, of })
    }

    /// Its rows among so many; none where there are fewer rows than shards and others have them.
    #[must_use]
    pub fn rows(self, rows: usize) -> Range<usize> {
        let bound = |shard: usize| (shard as u128 * rows as u128 / self.of as u128) as usize;
        bound(self.number - 1)..bound(self.number)
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn of(self) -> usize {
        self.of
    }
}

/// The rows of a shard among so many; all where there is none.
pub(crate) fn rows_of(shard: Option<Shard>, rows: usize) -> Range<usize> {
    shard.map_or(0..rows, |shard| shard.rows(rows))
}

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<usize>().ok().filter(|_| is_plain)
        };
        let numbers = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
        let (number, of) = numbers.ok_or_else(|| NoShard::Form(text.to_owned()))?;
        Self::new(number, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Of which whole a table is a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    pub(crate) shard: Shard,
    /// The command that writes it.
    pub(crate) command: String,
    /// Which of the tables of that command.
    pub(crate) table: String,
    /// Rows or events of the whole.
    pub(crate) events: usize,
    /// All that the rows follow from: names, and values or digests.
    pub(crate) origin: BTreeMap<String, String>,
    /// Digest of the table; empty until it is written.
    #[serde(default)]
    pub(crate) table_sha256: String,
}

/// Where it stands beside a table.
///
/// ```
/// let path = cei_run::shard::record_path("part-3.csv".as_ref());
/// assert_eq!(path.to_str(), Some("part-3.csv.shard.json"));
/// ```
pub fn record_path(table: &Path) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    name.push(".");
    name.push(SHARD);
    name.into()
}

impl ShardRecord {
    /// Of a `table` of `command` with so many `events` that follows from these names and values.
    pub(crate) fn new(
        shard: Shard,
        command: &str,
        table: &str,
        events: usize,
        origin: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            shard,
            command: command.to_owned(),
            table: table.to_owned(),
            events,
            origin: origin.into_iter().collect(),
            table_sha256: String::new(),
        }
    }

    /// Gives a complete table its name, and this before: of a process that was killed between the two, an older table is refused.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn commit(mut self, path: &Path, table: AtomicFile) -> Result<(), RunError> {
        self.table_sha256 = table.sha256()?;
        write_json(&record_path(path), &self)?;
        Ok(table.commit()?)
    }

    /// What stands beside a table, which is as it was written.
    ///
    /// # Errors
    /// Nothing does; it is damaged; it is of another table.
    pub(crate) fn read(table: &Path) -> Result<Self, RunError> {
        let path = record_path(table);
        if !table.exists() {
            return Err(ShardError::NotThere { table: table.to_owned() }.into());
        }
        if !path.exists() {
            return Err(ShardError::None { table: table.to_owned(), path }.into());
        }
        const HINT: &str = "make this shard anew";
        let (value, sealed) = read_json(&path, HINT)?;
        let damaged = |reason| RunError::Damaged { path: path.clone(), reason, hint: HINT };
        if !sealed {
            return Err(damaged("it has no `sha256`".to_owned()));
        }
        let record: Self =
            serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        Shard::new(record.shard.number, record.shard.of)
            .map_err(|error| damaged(error.to_string()))?;
        let sha256 = cei_files::sha256_of_file(table).map_err(RunError::io("read", table))?;
        if sha256 != record.table_sha256 {
            return Err(ShardError::OfAnotherTable { table: table.to_owned(), path }.into());
        }
        Ok(record)
    }

    /// In what two are not of the same whole; none if they are.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let of = |record: &Self| format!("{} shards", record.shard.of);
        let own = [
            ("the command", self.command.clone(), other.command.clone()),
            ("the table", self.table.clone(), other.table.clone()),
            ("the number of shards", of(self), of(other)),
            ("the number of rows", self.events.to_string(), other.events.to_string()),
        ];
        let mut all: Vec<String> = own
            .into_iter()
            .filter(|(_, own, others)| own != others)
            .map(|(name, own, others)| format!("{name} ({own}, not {others})"))
            .collect();
        let names: std::collections::BTreeSet<&String> =
            self.origin.keys().chain(other.origin.keys()).collect();
        let differs = |name: &&&String| self.origin.get(**name) != other.origin.get(**name);
        all.extend(names.iter().filter(differs).map(|name| (*name).clone()));
        (!all.is_empty()).then(|| all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row is in one shard, and shards are of one size but for one row, whatever their number.
    #[test]
    fn every_row_is_in_one_shard() {
        for rows in [0, 1, 2, 7, 8, 9, 100, 12_345] {
            for of in [1, 2, 3, 7, 8, 9, 100, 12_346] {
                let mut next = 0;
                for number in 1..=of {
                    let range = Shard { number, of }.rows(rows);
                    assert_eq!(range.start, next, "{number}/{of} of {rows}");
                    assert!(range.len() == rows / of || range.len() == rows.div_ceil(of));
                    next = range.end;
                }
                assert_eq!(next, rows);
            }
        }
        let last = Shard { number: MOST, of: MOST };
        assert_eq!(last.rows(usize::MAX).end, usize::MAX);
    }

    #[test]
    fn shards_are_two_numbers() {
        assert_eq!("3/8".parse(), Ok(Shard { number: 3, of: 8 }));
        assert_eq!("1/1".parse(), Ok(Shard { number: 1, of: 1 }));
        for text in
            ["", "3", "/", "3/", "/8", "a/8", "3/b", "-1/8", "+1/8", "1/8/2", "1 /8", "1.0/8"]
        {
            assert_eq!(text.parse::<Shard>(), Err(NoShard::Form(text.to_owned())), "{text}");
        }
        assert_eq!("0/8".parse::<Shard>(), Err(NoShard::Range { number: 0, of: 8 }));
        assert_eq!("9/8".parse::<Shard>(), Err(NoShard::Range { number: 9, of: 8 }));
        assert_eq!("0/0".parse::<Shard>(), Err(NoShard::Range { number: 0, of: 0 }));
        assert_eq!("1/1000001".parse::<Shard>(), Err(NoShard::TooMany { of: 1_000_001 }));
    }

    #[test]
    fn what_differs_is_named() {
        let record = |number, seed: &str| {
            let origin = [("`--seed`".to_owned(), seed.to_owned())];
            ShardRecord::new(Shard { number, of: 2 }, "simulate", "events", 10, origin)
        };
        assert_eq!(record(1, "0").difference(&record(2, "0")), None);
        assert_eq!(record(1, "0").difference(&record(2, "1")).as_deref(), Some("`--seed`"));
        let other = ShardRecord { command: "predict".to_owned(), ..record(2, "0") };
        let told = record(1, "0").difference(&other);
        assert_eq!(told.as_deref(), Some("the command (simulate, not predict)"));
        let more = ShardRecord { origin: BTreeMap::new(), ..record(2, "0") };
        assert_eq!(record(1, "0").difference(&more).as_deref(), Some("`--seed`"));
    }
}
