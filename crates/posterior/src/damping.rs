//! Damped steps, as Levenberg's and Marquardt's method takes them.
//!
//! ```text
//! (N + lambda I) s = -g        a step for the gradient g / 2 and the normal matrix N of a cost
//! -2 g.s - s^T N s             the decrease of the cost that it promises
//! ```
//! lambda follows the ratio of the gained to the promised decrease (Nielsen 1999; Madsen, Nielsen, Tingleff,
//! Methods for non-linear least squares problems, 2004).

use crate::linear::Cholesky;
use crate::walls;

/// Longest step in any coordinate, bohr.
const LONGEST_STEP: f64 = 1.0;
/// A shorter step is none, bohr.
const SHORTEST_STEP: f64 = 1e-12;
/// A search whose steps are refused until lambda grows so fast is at its end.
const MOST_GROWTH: f64 = 1e12;

/// The damping of a search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Damping {
    lambda: f64,
    /// By what lambda grows when the next step is refused.
    growth: f64,
}

/// A step that is proposed.
pub(crate) struct Step {
    pub(crate) step: Vec<f64>,
    /// The decrease of the cost that the linear model promises.
    pub(crate) promise: f64,
}

impl Damping {
    /// The damping of the first step.
    pub(crate) fn new(normal: &[f64], d: usize) -> Self {
        let largest = (0..d).map(|i| normal[i * d + i]).fold(0.0, f64::max);
        Self { lambda: 1e-3 * largest, growth: 2.0 }
    }

    /// The next step; `None` where there is none.
    pub(crate) fn step(&self, gradient: &[f64], normal: Vec<f64>) -> Option<Step> {
        self.step_within(gradient, normal, &|_| true)
    }

    /// The next step that ends inside, if its beginning is; `None` where there is none.
    pub(crate) fn step_within(
        &self,
        gradient: &[f64],
        mut normal: Vec<f64>,
        is_inside: &dyn Fn(&[f64]) -> bool,
    ) -> Option<Step> {
        let d = gradient.len();
        for i in 0..d {
            normal[i * d + i] += self.lambda;
        }
        let mut step: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let factor = Cholesky::new(&normal, d)?;
        factor.solve(&mut step);
        let longest = |step: &[f64]| step.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        let length = longest(&step);
        if length > LONGEST_STEP {
            step.iter_mut().for_each(|s| *s *= LONGEST_STEP / length);
        }
        let step = walls::within(is_inside, step, &factor);
        if longest(&step) < SHORTEST_STEP {
            return None;
        }
        let mut promise = 0.0;
        for i in 0..d {
            let curved: f64 = (0..d).map(|k| normal[i * d + k] * step[k]).sum();
            promise -= step[i] * (2.0 * gradient[i] + curved - self.lambda * step[i]);
        }
        Some(Step { step, promise })
    }

    /// After a step that gained nothing. Whether further steps are too short to gain anything.
    pub(crate) fn refuse(&mut self) -> bool {
        self.lambda = (self.lambda * self.growth).max(1e-300);
        self.growth *= 2.0;
        self.growth > MOST_GROWTH
    }

    /// After a step that gained this part of what it promised.
    pub(crate) fn accept(&mut self, part: f64) {
        self.lambda *= (1.0 - (2.0 * part - 1.0).clamp(-1.0, 1.0).powi(3)).max(1.0 / 10.0);
        self.growth = 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(u_1 - 3)^2 + 4 (u_2 + 0.5)^2` from the origin.
    #[test]
    fn steps_promise_what_a_parabola_gives() {
        let (gradient, normal) = ([-3.0, 2.0], vec![1.0, 0.0, 0.0, 4.0]);
        let damping = Damping::new(&normal, 2);
        let Step { step, promise } = damping.step(&gradient, normal).unwrap();
        // As long as a step may be.
        assert_eq!(step[0], 1.0);
        let cost = |u: &[f64]| (u[0] - 3.0).powi(2) + 4.0 * (u[1] + 0.5).powi(2);
        assert!((cost(&[0.0, 0.0]) - cost(&step) - promise).abs() < 1e-12, "{promise}");
    }

    #[test]
    fn damping_follows_what_was_gained() {
        let normal = [2.0];
        let mut damping = Damping::new(&normal, 1);
        let length =
            |damping: &Damping| damping.step(&[0.1], normal.to_vec()).unwrap().step[0].abs();
        let first = length(&damping);
        damping.accept(1.0);
        let trusted = length(&damping);
        assert!(first < trusted && trusted < 0.05);
        assert!(!damping.refuse() && !damping.refuse());
        assert!(length(&damping) < trusted);
        assert!((0..60).any(|_| damping.refuse()));
        assert!(damping.step(&[0.0], normal.to_vec()).is_none());
        // Where nothing changes there is no step.
        assert!(Damping::new(&[0.0], 1).step(&[0.0], vec![0.0]).is_none());
    }
}
