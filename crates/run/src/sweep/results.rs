//! What a search leaves beside its runs: `trials.csv`, `best.toml` and a figure.

use std::fmt::Write as _;
use std::path::Path;

use cei_report::{SearchAxis, SearchKey, SearchTrials, search_results};

use super::importance::Importance;
use super::space::{Values, number};
use super::study::{Outcome, State, Study, Trial};
use crate::RunError;
use crate::config::Experiment;
use crate::config::sweep::{Range, SweepConfig};
use crate::figures::{folder as figures_folder, name_of};
use crate::folder::layout::{BEST, TRIALS, figure};

/// Writes the table of the trials, and the experiment of the best one as soon as there is one.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write_tables(
    folder: &Path,
    study: &Study,
    sweep: &SweepConfig,
) -> Result<(), RunError> {
    cei_files::write(&folder.join(TRIALS), table(study, sweep).as_bytes())?;
    if let Some((trial, loss)) = study.best() {
        let text = best(study, sweep, trial, loss)?;
        cei_files::write(&folder.join(BEST), text.as_bytes())?;
    }
    Ok(())
}

/// Draws what was tried and found, once a trial was trained to its end.
///
/// # Errors
/// A file cannot be written.
pub(super) fn draw(
    folder: &Path,
    study: &Study,
    sweep: &SweepConfig,
    experiment: &Experiment,
    importance: &[Importance],
) -> Result<(), RunError> {
    let Some((best, _)) = study.best() else { return Ok(()) };
    let labels: Vec<Vec<String>> = sweep.over.values().map(choices).collect();
    let keys: Vec<SearchKey<'_>> = sweep
        .over
        .iter()
        .zip(&labels)
        .map(|((key, range), labels)| {
            let found = importance.iter().find(|importance| importance.key == *key);
            SearchKey {
                key,
                axis: match range {
                    Range::Choices(_) => SearchAxis::Choices(labels),
                    Range::Interval(interval) if interval.log => SearchAxis::Logarithmic,
                    Range::Interval(_) => SearchAxis::Linear,
                },
                complete: points(study, State::Complete, key, range),
                stopped: points(study, State::Stopped, key, range),
                given: point(&study.trials[0], key, range),
                best: point(best, key, range),
                importance: found.map(|found| (found.share, found.by_chance)),
            }
        })
        .collect();
    let ended = study.ranked();
    let count = |state| ended.iter().filter(|(_, outcome)| outcome.state == state).count();
    let trials = SearchTrials {
        title: &format!("{} ({})", experiment.model.architecture().name(), name_of(folder)),
        loss_label: experiment.model.architecture().loss_label(),
        complete: count(State::Complete),
        stopped: count(State::Stopped),
        failed: count(State::Failed),
    };
    let stem = figures_folder(folder)?.join(figure::SWEEP);
    search_results(&stem, &trials, &keys)?;
    Ok(())
}

fn table(study: &Study, sweep: &SweepConfig) -> String {
    let mut text = "trial,state,validation_loss,best_epoch,epochs,seconds".to_owned();
    for key in sweep.over.keys() {
        let _ = write!(text, ",{}", quoted(key));
    }
    text.push_str(",reason\n");
    for trial in &study.trials {
        let Some(outcome) = &trial.outcome else { continue };
        let (epoch, loss) = outcome
            .lowest()
            .map_or_else(Default::default, |(epoch, loss)| (epoch.to_string(), loss.to_string()));
        let Outcome { state, reason, validation_losses, seconds } = outcome;
        let (number, epochs) = (trial.number, validation_losses.len());
        let _ = write!(text, "{number},{},{loss},{epoch},{epochs},{seconds:.3}", state.name());
        for key in sweep.over.keys() {
            let value = trial.values.get(key).map_or_else(String::new, plain);
            let _ = write!(text, ",{}", quoted(&value));
        }
        let _ = writeln!(text, ",{}", quoted(reason));
    }
    text
}

fn best(study: &Study, sweep: &SweepConfig, trial: &Trial, loss: f64) -> Result<String, RunError> {
    let experiment = study.given.trial(&trial.values)?;
    let epoch = trial.outcome.as_ref().and_then(Outcome::lowest).map_or(0, |(epoch, _)| epoch);
    let ended = study.ranked().len();
    let mut text = format!(
        "# The best of {ended} trials of `cei sweep`: trial {}, with a validation loss of {loss} in epoch {epoch}.\n#\n",
        trial.number
    );
    for key in sweep.over.keys() {
        if let Some(value) = trial.values.get(key) {
            let _ = writeln!(text, "# {key} = {value}");
        }
    }
    let _ = write!(text, "\n{}", experiment.to_toml());
    Ok(text)
}

/// A value as a cell: text without quotes.
pub(super) fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A cell of CSV.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

fn choices(range: &Range) -> Vec<String> {
    match range {
        Range::Choices(choices) => choices.iter().map(plain).collect(),
        Range::Interval(_) => Vec::new(),
    }
}

fn points(study: &Study, state: State, key: &str, range: &Range) -> Vec<(f64, f64)> {
    let of_state = study.ranked().into_iter().filter(|(_, outcome)| outcome.state == state);
    of_state.filter_map(|(trial, _)| point(trial, key, range)).collect()
}

/// Value and lowest loss of a trial; of a choice its number, from 0.
fn point(trial: &Trial, key: &str, range: &Range) -> Option<(f64, f64)> {
    let (_, loss) = trial.outcome.as_ref()?.lowest()?;
    let value = place(&trial.values, key, range)?;
    Some((value, loss))
}

fn place(values: &Values, key: &str, range: &Range) -> Option<f64> {
    let value = values.get(key)?;
    match range {
        Range::Choices(_) => super::space::place_of(range, value),
        // Also the experiment's own value, which may lie outside.
        Range::Interval(_) => number(value),
    }
}
