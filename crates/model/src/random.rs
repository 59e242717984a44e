//! Seeded random streams that the program owns: every use has its own stream, so that no result
//! depends on what else was drawn, on the device or on the number of threads.

use ndarray::Array2;
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights.
    Weights,
    /// Order of the training rows; index: the epoch.
    Shuffle,
    /// Noise of the loss on a training batch; index: the step.
    TrainingNoise,
    /// Noise of the loss on the validation rows, the same in every epoch.
    ValidationNoise,
    /// Noise on directions of `x` that the data leave empty; index: the step.
    Degenerate,
    /// Latents of predictive draws; index: the event.
    Draws,
    /// Draws of the refinement by the simulator; index: the event.
    Refinement,
    /// Noise of the decoder on predictive draws; index: the event.
    DecoderNoise,
    /// Latents of the importance-weighted bound.
    LikelihoodBound,
    /// Simulated events of a training; index: the epoch, or one of the fixed parts.
    Events,
    /// Noise of the detector on training rows; index: the epoch.
    DetectorNoise,
    /// Which member of an ensemble makes each draw; index: the event.
    Members,
    /// Geometries of the law where searches without noise begin.
    GeometryLaw,
    /// Momenta at the start where searches begin.
    InitialMomenta,
    /// What a sweep tries; index: the trial.
    Trials,
    /// Which trials count as the best where importance is a matter of chance.
    Importance,
    /// What a check of momenta chooses and simulates.
    Check,
}

/// The stream number `index` for `purpose` under `seed`.
///
/// ```
/// use cei_model::random::{Purpose, standard_normal, stream};
///
/// let draw = |index| standard_normal(2, 3, &mut stream(7, Purpose::Draws, index));
/// assert_eq!(draw(0), draw(0));
/// assert_ne!(draw(0), draw(1));
/// ```
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A seed for the stream number `index` for `purpose` under `seed`, for what makes its own streams.
pub fn derived_seed(seed: u64, purpose: Purpose, index: u64) -> u64 {
    stream(seed, purpose, index).next_u64()
}

/// Independent standard normal numbers.
pub fn standard_normal(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(rng))
}

/// Independent standard normal numbers: those of [`standard_normal`], row after row, in `values`.
pub fn fill_standard_normal(values: &mut [f32], rng: &mut ChaCha8Rng) {
    values.fill_with(|| StandardNormal.sample(rng));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_index_and_repeat() {
        let draw = |seed, purpose, index| {
            standard_normal(1, 4, &mut stream(seed, purpose, index)).into_raw_vec_and_offset().0
        };
        let reference = draw(1, Purpose::Weights, 0);
        assert_eq!(reference, draw(1, Purpose::Weights, 0));
        assert_ne!(reference, draw(2, Purpose::Weights, 0));
        assert_ne!(reference, draw(1, Purpose::Draws, 0));
        assert_ne!(reference, draw(1, Purpose::Weights, 1));
    }
}
