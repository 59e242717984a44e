//! What the geometry law draws, by its momenta: where searches begin that the network's draws do not lead to a solution.

use cei_metrics::NearestNeighbours;
use cei_model::random::{Purpose, derived_seed};
use cei_physics::{Mode, Molecule, Simulation, simulate};
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::dataset::{condition_of, for_training};
use crate::{RunError, TrainedRun};

/// Draws of the law.
const DRAWS: usize = 2000;
/// Draws of the law among which those of the most similar momenta are looked up.
const LOOKED_UP: usize = 100_000;

/// Draws of a geometry law.
pub(super) struct Law {
    /// Positions (rows x 3N, bohr) in the frame of the run.
    pub(super) positions: Array2<f64>,
    /// Such positions, and nuisances behind them, by their momenta in the network's scaled units.
    by_momenta: NearestNeighbours,
}

impl Law {
    /// None where the law is not known, or that of another molecule.
    pub(super) fn draw(
        run: &TrainedRun,
        molecule: &Molecule,
        seed: u64,
    ) -> Result<Option<Self>, RunError> {
        let is_known = |law: &&Simulation| {
            law.geometry.is_some() && law.molecule.labels() == molecule.labels()
        };
        let Some(simulation) = run.record.simulation.as_ref().filter(is_known) else {
            return Ok(None);
        };
        let seed = derived_seed(seed, Purpose::GeometryLaw, 0);
        let mut quick = for_training(simulation);
        if quick.accuracy.mode == Mode::Fast {
            // What is alike does not hang on a thousandth of the momenta.
            quick.accuracy.mode = Mode::Rough;
        }
        let events = simulate(&quick, LOOKED_UP, seed)?;
        let preprocessing = &run.record.preprocessing;
        let mut condition = condition_of(&events, preprocessing.has_charges());
        let mut positions = events.positions;
        if let Some(alike) = preprocessing.alike() {
            alike.order(positions.view_mut(), condition.view_mut());
        }
        let momenta = preprocessing.encode_y(condition.view()).mapv(f64::from);
        let measured = preprocessing.momenta_of(condition.view());
        let positions = preprocessing.gauge().positions(positions, measured);
        let inferred = concatenate![Axis(1), positions, events.nuisances];
        Ok(Some(Self {
            by_momenta: NearestNeighbours::fit(momenta.view(), inferred.view())?,
            positions: positions.slice_move(s![..DRAWS, ..]),
        }))
    }

    /// So many draws (rows x 3N and nuisances) with momenta the most like these, scaled ones, the most alike first.
    pub(super) fn near(
        &self,
        scaled_y: ArrayView2<'_, f32>,
        count: usize,
    ) -> Result<Array2<f64>, RunError> {
        let near = self.by_momenta.draws(scaled_y.mapv(f64::from).view(), count)?;
        Ok(near.index_axis_move(Axis(0), 0))
    }
}
