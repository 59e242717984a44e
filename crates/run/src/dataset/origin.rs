//! Where the events of an experiment come from, and how they were measured.

use cei_physics::Simulation;

use super::sidecar::simulation_of;
use crate::config::simulation_by_name;
use crate::folder::Origin;
use crate::{Experiment, RunError};

impl Origin {
    /// As declared by an experiment and by what stands beside its files. Noise and efficiency are those of the
    /// experiment, or else of the simulation.
    ///
    /// # Errors
    /// A simulation that is unknown, unreadable or of another molecule than the experiment; a detector that
    /// does not fit the molecule.
    pub fn of(experiment: &Experiment) -> Result<Self, RunError> {
        let (molecule, source) = (experiment.molecule.as_ref(), &experiment.source);
        if source.simulator.is_some() && !source.files.is_empty() {
            return Err(RunError::TwoSources);
        }
        if source.simulator.is_none() && source.events_per_epoch.is_some() {
            return Err(RunError::EventsWithoutSimulator);
        }
        let mut simulation = match &experiment.source.simulator {
            Some(name) => Some(simulator(experiment, name)?),
            None => simulation_of(&experiment.source.resolve()?)?
                .filter(|made| molecule == Some(&made.molecule)),
        };
        let simulated = simulation.as_ref().map(|simulation| &simulation.detector);
        let declared = experiment.detector.as_ref().map(|declared| declared.over(simulated));
        let detector = declared.or(simulated.cloned());
        if let Some(detector) = &detector {
            let molecule = molecule.ok_or(RunError::DetectorWithoutMolecule)?;
            detector.standard_deviations(molecule)?;
            detector.detection(molecule)?;
            if let (Some(simulation), Some(_)) = (&mut simulation, &experiment.source.simulator) {
                // What simulates during the training also measures as declared.
                simulation.detector = detector.clone();
            }
        }
        Ok(Self { simulation, detector })
    }
}

/// The simulation named by `source.simulator`.
fn simulator(experiment: &Experiment, name: &str) -> Result<Simulation, RunError> {
    let simulation = simulation_by_name(name)?;
    simulation.check()?;
    if simulation.geometry.is_none() {
        return Err(RunError::NoGeometry);
    }
    match &experiment.molecule {
        Some(molecule) if *molecule == simulation.molecule => Ok(simulation),
        _ => Err(RunError::SimulatorMolecule { name: name.to_owned() }),
    }
}
