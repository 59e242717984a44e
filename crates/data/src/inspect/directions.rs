//! Whether the ions of a table fly in all directions alike.
//!
//! Of unit vectors `u` that are uniform on the sphere, `3 n |mean u|^2` is chi-square with 3 degrees of freedom (Rayleigh's
//! test, spherical harmonics of l = 1), `15/2 n sum (mean u_i u_j - delta_ij / 3)^2` with 5 (Bingham's, l = 2; Mardia &
//! Jupp, Directional Statistics, 2000, 10.4 and 10.7), and as they are not correlated, their sum with 8. The first sees ions
//! that prefer a side, the second those that prefer an axis or a plane, as aligned molecules and the dead areas of a
//! detector make them.

use serde::Serialize;

use cei_metrics::number;

/// Fewer events have no such law: it is that of many.
const LEAST_EVENTS: u64 = 30;

/// The directions of the momenta of one ion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Directions {
    /// The ion, by the column of its momentum along x.
    pub ion: String,
    /// Events in which the ion has a momentum.
    pub events: u64,
    /// Mean unit vector; zero if all directions are alike.
    #[serde(with = "number")]
    pub mean: [f64; 3],
    /// Means of the squares of the components of the unit vector, `<cos^2>` to x, y and z; a third each if all directions are
    /// alike.
    #[serde(with = "number")]
    pub cos2: [f64; 3],
    /// How often directions that are all alike are as uneven as these; absent for fewer than 30 events.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub p_value: Option<f64>,
}

/// Sums over the unit vectors of an ion.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningDirections {
    events: u64,
    sum: [f64; 3],
    /// Of the products of two components.
    products: [[f64; 3]; 3],
}

impl RunningDirections {
    /// Takes the momentum of an event; one of zero has no direction.
    pub(super) fn add(&mut self, momentum: [f64; 3]) {
        // Dividing by the largest first: squares of momenta in kg m/s are near the smallest numbers.
        let largest = momentum.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
        if largest == 0.0 {
            return;
        }
        let scaled = momentum.map(|p| p / largest);
        let length = scaled.iter().map(|p| p * p).sum::<f64>().sqrt();
        let unit = scaled.map(|p| p / length);
        self.events += 1;
        for (i, a) in unit.iter().enumerate() {
            self.sum[i] += a;
            for (j, b) in unit.iter().enumerate() {
                self.products[i][j] += a * b;
            }
        }
    }

    pub(super) fn finish(&self, ion: String) -> Directions {
        let n = self.events.max(1) as f64;
        let mean = self.sum.map(|sum| sum / n);
        let second = self.products.map(|row| row.map(|sum| sum / n));
        let sided = 3.0 * n * mean.iter().map(|u| u * u).sum::<f64>();
        let uniform = |i: usize, j: usize| if i == j { 1.0 / 3.0 } else { 0.0 };
        let uneven: f64 = (0..3)
            .flat_map(|i| (0..3).map(move |j| (i, j)))
            .map(|(i, j)| (second[i][j] - uniform(i, j)).powi(2))
            .sum();
        let statistic = sided + 7.5 * n * uneven;
        Directions {
            ion,
            events: self.events,
            mean,
            cos2: [second[0][0], second[1][1], second[2][2]],
            p_value: (self.events >= LEAST_EVENTS).then(|| survival_of_8(statistic)),
        }
    }
}

/// `P(X >= x)` for X chi-square with 8 degrees of freedom: `exp(-h) (1 + h + h^2/2 + h^3/6)` with `h = x / 2`.
fn survival_of_8(x: f64) -> f64 {
    let h = 0.5 * x;
    (-h).exp() * (1.0 + h * (1.0 + h * (0.5 + h / 6.0)))
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A direction by Archimedes: z and the angle about it are uniform.
    fn uniform(rng: &mut ChaCha8Rng) -> [f64; 3] {
        let z = 2.0 * unit(rng) - 1.0;
        let angle = std::f64::consts::TAU * unit(rng);
        let r = (1.0 - z * z).sqrt();
        [r * angle.cos(), r * angle.sin(), z]
    }

    fn unit(rng: &mut ChaCha8Rng) -> f64 {
        (rng.next_u64() >> 11) as f64 * f64::powi(2.0, -53)
    }

    fn p_value(events: usize, mut direction: impl FnMut() -> [f64; 3]) -> f64 {
        let mut running = RunningDirections::default();
        (0..events).for_each(|_| running.add(direction()));
        running.finish(String::new()).p_value.unwrap_or(f64::NAN)
    }

    /// From tables: 5 % at 15.507, 1 % at 20.090, 0.1 % at 26.124.
    #[test]
    fn the_survival_function_is_that_of_tables() {
        for (x, p) in
            [(0.0, 1.0), (15.507_313_05, 0.05), (20.090_235_03, 0.01), (26.124_481_56, 1e-3)]
        {
            assert!((survival_of_8(x) - p).abs() < 1e-9, "{x}");
        }
    }

    /// Of 400 tables of uniform directions, p is below 0.05, 0.25, 0.5 and 0.75 as often as a binomial law allows in all but 1
    /// of 1e4 cases (3.9 standard deviations).
    #[test]
    fn uniform_directions_fail_as_often_as_the_p_value_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let tables = 400.0;
        let found: Vec<f64> = (0..400).map(|_| p_value(200, || uniform(&mut rng))).collect();
        for level in [0.05, 0.25, 0.5, 0.75] {
            let below = found.iter().filter(|p| **p <= level).count() as f64;
            let sd = f64::sqrt(tables * level * (1.0 - level));
            assert!((below - tables * level).abs() < 3.9 * sd, "{level}: {below}");
        }
    }

    /// A side and an axis are both seen, and the scale of the momenta plays no part.
    #[test]
    fn preferred_sides_and_axes_are_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let sided = p_value(2000, || {
            let [x, y, z] = uniform(&mut rng);
            [x, y, if unit(&mut rng) < 0.2 { z.abs() } else { z }].map(|p| 1e-22 * p)
        });
        assert!(sided < 1e-6, "{sided}");
        let squeezed = p_value(2000, || {
            let [x, y, z] = uniform(&mut rng);
            [x, 0.8 * y, z].map(|p| 1e-160 * p)
        });
        assert!(squeezed < 1e-6, "{squeezed}");
        assert!(p_value(29, || uniform(&mut rng)).is_nan());
    }
}
