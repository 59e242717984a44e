//! Ions that were not detected: all three cells of their momentum are empty or NaN (`docs/spec.md#missing-ions`).

use cei_physics::detector::LEAST_DETECTED;
use cei_physics::frame::share_missing;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};

use crate::block::{Block, CellFault};
use crate::error::Fault;

/// Which cells of a row are the momentum of an ion that may be missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct MayMiss {
    /// Places of the three cells of each ion among the selected columns, and whether it may be missing.
    ions: Vec<([usize; 3], bool)>,
}

impl MayMiss {
    /// Ions whose momenta are these places, three an ion; nothing may be missing where `may_miss` is not one for each.
    pub(crate) fn new(places: &[usize], may_miss: &[bool]) -> Self {
        if places.len() != 3 * may_miss.len() {
            return Self::default();
        }
        let cells = places.chunks_exact(3).map(|cells| [cells[0], cells[1], cells[2]]);
        Self { ions: cells.zip(may_miss.iter().copied()).collect() }
    }

    /// Takes empty cells of ions that may be missing from the faults of a block. What is left of such a row is a fault:
    /// an ion of which only a part is there, and fewer ions than two.
    pub(crate) fn resolve(&self, block: &mut Block) {
        if !self.ions.iter().any(|(_, may_miss)| *may_miss) || block.faults.is_empty() {
            return;
        }
        let faults = std::mem::take(&mut block.faults);
        let mut of_row: Vec<CellFault> = Vec::new();
        for fault in faults {
            if of_row.first().is_some_and(|first| first.row != fault.row) {
                block.faults.extend(self.of_row(std::mem::take(&mut of_row)));
            }
            of_row.push(fault);
        }
        block.faults.extend(self.of_row(of_row));
    }

    /// The faults of one row that stay.
    fn of_row(&self, mut faults: Vec<CellFault>) -> Vec<CellFault> {
        let Some(&CellFault { row, line, .. }) = faults.first() else { return faults };
        let mut missing = 0;
        for (cells, may_miss) in &self.ions {
            let is_empty = |fault: &CellFault| {
                fault.cell.is_some_and(|cell| cells.contains(&cell))
                    && matches!(fault.fault, Fault::Empty | Fault::NotANumber)
            };
            match (may_miss, faults.iter().filter(|fault| is_empty(fault)).count()) {
                (true, 3) => {
                    faults.retain(|fault| !is_empty(fault));
                    missing += 1;
                }
                (true, _) => {
                    let empty = faults.iter_mut().filter(|fault| is_empty(fault));
                    empty.for_each(|fault| fault.fault = Fault::PartOfIon);
                }
                (false, _) => {}
            }
        }
        let detected = self.ions.len() - missing;
        if faults.is_empty() && detected < LEAST_DETECTED {
            faults.push(CellFault { row, line, cell: None, fault: Fault::FewIons(detected) });
        }
        faults
    }
}

/// Of each ion of a row of momenta, three numbers an ion, whether it was detected.
#[must_use]
pub fn detected(momenta: ArrayView1<'_, f64>) -> Vec<bool> {
    let ions = 0..momenta.len() / 3;
    ions.map(|ion| !(0..3).any(|axis| momenta[3 * ion + axis].is_nan())).collect()
}

/// Whether any ion of a row of momenta is missing.
#[must_use]
pub fn is_incomplete(momenta: ArrayView1<'_, f64>) -> bool {
    momenta.iter().any(|component| component.is_nan())
}

/// The rows of momenta of each set of detected ions: complete events first, then by falling number of ions, the more
/// frequent first.
#[must_use]
pub fn by_detected(momenta: ArrayView2<'_, f64>) -> Vec<(Vec<bool>, Vec<usize>)> {
    let mut sets: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for (row, momenta) in momenta.rows().into_iter().enumerate() {
        let ions = detected(momenta);
        match sets.iter_mut().find(|(known, _)| *known == ions) {
            Some((_, rows)) => rows.push(row),
            None => sets.push((ions, vec![row])),
        }
    }
    let count = |ions: &[bool]| ions.iter().filter(|there| **there).count();
    sets.sort_by_key(|(ions, rows)| std::cmp::Reverse((count(ions), rows.len())));
    sets
}

/// What is wrong with a row of momenta that may be missing, and the component that it is about; none if nothing is. Ions of
/// which `may_miss` says so may be, but two must be there, and each of them whole.
#[must_use]
pub fn missing_fault(
    momenta: ArrayView1<'_, f64>,
    may_miss: &[bool],
) -> Option<(Option<usize>, Fault)> {
    let nan = momenta.iter().position(|component| component.is_nan())?;
    if 3 * may_miss.len() != momenta.len() {
        return Some((Some(nan), Fault::NotANumber));
    }
    let mut detected = may_miss.len();
    for (ion, may_miss) in may_miss.iter().enumerate() {
        let nan: Vec<usize> = (3 * ion..3 * ion + 3).filter(|&at| momenta[at].is_nan()).collect();
        match (nan.len(), may_miss) {
            (0, _) => {}
            (3, true) => detected -= 1,
            (_, true) => return Some((Some(nan[0]), Fault::PartOfIon)),
            (_, false) => return Some((Some(nan[0]), Fault::NotANumber)),
        }
    }
    (detected < LEAST_DETECTED).then_some((None, Fault::FewIons(detected)))
}

/// One number an ion beside each row of momenta: 1 where it is missing, 0 where it was detected.
pub(crate) fn indicators(momenta: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((momenta.nrows(), momenta.ncols() / 3), |(row, ion)| {
        f64::from(u8::from(momenta[[row, 3 * ion]].is_nan()))
    })
}

/// Puts into the place of momenta that are missing what the others of their row lack to a sum of zero, in equal shares.
pub(crate) fn fill_in(momenta: &mut ArrayViewMut2<'_, f64>) {
    for mut row in momenta.rows_mut().into_iter().filter(|row| is_incomplete(row.view())) {
        let mut filled = row.to_vec();
        share_missing(&mut filled);
        row.assign(&ArrayView1::from(&filled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn block(faults: &[(usize, Option<usize>, Fault)]) -> Block {
        let faults = faults.iter().map(|(row, cell, fault)| CellFault {
            row: *row,
            line: Some(*row as u64 + 2),
            cell: *cell,
            fault: fault.clone(),
        });
        Block { rows: 9, values: Vec::new(), faults: faults.collect() }
    }

    fn left(
        may_miss: &MayMiss,
        faults: &[(usize, Option<usize>, Fault)],
    ) -> Vec<(usize, Option<usize>, Fault)> {
        let mut block = block(faults);
        may_miss.resolve(&mut block);
        block.faults.into_iter().map(|fault| (fault.row, fault.cell, fault.fault)).collect()
    }

    /// Cells 0 is no momentum; ions at 1..4, 4..7 and 7..10, of which the last is always detected.
    #[test]
    fn an_ion_is_missing_whole_or_not_at_all() {
        let places: Vec<usize> = (1..10).collect();
        let may_miss = MayMiss::new(&places, &[true, true, false]);
        let empty = |row, cells: std::ops::Range<usize>| {
            cells.map(|cell| (row, Some(cell), Fault::Empty)).collect::<Vec<_>>()
        };
        assert_eq!(left(&may_miss, &empty(0, 1..4)), []);
        // NaN and empty are the same; the second row has a fault of its own.
        let mixed = [
            (0, Some(4), Fault::Empty),
            (0, Some(5), Fault::NotANumber),
            (0, Some(6), Fault::Empty),
            (1, Some(0), Fault::Empty),
        ];
        assert_eq!(left(&may_miss, &mixed), [(1, Some(0), Fault::Empty)]);
        assert_eq!(
            left(&may_miss, &empty(2, 1..3)),
            [(2, Some(1), Fault::PartOfIon), (2, Some(2), Fault::PartOfIon)]
        );
        // Both that may be missing leave one; the third may not be missing.
        assert_eq!(left(&may_miss, &empty(3, 1..7)), [(3, None, Fault::FewIons(1))]);
        assert_eq!(left(&may_miss, &empty(4, 7..10)), empty(4, 7..10));
        let infinite = [(5, Some(1), Fault::Infinite), (5, Some(2), Fault::Empty)];
        assert_eq!(left(&may_miss, &infinite)[0], (5, Some(1), Fault::Infinite));
        let ragged = [(6, None, Fault::Ragged { found: 3, expected: 10 })];
        assert_eq!(left(&may_miss, &ragged), ragged);
        // Nothing may be missing: all stays.
        let none = MayMiss::new(&places, &[]);
        assert_eq!(left(&none, &empty(0, 1..4)), empty(0, 1..4));
    }

    #[test]
    fn rows_in_memory_are_checked_by_the_same_rules() {
        const N: f64 = f64::NAN;
        let fault = |row: [f64; 6], may_miss: &[bool]| {
            missing_fault(ArrayView1::from(&[row.as_slice(), &[1.0; 3]].concat()), may_miss)
        };
        let [all, one] = [[true; 3], [false, true, true]];
        assert_eq!(fault([1.0; 6], &[]), None);
        assert_eq!(fault([N, N, N, 1.0, 1.0, 1.0], &all), None);
        assert_eq!(fault([N, N, N, 1.0, 1.0, 1.0], &[]), Some((Some(0), Fault::NotANumber)));
        assert_eq!(fault([N, N, N, 1.0, 1.0, 1.0], &one), Some((Some(0), Fault::NotANumber)));
        assert_eq!(fault([1.0, 1.0, 1.0, 1.0, N, N], &all), Some((Some(4), Fault::PartOfIon)));
        assert_eq!(fault([N; 6], &all), Some((None, Fault::FewIons(1))));
    }

    #[test]
    fn rows_are_told_apart_by_the_ions_that_they_have() {
        const N: f64 = f64::NAN;
        let momenta = array![
            [1.0, 2.0, 3.0, N, N, N, 1.0, 1.0, 1.0],
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 1.0, 1.0],
            [N, N, N, 4.0, 5.0, 6.0, 1.0, 1.0, 1.0],
            [N, N, N, 4.0, 5.0, 6.0, 2.0, 1.0, 1.0],
        ];
        let sets = by_detected(momenta.view());
        assert_eq!(sets[0], (vec![true, true, true], vec![1]));
        assert_eq!(sets[1], (vec![false, true, true], vec![2, 3]));
        assert_eq!(sets[2], (vec![true, false, true], vec![0]));
        assert_eq!(indicators(momenta.view()).row(0), array![0.0, 1.0, 0.0]);
    }
}
