//! One event: what was measured, the model of it, and its residuals in units of the noise.
//!
//! # Notation
//! ```text
//! r(u) = (f(u) - y) / sd       whitened residual (sd = 1 without noise); J its Jacobian
//! ```

use ndarray::{ArrayView2, Axis};

use crate::circle::{self, Circle};
use crate::error::PosteriorError;
use crate::forward::Forward;

/// One event: what was measured, and the model of it.
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Charging, Molecule};
/// use cei_posterior::{Chart, Event, Explosion, Forward as _, RefineOptions, refine};
/// use ndarray::{Array2, array};
///
/// // Two ions that were 2.2 bohr apart, measured with a noise of 0.5 a.u.; any distance is as likely before.
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
/// let along_x = array![[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]];
/// let chart = Chart::new(array![0.0, 0.0, 0.0, 0.0, 0.0, 0.0], along_x)?;
/// let explosion = Explosion::new(&pair, &Charging::default(), &chart, &Accuracy::default())?;
/// let measured = explosion.values(array![[2.2]].view()).row(0).to_vec();
/// let event = Event {
///     forward: &explosion,
///     log_prior: &|u| if (1.0..5.0).contains(&u[0]) { -(4.0_f64).ln() } else { f64::NEG_INFINITY },
///     measured: &measured,
///     noise: &[0.5; 6],
/// };
/// let draws = Array2::from_shape_fn((200, 1), |(row, _)| 1.1 + 0.015 * row as f64);
/// let refined = refine(&event, draws.view(), None, &RefineOptions::default(), 0)?;
/// assert!((refined.draws.mean().unwrap_or_default() - 2.2).abs() < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The forward model from coordinates to measured components.
    pub forward: &'a dyn Forward,
    /// Log prior density per unit volume of the coordinates; minus infinity outside the support.
    pub log_prior: &'a (dyn Fn(&[f64]) -> f64 + Sync),
    /// Measured components (m).
    pub measured: &'a [f64],
    /// Standard deviation of the noise of each component (m); empty or all zero without noise.
    pub noise: &'a [f64],
}

/// An event with its residuals in units of the noise.
pub(crate) struct Whitened<'a> {
    pub(crate) event: &'a Event<'a>,
    /// One over the noise of each component; 1 without noise.
    inverse_noise: Vec<f64>,
    pub(crate) is_noisy: bool,
    /// Sum of the squared measured components.
    square: f64,
    /// Residual, as a part of the measured components, at which a search without noise ends.
    precision: f64,
}

/// As precise as the integration of an explosion.
const FINEST: f64 = 1e-10;

impl<'a> Whitened<'a> {
    pub(crate) fn new(
        event: &'a Event<'a>,
        draws: ArrayView2<'_, f64>,
    ) -> Result<Self, PosteriorError> {
        let size = |what, found, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(PosteriorError::Size { what, found, expected })
            }
        };
        let (inputs, outputs) = (event.forward.inputs(), event.forward.outputs());
        size("columns of the draws", draws.ncols(), inputs)?;
        size("measured components", event.measured.len(), outputs)?;
        for (index, value) in event.measured.iter().enumerate() {
            if !value.is_finite() {
                let what = "measured component";
                return Err(PosteriorError::Value {
                    what,
                    index,
                    value: *value,
                    expected: "finite",
                });
            }
        }
        let square = event.measured.iter().map(|y| y * y).sum();
        let is_noisy = event.noise.iter().any(|sd| *sd != 0.0);
        if !is_noisy {
            let (inverse_noise, precision) = (vec![1.0; outputs], FINEST);
            return Ok(Self { event, inverse_noise, is_noisy, square, precision });
        }
        size("noise components", event.noise.len(), outputs)?;
        for (index, value) in event.noise.iter().enumerate() {
            if *value == 0.0 {
                return Err(PosteriorError::PartlyNoiseFree { index });
            }
            if !(value.is_finite() && *value > 0.0) {
                let (what, expected) = ("noise of component", "finite and at least 0");
                return Err(PosteriorError::Value { what, index, value: *value, expected });
            }
        }
        let inverse_noise = event.noise.iter().map(|sd| 1.0 / sd).collect();
        Ok(Self { event, inverse_noise, is_noisy, square, precision: FINEST })
    }

    /// The same, without noise, for searches that end at a residual of `precision` of the measured components.
    pub(crate) fn to(self, precision: f64) -> Self {
        Self { precision, ..self }
    }

    /// Sum of squared whitened residuals of each row; infinite where there is no value.
    pub(crate) fn misfits(&self, coordinates: ArrayView2<'_, f64>) -> Vec<f64> {
        let values = self.event.forward.values(coordinates);
        values
            .rows()
            .into_iter()
            .map(|row| {
                let residuals = row.iter().zip(self.event.measured).zip(&self.inverse_noise);
                let sum: f64 = residuals.map(|((v, y), w)| ((v - y) * w).powi(2)).sum();
                if sum.is_nan() { f64::INFINITY } else { sum }
            })
            .collect()
    }

    /// Misfit of a root mean square residual of this `part` of the root mean square of the measured components.
    pub(crate) fn misfit_of(&self, part: f64) -> f64 {
        self.square * part * part
    }

    /// Whether a search without noise need not get below this misfit.
    pub(crate) fn is_precise(&self, misfit: f64) -> bool {
        misfit < self.precision.powi(2) * self.square
    }

    /// Log density of noise at zero residual: `-sum log(sd sqrt(2 pi))`.
    pub(crate) fn log_normalisation(&self) -> f64 {
        let half_log = 0.5 * (2.0 * std::f64::consts::PI).ln();
        self.inverse_noise.iter().map(|w| w.ln() - half_log).sum()
    }

    pub(crate) fn log_prior(&self, coordinates: &[f64]) -> f64 {
        (self.event.log_prior)(coordinates)
    }

    /// The angles among the coordinates.
    pub(crate) fn circles(&self) -> &[Circle] {
        self.event.forward.circles()
    }

    /// Takes a point to its coordinates.
    pub(crate) fn fold(&self, coordinates: &mut [f64]) {
        circle::fold(self.circles(), coordinates);
    }

    /// The difference `a - b` of two points: the shortest, where angles are among the coordinates.
    pub(crate) fn difference(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        circle::difference(self.circles(), a, b)
    }

    /// Log of likelihood times prior of each row, up to [`Self::log_normalisation`].
    pub(crate) fn log_targets(&self, coordinates: ArrayView2<'_, f64>) -> Vec<f64> {
        let misfits = self.misfits(coordinates);
        misfits
            .into_iter()
            .zip(coordinates.rows())
            .map(|(misfit, row)| {
                if misfit.is_finite() {
                    self.log_prior(&row.to_vec()) - 0.5 * misfit
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect()
    }

    /// Residual and Jacobian of each row; `None` where there are none.
    pub(crate) fn linearise(&self, coordinates: &[Vec<f64>]) -> Vec<Option<Local>> {
        let d = self.event.forward.inputs();
        let flat = coordinates.concat();
        let Ok(rows) = ArrayView2::from_shape((coordinates.len(), d), &flat) else {
            return coordinates.iter().map(|_| None).collect();
        };
        let (values, jacobians) = self.event.forward.linearised(rows);
        values
            .rows()
            .into_iter()
            .zip(jacobians.axis_iter(Axis(0)))
            .map(|(value, jacobian)| {
                let mut local =
                    Local { misfit: 0.0, gradient: vec![0.0; d], normal: vec![0.0; d * d] };
                let components = value.iter().zip(self.event.measured).zip(&self.inverse_noise);
                for (((v, y), w), line) in components.zip(jacobian.rows()) {
                    let r = (v - y) * w;
                    local.misfit += r * r;
                    for i in 0..d {
                        let j_i = w * line[i];
                        local.gradient[i] += j_i * r;
                        for k in 0..=i {
                            local.normal[i * d + k] += j_i * w * line[k];
                        }
                    }
                }
                for i in 0..d {
                    for k in 0..i {
                        local.normal[k * d + i] = local.normal[i * d + k];
                    }
                }
                let sound = local.misfit.is_finite() && local.normal.iter().all(|v| v.is_finite());
                sound.then_some(local)
            })
            .collect()
    }
}

/// The model about one point: `|r|^2`, `J^T r`, `J^T J`.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) misfit: f64,
    pub(crate) gradient: Vec<f64>,
    pub(crate) normal: Vec<f64>,
}
