//! What of momenta is compared: the kinetic energy release, `|sum p|`, and `|p|` of every ion, as distributions.

use cei_metrics::special::kolmogorov_survival;
use cei_metrics::{holm, quantile};
use cei_physics::Molecule;
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use ndarray::{ArrayView1, ArrayView2};

use super::report::{Comparison, Spread};

/// How often distributions of one kind may be told apart.
pub(super) const TOLD_APART: f64 = 1e-3;

/// Kinetic energy release (eV), `|sum p|` and `|p|` of every ion (a.u.); NaN of what a missing ion would tell.
pub(super) fn quantities(molecule: &Molecule, y: ArrayView1<'_, f64>) -> Vec<f64> {
    let y = y.to_vec();
    let norm = |p: [f64; 3]| p.iter().map(|p| p * p).sum::<f64>().sqrt();
    let sum = [0, 1, 2].map(|axis| y.iter().skip(axis).step_by(3).sum::<f64>());
    let mut ions: Vec<f64> = y.chunks_exact(3).map(|p| norm([p[0], p[1], p[2]])).collect();
    if molecule.exchangeable() == Some(true) {
        call_by_momentum(&mut ions, &molecule.alike());
    }
    [kinetic_energy_release(molecule, &y) * HARTREE_EV, norm(sum)].into_iter().chain(ions).collect()
}

/// Puts the momenta of each group of ions alike into falling order; those that are missing, NaN, come last.
fn call_by_momentum(ions: &mut [f64], groups: &[Vec<usize>]) {
    for group in groups {
        let mut momenta: Vec<f64> = group.iter().map(|ion| ions[*ion]).collect();
        momenta.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(b.total_cmp(a)));
        group.iter().zip(momenta).for_each(|(ion, momentum)| ions[*ion] = momentum);
    }
}

/// The quantities of many events, each sorted.
pub(super) struct Quantities {
    pub(super) sorted: Vec<Vec<f64>>,
}

/// What all but a few events of a set are within: one interval a quantity.
pub(super) struct Limits(pub(super) Vec<[f64; 2]>);

impl Limits {
    pub(super) fn leaves_out(&self, quantities: &[f64]) -> bool {
        // What an ion that is missing would tell is not known: NaN.
        let is_beyond = |(value, [low, high]): (&f64, &[f64; 2])| value < low || value > high;
        quantities.iter().zip(&self.0).any(is_beyond)
    }
}

impl Quantities {
    pub(super) fn of(molecule: &Molecule, momenta: ArrayView2<'_, f64>) -> Self {
        let mut sorted = vec![Vec::with_capacity(momenta.nrows()); 2 + molecule.atom_count()];
        for row in momenta.rows() {
            for (values, value) in sorted.iter_mut().zip(quantities(molecule, row)) {
                if !value.is_nan() {
                    values.push(value);
                }
            }
        }
        sorted.iter_mut().for_each(|values| values.sort_by(f64::total_cmp));
        Self { sorted }
    }

    fn spread(&self, quantity: usize) -> Option<Spread> {
        let at = |level| quantile(&self.sorted[quantity], level);
        Some(Spread { q05: at(0.05)?, median: at(0.5)?, q95: at(0.95)? })
    }

    /// The intervals outside which `rare` of the events are; a momentum sum is never too small, and round-off is none.
    pub(super) fn limits(&self, rare: f64) -> Limits {
        let largest = self.sorted[2..].iter().filter_map(|values| values.last());
        let round_off = 1e-4 * largest.copied().fold(0.0, f64::max);
        let limits = self.sorted.iter().enumerate().map(|(quantity, values)| {
            let at = |level| quantile(values, level).unwrap_or(f64::NAN);
            match quantity {
                1 => [0.0, at(1.0 - rare).max(round_off)],
                _ => [at(0.5 * rare), at(1.0 - 0.5 * rare)],
            }
        });
        Limits(limits.collect())
    }

    /// Whether the momentum sums are more than round-off.
    pub(super) fn has_noise(&self) -> bool {
        let median = |quantity: usize| quantile(&self.sorted[quantity], 0.5).unwrap_or(0.0);
        median(1) > 1e-4 * (2..self.sorted.len()).map(median).fold(0.0, f64::max)
    }

    /// The factor that brings the median momenta of the ions to those of `training`: the geometric mean over ions.
    pub(super) fn factor_to(&self, training: &Self) -> Option<f64> {
        let median = |values: &Vec<f64>| quantile(values, 0.5).filter(|median| *median > 0.0);
        let ions = self.sorted[2..].iter().zip(&training.sorted[2..]);
        let logs: Vec<f64> = ions
            .filter_map(|(file, training)| Some((median(training)? / median(file)?).ln()))
            .collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }

    /// Sum over energy and ions of the greatest distance between the two distribution functions.
    pub(super) fn apart(&self, other: &Self) -> f64 {
        self.distances(other).iter().sum()
    }

    /// The greatest distance between the two distribution functions of the energy and of each ion.
    fn distances(&self, other: &Self) -> Vec<f64> {
        let used = (0..self.sorted.len()).filter(|quantity| *quantity != 1);
        used.map(|quantity| distance(&self.sorted[quantity], &other.sorted[quantity])).collect()
    }

    /// Whether the distributions are told apart (p-values of Holm), and by how much they differ at most.
    pub(super) fn told_apart(&self, other: &Self) -> (bool, f64) {
        let distances = self.distances(other);
        let used = (0..self.sorted.len()).filter(|quantity| *quantity != 1);
        let sizes = used.map(|quantity| {
            let (n, m) = (self.sorted[quantity].len() as f64, other.sorted[quantity].len() as f64);
            (n * m / (n + m)).round() as usize
        });
        let p: Vec<f64> = sizes.zip(&distances).map(|(n, d)| survival(n, *d)).collect();
        let least = holm(&p).into_iter().fold(1.0, f64::min);
        (least < TOLD_APART, distances.into_iter().fold(0.0, f64::max))
    }
}

/// The p-value of a distance; 1 where one of the samples is empty.
pub(super) fn survival(effective: usize, distance: f64) -> f64 {
    if effective == 0 { 1.0 } else { kolmogorov_survival(effective, distance) }
}

impl Comparison {
    pub(super) fn of(file: &Quantities, training: &Quantities, quantity: usize) -> Option<Self> {
        Some(Self { file: file.spread(quantity)?, training: training.spread(quantity)? })
    }
}

pub(super) fn energy_ratio(file: &Quantities, training: &Quantities) -> Option<f64> {
    let median = |set: &Quantities| quantile(&set.sorted[0], 0.5);
    median(file).zip(median(training)).map(|(file, training)| file / training)
}

/// Largest distance between the empirical distribution functions of two sorted samples.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        i += a[i..].iter().take_while(|x| **x <= value).count();
        j += b[j..].iter().take_while(|x| **x <= value).count();
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances_of_samples_by_hand() {
        assert_eq!(distance(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
        assert_eq!(distance(&[1.0, 2.0, 3.0, 4.0], &[2.0, 3.0]), 0.25);
        assert_eq!(distance(&[1.0, 1.0], &[1.0]), 0.0);
    }
}
