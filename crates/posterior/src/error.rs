//! What can be wrong with a refinement before it begins; nothing here depends on the event's numbers.

use cei_physics::{DensityError, ExplosionError};

/// A refinement that cannot be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PosteriorError {
    /// Two things that must agree in size do not.
    #[error("{what}: found {found}, expected {expected}")]
    Size {
        /// What has the wrong size.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The size that it should have.
        expected: usize,
    },
    /// A number is NaN or infinite, or out of its range.
    #[error("{what} {index}: `{value}` is out of range, expected {expected}")]
    Value {
        /// What the number is, for example `noise of component`.
        what: &'static str,
        /// Its place.
        index: usize,
        /// The number.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// Some components are measured with noise, others without.
    #[error(
        "component {index} is declared free of noise, others are not\n\
         hint: declare noise for all momentum components, or for none"
    )]
    PartlyNoiseFree {
        /// The first component without noise.
        index: usize,
    },
    /// The rows of a chart's basis are not orthonormal.
    #[error(
        "rows {first} and {second} of the chart's basis have the product {product}, expected {expected}"
    )]
    NotOrthonormal {
        /// The one row.
        first: usize,
        /// The other row.
        second: usize,
        /// Their scalar product.
        product: f64,
        /// 1 for a row with itself, else 0.
        expected: f64,
    },
    /// The prior's density and the chart do not have the same dimension.
    #[error(
        "the chart has {chart} dimensions, the density of the geometry law {density}: there is no density \
         per unit volume of the chart\nhint: the model's positions must span what the simulation draws"
    )]
    Dimension {
        /// Dimensions of the chart.
        chart: usize,
        /// Dimensions of the density.
        density: usize,
    },
    /// The geometry law has no density.
    #[error(transparent)]
    Density(#[from] DensityError),
    /// The forward model refuses its configuration.
    #[error(transparent)]
    Explosion(#[from] ExplosionError),
}
