//! A trained run: draws, densities, refinement.

use std::path::PathBuf;

use cei_model::open_device;
use cei_run::posterior::{self, RefinedDraws, RefinedEvents};
use ndarray::Array2;
use pyo3::prelude::*;

use crate::arrays::{Buffer, matrix, new_matrix, new_vector, stack};
use crate::failure::{Failure, failed};
use crate::tables::{Charges, Files};
use crate::watch::{Watch, detached};

/// An array of numpy.
type Array<'py> = Bound<'py, PyAny>;

/// A run in memory; see `cei.Posterior`.
#[pyclass(frozen, module = "cei._cei")]
pub(crate) struct Posterior(posterior::Posterior);

/// Momenta that were checked for a run.
#[pyclass(frozen, module = "cei._cei")]
pub(crate) struct Measured(posterior::Measured);

/// What the simulator made of the draws: whether the momenta have noise, and one list entry an event.
#[derive(IntoPyObject)]
struct Refined<'py> {
    noise: bool,
    draws: Vec<Array<'py>>,
    modes: Vec<Array<'py>>,
    mode_weights: Vec<Array<'py>>,
    mode_misfits: Vec<Array<'py>>,
    mode_outside_law: Vec<Vec<bool>>,
    k_hat: Array<'py>,
    effective_sample_size: Array<'py>,
    log_evidence: Array<'py>,
    outside_model: Vec<String>,
    law_edge: Vec<String>,
    initial_momenta: Vec<Array<'py>>,
    /// Charges of the ions (states, ions) where they are inferred, with one list entry an event for all that follows.
    charge_states: Array<'py>,
    state_probabilities: Array<'py>,
    state_of_draws: Vec<Vec<usize>>,
    state_of_modes: Vec<Vec<usize>>,
}

#[pymethods]
impl Measured {
    /// Why each event is outside of training, empty where it is not.
    #[getter]
    fn outside(&self) -> Vec<String> {
        self.0.outside()
    }

    /// Row of each event in its table, from 0.
    #[getter]
    fn numbers(&self) -> Vec<u64> {
        self.0.numbers.clone()
    }
}

#[pymethods]
impl Posterior {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, device: &str) -> PyResult<Self> {
        detached(py, || {
            let device = open_device(device).map_err(failed)?;
            Ok(Self(posterior::Posterior::load(&path, device).map_err(failed)?))
        })
    }

    /// Remarks on edits of the run.
    fn remarks(&self) -> PyResult<Vec<String>> {
        Ok(cei_run::folder::remarks(&self.0.run().path).map_err(failed)?)
    }

    /// Everything about the model but its weights, as JSON.
    fn record(&self) -> PyResult<String> {
        json(&self.0.run().record)
    }

    /// The configuration, as TOML.
    fn configuration(&self) -> String {
        self.0.run().experiment.to_toml()
    }

    /// What the model is called.
    fn name(&self) -> String {
        self.0.run().record.name()
    }

    /// Names of the positions, then of the nuisances.
    fn x_names(&self) -> Vec<String> {
        self.0.run().record.preprocessing.x_names().to_vec()
    }

    /// Names of the momenta, and of the charges that the model is conditioned on.
    fn y_names(&self) -> (Vec<String>, Vec<String>) {
        let preprocessing = &self.0.run().record.preprocessing;
        let (momenta, charges) = preprocessing.y_names().split_at(preprocessing.momenta());
        (momenta.to_vec(), charges.to_vec())
    }

    /// Unit of the momenta that it is given.
    fn y_unit(&self) -> String {
        self.0.run().experiment.columns.y_unit.to_string()
    }

    /// The frame of its positions, in words.
    fn frame(&self) -> String {
        self.0.run().record.preprocessing.frame_description()
    }

    /// Names of the bond lengths and of the angles.
    fn internal_names(&self) -> (Vec<String>, Vec<String>) {
        self.0.coordinates().map_or_else(Default::default, |coordinates| {
            (coordinates.pair_labels().to_vec(), coordinates.triple_labels().to_vec())
        })
    }

    /// Momenta of rows in memory; `watch` hears what there is to say.
    fn measured(
        &self,
        py: Python<'_>,
        y: Buffer,
        charges: Option<Charges>,
        judge: bool,
        watch: Py<PyAny>,
    ) -> PyResult<Measured> {
        let (y, watch) = (matrix(&y)?, Watch::new(watch));
        detached(py, || {
            let measured = self.0.measured(y, &Charges::given(charges)?, judge).map_err(failed)?;
            watch.warn(&measured.warnings);
            Ok(Measured(measured))
        })
    }

    /// Momenta of files.
    fn measured_in(&self, py: Python<'_>, files: Files, watch: Py<PyAny>) -> PyResult<Measured> {
        let watch = Watch::new(watch);
        detached(py, || {
            let measured = self.0.measured_in(&files.table()?).map_err(failed)?;
            watch.warn(&measured.warnings);
            Ok(Measured(measured))
        })
    }

    /// Draws into `out` (events, draws, columns).
    fn sample(
        &self,
        py: Python<'_>,
        measured: &Measured,
        out: Buffer,
        seed: u64,
        watch: Py<PyAny>,
    ) -> PyResult<()> {
        let out = stack(&out)?;
        let mut watch = Watch::new(watch);
        detached(py, || {
            let progress = |done, total| watch.progress(done, total);
            self.0.sample_into(&measured.0, seed, out, progress).map_err(failed)
        })
    }

    /// Log-densities of rows of positions and momenta as in a file; `in_run` where the positions are as draws are.
    fn log_prob<'py>(
        &self,
        py: Python<'py>,
        x: Buffer,
        y: Buffer,
        charges: Option<Charges>,
        in_run: bool,
    ) -> PyResult<Array<'py>> {
        let (x, y) = (matrix(&x)?, matrix(&y)?);
        let values = detached(py, || {
            let charges = Charges::given(charges)?;
            let pairs = match in_run {
                true => self.0.pairs_in_run(x, y, &charges),
                false => self.0.pairs(x, y, &charges),
            };
            self.0.log_prob(&pairs.map_err(failed)?).map_err(failed)
        })?;
        new_vector(py, &values)
    }

    /// The same of the rows of files.
    fn log_prob_in<'py>(
        &self,
        py: Python<'py>,
        files: Files,
        watch: Py<PyAny>,
    ) -> PyResult<Array<'py>> {
        let watch = Watch::new(watch);
        let values = detached(py, || {
            let pairs = self.0.pairs_in(&files.table()?).map_err(failed)?;
            watch.warn(&pairs.warnings);
            self.0.log_prob(&pairs).map_err(failed)
        })?;
        new_vector(py, &values)
    }

    /// Positions of a file in the frame of the run, with its momenta, or back.
    fn turned<'py>(
        &self,
        py: Python<'py>,
        x: Buffer,
        y: Buffer,
        back: bool,
    ) -> PyResult<Array<'py>> {
        let (x, y) = (matrix(&x)?.to_owned(), matrix(&y)?);
        let turned = detached(py, || {
            if !back {
                return self.0.in_frame_of_run(x, y).map_err(failed);
            }
            let momenta = self.0.momenta(y).map_err(failed)?;
            Ok(self.0.in_frame_of_file(x, momenta.view()))
        })?;
        new_matrix(py, &turned)
    }

    /// Bond lengths (pm), or angles (degrees), of rows of positions (bohr).
    fn internal<'py>(&self, py: Python<'py>, x: Buffer, angles: bool) -> PyResult<Array<'py>> {
        let x = matrix(&x)?;
        let found = detached(py, || {
            match angles {
                true => self.0.angles_deg(x),
                false => self.0.bond_lengths_pm(x),
            }
            .map_err(failed)
        })?;
        let none = || Failure::of_value("the table of this run is no molecule, so it has no bonds");
        new_matrix(py, &found.ok_or_else(none)?)
    }

    /// Draws corrected by the simulator.
    fn refine<'py>(
        &self,
        py: Python<'py>,
        measured: &Measured,
        draws: usize,
        seed: u64,
        initial_momenta: bool,
        watch: Py<PyAny>,
    ) -> PyResult<Refined<'py>> {
        let mut watch = Watch::new(watch);
        let refined = detached(py, || {
            let progress = |done, total| watch.progress(done, total);
            self.0.refine(&measured.0, draws, seed, initial_momenta, progress).map_err(failed)
        })?;
        Refined::new(py, refined)
    }
}

impl<'py> Refined<'py> {
    fn new(py: Python<'py>, refined: RefinedEvents) -> PyResult<Self> {
        let RefinedEvents { noise, states, events } = refined;
        let ions = states.first().map_or(0, Vec::len);
        let charge_states = Array2::from_shape_fn((states.len(), ions), |at| states[at.0][at.1]);
        let probabilities =
            Array2::from_shape_fn((events.len(), states.len()), |(event, state)| {
                events[event].probabilities.get(state).copied().unwrap_or(f64::NAN)
            });
        let numbers = |number: fn(&RefinedDraws) -> f64| {
            new_vector(py, &events.iter().map(number).collect::<Vec<_>>())
        };
        let mut refined = Self {
            noise,
            charge_states: new_matrix(py, &charge_states)?,
            state_probabilities: new_matrix(py, &probabilities)?,
            k_hat: numbers(|event| event.k_hat)?,
            effective_sample_size: numbers(|event| event.effective_sample_size)?,
            log_evidence: numbers(|event| event.log_evidence)?,
            draws: Vec::new(),
            modes: Vec::new(),
            mode_weights: Vec::new(),
            mode_misfits: Vec::new(),
            mode_outside_law: Vec::new(),
            outside_model: Vec::new(),
            law_edge: Vec::new(),
            initial_momenta: Vec::new(),
            state_of_draws: Vec::new(),
            state_of_modes: Vec::new(),
        };
        for event in events {
            refined.draws.push(new_matrix(py, &event.draws)?);
            refined.modes.push(new_matrix(py, &event.modes)?);
            refined.mode_weights.push(new_vector(py, &event.weights)?);
            refined.mode_misfits.push(new_vector(py, &event.misfits)?);
            refined.mode_outside_law.push(event.outside_law);
            refined.outside_model.push(event.outside_model);
            refined.law_edge.push(event.law_edge);
            refined.initial_momenta.push(new_matrix(py, &event.initial_momenta)?);
            refined.state_of_draws.push(event.state_of_draws);
            refined.state_of_modes.push(event.state_of_modes);
        }
        Ok(refined)
    }
}

/// JSON of what a run keeps.
pub(crate) fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| Failure::of_value(error.to_string()).into())
}
