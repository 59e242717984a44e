//! One page about one run or several: what was trained on what, learning curves, results beside baselines and floors,
//! calibration, predicted against true geometries, single events, momenta. What a run has not is said in words.
//!
//! | in | is |
//! | --- | --- |
//! | `trained_on` | the facts of a run, and its configurations |
//! | `learning` | learning curves |
//! | `scores` | results beside baselines and floors |
//! | `calibration` | coverage, and the tests of ranks |
//! | `sample` | events with their draws, from which the figures below are made |
//! | `test_rows` | a sample of the test rows of a run |
//! | `quantities` | which distances, angles and columns are shown |
//! | `geometry` | predicted against true |
//! | `corners` | single events |
//! | `momenta`, `sets`, `three_ions`, `energy` | re-simulated momenta, Newton and Dalitz plots, kinetic energy |
//! | `overview` | several runs side by side |
//! | `options` | what a page is asked for |
//! | `about_run`, `about_events` | the sections of a chapter |
//! | `histogram`, `words` | histograms on common bins; numbers in sentences |

mod about_events;
mod about_run;
mod calibration;
mod corners;
mod energy;
mod geometry;
mod histogram;
mod learning;
mod momenta;
mod options;
mod overview;
mod quantities;
mod sample;
mod scores;
mod sets;
mod test_rows;
mod three_ions;
mod trained_on;
mod words;

use std::path::{Path, PathBuf};

use cei_files::check_outputs;
use cei_model::Device;
use cei_report::page::{Chapter, Page};

use crate::figures::name_of;
use crate::folder::layout::{CALIBRATION, EVALUATION, HISTORY, RECORD};
use crate::{RunError, TrainedRun};

pub(crate) use about_events::{chosen_events, sections as sections_of_events};
pub(crate) use about_run::sections as sections_of_run;
pub use options::ReportOptions;
pub(crate) use sample::{
    CORNER_DRAWS, CornerEvent, MOST_EVENTS, MOST_MOMENTA, Sample, SampledEvent, SampledMode,
};

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReportSummary {
    /// Run folders.
    pub runs: usize,
    /// Names of the figures, in order.
    pub figures: Vec<String>,
    /// Size of the page.
    pub bytes: usize,
}

/// Writes a page about the runs; tells `watch` how many of them are done.
///
/// # Errors
/// A folder without a trained model or with damaged files, an event that is no test row, a page that cannot be written.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::report::{ReportOptions, report_to_file};
///
/// let options = ReportOptions {
///     runs: vec![run],
///     output: folder.path().join("report.html"),
///     events: Vec::new(),
///     modes: false,
///     seed: 0,
/// };
/// let summary = report_to_file(&options, &cei_model::open_device("cpu")?, |_, _| {})?;
/// assert!(summary.figures.len() > 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn report_to_file(
    options: &ReportOptions,
    device: &Device,
    mut watch: impl FnMut(usize, usize),
) -> Result<ReportSummary, RunError> {
    check(options)?;
    let mut chapters: Vec<Chapter> = Vec::new();
    for (done, path) in options.runs.iter().enumerate() {
        watch(done, options.runs.len());
        let run = TrainedRun::load(path, device.clone())?;
        let mut sections = sections_of_run(&run);
        sections.extend(test_rows::sections(&run, options, device)?);
        chapters.push(Chapter {
            title: format!("{} ({})", run.record.name(), name_of(path)),
            sections,
        });
    }
    watch(options.runs.len(), options.runs.len());
    let lead = if options.runs.len() > 1 { overview::blocks(&options.runs) } else { Vec::new() };
    let title = match &options.runs[..] {
        [one] => format!("Report on {}", name_of(one)),
        several => format!("Report on {} runs", several.len()),
    };
    write(&Page { title, lead, chapters, made_by: made_by() }, &options.output, options.runs.len())
}

/// Writes a page, and says what is on it.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(page: &Page, path: &Path, runs: usize) -> Result<ReportSummary, RunError> {
    let figures = page.figures().map(|figure| figure.name.clone()).collect();
    page.write(path)?;
    let bytes = std::fs::metadata(path).map_err(RunError::io("read", path))?.len() as usize;
    Ok(ReportSummary { runs, figures, bytes })
}

/// What made a page.
pub(crate) fn made_by() -> String {
    format!(
        "Made by cei {}. This page is one file: it loads nothing, runs no script, and holds the numbers of its figures.",
        env!("CARGO_PKG_VERSION")
    )
}

/// Refuses, before anything is computed, a page that cannot be written, or in the place of what is read.
fn check(options: &ReportOptions) -> Result<(), RunError> {
    let files = [RECORD, HISTORY, EVALUATION, CALIBRATION];
    let inputs: Vec<PathBuf> =
        options.runs.iter().flat_map(|run| files.map(|file| run.join(file))).collect();
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    Ok(check_outputs(&inputs, &[&options.output])?)
}
