//! Events of which as many ions, or the same ones, were detected.

use cei_physics::Molecule;

/// Sets of missing ions that are told one by one.
const MOST_SETS: usize = 30;

/// Some events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetectedSet {
    /// Ions that were detected.
    pub(crate) ions: usize,
    /// The others; none where these are all events of as many ions, whichever they are.
    pub(crate) missing: Option<Vec<String>>,
    /// Their rows, rising.
    pub(crate) rows: Vec<usize>,
}

/// Rows by the ions that were detected ([`cei_data::by_detected`]): first all of as many ions, where these are not the same
/// ones, then those of each set, up to [`MOST_SETS`] of them.
pub(crate) fn detected_sets(
    molecule: &Molecule,
    sets: Vec<(Vec<bool>, Vec<usize>)>,
) -> Vec<DetectedSet> {
    let labels = molecule.labels();
    let mut found: Vec<DetectedSet> = Vec::new();
    let mut told = 0;
    let mut rest = &sets[..];
    while let Some((first, _)) = rest.first() {
        let ions = count(first);
        let same = rest.iter().take_while(|(set, _)| count(set) == ions).count();
        let (of_count, others) = rest.split_at(same);
        rest = others;
        if of_count.len() > 1 {
            let mut rows: Vec<usize> = of_count.iter().flat_map(|(_, rows)| rows.clone()).collect();
            rows.sort_unstable();
            found.push(DetectedSet { ions, missing: None, rows });
        }
        for (set, rows) in of_count.iter().take(MOST_SETS - told) {
            let missing = set.iter().zip(labels).filter(|(there, _)| !**there);
            let missing = Some(missing.map(|(_, label)| label.clone()).collect());
            found.push(DetectedSet { ions, missing, rows: rows.clone() });
        }
        told = (told + same).min(MOST_SETS);
    }
    found
}

/// Events by the ions that were detected: so many, and which others were not, if that is one set.
#[must_use]
pub fn detected_in_words(ions: usize, missing: Option<&[String]>) -> String {
    match missing {
        None => format!("{ions}, whichever"),
        Some([]) => format!("{ions}, all"),
        Some(missing) => format!("{ions}, {} missing", missing.join(", ")),
    }
}

fn count(set: &[bool]) -> usize {
    set.iter().filter(|there| **there).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cei_physics::AtomSpec;

    #[test]
    fn sets_are_told_by_number_and_by_ion() {
        let atoms = ["C", "O", "S"].map(|element| AtomSpec::new(element, 1.0));
        let molecule = Molecule::new(atoms.to_vec()).unwrap();
        let sets = vec![
            (vec![true, true, true], vec![4]),
            (vec![false, true, true], vec![2, 3]),
            (vec![true, false, true], vec![0]),
        ];
        let names = |labels: &[&str]| Some(labels.iter().map(|l| (*l).to_owned()).collect());
        let set =
            |ions, missing, rows: &[usize]| DetectedSet { ions, missing, rows: rows.to_vec() };
        let expected = [
            set(3, names(&[]), &[4]),
            set(2, None, &[0, 2, 3]),
            set(2, names(&["C"]), &[2, 3]),
            set(2, names(&["O"]), &[0]),
        ];
        assert_eq!(detected_sets(&molecule, sets), expected);
    }
}
