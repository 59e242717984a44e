//! Which of several runs describes measured momenta: `cei compare RUN... --data`.
//!
//! The evidence `p(y)` of the refinement is a density of the momenta of an event, averaged over the law that a run was trained
//! on; so evidences of runs on other charges, charging, isomers or break-ups compare, per event, for all events, and as parts of a
//! mixture.

use std::path::{Path, PathBuf};

use cei_data::ColumnData;
use cei_model::Device;
use cei_posterior::Shares;
use ndarray::{Array2, ArrayView1, Axis};
use serde::Serialize;

use crate::RunError;
use crate::dataset::{GivenCharges, LaterTable};
use crate::posterior::{Measured, Posterior, refine_each};
use crate::refine::{RefinedEvent, Refiner};

/// Importance draws of an event.
const DRAWS: usize = 1_000;
/// How far an event may tell two runs apart in the sum over the sample, nats. Of an event that a law hardly reaches importance
/// draws find too small an evidence, or none; and a run must not choose the events that it is judged by.
const MOST_APART: f64 = 20.0;

/// What several runs make of the same momenta.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceReport {
    /// Events.
    pub events: usize,
    /// Events that no run explains at all; nothing here is about them.
    pub unexplained: usize,
    /// Events that every run explains.
    pub explained_by_all: usize,
    /// The run of largest evidence.
    pub best: String,
    /// One entry a run.
    pub runs: Vec<RunEvidence>,
}

/// What one run makes of them.
#[derive(Debug, Clone, Serialize)]
pub struct RunEvidence {
    /// The run folder.
    pub run: String,
    /// Sum of `log p(y)` over the events that any run explains, nats; each counts as at least 20 below that of the run that
    /// explains it best, also where this run excludes it.
    pub log_evidence: f64,
    /// How much more the best run has, nats.
    pub below_best: f64,
    /// The standard deviation of this over samples of as many events, with the error of the importance draws.
    pub below_best_sd: f64,
    /// The part of the events that this run describes, if all are a mixture.
    pub fraction: f64,
    /// Its standard deviation under its posterior, with a flat prior.
    pub fraction_sd: f64,
    /// 5 and 95 % of it.
    pub fraction_90: [f64; 2],
    /// Events that this run does not explain at all, but others do.
    pub excluded: usize,
    /// Events that are outside its model, for any reason of the refinement.
    pub outside_model: usize,
}

/// Evidences of events under several runs.
pub struct Evidences {
    /// What they say of the events together.
    pub report: EvidenceReport,
    /// Row of each event in the table, from 0.
    pub numbers: Vec<u64>,
    /// `log p(y)` (events x runs) in nats per unit volume of the momenta (a.u.); minus infinity where a run excludes an event.
    pub log_evidence: Array2<f64>,
    /// Their standard deviations by the effective number of importance draws.
    pub log_evidence_sd: Array2<f64>,
    /// Probability (events x runs) of each run for an event, if all are a mixture.
    pub probabilities: Array2<f64>,
    /// What there is to say about the momenta, one thing an entry.
    pub warnings: Vec<String>,
}

impl Evidences {
    /// The columns of a table of them: of runs `names` stand in the columns.
    #[must_use]
    pub fn columns(&self, names: &[String]) -> Vec<(String, ColumnData)> {
        let mut columns = vec![("event".to_owned(), ColumnData::U64(self.numbers.clone()))];
        for (place, name) in names.iter().enumerate() {
            let parts = [
                ("log_evidence", &self.log_evidence),
                ("log_evidence_sd", &self.log_evidence_sd),
                ("p", &self.probabilities),
            ];
            columns.extend(parts.map(|(what, all)| {
                // What is not finite is written as nothing.
                let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
                let values = all.column(place).iter().map(|value| finite(*value)).collect();
                (format!("{what}_{name}"), ColumnData::F64(values))
            }));
        }
        columns
    }
}

/// Weighs runs by what each makes of the same momenta; `progress` is told how many of all refinements are done.
///
/// # Errors
/// Fewer than two runs, a run that cannot be refined or has no noise; momenta that cannot be read, or of which runs measure
/// different numbers or leave out different rows; no event that any run explains.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::dataset::LaterTable;
/// use cei_run::evidence::weigh_runs;
///
/// # let momenta = folder.path().join("measured.csv");
/// # let simulation = cei_run::config::preset_simulation("ocs-wide")?;
/// # let few = cei_physics::Simulation { events: 5, seed: 8, ..simulation };
/// # let law = cei_run::simulate::Geometries::Law;
/// # cei_run::simulate::simulate_to_file(&few, &law, false, &momenta, |_, _| {})?;
/// let momenta = LaterTable::file(momenta.to_string_lossy());
/// let device = cei_model::open_device("cpu")?;
/// // A run and itself: nothing tells them apart.
/// let found = weigh_runs(&[run.clone(), run], &momenta, 0, &device, |_, _| {})?;
/// assert_eq!(found.report.events, 5);
/// assert!(found.report.runs[1].below_best.abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn weigh_runs(
    runs: &[PathBuf],
    momenta: &LaterTable,
    seed: u64,
    device: &Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<Evidences, RunError> {
    let [first, _, ..] = runs else { return Err(RunError::OneRun) };
    let (mut numbers, mut warnings) = (Vec::new(), Vec::new());
    let (mut columns, mut sds, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    let mut components = None;
    for (place, path) in runs.iter().enumerate() {
        let posterior = Posterior::load(path, device.clone())?;
        let measured = posterior.measured_in(momenta)?;
        let width = posterior.run().record.preprocessing.momenta();
        if *components.get_or_insert(width) != width {
            return Err(RunError::OtherEvents { first: first.clone(), other: path.clone() });
        }
        if place > 0 && measured.numbers != numbers {
            return Err(RunError::OtherEvents { first: first.clone(), other: path.clone() });
        }
        numbers.clone_from(&measured.numbers);
        let of_run =
            measured.warnings.iter().map(|said| format!("run `{}`: {said}", path.display()));
        warnings.extend(of_run);
        let known = momenta.columns.charges != GivenCharges::Unknown;
        let found = of_run_events(posterior, path, &measured, known, seed, |done, of| {
            progress(place * of + done, runs.len() * of);
        })?;
        outside.push(found.iter().filter(|event| event.is_outside).count());
        columns.push(found.iter().map(|event| event.log_evidence).collect::<Vec<_>>());
        sds.push(found.iter().map(|event| event.sd).collect::<Vec<_>>());
    }
    let of = |columns: &[Vec<f64>]| {
        Array2::from_shape_fn((numbers.len(), runs.len()), |(event, run)| columns[run][event])
    };
    let (log_evidence, log_evidence_sd) = (of(&columns), of(&sds));
    let (report, probabilities) = judge(runs, &log_evidence, &log_evidence_sd, &outside, seed)?;
    Ok(Evidences { report, numbers, log_evidence, log_evidence_sd, probabilities, warnings })
}

/// What a run makes of one event.
struct Explained {
    /// Minus infinity where it is excluded.
    log_evidence: f64,
    sd: f64,
    is_outside: bool,
}

fn of_run_events(
    posterior: Posterior,
    path: &Path,
    measured: &Measured,
    charges_known: bool,
    seed: u64,
    progress: impl FnMut(usize, usize),
) -> Result<Vec<Explained>, RunError> {
    let mut run = posterior.into_run();
    run.draw_from_prior();
    let refiner = Refiner::new(&run, DRAWS, DRAWS, seed, charges_known)?;
    if !refiner.has_noise() {
        return Err(RunError::CannotRefine {
            path: path.to_owned(),
            why: "its momenta have no noise, so that events have no evidence".to_owned(),
            hint: "declare `detector.momentum_noise_au` in the experiment",
        });
    }
    let mut found = Vec::with_capacity(measured.numbers.len());
    let take = |refined: Option<RefinedEvent>| {
        // The mean of S weights of the effective number E has a relative variance of 1 / E - 1 / S.
        let size = refined.as_ref().and_then(|event| event.effective_sample_size).unwrap_or(0.0);
        let evidence = refined.as_ref().and_then(|event| event.log_evidence);
        found.push(Explained {
            log_evidence: evidence.unwrap_or(f64::NEG_INFINITY),
            sd: (1.0 / size - 1.0 / DRAWS as f64).max(0.0).sqrt(),
            is_outside: refined.is_none_or(|event| event.outside.any()),
        });
    };
    refine_each(&run, &refiner, measured, seed, take, progress)?;
    Ok(found)
}

fn judge(
    runs: &[PathBuf],
    log_evidence: &Array2<f64>,
    sds: &Array2<f64>,
    outside: &[usize],
    seed: u64,
) -> Result<(EvidenceReport, Array2<f64>), RunError> {
    let (events, count) = log_evidence.dim();
    let is_known = |event: &usize| log_evidence.row(*event).iter().any(|log| log.is_finite());
    let explained: Vec<usize> = (0..events).filter(is_known).collect();
    if explained.is_empty() {
        return Err(RunError::NothingExplained);
    }
    let shares = Shares::of(log_evidence.select(Axis(0), &explained).view(), seed)?;
    let mut probabilities = Array2::from_elem((events, count), f64::NAN);
    for event in &explained {
        let of_event = shares.probabilities(&log_evidence.row(*event).to_vec());
        probabilities.row_mut(*event).assign(&ArrayView1::from(&of_event));
    }
    let by_all = |event: &&usize| log_evidence.row(**event).iter().all(|log| log.is_finite());
    let least = log_evidence.map_axis(Axis(1), |event| {
        event.iter().copied().fold(f64::NEG_INFINITY, f64::max) - MOST_APART
    });
    let excludes = |event: usize, run: usize| !log_evidence[[event, run]].is_finite();
    let of = |event: usize, run: usize| log_evidence[[event, run]].max(least[event]);
    let variance = |event: usize, run: usize| match log_evidence[[event, run]] > least[event] {
        true => sds[[event, run]].powi(2),
        false => 0.0,
    };
    let sum = |run: usize| explained.iter().map(|event| of(*event, run)).sum::<f64>();
    let sums: Vec<f64> = (0..count).map(sum).collect();
    let best = (0..count).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or(0);
    let n = explained.len() as f64;
    let runs_found = runs.iter().enumerate().map(|(run, path)| {
        let apart = |event: &usize| of(*event, best) - of(*event, run);
        let mean = (sums[best] - sums[run]) / n;
        let spread: f64 = explained.iter().map(|event| (apart(event) - mean).powi(2)).sum();
        let importance = |event: &usize| variance(*event, best) + variance(*event, run);
        let importance: f64 = explained.iter().map(importance).sum();
        RunEvidence {
            run: path.display().to_string(),
            log_evidence: sums[run],
            below_best: sums[best] - sums[run],
            below_best_sd: match run == best {
                true => 0.0,
                false => (spread * n / (n - 1.0).max(1.0) + importance).sqrt(),
            },
            fraction: shares.shares[run],
            fraction_sd: shares.sd[run],
            fraction_90: shares.interval_90[run],
            excluded: explained.iter().filter(|event| excludes(**event, run)).count(),
            outside_model: outside[run],
        }
    });
    let report = EvidenceReport {
        events,
        unexplained: events - explained.len(),
        explained_by_all: explained.iter().filter(by_all).count(),
        best: runs[best].display().to_string(),
        runs: runs_found.collect(),
    };
    Ok((report, probabilities))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A narrow run that explains 2 of 20 events, and these better, and a broad one that explains all: the sample is of the
    /// broad one. By the two events alone it would be of the narrow one.
    #[test]
    fn a_run_does_not_choose_the_events_that_it_is_judged_by() -> Result<(), RunError> {
        let runs = ["narrow", "broad"].map(PathBuf::from);
        let narrow = |event: usize| if event < 2 { -40.0 } else { f64::NEG_INFINITY };
        let broad = |event: usize| -44.0 - 0.1 * event as f64;
        let log_evidence = Array2::from_shape_fn((20, 2), |(event, run)| match run {
            0 => narrow(event),
            _ => broad(event),
        });
        let sds = Array2::zeros((20, 2));
        let (report, _) = judge(&runs, &log_evidence, &sds, &[18, 0], 0)?;
        assert_eq!((report.best.as_str(), report.explained_by_all), ("broad", 2));
        // Twenty nats for each of 18 events, less what the other two are better by.
        let narrow = &report.runs[0];
        assert!((narrow.below_best - (360.0 - 4.0 - 4.1)).abs() < 1e-9, "{narrow:?}");
        assert_eq!((narrow.excluded, report.runs[1].excluded), (18, 0));
        assert!(report.runs[1].fraction > 0.8, "{report:?}");
        Ok(())
    }
}
