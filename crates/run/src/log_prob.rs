//! The log-density of every row of a table of positions and momenta.

use std::ops::Range;
use std::path::Path;

use cei_data::{ColumnData, Copies, DroppedRows, OffRows, Reading};
use cei_model::Device;
use ndarray::s;

use crate::dataset::{LaterTable, Loaded, trained_on, warning};
use crate::folder::layout::RECORD;
use crate::plausibility::refuse_far_out;
use crate::shard::{Shard, ShardRecord, rows_of};
use crate::trained::log_prob_of_rows;
use crate::{RunError, TrainedRun};

/// The log-densities of the rows of a table.
#[derive(Debug, Clone)]
pub struct LogProbs {
    /// `log p(x | y)` of every row in nats, a density in orthonormal raw coordinates (bohr) of the fitted
    /// subspace.
    pub values: Vec<f64>,
    /// Which of the rows of the table these are.
    pub rows: Range<usize>,
    /// Rows of the table.
    pub of: usize,
    /// Of a shard: of which whole its table is a part.
    pub record: Option<ShardRecord>,
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

/// The log-density of every row of a table of positions and momenta, or of a shard of them.
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
/// let densities = log_prob_of_file(&run, &table, None, cei_model::open_device("cpu")?)?;
/// assert!(densities.values.len() == 10 && densities.d_eff == 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn log_prob_of_file(
    path: &Path,
    rows: &LaterTable,
    shard: Option<Shard>,
    device: Device,
) -> Result<LogProbs, RunError> {
    let on = format!("{device:?}");
    let run = TrainedRun::load(path, device)?;
    rows.columns.charges.check_known()?;
    let Loaded { mut table, source, selection } = rows.load(&run, true)?;
    refuse_far_out(&run, &mut table, &selection, source.drop_invalid)?;
    let record = match shard {
        None => None,
        Some(shard) => {
            let origin = origin(&run, rows, &on)?;
            Some(ShardRecord::new(shard, "log-prob", "densities", table.rows(), origin))
        }
    };
    let preprocessing = &run.record.preprocessing;
    let range = rows_of(shard, table.rows());
    let (x, y) = (table.x.view(), table.y.view());
    let values = log_prob_of_rows(&run, x, y, range.clone(), 0).ok_or_else(|| {
        RunError::NoDensity { path: path.to_owned(), model: run.record.model.architecture().name() }
    })?;
    let (x, y) = (x.slice(s![range.clone(), ..]), y.slice(s![range.clone(), ..]));
    Ok(LogProbs {
        values,
        rows: range,
        of: table.rows(),
        record,
        d_eff: preprocessing.d_eff(),
        off: preprocessing.off_constant_rows(x, y),
        trained_on: trained_on(&run, x, y)?,
        readings: table.readings,
        dropped: table.dropped,
    })
}

/// All that the densities follow from, by name.
fn origin(
    run: &TrainedRun,
    table: &LaterTable,
    device: &str,
) -> Result<Vec<(String, String)>, RunError> {
    let digest = |path: &Path| cei_files::sha256_of_file(path).map_err(RunError::io("read", path));
    let files = table.resolve()?;
    let files = files.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    let origin = [
        ("the version of cei", env!("CARGO_PKG_VERSION").to_owned()),
        ("the run", digest(&run.path.join(RECORD))?),
        ("the files", files.join(" ")),
        ("how the files are read", format!("{:?}", table.reading)),
        ("which columns are read", format!("{:?}", table.columns)),
        ("`--device`", device.to_owned()),
    ];
    Ok(origin.map(|(name, value)| (name.to_owned(), value)).into())
}
