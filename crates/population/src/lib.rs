//! The distribution of geometries in a sample, from the posteriors of all its events at once.
//!
//! Posteriors of single events, stacked, are broader than the sample: each has the width of its own uncertainty, and
//! leans towards the law that it was inferred with. What the sample looks like is a question about all events together.
//!
//! # Notation
//! ```text
//! x_ik     draw k of event i from p(x | y_i), the posterior with the training law p_0 as its prior
//! q(x)     quantities in which the sample may differ from the training law (m numbers)
//! f(q)     = sum_j a_j N(q; mu_j, S_j),   S_j = h^2 + A_j A_j^T;      f(x) = p_0(x) f(q(x)) / p_0(q(x))
//! L_i      = p(y_i | f) / p(y_i | p_0) = mean over k of w_ik,         w_ik = f(q(x_ik)) / p_0(q(x_ik))
//! l(f)     = sum_i n_i (log L_i + (sum_k r_ik^2 - 1 / K) / 2),        r_ik = w_ik / sum_k w_ik
//! ```
//! What is not among the quantities keeps the law that it has at given quantities in training. `f` has the largest
//! likelihood in a stated smooth family, mixtures of normal laws none of which is narrower than `h` (the sieve of
//! D. M. Titterington and others; with `h` alone, L. S. Magder and S. L. Zeger, J. Am. Stat. Assoc. 91, 1141 (1996); with
//! draws in the place of normal errors it is the extreme deconvolution of J. Bovy and others, Ann. Appl. Stat. 5, 1657 (2011)).
//! Their number is that of the least BIC. Bands come from samples of the events drawn anew.
//!
//! The second term of `l` takes out what the logarithm of a mean of few draws is too small by: half its relative variance.
//! That is largest where few draws hold the weight, so that without it a narrow population comes out too broad.
//! Its slope is that of the first term with `r (1 + r - sum r^2)` in the place of `r`.
//!
//! | in | is |
//! | --- | --- |
//! | `points` | draws made ready: units, mirror images at limits, draws that occur more than once |
//! | `laws` | normal laws and their parameters |
//! | `likelihood` | `l` and its slope |
//! | `block` | numbers of draws side by side |
//! | `ascent` | the parameters of the largest `l` |
//! | `fit` | number of laws, bootstrap |
//! | `marginal` | the distribution of one quantity |
//! | `density` | the density at a row of all |

mod ascent;
mod block;
mod density;
mod error;
mod fit;
mod laws;
mod likelihood;
mod marginal;
mod points;

pub use density::PopulationDensity;
pub use error::PopulationError;
pub use fit::{NumberTried, Population, PopulationOptions, fit};
pub use laws::NormalLaw;
pub use marginal::{HiddenPeak, Interval, Marginal, stacked};
pub use points::Sample;
