//! Geometries that cannot be drawn.

use crate::distribution::MAX_REDRAWS;

/// A condition of the geometry law was not met in 100,000 draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no geometry fulfilled `{key}` in {MAX_REDRAWS} draws\nhint: the law asks for what (almost) never happens"
)]
pub struct ImpossibleGeometry {
    /// The key of the condition.
    pub key: &'static str,
}
