//! Angles among the coordinates: a full turn changes nothing.
//!
//! ```text
//! u and u + k P n  are one point for every integer k      n a unit vector (d), P the period
//! ```
//! The coordinates of a point are those with `start < n u <= start + P`. Searches and laws go across the ends of this
//! turn: a step is folded back, and the density of a law is the sum over its images.

/// Images of a law on either side. A law is no wider than a uniform angle, 0.29 periods: beyond 2.5 periods a t law of 8
/// degrees of freedom has 3e-5 of its mass.
const IMAGES: i32 = 2;

/// A direction in which coordinates repeat.
///
/// ```
/// use cei_posterior::Circle;
///
/// // The second of two coordinates is an angle in degrees.
/// let circle = Circle::new(vec![0.0, 1.0], 0.0, 360.0);
/// let mut u = [5.0, 365.0];
/// circle.fold(&mut u);
/// assert_eq!(u, [5.0, 5.0]);
/// // From 355 to 5 degrees it is 10 degrees.
/// let mut step = [0.0, 5.0 - 355.0];
/// circle.shorten(&mut step);
/// assert_eq!(step, [0.0, 10.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Circle {
    direction: Vec<f64>,
    start: f64,
    period: f64,
}

impl Circle {
    /// Coordinates that repeat after `period` along the unit vector `direction`, and are told from `start` on. Of further
    /// coordinates than `direction` has, none is part of the angle.
    ///
    /// # Panics
    /// If the period is not positive.
    pub fn new(direction: Vec<f64>, start: f64, period: f64) -> Self {
        assert!(period > 0.0, "a period of {period}");
        Self { direction, start, period }
    }

    /// Takes a point to its coordinates within the turn.
    pub fn fold(&self, u: &mut [f64]) {
        self.add((self.start - self.along(u)) / self.period, u);
    }

    /// Takes a difference of two points to that of their nearest images.
    pub fn shorten(&self, step: &mut [f64]) {
        self.add(-0.5 - self.along(step) / self.period, step);
    }

    fn along(&self, u: &[f64]) -> f64 {
        self.direction.iter().zip(u).map(|(n, u)| n * u).sum()
    }

    /// Adds the first whole number of periods above `turns`.
    fn add(&self, turns: f64, u: &mut [f64]) {
        let turns = turns.floor() + 1.0;
        if turns != 0.0 {
            self.shift(turns, u);
        }
    }

    fn shift(&self, turns: f64, u: &mut [f64]) {
        u.iter_mut().zip(&self.direction).for_each(|(u, n)| *u += turns * self.period * n);
    }
}

/// Takes a point to its coordinates on all circles.
pub(crate) fn fold(circles: &[Circle], u: &mut [f64]) {
    circles.iter().for_each(|circle| circle.fold(u));
}

/// The difference `a - b` of two points, or of their nearest images.
pub(crate) fn difference(circles: &[Circle], a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut step: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    circles.iter().for_each(|circle| circle.shorten(&mut step));
    step
}

/// What is added to the `d` coordinates of a point for its images, the first of which is the point itself.
pub(crate) fn shifts(circles: &[Circle], d: usize) -> Vec<Vec<f64>> {
    let mut shifts = vec![vec![0.0; d]];
    for circle in circles {
        let turns = (-IMAGES..=IMAGES).filter(|turns| *turns != 0);
        let further: Vec<Vec<f64>> = turns
            .flat_map(|turns| shifts.iter().cloned().map(move |shift| (turns, shift)))
            .map(|(turns, mut shift)| {
                circle.shift(f64::from(turns), &mut shift);
                shift
            })
            .collect();
        shifts.extend(further);
    }
    shifts
}
