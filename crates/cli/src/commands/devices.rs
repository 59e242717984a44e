//! `cei devices`: what is compiled in and what is present, how many threads compute with which instructions, and how fast each device trains and draws.

use std::process::ExitCode;

use cei_model::DeviceStatus;
use cei_run::device_speed::{DeviceSpeed, time_device};
use cei_run::instructions::used;

use crate::args::DevicesArgs;
use crate::output;
use crate::threads::Threads;

pub(crate) fn run(args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    let devices = cei_model::devices_with_adapters();
    let threads = Threads::used();
    let mut speeds = Vec::new();
    if args.time {
        for name in devices.iter().flat_map(names) {
            speeds.push(time_device(&name)?);
        }
    }
    if args.format.json {
        let mut value =
            serde_json::json!({ "devices": devices, "threads": threads, "instructions": used() });
        if args.time {
            value["training"] = serde_json::to_value(&speeds)?;
        }
        output::json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = devices.into_iter().map(row).collect();
    let header = ["device", "what it is", "compiled in", "indices", "usable"];
    let table = output::table(&header, &rows);
    let threads = threads.in_words();
    output::to_stdout(&format!(
        "{table}\nwhat computes: {threads}\nvector instructions: {}",
        used()
    ));
    if args.time {
        let rows: Vec<Vec<String>> = speeds.iter().map(speed_row).collect();
        let header = ["device", "steps/s", "tensors that cross a step", "an epoch", "draws/s"];
        output::to_stdout(&format!("\n{}", output::table(&header, &rows)));
        output::to_stdout(&DeviceSpeed::what());
    }
    Ok(ExitCode::SUCCESS)
}

/// What the devices of a backend that can be used are asked for by.
fn names(device: &DeviceStatus) -> Vec<String> {
    match device.indices[..] {
        _ if device.missing.is_some() => Vec::new(),
        [_] => vec![device.name.to_owned()],
        ref many => many.iter().map(|index| format!("{}:{index}", device.name)).collect(),
    }
}

fn row(device: DeviceStatus) -> Vec<String> {
    let named = |index: &usize| match device.adapters.get(*index) {
        Some(adapter) => format!("{index}: {adapter}"),
        None => index.to_string(),
    };
    let indices: Vec<String> = device.indices.iter().map(named).collect();
    let usable = match device.missing {
        Some(missing) => format!("no: {missing}"),
        None => "yes".to_owned(),
    };
    let compiled_in = if device.compiled_in { "yes" } else { "no" };
    let row = [device.name, device.description, compiled_in].map(str::to_owned);
    row.into_iter().chain([indices.join("\n"), usable]).collect()
}

fn speed_row(speed: &DeviceSpeed) -> Vec<String> {
    vec![
        speed.device.clone(),
        output::number(speed.steps_per_second, 3),
        output::number(speed.crossings_a_step, 3),
        output::number(speed.crossings_an_epoch, 3),
        output::number(speed.draws_per_second, 3),
    ]
}
