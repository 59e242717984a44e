//! Explosions of given geometries, and whole simulations of them, in both modes.

use std::error::Error;

use cei_physics::{Accuracy, explode_all, simulate};
use cei_run::presets;

use crate::Clock;

const EVENTS: usize = 16_384;

pub(crate) fn time(clock: &Clock) -> Result<(), Box<dyn Error>> {
    let mut simulation = presets::simulation("ocs-reference")?;
    let positions = simulate(&simulation, EVENTS, 0)?.positions;
    for (name, accuracy) in [("OCS, default", Accuracy::default()), ("OCS, fast", Accuracy::fast())]
    {
        clock.time("explosions", name, EVENTS, || {
            explode_all(&simulation.molecule, positions.view(), &accuracy)
        });
        simulation.accuracy = accuracy;
        clock.time("simulation", name, EVENTS, || simulate(&simulation, EVENTS, 0));
    }
    Ok(())
}
