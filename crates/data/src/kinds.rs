//! Which columns of a side can be compared with one another, and which of them do not vary.
//!
//! A column of round-off is told from one of small numbers only beside columns of the same kind and unit: momenta in
//! kg m/s (1e-22) are alive beside a delay in fs, a rotated coordinate of 1e-17 beside others of 1 is not.

use std::collections::HashMap;

use cei_physics::elements::mass_u;
use ndarray::ArrayView2;

use crate::scaler::RunningMoments;

/// A component of a molecule is dead if its sd is below this part of the largest sd of all of them
/// (`docs/spec.md#degenerate-directions`).
const DEAD_SD: f64 = 1e-9;
/// A column, or a kind, is constant if its (largest) sd is below this part of its largest value: round-off.
const ROUND_OFF: f64 = 1e-12;
/// Where no molecule says that columns have one unit, those of one kind may still differ: round-off is not below this part
/// of the numbers that it comes from, so what is smaller has a unit of its own.
const SMALLER: f64 = 1e-20;

/// The columns of a side that vary, and what the others are compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Varying {
    /// Mean and standard deviation of each column.
    pub(crate) moments: Vec<(f64, f64)>,
    /// Indices of the columns that vary, rising.
    pub(crate) alive: Vec<usize>,
    /// For each column the largest sd of its kind; of one that is alone its largest value.
    pub(crate) scales: Vec<f64>,
}

impl Varying {
    /// Judges the columns of `values` (`rows x columns`); the first `components` are those of all atoms of a molecule,
    /// which are one kind (0 where that is not known).
    pub(crate) fn of(names: &[String], values: ArrayView2<'_, f64>, components: usize) -> Self {
        let mut running = RunningMoments::default();
        running.add(values);
        let (moments, largest) = running.finish();
        Self::judge(names, moments, &largest, components)
    }

    /// The same from the mean and standard deviation of each column and its largest magnitude.
    pub(crate) fn judge(
        names: &[String],
        moments: Vec<(f64, f64)>,
        largest: &[f64],
        components: usize,
    ) -> Self {
        let kinds = kinds(names, components);
        let most = |of: &dyn Fn(usize) -> f64, kind: usize| {
            let columns = (0..names.len()).filter(|&column| kinds[column] == kind);
            columns.map(of).fold(0.0, f64::max)
        };
        let is_alive = |&column: &usize| {
            let sd = moments[column].1;
            let of_kind = most(&|column| moments[column].1, kinds[column]);
            let largest_of_kind = most(&|column| largest[column], kinds[column]);
            let is_round_off = if components > 0 {
                sd < DEAD_SD * of_kind || of_kind <= ROUND_OFF * largest_of_kind
            } else {
                (SMALLER..ROUND_OFF).contains(&(largest[column] / largest_of_kind))
            };
            !is_still(sd, largest[column]) && !is_round_off
        };
        let alive = (0..names.len()).filter(is_alive).collect();
        let scale = |column: usize| {
            if kinds.iter().filter(|&&kind| kind == kinds[column]).count() == 1 {
                largest[column]
            } else {
                most(&|column| moments[column].1, kinds[column])
            }
        };
        let scales = (0..names.len()).map(scale).collect();
        Self { moments, alive, scales }
    }
}

/// Whether a column by itself does not vary, but for round-off.
pub(crate) fn is_still(sd: f64, largest: f64) -> bool {
    sd <= ROUND_OFF * largest
}

/// The kind of each column, as a number. Components of atoms (`bx`, `p_C_y`, `o1z`) are one kind; those of any other
/// vector (`ex, ey, ez`) are one; every other column is of a kind of its own.
pub(crate) fn kinds(names: &[String], components: usize) -> Vec<usize> {
    if components > 0 {
        return (0..names.len()).map(|column| (column + 1).saturating_sub(components)).collect();
    }
    let stems: Vec<Option<String>> = names.iter().map(|name| stem(name)).collect();
    let mut axes: HashMap<&str, usize> = HashMap::new();
    for stem in stems.iter().flatten() {
        *axes.entry(stem).or_default() += 1;
    }
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut next = 0;
    let mut kinds = Vec::with_capacity(names.len());
    for stem in &stems {
        let vector = stem.as_deref().filter(|stem| axes[stem] == 3);
        let key = vector.map(|stem| if is_atom(stem) { String::new() } else { stem.to_owned() });
        let kind = key.and_then(|key| match known.get(&key) {
            Some(&kind) => Some(kind),
            None => {
                known.insert(key, next);
                None
            }
        });
        kinds.push(kind.unwrap_or(next));
        next += usize::from(kind.is_none());
    }
    kinds
}

/// What is left of a name without its axis, in lower case; none for a name without one.
fn stem(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(['x', 'y', 'z'])?.trim_end_matches(['_', '.', '-', ' ']);
    (!stem.is_empty()).then(|| stem.to_owned())
}

/// Whether a stem names an atom, as `c`, `o1`, `pc` or `p_o1` do.
fn is_atom(stem: &str) -> bool {
    let bare = stem.strip_prefix('p').map(|rest| rest.trim_start_matches(['_', '.', '-', ' ']));
    [Some(stem), bare].into_iter().flatten().any(|label| {
        let letters = label.trim_end_matches(|c: char| c.is_ascii_digit());
        let mut letters = letters.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let symbol: String = first.into_iter().chain(letters).collect();
        mass_u(&symbol).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn atoms_are_one_kind_and_other_columns_their_own() {
        let kinds = |text: &str| super::kinds(&names(text), 0);
        assert_eq!(kinds("pcx pcy pcz pox poy poz delay_fs"), [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(kinds("delay C_x C_y C_z o1x o1y o1z"), [0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(kinds("fieldx fieldy fieldz cx cy cz a b"), [0, 0, 0, 1, 1, 1, 2, 3]);
        assert_eq!(kinds("ax ay tx"), [0, 1, 2]);
        assert_eq!(super::kinds(&names("u v w"), 3), [0, 0, 0]);
        assert_eq!(super::kinds(&names("u v w tau rate"), 3), [0, 0, 0, 1, 2]);
    }

    /// A column is judged against its own kind, so that units do not matter.
    #[test]
    fn small_units_are_alive_and_round_off_is_not() {
        let rows = |row: usize, column: usize| {
            let wave = ((row * (column + 3)) as f64).sin();
            [1e-22 * wave, 2e-22 * wave, 1e-38 * wave, 100.0 * wave, 5.0 + 1e-14 * wave][column]
        };
        let values = ndarray::Array2::from_shape_fn((50, 5), |(row, column)| rows(row, column));
        let varying = Varying::of(&names("cx cy cz delay shift"), values.view(), 0);
        assert_eq!(varying.alive, [0, 1, 3]);
    }
}
