//! `cei devices`: what is compiled in and what is present, and how many threads compute.

use std::process::ExitCode;

use crate::args::FormatArgs;
use crate::output;
use crate::threads::Threads;

pub(crate) fn run(args: &FormatArgs) -> anyhow::Result<ExitCode> {
    let devices = cei_model::devices();
    let threads = Threads::used();
    if args.json {
        output::json(&serde_json::json!({ "devices": devices, "threads": threads }))?;
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
    let table = output::table(&header, &rows);
    output::to_stdout(&format!("{table}\nwhat computes: {}", threads.in_words()));
    Ok(ExitCode::SUCCESS)
}
