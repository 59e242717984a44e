//! `cei config`: a complete resolved configuration, every default written out, the reference of all keys, or drafts for
//! a file of momenta.

use std::process::ExitCode;

use cei_physics::Simulation;
use cei_run::Experiment;
use cei_run::config::reference::reference;
use cei_run::config::{parse_in_folder, parse_with_overrides, to_toml};
use cei_run::draft::{DraftOptions, draft_to_folder};
use cei_run::presets;

use crate::args::{ConfigArgs, column_refs};
use crate::output::{to_stderr, to_stdout};

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.reference {
        to_stdout(reference().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if !args.draft.from.is_empty() {
        return draft(args);
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

fn draft(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let draft = &args.draft;
    let options = DraftOptions {
        files: draft.from.clone(),
        reading: args.reading.options(false),
        ions: draft.ions.clone(),
        charges: draft.charges.clone(),
        columns: column_refs(&draft.columns),
        unit: draft.unit.clone(),
        geometry: draft.geometry.clone(),
        sums: args.sums.options(),
        simulation: String::new(),
    };
    let folder = draft.folder.clone().unwrap_or_default();
    let ([simulation, experiment], remarks) = draft_to_folder(&options, &folder)?;
    remarks.iter().for_each(|remark| to_stderr(&format!("remark: {remark}")));
    let quoted = cei_files::quoted;
    to_stdout(&format!(
        "`{}` and `{}` are drafts: look at geometry, charges and noise, then\n  cei train --config {} -o {}\n  cei predict {} {}{} --refine -o {} --summary {}",
        simulation.display(),
        experiment.display(),
        quoted(&experiment),
        quoted(&folder.join("run")),
        quoted(&folder.join("run")),
        draft.from.iter().map(|file| quoted(file.as_ref())).collect::<Vec<_>>().join(" "),
        args.sums.typed(),
        quoted(&folder.join("draws.parquet")),
        quoted(&folder.join("summary.csv")),
    ));
    Ok(ExitCode::SUCCESS)
}
