//! Tables that a command names beside those of a training: read as the table of their run was, unless the command line
//! says otherwise, and checked against what the run knows of its columns.

use std::path::PathBuf;

use cei_data::error::{Fault, Reason};
use cei_data::{
    ColumnRef, Comment, Decimal, Further, Header, LoadError, Reading, Selection, Separator, Source,
    Table, load,
};
use serde::{Deserialize, Serialize};

use super::charges::{GivenCharges, TableCharges};
use super::sidecar::is_simulated;
use crate::config::{Configuration, Kind, parse_with_overrides, to_toml};
use crate::error::LaterError;
use crate::{Experiment, RunError, TrainedRun};

/// What a command line says about how text is read; what is none stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadingOptions {
    /// Where the names of the columns are.
    pub header: Option<Header>,
    /// What separates cells.
    pub separator: Option<Separator>,
    /// What lines begin with that are no rows.
    pub comment: Option<Comment>,
    /// The decimal sign.
    pub decimal: Option<Decimal>,
    /// Leave out invalid rows.
    pub drop_invalid: bool,
}

impl ReadingOptions {
    /// `source` with what is said here.
    #[must_use]
    pub fn apply(&self, mut source: Source) -> Source {
        source.header = self.header.unwrap_or(source.header);
        source.separator = self.separator.unwrap_or(source.separator);
        source.comment = self.comment.clone().unwrap_or(source.comment);
        source.decimal = self.decimal.unwrap_or(source.decimal);
        source.drop_invalid |= self.drop_invalid;
        source
    }

    /// The source of `files` that belong to no run.
    #[must_use]
    pub fn source(&self, files: &[String]) -> Source {
        self.apply(Source { files: files.to_vec(), ..Source::default() })
    }

    /// Whether nothing is said about how text is laid out.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        *self == Self { drop_invalid: self.drop_invalid, ..Self::default() }
    }
}

/// Which columns of later files are the run's: momenta in its order, and what `--set columns.KEY=VALUE` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnOptions {
    /// The momenta in the order of the run's; empty for the run's names.
    pub momenta: Vec<ColumnRef>,
    /// Overrides of `columns.x`, `columns.y`, `columns.charges`, `columns.x_unit` and `columns.y_unit`.
    pub overrides: Vec<String>,
    /// Where the charges of the ions are, for a run that is conditioned on them.
    pub charges: GivenCharges,
}

/// The part of an experiment that later files may change.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changeable {
    columns: Selection,
}

impl Configuration for Changeable {
    const KIND: Option<Kind> = None;
}

impl ColumnOptions {
    /// The columns of later files.
    ///
    /// # Errors
    /// An override of another key, or another number of columns than the run has.
    pub fn selection(&self, run: &Experiment) -> Result<Selection, RunError> {
        let own = &run.columns;
        let text = to_toml(&Changeable { columns: own.clone() });
        let Changeable { mut columns } =
            parse_with_overrides(&text, "the columns of the run", &self.overrides)?;
        if !self.momenta.is_empty() {
            columns.y.clone_from(&self.momenta);
        }
        let sides = [
            ("columns.y", &columns.y, &own.y),
            ("columns.x", &columns.x, &own.x),
            ("columns.nuisances", &columns.nuisances, &own.nuisances),
            ("columns.charges", &columns.charges, &own.charges),
        ];
        for (key, given, own) in sides {
            if given.len() != own.len() {
                let (found, own) = (given.len(), in_words(own));
                return Err(LaterError::ColumnCount { key, found, own }.into());
            }
        }
        Ok(columns)
    }
}

/// A table for a trained run: its files, and what the command line says about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaterTable {
    /// Paths or globs.
    pub files: Vec<String>,
    /// How they are read; as the table of the run where nothing is said.
    pub reading: ReadingOptions,
    /// Which columns are the run's; its own names where nothing is said.
    pub columns: ColumnOptions,
}

/// A table that was loaded for a run.
pub(crate) struct Loaded {
    pub(crate) table: Table,
    pub(crate) source: Source,
    pub(crate) selection: Selection,
}

impl LaterTable {
    /// One file or glob, about which nothing is said.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// The files that are read.
    ///
    /// # Errors
    /// No file given, a path that does not exist or is a folder, a glob without match.
    pub fn resolve(&self) -> Result<Vec<PathBuf>, LoadError> {
        self.reading.source(&self.files).resolve()
    }

    /// The files, read as the table of the run was, unless told otherwise.
    #[must_use]
    pub fn source(&self, run: &Experiment) -> Source {
        let Source { header, separator, comment, decimal, .. } = run.source.clone();
        let files = self.files.clone();
        self.reading.apply(Source {
            files,
            header,
            separator,
            comment,
            decimal,
            ..Source::default()
        })
    }

    /// The momenta of the table, and the positions if they are asked for. Where the run is conditioned on charges, these
    /// stand behind the momenta; in the place of charges that are not known, those of the first channel.
    ///
    /// # Errors
    /// What loading meets; charges that no channel has; columns chosen by index that have other names than those of the run; a first line that was
    /// taken for names, or left out as invalid, only because of what the run remembers.
    pub(crate) fn load(&self, run: &TrainedRun, positions: bool) -> Result<Loaded, RunError> {
        let source = self.source(&run.experiment);
        let mut selection = self.columns.selection(&run.experiment)?;
        if !positions {
            selection = selection.of_condition();
        }
        if run.record.preprocessing.may_miss_ions() {
            selection.may_miss = run.record.origin().may_miss(run.record.molecule.as_ref());
        }
        let charges = TableCharges::of(run, &self.columns.charges)?;
        if !charges.are_columns() {
            selection.charges.clear();
        }
        let mut table = load(&source, &selection)
            .map_err(|error| self.with_hint(error, run, &source, &selection))?;
        self.check_first_row(&table, &source)?;
        let preprocessing = &run.record.preprocessing;
        let condition: Vec<ColumnRef> = selection.condition().cloned().collect();
        self.check_names(&table, &condition, &table.y_names, preprocessing.y_names())?;
        if positions {
            let inferred: Vec<ColumnRef> = selection.inferred().cloned().collect();
            self.check_names(&table, &inferred, &table.x_names, preprocessing.x_names())?;
        }
        charges.complete(run, &mut table)?;
        Ok(Loaded { table, source, selection })
    }

    /// What else the files have of the rows `kept` (numbers from 0 over all files) than columns of the run.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn further(
        &self,
        run: &TrainedRun,
        source: &Source,
        momenta: &[ColumnRef],
        kept: &[u64],
    ) -> Result<Further, RunError> {
        // Places of positions are those of the files of the run, not of files whose momenta stand elsewhere.
        let same = self.columns.momenta.is_empty() && self.columns.overrides.is_empty();
        let is_there = |column: &&ColumnRef| same || matches!(column, ColumnRef::Name(_));
        let positions = run.experiment.columns.inferred().filter(is_there).cloned();
        let names = run.record.preprocessing.x_names().iter().cloned().map(ColumnRef::Name);
        let taken: Vec<ColumnRef> = momenta.iter().cloned().chain(positions).chain(names).collect();
        Ok(Further::load(source, &taken, kept)?)
    }

    /// With `drop_invalid` a line of names would be left out as an invalid row, and all events numbered from it.
    fn check_first_row(&self, table: &Table, source: &Source) -> Result<(), RunError> {
        let remembered = self.reading.header.is_none() && source.header != Header::Auto;
        let names = table.x_names.iter().chain(&table.y_names);
        let is_text = |name: &String| {
            let mut causes = table.dropped.causes.iter();
            causes.any(|cause| cause.reason == Reason::Text && cause.column.as_ref() == Some(name))
        };
        if !remembered || !names.into_iter().all(is_text) {
            return Ok(());
        }
        let mut first = 0;
        for Reading { file, rows, text, .. } in &table.readings {
            let without = text.as_ref().is_some_and(|text| text.header != Header::Yes);
            if without && table.dropped.numbers.binary_search(&first).is_ok() {
                return Err(LaterError::FirstRowOfText { file: file.clone() }.into());
            }
            first += rows;
        }
        Ok(())
    }

    /// Columns by index whose names are not those of the run are other columns, unless the command line names them.
    fn check_names(
        &self,
        table: &Table,
        columns: &[ColumnRef],
        found: &[String],
        own: &[String],
    ) -> Result<(), RunError> {
        if !self.columns.momenta.is_empty() || !self.columns.overrides.is_empty() {
            return Ok(());
        }
        let unnamed = |index: usize, name: &str| name == format!("column {index}");
        for (column, (found, own)) in columns.iter().zip(found.iter().zip(own)) {
            let ColumnRef::Index(index) = column else { continue };
            if found == own || unnamed(*index, own) || unnamed(*index, found) {
                continue;
            }
            let file = table.files.first().cloned().unwrap_or_default();
            let (index, found, own) = (*index, found.clone(), own.clone());
            let is_number = found.parse::<f64>().is_ok();
            if is_number && self.reading.header.is_none() {
                return Err(LaterError::FirstRowOfNumbers { file, found, own }.into());
            }
            return Err(LaterError::OtherNames { file, index, found, own }.into());
        }
        Ok(())
    }

    /// The error with what helps where files are read as those of a run.
    fn with_hint(
        &self,
        error: LoadError,
        run: &TrainedRun,
        source: &Source,
        selection: &Selection,
    ) -> RunError {
        let own = &run.experiment.columns;
        let names = || {
            let positions = if selection.x.is_empty() {
                String::new()
            } else {
                format!(", and `--set columns.x=[...]` for the positions {}", in_words(&own.x))
            };
            format!(
                "where this file has other names or places, say them with `--columns` in the order of the run, {}{positions}",
                in_words(&own.y)
            )
        };
        let charges = || {
            let missing = match &error {
                LoadError::MissingColumn { name, .. } | LoadError::NoHeader { name, .. } => name,
                _ => return None,
            };
            let is_charge =
                selection.charges.iter().any(|column| *column == ColumnRef::Name(missing.clone()));
            is_charge.then(|| "the run is conditioned on the charges of the ions: say those of all events with `--charges` (as `--charges 1,1,1`), their columns with `--set columns.charges=[...]`, or, with `--refine`, `--charges unknown`: how probable each charge state is, is inferred then".to_owned())
        };
        if let Some(hint) = charges() {
            return LaterError::Load { source: Box::new(error), hint }.into();
        }
        let manner = manner(source, &self.reading);
        let layout = || {
            manner.as_ref().map(|manner| {
                format!(
                    "it was read as the table of the run was ({manner}); with `--header`, `--separator`, `--comment` or `--decimal` it is read otherwise, by `auto` as it looks"
                )
            })
        };
        let hints: Vec<String> = match &error {
            LoadError::MissingColumn { .. } | LoadError::IndexOutOfRange { columns: 1, .. } => {
                layout().into_iter().chain([names()]).collect()
            }
            LoadError::NoHeader { .. }
            | LoadError::IndexOutOfRange { .. }
            | LoadError::ChosenTwice { .. }
            | LoadError::DuplicateName { .. } => vec![names()],
            LoadError::Invalid { fault: Fault::Text(_) | Fault::Ragged { .. }, .. }
            | LoadError::AllDropped { .. }
            | LoadError::HeaderDiffers { .. }
            | LoadError::ColumnsDiffer { .. } => layout().into_iter().collect(),
            _ => Vec::new(),
        };
        if hints.is_empty() {
            return error.into();
        }
        LaterError::Load { source: Box::new(error), hint: hints.join("\nhint: ") }.into()
    }
}

/// Columns in a list.
fn in_words(columns: &[ColumnRef]) -> String {
    const SHOWN: usize = 30;
    let shown = columns.iter().take(SHOWN).map(ToString::to_string);
    let more = columns.len().saturating_sub(SHOWN);
    shown.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>().join(", ")
}

/// What a source states that the command line does not, in words; none if nothing.
fn manner(source: &Source, said: &ReadingOptions) -> Option<String> {
    let word = |value: Result<toml::Value, _>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let stated = [
        ("header", word(toml::Value::try_from(source.header)), said.header.is_some()),
        ("separator", word(toml::Value::try_from(source.separator)), said.separator.is_some()),
        ("comment", source.comment.to_string(), said.comment.is_some()),
        ("decimal", word(toml::Value::try_from(source.decimal)), said.decimal.is_some()),
    ];
    let stated: Vec<String> = stated
        .into_iter()
        .filter(|(_, value, said)| !said && value != "auto")
        .map(|(key, value, _)| format!("{key} {value}"))
        .collect();
    (!stated.is_empty()).then(|| stated.join(", "))
}

/// `source` with all that was found in its files, which a run keeps so that it reads later files in the same way.
///
/// Nothing is kept of what was guessed about tables that `cei` simulated: it says nothing about measured files. Nor is a
/// comment sign of files without comments.
pub(crate) fn remembered(source: &Source, readings: &[Reading]) -> Source {
    if readings.iter().all(|reading| is_simulated(&reading.file)) {
        return source.clone();
    }
    let mut found = source.as_read(readings);
    let comments =
        |reading: &Reading| reading.text.as_ref().is_some_and(|text| text.comment_lines > 0);
    if !readings.iter().any(comments) {
        found.comment.clone_from(&source.comment);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Experiment {
        let text = "[source]\nheader = \"no\"\nseparator = \"tab\"\nfiles = [\"a.txt\"]\n[columns]\nx = [\"a\"]\n\
                    y = [\"p\", \"q\"]\ny_unit = \"si\"\n[model]\nkind = \"cinn\"\n";
        Experiment::parse(text, "`test.toml`", &[]).unwrap()
    }

    #[test]
    fn later_files_are_read_as_the_runs_unless_told_otherwise() {
        let mut later = LaterTable::file("b.txt");
        let same = later.source(&run());
        assert_eq!((same.header, same.separator), (Header::No, Separator::Tab));
        assert_eq!(same.files, ["b.txt"]);
        assert_eq!(manner(&same, &later.reading).unwrap(), "header no, separator tab");
        later.reading.header = Some(Header::Auto);
        let other = later.source(&run());
        assert_eq!((other.header, other.separator), (Header::Auto, Separator::Tab));
    }

    #[test]
    fn columns_may_be_renamed_but_not_their_number() {
        let options = ColumnOptions {
            momenta: vec![ColumnRef::Index(3), ColumnRef::from("r")],
            overrides: vec!["columns.y_unit=au".to_owned()],
            charges: GivenCharges::default(),
        };
        let found = options.selection(&run()).unwrap();
        assert_eq!(found.y, [ColumnRef::Index(3), ColumnRef::from("r")]);
        assert_eq!(found.x, run().columns.x);
        assert_eq!(found.y_unit, cei_data::MomentumUnit::Au);
        let few = ColumnOptions { momenta: vec![ColumnRef::Index(3)], ..Default::default() };
        let error = few.selection(&run()).unwrap_err().to_string();
        assert!(error.contains("`columns.y` names 1 column") && error.contains("p, q"), "{error}");
        let other =
            ColumnOptions { overrides: vec!["training.seed=1".to_owned()], ..Default::default() };
        assert!(
            other.selection(&run()).unwrap_err().to_string().contains("`--set training.seed=1`")
        );
    }
}
