//! Re-simulation error: posterior draws pushed through the forward model, against the measured
//! momenta.
//!
//! For one event with measured momenta y (d components) and re-simulated y_k of its draws:
//! sqrt(mean over k and components of (y_k - y)^2). Momenta of draws whose simulation failed are
//! NaN: such draws are left out and counted. Reported is the median and interquartile range over
//! events, since one draw with two atoms nearly in one place dominates any mean.

use ndarray::{ArrayView2, ArrayView3};
use rayon::prelude::*;

use crate::matrix::{check_dims, check_matrix};
use crate::results::ResimulationError;
use crate::{Error, Result, quantile};

/// Accumulates re-simulation errors of chunks of events (8 bytes an event).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResimulationErrors {
    errors: Vec<f64>,
    failed_draws: usize,
    failed_events: usize,
}

/// Root mean square difference per component of each event in a.u.; `None` where no draw could be
/// re-simulated. `measured` is `n x d`, `resimulated` is `n x K x d`, both in one frame. Also the
/// number of draws left out because a component is not finite.
///
/// # Errors
/// Shapes that do not fit, measured values that are not finite.
pub fn resimulation_rms(
    measured: ArrayView2<'_, f64>,
    resimulated: ArrayView3<'_, f64>,
) -> Result<(Vec<Option<f64>>, usize)> {
    check_matrix("the measured momenta", measured)?;
    let (n, count, d) = resimulated.dim();
    check_dims("the re-simulated momenta", measured.dim(), (n, d))?;
    let per_event: Vec<(Option<f64>, usize)> = (0..n)
        .into_par_iter()
        .map(|event| {
            let draws = resimulated.index_axis(ndarray::Axis(0), event);
            let mut sum = 0.0;
            let mut valid = 0;
            for draw in draws.rows() {
                let differences = draw.iter().zip(measured.row(event)).map(|(a, b)| a - b);
                let squared: f64 = differences.map(|difference| difference * difference).sum();
                if squared.is_finite() {
                    sum += squared;
                    valid += 1;
                }
            }
            let rms = (valid > 0).then(|| (sum / (valid * d) as f64).sqrt());
            (rms, count - valid)
        })
        .collect();
    let failed = per_event.iter().map(|(_, failed)| failed).sum();
    Ok((per_event.into_iter().map(|(rms, _)| rms).collect(), failed))
}

impl ResimulationErrors {
    /// Takes a chunk; shapes and units as in [`resimulation_rms`].
    ///
    /// # Errors
    /// As [`resimulation_rms`].
    pub fn add(
        &mut self,
        measured: ArrayView2<'_, f64>,
        resimulated: ArrayView3<'_, f64>,
    ) -> Result<()> {
        let (errors, failed) = resimulation_rms(measured, resimulated)?;
        self.failed_draws += failed;
        self.failed_events += errors.iter().filter(|error| error.is_none()).count();
        self.errors.extend(errors.into_iter().flatten());
        Ok(())
    }

    /// Takes the events of another accumulator.
    pub fn merge(&mut self, other: &Self) {
        self.errors.extend_from_slice(&other.errors);
        self.failed_draws += other.failed_draws;
        self.failed_events += other.failed_events;
    }

    /// Median and quartiles over events.
    ///
    /// # Errors
    /// No event has a draw that could be re-simulated.
    pub fn summary(&self) -> Result<ResimulationError> {
        let mut sorted = self.errors.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |p: f64| {
            quantile(&sorted, p).ok_or(Error::Empty { what: "the list of re-simulated events" })
        };
        let (lower, upper) = (at(0.25)?, at(0.75)?);
        Ok(ResimulationError {
            median: at(0.5)?,
            iqr: upper - lower,
            lower_quartile: lower,
            upper_quartile: upper,
            events: sorted.len(),
            failed_draws: self.failed_draws,
            failed_events: self.failed_events,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Array2, Array3, array};

    #[test]
    fn two_draws_of_two_components_by_hand() {
        // differences (1, -1) and (3, 1): squares 1 + 1 + 9 + 1 = 12 over 4, root 3
        let (errors, failed) =
            resimulation_rms(array![[1.0, 2.0]].view(), array![[[2.0, 1.0], [4.0, 3.0]]].view())
                .unwrap();
        assert_relative_eq!(errors[0].unwrap(), 3.0_f64.sqrt());
        assert_eq!(failed, 0);
    }

    #[test]
    fn failed_draws_are_left_out_and_counted() {
        let measured = array![[0.0], [0.0]];
        let resimulated = array![[[2.0], [f64::NAN]], [[f64::NAN], [f64::INFINITY]]];
        let mut errors = ResimulationErrors::default();
        errors.add(measured.view(), resimulated.view()).unwrap();
        let summary = errors.summary().unwrap();
        assert_relative_eq!(summary.median, 2.0);
        assert_eq!((summary.events, summary.failed_draws, summary.failed_events), (1, 3, 1));
    }

    #[test]
    fn median_and_quartiles_of_merged_chunks() {
        // errors 1, 2, 3, 4, 5: median 3, quartiles 2 and 4
        let chunk = |errors: &[f64]| {
            let mut accumulator = ResimulationErrors::default();
            let measured = Array2::zeros((errors.len(), 1));
            let draws = Array3::from_shape_fn((errors.len(), 1, 1), |(i, _, _)| errors[i]);
            accumulator.add(measured.view(), draws.view()).unwrap();
            accumulator
        };
        let mut all = chunk(&[5.0, 1.0]);
        all.merge(&chunk(&[3.0, 2.0, 4.0]));
        let summary = all.summary().unwrap();
        assert_relative_eq!(summary.median, 3.0);
        assert_relative_eq!(summary.iqr, 2.0);
        assert_relative_eq!(summary.lower_quartile, 2.0);
    }

    #[test]
    fn unfit_inputs_are_named() {
        assert!(ResimulationErrors::default().summary().is_err());
        let measured = array![[1.0, 2.0]];
        assert!(matches!(
            resimulation_rms(measured.view(), Array3::zeros((1, 4, 3)).view()),
            Err(Error::Columns { expected: 2, found: 3, .. })
        ));
        assert!(
            resimulation_rms(array![[f64::NAN]].view(), Array3::zeros((1, 4, 1)).view()).is_err()
        );
    }
}
