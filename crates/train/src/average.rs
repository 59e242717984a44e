//! Exponential moving average of the parameters (Polyak & Juditsky 1992; with a warm-up of the decay
//! that lets the first steps count).
//!
//! ```text
//! average <- d average + (1 - d) theta,  d = min(decay, (1 + t) / (10 + t)) after step t
//! ```

use rayon::prelude::*;

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 12;

/// Takes the parameters after step `step` (from 1) into their average.
pub(crate) fn update(average: &mut [f32], parameters: &[f32], decay: f64, step: u64) {
    let new = share(decay, step);
    let chunks = average.par_chunks_mut(CHUNK).zip(parameters.par_chunks(CHUNK));
    chunks.for_each(|(average, parameters)| {
        for (average, value) in average.iter_mut().zip(parameters) {
            *average += new * (value - *average);
        }
    });
}

/// Share `1 - d` of the parameters after step `step` in their average.
pub(crate) fn share(decay: f64, step: u64) -> f32 {
    let steps = step as f64;
    let keep = decay.min((1.0 + steps) / (10.0 + steps));
    (1.0 - keep) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut average = [0.0, 8.0];
        // Step 1: d = min(0.5, 2 / 11) = 2 / 11, so 9/11 of the difference are taken.
        update(&mut average, &[11.0, 8.0], 0.5, 1);
        assert!((average[0] - 9.0).abs() < 1e-6 && average[1] == 8.0, "{average:?}");
        // Step 100: 101 / 110 is above the decay, so half of the difference is taken.
        update(&mut average, &[10.0, 0.0], 0.5, 100);
        assert!((average[0] - 9.5).abs() < 1e-6 && average[1] == 4.0, "{average:?}");
    }
}
