//! What is known of the origin of a table.

use cei_physics::{Detector, Simulation};

/// What is known of the origin of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The simulation that made it, or makes it.
    pub simulation: Option<Simulation>,
    /// The noise with which its momenta were measured.
    pub detector: Option<Detector>,
}
