//! Digests of rows, to tell later which of other rows were trained on, copies that were rounded included.
//!
//! A column is cut into cells of a small part of its standard deviation, and a row's digest is the sum of a random
//! number for each of its cells (64 bits). A row that lies near the edge of a cell is looked up in the neighbouring
//! cell too, so that a copy that differs by less than 1/16 of a cell in every column is always found. The cells are as
//! large as the data allow: of those sizes, the largest on which no two training rows meet by chance.

use std::ops::Range;

use cei_physics::Molecule;
use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::ScratchError;
use crate::kinds::Varying;
use crate::parts::Part;

/// Widths of cells that are tried, in standard deviations of the column.
const CELLS: [f64; 6] = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8];
/// So many rows may meet by chance for each that is a copy.
const CHANCE: f64 = 0.1;
/// Part of a cell within which its neighbour is looked up too.
const EDGE: f64 = 1.0 / 16.0;
/// Columns of a row of which the neighbour is looked up at most.
const MOST_EDGES: usize = 10;
/// A side of fewer different rows is a setting, such as a number of photons, and says nothing about an event.
const LEAST_DIFFERENT: usize = 30;

/// What the digests of a table are of: whole rows, their positions, their momenta.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDigests {
    /// Positions and momenta together.
    pub whole: Digests,
    /// Positions alone.
    pub positions: Digests,
    /// Momenta alone.
    pub momenta: Digests,
}

/// How many of some rows repeat rows of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Rows looked at.
    pub of: usize,
    /// Those that repeat a row of training in all columns.
    pub rows: usize,
    /// Those that repeat the positions of one.
    pub positions: usize,
    /// Those that repeat the momenta of one.
    pub momenta: usize,
}

impl Copies {
    /// Whether there is any.
    #[must_use]
    pub fn any(self) -> bool {
        self.rows + self.positions + self.momenta > 0
    }
}

impl RowDigests {
    /// Digests of these rows of a table, of this molecule if it is known. One side of them is in memory at a time.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn fit(part: Part<'_>, molecule: Option<&Molecule>) -> Result<Self, ScratchError> {
        let head = part.head();
        let [x_components, y_components] = head.components(molecule);
        let x = part.gathered_whole(head.x.ncols(), |x, _| x)?;
        let of_x = Varying::of(&head.x_names, x.view(), x_components);
        drop(x);
        let y = part.gathered_whole(head.y.ncols(), |_, y| y)?;
        let of_y = Varying::of(&head.y_names, y.view(), y_components);
        drop(y);
        let varying = [&of_x, &of_y];
        let fit = |sides: Range<usize>| {
            Digests::fit(&varying[sides.clone()], part.count(), |digests| {
                let mut sums = Vec::with_capacity(part.count());
                part.each(&mut |_, x, y| {
                    sums.extend(digests.sums(&[x.view(), y.view()][sides.clone()]));
                })?;
                sums.par_sort_unstable();
                Ok(sums)
            })
        };
        Ok(Self { whole: fit(0..2)?, positions: fit(0..1)?, momenta: fit(1..2)? })
    }

    /// Digests of other rows of the same columns, in the same cells.
    #[must_use]
    pub fn of_others(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Self {
        Self {
            whole: self.whole.of_others(&[x, y]),
            positions: self.positions.of_others(&[x]),
            momenta: self.momenta.of_others(&[y]),
        }
    }

    /// How many of other rows (raw positions and momenta) repeat these.
    #[must_use]
    pub fn copies(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Copies {
        Copies {
            of: y.nrows(),
            rows: self.whole.count(&[x, y]),
            positions: self.positions.count(&[x]),
            momenta: self.momenta.count(&[y]),
        }
    }
}

/// Digests of rows over some columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digests {
    /// Edge of a cell in each column.
    pub offsets: Vec<f64>,
    /// Width of a cell in each column; zero for a column that does not vary, which is left out.
    pub widths: Vec<f64>,
    /// The digests, rising.
    pub sorted: Vec<u64>,
}

impl Digests {
    /// Fits the cells to columns and so many rows, of which `sorted` gives the digests in them.
    fn fit(
        varying: &[&Varying],
        rows: usize,
        sorted: impl Fn(&Self) -> Result<Vec<u64>, ScratchError>,
    ) -> Result<Self, ScratchError> {
        let mut digests = Self::default();
        let mut sds = Vec::new();
        for varying in varying {
            for (column, (mean, sd)) in varying.moments.iter().enumerate() {
                digests.offsets.push(*mean);
                sds.push(if varying.alive.contains(&column) { *sd } else { 0.0 });
            }
        }
        if sds.iter().all(|sd| *sd == 0.0) {
            return Ok(digests);
        }
        let of = |cell: f64| {
            let widths: Vec<f64> = sds.iter().map(|sd| cell * sd).collect();
            let digests = Self { widths, ..digests.clone() };
            let sorted = sorted(&digests)?;
            Ok(Self { sorted, ..digests })
        };
        let mut best = of(CELLS[0])?;
        for (place, &cell) in CELLS[1..].iter().enumerate() {
            let finer = of(cell)?;
            // Copies meet in cells of every size, others in larger ones only.
            let by_chance = finer.different().saturating_sub(best.different());
            let passes = by_chance as f64 <= CHANCE * (rows - finer.different()) as f64;
            // Where larger cells do not pass, these are at the edge of it: smaller ones are certain.
            if !passes || place > 0 {
                best = finer;
            }
            if passes {
                break;
            }
        }
        if best.different() < LEAST_DIFFERENT {
            best.sorted.clear();
        }
        Ok(best)
    }

    fn of_others(&self, sides: &[ArrayView2<'_, f64>]) -> Self {
        let (offsets, widths) = (self.offsets.clone(), self.widths.clone());
        let sorted = if self.sorted.is_empty() { Vec::new() } else { self.digests(sides) };
        Self { offsets, widths, sorted }
    }

    /// Number of different digests.
    fn different(&self) -> usize {
        self.sorted.chunk_by(|a, b| a == b).count()
    }

    fn digests(&self, sides: &[ArrayView2<'_, f64>]) -> Vec<u64> {
        let mut sorted = self.sums(sides);
        sorted.par_sort_unstable();
        sorted
    }

    /// The digest of every row.
    fn sums(&self, sides: &[ArrayView2<'_, f64>]) -> Vec<u64> {
        let rows = sides.first().map_or(0, |side| side.nrows());
        let of_row = |row| {
            let mut sum = 0_u64;
            self.places(sides, row, |column, place| {
                sum = sum.wrapping_add(digest(column, place.floor()));
            });
            sum
        };
        (0..rows).into_par_iter().map(of_row).collect()
    }

    /// Gives column and place, in cells, of the values of a row.
    fn places(&self, sides: &[ArrayView2<'_, f64>], row: usize, mut take: impl FnMut(usize, f64)) {
        let mut column = 0;
        for side in sides {
            for value in side.row(row) {
                let (offset, width) = (self.offsets[column], self.widths[column]);
                if width > 0.0 {
                    take(column, (value - offset) / width);
                }
                column += 1;
            }
        }
    }

    /// How many rows, of the same columns, are among these.
    fn count(&self, sides: &[ArrayView2<'_, f64>]) -> usize {
        if self.sorted.is_empty() {
            return 0;
        }
        let rows = sides.first().map_or(0, |side| side.nrows());
        let sieve = Sieve::of(&self.sorted);
        (0..rows).into_par_iter().filter(|&row| self.holds(&sieve, sides, row)).count()
    }

    fn holds(&self, sieve: &Sieve, sides: &[ArrayView2<'_, f64>], row: usize) -> bool {
        let mut own = 0_u64;
        // Distance from the edge of the cell, and what the digest changes by beyond it.
        let mut edges: Vec<(f64, u64)> = Vec::new();
        self.places(sides, row, |column, place| {
            let cell = place.floor();
            let here = digest(column, cell);
            own = own.wrapping_add(here);
            let part = place - cell;
            let (distance, neighbour) =
                if part < 0.5 { (part, cell - 1.0) } else { (1.0 - part, cell + 1.0) };
            if distance < EDGE {
                edges.push((distance, digest(column, neighbour).wrapping_sub(here)));
            }
        });
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        edges.truncate(MOST_EDGES);
        let among =
            |digest: u64| sieve.passes(digest) && self.sorted.binary_search(&digest).is_ok();
        // Gray code: from one set of neighbours to the next only one column changes.
        let mut digest = own;
        for step in 0..1_usize << edges.len() {
            if step > 0 {
                let column = step.trailing_zeros() as usize;
                let gray = step ^ (step >> 1);
                let change = edges[column].1;
                digest = if gray >> column & 1 == 1 {
                    digest.wrapping_add(change)
                } else {
                    digest.wrapping_sub(change)
                };
            }
            if among(digest) {
                return true;
            }
        }
        false
    }
}

/// Most digests that are looked up are not there; their first bits say so without a search.
struct Sieve {
    words: Vec<u64>,
    /// How far a digest is shifted to leave the number of its bit.
    shift: u32,
}

impl Sieve {
    /// Some 16 to 32 bits for each digest: one in as many passes that is not there.
    fn of(digests: &[u64]) -> Self {
        let bits = (16 * digests.len()).next_power_of_two().max(64);
        let mut sieve = Self { words: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() };
        for &digest in digests {
            let bit = digest >> sieve.shift;
            sieve.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        sieve
    }

    fn passes(&self, digest: u64) -> bool {
        let bit = digest >> self.shift;
        self.words[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }
}

/// A random number for each cell of each column (the finaliser of splitmix64).
fn digest(column: usize, cell: f64) -> u64 {
    let mut z =
        (cell as i64 as u64).wrapping_add((column as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Axis};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use crate::load::Table;

    /// `rows` of two positions and a noisy function of them in `units` of the momenta.
    fn table(rows: usize, unit: f64, seed: u64) -> Table {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let x = Array2::from_shape_simple_fn((rows, 2), || random.random_range(-1.0..1.0));
        let y = Array2::from_shape_fn((rows, 3), |(row, column)| {
            if column == 2 {
                7.0
            } else {
                unit * (x[[row, column]] + random.random_range(0.0..1.0))
            }
        });
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Table {
            may_miss: Vec::new(),
            alike: None,
            x,
            y,
            x_names: names(&["a", "b"]),
            y_names: names(&["pax", "pay", "paz"]),
            nuisances: 0,
            charges: 0,
            files: Vec::new(),
            readings: Vec::new(),
            dropped: Default::default(),
        }
    }

    #[test]
    fn trained_rows_are_found_and_others_are_not() {
        for unit in [1.0, 1e-22] {
            let trained = table(20_000, unit, 1);
            let rows: Vec<usize> = (0..15_000).collect();
            let digests = RowDigests::fit(Part::listed(&trained, &rows), None).unwrap();
            let all = digests.copies(trained.x.view(), trained.y.view());
            assert_eq!(
                all,
                Copies { of: 20_000, rows: 15_000, positions: 15_000, momenta: 15_000 }
            );
            let others = table(20_000, unit, 2);
            assert!(!digests.copies(others.x.view(), others.y.view()).any());
        }
    }

    /// A copy is told however the edges of the cells lie.
    #[test]
    fn rounded_copies_are_found() {
        let trained = table(5000, 1.0, 3);
        let rows: Vec<usize> = (0..5000).collect();
        let digests = RowDigests::fit(Part::listed(&trained, &rows), None).unwrap();
        for digits in [4, 6, 9] {
            let unit = 10_f64.powi(digits);
            let round = |values: &Array2<f64>| values.mapv(|value| (value * unit).round() / unit);
            let (x, y) = (round(&trained.x), round(&trained.y));
            assert_eq!(digests.copies(x.view(), y.view()).rows, 5000, "{digits}");
        }
        // Positions with other momenta, and momenta with other positions.
        let others = table(5000, 1.0, 4);
        let positions = digests.copies(trained.x.view(), others.y.view());
        assert_eq!((positions.rows, positions.positions), (0, 5000));
        let momenta = digests.copies(others.x.view(), trained.y.view());
        assert_eq!((momenta.rows, momenta.momenta), (0, 5000));
        // Two columns alone meet by chance: in cells of a thousandth of their spread, about two of 25 million pairs, and
        // some more beyond the edges.
        assert!(positions.momenta <= 10 && momenta.positions <= 10, "{positions:?} {momenta:?}");
    }

    /// What is left of a zero by one rotation and by two, 1e-16 and 1e-32 of the momenta, tells no rows apart.
    #[test]
    fn copies_that_were_rotated_again_are_found() {
        let atoms = ["C", "O"].map(|element| cei_physics::AtomSpec::new(element, 1.0));
        let molecule = Molecule::new(atoms.to_vec()).unwrap();
        let of = |part: f64| {
            let mut one = table(1000, 1.0, 8);
            one.y.column_mut(1).mapv_inplace(|value| part * value);
            let y = ndarray::concatenate![Axis(1), one.y, one.y.mapv(|component| -component)];
            Table { y, y_names: molecule.momentum_columns(), ..one }
        };
        let rows: Vec<usize> = (0..1000).collect();
        let digests = RowDigests::fit(Part::listed(&of(1e-31), &rows), Some(&molecule)).unwrap();
        let again = of(1e-15);
        assert_eq!(digests.copies(again.x.view(), again.y.view()).momenta, 1000);
    }

    /// On one dimension values meet in small cells too: these are made smaller until they do not.
    #[test]
    fn values_that_meet_by_chance_are_no_copies() {
        let line = |seed| {
            let mut table = table(3000, 1.0, seed);
            let x = table.x.column(0).to_owned();
            table.x.column_mut(1).assign(&(&x * 2.0));
            table.y.column_mut(0).assign(&x);
            table.y.column_mut(1).assign(&x);
            table
        };
        let trained = line(5);
        let digests =
            RowDigests::fit(Part::listed(&trained, &(0..3000).collect::<Vec<_>>()), None).unwrap();
        let others = line(6);
        let copies = digests.copies(others.x.view(), others.y.view());
        assert!(copies.rows <= 1, "{copies:?}");
        assert_eq!(digests.copies(trained.x.view(), trained.y.view()).rows, 3000);
    }

    #[test]
    fn a_setting_of_few_values_says_nothing() {
        let mut trained = table(1000, 1.0, 7);
        trained.y = Array2::from_shape_fn((1000, 3), |(row, _)| (row % 4) as f64);
        let digests =
            RowDigests::fit(Part::listed(&trained, &(0..1000).collect::<Vec<_>>()), None).unwrap();
        let copies = digests.copies(trained.x.view(), trained.y.view());
        assert_eq!((copies.rows, copies.momenta), (1000, 0));
    }

    /// A million clean rows of six and six columns give no false warning, and copies of them with four decimals are all
    /// found. (Of so many rows in four dimensions or fewer, the cells are too small for copies rounded so far.)
    #[test]
    #[ignore = "takes many seconds"]
    fn a_million_rows_have_no_false_copies() {
        let wide = |rows: usize, seed: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut side =
                || Array2::from_shape_simple_fn((rows, 6), || random.random_range(-1.0..1.0));
            let names = |side: &str| (0..6).map(|column| format!("{side}{column}")).collect();
            let (x, y) = (side(), side());
            Table { x, y, x_names: names("a"), y_names: names("b"), ..table(1, 1.0, seed) }
        };
        let trained = wide(1_000_000, 11);
        let rows: Vec<usize> = (0..800_000).collect();
        let digests = RowDigests::fit(Part::listed(&trained, &rows), None).unwrap();
        let others = wide(1_000_000, 12);
        let copies = digests.copies(others.x.view(), others.y.view());
        assert_eq!(copies, Copies { of: 1_000_000, ..Copies::default() });
        let round = |values: &Array2<f64>| values.mapv(|value| (value * 1e4).round() / 1e4);
        let (x, y) = (round(&trained.x), round(&trained.y));
        assert_eq!(digests.copies(x.view(), y.view()).rows, 800_000);
    }
}
