//! `cei config`: a complete resolved configuration, every default written out, or the reference of all keys.

use std::process::ExitCode;

use cei_physics::Simulation;
use cei_run::Experiment;
use cei_run::config::reference::reference;
use cei_run::config::{parse_in_folder, parse_with_overrides, to_toml};
use cei_run::presets;

use crate::args::ConfigArgs;
use crate::output::to_stdout;

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.reference {
        to_stdout(reference().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let given = &args.configuration;
    let (text, origin) = (given.text(presets::find_any)?, given.origin());
    // An experiment has a model; what has none is a simulation.
    let table: toml::Table = parse_with_overrides(&text, &origin, &given.overrides)?;
    let resolved = if table.contains_key("model") {
        Experiment::parse(&text, &origin, &given.overrides)?.to_toml()
    } else {
        let simulation: Simulation =
            parse_in_folder(&text, &origin, given.folder(), &given.overrides)?;
        to_toml(&simulation)
    };
    to_stdout(resolved.trim_end());
    Ok(ExitCode::SUCCESS)
}
