//! The nonlinearities between linear layers, and their slopes.
//!
//! ```text
//! ELU    x above 0, exp(x) - 1 below         slope 1 above 0, value + 1 below
//! ReLU   x above 0, 0 below                  slope 1 above 0, 0 below
//! tanh   tanh(x)                             slope 1 - value^2
//! GELU   x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2
//!                                            slope Phi(x) + x phi(x), kept in the forward pass
//! ```

use pulp::Simd;

use crate::elementary::{erf, exp, exp_m1_of_negative, tanh};
use crate::matrix::Matrix;

/// Nonlinearity between the layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Exponential linear unit.
    Elu,
    /// Rectified linear unit.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Gaussian error linear unit.
    Gelu,
}

impl Activation {
    /// Whether the slope must be kept because it does not follow from the value.
    pub(crate) fn keeps_slope(self) -> bool {
        self == Self::Gelu
    }

    /// Applies it to `values` in place; writes the slopes where asked for.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, values: &mut [S::f32s], slope: Option<&mut [f32]>) {
        let zero = simd.splat_f32s(0.0);
        match self {
            Self::Elu => {
                for value in values {
                    let x = *value;
                    let above = simd.greater_than_f32s(x, zero);
                    let below = exp_m1_of_negative(simd, simd.select_f32s(above, zero, x));
                    *value = simd.select_f32s(above, x, below);
                }
            }
            Self::Relu => {
                for value in values {
                    let below = simd.less_than_f32s(*value, zero);
                    *value = simd.select_f32s(below, zero, *value);
                }
            }
            Self::Tanh => {
                for value in values {
                    *value = tanh(simd, *value);
                }
            }
            Self::Gelu => {
                let half = simd.splat_f32s(0.5);
                let root = simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2);
                let phi = |x| simd.mul_add_e_f32s(half, erf(simd, simd.mul_f32s(x, root)), half);
                match slope {
                    None => {
                        for value in values {
                            *value = simd.mul_f32s(*value, phi(*value));
                        }
                    }
                    Some(slope) => {
                        let density = simd.splat_f32s(0.398_942_3);
                        let slope = S::as_mut_simd_f32s(slope).0;
                        for (value, slope) in values.iter_mut().zip(slope) {
                            let x = *value;
                            let phi = phi(x);
                            let square = simd.mul_f32s(simd.mul_f32s(x, x), half);
                            let gauss = exp(simd, simd.sub_f32s(zero, square));
                            let gauss = simd.mul_f32s(gauss, density);
                            *value = simd.mul_f32s(x, phi);
                            *slope = simd.mul_add_e_f32s(x, gauss, phi);
                        }
                    }
                }
            }
        }
    }
}

/// Where the slope of an activation comes from: its value, or the kept slope.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Slope<'a> {
    /// No activation: the slope is 1.
    One,
    /// From the values of ELU.
    Elu(&'a Matrix),
    /// From the values of ReLU.
    Relu(&'a Matrix),
    /// From the values of tanh.
    Tanh(&'a Matrix),
    /// Itself.
    Kept(&'a Matrix),
}

impl<'a> Slope<'a> {
    pub(crate) fn matrix(&self) -> Option<&'a Matrix> {
        match *self {
            Self::One => None,
            Self::Elu(kept) | Self::Relu(kept) | Self::Tanh(kept) | Self::Kept(kept) => Some(kept),
        }
    }

    /// `gradient` times the slope that belongs to `kept`.
    #[inline(always)]
    pub(crate) fn times<S: Simd>(&self, simd: S, gradient: S::f32s, kept: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        match self {
            Self::One => gradient,
            Self::Elu(_) => {
                let below = simd.mul_add_e_f32s(gradient, kept, gradient);
                simd.select_f32s(simd.greater_than_f32s(kept, zero), gradient, below)
            }
            Self::Relu(_) => simd.select_f32s(simd.greater_than_f32s(kept, zero), gradient, zero),
            Self::Tanh(_) => {
                let square = simd.mul_f32s(kept, kept);
                simd.sub_f32s(gradient, simd.mul_f32s(gradient, square))
            }
            Self::Kept(_) => simd.mul_f32s(gradient, kept),
        }
    }
}
