//! Explosions of given geometries, and whole simulations, at three accuracies.

use std::error::Error;

use cei_physics::{Accuracy, explode_all, simulate};
use cei_run::config::preset_simulation;
use cei_run::presets::OCS_REFERENCE;

use crate::Clock;

const EVENTS: usize = 16_384;

pub(crate) fn time(clock: &Clock) -> Result<(), Box<dyn Error>> {
    let mut simulation = preset_simulation(OCS_REFERENCE.name)?;
    let positions = simulate(&simulation, EVENTS, 0)?.positions;
    let between = Accuracy { tolerance: 4e-9, tail: 1e-5, ..Accuracy::default() };
    for (name, accuracy) in [
        ("OCS, default", Accuracy::default()),
        ("OCS, tolerance 4e-9, tail 1e-5", between),
        ("OCS, fast", Accuracy::fast()),
    ] {
        clock.time("explosions", name, EVENTS, || {
            explode_all(&simulation.molecule, positions.view(), &accuracy)
        });
        simulation.accuracy = accuracy;
        clock.time("simulation", name, EVENTS, || simulate(&simulation, EVENTS, 0));
    }
    Ok(())
}
