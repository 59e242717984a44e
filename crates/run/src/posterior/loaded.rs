//! A run that is held in memory: its frame, and the bond lengths and angles of its positions.

use std::path::Path;

use cei_data::SharedFrame;
use cei_metrics::{InternalCoordinates, PM_PER_BOHR};
use cei_model::Device;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::plausibility::Support;
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// A trained run, ready to be asked.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::dataset::GivenCharges;
/// use cei_run::posterior::Posterior;
/// use ndarray::Array3;
///
/// let posterior = Posterior::load(&run, cei_model::open_device("cpu")?)?;
/// // Momenta of three ions, a.u.
/// let y = ndarray::array![[-20.0, 10.0, 0.0, 210.0, 0.0, 0.0, -190.0, -10.0, 0.0]];
/// let measured = posterior.measured(y.view(), &GivenCharges::default(), true)?;
/// let mut draws = Array3::zeros((1, 50, 9));
/// posterior.sample_into(&measured, 0, draws.view_mut(), |_, _| {})?;
/// let rows = draws.index_axis(ndarray::Axis(0), 0);
/// let lengths = posterior.bond_lengths_pm(rows)?.ok_or("no molecule")?;
/// assert_eq!(lengths.dim(), (50, 3));
/// // What the simulator makes of them.
/// let refined = posterior.refine(&measured, 50, 0, false, |_, _| {})?;
/// assert_eq!(refined.events.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Posterior {
    pub(super) run: TrainedRun,
    pub(super) device: Device,
    pub(super) support: Option<Support>,
    coordinates: Option<InternalCoordinates>,
}

impl Posterior {
    /// Reads a run folder and puts its model on `device`.
    ///
    /// # Errors
    /// No trained model there, or one that is damaged.
    pub fn load(path: &Path, device: Device) -> Result<Self, RunError> {
        let run = TrainedRun::load(path, device.clone())?;
        let support = Support::load(&run)?;
        let coordinates = run.molecule().map(|molecule| {
            internal_coordinates(&run.experiment, molecule, run.record.preprocessing.alike())
        });
        let coordinates = coordinates.transpose()?;
        Ok(Self { run, device, support, coordinates })
    }

    /// The run.
    pub fn run(&self) -> &TrainedRun {
        &self.run
    }

    /// The run alone.
    pub(crate) fn into_run(self) -> TrainedRun {
        self.run
    }

    /// The bond lengths and angles of its molecule; none where the table is no molecule.
    pub fn coordinates(&self) -> Option<&InternalCoordinates> {
        self.coordinates.as_ref()
    }

    /// Positions in the frame of the run in the orientation of the file, where the frame is that of the momenta.
    pub fn in_frame_of_file(&self, mut x: Array2<f64>, y: ArrayView2<'_, f64>) -> Array2<f64> {
        let preprocessing = &self.run.record.preprocessing;
        if preprocessing.config().gauge.frame == SharedFrame::Momentum {
            let rows = x.axis_iter_mut(Axis(0)).into_par_iter().zip(y.axis_iter(Axis(0)));
            rows.for_each(|(mut x, y)| {
                if let Some(x) = x.as_slice_mut() {
                    preprocessing.gauge().rotate_back(x, &y.to_vec());
                }
            });
        }
        x
    }

    /// Distances of all pairs of atoms (pm) for rows of positions (bohr), which may have further columns; none where
    /// the table is no molecule.
    ///
    /// # Errors
    /// Too few columns.
    pub fn bond_lengths_pm(&self, x: ArrayView2<'_, f64>) -> Result<Option<Array2<f64>>, RunError> {
        let Some(coordinates) = &self.coordinates else { return Ok(None) };
        Ok(Some(coordinates.lengths(self.positions_of(x))? * PM_PER_BOHR))
    }

    /// The angles (degrees) of rows of positions, as [`Self::bond_lengths_pm`].
    ///
    /// # Errors
    /// Too few columns.
    pub fn angles_deg(&self, x: ArrayView2<'_, f64>) -> Result<Option<Array2<f64>>, RunError> {
        let Some(coordinates) = &self.coordinates else { return Ok(None) };
        Ok(Some(coordinates.angles_deg(self.positions_of(x))?))
    }

    fn positions_of<'a>(&self, x: ArrayView2<'a, f64>) -> ArrayView2<'a, f64> {
        let width = self.run.record.preprocessing.positions().min(x.ncols());
        x.slice_move(s![.., ..width])
    }
}
