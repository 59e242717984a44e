//! The sections about a run itself: its training, its results, its calibration.

use cei_files::quoted;
use cei_report::page::{Block, Section};

use super::{calibration, learning, scores, trained_on};
use crate::TrainedRun;
use crate::calibrate::Calibration;
use crate::compare::read_evaluation;
use crate::folder::layout::CALIBRATION;
use crate::folder::sealed::read_json;

/// What to do about a calibration that is damaged.
const HINT: &str = "run `cei calibrate` again";

/// What was trained on what, learning curves, results beside baselines and floors, calibration.
pub(crate) fn sections(run: &TrainedRun) -> Vec<Section> {
    let evaluation = read_evaluation(&run.path);
    let results = match &evaluation {
        Ok(evaluation) => scores::section(evaluation),
        Err(error) => Section {
            title: "Results beside baselines and floors".to_owned(),
            blocks: vec![Block::Notice(format!("There are no results: {error}"))],
        },
    };
    let tests = read_calibration(run);
    let tests = tests.as_ref().map_err(String::as_str);
    vec![
        trained_on::section(run),
        learning::section(run),
        results,
        calibration::section(evaluation.as_ref().ok(), tests),
    ]
}

/// The calibration in the folder of a run, or why there is none that can be shown.
fn read_calibration(run: &TrainedRun) -> Result<Calibration, String> {
    let file = run.path.join(CALIBRATION);
    if !file.exists() {
        return Err(format!(
            "The posterior has not been tested yet.\nhint: run `cei calibrate {}` first",
            quoted(&run.path)
        ));
    }
    let (value, _) = read_json(&file, HINT).map_err(|error| error.to_string())?;
    let calibration: Calibration = serde_json::from_value(value)
        .map_err(|error| format!("`{}` cannot be read: {error}\nhint: {HINT}", file.display()))?;
    // Events of a simulator follow from seeds, whatever the last bit of another processor.
    let is_of_files = run.experiment.source.simulator.is_none();
    let is_other_table = calibration.data_fingerprint != run.record.data_fingerprint;
    if calibration.model != run.record.name() || (is_of_files && is_other_table) {
        return Err(format!(
            "`{}` is of another model or table than the run has now\nhint: {HINT}",
            file.display()
        ));
    }
    Ok(calibration)
}
