//! Times 10,000 events of each preset: `cargo run --release -p cei-physics --example throughput`.

#![allow(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::time::Instant;

use cei_physics::{Simulation, simulate};

const PRESETS: [(&str, &str); 3] = [
    ("ocs-reference", include_str!("../../../configs/data/ocs-reference.toml")),
    ("ocs-wide", include_str!("../../../configs/data/ocs-wide.toml")),
    ("chbrclf", include_str!("../../../configs/data/chbrclf.toml")),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const EVENTS: usize = 10_000;
    for (name, text) in PRESETS {
        let simulation: Simulation = toml::from_str(text)?;
        simulate(&simulation, 100, 0)?;
        let start = Instant::now();
        simulate(&simulation, EVENTS, 0)?;
        println!("{name}: {EVENTS} events in {:.3} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
