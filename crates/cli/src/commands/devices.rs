//! `cei devices`: what is compiled in and what is present.

use std::process::ExitCode;

use crate::args::FormatArgs;
use crate::output;

pub(crate) fn run(args: &FormatArgs) -> anyhow::Result<ExitCode> {
    let devices = cei_model::devices();
    if args.json {
        output::json(&serde_json::json!({ "devices": devices }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = devices
        .into_iter()
        .map(|device| {
            let indices: Vec<String> = device.indices.iter().map(usize::to_string).collect();
            let usable = match device.missing {
                Some(missing) => format!("no: {missing}"),
                None => "yes".to_owned(),
            };
            let compiled_in = if device.compiled_in { "yes" } else { "no" };
            let row = [device.name, device.description, compiled_in].map(str::to_owned);
            row.into_iter().chain([indices.join(", "), usable]).collect()
        })
        .collect();
    let header = ["device", "what it is", "compiled in", "indices", "usable"];
    output::to_stdout(&output::table(&header, &rows));
    Ok(ExitCode::SUCCESS)
}
