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
    /// Name of the preset, of `configs/train/NAME.toml` and of the run folder.
    pub(crate) name: &'static str,
    /// What README calls it.
    pub(crate) title: &'static str,
    /// The table.
    pub(crate) data: &'static str,
    /// Seed.
    pub(crate) seed: u64,
}

/// The models of RESULTS.md.
pub(crate) const RUNS: [Run; 6] = [
    Run { name: "reference-cvae", title: "CVAE", data: "ocs-reference", seed: 1 },
    Run {
        name: "reference-cvae-mean",
        title: "CVAE, mean over components",
        data: "ocs-reference",
        seed: 1,
    },
    Run { name: "reference-cinn", title: "cINN", data: "ocs-reference", seed: 1 },
    Run { name: "gauge-fixed-cvae", title: "CVAE", data: "ocs-reference", seed: 1 },
    Run { name: "gauge-fixed-cinn", title: "cINN", data: "ocs-reference", seed: 1 },
    Run { name: "wide-cinn", title: "cINN", data: "ocs-wide", seed: 1 },
];

/// Overrides of the smoke run.
pub(crate) const QUICK_OVERRIDES: [&str; 2] = ["training.max_epochs=3", "evaluation.draws=20"];

/// The proposal's own results on its table: model, MSE (bohr^2), MRE.
pub(crate) const PROPOSAL: [(&str, f64, f64); 2] =
    [("CVAE", 0.6760, 0.7920), ("cINN", 0.9483, 0.8327)];
