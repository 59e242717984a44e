//! `cei calibrate`: whether the posterior of a run is as wide as it says, test by test.

use std::process::ExitCode;

use cei_model::Team;
use cei_run::calibrate::{
    CalibrateOptions, Calibration, DetectedTests, QuantityTest, RegionTest, calibrate_in_team,
};
use cei_run::folder::layout::{CALIBRATION, FIGURES};
use cei_run::trained::detected_in_words;

use crate::args::CalibrateArgs;
use crate::commands::{tell_remarks, told};
use crate::output::{self, number, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &CalibrateArgs, team: &Team) -> anyhow::Result<ExitCode> {
    if team.leads() {
        tell_remarks(&args.trained.run)?;
    }
    let options = CalibrateOptions {
        events: args.events,
        draws: args.draws,
        seed: args.random.seed,
        level: args.level,
        refine: args.refine,
        charges_known: !args.unknown_charges,
        folder: args.output.clone(),
    };
    let device = args.compute.open()?;
    let quiet = args.progress.quiet || !team.leads();
    let progress = RowProgress::new("calibrating", "events", quiet);
    let show = |done, total| progress.show(done, total);
    let result = calibrate_in_team(&args.trained.run, &options, device, team, show);
    progress.clear();
    let Some(calibration) = result? else { return Ok(ExitCode::SUCCESS) };
    if let Some(warning) = calibration.warning() {
        to_stderr(&format!("warning: {warning}"));
    }
    if args.format.json {
        output::json(&calibration)?;
    } else {
        to_stdout(&describe(&calibration));
    }
    if !args.format.json && calibration.not_kept.is_none() {
        let folder = args.output.as_ref().unwrap_or(&args.trained.run).display();
        to_stderr(&format!(
            "tests are in `{folder}/{CALIBRATION}`, figures in `{folder}/{FIGURES}`"
        ));
    }
    told(calibration.not_kept.as_ref(), args.output.is_some())
}

fn describe(calibration: &Calibration) -> String {
    let Calibration { model, events, draws, level, tests, .. } = calibration;
    let regions: Vec<&RegionTest> = tests.hdr.iter().chain([&tests.tarp]).collect();
    let all = tests.sbc.iter().chain(regions.iter().map(|region| &region.test));
    let rows: Vec<Vec<String>> = all.map(row).collect();
    let header = ["ranks of the truth", "p (ECDF)", "p (chi-square)", "bias", "spread", "verdict"];
    let refined = if calibration.refined { "refined " } else { "" };
    let outside = calibration.outside_model.map_or_else(String::new, |outside| {
        format!("; {outside} events are outside the model, their draws the network's")
    });
    let mut text = format!(
        "{model}: {events} test events, {draws} {refined}draws each{outside}\n\n{}\n",
        output::table(&header, &rows)
    );
    for region in regions {
        let coverage: Vec<String> = (region.coverage.iter())
            .filter_map(|(level, hits)| {
                let nominal: f64 = level.parse().ok()?;
                let error = region.coverage_standard_error.get(level).copied().unwrap_or(0.0);
                Some(format!(
                    "{:.1} ± {:.1} at {:.0} %",
                    100.0 * hits,
                    100.0 * error,
                    100.0 * nominal
                ))
            })
            .collect();
        text.push_str(&format!(
            "\ncoverage (%), {}: {}",
            region.test.quantity,
            coverage.join(", ")
        ));
    }
    if !calibration.by_detected.is_empty() {
        text.push_str(&format!("\n\n{}", by_detected(calibration)));
    }
    let joint = &calibration.joint_c2st;
    text.push_str(&format!(
        "\na classifier tells draws from the truth, momenta given, in {:.1} ± {:.1} % (50: not at all)",
        100.0 * joint.accuracy,
        100.0 * joint.standard_error
    ));
    let rate = number(100.0 * level, 2);
    text.push_str(&format!(
        "\np-values are adjusted for their number (Holm): an exact posterior fails each of the families, quantities, highest-density regions and TARP, with a probability of at most {rate} %\n{}",
        if calibration.pass { "pass: nothing says that the posterior is not calibrated" } else { "fail: the posterior is not calibrated" }
    ));
    text
}

/// The same tests of events by the ions that were detected.
fn by_detected(calibration: &Calibration) -> String {
    let row = |set: &DetectedTests| {
        let words = detected_in_words(set.ions, set.missing.as_deref());
        let (least, verdict) = match &set.tests {
            None => (String::new(), "not tested: too few events".to_owned()),
            Some(tests) => {
                let regions = tests.hdr.iter().chain([&tests.tarp]).map(|region| &region.test);
                let all: Vec<&QuantityTest> = tests.sbc.iter().chain(regions).collect();
                let least = |p: f64, test: &&QuantityTest| {
                    p.min(test.ecdf_p_adjusted).min(test.chi_square_p_adjusted)
                };
                let failed: Vec<&str> = all
                    .iter()
                    .filter(|test| !test.pass)
                    .map(|test| test.quantity.as_str())
                    .collect();
                let verdict = match failed.is_empty() {
                    true => "pass".to_owned(),
                    false => format!("fail: {}", failed.join(", ")),
                };
                (number(all.iter().fold(1.0, least), 2), verdict)
            }
        };
        vec![words, set.events.to_string(), least, verdict]
    };
    let rows: Vec<Vec<String>> = calibration.by_detected.iter().map(row).collect();
    output::table(&["detected ions", "events", "least p", "verdict"], &rows)
}

fn row(test: &QuantityTest) -> Vec<String> {
    vec![
        test.quantity.clone(),
        number(test.ecdf_p_adjusted, 2),
        number(test.chi_square_p_adjusted, 2),
        format!("{:+.3}", test.ranks.bias),
        format!("{:.3}", test.ranks.spread),
        test.verdict.clone(),
    ]
}
