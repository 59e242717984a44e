//! The figures by which coincidences are shown: kinetic energy release, momentum sums, angles between momenta, Newton,
//! Dalitz and native-frame plots, of one sample of momenta or of two beside each other (docs/reading-figures.md).
//!
//! | in | is |
//! | --- | --- |
//! | `sample` | momenta, ions, and which of these are in plots of a plane |
//! | `coordinates` | what is plotted of one event |
//! | `bins` | counting |
//! | `one_axis`, `maps` | the panels of each figure |

mod bins;
pub(crate) mod coordinates;
mod maps;
mod one_axis;
mod sample;

use std::path::{Path, PathBuf};

use cei_report::{NumberedFigure, count_histograms, count_maps};

use crate::RunError;
use maps::Maps;
use one_axis::Histograms;
pub use sample::{IonsOfEvents, MomentaSample};

/// Pairs of ions whose angles have a panel, at most.
const MOST_PAIRS: usize = 15;
/// Ions that have a panel in a Newton plot, at most.
const MOST_IONS: usize = 10;

/// A figure that was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldFigure {
    /// Its name: `ker`, `momentum_sum`, `angles`, `newton`, `dalitz` or `native_frame`.
    pub figure: &'static str,
    /// Events of each sample in it.
    pub events: Vec<usize>,
    /// The figure.
    pub svg: PathBuf,
    /// The same as pixels.
    pub png: PathBuf,
    /// The numbers: counts in bins.
    pub csv: PathBuf,
}

/// What was written, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldFigures {
    /// The figures.
    pub figures: Vec<FieldFigure>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Writes the figures of one sample, or of two that are compared, into a folder, which is made if it is not there.
/// All events are counted; those in which an ion is missing only where the figure does not need it.
///
/// # Errors
/// No event in which all ions were detected, or files that cannot be written.
pub fn field_figures(
    folder: &Path,
    title: &str,
    ions: &IonsOfEvents,
    samples: &[MomentaSample<'_>],
) -> Result<FieldFigures, RunError> {
    for sample in samples {
        if sample.complete().next().is_none() {
            return Err(RunError::NoCompleteEvent { sample: sample.name.to_owned() });
        }
    }
    std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    let mut written = Written { folder, title, figures: Vec::new(), left_out: Vec::new() };
    written.histograms("ker", "kinetic energy release", one_axis::energy(ions, samples))?;
    written.histograms("momentum_sum", "momentum sum", one_axis::sums(ions, samples))?;
    written.angles(ions, samples)?;
    written.maps(ions, samples)?;
    let Written { figures, mut left_out, .. } = written;
    for sample in samples {
        let (events, complete) = (sample.momenta_au.nrows(), sample.complete().count());
        if complete < events {
            left_out.push(format!(
                "{} of {events} {} events miss an ion: they are in the figures that do not need it",
                events - complete,
                sample.name
            ));
        }
    }
    Ok(FieldFigures { figures, left_out })
}

struct Written<'a> {
    folder: &'a Path,
    title: &'a str,
    figures: Vec<FieldFigure>,
    left_out: Vec<String>,
}

impl Written<'_> {
    fn angles(
        &mut self,
        ions: &IonsOfEvents,
        samples: &[MomentaSample<'_>],
    ) -> Result<(), RunError> {
        let all = (0..ions.len()).flat_map(|a| (a + 1..ions.len()).map(move |b| [a, b]));
        let mut pairs: Vec<[usize; 2]> = all.collect();
        if pairs.len() > MOST_PAIRS {
            self.left_out.push(format!(
                "angles: the first {MOST_PAIRS} of {} pairs of ions are shown",
                pairs.len()
            ));
            pairs.truncate(MOST_PAIRS);
        }
        let angles = one_axis::angles(ions, samples, &pairs);
        self.histograms("angles", "angles between momenta", angles)
    }

    fn maps(&mut self, ions: &IonsOfEvents, samples: &[MomentaSample<'_>]) -> Result<(), RunError> {
        if ions.len() == 2 {
            self.left_out.push("newton, dalitz, native_frame: they need three ions".to_owned());
            return Ok(());
        }
        if ions.len() > MOST_IONS {
            self.left_out.push(format!("newton: {} ions are more than {MOST_IONS}", ions.len()));
        } else {
            let chosen = ions.chosen();
            let [a, b] = [chosen[0], chosen[1]].map(|ion| &ions.labels[ion]);
            let title = format!("Newton plot, {a} to the right and {b} above");
            self.map("newton", &title, maps::newton(ions, samples))?;
        }
        let Some(three) = ions.three() else {
            self.left_out.push(format!(
                "dalitz, native_frame: they are of three ions, and there are {}; choose three with `--figure-ions`",
                ions.len()
            ));
            return Ok(());
        };
        let names = three.map(|ion| ions.labels[ion].as_str()).join(", ");
        if ions.len() > 3 {
            self.left_out.push(format!(
                "dalitz, native_frame: of {names} alone, whose momenta need not add up to nothing"
            ));
        }
        let title = format!("Dalitz plot of {names}");
        self.map("dalitz", &title, maps::dalitz_plot(ions, three, samples))?;
        let title = format!("native frames of {names}");
        self.map("native_frame", &title, maps::native_frames(ions, three, samples))
    }

    fn histograms(
        &mut self,
        figure: &'static str,
        of: &str,
        drawn: Histograms,
    ) -> Result<(), RunError> {
        let Histograms { panels, events } = drawn;
        let title = format!("{}: {of}", self.title);
        let files = count_histograms(&self.folder.join(figure), &title, &panels)?;
        self.push(figure, events, files);
        Ok(())
    }

    fn map(&mut self, figure: &'static str, of: &str, drawn: Maps) -> Result<(), RunError> {
        let Maps { panels, events } = drawn;
        let title = format!("{}: {of}", self.title);
        let files = count_maps(&self.folder.join(figure), &title, &panels)?;
        self.push(figure, events, files);
        Ok(())
    }

    fn push(&mut self, figure: &'static str, events: Vec<usize>, files: NumberedFigure) {
        let NumberedFigure { figure: pictures, csv } = files;
        self.figures.push(FieldFigure {
            figure,
            events,
            svg: pictures.svg,
            png: pictures.png,
            csv,
        });
    }
}
