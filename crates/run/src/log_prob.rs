//! The log-density of every row of a table of positions and momenta.

use std::path::Path;

use cei_data::{ColumnData, Copies, DroppedRows, OffRows, Reading};
use cei_model::Device;

use crate::dataset::{LaterTable, Loaded, trained_on, warning};
use crate::plausibility::refuse_far_out;
use crate::trained::log_prob;
use crate::{RunError, TrainedRun};

/// The log-densities of the rows of a table.
#[derive(Debug, Clone)]
pub struct LogProbs {
    /// `log p(x | y)` of every row in nats, a density in orthonormal raw coordinates (bohr) of the fitted
    /// subspace.
    pub values: Vec<f64>,
    /// Dimension of that density.
    pub d_eff: usize,
    /// How each file was read.
    pub readings: Vec<Reading>,
    /// Rows that `drop_invalid` left out.
    pub dropped: DroppedRows,
    /// Rows that do not obey what was constant in training; their density is that of the nearest row
    /// that does.
    pub off: OffRows,
    /// How many rows repeat rows of training; none for runs of older versions, which do not know.
    pub trained_on: Option<Copies>,
}

impl LogProbs {
    /// What is to be said about rows that were trained on; none if there is nothing.
    pub fn warning(&self) -> Option<String> {
        warning(self.trained_on)
    }
}

/// The columns of a table of log-densities: number of the row, as `event`, and nats.
#[must_use]
pub fn columns(events: Vec<u64>, values: Vec<f64>) -> Vec<(String, ColumnData)> {
    let columns = [("event", ColumnData::U64(events)), ("log_prob", ColumnData::F64(values))];
    columns.map(|(name, data)| (name.to_owned(), data)).into()
}

/// The log-density of every row of a table of positions and momenta.
///
/// # Errors
/// No trained model, one without a density, a table that cannot be loaded.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::dataset::LaterTable;
/// use cei_run::log_prob::log_prob_of_file;
///
/// // Positions and momenta of ten events.
/// # let table = folder.path().join("pairs.csv");
/// # let simulation = cei_run::config::preset_simulation("ocs-wide")?;
/// # let few = cei_physics::Simulation { events: 10, seed: 8, ..simulation };
/// # let law = cei_run::simulate::Geometries::Law;
/// # cei_run::simulate::simulate_to_file(&few, &law, false, &table, |_, _| {})?;
/// let table = LaterTable::file(table.to_string_lossy());
/// let densities = log_prob_of_file(&run, &table, cei_model::open_device("cpu")?)?;
/// assert!(densities.values.len() == 10 && densities.d_eff == 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn log_prob_of_file(
    path: &Path,
    rows: &LaterTable,
    device: Device,
) -> Result<LogProbs, RunError> {
    let run = TrainedRun::load(path, device)?;
    rows.columns.charges.check_known()?;
    let Loaded { mut table, source, selection } = rows.load(&run, true)?;
    refuse_far_out(&run, &mut table, &selection, source.drop_invalid)?;
    let preprocessing = &run.record.preprocessing;
    let (x, y) = (table.x.view(), table.y.view());
    let values = log_prob(&run, x, y, 0).ok_or_else(|| RunError::NoDensity {
        path: path.to_owned(),
        model: run.record.model.architecture().name(),
    })?;
    Ok(LogProbs {
        values,
        d_eff: preprocessing.d_eff(),
        off: preprocessing.off_constant_rows(x, y),
        trained_on: trained_on(&run, x, y)?,
        readings: table.readings,
        dropped: table.dropped,
    })
}
