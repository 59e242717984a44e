//! What is known of the origin of a table.

use cei_physics::{Detection, Detector, Molecule, Simulation};

/// What is known of the origin of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The simulation that made it, or makes it.
    pub simulation: Option<Simulation>,
    /// What its momenta were measured with.
    pub detector: Option<Detector>,
}

impl Origin {
    /// Which ions of `molecule` are detected is drawn by this; none where all are, or nothing is known of it.
    pub(crate) fn detection(&self, molecule: Option<&Molecule>) -> Option<Detection> {
        // What declares a detector has checked that it fits the molecule.
        self.detector.as_ref()?.detection(molecule?).ok().flatten()
    }

    /// Of each ion of `molecule`, whether it may be missing; empty where none may.
    #[must_use]
    pub fn may_miss(&self, molecule: Option<&Molecule>) -> Vec<bool> {
        self.detection(molecule).map(|detection| detection.may_miss()).unwrap_or_default()
    }
}
