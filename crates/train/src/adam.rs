//! Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019) on the flat
//! parameter vector, the clip of the global gradient norm included.
//!
//! ```text
//! m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//! theta -= lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay theta)
//! ```

use cei_kernels::{AdamFactors, AdamStep, Gradient, Level};

use crate::TrainingConfig;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The moments of Adam.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Steps taken.
    pub step: u64,
    /// First moment of every parameter.
    pub first: Vec<f32>,
    /// Second moment of every parameter.
    pub second: Vec<f32>,
}

/// Step size and regularisation of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSize {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 for no bound.
    pub gradient_clip: f64,
}

impl StepSize {
    /// That of `config` when `epochs` are done, the learning rate times `scale`.
    pub(crate) fn at(epochs: f64, scale: f64, config: &TrainingConfig) -> Self {
        Self {
            learning_rate: config.learning_rate_at(epochs) * scale,
            weight_decay: config.weight_decay,
            gradient_clip: config.gradient_clip,
        }
    }
}

impl Adam {
    /// No step taken yet.
    pub fn new(parameters: usize) -> Self {
        Self { step: 0, first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// The next step, against `gradient`.
    pub fn step<'a>(&'a mut self, gradient: &'a Gradient, size: StepSize) -> AdamStep<'a> {
        let clip = clip_factor(gradient, size.gradient_clip);
        let factors = self.factors(size, clip);
        AdamStep::new(factors, gradient, &mut self.first, &mut self.second)
    }

    /// The factors of the next step, which counts as taken; the gradient is multiplied by `clip`.
    pub(crate) fn factors(&mut self, size: StepSize, clip: f32) -> AdamFactors {
        self.step += 1;
        let steps = self.step as f64;
        AdamFactors {
            first: BETA_1 as f32,
            second: BETA_2 as f32,
            epsilon: EPSILON as f32,
            rate: (size.learning_rate / (1.0 - BETA_1.powf(steps))) as f32,
            root: (1.0 / (1.0 - BETA_2.powf(steps)).sqrt()) as f32,
            keep: (1.0 - size.learning_rate * size.weight_decay) as f32,
            clip,
        }
    }
}

/// Factor that brings the norm of the whole gradient down to `bound`.
fn clip_factor(gradient: &Gradient, bound: f64) -> f32 {
    if bound == 0.0 {
        return 1.0;
    }
    let norm = gradient.norm(Level::best());
    if norm > bound { (bound / norm) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves `theta` by a step.
    fn step(adam: &mut Adam, theta: &mut [f32], gradient: &[f32], size: StepSize) {
        adam.step(&whole(gradient), size).apply(Level::best(), theta);
    }

    fn whole(values: &[f32]) -> Gradient {
        let mut gradient = Gradient::default();
        gradient.whole(values.len()).copy_from_slice(values);
        gradient
    }

    const PLAIN: StepSize = StepSize { learning_rate: 0.1, weight_decay: 0.0, gradient_clip: 0.0 };

    #[test]
    fn two_steps_by_hand() {
        let mut adam = Adam::new(1);
        let mut theta = [1.0];
        // First step: m / (1 - b1) = g and v / (1 - b2) = g^2, so the step is lr g / |g|.
        step(&mut adam, &mut theta, &[4.0], PLAIN);
        assert!((theta[0] - 0.9).abs() < 1e-6);
        // Second, g = -2: m = .9 * .4 - .2 = .16, v = .999 * .016 + .004 = .019984;
        // m^ = .16 / .19 = .842105, v^ = .019984 / .001999 = 9.996998, step .1 * .842105 / 3.161803.
        step(&mut adam, &mut theta, &[-2.0], PLAIN);
        assert!((theta[0] - (0.9 - 0.026_633_69)).abs() < 1e-6, "{}", theta[0]);
    }

    #[test]
    fn epsilon_is_1e_minus_8() {
        // With g = 1e-8 the first step is lr g / (g + eps) = lr / 2.
        let (mut adam, mut theta) = (Adam::new(1), [0.0]);
        step(&mut adam, &mut theta, &[1e-8], PLAIN);
        assert!((theta[0] + 0.05).abs() < 1e-4, "{}", theta[0]);
    }

    #[test]
    fn the_clip_bounds_the_norm_of_all_parameters_together() {
        assert_eq!(clip_factor(&whole(&[3.0, 4.0]), 0.0), 1.0);
        assert_eq!(clip_factor(&whole(&[3.0, 4.0]), 10.0), 1.0);
        assert_eq!(clip_factor(&whole(&[3.0, 4.0]), 2.5), 0.5);
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let (mut adam, mut theta) = (Adam::new(1), [2.0]);
        step(&mut adam, &mut theta, &[0.0], StepSize { weight_decay: 0.5, ..PLAIN });
        assert!((theta[0] - 2.0 * (1.0 - 0.05)).abs() < 1e-6);
    }
}
