//! The events of a test of calibration, and draws for them.

use std::ops::Range;

use cei_metrics::{InternalCoordinates, NearestNeighbours, PM_PER_BOHR, Ranks, ranks};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_physics::ChargeState;
use ndarray::{Array, Array1, Array2, Array3, Axis, RemoveAxis, concatenate, s};

use super::ranks::joined_along;
use crate::dataset::Dataset;
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// TARP's references lie around the position of the nearest training row with this share of each
/// column's standard deviation: far enough that the distance says something in every direction.
const REFERENCE_WIDTH: f64 = 0.5;

/// Draws of some events, and densities where the source of draws has them.
#[derive(Debug, Clone)]
pub(super) struct EventDraws {
    /// Positions in the frame of the run: events x draws x columns.
    pub positions: Array3<f64>,
    /// The number of the charge state of each draw (events x draws), where it is inferred.
    pub states: Option<Array2<f64>>,
    /// Log density of the truth of each event and of each of its draws, up to a constant for each
    /// event.
    pub log_prob: Option<(Array1<f64>, Array2<f64>)>,
}

impl EventDraws {
    /// Room for those of other events of the same source.
    pub(super) fn like(&self, events: usize) -> Self {
        let (_, draws, columns) = self.positions.dim();
        let of_draws = || Array2::zeros((events, draws));
        Self {
            positions: Array3::zeros((events, draws, columns)),
            states: self.states.as_ref().map(|_| of_draws()),
            log_prob: self.log_prob.as_ref().map(|_| (Array1::zeros(events), of_draws())),
        }
    }

    /// All its numbers, array by array.
    pub(super) fn numbers_mut(&mut self) -> Vec<&mut [f64]> {
        let mut numbers: Vec<_> = self.positions.as_slice_mut().into_iter().collect();
        numbers.extend(self.states.as_mut().and_then(|states| states.as_slice_mut()));
        if let Some((truth, of_draws)) = &mut self.log_prob {
            numbers.extend(truth.as_slice_mut());
            numbers.extend(of_draws.as_slice_mut());
        }
        numbers
    }

    /// Those of several groups of events, one after another; there is one at least.
    pub(super) fn joined(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1
            && let Some(only) = parts.pop()
        {
            return only;
        }
        let states: Option<Vec<_>> = parts.iter().map(|part| part.states.clone()).collect();
        let log_prob: Option<Vec<_>> = parts.iter().map(|part| part.log_prob.clone()).collect();
        let positions = stacked(parts.into_iter().map(|part| part.positions).collect());
        Self {
            positions,
            states: states.map(stacked),
            log_prob: log_prob.map(|parts| {
                let (truth, of_draws): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                (stacked(truth), stacked(of_draws))
            }),
        }
    }
}

/// Arrays one after another along their first axis; the others are alike.
fn stacked<D: RemoveAxis>(parts: Vec<Array<f64, D>>) -> Array<f64, D> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    match concatenate(Axis(0), &views) {
        Ok(all) => all,
        Err(_) => unreachable!("draws of one source"),
    }
}

/// The events of a test: what draws are compared with.
#[derive(Debug, Clone)]
pub(super) struct CalibrationEvents {
    /// True positions in the frame of the run, events x columns.
    pub truth: Array2<f64>,
    /// References of TARP, made from momenta alone, events x columns.
    pub references: Array2<f64>,
    /// Standard deviation of each column over training rows.
    pub scale: Array1<f64>,
    /// Names of the columns.
    pub names: Vec<String>,
    /// The columns that vary; the others are not tested.
    pub alive: Vec<usize>,
    /// Bond lengths and angles, where the table is a molecule.
    pub coordinates: Option<InternalCoordinates>,
    /// The number of the true charge state of each event, where it is inferred.
    pub states: Option<Array2<f64>>,
}

impl CalibrationEvents {
    /// Test rows (raw) of a run, with references around the positions of the training rows whose
    /// scaled momenta are nearest. Where charge states are inferred, these `states` are tested too, and references know
    /// nothing of the true ones.
    pub(super) fn of(
        run: &TrainedRun,
        dataset: &Dataset,
        raw_x: &Array2<f64>,
        raw_y: &Array2<f64>,
        seed: u64,
        states: Option<&[ChargeState]>,
    ) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let (truth, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
        let (train_x, train_y) = dataset.table.part(&dataset.split.train);
        let (x, _) = preprocessing.gauged(train_x.view(), train_y.view());
        let scaled = |y: &Array2<f64>| {
            let mut y = y.clone();
            if states.is_some() {
                y.slice_mut(s![.., preprocessing.momenta()..]).fill(0.0);
            }
            preprocessing.neighbour_y(y.view())
        };
        let nearest = NearestNeighbours::fit(scaled(&train_y).view(), x.view())?
            .draws(scaled(raw_y).view(), 1)?;
        let scale = x.std_axis(Axis(0), 0.0);
        // No event has this number: the stream is that of no draw.
        let mut rng = stream(seed, Purpose::Draws, u64::MAX);
        let noise = standard_normal(truth.nrows(), truth.ncols(), &mut rng).mapv(f64::from);
        let references =
            nearest.index_axis(Axis(1), 0).to_owned() + noise * REFERENCE_WIDTH * &scale;
        Ok(Self {
            truth,
            references,
            scale,
            names: preprocessing.x_names().to_vec(),
            alive: preprocessing.alive_x().to_vec(),
            coordinates: run
                .molecule()
                .map(|molecule| {
                    internal_coordinates(
                        &run.experiment,
                        molecule,
                        run.record.preprocessing.alike(),
                    )
                })
                .transpose()?,
            states: states.map(|states| numbers_of(states, preprocessing.momenta(), raw_y)),
        })
    }

    /// Names of the quantities tested.
    pub(super) fn quantities(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.alive.iter().map(|&column| self.names[column].clone()).collect();
        if let Some(coordinates) = &self.coordinates {
            names.extend(
                coordinates.pair_labels().iter().chain(coordinates.triple_labels()).cloned(),
            );
        }
        names.extend(self.states.iter().map(|_| "charge state".to_owned()));
        names
    }

    /// Ranks of positions, bond lengths and angles of a range of events, and of their charge states.
    pub(super) fn quantity_ranks(
        &self,
        range: Range<usize>,
        EventDraws { positions: draws, states, .. }: &EventDraws,
    ) -> Result<Ranks, RunError> {
        let true_states = self.states.as_ref().map(|states| states.slice(s![range.clone(), ..]));
        let truth = self.truth.slice(s![range, ..]);
        let alive = &self.alive;
        let mut parts =
            vec![ranks(truth.select(Axis(1), alive).view(), draws.select(Axis(2), alive).view())?];
        if let Some(coordinates) = &self.coordinates {
            let columns = 3 * coordinates.atoms();
            let truth = truth.slice(s![.., ..columns]);
            let draws = draws.slice(s![.., .., ..columns]);
            let lengths = coordinates.lengths_of_draws(draws)? * PM_PER_BOHR;
            parts.push(ranks((coordinates.lengths(truth)? * PM_PER_BOHR).view(), lengths.view())?);
            if !coordinates.triple_labels().is_empty() {
                let angles = coordinates.angles_deg_of_draws(draws)?;
                parts.push(ranks(coordinates.angles_deg(truth)?.view(), angles.view())?);
            }
        }
        if let (Some(truth), Some(draws)) = (true_states, states) {
            parts.push(ranks(truth, draws.view().insert_axis(Axis(2)))?);
        }
        Ok(joined_along(Axis(1), &parts))
    }
}

/// The number (events x 1) of each row's charge state, by the charges behind its momenta.
fn numbers_of(states: &[ChargeState], momenta: usize, raw_y: &Array2<f64>) -> Array2<f64> {
    let number = |event: usize| {
        let charges = raw_y.slice(s![event, momenta..]).to_vec();
        let place = states.iter().position(|state| state.molecule.charges() == charges);
        place.map_or(f64::NAN, |place| place as f64)
    };
    Array2::from_shape_fn((raw_y.nrows(), 1), |(event, _)| number(event))
}
