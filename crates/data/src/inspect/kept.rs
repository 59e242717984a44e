//! The momenta of a table, kept for figures: rows in which every ion is there as a whole or not at all; of a table of any
//! length as many as there is room for, drawn at random.

use ndarray::Array2;

use super::moments::Sums;
use super::summary::IonMomenta;
use crate::sample::Reservoir;
use crate::sum_gate::{CentreOfMass, remove_motion, sum_of};

/// Momenta that are held at most (64 MB): those of 0.9 million events of three ions.
const MOST_HELD: usize = 8_000_000;

/// Momenta in the file's unit, row by row.
pub(super) struct Kept {
    columns: Vec<usize>,
    masses: Vec<f64>,
    sums: Sums,
    held: Reservoir,
}

impl Kept {
    /// For momenta in these columns of ions with these masses.
    pub(super) fn new(columns: Vec<usize>, masses: Vec<f64>, sums: Sums) -> Self {
        let held = Reservoir::new(columns.len(), MOST_HELD);
        Self { columns, masses, sums, held }
    }

    /// Takes rows of the whole table, `width` cells each. A gate keeps events of which all ions are there, and so does the
    /// removal of the motion of the centre of mass: the sum of others is not known.
    pub(super) fn add(&mut self, table: &[f64], width: usize) {
        let mut row = vec![0.0; self.columns.len()];
        for cells in table.chunks_exact(width) {
            row.iter_mut().zip(&self.columns).for_each(|(p, &column)| *p = cells[column]);
            if self.is_kept(&mut row) {
                self.held.push(&row);
            }
        }
    }

    /// Takes the motion of the centre of mass away, where it is to be removed.
    fn is_kept(&self, row: &mut [f64]) -> bool {
        let Sums { options, factor } = self.sums;
        let missing = |ion: &[f64]| ion.iter().filter(|p| p.is_nan()).count();
        if row.chunks_exact(3).any(|ion| [1, 2].contains(&missing(ion))) {
            return false;
        }
        let there = row.chunks_exact(3).filter(|ion| missing(ion) == 0).count();
        if options.is_any() && 3 * there < row.len() {
            return false;
        }
        let sum = sum_of(row.iter().copied());
        if options.gate.is_some_and(|gate| !gate.accepts(sum.map(|p| factor * p))) {
            return false;
        }
        if options.centre_of_mass == CentreOfMass::Removed {
            remove_motion(row.iter_mut(), &self.masses, sum);
        }
        there >= 2
    }

    /// `factor` makes atomic units of the file's.
    pub(super) fn finish(self, labels: Vec<String>, factor: f64) -> IonMomenta {
        let Self { columns, masses, held, .. } = self;
        let drawn_from = held.is_part().then_some(held.seen);
        let mut values = held.values;
        values.shrink_to_fit();
        values.iter_mut().for_each(|p| *p *= factor);
        let shape = (values.len() / columns.len().max(1), columns.len());
        let momenta_au = Array2::from_shape_vec(shape, values).unwrap_or_default();
        IonMomenta { labels, masses, momenta_au, drawn_from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sum_gate::SumOptions;

    const TABLE: [f64; 18] = [
        9.0,
        1.0,
        2.0,
        3.0,
        4.0,
        5.0, // 9 is no momentum
        9.0,
        0.5,
        0.5,
        f64::NAN,
        1.0,
        1.0, // a part of an ion
        9.0,
        -1.0,
        0.0,
        1.0,
        0.0,
        0.0,
    ];

    fn kept(options: SumOptions) -> IonMomenta {
        // Two ions of three columns need six; here the columns of one ion are shared to keep the table small.
        let mut kept =
            Kept::new(vec![1, 2, 3, 1, 4, 5], vec![1.0, 3.0], Sums { options, factor: 2.0 });
        kept.add(&TABLE, 6);
        kept.finish(vec!["a".to_owned(), "b".to_owned()], 2.0)
    }

    #[test]
    fn whole_ions_are_kept_in_atomic_units() {
        let momenta = kept(SumOptions::default()).momenta_au;
        assert_eq!(momenta.row(0).to_vec(), [2.0, 4.0, 6.0, 2.0, 8.0, 10.0]);
        assert_eq!(momenta.row(1).to_vec(), [-2.0, 0.0, 2.0, -2.0, 0.0, 0.0]);
        assert_eq!(momenta.nrows(), 2);
    }

    #[test]
    fn the_gate_and_the_motion_of_the_centre_of_mass_are_as_in_the_rest() {
        let gate = Some("5".parse().unwrap());
        let centre_of_mass = CentreOfMass::Removed;
        let momenta = kept(SumOptions { gate, centre_of_mass }).momenta_au;
        // The sum is (-2, 0, 1) in the file's unit: a quarter of it is the first ion's.
        assert_eq!(momenta.nrows(), 1);
        assert_eq!(momenta.row(0).to_vec(), [-1.0, 0.0, 1.5, 1.0, 0.0, -1.5]);
    }
}
