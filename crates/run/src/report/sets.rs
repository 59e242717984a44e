//! Sets of momenta that are compared.

use cei_report::page::Style;
use ndarray::Array2;

/// A set of momenta.
pub(super) struct Momenta {
    /// Its name in legends and sentences, in the plural.
    pub(super) name: String,
    /// Rows x 3N, a.u.
    pub(super) rows: Array2<f64>,
    /// What it looks like.
    pub(super) style: Style,
}
