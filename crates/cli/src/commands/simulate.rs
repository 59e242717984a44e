//! `cei simulate`: a table of positions and momenta.

use std::process::ExitCode;

use cei_data::MotionOptions;
use cei_files::check_outputs;
use cei_model::Team;
use cei_physics::Simulation;
use cei_run::config::{parse_in_folder, with_overrides};
use cei_run::presets::{SIMULATIONS, find};
use cei_run::simulate::{Geometries, SimulateOptions, estimate_simulation, simulate_in_team};

use crate::args::{SimulateArgs, column_refs};
use crate::commands::of_shard;
use crate::estimate;
use crate::output::{self, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &SimulateArgs, team: &Team) -> anyhow::Result<ExitCode> {
    let given = &args.configuration;
    let text = given.text(|name| find(SIMULATIONS, name))?;
    let mut simulation: Simulation =
        parse_in_folder(&text, &given.origin(), given.folder(), &given.overrides)?;
    simulation.events = args.events.unwrap_or(simulation.events);
    simulation.seed = args.seed.unwrap_or(simulation.seed);
    let geometries = match &args.positions {
        None => Geometries::Law,
        Some(path) => Geometries::File {
            path: path.clone(),
            unit: args.position_unit.clone(),
            motion: MotionOptions {
                columns: column_refs(&args.motion_columns),
                unit: args.motion_unit.clone(),
                at_rest: args.at_rest,
            },
            reading: args.reading.options(false),
        },
    };
    if let Some(config) = &given.config {
        // A table may be made anew from what stands beside it.
        check_outputs(&[config], &[&args.output])?;
    }
    let of_configuration = |error: cei_run::RunError| {
        if args.positions.is_some() {
            return error;
        }
        error.of_configuration(&with_overrides(&given.origin(), &given.overrides))
    };
    let options =
        SimulateOptions { initial_momenta: args.initial_momenta, shard: args.part.shard()? };
    if args.trial.dry_run {
        let estimate = estimate_simulation(&simulation, &geometries, &options, &args.output);
        estimate::tell(&estimate.map_err(of_configuration)?, args.format.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = RowProgress::new("simulating", "events", args.progress.quiet || !team.leads());
    let show = |done, total| progress.show(done, total);
    let result = simulate_in_team(&simulation, &geometries, &options, team, &args.output, show);
    progress.clear();
    let Some(table) = result.map_err(of_configuration)? else { return Ok(ExitCode::SUCCESS) };
    table.remarks.iter().for_each(|remark| output::to_stderr(remark));
    if args.format.json {
        output::json(&table)?;
    } else if !args.progress.quiet {
        to_stdout(&format!(
            "{} events{} written to `{}`; how they were made stands in `{}`",
            table.events,
            of_shard(table.shard),
            table.path.display(),
            table.configuration.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
