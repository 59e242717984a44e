//! What is made: data sets and experiments, and how the smoke run shortens them. Facts, not steps.

/// A table to simulate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataSet {
    /// Name of the preset and of the file.
    pub(crate) name: &'static str,
    /// Events of the full run.
    pub(crate) events: usize,
    /// Events of the smoke run.
    pub(crate) quick_events: usize,
    /// Seed.
    pub(crate) seed: u64,
}

/// The tables that experiments are trained on.
pub(crate) const DATA_SETS: [DataSet; 2] = [
    DataSet { name: "ocs-reference", events: 10_000, quick_events: 2_000, seed: 1 },
    DataSet { name: "ocs-wide", events: 200_000, quick_events: 4_000, seed: 2 },
];

/// A model to train.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Name of the run folder.
    pub(crate) name: &'static str,
    /// Name of `configs/train/CONFIG.toml`.
    pub(crate) config: &'static str,
    /// What README calls it.
    pub(crate) title: &'static str,
    /// The table, or the law of the events that the configuration simulates.
    pub(crate) data: &'static str,
    /// Whether the configuration simulates new events instead of reading the table.
    pub(crate) simulates: bool,
    /// Members; one is a single model.
    pub(crate) ensemble: usize,
    /// Seed.
    pub(crate) seed: u64,
}

const fn run(name: &'static str, title: &'static str, data: &'static str) -> Run {
    Run { name, config: name, title, data, simulates: false, ensemble: 1, seed: 1 }
}

/// The models of RESULTS.md.
pub(crate) const RUNS: [Run; 13] = [
    run("reference-cvae", "CVAE", "ocs-reference"),
    run("reference-cvae-mean", "CVAE, mean over components", "ocs-reference"),
    run("reference-cinn", "cINN", "ocs-reference"),
    run("gauge-fixed-cvae", "CVAE", "ocs-reference"),
    run("gauge-fixed-sigma-vae", "sigma-VAE", "ocs-reference"),
    run("gauge-fixed-cinn", "cINN", "ocs-reference"),
    run("gauge-fixed-spline", "spline cINN", "ocs-reference"),
    Run {
        config: "gauge-fixed-cinn",
        ensemble: 2,
        ..run("gauge-fixed-ensemble", "two cINNs", "ocs-reference")
    },
    run("wide-cvae", "CVAE", "ocs-wide"),
    run("wide-sigma-vae", "sigma-VAE", "ocs-wide"),
    run("wide-cinn", "cINN", "ocs-wide"),
    Run {
        simulates: true,
        ..run("wide-spline", "spline cINN, new events every epoch", "ocs-wide")
    },
    Run { config: "wide-cinn", ensemble: 2, ..run("wide-ensemble", "two cINNs", "ocs-wide") },
];

/// Test events of `cei calibrate`.
pub(crate) const CALIBRATED_EVENTS: &str = "1000";

/// Overrides of the smoke run.
pub(crate) const QUICK_OVERRIDES: [&str; 2] = ["training.max_epochs=3", "evaluation.draws=20"];

/// Another one, for runs that simulate their events.
pub(crate) const QUICK_EVENTS: &str = "source.events_per_epoch=4000";

/// The proposal's own results on its table: model, MSE (bohr^2), MRE.
pub(crate) const PROPOSAL: [(&str, f64, f64); 2] =
    [("CVAE", 0.6760, 0.7920), ("cINN", 0.9483, 0.8327)];
