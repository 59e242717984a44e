//! A trained model, or an ensemble of such, on a device.

use std::path::{Path, PathBuf};

use cei_model::latent::LatentSource;
use cei_model::{Batch, ConditionalModel, Device, LatentStatistics};
use cei_physics::{Dynamics, Molecule, Simulation};
use rand_chacha::ChaCha8Rng;

use super::build::build;
use crate::folder::layout::{self, RECORD};
use crate::folder::{ModelRecord, load_record, opened, weights};
use crate::{Experiment, RunError};

/// One trained model of a run.
pub struct Member {
    /// The model.
    pub model: Box<dyn ConditionalModel>,
    /// Moments of its latents over the training rows.
    pub latent: LatentStatistics,
}

/// A trained model, or an ensemble of such, with everything needed to use it.
///
/// ```text
/// p(x | y) = 1/K sum_k p_k(x | y)
/// ```
pub struct TrainedRun {
    /// The run folder.
    pub path: PathBuf,
    /// The configuration it was trained with.
    pub experiment: Experiment,
    /// Everything about the model but its weights.
    pub record: ModelRecord,
    /// The model, or the members of the ensemble, which count alike; at least one.
    pub members: Vec<Member>,
}

impl TrainedRun {
    /// Reads a run folder and puts its model, or all members of its ensemble, on `device`.
    ///
    /// # Errors
    /// No model in the folder; a version, shape or checksum that does not fit; members that do not belong
    /// together.
    ///
    /// ```
    /// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
    /// use cei_run::TrainedRun;
    ///
    /// let run = TrainedRun::load(&run, cei_model::open_device("cpu")?)?;
    /// assert_eq!(run.record.name(), "cINN");
    /// assert_eq!(run.molecule().map(|molecule| molecule.labels().len()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(path: &Path, device: Device) -> Result<Self, RunError> {
        let (record, experiment, _) = opened::read(path)?;
        opened::sweep(path, record.ensemble);
        let Some(count) = record.ensemble else {
            let member = load_member(path, &record, device)?;
            return Ok(Self { path: path.to_owned(), experiment, record, members: vec![member] });
        };
        let (mut members, mut records) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let path = layout::member(path, number);
            let record = load_record(&path)?;
            members.push(load_member(&path, &record, device.clone())?);
            records.push(record);
        }
        if members.is_empty() || weights::sha256_of_members(&records) != record.weights_sha256 {
            let reason = format!(
                "its members are not those of its `{RECORD}`\nhint: finish its training with `--resume`"
            );
            return Err(RunError::BadModel { path: path.to_owned(), reason });
        }
        Ok(Self { path: path.to_owned(), experiment, record, members })
    }

    /// `log p(x | y)` of every row in nats per scaled unit volume, of an ensemble that of the mixture; none
    /// for models without an exact density.
    ///
    /// ```
    /// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
    /// use cei_model::Batch;
    /// use cei_run::TrainedRun;
    /// use ndarray::Array2;
    ///
    /// let run = TrainedRun::load(&run, cei_model::open_device("cpu")?)?;
    /// // Rows as the network sees them; `Preprocessing::encode_x` and `encode_y` make them of raw ones.
    /// let preprocessing = &run.record.preprocessing;
    /// let [x, y] = [preprocessing.x_dim(), preprocessing.y_dim()].map(|width| Array2::zeros((2, width)));
    /// let density = run.log_prob(Batch { x: x.view(), y: y.view() });
    /// assert_eq!(density.map(|rows| rows.len()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_prob(&self, batch: Batch<'_>) -> Option<Vec<f64>> {
        self.mixture(|model| model.log_prob(batch))
    }

    /// A lower bound of `log p(x | y)` by importance-weighted latents, as [`Self::log_prob`]; none for models
    /// without a declared decoder variance.
    ///
    /// ```
    /// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
    /// use cei_model::Batch;
    /// use cei_run::TrainedRun;
    /// use ndarray::Array2;
    /// use rand::SeedableRng as _;
    ///
    /// let run = TrainedRun::load(&run, cei_model::open_device("cpu")?)?;
    /// let preprocessing = &run.record.preprocessing;
    /// let [x, y] = [preprocessing.x_dim(), preprocessing.y_dim()].map(|width| Array2::zeros((2, width)));
    /// let batch = Batch { x: x.view(), y: y.view() };
    /// // A flow needs no bound.
    /// let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
    /// assert!(run.log_prob_bound(batch, 10, rng).is_none() && run.log_prob(batch).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_prob_bound(
        &self,
        batch: Batch<'_>,
        samples: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<f64>> {
        self.mixture(|model| cei_model::log_prob_bound(model, batch, samples, rng))
    }

    /// `ln` of the mean over the members of `e` to what each gives for every row.
    fn mixture(
        &self,
        mut log_prob: impl FnMut(&dyn ConditionalModel) -> Option<Vec<f64>>,
    ) -> Option<Vec<f64>> {
        let mut members = self.members.iter().map(|member| log_prob(member.model.as_ref()));
        let mut sums = members.next()??;
        for log_prob in members {
            for (sum, value) in sums.iter_mut().zip(log_prob?) {
                *sum = log_sum(*sum, value);
            }
        }
        let log_count = (self.members.len() as f64).ln();
        Some(sums.into_iter().map(|sum| sum - log_count).collect())
    }

    /// From now on draws come from the latent's prior, so that they are draws of the model's density: what
    /// importance weights need.
    pub fn draw_from_prior(&mut self) {
        self.experiment.evaluation.latent = LatentSource::Prior;
    }

    /// The molecule, if the table is one: three position columns for each of its atoms.
    pub fn molecule(&self) -> Option<&Molecule> {
        let columns = self.record.preprocessing.positions();
        self.record.molecule.as_ref().filter(|molecule| 3 * molecule.atom_count() == columns)
    }

    /// Whether its events have several charge states, about which the network is not told.
    pub(crate) fn averages_charges(&self) -> bool {
        let channels = self.record.simulation.as_ref().is_some_and(Simulation::has_channels);
        channels && !self.record.preprocessing.has_charges()
    }

    /// How the ions come to their charges, and in which order bonds break: as in the simulation behind the table, at once
    /// where none is known.
    pub(crate) fn dynamics(&self) -> Dynamics {
        self.record.simulation.as_ref().map(Simulation::dynamics).unwrap_or_default()
    }
}

/// The model of `record`, with the weights that lie in the folder `path`.
fn load_member(path: &Path, record: &ModelRecord, device: Device) -> Result<Member, RunError> {
    let mut model = build(&record.model, &record.preprocessing, 0, device)?;
    let values = weights::read(path, record, model.parameters())?;
    model.set_parameters(&values);
    Ok(Member { model, latent: record.latent.clone() })
}

/// `ln(e^a + e^b)`, without overflow; NaN where one is.
fn log_sum(a: f64, b: f64) -> f64 {
    let (high, low) = if a < b { (b, a) } else { (a, b) };
    // Two equal infinities have no difference.
    if high == low { high + std::f64::consts::LN_2 } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::log_sum;

    #[test]
    fn sums_of_exponentials_keep_their_range() {
        assert!((log_sum(2f64.ln(), 3f64.ln()) - 5f64.ln()).abs() < 1e-15);
        assert_eq!(log_sum(-1e6, 0.0), 0.0);
        assert!((log_sum(1000.0, 1000.0) - (1000.0 + 2f64.ln())).abs() < 1e-12);
        assert_eq!(log_sum(f64::NEG_INFINITY, -3.0), -3.0);
        assert_eq!(log_sum(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(log_sum(f64::NAN, 0.0).is_nan() && log_sum(0.0, f64::NAN).is_nan());
    }
}
