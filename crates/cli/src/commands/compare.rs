//! `cei compare`: runs side by side, with baselines and floors.

use std::collections::BTreeSet;
use std::process::ExitCode;

use cei_run::compare::{ComparisonGroup, ComparisonRow, compare_runs};
use cei_run::folder::layout::RECORD;

use crate::args::CompareArgs;
use crate::commands::tell_remarks;
use crate::output::{self, optional, to_stdout};

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let groups = compare_runs(&args.runs)?;
    // An evaluation may be kept without its model.
    for run in args.runs.iter().filter(|run| run.join(RECORD).exists()) {
        tell_remarks(run)?;
    }
    if args.format.json {
        output::json(&serde_json::json!({ "groups": groups }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            to_stdout("");
        }
        to_stdout(&describe(group));
    }
    if groups.len() > 1 {
        to_stdout(
            "\nruns of different tables, rows or frames stand in different tables: their numbers do not compare",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(group: &ComparisonGroup) -> String {
    let head =
        format!("{} rows of {}; positions {}", group.rows, group.files.join(", "), group.frame);
    let quantities = |pick: fn(&ComparisonRow) -> Vec<String>| -> Vec<String> {
        group.lines.iter().flat_map(pick).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let bonds = quantities(|line| {
        line.gauge_free.iter().flat_map(|g| g.bond_length_rmse_pm.keys().cloned()).collect()
    });
    let angles = quantities(|line| {
        line.gauge_free.iter().flat_map(|g| g.angle_rmse_deg.keys().cloned()).collect()
    });
    let mut header: Vec<String> =
        ["", "MSE mean", "MSE draw"].into_iter().map(str::to_owned).collect();
    header.extend(bonds.iter().map(|bond| format!("{bond} pm")));
    header.extend(angles.iter().map(|angle| format!("{angle} deg")));
    header.extend(["coverage 90 %", "CRPS", "re-sim. a.u.", "NLL", "d"].map(str::to_owned));
    let rows: Vec<Vec<String>> = group
        .lines
        .iter()
        .map(|line| {
            let gauge_free = line.gauge_free.as_ref();
            let bond = |name: &String| gauge_free.and_then(|g| g.bond_length_rmse_pm.get(name));
            let angle = |name: &String| gauge_free.and_then(|g| g.angle_rmse_deg.get(name));
            let mut row = vec![
                line.name.clone(),
                optional(Some(line.mse_mean), 4),
                optional(line.mse_draw, 4),
            ];
            row.extend(bonds.iter().map(|name| optional(bond(name).copied(), 3)));
            row.extend(angles.iter().map(|name| optional(angle(name).copied(), 3)));
            row.extend([
                line.coverage_90.map_or_else(String::new, |c| format!("{:.1} %", 100.0 * c)),
                optional(line.crps, 3),
                optional(line.resimulation, 3),
                optional(line.nll, 4),
                line.d_eff.map_or_else(String::new, |d| d.to_string()),
            ]);
            row
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut text = format!("{head}\n{}", output::table(&header, &rows));
    text.push_str(
        "\nMSE in squared raw units, of the posterior mean and of one draw; bonds and angles are RMSE of the mean over draws; CRPS is the fair estimator (others divide by m^2: 1 + 1/m times as high); NLL in nats per event, a density in d dimensions",
    );
    if let Some(conflict) = &group.nll_not_comparable {
        text.push_str(&format!("\nwarning: {conflict}"));
    }
    text
}
