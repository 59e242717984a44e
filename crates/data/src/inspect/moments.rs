//! What is accumulated over the rows of a table that is read once and never kept: memory follows the columns.

use super::directions::{Directions, RunningDirections};
use super::energies::Energies;
use super::far::FarCells;
use super::running::Running;
use super::summary::{EnergySummary, Moments};
use crate::rounding::{ROUNDING_MARGIN, rounding};
use crate::subspace::RunningRank;
use crate::sum_gate::{CentreOfMass, Gated, SumOptions, remove_motion, sum_of};

/// Part of the largest variation of a standardised direction below which there is none.
const TOLERANCE: f64 = 1e-6;
/// Columns of a side of which the rank is computed at most: it costs the square of their number in every row.
const MOST_RANKED: usize = 300;
/// Atoms between which distances are taken, to guess a unit, at most.
const MOST_ATOMS: usize = 30;

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
    /// `sum of p^2 / 2m` of the rows, in the file's unit squared over electron masses.
    energies: Energies,
}

impl Side {
    /// The side of positions.
    pub(super) fn of_positions(columns: Vec<usize>) -> Self {
        Self::new(columns)
    }

    /// The side of momenta, with the masses of the ions if they are known.
    pub(super) fn of_momenta(columns: Vec<usize>, masses: Vec<f64>, gate: Sums) -> Self {
        let side = Self::new(columns);
        if side.sums.is_empty() {
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
            energies: Energies::default(),
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
        if !self.sums.is_empty() {
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
        let mut energies = Vec::new();
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
                energies.push(energy.sum());
            }
        }
        self.energies.add(&energies);
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
        let known = self.rows > 0 && !self.sums.is_empty();
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
        std::mem::take(&mut self.energies).finish(factor, masses)
    }
}
