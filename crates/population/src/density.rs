//! The density of a population, at a row of all its quantities.

use ndarray::Array2;

use crate::fit::Population;
use crate::laws::{Law, Seen};

/// A population as a density.
#[derive(Debug, Clone)]
pub struct PopulationDensity {
    laws: Vec<Seen>,
    limits: Vec<Option<[f64; 2]>>,
}

impl Population {
    /// Its density.
    ///
    /// ```
    /// use cei_population::{PopulationOptions, Sample, fit};
    /// use ndarray::{Array2, Array3};
    ///
    /// // Events at -2 and 2 with narrow posteriors, under an even training law of the width 20.
    /// let draws = Array3::from_shape_fn((40, 30, 1), |(event, draw, _)| {
    ///     let centre = if event % 2 == 0 { -2.0 } else { 2.0 };
    ///     centre + 0.1 * (event as f64).sin() + 0.1 * (draw as f64).cos()
    /// });
    /// let log_law = Array2::from_elem((40, 30), -(20.0_f64).ln());
    /// let sample = Sample {
    ///     draws: draws.view(),
    ///     log_law: log_law.view(),
    ///     counts: &[1.0; 40],
    ///     limits: &[None],
    /// };
    /// let options = PopulationOptions { bootstraps: 0, ..PopulationOptions::default() };
    /// let density = fit(&sample, &options)?.density();
    /// assert!(density.log_density(&[2.0]) > density.log_density(&[0.0]) + 5.0);
    /// # Ok::<(), cei_population::PopulationError>(())
    /// ```
    #[must_use]
    pub fn density(&self) -> PopulationDensity {
        let laws = self.laws.iter().map(|law| {
            let (mean, covariance) = (law.mean.to_vec(), law.covariance.clone());
            let (m, factor) = (mean.len(), Array2::zeros(covariance.dim()));
            let mut seen = Seen::of_nothing(m);
            let law = Law { weight: law.weight, mean, factor, covariance };
            seen.look(&law, &vec![0.0; m * m]);
            seen
        });
        PopulationDensity { laws: laws.collect(), limits: self.limits.clone() }
    }
}

impl PopulationDensity {
    /// Log of the density at a row of all quantities, per unit volume of them, with laws folded back at limits; minus infinity beyond one.
    #[must_use]
    pub fn log_density(&self, row: &[f64]) -> f64 {
        let mut images = vec![row.to_vec()];
        for (quantity, limits) in self.limits.iter().enumerate() {
            let Some([low, high]) = *limits else { continue };
            if !(low..=high).contains(&row[quantity]) {
                return f64::NEG_INFINITY;
            }
            let mirrored = images.iter().flat_map(|image| {
                [low, high].map(|limit| {
                    let mut image = image.clone();
                    image[quantity] = 2.0 * limit - image[quantity];
                    image
                })
            });
            images.extend(mirrored.collect::<Vec<_>>());
        }
        let logs: Vec<f64> = images
            .iter()
            .flat_map(|image| self.laws.iter().map(|law| law.log_density(image)))
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::NormalLaw;
    use ndarray::array;

    /// The density of two quantities adds up to that of one, and to one; both have a law that reaches beyond a limit.
    #[test]
    fn the_density_is_normalised_and_has_the_marginal() {
        let law = |weight, mean: [f64; 2], covariance| NormalLaw {
            weight,
            mean: array![mean[0], mean[1]],
            covariance,
        };
        let population = Population {
            laws: vec![
                law(0.7, [1.0, 0.5], array![[1.0, 0.4], [0.4, 0.5]]),
                law(0.3, [4.0, 3.0], array![[0.5, -0.2], [-0.2, 0.8]]),
            ],
            bootstraps: Vec::new(),
            limits: vec![Some([0.0, 9.0]), None],
            tried: Vec::new(),
            event_sd: vec![1.0; 2],
            effective_draws: 1.0,
            log_likelihoods: Vec::new(),
        };
        let density = population.density();
        let step = 0.05;
        let at = |place: i32| step * (f64::from(place) + 0.5);
        let mut all = 0.0;
        for first in 0..180 {
            let own: f64 = (-160..240)
                .map(|second| step * density.log_density(&[at(first), at(second)]).exp())
                .sum();
            let marginal = population.marginal(0, &[at(first)], 0.9).density[0];
            assert!((own - marginal).abs() < 1e-6, "{own} {marginal}");
            all += step * own;
        }
        assert!((all - 1.0).abs() < 1e-3, "{all}");
        assert_eq!(density.log_density(&[-0.1, 0.0]), f64::NEG_INFINITY);
    }
}
