//! The rows to be scored.

use std::path::Path;

use cei_data::{LoadError, MomentumUnit, Reading, Table, fingerprint};
use cei_physics::Simulation;
use ndarray::Array2;

use super::report::ScoredRows;
use crate::dataset::{Dataset, LaterTable, Loaded, simulation_beside};
use crate::plausibility::refuse_far_out;
use crate::{RunError, TrainedRun};

/// Rows to score.
#[derive(Debug, Clone, Default)]
pub enum RowsToScore {
    /// The test part of the run's own table.
    #[default]
    Test,
    /// Every row of it, those that the model was trained on included.
    All,
    /// Every row of another table of positions and momenta.
    Other(LaterTable),
}

/// Rows to be scored, raw and in the gauge of the run.
pub(super) struct ScoredTable {
    pub(super) rows: ScoredRows,
    /// The files of the table, or its simulator.
    pub(super) files: Vec<String>,
    pub(super) fingerprint: String,
    pub(super) raw_x: Array2<f64>,
    pub(super) raw_y: Array2<f64>,
    pub(super) x: Array2<f64>,
    pub(super) y: Array2<f64>,
    /// The unit of the momenta in the files.
    pub(super) y_unit: MomentumUnit,
    /// How the files of another table were read.
    pub(super) readings: Vec<Reading>,
}

impl ScoredTable {
    /// Rows of another table, or of `own`, that of the run.
    pub(super) fn load(
        run: &TrainedRun,
        own: Option<&Dataset>,
        rows: &RowsToScore,
    ) -> Result<Self, RunError> {
        let files = |table: &Table| match &run.experiment.source.simulator {
            Some(simulator) if table.files.is_empty() => vec![format!("simulator {simulator}")],
            _ => table.files.iter().map(|f| f.display().to_string()).collect(),
        };
        if let RowsToScore::Other(data) = rows {
            data.columns.charges.check_known()?;
            let Loaded { mut table, source, selection } = data.load(run, true)?;
            refuse_far_out(run, &mut table, &selection, source.drop_invalid)?;
            let (files, fingerprint) =
                (files(&table), fingerprint(&table).map_err(LoadError::from)?);
            let xy = (table.x, table.y);
            let scored = Self::new(run, ScoredRows::OtherTable, files, fingerprint, xy);
            return Ok(Self { readings: table.readings, y_unit: selection.y_unit, ..scored });
        }
        let Some(Dataset { table, split, fingerprint, .. }) = own else {
            unreachable!("without another table the run's own is loaded")
        };
        let (rows, xy) = match rows {
            RowsToScore::All => (ScoredRows::All, (table.x.clone(), table.y.clone())),
            _ => (ScoredRows::Test, table.part(&split.test)),
        };
        Ok(Self::new(run, rows, files(table), fingerprint.clone(), xy))
    }

    fn new(
        run: &TrainedRun,
        rows: ScoredRows,
        files: Vec<String>,
        fingerprint: String,
        (raw_x, raw_y): (Array2<f64>, Array2<f64>),
    ) -> Self {
        let (x, y) = run.record.preprocessing.gauged(raw_x.view(), raw_y.view());
        let y_unit = run.experiment.columns.y_unit.clone();
        Self { rows, files, fingerprint, raw_x, raw_y, x, y, y_unit, readings: Vec::new() }
    }

    /// The simulation that made the rows: the simulator of the run, or what stands beside the one file of the table;
    /// none for anything else.
    pub(super) fn made_by(&self, run: &TrainedRun) -> Result<Option<Simulation>, RunError> {
        match (&run.experiment.source.simulator, self.rows, &self.files[..]) {
            (Some(_), ScoredRows::Test | ScoredRows::All, _) => Ok(run.record.simulation.clone()),
            (_, _, [file]) => simulation_beside(Path::new(file)),
            _ => Ok(None),
        }
    }

    /// How many of the rows lie outside of `preprocessing.bounds`.
    pub(super) fn out_of_bounds(&self, run: &TrainedRun) -> usize {
        let scales = run.record.preprocessing.log_abs_det(self.raw_x.view(), self.raw_y.view());
        scales.iter().filter(|scale| **scale == f64::INFINITY).count()
    }
}
