//! What an explosion whose charges grow will be like: the time that it takes, and its momenta. Steps are measured
//! by them while neither charges nor momenta are there yet.

use crate::charging::{ChargeLaw, Rise};
use crate::molecule::Molecule;
use crate::vector::{difference, norm, of_atom};

/// Scales of an event, in atomic units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scales {
    /// About the time at which the fastest pair has moved.
    pub(super) time: f64,
    /// The fraction `F` of the charge at this time.
    pub(super) progress: f64,
    /// `sqrt(2 mu k / r)` of the strongest pair, with the charges at this time: not more than momenta will be.
    pub(super) momentum: f64,
}

/// The scales of an event that starts at these positions (3N, bohr) from rest. With
/// `k(t) t^2 = 2 mu r^3`, a pair has been pushed by about its distance: this time is found to a factor of 2.
pub(super) fn scales(
    molecule: &Molecule,
    law: &ChargeLaw,
    rise: Rise,
    positions: &[f64],
) -> Scales {
    let (masses, charges) = (molecule.masses(), molecule.charges());
    let distance =
        |i: usize, j: usize| norm(difference(of_atom(positions, i), of_atom(positions, j)));
    let reduced = |i: usize, j: usize| masses[i] * masses[j] / (masses[i] + masses[j]);
    let mut fastest = (f64::INFINITY, 0, 0);
    for j in 0..charges.len() {
        for i in 0..j {
            let square = reduced(i, j) * distance(i, j).powi(3) / (charges[i] * charges[j]).abs();
            if square < fastest.0 {
                fastest = (square, i, j);
            }
        }
    }
    let (square, first, second) = fastest;
    let strength = |i: usize, j: usize, fractions: [f64; 2]| {
        (law.charge(i, fractions) * law.charge(j, fractions)).abs()
    };
    let mut time = rise.time_scale();
    if square.is_finite() {
        let final_strength = (charges[first] * charges[second]).abs();
        time = (2.0 * square).sqrt();
        while time < rise.complete_at()
            && strength(first, second, rise.fractions(time)) * time * time
                < 2.0 * square * final_strength
        {
            time *= 2.0;
        }
    }
    let fractions = rise.fractions(time);
    let mut momentum_2: f64 = 0.0;
    for j in 0..charges.len() {
        for i in 0..j {
            // The final charges, where charges pass through zero.
            let strength = strength(i, j, fractions).max(1e-12 * (charges[i] * charges[j]).abs());
            momentum_2 = momentum_2.max(2.0 * reduced(i, j) * strength / distance(i, j));
        }
    }
    Scales { time, progress: fractions[0], momentum: momentum_2.sqrt() }
}
