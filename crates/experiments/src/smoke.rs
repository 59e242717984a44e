//! `smoke`: the quick runs of `reproduce` and `inference-bench`, and whether they made everything that they should.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::pipeline::RUNS;
use crate::reproduce::{absolute, reproduce};
use crate::{BuildArgs, inference, say};

/// Both, with the binaries beside this one.
pub(crate) fn smoke() -> anyhow::Result<()> {
    reproduce(&BuildArgs { quick: true, cei: None })?;
    let runs = absolute("runs/quick".as_ref());
    let each = [
        "model.json",
        "config.toml",
        "support.safetensors",
        "evaluation.json",
        "calibration.json",
        "figures/true_vs_predicted.png",
        "figures/residuals.png",
        "figures/sbc_ranks.png",
        "figures/tarp.png",
    ];
    // Of an ensemble, in the folder of a member.
    let each_model = [
        "model.safetensors",
        "history.csv",
        "figures/learning_curve.svg",
        "figures/learning_curve.png",
    ];
    for run in RUNS {
        let member = if run.ensemble > 1 { "member-1" } else { "" };
        let of_model = each_model.map(|file| Path::new(member).join(file));
        for file in each.iter().map(PathBuf::from).chain(of_model) {
            let path = runs.join(run.name).join(file);
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
