//! The distribution of geometries in a sample, from the posteriors of all its events at once.
//!
//! Posteriors of single events, stacked, are broader than the sample: each has the width of its own uncertainty, and
//! leans towards the law that it was inferred with. What the sample looks like is a question about all events together.
//!
//! # Notation
//! ```text
//! x_ik              draw k of event i from p(x | y_i), the posterior with the training law p_0 as its prior
//! q(x)              quantities in which the sample may differ from the training law (m numbers)
//! k_j(q)            a normal density of standard deviations h about a support c_j
//! f(q)              = sum_j a_j k_j(q),   a_j >= 0, sum a_j = 1;   f(x) = p_0(x) f(q(x)) / p_0(q(x))
//! L_i = p(y_i | f) / p(y_i | p_0) = sum_j a_j C_ij,   C_ij = mean over k of k_j(q(x_ik)) / p_0(q(x_ik))
//! ```
//! What is not among the quantities keeps the law that it has at given quantities in training. The weights `a` are those
//! of largest likelihood `prod_i L_i` (nonparametric maximum likelihood: Laird, J. Am. Stat. Assoc. 73, 805 (1978)), the
//! width is chosen by cross-validation, and bands come from samples of the events drawn anew.
//!
//! | in | is |
//! | --- | --- |
//! | `bumps` | `k_j` and `C` |
//! | `likelihood` | the weights of largest likelihood |
//! | `fit` | supports, width, bootstrap |
//! | `marginal` | the distribution of any number that a geometry has |

mod bumps;
mod error;
mod fit;
mod likelihood;
mod marginal;

pub use error::PopulationError;
pub use fit::{Population, PopulationOptions, Sample, WidthTried, fit};
pub use marginal::{Marginal, Moments, stacked};
