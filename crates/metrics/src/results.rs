//! The JSON contract of `cei evaluate --json` (`docs/spec.md#results-json`), and what `cei compare` reads back.
//!
//! A number that does not apply to a table is absent, never zero or null; infinities and NaN are the strings `"inf"`,
//! `"-inf"` and `"nan"` ([`crate::number`]). Numbers with a
//! statistical error have a sibling key that ends in `_standard_error` (over events; absent for a
//! single event). Positions are in bohr, so MSE is in bohr^2 and CRPS and energy score in bohr;
//! keys of other units end in the unit.
//!
//! Definitions that differ between programs:
//!
//! - `crps` and `energy_score` are the fair estimators, unbiased in the number of draws m: the mean difference between
//!   draws is over pairs of two, `1 / (m (m - 1))`. The plain ones, the default elsewhere, divide by `m^2`; there a
//!   calibrated posterior scores `1 + 1 / m` times as high.
//! - `bond_length_rmse_pm` and `angle_rmse_deg` are errors of the posterior mean (the mean of the lengths and angles of
//!   the draws), not of a draw and not of the mode; `draw` holds those of one draw.
//! - `displacement_bohr` is a mean distance of the atoms after the best rotation, not the root mean square (RMSD).
//!
//! Unknown keys are ignored when a file is read, so that
//! results of a later version still compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::distribution::coverage::level_key;
use crate::{EnsembleScores, Result, Summary, number};

/// Everything measured on one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Events scored.
    pub rows: usize,
    /// Draws per event, K.
    pub draws: usize,
    /// Point scores of the model, by estimator.
    pub estimators: Estimators,
    /// Point scores of the baselines.
    pub baselines: Baselines,
    /// Bond lengths, angles and displacements, if the table is a molecule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge_free: Option<GaugeFree>,
    /// Errors of the nuisances, if any are inferred; all other scores are of the positions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nuisances: Vec<NuisanceScores>,
    /// Negative log-likelihood, if the model has an exact density.
    #[serde(flatten)]
    pub likelihood: Option<NegativeLogLikelihood>,
    /// Bound of it, if the model is a latent-variable model with a declared decoder variance.
    #[serde(flatten)]
    pub likelihood_bound: Option<LikelihoodBound>,
    /// CRPS, energy score and coverage over the alive position columns, if K > 1.
    #[serde(flatten)]
    pub distribution: Distribution,
    /// Re-simulation error, if the forward model of the table is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resimulation: Option<ResimulationError>,
    /// max |x - f^-1(f(x))| in scaled units, if the model is invertible.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub invertibility_max_abs: Option<f64>,
}

/// Root mean square errors of one nuisance, in the unit of its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NuisanceScores {
    /// The column.
    pub column: String,
    /// Of the mean of the draws.
    #[serde(with = "number")]
    pub rmse: f64,
    /// Of the mean over training rows, which knows no momenta.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub rmse_train_mean: Option<f64>,
}

/// The same scores for both estimators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimators {
    /// Mean of the draws.
    pub mean: PointScores,
    /// One draw, as in the proposal.
    pub draw: PointScores,
}

/// Point scores in raw units, averaged over events and columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointScores {
    /// Mean squared error.
    #[serde(with = "number")]
    pub mse: f64,
    /// Its standard error over events.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub mse_standard_error: Option<f64>,
    /// Mean of |x - x^| / (|x| + 1e-8).
    #[serde(with = "number")]
    pub mre: f64,
    /// Median of the same ratio over events and columns.
    #[serde(with = "number")]
    pub median_relative_error: f64,
    /// MSE without dead columns; absent if all are dead.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub mse_alive: Option<f64>,
    /// MRE without dead columns.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub mre_alive: Option<f64>,
    /// Median relative error without dead columns.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub median_relative_error_alive: Option<f64>,
    /// Scores of each column, in the order of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_column: Vec<ColumnScores>,
}

/// Point scores of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnScores {
    /// Name of the column.
    pub column: String,
    /// Whether the column is not dead.
    pub alive: bool,
    /// Mean squared error.
    #[serde(with = "number")]
    pub mse: f64,
    /// Mean relative error.
    #[serde(with = "number")]
    pub mre: f64,
    /// Median relative error.
    #[serde(with = "number")]
    pub median_relative_error: f64,
}

/// What a model must beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// The mean of the training positions, where these are at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_mean: Option<PointScores>,
    /// The mean of the k nearest training rows in scaled momenta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knn: Option<NeighbourScores>,
}

/// Scores of the k nearest neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighbourScores {
    /// Neighbours, chosen on the validation part.
    pub k: usize,
    /// Training rows used (the tree is capped).
    pub rows_used: usize,
    /// Point scores of the mean of the neighbours.
    #[serde(flatten)]
    pub scores: PointScores,
    /// Gauge-free errors, averaged over neighbours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge_free: Option<GaugeFreeErrors>,
}

/// Gauge-free errors of the estimator `mean`, and beside them those of one draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaugeFree {
    /// Errors of the mean over draws of each quantity.
    #[serde(flatten)]
    pub mean: GaugeFreeErrors,
    /// Errors of one draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<GaugeFreeErrors>,
    /// Fair CRPS by label: bond lengths in pm, angles in degrees.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub crps: BTreeMap<String, f64>,
    /// Central coverage by label and level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub coverage: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Errors that no choice of frame can change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaugeFreeErrors {
    /// Root mean square error of the posterior mean of each bond length (`C-O`, ...), in pm; under `draw` of one draw.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub bond_length_rmse_pm: BTreeMap<String, f64>,
    /// Standard errors of the bond lengths' RMSE.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub bond_length_rmse_pm_standard_error: BTreeMap<String, f64>,
    /// Root mean square error of the posterior mean of each angle (`O-C-S`, ...), in degrees; under `draw` of one draw.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub angle_rmse_deg: BTreeMap<String, f64>,
    /// Standard errors of the angles' RMSE.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub angle_rmse_deg_standard_error: BTreeMap<String, f64>,
    /// Mean displacement per atom after centring and optimal rotation, in bohr: a mean distance, not a root mean square.
    #[serde(with = "number")]
    pub displacement_bohr: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub displacement_bohr_standard_error: Option<f64>,
}

/// Negative log-likelihood in nats per event: a density in orthonormal raw coordinates of the
/// fitted subspace of `d_eff` dimensions. Densities of different dimension do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NegativeLogLikelihood {
    /// Mean over events.
    #[serde(with = "number")]
    pub nll: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub nll_standard_error: Option<f64>,
    /// Dimension of the density.
    pub d_eff: usize,
}

/// Upper bound of the negative log-likelihood in nats per event, in the same units as
/// [`NegativeLogLikelihood`], by importance-weighted latents (Burda, Grosse & Salakhutdinov 2016). It is
/// that of the model with its prior, `N(0, I)` or `p(z | y)`, wherever draws took their latents from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodBound {
    /// Mean over events.
    #[serde(with = "number")]
    pub nll_bound: f64,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub nll_bound_standard_error: Option<f64>,
    /// Latents of each event; the bound tightens as they grow.
    pub nll_bound_samples: usize,
    /// Dimension of the density.
    pub nll_bound_d_eff: usize,
}

/// Scores of the draws as a distribution; everything absent for a single draw per event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Fair CRPS, averaged over columns: unbiased in the number of draws m (division by `m (m - 1)`, not by `m^2`).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub crps: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub crps_standard_error: Option<f64>,
    /// Fair energy score, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub energy_score: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub energy_score_standard_error: Option<f64>,
    /// Central coverage by level (`0.5`, ...), averaged over columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub coverage: BTreeMap<String, f64>,
    /// Standard errors of the coverage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub coverage_standard_error: BTreeMap<String, f64>,
    /// Coverage of highest-density regions by level over the first 10,000 events, if the model has a density.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub coverage_hdr: BTreeMap<String, f64>,
    /// Its standard errors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "number")]
    pub coverage_hdr_standard_error: BTreeMap<String, f64>,
}

/// Root mean square difference of re-simulated and measured momenta per component, in a.u., over
/// events.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResimulationError {
    /// Median over events.
    #[serde(with = "number")]
    pub median: f64,
    /// Interquartile range, upper less lower quartile.
    #[serde(with = "number")]
    pub iqr: f64,
    /// Quartile below the median.
    #[serde(with = "number")]
    pub lower_quartile: f64,
    /// Quartile above the median.
    #[serde(with = "number")]
    pub upper_quartile: f64,
    /// Events with at least one draw that could be re-simulated.
    pub events: usize,
    /// Draws left out because their simulation failed.
    pub failed_draws: usize,
    /// Events all of whose draws failed.
    pub failed_events: usize,
}

impl NegativeLogLikelihood {
    /// Summary of the negative log-likelihoods of events, in nats, of a density of `d_eff`
    /// dimensions. `None` if there are no events.
    pub fn of(values: impl IntoIterator<Item = f64>, d_eff: usize) -> Option<Self> {
        Summary::of(values).map(|summary| Self {
            nll: summary.mean,
            nll_standard_error: summary.standard_error,
            d_eff,
        })
    }
}

impl LikelihoodBound {
    /// Summary of the bounds of events, in nats, from this many `samples` each, of a density of
    /// `d_eff` dimensions. `None` if there are no events.
    pub fn of(values: impl IntoIterator<Item = f64>, samples: usize, d_eff: usize) -> Option<Self> {
        Summary::of(values).map(|summary| Self {
            nll_bound: summary.mean,
            nll_bound_standard_error: summary.standard_error,
            nll_bound_samples: samples,
            nll_bound_d_eff: d_eff,
        })
    }
}

impl Distribution {
    /// The summary of accumulated scores.
    ///
    /// # Errors
    /// No events.
    pub fn of(scores: &EnsembleScores) -> Result<Self> {
        let (crps, energy_score) = (scores.crps()?, scores.energy_score()?);
        let coverage = scores.coverage()?;
        Ok(Self {
            crps: Some(crps.mean),
            crps_standard_error: crps.standard_error,
            energy_score: Some(energy_score.mean),
            energy_score_standard_error: energy_score.standard_error,
            coverage: (coverage.iter())
                .map(|(level, summary)| (level_key(*level), summary.mean))
                .collect(),
            coverage_standard_error: (coverage.iter())
                .filter_map(|(level, summary)| Some((level_key(*level), summary.standard_error?)))
                .collect(),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn point_scores() -> PointScores {
        PointScores {
            mse: 0.7,
            mse_standard_error: Some(0.02),
            mre: 0.8,
            median_relative_error: 0.3,
            mse_alive: Some(0.9),
            mre_alive: Some(0.5),
            median_relative_error_alive: Some(0.2),
            per_column: vec![ColumnScores {
                column: "cx".to_owned(),
                alive: true,
                mse: 0.9,
                mre: 0.5,
                median_relative_error: 0.2,
            }],
        }
    }

    fn evaluation() -> Evaluation {
        let map = |key: &str, value: f64| BTreeMap::from([(key.to_owned(), value)]);
        let errors = GaugeFreeErrors {
            bond_length_rmse_pm: map("C-O", 1.5),
            bond_length_rmse_pm_standard_error: map("C-O", 0.1),
            angle_rmse_deg: map("O-C-S", 2.0),
            angle_rmse_deg_standard_error: map("O-C-S", 0.2),
            displacement_bohr: 0.04,
            displacement_bohr_standard_error: Some(0.001),
        };
        Evaluation {
            rows: 1500,
            draws: 100,
            estimators: Estimators { mean: point_scores(), draw: point_scores() },
            baselines: Baselines {
                train_mean: Some(point_scores()),
                knn: Some(NeighbourScores {
                    k: 5,
                    rows_used: 7000,
                    scores: point_scores(),
                    gauge_free: Some(errors.clone()),
                }),
            },
            nuisances: vec![NuisanceScores {
                column: "charging_tau_fs".to_owned(),
                rmse: 8.0,
                rmse_train_mean: Some(11.5),
            }],
            gauge_free: Some(GaugeFree {
                mean: errors.clone(),
                draw: Some(errors),
                crps: map("C-O", 0.7),
                coverage: BTreeMap::from([("C-O".to_owned(), map("0.9", 0.88))]),
            }),
            likelihood: NegativeLogLikelihood::of([-1.0, 1.0], 6),
            likelihood_bound: LikelihoodBound::of([1.0, 3.0], 200, 6),
            distribution: Distribution {
                crps: Some(0.2),
                crps_standard_error: Some(0.01),
                energy_score: Some(0.5),
                energy_score_standard_error: None,
                coverage: map("0.95", 0.94),
                coverage_standard_error: map("0.95", 0.01),
                coverage_hdr: map("0.95", 0.93),
                coverage_hdr_standard_error: map("0.95", 0.01),
            },
            resimulation: Some(ResimulationError {
                median: 1.0,
                iqr: 0.5,
                lower_quartile: 0.8,
                upper_quartile: 1.3,
                events: 1500,
                failed_draws: 0,
                failed_events: 0,
            }),
            invertibility_max_abs: Some(1e-6),
        }
    }

    #[test]
    fn the_keys_of_the_contract() {
        let value = serde_json::to_value(evaluation()).unwrap();
        for (path, expected) in [
            ("/rows", json!(1500)),
            ("/estimators/mean/mse", json!(0.7)),
            ("/estimators/draw/mre_alive", json!(0.5)),
            ("/estimators/mean/median_relative_error", json!(0.3)),
            ("/estimators/mean/per_column/0/column", json!("cx")),
            ("/baselines/train_mean/mse", json!(0.7)),
            ("/baselines/knn/k", json!(5)),
            ("/baselines/knn/mse", json!(0.7)),
            ("/baselines/knn/gauge_free/bond_length_rmse_pm/C-O", json!(1.5)),
            ("/gauge_free/bond_length_rmse_pm/C-O", json!(1.5)),
            ("/gauge_free/angle_rmse_deg/O-C-S", json!(2.0)),
            ("/gauge_free/displacement_bohr", json!(0.04)),
            ("/gauge_free/draw/displacement_bohr", json!(0.04)),
            ("/gauge_free/crps/C-O", json!(0.7)),
            ("/gauge_free/coverage/C-O/0.9", json!(0.88)),
            // -1 and 1: mean 0, standard error sqrt(2 / 1 / 2) = 1
            ("/nll", json!(0.0)),
            ("/nll_standard_error", json!(1.0)),
            ("/d_eff", json!(6)),
            ("/nll_bound", json!(2.0)),
            ("/nll_bound_standard_error", json!(1.0)),
            ("/nll_bound_samples", json!(200)),
            ("/nll_bound_d_eff", json!(6)),
            ("/crps", json!(0.2)),
            ("/energy_score", json!(0.5)),
            ("/coverage/0.95", json!(0.94)),
            ("/resimulation/median", json!(1.0)),
            ("/resimulation/iqr", json!(0.5)),
            ("/nuisances/0/column", json!("charging_tau_fs")),
            ("/nuisances/0/rmse", json!(8.0)),
            ("/nuisances/0/rmse_train_mean", json!(11.5)),
            ("/invertibility_max_abs", json!(1e-6)),
        ] {
            assert_eq!(value.pointer(path), Some(&expected), "{path}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = serde_json::to_string(&evaluation()).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation());
    }

    #[test]
    fn what_does_not_apply_is_absent_and_still_read_back() {
        let mut evaluation = evaluation();
        evaluation.gauge_free = None;
        evaluation.nuisances = Vec::new();
        evaluation.likelihood = None;
        evaluation.likelihood_bound = None;
        evaluation.distribution = Distribution::default();
        evaluation.resimulation = None;
        evaluation.invertibility_max_abs = None;
        evaluation.baselines.knn = None;
        let value = serde_json::to_value(&evaluation).unwrap();
        let Value::Object(keys) = &value else {
            panic!("{value}");
        };
        let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(keys, ["baselines", "draws", "estimators", "rows"]);
        assert!(!value.to_string().contains("null"));
        let back: Evaluation = serde_json::from_value(value).unwrap();
        assert_eq!(back, evaluation);
    }

    #[test]
    fn keys_of_levels_are_as_in_the_specification() {
        assert_eq!(crate::COVERAGE_LEVELS.map(level_key), ["0.5", "0.8", "0.9", "0.95"]);
    }
}
