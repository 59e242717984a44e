//! A trained run, and what it gives for momenta.

pub mod draws;
