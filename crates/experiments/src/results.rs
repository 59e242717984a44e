//! RESULTS.md, and the table of results in README: what the runs reached, beside the proposal's numbers,
//! the baselines and the floors. Every number is read from the files of the runs.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::ambiguity::{self, Ambiguous};
use crate::cei::Cei;
use crate::pipeline::{DATA_SETS, PROPOSAL, RUNS, Run};
use crate::reproduce::{Places, absolute};

/// Figures of a run that are shown.
const FIGURES: [&str; 3] = ["learning_curve", "true_vs_predicted", "residuals"];

/// Where README has its table, between two lines.
const README_TABLE: [&str; 2] = ["<!-- results:begin -->", "<!-- results:end -->"];

/// A run and what it left behind.
struct Finished {
    run: Run,
    model: Value,
    evaluation: Value,
    calibration: Value,
}

/// Writes the report and copies the figures that it shows.
pub(crate) fn write(cei: &Cei, places: &Places, ambiguous: &Ambiguous) -> anyhow::Result<()> {
    let finished: Vec<Finished> =
        RUNS.iter().map(|run| Finished::read(places, *run)).collect::<anyhow::Result<_>>()?;
    copy_figures(places)?;
    let group = |data: &str, prefix: &str| -> Vec<&Finished> {
        let belongs = |f: &&Finished| f.run.data == data && f.run.name.starts_with(prefix);
        finished.iter().filter(belongs).collect()
    };
    let sections = [
        preamble(cei, places)?,
        reference(&group("ocs-reference", "reference")),
        gauge_fixed(&group("ocs-reference", "gauge-fixed")),
        readings(&finished),
        ambiguity(ambiguous),
        distributions(&finished),
        posteriors(&group("ocs-reference", "gauge-fixed"), &group("ocs-wide", "wide")),
        trainings(&finished),
        figures(places),
    ];
    std::fs::write(absolute(&places.results), sections.join("\n"))?;
    if places.quick {
        return Ok(());
    }
    let readme = absolute(Path::new("README.md"));
    let text = std::fs::read_to_string(&readme)?;
    let (fixed, wide) = (group("ocs-reference", "gauge-fixed"), group("ocs-wide", "wide"));
    let table = summary(&group("ocs-reference", "reference"), &fixed, &wide)
        + "\n"
        + &posteriors(&fixed, &wide);
    std::fs::write(&readme, with_table(&text, &table)?)?;
    Ok(())
}

/// README with its table replaced.
fn with_table(readme: &str, table: &str) -> anyhow::Result<String> {
    let [begin, end] = README_TABLE;
    let (before, rest) = readme.split_once(begin).context("README has no place for the table")?;
    let (_, after) = rest.split_once(end).context("README has no end of the table")?;
    Ok(format!("{before}{begin}\n{table}{end}{after}"))
}

impl Finished {
    fn read(places: &Places, run: Run) -> anyhow::Result<Self> {
        let folder = absolute(&places.run(run.name));
        let json = |file: &str| -> anyhow::Result<Value> {
            let path = folder.join(file);
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(serde_json::from_str(&text)?)
        };
        Ok(Self {
            run,
            model: json("model.json")?,
            evaluation: json("evaluation.json")?,
            calibration: json("calibration.json")?,
        })
    }

    /// A number of the evaluation, formatted; a dash where it does not apply.
    fn score(&self, pointer: &str, decimals: usize) -> String {
        format_number(self.evaluation.pointer(pointer), decimals)
    }

    fn percent(&self, pointer: &str) -> String {
        let value = self.evaluation.pointer(pointer).and_then(Value::as_f64);
        value.map_or_else(|| "–".to_owned(), |value| format!("{:.1}", 100.0 * value))
    }
}

fn format_number(value: Option<&Value>, decimals: usize) -> String {
    match value.and_then(Value::as_f64) {
        Some(value) if value != 0.0 && value.abs() < 0.1f64.powi(decimals as i32) => {
            format!("{value:.1e}")
        }
        Some(value) => format!("{value:.decimals$}"),
        None => "–".to_owned(),
    }
}

fn scientific(value: Option<&Value>) -> String {
    value.and_then(Value::as_f64).map_or_else(|| "–".to_owned(), |value| format!("{value:.0e}"))
}

fn preamble(cei: &Cei, places: &Places) -> anyhow::Result<String> {
    let command =
        if places.quick { "cargo xtask reproduce --quick" } else { "cargo xtask reproduce" };
    let seeds: Vec<String> = DATA_SETS.iter().map(|d| format!("{} {}", d.name, d.seed)).collect();
    let runs: Vec<String> = RUNS.iter().map(|run| format!("{} {}", run.name, run.seed)).collect();
    let rustc = Command::new("rustc").arg("--version").output()?;
    Ok(format!(
        "# Results\n\n\
        Made by `{command}`, with {} and {}; every number below is read from the run folders.\n\
        Seeds of the data: {}; of the training: {}.\n\
        {}",
        cei.read(&["--version"])?.trim(),
        String::from_utf8_lossy(&rustc.stdout).trim(),
        seeds.join(", "),
        runs.join(", "),
        if places.quick {
            "\n**This is the smoke run: three epochs on small tables. Its numbers mean nothing.**\n"
        } else {
            ""
        }
    ))
}

/// The table of README: one line a run, with baseline and floor.
fn summary(reference: &[&Finished], fixed: &[&Finished], wide: &[&Finished]) -> String {
    let mut text = "10,000 events, positions and momenta as given (the proposal's data): mean squared error in bohr².\n\n\
        | | posterior mean | one draw |\n\
        | --- | --- | --- |\n"
        .to_owned();
    for (model, mse, _) in PROPOSAL {
        text.push_str(&format!("| the proposal's {model} | – | {mse:.3} |\n"));
    }
    for run in reference {
        text.push_str(&format!(
            "| {} | {} ± {} | {} |\n",
            run.run.title,
            run.score("/estimators/mean/mse", 3),
            run.score("/estimators/mean/mse_standard_error", 3),
            run.score("/estimators/draw/mse", 3),
        ));
    }
    if let Some(run) = reference.first() {
        text.push_str(&format!(
            "| baseline: mean of the training rows | {} | – |\n\
             | baseline: nearest neighbours | {} | – |\n\
             | **floor of any method** | {} ± {} | {} |\n",
            run.score("/baselines/train_mean/mse", 3),
            run.score("/baselines/knn/mse", 3),
            run.score("/floor/mse", 3),
            run.score("/floor/mse_standard_error", 3),
            run.score("/floor/exact_draw_mse", 3),
        ));
    }
    for (events, runs) in [
        ("The same events, gauge fixed", fixed),
        (
            "200,000 wide geometries with 1 a.u. of detector noise (the posterior is broad: two geometries can share their momenta)",
            wide,
        ),
    ] {
        text.push_str(&format!(
            "\n{events}: root mean square error of the posterior mean.\n\n\
             | | C-O (pm) | C-S (pm) | O-C-S (deg) | 90 % intervals that hold the truth | re-simulated momenta off by (a.u.) |\n\
             | --- | --- | --- | --- | --- | --- |\n"
        ));
        let errors = |run: &Finished, at: &str| {
            let at = |key| run.score(&format!("{at}/{key}"), 3);
            [
                at("bond_length_rmse_pm/C-O"),
                at("bond_length_rmse_pm/C-S"),
                at("angle_rmse_deg/O-C-S"),
            ]
            .join(" | ")
        };
        for run in runs {
            text.push_str(&format!(
                "| {} | {} | {} % | {} |\n",
                run.run.title,
                errors(run, "/gauge_free"),
                run.percent("/coverage/0.9"),
                run.score("/resimulation/median", 3),
            ));
        }
        if let Some(run) = runs.first() {
            let baseline = errors(run, "/baselines/knn/gauge_free");
            text.push_str(&format!("| baseline: nearest neighbours | {baseline} | – | – |\n"));
        }
    }
    text
}

fn reference(runs: &[&Finished]) -> String {
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
    for run in runs {
        text.push_str(&format!(
            "| {} | {} | {} | {} ± {} | {} |\n",
            run.run.name,
            run.score("/estimators/draw/mse", 4),
            run.score("/estimators/draw/mre", 4),
            run.score("/estimators/mean/mse", 4),
            run.score("/estimators/mean/mse_standard_error", 4),
            run.score("/estimators/mean/median_relative_error", 4),
        ));
    }
    if let Some(run) = runs.first() {
        for (name, key) in [("mean of training rows", "train_mean"), ("nearest neighbours", "knn")]
        {
            text.push_str(&format!(
                "| {name} | – | – | {} | {} |\n",
                run.score(&format!("/baselines/{key}/mse"), 4),
                run.score(&format!("/baselines/{key}/median_relative_error"), 4),
            ));
        }
        text.push_str(&format!(
            "| **floor** of any method | {} | – | {} ± {} | – |\n",
            run.score("/floor/exact_draw_mse", 4),
            run.score("/floor/mse", 4),
            run.score("/floor/mse_standard_error", 4),
        ));
    }
    text
}

fn gauge_fixed(runs: &[&Finished]) -> String {
    let mut text = "## The same events, gauge fixed\n\n\
        Root mean square error of the mean over draws, on the test rows: bond lengths in pm, bond angle in\n\
        degrees, mean displacement per atom after alignment in bohr.\n\n\
        | | C-O | C-S | O-S | O-C-S | displacement | coverage of C-O, C-S at 90 % | re-simulation, a.u. |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let errors = |run: &Finished, at: &str| -> String {
        let bonds =
            ["C-O", "C-S", "O-S"].map(|b| run.score(&format!("{at}/bond_length_rmse_pm/{b}"), 3));
        let angle = run.score(&format!("{at}/angle_rmse_deg/O-C-S"), 3);
        let displacement = run.score(&format!("{at}/displacement_bohr"), 4);
        format!("{} | {angle} | {displacement}", bonds.join(" | "))
    };
    for run in runs {
        let coverage =
            ["C-O", "C-S"].map(|b| run.percent(&format!("/gauge_free/coverage/{b}/0.9")));
        text.push_str(&format!(
            "| {} | {} | {} % | {} |\n",
            run.run.name,
            errors(run, "/gauge_free"),
            coverage.join(", "),
            run.score("/resimulation/median", 3),
        ));
    }
    if let Some(run) = runs.first() {
        let baseline = errors(run, "/baselines/knn/gauge_free");
        text.push_str(&format!("| nearest neighbours | {baseline} | – | – |\n"));
    }
    text
}

/// Both readings of equation 5: is the latent used, and are the draws calibrated?
fn readings(finished: &[Finished]) -> String {
    let mut text = "## Two readings of the CVAE's reconstruction loss\n\n\
        Equation 5 can mean the sum or the mean over components. A collapsed latent carries nothing about\n\
        the positions: what spread its draws have is no uncertainty, and its coverage is far from 90 %.\n\n\
        | | reconstruction | active latent dimensions | coverage of positions at 90 % | MSE, mean (bohr²) |\n\
        | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let Some(reconstruction) =
            run.model.pointer("/model/reconstruction").and_then(Value::as_str)
        else {
            continue;
        };
        let latent =
            |key: &str| format_number(run.evaluation.pointer(&format!("/active_latent/{key}")), 0);
        text.push_str(&format!(
            "| {} | {reconstruction} | {} of {}{} | {} % | {} |\n",
            run.run.name,
            latent("active"),
            latent("of"),
            if latent("active") == "0" { ": collapsed" } else { "" },
            run.percent("/coverage/0.9"),
            run.score("/estimators/mean/mse", 4),
        ));
    }
    text
}

fn ambiguity(ambiguous: &Ambiguous) -> String {
    let mut text = "## One set of momenta, two geometries\n\n\
        Two different geometries of OCS, all charges 2, give the same momenta.\n\n\
        | r_CO (pm) | r_CS (pm) | angle (deg) | momenta of C, O, S (a.u.) |\n\
        | --- | --- | --- | --- |\n"
        .to_owned();
    for ((co, cs, angle), momenta) in ambiguous.geometries.iter().zip(ambiguous.momenta) {
        let [c, o, s] = momenta;
        text.push_str(&format!("| {co} | {cs} | {angle} | {c:.1}, {o:.1}, {s:.1} |\n"));
    }
    text.push_str(&format!(
        "\nThe posterior of these momenta by `{}`, with 1 a.u. of detector noise: the share of draws within 8 pm of\n\
         each geometry in both bonds, and the Kolmogorov distance of each bond length's marginal from that of a\n\
         Markov chain on the exact simulator.\n\n\
         | draws | number | near the first | near the second | distance r_CO | distance r_CS |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        ambiguity::RUN
    ));
    let [.., chain] = &ambiguous.sources;
    for draws in &ambiguous.sources {
        let ([first, second], [r_co, r_cs]) = (draws.shares(), draws.distances(chain));
        text.push_str(&format!(
            "| {} | {} | {:.1} % | {:.1} % | {r_co:.3} | {r_cs:.3} |\n",
            draws.source,
            draws.count(),
            100.0 * first,
            100.0 * second,
        ));
    }
    text
}

fn distributions(finished: &[Finished]) -> String {
    let mut text = "## The distributions\n\n\
        Central coverage of the position columns that vary (%), CRPS and energy score in bohr, negative\n\
        log-likelihood in nats per event (a density in d dimensions: only equal d compare), median\n\
        re-simulation error per momentum component, and the largest |x − f⁻¹(f(x))| in scaled units.\n\n\
        | | 50 % | 80 % | 90 % | 95 % | CRPS | energy score | NLL | d | re-simulation (a.u.) | invertibility |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let coverage =
            ["0.5", "0.8", "0.9", "0.95"].map(|level| run.percent(&format!("/coverage/{level}")));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            run.run.name,
            coverage.join(" | "),
            run.score("/crps", 4),
            run.score("/energy_score", 4),
            run.score("/nll", 3),
            run.score("/d_eff", 0),
            run.score("/resimulation/median", 3),
            scientific(run.evaluation.pointer("/invertibility_max_abs")),
        ));
    }
    text
}

/// The posteriors as distributions, side by side: what a referee asks.
fn posteriors(fixed: &[&Finished], wide: &[&Finished]) -> String {
    let mut text = String::new();
    for (events, runs) in
        [("gauge fixed, no noise", fixed), ("wide geometries, 1 a.u. of noise", wide)]
    {
        text.push_str(&format!(
            "The posteriors as distributions ({events}): negative log-likelihood (nats; with ≤ a bound), CRPS and energy\n\
             score (bohr), central coverage (%), accuracy of a classifier that tells draws from the truth (%, 50 is\n\
             perfect), seconds of training.\n\n\
             | | NLL | CRPS | energy score | 50 % | 90 % | classifier | training |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        ));
        for run in runs {
            let nll = match run.evaluation.pointer("/nll") {
                Some(_) => run.score("/nll", 2),
                None if run.evaluation.pointer("/nll_bound").is_some() => {
                    format!("≤ {}", run.score("/nll_bound", 2))
                }
                None => "–".to_owned(),
            };
            let c2st = run.calibration.pointer("/joint_c2st/accuracy").and_then(Value::as_f64);
            text.push_str(&format!(
                "| {} | {nll} | {} | {} | {} | {} | {} | {} |\n",
                run.run.title,
                run.score("/crps", 4),
                run.score("/energy_score", 4),
                run.percent("/coverage/0.5"),
                run.percent("/coverage/0.9"),
                c2st.map_or_else(|| "–".to_owned(), |c2st| format!("{:.1}", 100.0 * c2st)),
                format_number(run.model.pointer("/training/seconds"), 0),
            ));
        }
        text.push('\n');
    }
    text
}

fn trainings(finished: &[Finished]) -> String {
    let mut text = "## The trainings\n\n\
        | | parameters | epochs | best epoch | best validation loss | seconds |\n\
        | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for run in finished {
        let value = |key: &str, decimals| {
            format_number(run.model.pointer(&format!("/training/{key}")), decimals)
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            run.run.name,
            value("parameters", 0),
            value("epochs", 0),
            value("best_epoch", 0),
            value("best_validation_loss", 4),
            value("seconds", 1),
        ));
    }
    text
}

fn figures(places: &Places) -> String {
    let mut text = "## Learning curves, predictions and residuals\n".to_owned();
    let folder = places.figures.display().to_string();
    let from_report = if places.quick { "figures".to_owned() } else { folder };
    for run in single() {
        text.push_str(&format!("\n### {}\n\n", run.name));
        for figure in FIGURES {
            let words = figure.replace('_', " ");
            text.push_str(&format!(
                "![{words} of {}]({from_report}/{}-{figure}.png)\n",
                run.name, run.name
            ));
        }
    }
    text
}

fn copy_figures(places: &Places) -> anyhow::Result<()> {
    let target = absolute(&places.figures);
    std::fs::create_dir_all(&target)?;
    for run in single() {
        for figure in FIGURES {
            let from = absolute(&places.run(run.name)).join(format!("figures/{figure}.png"));
            let to = target.join(format!("{}-{figure}.png", run.name));
            std::fs::copy(&from, &to).with_context(|| display(&from))?;
        }
    }
    Ok(())
}

/// The runs that are no ensembles: their members have learning curves, not they.
fn single() -> impl Iterator<Item = Run> {
    RUNS.into_iter().filter(|run| run.ensemble == 1)
}

fn display(path: &Path) -> String {
    format!("`{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_readme_is_replaced_and_nothing_else() -> anyhow::Result<()> {
        let [begin, end] = README_TABLE;
        let readme = format!("before\n{begin}\nold\n{end}\nafter\n");
        let new = with_table(&readme, "new\n")?;
        assert_eq!(new, format!("before\n{begin}\nnew\n{end}\nafter\n"));
        assert!(with_table("no place", "new").is_err());
        Ok(())
    }
}
