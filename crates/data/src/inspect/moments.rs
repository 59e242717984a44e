//! What is accumulated over the rows of a table that is read once and never kept: memory follows the columns, and
//! eight bytes a row.

use std::hash::{DefaultHasher, Hash, Hasher};

use cei_physics::units::HARTREE_EV;

use super::directions::{Directions, RunningDirections};
use super::far::FarCells;
use super::summary::{EnergySummary, Moments, Range};
use crate::rounding::{ROUNDING_MARGIN, rounding};
use crate::scaler::{mean_and_sd, quantile};
use crate::subspace::RunningRank;
use crate::sum_gate::{CentreOfMass, Gated, SumOptions, remove_motion, sum_of};

/// The levels of the quantiles of the kinetic energy release.
const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Part of the largest variation of a standardised direction below which there is none.
const TOLERANCE: f64 = 1e-6;
/// Columns of a side of which the rank is computed at most: it costs the square of their number in every row.
const MOST_RANKED: usize = 300;
/// Atoms between which distances are taken, to guess a unit, at most.
const MOST_ATOMS: usize = 30;

/// Count, mean, sum of squared deviations and limits of each column, NaN left out. Blocks are summed in two passes
/// and combined as Chan, Golub & LeVeque (1983) do, so that no digits are lost to large means.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Vec<Column>);

#[derive(Clone, Copy, Debug)]
struct Column {
    count: u64,
    invalid: u64,
    mean: f64,
    deviations: f64,
    min: f64,
    max: f64,
}

impl Running {
    pub(super) fn new(columns: usize) -> Self {
        let none = Column {
            count: 0,
            invalid: 0,
            mean: 0.0,
            deviations: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        };
        Self(vec![none; columns])
    }

    /// Takes rows, one after another in one slice.
    pub(super) fn add(&mut self, rows: &[f64]) {
        let columns = self.0.len();
        let mut block = Self::new(columns).0;
        // Sums of differences from the first valid value: exact for a column that never changes.
        let mut first = vec![f64::NAN; columns];
        let mut shift = vec![0.0; columns];
        for row in rows.chunks_exact(columns) {
            for (at, &value) in row.iter().enumerate() {
                let column = &mut block[at];
                if value.is_nan() {
                    column.invalid += 1;
                    continue;
                }
                if first[at].is_nan() {
                    first[at] = value;
                }
                column.count += 1;
                column.min = column.min.min(value);
                column.max = column.max.max(value);
                shift[at] += value - first[at];
            }
        }
        for (shift, column) in shift.iter_mut().zip(&block) {
            *shift /= column.count.max(1) as f64;
        }
        for row in rows.chunks_exact(columns) {
            for (at, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                block[at].deviations += (value - first[at] - shift[at]).powi(2);
            }
        }
        for (at, (whole, mut part)) in self.0.iter_mut().zip(block).enumerate() {
            part.mean = if part.count > 0 { first[at] + shift[at] } else { 0.0 };
            whole.merge(&part);
        }
    }

    pub(super) fn invalid(&self, column: usize) -> u64 {
        self.0[column].invalid
    }

    pub(super) fn moments(&self, column: usize) -> Moments {
        let column = &self.0[column];
        let variance = column.deviations / column.count.max(1) as f64;
        Moments { mean: column.mean, sd: variance.sqrt() }
    }

    /// None where no value was valid.
    pub(super) fn range(&self, column: usize) -> Option<Range> {
        let Moments { mean, sd } = self.moments(column);
        let Column { count, min, max, .. } = self.0[column];
        (count > 0).then_some(Range { min, max, mean, sd })
    }
}

impl Column {
    fn merge(&mut self, other: &Self) {
        self.invalid += other.invalid;
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = Self { invalid: self.invalid, ..*other };
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        self.mean += difference * b / (a + b);
        self.deviations += other.deviations + difference * difference * a * b / (a + b);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// What is made of the momentum sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) options: SumOptions,
    /// What makes atomic units of the file's; plays no part without a gate.
    pub(super) factor: f64,
}

/// The position columns, or the momentum columns, of the rows in which all of them are valid and which are within the
/// gate.
pub(super) struct Side {
    pub(super) columns: Vec<usize>,
    pub(super) rows: u64,
    pub(super) each: Running,
    pub(super) far: FarCells,
    rank: Option<RunningRank>,
    squares: f64,
    distances: Vec<f64>,
    sums: Running,
    gate: Sums,
    /// Rows that are not within the gate, and the least length of their sums.
    outside: u64,
    pub(super) least_outside_au: f64,
    /// Of each ion; empty for positions.
    directions: Vec<RunningDirections>,
    /// Of each ion, to have `p^2 / 2m`; empty where they are not known.
    masses: Vec<f64>,
    /// `sum of p^2 / 2m` of each row, in the file's unit squared over electron masses.
    energies: Vec<f64>,
}

impl Side {
    /// The side of positions.
    pub(super) fn of_positions(columns: Vec<usize>) -> Self {
        Self::new(columns)
    }

    /// The side of momenta, with the masses of the ions if they are known.
    pub(super) fn of_momenta(columns: Vec<usize>, masses: Vec<f64>, gate: Sums) -> Self {
        let side = Self::new(columns);
        if side.sums.0.is_empty() {
            return side;
        }
        let directions = vec![RunningDirections::default(); side.columns.len() / 3];
        Self { masses, gate, directions, ..side }
    }

    fn new(columns: Vec<usize>) -> Self {
        let width = columns.len();
        let vectors = width > 0 && width.is_multiple_of(3);
        let atoms = if vectors { (width / 3).min(MOST_ATOMS) } else { 0 };
        Self {
            rows: 0,
            each: Running::new(width),
            far: FarCells::new(width),
            rank: (1..=MOST_RANKED).contains(&width).then(|| RunningRank::new(width)),
            squares: 0.0,
            distances: vec![0.0; atoms * atoms.saturating_sub(1) / 2],
            sums: Running::new(if vectors { 3 } else { 0 }),
            gate: Sums::default(),
            outside: 0,
            least_outside_au: f64::INFINITY,
            directions: Vec::new(),
            masses: Vec::new(),
            energies: Vec::new(),
            columns,
        }
    }

    /// Takes rows of the whole table, `width` cells each.
    pub(super) fn add(&mut self, table: &[f64], width: usize) {
        if self.columns.is_empty() {
            return;
        }
        let mut rows = Vec::with_capacity(table.len() / width * self.columns.len());
        for row in table.chunks_exact(width) {
            let start = rows.len();
            rows.extend(self.columns.iter().map(|&column| row[column]));
            self.far.add(&rows[start..]);
            let is_valid = rows[start..].iter().all(|value| !value.is_nan());
            if !is_valid || !self.is_within(&rows[start..]) {
                rows.truncate(start);
            }
        }
        let width = self.columns.len();
        self.rows += (rows.len() / width) as u64;
        self.each.add(&rows);
        if let Some(rank) = &mut self.rank {
            rank.add(&rows);
        }
        self.squares += rows.iter().map(|value| value * value).sum::<f64>();
        for row in rows.chunks_exact(width) {
            self.add_distances(row);
        }
        if !self.sums.0.is_empty() {
            self.add_sums(&mut rows);
        }
    }

    /// Whether a valid row is within the gate; those that are not are counted.
    fn is_within(&mut self, row: &[f64]) -> bool {
        let Sums { options: SumOptions { gate: Some(gate), .. }, factor } = self.gate else {
            return true;
        };
        let sum = sum_of(row.iter().map(|p| factor * p));
        let is_within = gate.accepts(sum);
        if !is_within {
            let length = sum.iter().map(|p| p * p).sum::<f64>().sqrt();
            self.outside += 1;
            self.least_outside_au = self.least_outside_au.min(length);
        }
        is_within
    }

    /// Takes what follows from momenta as vectors: their sums, and their directions and energies with the motion of the centre
    /// of mass or without it.
    fn add_sums(&mut self, rows: &mut [f64]) {
        let width = self.columns.len();
        let sums: Vec<f64> =
            rows.chunks_exact(width).flat_map(|row| sum_of(row.iter().copied())).collect();
        self.sums.add(&sums);
        for (row, sum) in rows.chunks_exact_mut(width).zip(sums.chunks_exact(3)) {
            if self.gate.options.centre_of_mass == CentreOfMass::Removed {
                remove_motion(row.iter_mut(), &self.masses, [sum[0], sum[1], sum[2]]);
            }
            for (p, directions) in row.chunks_exact(3).zip(&mut self.directions) {
                directions.add([p[0], p[1], p[2]]);
            }
            if !self.masses.is_empty() {
                let ions = row.chunks_exact(3).zip(&self.masses);
                let energy =
                    ions.map(|(p, mass)| p.iter().map(|p| p * p).sum::<f64>() / (2.0 * mass));
                self.energies.push(energy.sum());
            }
        }
    }

    fn add_distances(&mut self, row: &[f64]) {
        let atoms = (row.len() / 3).min(MOST_ATOMS);
        let pairs =
            (0..atoms).flat_map(|first| (first + 1..atoms).map(move |other| (first, other)));
        for (sum, (first, other)) in self.distances.iter_mut().zip(pairs) {
            let square = |axis: usize| (row[3 * first + axis] - row[3 * other + axis]).powi(2);
            *sum += (0..3).map(square).sum::<f64>().sqrt();
        }
    }

    /// The shortest of the mean distances between two atoms.
    pub(super) fn shortest_distance(&self) -> Option<f64> {
        let shortest = self.distances.iter().copied().reduce(f64::min)?;
        (self.rows > 0).then(|| shortest / self.rows as f64)
    }

    /// Root mean square of all components.
    pub(super) fn size(&self) -> Option<f64> {
        let count = self.rows as f64 * self.columns.len() as f64;
        (count > 0.0).then(|| (self.squares / count).sqrt())
    }

    /// Of the sum over atoms, for x, y and z.
    pub(super) fn sum(&self) -> Option<[Moments; 3]> {
        let known = self.rows > 0 && !self.sums.0.is_empty();
        known.then(|| [0, 1, 2].map(|axis| self.sums.moments(axis)))
    }

    /// How many rows the gate has left out; none without a gate.
    pub(super) fn gated(&self) -> Option<Gated> {
        let gate_au = self.gate.options.gate?;
        Some(Gated { gate_au, events: self.rows + self.outside, dropped: self.outside })
    }

    /// Of each ion, by the names of the columns.
    pub(super) fn directions(&self, names: &[String]) -> Vec<Directions> {
        let ions = names.chunks_exact(3).zip(&self.directions);
        ions.map(|(names, running)| running.finish(names[0].clone())).collect()
    }

    /// Independent directions in which the columns at the places `alive` vary, and in how many of these they do so by
    /// more than the rounding of the file; none if there are too many columns.
    pub(super) fn ranks(&mut self, alive: &[usize]) -> Option<[usize; 2]> {
        let rank = self.rank.take()?;
        let sampled = |&place: &usize| {
            let column = self.far.column(place);
            rounding(&column, 1.0, self.each.moments(place).sd)
        };
        let largest = alive.iter().filter_map(sampled).fold(0.0, f64::max);
        let plain = rank.clone().finish(alive, TOLERANCE);
        let tolerance = ROUNDING_MARGIN * largest;
        let rounded = if tolerance > TOLERANCE { rank.finish(alive, tolerance) } else { plain };
        Some([plain, rounded])
    }

    /// In eV, where masses are known; `factor` makes atomic units of the file's.
    pub(super) fn energy(&mut self, factor: f64, masses: String) -> Option<EnergySummary> {
        if self.energies.is_empty() {
            return None;
        }
        let mut energies = std::mem::take(&mut self.energies);
        energies.iter_mut().for_each(|energy| *energy *= factor * factor * HARTREE_EV);
        energies.sort_unstable_by(f64::total_cmp);
        let (mean_ev, sd_ev) = mean_and_sd(&ndarray::ArrayView1::from(&energies));
        let quantiles_ev = LEVELS.map(|level| (level, quantile(&energies, level))).to_vec();
        Some(EnergySummary { mean_ev, sd_ev, quantiles_ev, masses, sorted_ev: energies })
    }
}

/// Rows that repeat an earlier one bit for bit, by 64-bit digests of them.
#[derive(Default)]
pub(super) struct Duplicates(Vec<u64>);

impl Duplicates {
    pub(super) fn add(&mut self, table: &[f64], width: usize) {
        self.0.extend(table.chunks_exact(width).map(|row| {
            let mut hasher = DefaultHasher::new();
            row.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            hasher.finish()
        }));
    }

    pub(super) fn count(mut self) -> u64 {
        self.0.sort_unstable();
        self.0.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
    }
}
