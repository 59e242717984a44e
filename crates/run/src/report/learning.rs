//! Learning curves, from the history of a run.

use std::path::Path;

use cei_report::page::{Block, Drawing, Figure, Section, learning_panel};
use cei_report::{EpochLoss, LearningCurve};

use super::words::{count, digits};
use crate::TrainedRun;
use crate::folder::layout::{HISTORY, member};
use crate::folder::{TrainingSummary, load_record};

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
    let file = path.join(HISTORY);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
    let history = parse(&text).map_err(|why| format!("`{}`: {why}", file.display()))?;
    let best = history.iter().find(|losses| losses.epoch == training.best_epoch);
    let is_same = best.is_some_and(|best| {
        let (found, known) = (best.validation, training.best_validation_loss);
        (found - known).abs() <= SAME * known.abs().max(1.0)
    });
    if !is_same {
        return Err(format!("`{}` is not the history of the model beside it", file.display()));
    }
    Ok(Curve { title, history, training })
}

/// Epoch, training and validation loss of every line of a history.
fn parse(text: &str) -> Result<Vec<EpochLoss>, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let place = |name: &str| {
        header.iter().position(|column| *column == name).ok_or(format!("it has no column `{name}`"))
    };
    let places = [place("epoch")?, place("training_loss")?, place("validation_loss")?];
    let of_line = |(row, line): (usize, &str)| {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |place: usize| -> Result<f64, String> {
            let cell = cells.get(place).copied().unwrap_or_default();
            cell.parse().map_err(|_| format!("row {row}: `{cell}` is no number"))
        };
        let [epoch, train, validation] = [cell(places[0])?, cell(places[1])?, cell(places[2])?];
        Ok(EpochLoss { epoch: epoch as usize, train, validation })
    };
    lines.enumerate().map(of_line).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_by_the_names_of_its_columns() {
        let text = "epoch,training_loss,validation_loss,seconds\n1,2.5,3,0.1\n2,1.5,NaN,0.1\n";
        let history = parse(text).unwrap();
        assert_eq!((history[0].epoch, history[0].train, history[0].validation), (1, 2.5, 3.0));
        assert!(history[1].validation.is_nan());
        assert!(parse("epoch\n1\n").unwrap_err().contains("`training_loss`"));
        assert!(
            parse("epoch,training_loss,validation_loss\n1,x,2\n")
                .unwrap_err()
                .contains("row 0: `x`")
        );
    }
}
