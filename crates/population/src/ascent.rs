//! The parameters of the largest likelihood: a few steps of expectation and maximisation, then a quasi-Newton ascent
//! (Broyden, Fletcher, Goldfarb, Shanno) that begins with the information of the events. Where noise is far wider than the population,
//! steps of expectation and maximisation alone go on for hundreds of times.

use ndarray::{Array1, Array2};

use crate::laws::{Law, cholesky, inverse_of_lower, laws_of, parameters};
use crate::likelihood::{Worth, worth};
use crate::points::Points;

/// Twice the nats that a quadratic end still promises: the ascent has then come to within a tenth of a standard error.
const LACK: f64 = 0.01;
/// Halvings of a step at most.
const HALVINGS: usize = 12;
/// Largest change of a parameter in a step.
const LONGEST: f64 = 1.0;
/// Part of the information's diagonal that is added to it.
const RIDGE: f64 = 1e-3;
/// Step by which curvature is measured, in standard errors of the parameter.
const DIFFERENCE: f64 = 1e-3;
/// Parts of the information that are added to a curvature, by tens, until it goes down on all sides.
const MOST_ADDED: f64 = 1.0;
const LEAST_ADDED: f64 = 1e-4;

/// Events counted so often, and the least standard deviations of laws.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub(crate) points: &'a Points,
    pub(crate) counts: &'a [f64],
    pub(crate) floor: &'a [f64],
}

impl Problem<'_> {
    pub(crate) fn worth(&self, theta: &[f64], with_information: bool) -> Worth {
        worth(self.points, self.counts, theta, self.floor, with_information)
    }

    /// Steps of expectation and maximisation.
    pub(crate) fn steps(&self, theta: &[f64], steps: usize) -> Vec<f64> {
        let m = self.points.m;
        let mut theta = theta.to_vec();
        for _ in 0..steps {
            let slopes = self.worth(&theta, false).slopes;
            let laws = laws_of(&theta, self.floor);
            let total: f64 = slopes.of_laws.iter().map(|(n, ..)| n).sum();
            let next: Vec<(f64, Vec<f64>, Array2<f64>)> = laws
                .into_iter()
                .zip(&slopes.of_laws)
                .map(|(Law { mean, covariance, .. }, (n, g, big_g))| {
                    if *n < 1e-6 * total {
                        return (n / total, mean, covariance);
                    }
                    let shift = covariance.dot(g) / *n;
                    let square = Array2::from_shape_fn((m, m), |(i, j)| shift[i] * shift[j]);
                    let change = covariance.dot(big_g).dot(&covariance) / *n;
                    let mean = mean.iter().zip(&shift).map(|(mean, s)| mean + s).collect();
                    (n / total, mean, covariance + change - square)
                })
                .collect();
            theta = parameters(next.iter().map(|(a, mean, s)| (*a, &mean[..], s)), self.floor);
        }
        theta
    }

    /// The events' information at some parameters, a little more than it is: the inverse of the covariance of estimates.
    fn information(&self, theta: &[f64]) -> Array2<f64> {
        let Some(mut information) = self.worth(theta, true).information else {
            return Array2::eye(theta.len());
        };
        let mean = information.diag().sum() / theta.len() as f64;
        for i in 0..theta.len() {
            information[[i, i]] += RIDGE * (information[[i, i]] + 1e-3 * mean);
        }
        information
    }

    /// The inverse of the information at some parameters.
    pub(crate) fn inverse_information(&self, theta: &[f64]) -> Array2<f64> {
        let information = self.information(theta);
        let least = 1e-6 * (information.diag().sum() / theta.len() as f64).sqrt();
        inverse(information, least)
    }

    /// The inverse of the downward curvature at some parameters near the largest likelihood, by differences of the slope. Where that is
    /// not positive, as much of the information is added as it takes. It serves many ascents from there: with the information alone, which is
    /// the curvature only if the family holds the truth, each takes ten times as many steps.
    pub(crate) fn inverse_curvature(&self, theta: &[f64]) -> Array2<f64> {
        let p = theta.len();
        let information = self.information(theta);
        let here = self.worth(theta, false).slope;
        let mut curvature = Array2::zeros((p, p));
        for (place, mut row) in curvature.rows_mut().into_iter().enumerate() {
            let step = DIFFERENCE / information[[place, place]].sqrt();
            let mut moved = theta.to_vec();
            moved[place] += step;
            row.assign(&((&here - &self.worth(&moved, false).slope) / step));
        }
        let curvature = 0.5 * (&curvature + &curvature.t());
        let mut part = LEAST_ADDED;
        while part < MOST_ADDED {
            let sum = &curvature + &(part * &information);
            if is_positive(&sum) {
                return inverse(sum, 0.0);
            }
            part *= 10.0;
        }
        self.inverse_information(theta)
    }

    /// Goes up from some parameters, with a first guess of the inverse curvature.
    pub(crate) fn climb(&self, theta: &[f64], guess: &Array2<f64>, most: usize) -> Top {
        let mut inverse = guess.clone();
        let mut here = Array1::from(theta.to_vec());
        let mut worth = self.worth(theta, false);
        for _ in 0..most {
            let mut direction = inverse.dot(&worth.slope);
            let mut promise = direction.dot(&worth.slope);
            if promise <= 0.0 {
                inverse.assign(guess);
                direction = inverse.dot(&worth.slope);
                promise = direction.dot(&worth.slope);
            }
            if promise < LACK {
                break;
            }
            let longest = direction.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
            let mut length = (LONGEST / longest).min(1.0);
            let mut found = None;
            for _ in 0..HALVINGS {
                let there = &here + &(length * &direction);
                let next = self.worth(&there.to_vec(), false);
                if next.value >= worth.value + 1e-4 * length * promise {
                    found = Some((there, next));
                    break;
                }
                length *= 0.5;
            }
            let Some((there, next)) = found else { break };
            update(&mut inverse, &(&there - &here), &(&worth.slope - &next.slope));
            (here, worth) = (there, next);
        }
        Top { theta: here.to_vec(), value: worth.value, inverse }
    }
}

/// Where an ascent ended.
pub(crate) struct Top {
    pub(crate) theta: Vec<f64>,
    /// `l` there.
    pub(crate) value: f64,
    /// The inverse curvature as far as the ascent came to know it.
    pub(crate) inverse: Array2<f64>,
}

/// Whether a symmetric matrix is positive definite, and not by a little.
fn is_positive(matrix: &Array2<f64>) -> bool {
    let p = matrix.nrows();
    let mut lower: Vec<f64> = matrix.iter().copied().collect();
    cholesky(&mut lower, p, 0.0);
    (0..p).all(|i| lower[i * p + i].powi(2) > 1e-9 * matrix[[i, i]])
}

/// The inverse of a symmetric matrix, with pivots of its Cholesky factor of `least` at least.
fn inverse(matrix: Array2<f64>, least: f64) -> Array2<f64> {
    let p = matrix.nrows();
    let mut lower: Vec<f64> = matrix.into_iter().collect();
    cholesky(&mut lower, p, least);
    inverse_of_lower(&mut lower, p);
    let lower = Array2::from_shape_fn((p, p), |(i, j)| lower[i * p + j]);
    lower.t().dot(&lower)
}

/// The inverse curvature after a `step` that changed the downward slope by `change`.
fn update(inverse: &mut Array2<f64>, step: &Array1<f64>, change: &Array1<f64>) {
    let curved = step.dot(change);
    if curved <= 1e-12 * step.dot(step).sqrt() * change.dot(change).sqrt() {
        return;
    }
    let turned = inverse.dot(change);
    let factor = (curved + change.dot(&turned)) / (curved * curved);
    let p = step.len();
    for i in 0..p {
        for j in 0..p {
            inverse[[i, j]] +=
                factor * step[i] * step[j] - (turned[i] * step[j] + step[i] * turned[j]) / curved;
        }
    }
}
