//! `cei log-prob`: the exact log-density of every row of a table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cei_data::{Copies, TableWriter, header};
use cei_files::check_outputs;
use cei_metrics::number;
use cei_run::folder::layout::HISTORY;
use cei_run::log_prob::{LogProbs, columns, log_prob_of_file};
use serde::Serialize;

use crate::args::LogProbArgs;
use crate::commands::{of_shard, tell_remarks};
use crate::output::{self, say_how_read, to_stderr, to_stdout};

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    rows: usize,
    d_eff: usize,
    #[serde(with = "number")]
    mean_log_prob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trained_on: Option<Copies>,
    event: Vec<u64>,
    #[serde(with = "number")]
    log_prob: Vec<f64>,
}

pub(crate) fn run(args: &LogProbArgs) -> anyhow::Result<ExitCode> {
    tell_remarks(&args.trained.run)?;
    let table = args.later.table(&args.files);
    let shard = args.part.shard()?;
    if let Some(output) = &args.output {
        let mut inputs = table.resolve()?;
        inputs.push(args.trained.run.join(HISTORY));
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        check_outputs(&inputs, &[output])?;
    }
    // A file that cannot be written is told before anything is computed.
    let header = header(&columns(Vec::new(), Vec::new()));
    let writer = args.output.as_ref().map(|path| TableWriter::create(path, &header)).transpose()?;
    let result = log_prob_of_file(&args.trained.run, &table, shard, args.compute.open()?)?;
    say_how_read(&result.readings);
    warn(&result);
    let LogProbs { values, rows: range, record, of, d_eff, dropped, trained_on, .. } = result;
    let rows = values.len();
    let events = dropped.kept(of)[range].to_vec();
    let mean = values.iter().sum::<f64>() / rows as f64;
    if let Some(mut writer) = writer {
        let columns = columns(events.clone(), values.clone());
        writer.write(columns.into_iter().map(|(_, data)| data).collect())?;
        let table = writer.complete()?;
        match (record, &args.output) {
            (Some(record), Some(path)) => record.commit(path, table)?,
            _ => table.commit()?,
        }
    }
    if args.format.json {
        output::json(&Summary {
            rows,
            d_eff,
            mean_log_prob: mean,
            trained_on,
            event: events,
            log_prob: values,
        })?;
    } else if let Some(path) = &args.output {
        to_stdout(&format!(
            "log p(x | y) of {rows} rows{} written to `{}`; mean {mean:.4} nats, a density in {d_eff} dimensions (bohr)",
            of_shard(shard),
            path.display()
        ));
    } else {
        to_stdout(&header.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(","));
        for (event, value) in events.iter().zip(&values) {
            to_stdout(&format!("{event},{value}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn warn(result: &LogProbs) {
    if result.dropped.rows > 0 {
        to_stderr(&format!("warning: {}", result.dropped));
    }
    if let Some(warning) = result.warning() {
        to_stderr(&format!("warning: {warning}"));
    }
    let off = &result.off;
    if off.dead_x + off.constraints + off.dead_y > 0 {
        to_stderr(&format!(
            "warning: rows do not obey what was constant in training: {} in a position column, {} in a linear constraint of the positions, {} in a momentum column; their density is that of the nearest row that does\nhint: is the table in the frame of the training table?",
            off.dead_x, off.constraints, off.dead_y
        ));
    }
}
