//! Learning curves, from the history of a run.

use std::path::Path;

use cei_report::page::{Block, Drawing, Figure, Section, learning_panel};
use cei_report::{EpochLoss, LearningCurve};

use super::words::{count, digits};
use crate::TrainedRun;
use crate::folder::layout::{HISTORY, member};
use crate::folder::{TrainingSummary, history, load_record};

/// A best loss of the history differs from that of the record by no more than the digits of an f32.
const SAME: f64 = 1e-5;

/// The section about how the loss fell.
pub(super) fn section(run: &TrainedRun) -> Section {
    let blocks = match figure(run) {
        Ok(figure) => vec![Block::Figure(figure)],
        Err(why) => vec![Block::Notice(format!("There are no learning curves: {why}."))],
    };
    Section { title: "Learning".to_owned(), blocks }
}

/// The history of one model.
struct Curve {
    title: String,
    history: Vec<EpochLoss>,
    training: TrainingSummary,
}

fn figure(run: &TrainedRun) -> Result<Figure, String> {
    let mut curves = Vec::new();
    match run.record.ensemble {
        None => curves.push(read(&run.path, run.record.name(), run.record.training.clone())?),
        Some(count) => {
            for number in 1..=count {
                let path = member(&run.path, number);
                let record = load_record(&path).map_err(|error| error.to_string())?;
                curves.push(read(&path, format!("member {number}"), record.training)?);
            }
        }
    }
    let lines: Vec<LearningCurve<'_>> = curves
        .iter()
        .map(|curve| LearningCurve {
            title: &curve.title,
            history: &curve.history,
            best_epoch: Some(curve.training.best_epoch),
        })
        .collect();
    let loss = run.record.model.architecture().loss_label();
    let panel = learning_panel(&lines, loss).ok_or("no loss is a finite number")?;
    Ok(Figure {
        name: "learning".to_owned(),
        title: "Loss of every epoch".to_owned(),
        reading: reading(&curves),
        drawing: Drawing::Panels(vec![panel]),
    })
}

/// The losses of a folder; they must be those of the training that the record is of.
fn read(path: &Path, title: String, training: TrainingSummary) -> Result<Curve, String> {
    let history: Vec<EpochLoss> = history::read(path)?
        .into_iter()
        .map(|epoch| EpochLoss {
            epoch: epoch.number,
            train: epoch.training_loss,
            validation: epoch.validation_loss,
        })
        .collect();
    let best = history.iter().find(|losses| losses.epoch == training.best_epoch);
    let is_same = best.is_some_and(|best| {
        let (found, known) = (best.validation, training.best_validation_loss);
        (found - known).abs() <= SAME * known.abs().max(1.0)
    });
    if !is_same {
        let file = path.join(HISTORY);
        return Err(format!("`{}` is not the history of the model beside it", file.display()));
    }
    Ok(Curve { title, history, training })
}

fn reading(curves: &[Curve]) -> String {
    let sentences: Vec<String> = curves
        .iter()
        .map(|Curve { title, history, training }| {
            let best = training.best_epoch;
            let first = history.first().map_or(f64::NAN, |losses| losses.validation);
            let at_best = history.iter().find(|losses| losses.epoch == best);
            let (train, validation) =
                at_best.map_or((f64::NAN, f64::NAN), |losses| (losses.train, losses.validation));
            if curves.len() > 1 {
                return format!("{title} {} in epoch {best} of {}", digits(validation, 4), training.epochs);
            }
            let after = match training.epochs - best.min(training.epochs) {
                0 => "the last one, so it may not have ended learning".to_owned(),
                after => format!("and did not fall below it in the {} after", count(after, "epoch")),
            };
            format!(
                "The validation loss fell from {} to its least, {}, in epoch {best} of {}, {after}; the training loss of that epoch is {} {}",
                digits(first, 4),
                digits(validation, 4),
                training.epochs,
                digits((validation - train).abs(), 2),
                if train <= validation { "lower" } else { "higher" }
            )
        })
        .collect();
    if curves.len() > 1 {
        return format!("The least validation losses of the members: {}.", sentences.join("; "));
    }
    format!("{}.", sentences.join("; "))
}
