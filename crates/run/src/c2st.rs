//! Two files of samples told apart by a classifier, event by event: the accuracy, and whether it
//! is more than guessing would reach.

mod figures;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cei_data::{ColumnRef, Reading, Selection, Source, column_names, load};
use cei_metrics::{C2ST_FOLDS, c2st_watched};
use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::RunError;
use crate::dataset::ReadingOptions;
use crate::folder::layout;
use crate::folder::sealed::{not_kept, write_json};

pub use report::{C2stReport, EventC2st};

/// Columns of a file of draws that count rows or mark events and are no sample; the first numbers the events.
const COUNTERS: [&str; 3] = ["event", "draw", "outside_model"];

/// Numbers of events below this are exact.
const LARGEST_EVENT: f64 = 9_007_199_254_740_992.0;

/// Which files to compare, and how.
#[derive(Debug, Clone)]
pub struct C2stOptions {
    /// The sample (CSV or Parquet with named columns).
    pub sample: PathBuf,
    /// The reference, which also standardises both.
    pub reference: PathBuf,
    /// Columns to compare; empty for all that both files have, except `event`, `draw` and `outside_model`.
    pub columns: Vec<String>,
    /// Seed of folds, weights and batches.
    pub seed: u64,
    /// How the files are read.
    pub reading: ReadingOptions,
    /// Probability of failing a sample that has the law of the reference.
    pub level: f64,
    /// Where `c2st.json` and the figure go; neither is written without.
    pub folder: Option<PathBuf>,
}

/// Tells the sample from the reference; `progress` is told how many of all classifiers are trained.
///
/// # Errors
/// Files that cannot be loaded, no shared columns, a column that a file lacks, no shared events, too
/// few rows, a level outside (0, 1), a folder that cannot be made. What cannot be kept there is told in the result.
///
/// ```
/// use cei_run::c2st::{C2stOptions, compare_samples};
/// use cei_run::dataset::ReadingOptions;
///
/// // Two samples of one law, and nothing that tells them apart.
/// let folder = tempfile::tempdir()?;
/// let write = |name: &str, first: usize| {
///     let rows = (0..60).map(|row| format!("{}\n", (row * 37 + first) % 101)).collect::<String>();
///     let path = folder.path().join(name);
///     std::fs::write(&path, format!("x\n{rows}")).map(|()| path)
/// };
/// let options = C2stOptions {
///     sample: write("a.csv", 0)?,
///     reference: write("b.csv", 1)?,
///     columns: Vec::new(),
///     seed: 0,
///     reading: ReadingOptions::default(),
///     level: 0.01,
///     folder: None,
/// };
/// let report = compare_samples(&options, |_, _| {})?;
/// assert!(report.accuracy < 0.75);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compare_samples(
    options: &C2stOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<C2stReport, RunError> {
    check_level(options.level)?;
    let [sample_names, reference_names] =
        [names_of(&options.sample, options)?, names_of(&options.reference, options)?];
    let columns: Vec<String> = if options.columns.is_empty() {
        let shared = sample_names
            .iter()
            .filter(|name| !COUNTERS.contains(&name.as_str()) && reference_names.contains(name));
        shared.cloned().collect()
    } else {
        options.columns.clone()
    };
    if columns.is_empty() {
        return Err(RunError::NoSharedColumns {
            sample: options.sample.clone(),
            sample_columns: sample_names.join(", "),
            reference: options.reference.clone(),
            reference_columns: reference_names.join(", "),
        });
    }
    let sample = Samples::load(&options.sample, &columns, &sample_names, options)?;
    let reference = Samples::load(&options.reference, &columns, &reference_names, options)?;
    let pairs = pair_events(options, &sample, &reference)?;
    if let Some(folder) = &options.folder {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    }
    let left_out = sample.events.len() + reference.events.len() - 2 * pairs.len();
    let (done, total) = (AtomicUsize::new(0), C2ST_FOLDS * pairs.len());
    let fold_done = || progress(1 + done.fetch_add(1, Ordering::Relaxed), total);
    let events = pairs
        .into_par_iter()
        .map(|(event, sample_rows, reference_rows)| {
            let a = sample.values.select(Axis(0), sample_rows);
            let b = reference.values.select(Axis(0), reference_rows);
            let result = c2st_watched(a.view(), b.view(), options.seed, &fold_done)
                .map_err(|source| RunError::C2st { event, source })?;
            Ok(EventC2st { event, result })
        })
        .collect::<Result<Vec<EventC2st>, RunError>>()?;
    let count = events.len() as f64;
    let accuracy = events.iter().map(|event| event.result.accuracy).sum::<f64>() / count;
    let standard_error = if let [event] = &events[..] {
        event.result.standard_error
    } else {
        let squares = events.iter().map(|event| (event.result.accuracy - accuracy).powi(2));
        (squares.sum::<f64>() / (count - 1.0) / count).sqrt()
    };
    let least = events.iter().map(|event| event.result.p_value).fold(1.0, f64::min);
    let p_value = (least * count).min(1.0);
    let mut report = C2stReport {
        readings: [sample.readings.clone(), reference.readings.clone()].concat(),
        sample: options.sample.clone(),
        reference: options.reference.clone(),
        columns,
        accuracy,
        standard_error,
        p_value,
        level: options.level,
        pass: p_value > options.level,
        left_out,
        events,
        not_kept: None,
    };
    if let Some(folder) = &options.folder {
        let kept = figures::draw(folder, &report)
            .and_then(|()| write_json(&folder.join(layout::C2ST), &report));
        report.not_kept = not_kept(kept)?;
    }
    Ok(report)
}

/// Checks that an error rate is in (0, 1).
pub(crate) fn check_level(level: f64) -> Result<(), RunError> {
    if level > 0.0 && level < 1.0 { Ok(()) } else { Err(RunError::Level { level }) }
}

fn source_of(path: &std::path::Path, options: &C2stOptions) -> Source {
    options.reading.source(&[path.display().to_string()])
}

fn names_of(path: &std::path::Path, options: &C2stOptions) -> Result<Vec<String>, RunError> {
    Ok(column_names(&source_of(path, options))?)
}

/// The rows of a file, and which of them belong to each event.
struct Samples {
    values: Array2<f64>,
    /// Row numbers by event; one entry where there is no `event` column.
    events: BTreeMap<u64, Vec<usize>>,
    has_events: bool,
    readings: Vec<Reading>,
}

impl Samples {
    fn load(
        path: &std::path::Path,
        columns: &[String],
        names: &[String],
        options: &C2stOptions,
    ) -> Result<Self, RunError> {
        let has_events = names.iter().any(|name| name == COUNTERS[0]);
        let mut wanted: Vec<ColumnRef> = columns.iter().cloned().map(ColumnRef::Name).collect();
        if has_events {
            wanted.push(ColumnRef::from(COUNTERS[0]));
        }
        let selection = Selection { y: wanted, ..Selection::default() };
        let table = load(&source_of(path, options), &selection)?;
        let (values, counters) = table.y.view().split_at(Axis(1), columns.len());
        let mut events: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for row in 0..values.nrows() {
            let event = counters.get((row, 0)).copied().unwrap_or(0.0);
            // Beyond 2^53 the reader's numbers are not those of the file, and events would be mixed.
            if !(0.0..LARGEST_EVENT).contains(&event) || event.fract() != 0.0 {
                return Err(RunError::BadEvent { path: path.to_owned(), row: row + 1, event });
            }
            events.entry(event as u64).or_default().push(row);
        }
        let values = values.to_owned();
        Ok(Self { values, events, has_events, readings: table.readings })
    }
}

type EventRows<'a> = (Option<u64>, &'a [usize], &'a [usize]);

/// The events of both files; where one has no `event` column, the other may hold a single event.
fn pair_events<'a>(
    options: &C2stOptions,
    sample: &'a Samples,
    reference: &'a Samples,
) -> Result<Vec<EventRows<'a>>, RunError> {
    let mismatch = || RunError::EventsDiffer {
        sample: options.sample.clone(),
        reference: options.reference.clone(),
    };
    if sample.has_events && reference.has_events {
        let pairs: Vec<EventRows<'a>> = (sample.events.iter())
            .filter_map(|(event, rows)| {
                Some((Some(*event), &rows[..], &reference.events.get(event)?[..]))
            })
            .collect();
        return if pairs.is_empty() { Err(mismatch()) } else { Ok(pairs) };
    }
    let (mut a, mut b) = (sample.events.values(), reference.events.values());
    match (a.next(), a.next(), b.next(), b.next()) {
        (Some(sample), None, Some(reference), None) => Ok(vec![(None, sample, reference)]),
        _ => Err(mismatch()),
    }
}
