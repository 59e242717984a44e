//! Several evaluated runs side by side, with baselines and floors.

use std::path::{Path, PathBuf};

use cei_metrics::number;
use cei_metrics::results::{GaugeFreeErrors, PointScores};
use serde::Serialize;

use crate::RunError;
use crate::evaluate::RunEvaluation;
use crate::folder::layout::{EVALUATION, RECORD};
use crate::folder::load_record;
use crate::folder::sealed::read_json;

/// What to do about an evaluation that is damaged.
const HINT: &str = "run `cei evaluate` again";

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Run folder, or name of the baseline.
    pub name: String,
    /// What stands in the line.
    pub kind: RowKind,
    /// Mean squared error of the posterior mean, squared raw units.
    #[serde(with = "number")]
    pub mse_mean: f64,
    /// Mean squared error of one draw.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub mse_draw: Option<f64>,
    /// Mean relative error of one draw.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub mre_draw: Option<f64>,
    /// Gauge-free errors of the mean over draws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gauge_free: Option<GaugeFreeErrors>,
    /// Central coverage at 90 %.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub coverage_90: Option<f64>,
    /// CRPS.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub crps: Option<f64>,
    /// Median re-simulation error per component, a.u.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub resimulation: Option<f64>,
    /// Negative log-likelihood, nats per event.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub nll: Option<f64>,
    /// Dimension of the density that `nll` belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_eff: Option<usize>,
}

/// What a line of a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// A trained model.
    Run,
    /// A method without a network.
    Baseline,
    /// The least that any method can reach.
    Floor,
}

/// Runs that were scored on the same rows in the same gauge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonGroup {
    /// The files of the table.
    pub files: Vec<String>,
    /// The frame of the positions, in words.
    pub frame: String,
    /// Scored rows.
    pub rows: usize,
    /// Runs first, best posterior mean on top; then baselines and floor.
    pub lines: Vec<ComparisonRow>,
    /// Why NLLs of this group must not be ranked, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nll_not_comparable: Option<String>,
}

/// Sets evaluated runs side by side. Only runs of the same rows and gauge share a group.
///
/// # Errors
/// A folder without an evaluation, or with one that cannot be read.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::compare::compare_runs;
/// use cei_run::evaluate::{EvaluateOptions, evaluate_run};
///
/// // A run that has not been evaluated is told with what to do.
/// let error = compare_runs(std::slice::from_ref(&run)).expect_err("no evaluation");
/// assert!(error.to_string().contains("cei evaluate"));
///
/// let device = cei_model::open_device("cpu")?;
/// evaluate_run(&run, &EvaluateOptions::default(), device, |_| {}, |_, _| {})?;
/// let groups = compare_runs(&[run])?;
/// // The model, and beside it the baselines.
/// assert!(groups[0].lines.len() > 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compare_runs(paths: &[PathBuf]) -> Result<Vec<ComparisonGroup>, RunError> {
    let mut groups: Vec<(ComparisonGroup, Vec<(String, RunEvaluation)>)> = Vec::new();
    for path in paths {
        let evaluation = read_evaluation(path)?;
        let scored = &evaluation.scored;
        let same = |(_, members): &&mut (ComparisonGroup, Vec<(String, RunEvaluation)>)| {
            members.first().is_some_and(|(_, other)| {
                other.scored.data_fingerprint == scored.data_fingerprint
                    && other.scored.frame == scored.frame
                    && other.scored.rows == scored.rows
                    && other.scores.rows == evaluation.scores.rows
            })
        };
        let name = path.display().to_string();
        match groups.iter_mut().find(same) {
            Some((_, members)) => members.push((name, evaluation)),
            None => {
                let group = ComparisonGroup {
                    files: scored.files.clone(),
                    frame: scored.frame.clone(),
                    rows: evaluation.scores.rows,
                    lines: Vec::new(),
                    nll_not_comparable: None,
                };
                groups.push((group, vec![(name, evaluation)]));
            }
        }
    }
    Ok(groups.into_iter().map(|(group, members)| fill(group, &members)).collect())
}

/// Reads the evaluation in a run folder.
///
/// # Errors
/// There is none, it cannot be read or is damaged, or it is of another model than the run has now.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::compare::read_evaluation;
/// use cei_run::evaluate::{EvaluateOptions, evaluate_run};
///
/// let device = cei_model::open_device("cpu")?;
/// let told = evaluate_run(&run, &EvaluateOptions::default(), device, |_| {}, |_, _| {})?;
/// assert_eq!(read_evaluation(&run)?.scores.rows, told.scores.rows);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_evaluation(path: &Path) -> Result<RunEvaluation, RunError> {
    let file = path.join(EVALUATION);
    if !file.exists() {
        return Err(RunError::NotEvaluated { path: path.to_owned() });
    }
    let (value, _) = read_json(&file, HINT)?;
    let evaluation: RunEvaluation = serde_json::from_value(value)
        .map_err(|error| RunError::Damaged { path: file, reason: error.to_string(), hint: HINT })?;
    let weights = &evaluation.scored.weights_sha256;
    if weights.is_some() && path.join(RECORD).exists() {
        let record = load_record(path)?;
        if weights.as_ref() != Some(&record.weights_sha256) {
            return Err(RunError::EvaluationOfAnother { path: path.to_owned() });
        }
    }
    Ok(evaluation)
}

fn fill(mut group: ComparisonGroup, members: &[(String, RunEvaluation)]) -> ComparisonGroup {
    let mut lines: Vec<ComparisonRow> =
        members.iter().map(|(name, evaluation)| run_line(name, evaluation)).collect();
    lines.sort_by(|a, b| a.mse_mean.total_cmp(&b.mse_mean));
    group.nll_not_comparable = nll_conflict(members);
    let first = members.first().map(|(_, evaluation)| evaluation);
    if let Some(evaluation) = first {
        let baselines = &evaluation.scores.baselines;
        if let Some(knn) = &baselines.knn {
            let name = format!("k nearest neighbours (k = {})", knn.k);
            let mut line = plain_line(name, RowKind::Baseline, &knn.scores);
            line.gauge_free = knn.gauge_free.clone();
            lines.push(line);
        }
        if let Some(scores) = &baselines.train_mean {
            lines.push(plain_line("mean of training rows".to_owned(), RowKind::Baseline, scores));
        }
        if let Some(floor) = &evaluation.floor {
            let mut line = empty_line("floor of any method".to_owned(), RowKind::Floor, floor.mse);
            line.mse_draw = Some(floor.exact_draw_mse);
            lines.push(line);
        }
    }
    group.lines = lines;
    group
}

/// NLLs are densities in a space: they compare only within the same dimension and noise.
fn nll_conflict(members: &[(String, RunEvaluation)]) -> Option<String> {
    let mut known = members.iter().filter_map(|(_, evaluation)| {
        let nll = evaluation.scores.likelihood.as_ref()?;
        Some((nll.d_eff, evaluation.scored.degenerate_noise_sd))
    });
    let first = known.next()?;
    let other = known.find(|other| *other != first)?;
    Some(format!(
        "NLLs are densities in {} and {} dimensions (or with other noise on empty directions): they cannot be ranked",
        first.0, other.0
    ))
}

fn empty_line(name: String, kind: RowKind, mse_mean: f64) -> ComparisonRow {
    ComparisonRow {
        name,
        kind,
        mse_mean,
        mse_draw: None,
        mre_draw: None,
        gauge_free: None,
        coverage_90: None,
        crps: None,
        resimulation: None,
        nll: None,
        d_eff: None,
    }
}

fn plain_line(name: String, kind: RowKind, scores: &PointScores) -> ComparisonRow {
    empty_line(name, kind, scores.mse)
}

fn run_line(name: &str, evaluation: &RunEvaluation) -> ComparisonRow {
    let scores = &evaluation.scores;
    ComparisonRow {
        mse_draw: Some(scores.estimators.draw.mse),
        mre_draw: Some(scores.estimators.draw.mre),
        gauge_free: scores.gauge_free.as_ref().map(|errors| errors.mean.clone()),
        coverage_90: scores.distribution.coverage.get("0.9").copied(),
        crps: scores.distribution.crps,
        resimulation: scores.resimulation.as_ref().map(|error| error.median),
        nll: scores.likelihood.as_ref().map(|likelihood| likelihood.nll),
        d_eff: scores.likelihood.as_ref().map(|likelihood| likelihood.d_eff),
        ..empty_line(name.to_owned(), RowKind::Run, scores.estimators.mean.mse)
    }
}
