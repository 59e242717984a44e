//! Momenta that are given to a run in memory: checked and judged as those of a file are.

use cei_data::error::{Fault, Location};
use cei_data::{
    DroppedRows, FarCell, LoadError, Reading, Selection, Table, missing_fault, remarks,
};
use ndarray::{Array2, ArrayView2, Axis, s};

use super::loaded::Posterior;
use crate::RunError;
use crate::dataset::{GivenCharges, LaterTable, Loaded, TableCharges};
use crate::plausibility::{Judged, Outside, choose_charges, refuse_far_out, set_aside};

/// Cells that are no measurements are named one by one up to this many.
const MOST_NAMED: usize = 5;

/// Measured momenta.
pub struct Measured {
    /// Momenta (events x columns, a.u.), and charges behind them where the run is conditioned on these. Those of events
    /// that are no measurements are another event's.
    pub(super) y: Array2<f64>,
    /// Whether charges that the run is conditioned on are known.
    pub(super) charges_known: bool,
    /// Why each event is outside of the training support; empty where that is not known.
    outside: Vec<Outside>,
    /// What there is to say about them, one thing an entry; as `cei predict` says it.
    pub warnings: Vec<String>,
    /// Row of each event in the table, from 0: some may have been left out.
    pub numbers: Vec<u64>,
}

impl Measured {
    /// Momenta (events x columns, a.u.), and charges behind them where the run is conditioned on these.
    pub fn condition(&self) -> ArrayView2<'_, f64> {
        self.y.view()
    }

    /// Why each event is outside of the training support, in words (`docs/spec.md`), empty where it is not.
    pub fn outside(&self) -> Vec<String> {
        self.outside.iter().map(ToString::to_string).collect()
    }

    /// Simulated momenta, and charges behind them where the run is conditioned on these.
    pub(crate) fn simulated(y: Array2<f64>, charges_known: bool) -> Self {
        let numbers = (0..y.nrows() as u64).collect();
        Self { y, charges_known, outside: Vec::new(), warnings: Vec::new(), numbers }
    }

    /// Some of the events.
    pub(crate) fn only(&self, events: &[usize]) -> Self {
        let outside = events.iter().filter_map(|event| self.outside.get(*event).copied());
        Self {
            y: self.y.select(Axis(0), events),
            charges_known: self.charges_known,
            outside: outside.collect(),
            warnings: Vec::new(),
            numbers: events.iter().map(|event| self.numbers[*event]).collect(),
        }
    }

    /// Whether charges that the run is conditioned on are known.
    pub(crate) fn charges_known(&self) -> bool {
        self.charges_known
    }

    /// Whether the momenta of an event are no measurements, so that nothing is inferred from them.
    pub(crate) fn is_far_out(&self, event: usize) -> bool {
        self.outside.get(event).is_some_and(|outside| outside.far_out)
    }
}

/// Positions with their momenta, both as in a file.
pub struct Pairs {
    /// Positions (rows x columns, bohr), nuisances behind them.
    pub x: Array2<f64>,
    /// Momenta (rows x columns, a.u.), and charges behind them where the run is conditioned on these.
    pub y: Array2<f64>,
    /// What there is to say about how they were read.
    pub warnings: Vec<String>,
}

impl Posterior {
    /// Momenta (rows x columns of the run) in the unit of the table that it was trained on; behind them, where the run is
    /// conditioned on charges, these, unless `charges` says them. With `judge` they are compared with those of
    /// training as a set, which takes some milliseconds.
    ///
    /// # Errors
    /// Another number of columns; a number that is not finite, or beyond all measured ones; charges that do not fit.
    pub fn measured(
        &self,
        y: ArrayView2<'_, f64>,
        charges: &GivenCharges,
        judge: bool,
    ) -> Result<Measured, RunError> {
        let table = self.table(None, y, charges)?;
        let selection = self.run.experiment.columns.clone().of_condition();
        self.judged(table, &selection, charges, false, judge)
    }

    /// The momenta of a table.
    ///
    /// # Errors
    /// As `cei predict`.
    pub fn measured_in(&self, table: &LaterTable) -> Result<Measured, RunError> {
        let charges = &table.columns.charges;
        let Loaded { table, source, selection } = table.load(&self.run, false)?;
        self.judged(table, &selection, charges, source.drop_invalid, true)
    }

    /// Momenta alone (rows x columns, in the unit of the table of the training) in a.u.
    ///
    /// # Errors
    /// As [`Self::measured`].
    pub fn momenta(&self, y: ArrayView2<'_, f64>) -> Result<Array2<f64>, RunError> {
        let preprocessing = &self.run.record.preprocessing;
        let mut table = self.checked(None, y, preprocessing.momenta())?;
        if let Some(alike) = preprocessing.alike() {
            table.order_alike(alike.clone());
        }
        Ok(table.y)
    }

    /// Positions (rows x columns, bohr) of a file, with its momenta as [`Self::momenta`], in the frame of the run and with its names of
    /// ions alike.
    ///
    /// # Errors
    /// As [`Self::measured`].
    pub fn in_frame_of_run(
        &self,
        mut x: Array2<f64>,
        y: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>, RunError> {
        let preprocessing = &self.run.record.preprocessing;
        let mut y = self.checked(None, y, preprocessing.momenta())?.y;
        if let Some(alike) = preprocessing.alike() {
            alike.order(x.view_mut(), y.view_mut());
        }
        Ok(preprocessing.gauge().positions(x, y.view()))
    }

    /// Rows of positions (bohr) in the frame of the run and with its names of ions alike, as draws are, and of momenta as in a file.
    ///
    /// # Errors
    /// As [`Self::measured`].
    pub fn pairs_in_run(
        &self,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        charges: &GivenCharges,
    ) -> Result<Pairs, RunError> {
        let Pairs { y, warnings, .. } = self.pairs(x, y, charges)?;
        Ok(Pairs { x: self.in_frame_of_file(x.to_owned(), y.view()), y, warnings })
    }

    /// Rows of positions (bohr) and of momenta, with charges, as [`Self::measured`]; both as in a file.
    ///
    /// # Errors
    /// As [`Self::measured`].
    pub fn pairs(
        &self,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        charges: &GivenCharges,
    ) -> Result<Pairs, RunError> {
        charges.check_known()?;
        let mut table = self.table(Some(x), y, charges)?;
        refuse_far_out(&self.run, &mut table, &self.run.experiment.columns, false)?;
        Ok(Pairs { x: table.x, y: table.y, warnings: Vec::new() })
    }

    /// The positions and momenta of a table.
    ///
    /// # Errors
    /// As `cei log-prob`.
    pub fn pairs_in(&self, table: &LaterTable) -> Result<Pairs, RunError> {
        table.columns.charges.check_known()?;
        let Loaded { mut table, source, selection } = table.load(&self.run, true)?;
        refuse_far_out(&self.run, &mut table, &selection, source.drop_invalid)?;
        let warnings = said(&table.readings, &table.dropped);
        Ok(Pairs { x: table.x, y: table.y, warnings })
    }

    fn judged(
        &self,
        mut table: Table,
        selection: &Selection,
        charges: &GivenCharges,
        drop_invalid: bool,
        judge: bool,
    ) -> Result<Measured, RunError> {
        let mut warnings = said(&table.readings, &table.dropped);
        let run = &self.run;
        let far_out = set_aside(run, &mut table, selection, drop_invalid)?;
        let charges_known = *charges != GivenCharges::Unknown;
        if !charges_known {
            choose_charges(run, self.support.as_ref(), &mut table.y)?;
        }
        let mut outside =
            vec![Outside::default(); if far_out.is_empty() { 0 } else { table.rows() }];
        far_out.iter().for_each(|cell| outside[cell.row].far_out = true);
        if judge {
            let unit = &selection.y_unit;
            let judged = Judged::of(run, self.support.as_ref(), table.y.view(), unit, &far_out)?;
            warnings.extend(judged.plausibility.and_then(|plausibility| plausibility.warning()));
            outside = judged.outside.unwrap_or(outside);
        }
        warnings.extend(no_measurements(&far_out));
        let off = run.record.preprocessing.off_constant_momenta(table.y.view());
        if judge && off > 0 {
            warnings.push(format!(
                "warning: in {off} of {} events a momentum that never varied in training has another value; the model cannot use it\nhint: are these momenta in the frame of the training table?",
                table.rows()
            ));
        }
        let numbers = table.dropped.kept(table.rows());
        Ok(Measured { numbers, y: table.y, charges_known, outside, warnings })
    }

    /// Of each ion, whether it may be missing; empty where none may.
    fn may_miss(&self) -> Vec<bool> {
        let record = &self.run.record;
        if !record.preprocessing.may_miss_ions() {
            return Vec::new();
        }
        record.origin().may_miss(record.molecule.as_ref())
    }

    /// Rows in memory as a table, with charges behind the momenta where the run is conditioned on these.
    fn table(
        &self,
        x: Option<ArrayView2<'_, f64>>,
        y: ArrayView2<'_, f64>,
        given: &GivenCharges,
    ) -> Result<Table, RunError> {
        let charges = TableCharges::of(&self.run, given)?;
        let preprocessing = &self.run.record.preprocessing;
        let all = preprocessing.y_names().len();
        let width = if charges.are_columns() { all } else { preprocessing.momenta() };
        let mut table = self.checked(x, y, width)?;
        charges.complete(&self.run, &mut table)?;
        Ok(table)
    }

    /// Rows in memory as a table: positions in bohr, and the first `width` columns of the condition in their units.
    fn checked(
        &self,
        x: Option<ArrayView2<'_, f64>>,
        y: ArrayView2<'_, f64>,
        width: usize,
    ) -> Result<Table, RunError> {
        let preprocessing = &self.run.record.preprocessing;
        let momenta = preprocessing.momenta();
        let unit = self.run.experiment.columns.y_unit.factor();
        let factor = |column: usize| if column < momenta { unit } else { 1.0 };
        if y.ncols() != width {
            return Err(RunError::OtherMomenta { found: y.ncols(), width });
        }
        let x_names = preprocessing.x_names().to_vec();
        let table = Table {
            x: x.map_or_else(|| Array2::zeros((y.nrows(), 0)), |x| x.to_owned()),
            y: Array2::from_shape_fn(y.dim(), |(row, column)| y[[row, column]] * factor(column)),
            nuisances: x_names.len() - preprocessing.positions(),
            x_names,
            y_names: preprocessing.y_names()[..width].to_vec(),
            charges: width - momenta,
            may_miss: self.may_miss(),
            alike: None,
            files: Vec::new(),
            readings: Vec::new(),
            dropped: DroppedRows::default(),
        };
        let fault = |values: &Array2<f64>, names: &[String], factor: &dyn Fn(usize) -> f64| {
            let mut cells = values.indexed_iter();
            cells.find_map(|((row, column), value)| {
                let fault = fault(*value, factor(column))?;
                let at: Location = table.location(row, Some(&names[column]));
                Some(LoadError::Invalid { at, fault })
            })
        };
        let missing = || {
            table.momenta().rows().into_iter().enumerate().find_map(|(row, momenta)| {
                let (column, fault) = missing_fault(momenta, &table.may_miss)?;
                let name = column.map(|column| table.y_names[column].as_str());
                Some(LoadError::Invalid { at: table.location(row, name), fault })
            })
        };
        let found = fault(&table.x, &table.x_names, &|_| 1.0).or_else(missing);
        let infinite = |values: &Array2<f64>| {
            let mut known = values.clone();
            let of_ions = known.slice_mut(s![.., ..momenta]);
            of_ions.into_iter().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
            fault(&known, &table.y_names, &factor)
        };
        match found.or_else(|| infinite(&table.y)) {
            Some(error) => Err(error.into()),
            None => Ok(table),
        }
    }
}

/// What is wrong with a number (internal units), one of whose own units is `factor`; none if nothing is.
fn fault(value: f64, factor: f64) -> Option<Fault> {
    const LARGEST: f64 = 1e30;
    match value {
        value if value.is_nan() => Some(Fault::NotANumber),
        value if value.is_infinite() => Some(Fault::Infinite),
        value if value.abs() > LARGEST => {
            Some(Fault::TooLarge { value: value / factor, limit: LARGEST / factor })
        }
        _ => None,
    }
}

/// How a table was read, where that has to be said, and what was left out of it.
fn said(readings: &[Reading], dropped: &DroppedRows) -> Vec<String> {
    let dropped = (dropped.rows > 0).then(|| format!("warning: {dropped}"));
    remarks(readings).into_iter().chain(dropped).collect()
}

/// Events without draws.
fn no_measurements(cells: &[FarCell]) -> Vec<String> {
    let named = cells.iter().take(MOST_NAMED);
    let mut said: Vec<String> = named
        .map(|cell| format!("warning: {cell}: no measurement, so the event has no draws"))
        .collect();
    if let Some(more) = cells.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        said.push(format!("warning: {more} more events have no draws for the same reason"));
    }
    said
}
