//! Which ions the rows of a table have.

use std::collections::BTreeMap;

use cei_physics::Molecule;

use super::summary::DetectedIons;

/// Counts rows by the ions that were detected.
pub(super) struct Sets {
    /// Columns of each ion.
    ions: Vec<[usize; 3]>,
    /// Rows by the ions that are missing.
    rows: BTreeMap<Vec<usize>, u64>,
}

impl Sets {
    /// For momenta in these columns, three an ion; of others nothing is counted.
    pub(super) fn new(columns: &[usize]) -> Self {
        let vectors = columns.len().is_multiple_of(3);
        let ions = columns.chunks_exact(3).filter(|_| vectors);
        let ions = ions.map(|cells| [cells[0], cells[1], cells[2]]).collect();
        Self { ions, rows: BTreeMap::new() }
    }

    /// Takes rows of the whole table, `width` cells each.
    pub(super) fn add(&mut self, table: &[f64], width: usize) {
        for row in table.chunks_exact(width) {
            let empty = |ion: &[usize; 3]| ion.iter().filter(|&&cell| row[cell].is_nan()).count();
            let counts: Vec<usize> = self.ions.iter().map(empty).collect();
            if counts.iter().any(|count| [1, 2].contains(count)) {
                continue;
            }
            let missing: Vec<usize> = (0..counts.len()).filter(|&ion| counts[ion] == 3).collect();
            *self.rows.entry(missing).or_default() += 1;
        }
    }

    /// The counts, those of the most ions first; none where no ion is missing. `names` are those of the columns.
    pub(super) fn finish(self, molecule: Option<&Molecule>, names: &[String]) -> Vec<DetectedIons> {
        if self.rows.keys().all(Vec::is_empty) {
            return Vec::new();
        }
        let ions = self.ions.len();
        let labels = molecule.map(Molecule::labels).filter(|labels| labels.len() == ions);
        let label = |ion: usize| labels.map_or_else(|| names[3 * ion].clone(), |l| l[ion].clone());
        let set = |(missing, rows): (Vec<usize>, u64)| DetectedIons {
            ions: ions - missing.len(),
            missing: missing.into_iter().map(label).collect(),
            rows,
        };
        let mut sets: Vec<DetectedIons> = self.rows.into_iter().map(set).collect();
        sets.sort_by_key(|set| std::cmp::Reverse((set.ions, set.rows)));
        sets
    }
}

/// What there is to say about rows with missing ions.
pub(super) fn remark(detected: &[DetectedIons], declared: bool) -> Option<String> {
    let missing: u64 =
        detected.iter().filter(|set| !set.missing.is_empty()).map(|set| set.rows).sum();
    let lead = format!(
        "{missing} rows have no momentum of one ion or more; momentum sums, directions and energies are of the others"
    );
    match (missing, declared) {
        (0, _) => None,
        (_, true) => Some(lead),
        (_, false) => Some(format!(
            "{lead}. If these ions were not detected, declare how probable it is that one is: `detector.efficiency`; without it such rows are invalid"
        )),
    }
}
