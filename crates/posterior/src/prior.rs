//! Slope and curvature of the log prior, by differences: geometry laws give a density and no derivatives.

use crate::event::Whitened;

/// Step of the differences, bohr or the unit of a nuisance: far below the width of any law, and far above round-off.
const STEP: f64 = 1e-3;

/// The prior about one point: `-grad log p` and `-hess log p`. Where the prior ends within a step, it counts as flat.
#[derive(Debug, Clone)]
pub(crate) struct LocalPrior {
    /// The coordinates that the prior depends on.
    felt: Vec<usize>,
    /// d x d, row by row.
    pub(crate) curvature: Vec<f64>,
}

impl LocalPrior {
    /// The curvature at `u`; `None` where the prior is flat in every direction.
    pub(crate) fn new(problem: &Whitened<'_>, u: &[f64]) -> Option<Self> {
        let d = u.len();
        let at = |moved: &[(usize, f64)]| {
            let mut there = u.to_vec();
            moved.iter().for_each(|(i, step)| there[*i] += step);
            problem.log_prior(&there)
        };
        let here = at(&[]);
        let sides: Vec<[f64; 2]> = (0..d).map(|i| [at(&[(i, STEP)]), at(&[(i, -STEP)])]).collect();
        let is_felt =
            |i: &usize| sides[*i].iter().all(|side| side.is_finite()) && sides[*i] != [here, here];
        let felt: Vec<usize> = (0..d).filter(is_felt).collect();
        if felt.is_empty() || !here.is_finite() {
            return None;
        }
        let mut curvature = vec![0.0; d * d];
        for (place, &i) in felt.iter().enumerate() {
            let [up, down] = sides[i];
            curvature[i * d + i] = (2.0 * here - up - down) / (STEP * STEP);
            for &k in &felt[..place] {
                let both = at(&[(i, STEP), (k, STEP)]) + at(&[(i, -STEP), (k, -STEP)]);
                let single = up + down + sides[k][0] + sides[k][1];
                let mixed = (single - both - 2.0 * here) / (2.0 * STEP * STEP);
                let mixed = if mixed.is_finite() { mixed } else { 0.0 };
                curvature[i * d + k] = mixed;
                curvature[k * d + i] = mixed;
            }
        }
        Some(Self { felt, curvature })
    }

    /// `-grad log p` (d) at another point.
    pub(crate) fn slope(&self, problem: &Whitened<'_>, u: &[f64]) -> Vec<f64> {
        let mut slope = vec![0.0; u.len()];
        let mut there = u.to_vec();
        for &i in &self.felt {
            let [down, up] = [u[i] - STEP, u[i] + STEP].map(|moved| {
                there[i] = moved;
                problem.log_prior(&there)
            });
            there[i] = u[i];
            let change = (down - up) / (2.0 * STEP);
            slope[i] = if change.is_finite() { change } else { 0.0 };
        }
        slope
    }
}
