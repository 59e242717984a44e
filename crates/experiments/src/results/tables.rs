//! The tables of results: of RESULTS.md one by one, and of README. A dash stands where the kind of model has no
//! such value; a value that is missing from the files of a run is an error.

use anyhow::Context as _;
use cei_metrics::COVERAGE_LEVELS;
use cei_metrics::results::GaugeFreeErrors;
use cei_run::config::ModelConfig;
use cei_run::presets::{OCS_REFERENCE, OCS_WIDE, Preset};

use super::finished::{Finished, Likelihood};
use crate::pipeline::PROPOSAL;

/// What does not exist.
const DASH: &str = "–";

/// The runs of the tables, by the events that they were trained on.
pub(super) struct Groups<'a> {
    pub(super) reference: Vec<&'a Finished>,
    pub(super) fixed: Vec<&'a Finished>,
    pub(super) wide: Vec<&'a Finished>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(finished: &'a [Finished]) -> Self {
        let group = |data: Preset, prefix: &str| {
            let belongs = |f: &&Finished| f.run.data == data && f.run.name.starts_with(prefix);
            finished.iter().filter(belongs).collect()
        };
        Self {
            reference: group(OCS_REFERENCE, "reference"),
            fixed: group(OCS_REFERENCE, "gauge-fixed"),
            wide: group(OCS_WIDE, "wide"),
        }
    }
}

fn number(value: f64, decimals: usize) -> String {
    if value != 0.0 && value.abs() < 0.1f64.powi(decimals as i32) {
        format!("{value:.1e}")
    } else {
        format!("{value:.decimals$}")
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// The tables of README.
pub(super) fn readme(groups: &Groups<'_>) -> anyhow::Result<String> {
    Ok(summary(groups)? + "\n" + &posteriors(groups)?)
}

/// One line a run, with baseline and floor.
fn summary(groups: &Groups<'_>) -> anyhow::Result<String> {
    let mut text = "10,000 events, positions and momenta as given (the proposal's data): mean squared error in bohr².\n\n\
        | | posterior mean | one draw |\n\
        | --- | --- | --- |\n"
        .to_owned();
    for (model, mse, _) in PROPOSAL {
        text.push_str(&format!("| the proposal's {model} | – | {mse:.3} |\n"));
    }
    for run in &groups.reference {
        let (mse, error) = run.mean_mse()?;
        text.push_str(&format!(
            "| {} | {} ± {} | {} |\n",
            run.run.title,
            number(mse, 3),
            number(error, 3),
            number(run.evaluation.scores.estimators.draw.mse, 3),
        ));
    }
    if let Some(run) = groups.reference.first() {
        let (floor, error) = run.floor()?;
        text.push_str(&format!(
            "| baseline: mean of the training rows | {} | – |\n\
             | baseline: nearest neighbours | {} | – |\n\
             | **floor of any method** | {} ± {} | {} |\n",
            number(run.train_mean()?.mse, 3),
            number(run.neighbours()?.scores.mse, 3),
            number(floor.mse, 3),
            number(error, 3),
            number(floor.exact_draw_mse, 3),
        ));
    }
    for (events, runs) in [
        ("The same events, gauge fixed", &groups.fixed),
        (
            "200,000 wide geometries with 1 a.u. of detector noise (the posterior is broad: two geometries can share their momenta)",
            &groups.wide,
        ),
    ] {
        text.push_str(&format!(
            "\n{events}: root mean square error of the posterior mean.\n\n\
             | | C-O (pm) | C-S (pm) | O-C-S (deg) | 90 % intervals that hold the truth | re-simulated momenta off by (a.u.) |\n\
             | --- | --- | --- | --- | --- | --- |\n"
        ));
        let errors = |run: &Finished, errors: &GaugeFreeErrors| -> anyhow::Result<String> {
            let [co, cs] = [run.bond(errors, "C-O")?, run.bond(errors, "C-S")?];
            Ok([co, cs, run.angle(errors, "O-C-S")?].map(|error| number(error, 3)).join(" | "))
        };
        for run in runs {
            text.push_str(&format!(
                "| {} | {} | {} % | {} |\n",
                run.run.title,
                errors(run, &run.gauge_free()?.mean)?,
                percent(run.coverage(0.9)?),
                number(run.resimulation()?.median, 3),
            ));
        }
        if let Some(run) = runs.first() {
            let baseline = errors(run, run.neighbours_gauge_free()?)?;
            text.push_str(&format!("| baseline: nearest neighbours | {baseline} | – | – |\n"));
        }
    }
    Ok(text)
}

/// The proposal's data, with baselines and floor.
pub(super) fn reference(groups: &Groups<'_>) -> anyhow::Result<String> {
    let mut text = "## The proposal's data, positions as given\n\n\
        Mean squared error in bohr², mean relative error, over nine position components of the test rows.\n\
        *Draw* is one draw for each row (the proposal's estimator), *mean* the mean of the draws. Most of\n\
        the variance is where the molecule happened to be and how it was turned, which momenta cannot\n\
        see: nothing can be better than the floor, and one draw of the exact posterior has twice that.\n\n\
        | | MSE, draw | MRE, draw | MSE, mean | median rel. error, mean |\n\
        | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (model, mse, mre) in PROPOSAL {
        text.push_str(&format!("| proposal, {model} | {mse:.4} | {mre:.4} | – | – |\n"));
    }
    for run in &groups.reference {
        let (mse, error) = run.mean_mse()?;
        let estimators = &run.evaluation.scores.estimators;
        text.push_str(&format!(
            "| {} | {} | {} | {} ± {} | {} |\n",
            run.run.name,
            number(estimators.draw.mse, 4),
            number(estimators.draw.mre, 4),
            number(mse, 4),
            number(error, 4),
            number(estimators.mean.median_relative_error, 4),
        ));
    }
    if let Some(run) = groups.reference.first() {
        for (name, scores) in [
            ("mean of training rows", run.train_mean()?),
            ("nearest neighbours", &run.neighbours()?.scores),
        ] {
            text.push_str(&format!(
                "| {name} | – | – | {} | {} |\n",
                number(scores.mse, 4),
                number(scores.median_relative_error, 4),
            ));
        }
        let (floor, error) = run.floor()?;
        text.push_str(&format!(
            "| **floor** of any method | {} | – | {} ± {} | – |\n",
            number(floor.exact_draw_mse, 4),
            number(floor.mse, 4),
            number(error, 4),
        ));
    }
    Ok(text)
}

/// The same events without the placement that momenta cannot see.
pub(super) fn gauge_fixed(groups: &Groups<'_>) -> anyhow::Result<String> {
    let mut text = "## The same events, gauge fixed\n\n\
        Root mean square error of the mean over draws, on the test rows: bond lengths in pm, bond angle in\n\
        degrees, mean displacement per atom after alignment in bohr.\n\n\
        | | C-O | C-S | O-S | O-C-S | displacement | coverage of C-O, C-S at 90 % | re-simulation, a.u. |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let errors = |run: &Finished, errors: &GaugeFreeErrors| -> anyhow::Result<String> {
        let mut cells = Vec::new();
        for bond in ["C-O", "C-S", "O-S"] {
            cells.push(number(run.bond(errors, bond)?, 3));
        }
        cells.push(number(run.angle(errors, "O-C-S")?, 3));
        cells.push(number(errors.displacement_bohr, 4));
        Ok(cells.join(" | "))
    };
    for run in &groups.fixed {
        let coverage = [run.bond_coverage("C-O", 0.9)?, run.bond_coverage("C-S", 0.9)?];
        text.push_str(&format!(
            "| {} | {} | {} % | {} |\n",
            run.run.name,
            errors(run, &run.gauge_free()?.mean)?,
            coverage.map(percent).join(", "),
            number(run.resimulation()?.median, 3),
        ));
    }
    if let Some(run) = groups.fixed.first() {
        let baseline = errors(run, run.neighbours_gauge_free()?)?;
        text.push_str(&format!("| nearest neighbours | {baseline} | – | – |\n"));
    }
    Ok(text)
}

/// Both readings of equation 5: is the latent used, and are the draws calibrated?
pub(super) fn readings(finished: &[Finished]) -> anyhow::Result<String> {
    let mut text = "## Two readings of the CVAE's reconstruction loss\n\n\
        Equation 5 can mean the sum or the mean over components. A collapsed latent carries nothing about\n\
        the positions: what spread its draws have is no uncertainty, and its coverage is far from 90 %.\n\n\
        | | reconstruction | active latent dimensions | coverage of positions at 90 % | MSE, mean (bohr²) |\n\
        | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let ModelConfig::Cvae(config) = &run.record.model else {
            continue;
        };
        // The word of the configuration.
        let reconstruction = serde_json::to_value(config.reconstruction)?;
        let reconstruction = reconstruction.as_str().context("the reconstruction has no name")?;
        let latent = run.active_latent()?;
        text.push_str(&format!(
            "| {} | {reconstruction} | {} of {}{} | {} % | {} |\n",
            run.run.name,
            latent.active,
            latent.of,
            if latent.active == 0 { ": collapsed" } else { "" },
            percent(run.coverage(0.9)?),
            number(run.mean_mse()?.0, 4),
        ));
    }
    Ok(text)
}

/// Every run as a distribution.
pub(super) fn distributions(finished: &[Finished]) -> anyhow::Result<String> {
    let mut text = "## The distributions\n\n\
        Central coverage of the position columns that vary (%), CRPS and energy score in bohr, negative\n\
        log-likelihood in nats per event (a density in d dimensions: only equal d compare), median\n\
        re-simulation error per momentum component, and the largest |x − f⁻¹(f(x))| in scaled units.\n\n\
        | | 50 % | 80 % | 90 % | 95 % | CRPS | energy score | NLL | d | re-simulation (a.u.) | invertibility |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let [crps, energy_score] = run.scores()?;
        let (nll, dimension, invertibility) = match run.likelihood()? {
            Likelihood::Exact(exact, invertibility) => {
                (number(exact.nll, 3), exact.d_eff.to_string(), format!("{invertibility:.0e}"))
            }
            Likelihood::Bound(_) | Likelihood::None => {
                (DASH.to_owned(), DASH.to_owned(), DASH.to_owned())
            }
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {nll} | {dimension} | {} | {invertibility} |\n",
            run.run.name,
            coverages(run, &COVERAGE_LEVELS)?,
            number(crps, 4),
            number(energy_score, 4),
            number(run.resimulation()?.median, 3),
        ));
    }
    Ok(text)
}

/// Cells of central coverage in percent.
fn coverages(run: &Finished, levels: &[f64]) -> anyhow::Result<String> {
    let cells = levels.iter().map(|level| Ok(percent(run.coverage(*level)?)));
    Ok(cells.collect::<anyhow::Result<Vec<_>>>()?.join(" | "))
}

/// The posteriors as distributions, side by side: what a referee asks.
pub(super) fn posteriors(groups: &Groups<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    for (events, runs) in [
        ("gauge fixed, no noise", &groups.fixed),
        ("wide geometries, 1 a.u. of noise", &groups.wide),
    ] {
        text.push_str(&format!(
            "The posteriors as distributions ({events}): negative log-likelihood (nats; with ≤ a bound), CRPS and energy\n\
             score (bohr), central coverage (%), accuracy of a classifier that tells draws from the truth (%, 50 is\n\
             perfect), seconds of training.\n\n\
             | | NLL | CRPS | energy score | 50 % | 90 % | classifier | training |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        ));
        for run in runs {
            let nll = match run.likelihood()? {
                Likelihood::Exact(exact, _) => number(exact.nll, 2),
                Likelihood::Bound(bound) => format!("≤ {}", number(bound.nll_bound, 2)),
                Likelihood::None => DASH.to_owned(),
            };
            let [crps, energy_score] = run.scores()?;
            text.push_str(&format!(
                "| {} | {nll} | {} | {} | {} | {} | {} |\n",
                run.run.title,
                number(crps, 4),
                number(energy_score, 4),
                coverages(run, &[0.5, 0.9])?,
                percent(run.classifier()),
                number(run.record.training.seconds, 0),
            ));
        }
        text.push('\n');
    }
    Ok(text)
}

/// How the trainings went.
pub(super) fn trainings(finished: &[Finished]) -> String {
    let mut text = "## The trainings\n\n\
        | | parameters | epochs | best epoch | best validation loss | seconds |\n\
        | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let training = &run.record.training;
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            run.run.name,
            training.parameters,
            training.epochs,
            training.best_epoch,
            number(training.best_validation_loss, 4),
            number(training.seconds, 1),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use cei_run::presets::{
        GAUGE_FIXED_CINN, GAUGE_FIXED_CVAE, REFERENCE_CINN, REFERENCE_CVAE, WIDE_CINN, WIDE_CVAE,
        WIDE_SIGMA_VAE,
    };
    use serde_json::Value;

    use super::*;
    use crate::pipeline::{RUNS, Run};
    use crate::results::fixture::{Kind, calibration, evaluation, record};

    /// One run of each kind in each group.
    fn runs() -> Vec<(Run, Kind)> {
        let kind = |name: &str| match name {
            name if name.ends_with("cinn") => Kind::Flow,
            name if name.ends_with("sigma-vae") => Kind::DeclaredVariance,
            _ => Kind::FixedVariance,
        };
        let reference = [REFERENCE_CVAE, REFERENCE_CINN];
        let fixed = [GAUGE_FIXED_CVAE, GAUGE_FIXED_CINN];
        let wide = [WIDE_CVAE, WIDE_SIGMA_VAE, WIDE_CINN];
        let presets: Vec<&str> =
            [&reference[..], &fixed, &wide].concat().iter().map(|preset| preset.name).collect();
        let wanted = |run: &Run| presets.contains(&run.name);
        RUNS.into_iter().filter(wanted).map(|run| (run, kind(run.name))).collect()
    }

    /// The three files of each run.
    fn files() -> Vec<(Run, [Value; 3])> {
        let of = |(run, kind)| (run, [record(kind), evaluation(kind), calibration()]);
        runs().into_iter().map(of).collect()
    }

    /// All tables of these files.
    fn tables(files: &[(Run, [Value; 3])]) -> anyhow::Result<String> {
        let read = |(run, [record, evaluation, calibration]): &(Run, [Value; 3])| {
            let [record, evaluation, calibration] =
                [record, evaluation, calibration].map(Value::to_string);
            Finished::of_json(*run, &record, &evaluation, &calibration)
        };
        let finished: Vec<Finished> = files.iter().map(read).collect::<anyhow::Result<_>>()?;
        let groups = Groups::of(&finished);
        Ok([
            readme(&groups)?,
            reference(&groups)?,
            gauge_fixed(&groups)?,
            readings(&finished)?,
            distributions(&finished)?,
            posteriors(&groups)?,
            trainings(&finished),
        ]
        .concat())
    }

    /// Pointers to all numbers below `value`.
    fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Number(_) => found.push(at.to_owned()),
            Value::Object(map) => {
                for (key, value) in map {
                    numbers(value, &format!("{at}/{key}"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_figure_stands_in_its_row() -> anyhow::Result<()> {
        let text = tables(&files())?;
        for row in [
            // README
            "| CVAE | 1.010 ± 1.020 | 2.010 |",
            "| baseline: mean of the training rows | 3.010 | – |",
            "| baseline: nearest neighbours | 4.010 | – |",
            "| **floor of any method** | 5.010 ± 5.020 | 5.030 |",
            "| sigma-VAE | 60.100 | 60.200 | 60.400 | 93.0 % | 11.500 |",
            "| baseline: nearest neighbours | 80.100 | 80.200 | 80.400 | – | – |",
            // RESULTS.md
            "| reference-cinn | 2.0100 | 2.0300 | 1.0100 ± 1.0200 | 1.0400 |",
            "| mean of training rows | – | – | 3.0100 | 3.0400 |",
            "| nearest neighbours | – | – | 4.0100 | 4.0400 |",
            "| **floor** of any method | 5.0300 | – | 5.0100 ± 5.0200 | – |",
            "| gauge-fixed-cinn | 60.100 | 60.200 | 60.300 | 60.400 | 60.5000 | 88.5, 89.5 % | 11.500 |",
            "| nearest neighbours | 80.100 | 80.200 | 80.300 | 80.400 | 80.5000 | – | – |",
            "| wide-sigma-vae | sum | 3 of 8 | 93.0 % | 1.0100 |",
            "| wide-cvae | mean | 0 of 16: collapsed | 93.0 % | 1.0100 |",
            "| wide-cinn | 51.0 | 82.0 | 93.0 | 94.0 | 9.1000 | 9.2000 | -12.250 | 6 | 11.500 | 4e-6 |",
            "| wide-sigma-vae | 51.0 | 82.0 | 93.0 | 94.0 | 9.1000 | 9.2000 | – | – | 11.500 | – |",
            // both
            "| cINN | -12.25 | 9.1000 | 9.2000 | 51.0 | 93.0 | 62.5 | 321 |",
            "| sigma-VAE | ≤ -13.75 | 9.1000 | 9.2000 | 51.0 | 93.0 | 62.5 | 321 |",
            "| CVAE | – | 9.1000 | 9.2000 | 51.0 | 93.0 | 62.5 | 321 |",
            "| wide-cinn | 654321 | 140 | 120 | -15.1250 | 321.0 |",
        ] {
            assert!(text.lines().any(|line| line == row), "no row `{row}` in\n{text}");
        }
        Ok(())
    }

    /// A number is published if the tables change with it; then, under another name, it is missing, and nothing is
    /// written in its place.
    #[test]
    fn a_published_figure_under_another_name_is_an_error() -> anyhow::Result<()> {
        let whole = tables(&files())?;
        let mut published = 0;
        for (run, file) in (0..files().len()).flat_map(|run| (0..3).map(move |file| (run, file))) {
            let mut pointers = Vec::new();
            numbers(&files()[run].1[file], "", &mut pointers);
            for pointer in pointers {
                let mut changed = files();
                let value = changed[run].1[file].pointer_mut(&pointer).context("a number")?;
                *value = if value.is_u64() { Value::from(77) } else { Value::from(77.75) };
                if tables(&changed)? == whole {
                    continue;
                }
                published += 1;
                let mut renamed = files();
                let (parent, key) = pointer.rsplit_once('/').context("a key")?;
                let parent = renamed[run].1[file].pointer_mut(parent);
                let parent = parent.and_then(Value::as_object_mut).context("an object")?;
                let value = parent.remove(key).context("a value")?;
                parent.insert(format!("{key}_of_old"), value);
                let name = files()[run].0.name;
                assert!(tables(&renamed).is_err(), "{pointer} of {name} is not missed");
            }
        }
        assert!(published > 150, "only {published} numbers are published");
        Ok(())
    }

    #[test]
    fn a_missing_figure_is_named() {
        let mut files = files();
        let flow = files.iter_mut().find(|(run, _)| run.name == WIDE_CINN.name);
        let evaluation = flow.and_then(|(_, [_, evaluation, _])| evaluation.as_object_mut());
        evaluation.map(|evaluation| evaluation.remove("nll"));
        let error = tables(&files).map_err(|error| error.to_string());
        let expected = "`evaluation.json` of `wide-cinn` has no `nll`";
        assert_eq!(error, Err(expected.to_owned()));
    }
}
