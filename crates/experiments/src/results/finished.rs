//! What a run left behind, by the types that wrote it. A value that is published must be there: only where the
//! kind of model has none, for example no density, it is none.

use std::path::Path;

use anyhow::Context as _;
use cei_metrics::results::{
    GaugeFree, GaugeFreeErrors, LikelihoodBound, NegativeLogLikelihood, NeighbourScores,
    PointScores, ResimulationError, level_key,
};
use cei_run::calibrate::JointC2st;
use cei_run::config::{Density, ModelConfig};
use cei_run::evaluate::Floor;
use cei_run::evaluate::RunEvaluation;
use cei_run::folder::layout::{CALIBRATION, EVALUATION, RECORD};
use cei_run::folder::{ActiveLatent, TrainingSummary};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::pipeline::Run;

/// A run and what it left behind.
pub(super) struct Finished {
    pub(super) run: Run,
    /// What `model.json` says of the architecture and of the training.
    pub(super) record: Record,
    /// `evaluation.json`.
    pub(super) evaluation: RunEvaluation,
    /// What `calibration.json` says of the whole posterior.
    calibration: Calibrated,
}

/// The part of `model.json` that is published.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) model: ModelConfig,
    pub(super) training: TrainingSummary,
}

/// The part of `calibration.json` that is published.
#[derive(Debug, Deserialize)]
struct Calibrated {
    joint_c2st: JointC2st,
}

/// How likely the truth is, in nats per event.
pub(super) enum Likelihood {
    /// Exact, and the invertibility of the map that gives it.
    Exact(NegativeLogLikelihood, f64),
    /// Bounded.
    Bound(LikelihoodBound),
    /// The model declares no density.
    None,
}

impl Finished {
    /// Reads the folder of a run.
    pub(super) fn read(folder: &Path, run: Run) -> anyhow::Result<Self> {
        let text = |file: &str| {
            let path = folder.join(file);
            std::fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))
        };
        let [record, evaluation, calibration] = [RECORD, EVALUATION, CALIBRATION].map(text);
        Self::of_json(run, &record?, &evaluation?, &calibration?)
    }

    /// A run of the texts of its three files.
    pub(super) fn of_json(
        run: Run,
        record: &str,
        evaluation: &str,
        calibration: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            run,
            record: json(run, RECORD, record)?,
            evaluation: json(run, EVALUATION, evaluation)?,
            calibration: json(run, CALIBRATION, calibration)?,
        })
    }

    /// What must be in `evaluation.json`.
    fn needed<T>(&self, key: &str, value: Option<T>) -> anyhow::Result<T> {
        let name = self.run.name;
        value.with_context(|| format!("`{EVALUATION}` of `{name}` has no `{key}`"))
    }

    /// Mean squared error of the posterior mean, and its standard error.
    pub(super) fn mean_mse(&self) -> anyhow::Result<(f64, f64)> {
        let scores = &self.evaluation.scores.estimators.mean;
        let error = self.needed("estimators.mean.mse_standard_error", scores.mse_standard_error)?;
        Ok((scores.mse, error))
    }

    /// Scores of the mean of the training rows.
    pub(super) fn train_mean(&self) -> anyhow::Result<&PointScores> {
        self.needed("baselines.train_mean", self.evaluation.scores.baselines.train_mean.as_ref())
    }

    /// Scores of the nearest neighbours.
    pub(super) fn neighbours(&self) -> anyhow::Result<&NeighbourScores> {
        self.needed("baselines.knn", self.evaluation.scores.baselines.knn.as_ref())
    }

    /// The least error, and its standard error.
    pub(super) fn floor(&self) -> anyhow::Result<(&Floor, f64)> {
        let floor = self.needed("floor", self.evaluation.floor.as_ref())?;
        Ok((floor, self.needed("floor.mse_standard_error", floor.mse_standard_error)?))
    }

    /// Errors of bond lengths and angles.
    pub(super) fn gauge_free(&self) -> anyhow::Result<&GaugeFree> {
        self.needed("gauge_free", self.evaluation.scores.gauge_free.as_ref())
    }

    /// Those of the nearest neighbours.
    pub(super) fn neighbours_gauge_free(&self) -> anyhow::Result<&GaugeFreeErrors> {
        self.needed("baselines.knn.gauge_free", self.neighbours()?.gauge_free.as_ref())
    }

    /// Root mean square error of a bond length, in pm.
    pub(super) fn bond(&self, errors: &GaugeFreeErrors, bond: &str) -> anyhow::Result<f64> {
        let error = errors.bond_length_rmse_pm.get(bond).copied();
        self.needed(&format!("bond_length_rmse_pm.{bond}"), error)
    }

    /// Root mean square error of an angle, in degrees.
    pub(super) fn angle(&self, errors: &GaugeFreeErrors, angle: &str) -> anyhow::Result<f64> {
        let error = errors.angle_rmse_deg.get(angle).copied();
        self.needed(&format!("angle_rmse_deg.{angle}"), error)
    }

    /// Central coverage of the positions at a level.
    pub(super) fn coverage(&self, level: f64) -> anyhow::Result<f64> {
        let key = level_key(level);
        let coverage = self.evaluation.scores.distribution.coverage.get(&key).copied();
        self.needed(&format!("coverage.{key}"), coverage)
    }

    /// Central coverage of a bond length at a level.
    pub(super) fn bond_coverage(&self, bond: &str, level: f64) -> anyhow::Result<f64> {
        let key = level_key(level);
        let levels = self.gauge_free()?.coverage.get(bond);
        let coverage = levels.and_then(|levels| levels.get(&key)).copied();
        self.needed(&format!("gauge_free.coverage.{bond}.{key}"), coverage)
    }

    /// CRPS, and energy score.
    pub(super) fn scores(&self) -> anyhow::Result<[f64; 2]> {
        let scores = &self.evaluation.scores.distribution;
        Ok([self.needed("crps", scores.crps)?, self.needed("energy_score", scores.energy_score)?])
    }

    /// How far momenta of the draws are from the measured ones.
    pub(super) fn resimulation(&self) -> anyhow::Result<ResimulationError> {
        self.needed("resimulation", self.evaluation.scores.resimulation)
    }

    /// What the kind of model gives: a flow a density, a variational model with a declared variance a bound.
    pub(super) fn likelihood(&self) -> anyhow::Result<Likelihood> {
        let scores = &self.evaluation.scores;
        match self.record.model.architecture().density() {
            Density::Exact => Ok(Likelihood::Exact(
                self.needed("nll", scores.likelihood)?,
                self.needed("invertibility_max_abs", scores.invertibility_max_abs)?,
            )),
            Density::LowerBound => {
                Ok(Likelihood::Bound(self.needed("nll_bound", scores.likelihood_bound)?))
            }
            Density::None => Ok(Likelihood::None),
        }
    }

    /// How much of the latent a variational model uses.
    pub(super) fn active_latent(&self) -> anyhow::Result<ActiveLatent> {
        self.needed("active_latent", self.evaluation.active_latent)
    }

    /// Accuracy of a classifier that tells draws from the truth.
    pub(super) fn classifier(&self) -> f64 {
        self.calibration.joint_c2st.accuracy
    }
}

fn json<T: DeserializeOwned>(run: Run, file: &str, text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).with_context(|| format!("`{file}` of `{}`", run.name))
}
