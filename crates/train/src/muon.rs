//! Factors of the steps of Muon (Jordan et al. 2024).
//!
//! The step of a weight has, whatever its shape, numbers of about 0.2 learning rates, as those of Adam have (Liu et al. 2025),
//! so that one learning rate and one schedule serve both.

use cei_kernels::MuonFactors;

/// Decay of the momentum.
const MOMENTUM: f32 = 0.95;
/// Numbers of a step, in learning rates.
const SIZE: f64 = 0.2;

/// The factors of a step at this learning rate.
pub(crate) fn factors(learning_rate: f64) -> MuonFactors {
    MuonFactors { momentum: MOMENTUM, rate: (SIZE * learning_rate) as f32 }
}
