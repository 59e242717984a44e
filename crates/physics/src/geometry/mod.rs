//! Geometry laws: the distributions that a molecule's shape just before the explosion is drawn from; a file a law.

mod error;
mod gaussian;
mod harmonic;
mod internal;
mod law;
mod placing;
mod positions;
mod row;
mod sphere;
mod tree;
mod triatomic;

pub use error::ImpossibleGeometry;
pub use gaussian::Displacements;
pub(crate) use gaussian::Gaussian;
pub(crate) use harmonic::Harmonic;
pub use harmonic::{Statistics, Vibrations};
pub use internal::InternalLaw;
pub(crate) use internal::{AngleLaw, DihedralLaw, InternalCoordinates, Step};
pub use law::GeometryLaw;
pub(crate) use law::ResolvedLaw;
#[cfg(test)]
pub(crate) use placing::Internal;
pub use positions::Positions;
pub(crate) use row::translate;
pub(crate) use sphere::{Sphere, is_separated, point_in_unit_ball};
pub use triatomic::Bond;
pub(crate) use triatomic::{Angle, Triatomic};
