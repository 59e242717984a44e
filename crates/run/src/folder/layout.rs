//! The names of all files of a run, and of what commands write beside them: here and nowhere else.

use std::path::{Path, PathBuf};

/// Architecture, columns, preprocessing, latent statistics, summary, digests: with it a folder is a run.
pub const RECORD: &str = "model.json";

/// Weights, `[inputs, outputs]`, named by their place in the network.
pub const WEIGHTS: &str = "model.safetensors";

/// Training momenta that those to be predicted are compared with.
pub const SUPPORT: &str = "support.safetensors";

/// Digests of the training rows, to tell them when they are scored.
pub const ROWS: &str = "rows.safetensors";

/// Further files that belong to a model, whose digests its record holds.
pub const COMPANIONS: [&str; 2] = [SUPPORT, ROWS];

/// The complete resolved configuration.
pub const CONFIG: &str = "config.toml";

/// What the training began with: configuration, digest of the table, origin of its events.
pub const BEGUN: &str = "training.json";

/// The digest of the table, in runs of earlier versions.
pub const FINGERPRINT: &str = "data.sha256";

/// The losses of every epoch.
pub const HISTORY: &str = "history.csv";

/// The state of the training, for `--resume`.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// The simulation, if the run trains on a simulator; for people.
pub const SIMULATION: &str = "simulation.toml";

/// What `cei evaluate` found.
pub const EVALUATION: &str = "evaluation.json";

/// What `cei calibrate` found.
pub const CALIBRATION: &str = "calibration.json";

/// What `cei c2st` found.
pub const C2ST: &str = "c2st.json";

/// The record of a search, in a folder of its own.
pub const SWEEP: &str = "sweep.json";

/// What the trials of a search tried and found, as a table.
pub const TRIALS: &str = "trials.csv";

/// The experiment of the best trial of a search.
pub const BEST: &str = "best.toml";

/// What `cei population` found, in its folder: one object, and the stem of the figure.
pub const POPULATION: &str = "population";

/// Its curves.
pub const POPULATION_TABLE: &str = "population.csv";

/// Means and standard deviations.
pub const POPULATION_SUMMARY: &str = "summary.csv";

/// The folder of the draws that they come from.
pub const POPULATION_DRAWS: &str = "draws";

/// What these are draws of, in that folder.
pub const POPULATION_ORIGIN: &str = "origin.json";

/// What refined events on disk come from, in the folder of the parts of a prediction.
pub const PARTS_ORIGIN: &str = "origin.json";

/// The evidences of events that are looked at before the first part, in the same folder.
pub const PARTS_EVIDENCE: &str = "evidence.cbor";

/// How the name of the file ends that stands beside a shard of a table.
pub const SHARD: &str = "shard.json";

/// What `cei check` found.
pub const CHECK: &str = "check.json";

/// The folder of the figures.
pub const FIGURES: &str = "figures";

/// Names of the figures, each drawn as SVG and PNG.
pub mod figure {
    /// Losses of every epoch.
    pub const LEARNING_CURVE: &str = "learning_curve";
    /// Means of the draws against the truth.
    pub const TRUE_VS_PREDICTED: &str = "true_vs_predicted";
    /// Means of the draws less the truth.
    pub const RESIDUALS: &str = "residuals";
    /// Central coverage.
    pub const COVERAGE: &str = "coverage";
    /// Ranks of the truth among the draws.
    pub const SBC_RANKS: &str = "sbc_ranks";
    /// Their distribution functions less the uniform one.
    pub const SBC_ECDF: &str = "sbc_ecdf";
    /// Coverage of balls around references.
    pub const TARP: &str = "tarp";
    /// Coverage of highest-density regions.
    pub const COVERAGE_HDR: &str = "coverage_hdr";
    /// How well a classifier tells samples apart.
    pub const C2ST: &str = "c2st";
    /// What trials of a search tried and found.
    pub const SWEEP: &str = "sweep";
}

/// The folder of a member (from 1) of the ensemble in `run`.
pub fn member(run: &Path, number: usize) -> PathBuf {
    run.join(format!("member-{number}"))
}

/// The run folder of a trial (from 1) of the search in `folder`.
pub fn trial(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("trial-{number:03}"))
}

/// Whether a file is in the folder of a run or, if that is an ensemble, in that of a member.
pub fn holds(run: &Path, file: &str) -> bool {
    let mut members = (1..).map(|number| member(run, number)).take_while(|member| member.exists());
    run.join(file).exists() || members.any(|member| member.join(file).exists())
}

/// A figure of the folder `run`, named as in [`figure`], with an extension.
pub fn figure_path(run: &Path, name: &str, extension: &str) -> PathBuf {
    run.join(FIGURES).join(format!("{name}.{extension}"))
}
