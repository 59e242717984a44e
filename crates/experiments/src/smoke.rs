//! `smoke`: the quick runs of `reproduce` and `inference-bench`, and whether they made everything that they should.

use anyhow::ensure;
use cei_run::folder::layout::{
    CALIBRATION, CONFIG, EVALUATION, HISTORY, RECORD, SUPPORT, WEIGHTS, figure, figure_path, member,
};

use crate::pipeline::RUNS;
use crate::reproduce::{absolute, reproduce};
use crate::{BuildArgs, inference, say};

/// What a run has in its folder,
const EACH: [&str; 5] = [RECORD, CONFIG, SUPPORT, EVALUATION, CALIBRATION];
/// what it has among its figures,
const EACH_FIGURE: [&str; 4] =
    [figure::TRUE_VS_PREDICTED, figure::RESIDUALS, figure::SBC_RANKS, figure::TARP];
/// and what every model of it has in its own.
const EACH_MODEL: [&str; 2] = [WEIGHTS, HISTORY];

/// Both, with the binaries beside this one.
pub(crate) fn smoke() -> anyhow::Result<()> {
    reproduce(&BuildArgs { quick: true, cei: None })?;
    let runs = absolute("runs/quick".as_ref());
    for run in RUNS {
        let folder = runs.join(run.name);
        // Of an ensemble, in the folder of a member.
        let of_model = if run.ensemble > 1 { member(&folder, 1) } else { folder.clone() };
        let files = EACH.map(|file| folder.join(file)).into_iter();
        let figures = EACH_FIGURE.map(|name| figure_path(&folder, name, "png"));
        let model = EACH_MODEL.map(|file| of_model.join(file));
        let curve = ["svg", "png"].map(|end| figure_path(&of_model, figure::LEARNING_CURVE, end));
        for path in files.chain(figures).chain(model).chain(curve) {
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            ensure!(size > 0, "the smoke run did not make `{}`", path.display());
        }
    }
    let report = std::fs::read_to_string(runs.join("RESULTS.md"))?;
    for run in RUNS {
        ensure!(report.contains(run.name), "RESULTS.md of the smoke run misses `{}`", run.name);
    }
    say("the smoke run made everything that it should");
    inference::smoke_run()
}
