//! What is asked of a table, and what is found.

use std::path::PathBuf;

use cei_metrics::number;
use cei_physics::Molecule;
use ndarray::Array2;
use serde::Serialize;

use super::directions::Directions;
use crate::load::DropCause;
use crate::reading::Reading;
use crate::source::ColumnRef;
use crate::sum_gate::{CentreOfMass, Gated, SumOptions};
use crate::units::{MomentumUnit, PositionUnit};

/// What is known about a table beforehand; everything may be left empty.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Position columns; recognised by names such as `cx` if empty.
    pub x: Vec<ColumnRef>,
    /// Momentum columns; recognised by names such as `pcx` if empty.
    pub y: Vec<ColumnRef>,
    /// Whether a side of which the table has no column is left out: the names are those of a configuration, which may
    /// be of a larger table.
    pub either_side: bool,
    /// The molecule, for masses; otherwise elements are guessed from column names.
    pub molecule: Option<Molecule>,
    /// Unit of the positions; guessed from magnitudes if absent.
    pub x_unit: Option<PositionUnit>,
    /// Unit of the momenta; guessed from magnitudes if absent.
    pub y_unit: Option<MomentumUnit>,
    /// Of each ion, whether it may be missing, its cells empty; none may where this is empty.
    pub may_miss: Vec<bool>,
    /// Which momentum sums are accepted, and whether the motion of the centre of mass is in energies and directions.
    pub sums: SumOptions,
    /// Whether momenta are kept, for figures: of all events, or of as many as there is room for.
    pub keep_momenta: bool,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The files, in row order.
    pub files: Vec<PathBuf>,
    /// How each file was read, in the same order.
    pub readings: Vec<Reading>,
    /// Rows, valid or not.
    pub rows: u64,
    /// Rows with at least one invalid cell.
    pub invalid_rows: u64,
    /// Invalid cells by reason and column.
    pub invalid: Vec<DropCause>,
    /// Rows by the ions that were detected, where cells of whole ions are empty; rows of which a part of an ion is there are
    /// left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detected: Vec<DetectedIons>,
    /// Rows that repeat an earlier row in every column, bit for bit.
    pub duplicate_rows: u64,
    /// Of how many rows one was looked at for it: 1, but for tables of more than 8 million rows, for which the number is an
    /// estimate.
    #[serde(skip_serializing_if = "is_one")]
    pub duplicates_sought_in_one_of: u64,
    /// Every column of the files.
    pub columns: Vec<ColumnSummary>,
    /// The position columns as a whole, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<SideSummary>,
    /// The momentum columns as a whole, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momenta: Option<SideSummary>,
    /// Events that the gate on the momentum sum leaves out, if there is one: ranges, duplicates and cells are those of all
    /// rows, all else of the momenta is that of the events within it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gated>,
    /// Whether energies and directions are without the motion of the centre of mass.
    #[serde(skip_serializing_if = "is_kept")]
    pub centre_of_mass: CentreOfMass,
    /// Sum of the momenta over the atoms for x, y and z, in the file's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_sum: Option<[Moments; 3]>,
    /// Standard deviation for x, y and z, in atomic units, of independent noise of the momenta that explains the spread
    /// of their sum, if it is the same for every ion and the ions leave from rest. Absent where the unit is not known
    /// or the sum does not vary.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub momentum_noise_au: Option<[f64; 3]>,
    /// Directions of the momentum of each ion, where there are three momentum columns for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directions: Vec<Directions>,
    /// Kinetic energy release, where masses can be told and the unit of the momenta is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinetic_energy_release: Option<EnergySummary>,
    /// The momenta of the events, where they are asked for, masses can be told and the unit is known.
    #[serde(skip)]
    pub ion_momenta: Option<IonMomenta>,
    /// What a reader must know: what was taken for granted, and what is remarkable about the numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Ions and the momenta of the events.
#[derive(Clone, Debug, PartialEq)]
pub struct IonMomenta {
    /// Names of the ions, in the order of the columns.
    pub labels: Vec<String>,
    /// Their masses in electron masses.
    pub masses: Vec<f64>,
    /// Events x 3 ions, a.u.; three NaN where an ion is missing.
    pub momenta_au: Array2<f64>,
    /// Where there was no room for all: the number of all, of which these were drawn at random.
    pub drawn_from: Option<u64>,
}

/// Rows of which the same ions were detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetectedIons {
    /// How many ions.
    pub ions: usize,
    /// The others, by atom, or by their first column where atoms are not known.
    pub missing: Vec<String>,
    /// Rows.
    pub rows: u64,
}

/// What a column is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A position.
    Position,
    /// A momentum.
    Momentum,
    /// Anything else.
    Other,
}

/// One column; numbers are of its valid cells and in the file's unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnSummary {
    /// Name, or `column 3` (0-based) without a header.
    pub name: String,
    /// What it is taken for.
    pub role: Role,
    /// Cells that are no finite number.
    pub invalid: u64,
    /// Whether it does not vary, by the rule of training: beside columns of its kind, or of its molecule; another column
    /// by itself.
    pub dead: bool,
    /// Absent where no cell is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// The valid values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Least value.
    #[serde(with = "number")]
    pub min: f64,
    /// Greatest value.
    #[serde(with = "number")]
    pub max: f64,
    /// Mean.
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd: f64,
}

/// All position columns, or all momentum columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideSummary {
    /// Names.
    pub columns: Vec<String>,
    /// Names of those that do not vary.
    pub dead: Vec<String>,
    /// Independent directions in which the others vary (relative tolerance 1e-6, or the rounding of the file); absent where there are more than 300
    /// columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// The unit as it was declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The unit, guessed from magnitudes; absent where it is declared, and where nothing can be guessed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_guess: Option<UnitGuess>,
}

/// A unit guessed from magnitudes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitGuess {
    /// As it is written in a configuration.
    pub unit: &'static str,
    /// What the guess rests on.
    pub reason: String,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// Mean.
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd: f64,
}

/// The kinetic energy release, `sum of p^2 / 2m`, in eV.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnergySummary {
    /// Mean.
    #[serde(with = "number")]
    pub mean_ev: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd_ev: f64,
    /// Pairs of level and value.
    #[serde(with = "number")]
    pub quantiles_ev: Vec<(f64, f64)>,
    /// Where quantiles are those of 8 million events, drawn at random: the number of all, which mean and sd are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn_from: Option<u64>,
    /// Where the masses come from.
    pub masses: String,
    /// Of the events, all or those that were drawn, rising.
    #[serde(skip)]
    pub sorted_ev: Vec<f64>,
}

impl EnergySummary {
    /// The part of the events with more energy than this.
    #[must_use]
    pub fn share_above(&self, energy_ev: f64) -> f64 {
        let events = self.sorted_ev.len();
        let above = events - self.sorted_ev.partition_point(|energy| *energy <= energy_ev);
        above as f64 / events.max(1) as f64
    }

    /// The energy (eV) at a level.
    #[must_use]
    pub fn at(&self, level: f64) -> Option<f64> {
        self.quantiles_ev.iter().find(|(own, _)| *own == level).map(|(_, energy)| *energy)
    }
}

fn is_one(count: &u64) -> bool {
    *count == 1
}

fn is_kept(centre_of_mass: &CentreOfMass) -> bool {
    *centre_of_mass == CentreOfMass::Kept
}
