//! The forward model: positions of point charges to their momenta at infinite time.
//!
//! `dx_i/dt = p_i / m_i`, `dp_i/dt = sum_j q_i q_j (x_i - x_j) / r_ij^3`, integrated in f64 by
//! DOP853 (`tableau`). The charges are constant, or functions of time ([`crate::charging`]); these have a path of
//! their own in the lanes (`convoy::charging`).
//!
//! Events whose ions all repel each other are integrated many at once, one in each lane of a SIMD register,
//! in a regularised time (`convoy`); all others, and those that take too many steps there, one by one
//! in physical time (`scalar`). Both measure the error of a step by [`Accuracy::tolerance`] and end
//! where, for every interacting pair, the ions recede and the pair's potential energy is below
//! [`Accuracy::tail`] times the kinetic energy of its relative motion.
//!
//! The impulse from there to infinity is added in closed form along straight lines,
//! `q_i q_j (r + w) / (R W (1 + r.w))` with unit vectors `r`, `w` of the relative position and velocity
//! and their lengths `R`, `W`. What that leaves out is of order `tail^2` of the momentum.
//!
//! Nothing is rescaled to the energy (`docs/spec.md#forward-model`).

mod accuracy;
mod convoy;
mod directions;
mod dop853;
mod error;
mod exploder;
mod in_steps;
mod ions;
mod jacobian;
mod own;
mod scalar;
mod scales;
mod sequential;
mod simd;
mod tableau;

pub use accuracy::{Accuracy, Mode};
pub use error::ExplosionError;
pub(crate) use exploder::{CHUNK, Given};
pub use exploder::{Exploder, explode, explode_all};
pub use jacobian::{Varied, explode_linearised};
pub use simd::leave_avx_512;
