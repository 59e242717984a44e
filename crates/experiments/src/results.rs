//! RESULTS.md, and the table of results in README: what the runs reached, beside the proposal's numbers,
//! the baselines and the floors. Every number is read from the files of the runs, by
//! the types that wrote them.

mod finished;
#[cfg(test)]
pub(crate) mod fixture;
mod tables;

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use cei_run::folder::layout::{self, figure};

use crate::ambiguity::{self, Ambiguous};
use crate::cei::Cei;
use crate::pipeline::{DATA_SETS, RUNS, Run};
use crate::reproduce::{Places, absolute};
use crate::results::finished::Finished;
use crate::results::tables::Groups;

/// Figures of a run that are shown.
const FIGURES: [&str; 3] = [figure::LEARNING_CURVE, figure::TRUE_VS_PREDICTED, figure::RESIDUALS];

/// Where README has its table, between two lines.
const README_TABLE: [&str; 2] = ["<!-- results:begin -->", "<!-- results:end -->"];

/// Writes the report and copies the figures that it shows.
pub(crate) fn write(cei: &Cei, places: &Places, ambiguous: &Ambiguous) -> anyhow::Result<()> {
    let read = |run: &Run| Finished::read(&absolute(&places.run(run.name)), *run);
    let finished: Vec<Finished> = RUNS.iter().map(read).collect::<anyhow::Result<_>>()?;
    let groups = Groups::of(&finished);
    let sections = [
        preamble(cei, places)?,
        tables::reference(&groups)?,
        tables::gauge_fixed(&groups)?,
        tables::readings(&finished)?,
        ambiguity(ambiguous),
        tables::distributions(&finished)?,
        tables::posteriors(&groups)?,
        tables::trainings(&finished),
        figures(places),
    ];
    let table = tables::readme(&groups)?;
    copy_figures(places)?;
    std::fs::write(absolute(&places.results), sections.join("\n"))?;
    if places.quick {
        return Ok(());
    }
    let page = absolute(Path::new("README.md"));
    let text = std::fs::read_to_string(&page)?;
    Ok(std::fs::write(&page, with_table(&text, &table)?)?)
}

/// README with its table replaced.
fn with_table(readme: &str, table: &str) -> anyhow::Result<String> {
    let [begin, end] = README_TABLE;
    let (before, rest) = readme.split_once(begin).context("README has no place for the table")?;
    let (_, after) = rest.split_once(end).context("README has no end of the table")?;
    Ok(format!("{before}{begin}\n{table}{end}{after}"))
}

fn preamble(cei: &Cei, places: &Places) -> anyhow::Result<String> {
    let command =
        if places.quick { "cargo xtask reproduce --quick" } else { "cargo xtask reproduce" };
    let seeds: Vec<String> =
        DATA_SETS.iter().map(|d| format!("{} {}", d.preset.name, d.seed)).collect();
    let runs: Vec<String> = RUNS.iter().map(|run| format!("{} {}", run.name, run.seed)).collect();
    let rustc = Command::new("rustc").arg("--version").output()?;
    Ok(format!(
        "# Results\n\n\
        Made by `{command}`, with {} and {}; every number below is read from the run folders.\n\
        Seeds of the data: {}; of the training: {}.\n\
        {}",
        cei.read(&["--version"])?.lines().next().unwrap_or("cei"),
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

/// One set of momenta that two geometries give, and what the posterior holds of both.
pub(crate) fn ambiguity(ambiguous: &Ambiguous) -> String {
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
        ambiguity::RUN.name
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

fn figures(places: &Places) -> String {
    let mut text = "## Learning curves, predictions and residuals\n".to_owned();
    let folder = places.figures.display().to_string();
    let from_report = if places.quick { layout::FIGURES.to_owned() } else { folder };
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
            let from = layout::figure_path(&absolute(&places.run(run.name)), figure, "png");
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
