//! Coulomb explosion forward model: molecules, geometry laws, trajectories, frames, detector noise.
