//! What is made: data sets and experiments, and how the smoke run shortens them. Facts, not steps.

use cei_run::presets::{
    GAUGE_FIXED_CINN, GAUGE_FIXED_CVAE, GAUGE_FIXED_SIGMA_VAE, GAUGE_FIXED_SPLINE, OCS_REFERENCE,
    OCS_WIDE, Preset, REFERENCE_CINN, REFERENCE_CVAE, REFERENCE_CVAE_MEAN, WIDE_CINN, WIDE_CVAE,
    WIDE_SIGMA_VAE, WIDE_SPLINE,
};

/// A table to simulate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataSet {
    /// What is simulated; the file has its name.
    pub(crate) preset: Preset,
    /// Events of the full run.
    pub(crate) events: usize,
    /// Events of the smoke run.
    pub(crate) quick_events: usize,
    /// Seed.
    pub(crate) seed: u64,
}

/// The tables that experiments are trained on.
pub(crate) const DATA_SETS: [DataSet; 2] = [
    DataSet { preset: OCS_REFERENCE, events: 10_000, quick_events: 2_000, seed: 1 },
    DataSet { preset: OCS_WIDE, events: 200_000, quick_events: 4_000, seed: 2 },
];

/// A model to train.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Name of the run folder.
    pub(crate) name: &'static str,
    /// The experiment.
    pub(crate) config: Preset,
    /// What README calls it.
    pub(crate) title: &'static str,
    /// The table, or the law of the events that the configuration simulates.
    pub(crate) data: Preset,
    /// Whether the configuration simulates new events instead of reading the table.
    pub(crate) simulates: bool,
    /// Members; one is a single model.
    pub(crate) ensemble: usize,
    /// Seed.
    pub(crate) seed: u64,
}

const fn run(config: Preset, title: &'static str, data: Preset) -> Run {
    Run { name: config.name, config, title, data, simulates: false, ensemble: 1, seed: 1 }
}

const fn two(config: Preset, name: &'static str, data: Preset) -> Run {
    Run { name, ensemble: 2, ..run(config, "two cINNs", data) }
}

/// The models of RESULTS.md.
pub(crate) const RUNS: [Run; 13] = [
    run(REFERENCE_CVAE, "CVAE", OCS_REFERENCE),
    run(REFERENCE_CVAE_MEAN, "CVAE, mean over components", OCS_REFERENCE),
    run(REFERENCE_CINN, "cINN", OCS_REFERENCE),
    run(GAUGE_FIXED_CVAE, "CVAE", OCS_REFERENCE),
    run(GAUGE_FIXED_SIGMA_VAE, "sigma-VAE", OCS_REFERENCE),
    run(GAUGE_FIXED_CINN, "cINN", OCS_REFERENCE),
    run(GAUGE_FIXED_SPLINE, "spline cINN", OCS_REFERENCE),
    two(GAUGE_FIXED_CINN, "gauge-fixed-ensemble", OCS_REFERENCE),
    run(WIDE_CVAE, "CVAE", OCS_WIDE),
    run(WIDE_SIGMA_VAE, "sigma-VAE", OCS_WIDE),
    run(WIDE_CINN, "cINN", OCS_WIDE),
    Run { simulates: true, ..run(WIDE_SPLINE, "spline cINN, new events every epoch", OCS_WIDE) },
    two(WIDE_CINN, "wide-ensemble", OCS_WIDE),
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
