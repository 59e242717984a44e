//! The page about a prediction: events that are kept while they are drawn, and what is told about the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cei_report::page::{Block, Chapter, Page, Section};
use ndarray::{Array2, ArrayView2, Axis, s};

use super::options::PredictOptions;
use super::report::{OutsideCounts, PredictionReport, RefinementReport};
use super::tables::{Events, Tables};
use crate::figures::name_of;
use crate::report::{
    CORNER_DRAWS, CornerEvent, MOST_EVENTS, MOST_MOMENTA, Sample, SampledEvent, SampledMode,
    chosen_events, made_by, sections_of_events, sections_of_run, write,
};
use crate::{RunError, TrainedRun};

/// Numbers of the draws that are kept: 32 MB.
const KEPT_NUMBERS: usize = 4_000_000;
/// Draws of an event that are kept at least.
const LEAST_DRAWS: usize = 20;
/// Flagged events that are kept whatever their place.
const FLAGGED: usize = 2;
/// Events that are named where another was asked for.
const MOST_NAMED: usize = 5;

/// Events of a prediction that are kept for its page.
pub(super) struct Kept {
    /// Places of the events of the sample, evenly spaced.
    spaced: BTreeSet<usize>,
    /// Numbers of the events that were asked for.
    asked: Vec<u64>,
    /// Draws that are kept of an event.
    draws: usize,
    /// Events of the sample, with their modes.
    sampled: Vec<(SampledEvent, Vec<SampledMode>)>,
    /// Events that are shown alone, whether they are of the sample or not, and why.
    alone: Vec<CornerEvent>,
    flagged: usize,
}

impl Kept {
    /// What is to be kept of the events with these numbers; none if no page is wanted.
    ///
    /// # Errors
    /// An event that is asked for and is not there.
    pub(super) fn new(
        options: &PredictOptions,
        numbers: &[u64],
        columns: usize,
    ) -> Result<Option<Self>, RunError> {
        if options.report_file.is_none() {
            return Ok(None);
        }
        if let Some(event) = options.report_events.iter().find(|event| !numbers.contains(event)) {
            return Err(RunError::NoSuchEvent {
                key: "--report-events",
                event: *event,
                of: format!("the {} events of the file", numbers.len()),
                known: numbers.iter().take(MOST_NAMED).copied().collect(),
            });
        }
        let used = numbers.len().min(MOST_EVENTS);
        Ok(Some(Self {
            spaced: (0..used).map(|place| place * numbers.len() / used).collect(),
            asked: options.report_events.clone(),
            draws: (KEPT_NUMBERS / (used * columns).max(1)).clamp(LEAST_DRAWS, CORNER_DRAWS),
            sampled: Vec::new(),
            alone: Vec::new(),
            flagged: 0,
        }))
    }

    /// Takes the events of a chunk, with their draws.
    pub(super) fn add(&mut self, tables: &Tables<'_>, events: &Events<'_>) {
        for (place, draws) in tables.draws(events).into_iter().enumerate() {
            let event = events.first + place;
            let number = tables.numbers[event];
            let flags = flags(tables, events, place);
            let is_asked = self.asked.contains(&number);
            let is_flagged = !flags.is_empty() && self.asked.is_empty() && self.flagged < FLAGGED;
            let is_sampled = self.spaced.contains(&event);
            if !(is_asked || is_flagged || is_sampled) {
                continue;
            }
            let momenta = tables.momenta();
            let charges = match tables.charges_of_first_draw(events, place) {
                Some(charges) => charges.to_vec(),
                None => events.y.slice(s![place, momenta..]).to_vec(),
            };
            let modes = events.refined.map(|refined| SampledMode::of(&refined[place]));
            let modes = modes.unwrap_or_default();
            let sampled = |most: usize| SampledEvent {
                number,
                y: events.y.slice(s![place, ..momenta]).to_vec(),
                charges: charges.clone(),
                truth: None,
                draws: first(draws, most),
                flags: flags.clone(),
            };
            if is_asked || is_flagged {
                let why = match (is_asked, flags.is_empty()) {
                    (true, true) => "asked for".to_owned(),
                    (true, false) => format!("asked for; flagged: {flags}"),
                    (false, _) => format!("flagged: {flags}"),
                };
                self.flagged += usize::from(is_flagged);
                self.alone.push(CornerEvent {
                    event: sampled(CORNER_DRAWS),
                    why,
                    modes: modes.clone(),
                });
            }
            if is_sampled {
                self.sampled.push((sampled(self.draws), modes));
            }
        }
    }

    /// The sample of all that was kept. Where no events were asked for, a typical and a wide one stand beside those that
    /// are flagged.
    fn sample(
        self,
        run: &TrainedRun,
        what: String,
        y: ArrayView2<'_, f64>,
    ) -> Result<Sample, RunError> {
        let (events, modes): (Vec<SampledEvent>, Vec<Vec<SampledMode>>) =
            self.sampled.into_iter().unzip();
        let used = y.nrows().min(MOST_MOMENTA);
        let spaced: Vec<usize> = (0..used).map(|place| place * y.nrows() / used).collect();
        let mut sample = Sample {
            what,
            total: y.nrows(),
            momenta: y.select(Axis(0), &spaced),
            events,
            corners: self.alone,
            no_modes: None,
        };
        if self.asked.is_empty() {
            for (place, why) in chosen_events(run, &sample)? {
                let event = &sample.events[place];
                let is_known =
                    sample.corners.iter().any(|known| known.event.number == event.number);
                if !is_known && event.flags.is_empty() {
                    let (event, modes) = (event.clone(), modes[place].clone());
                    sample.corners.push(CornerEvent { event, why, modes });
                }
            }
        }
        Ok(sample)
    }
}

/// The first draws of an event.
fn first(draws: ArrayView2<'_, f64>, most: usize) -> Array2<f64> {
    let kept = draws.nrows().min(most);
    draws.slice(s![..kept, ..]).to_owned()
}

/// Why an event of a chunk is doubtful; empty if it is not.
fn flags(tables: &Tables<'_>, events: &Events<'_>, place: usize) -> String {
    let outside = tables.why_outside(events.first + place);
    let model = events.refined.map(|refined| refined[place].outside.to_string());
    let edge = events.law_edge.get(place).cloned().flatten();
    let parts = [outside, model.filter(|words| !words.is_empty()), edge];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Writes the page.
///
/// # Errors
/// It cannot be written; draws that do not fit the run.
pub(super) fn write_page(
    run: &TrainedRun,
    options: &PredictOptions,
    kept: Kept,
    report: &PredictionReport,
    y: ArrayView2<'_, f64>,
) -> Result<(), RunError> {
    let Some(path) = &options.report_file else { return Ok(()) };
    let files = options.momenta.resolve()?;
    let what = match &files[..] {
        [one] => format!("events of {}", name_of(one)),
        several => format!("events of {} files", several.len()),
    };
    let mut sample = kept.sample(run, what.clone(), y)?;
    if report.refinement.is_none() {
        sample.no_modes = Some("they are the simulator's, which `--refine` asks".to_owned());
    }
    let mut sections = vec![about_file(run, &files, report)];
    sections.extend(sections_of_events(run, &sample)?);
    let name = name_of(&run.path);
    let chapters = vec![
        Chapter { title: format!("Inferred by {name}: {what}"), sections },
        Chapter {
            title: format!("The run {name} ({})", run.record.name()),
            sections: sections_of_run(run),
        },
    ];
    let title = format!("Report on {what}");
    write(&Page { title, lead: Vec::new(), chapters, made_by: made_by() }, path, 1).map(drop)
}

/// What is known of the file as a whole.
fn about_file(run: &TrainedRun, files: &[PathBuf], report: &PredictionReport) -> Section {
    let PredictionReport { events, draws, frame, .. } = report;
    let mut blocks: Vec<Block> = Vec::new();
    let warning = report.plausibility.as_ref().and_then(|file| file.warning());
    blocks.extend(warning.map(Block::Notice));
    blocks.extend(report.remarks.iter().chain(&report.far_out).cloned().map(Block::Notice));
    let names: Vec<String> = files.iter().map(|file| Path::display(file).to_string()).collect();
    let mut facts = vec![
        ("File".to_owned(), names.join(", ")),
        ("Run".to_owned(), run.path.display().to_string()),
        ("Events".to_owned(), format!("{events}, {draws} draws asked for of each")),
        ("Positions".to_owned(), frame.clone()),
    ];
    if report.dropped.rows > 0 {
        facts.push(("Left out".to_owned(), report.dropped.to_string()));
    }
    if let Some(outside) = &report.outside {
        facts.push(("Outside the training support".to_owned(), outside_in_words(outside, *events)));
    }
    if let Some(refinement) = &report.refinement {
        facts.push((
            "Refined by the simulator".to_owned(),
            refinement_in_words(refinement, *events),
        ));
    }
    let limits = report.law_edge.iter().flat_map(|edges| &edges.limits);
    for limit in limits {
        facts.push((
            "Pinned to a limit of the geometry law".to_owned(),
            format!("{}: {} events", limit.limit, limit.events),
        ));
    }
    if report.off_constant_events > 0 {
        blocks.push(Block::Notice(format!(
            "In {} of {events} events a momentum that never varied in training has another value; the model cannot use it.",
            report.off_constant_events
        )));
    }
    blocks.push(Block::Facts(facts));
    Section { title: "The file".to_owned(), blocks }
}

fn outside_in_words(outside: &OutsideCounts, events: usize) -> String {
    let OutsideCounts { events: any, momentum_sum, kinetic_energy, distance, far_out } = outside;
    format!(
        "{any} of {events} events: momentum sum {momentum_sum}, kinetic energy {kinetic_energy}, distance to training momenta {distance}, no measurement {far_out}"
    )
}

fn refinement_in_words(refinement: &RefinementReport, events: usize) -> String {
    let RefinementReport { outside_model, k_hat, evidence, no_mode, search, law_edge, .. } =
        refinement;
    let size = refinement
        .median_effective_sample_size
        .map_or_else(String::new, |size| format!("; median effective number of draws {size:.0}"));
    format!(
        "{outside_model} of {events} events are not described by the model (heavy tail of the weights {k_hat}, evidence {evidence}, no geometry found {no_mode}, searches that do not agree {search}, limit of the law {law_edge}); {} have several modes{size}",
        refinement.several_modes
    )
}
