//! A molecule as its lanes see it: every ion relative to the heaviest one.

use crate::molecule::{MAX_ATOMS, Molecule};

/// Constants of a pair.
#[derive(Clone, Copy, Default)]
pub(super) struct Pair {
    /// k.
    pub(super) strength: f64,
    /// mu.
    pub(super) reduced_mass: f64,
    /// `m_i m_j / 2M`: times w^2, summed over pairs, this is T.
    pub(super) kinetic: f64,
}

/// A molecule, its heaviest ion first. It has M + 1 ions if `EXACT`, which makes the fastest code; otherwise at most as
/// many, so that one code serves molecules of several sizes.
pub(super) struct RelativeIons<const M: usize, const EXACT: bool> {
    others: usize,
    /// Place in the molecule of ion j; the reference is last.
    pub(super) places: [usize; MAX_ATOMS],
    pub(super) masses: [f64; M],
    pub(super) reference_mass: f64,
    pub(super) total_mass: f64,
    /// Entry `[j][i]` for i < j is the pair of ions j and i, entry `[j][j]` that of j and the reference.
    pub(super) pairs: [[Pair; M]; M],
}

impl<const M: usize, const EXACT: bool> RelativeIons<M, EXACT> {
    pub(super) fn new(molecule: &Molecule) -> Self {
        let (masses, charges) = (molecule.masses(), molecule.charges());
        let atoms = 0..masses.len();
        let heavier = |best, atom| if masses[atom] > masses[best] { atom } else { best };
        let heaviest = atoms.clone().fold(0, heavier);
        let mut places = [heaviest; MAX_ATOMS];
        let others = atoms.filter(|atom| *atom != heaviest);
        places.iter_mut().zip(others).for_each(|(place, atom)| *place = atom);
        let total_mass = masses.iter().sum();
        let pair = |a: usize, b: usize| Pair {
            strength: charges[a] * charges[b],
            reduced_mass: masses[a] * masses[b] / (masses[a] + masses[b]),
            kinetic: 0.5 * masses[a] * masses[b] / total_mass,
        };
        let mut pairs = [[Pair::default(); M]; M];
        let others = masses.len() - 1;
        for j in 0..others {
            for i in 0..j {
                pairs[j][i] = pair(places[j], places[i]);
            }
            pairs[j][j] = pair(places[j], heaviest);
        }
        Self {
            others,
            places,
            masses: std::array::from_fn(|j| masses[places[j]]),
            reference_mass: masses[heaviest],
            total_mass,
            pairs,
        }
    }

    /// The number of ions but the reference.
    #[inline(always)]
    pub(super) fn others(&self) -> usize {
        if EXACT { M } else { self.others.min(M) }
    }

    /// The reference's place in the molecule.
    pub(super) fn reference(&self) -> usize {
        self.places[self.others()]
    }
}
