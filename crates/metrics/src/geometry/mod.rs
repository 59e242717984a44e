//! Errors that no choice of origin or frame can change: bond lengths, angles, and displacements
//! after the best rigid motion.

pub(crate) mod internal;
pub(crate) mod procrustes;
pub(crate) mod scores;
