//! Geometry laws: the distributions that a molecule's shape just before the explosion is drawn from; a file a law.

mod error;
mod gaussian;
mod harmonic;
mod law;
mod row;
mod sphere;
mod triatomic;

pub use error::ImpossibleGeometry;
pub(crate) use gaussian::Gaussian;
pub(crate) use harmonic::Harmonic;
pub use harmonic::{Statistics, Vibrations};
pub use law::GeometryLaw;
pub(crate) use law::ResolvedLaw;
pub(crate) use row::translate;
pub(crate) use sphere::{Sphere, is_separated, point_in_unit_ball};
pub use triatomic::Bond;
pub(crate) use triatomic::{Angle, Triatomic};
