//! Kinetic energies of a table of any length: mean and sd of all, quantiles of as many as there is room for.

use cei_physics::units::HARTREE_EV;
use rayon::slice::ParallelSliceMut;

use super::running::Running;
use super::summary::{EnergySummary, Moments};
use crate::sample::Reservoir;
use crate::scaler::{mean_and_sd, quantile};

/// The levels of the quantiles of the kinetic energy release.
const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Events whose energies are held at most (64 MB): the standard error of the level of a quantile is 0.02 % then.
const MOST_HELD: usize = 8_000_000;

/// Energies that come one after another, in any unit.
pub(super) struct Energies {
    all: Running,
    held: Reservoir,
}

impl Default for Energies {
    fn default() -> Self {
        Self::holding(MOST_HELD)
    }
}

impl Energies {
    fn holding(most: usize) -> Self {
        Self { all: Running::new(1), held: Reservoir::new(1, most) }
    }

    pub(super) fn add(&mut self, energies: &[f64]) {
        self.all.add(energies);
        energies.iter().for_each(|energy| self.held.push(&[*energy]));
    }

    /// In eV; `factor` makes atomic units of the file's momenta. None without any.
    pub(super) fn finish(self, factor: f64, masses: String) -> Option<EnergySummary> {
        let in_ev = factor * factor * HARTREE_EV;
        let (events, is_part) = (self.held.seen, self.held.is_part());
        let mut energies = self.held.values;
        if energies.is_empty() {
            return None;
        }
        energies.iter_mut().for_each(|energy| *energy *= in_ev);
        energies.par_sort_unstable_by(f64::total_cmp);
        let (mean_ev, sd_ev) = if is_part {
            let Moments { mean, sd } = self.all.moments(0);
            (mean * in_ev, sd * in_ev)
        } else {
            mean_and_sd(&ndarray::ArrayView1::from(&energies))
        };
        let quantiles_ev = LEVELS.map(|level| (level, quantile(&energies, level))).to_vec();
        let drawn_from = is_part.then_some(events);
        Some(EnergySummary {
            mean_ev,
            sd_ev,
            quantiles_ev,
            drawn_from,
            masses,
            sorted_ev: energies,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` energies evenly from 0 to 1, in an order without a pattern: 7919 is prime to their number.
    fn summary(most: usize) -> EnergySummary {
        let n = 100_000;
        let all: Vec<f64> = (0..n).map(|at| (at * 7919 % n) as f64 / n as f64).collect();
        let mut energies = Energies::holding(most);
        all.chunks(999).for_each(|part| energies.add(part));
        energies.finish(HARTREE_EV.sqrt().recip(), String::new()).unwrap()
    }

    /// Mean and sd are of all events whatever there is room for; a quantile of `m` of them has the standard error
    /// `sqrt(level (1 - level) / m)`, of which 4.5 are not exceeded in 1 of 29,000 samples of five.
    #[test]
    fn energies_beyond_the_room_are_in_the_moments_and_may_be_in_the_quantiles() {
        let (exact, drawn) = (summary(100_000), summary(4000));
        assert_eq!((exact.drawn_from, drawn.drawn_from), (None, Some(100_000)));
        assert_eq!((exact.sorted_ev.len(), drawn.sorted_ev.len()), (100_000, 4000));
        assert!((exact.mean_ev - drawn.mean_ev).abs() < 1e-12);
        assert!((exact.sd_ev - drawn.sd_ev).abs() < 1e-12);
        let pairs = exact.quantiles_ev.iter().zip(&drawn.quantiles_ev);
        for ((level, exact), (_, drawn)) in pairs {
            let error = (level * (1.0 - level) / 4000.0).sqrt();
            assert!((exact - level).abs() < 1e-4, "{level}: {exact}");
            assert!(exact != drawn && (exact - drawn).abs() < 4.5 * error, "{level}: {drawn}");
        }
    }
}
