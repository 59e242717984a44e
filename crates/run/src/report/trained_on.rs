//! What was trained on what: the facts of a run, and its configurations.

use cei_physics::Molecule;
use cei_report::page::{Block, Section};

use super::words::{count, list, number};
use crate::TrainedRun;
use crate::config::to_toml;
use crate::dataset::warning;
use crate::folder::remarks;

/// Columns that are named one by one.
const MOST_NAMES: usize = 12;
/// Digits of a digest that are shown.
const DIGEST: usize = 12;

/// The section about the training of a run.
pub(super) fn section(run: &TrainedRun) -> Section {
    let mut blocks: Vec<Block> = Vec::new();
    // An edit that is refused has been told when the run was loaded.
    blocks.extend(remarks(&run.path).unwrap_or_default().into_iter().map(Block::Notice));
    let copies = run.record.copies.map(|copies| copies.test);
    blocks.extend(warning(copies).map(Block::Notice));
    blocks.push(Block::Facts([table(run), model(run), training(run)].concat()));
    blocks.push(Block::Folded {
        title: "The experiment as TOML".to_owned(),
        text: to_toml(&run.experiment),
    });
    if let Some(simulation) = &run.record.simulation {
        blocks.push(Block::Folded {
            title: "The simulation behind the table as TOML".to_owned(),
            text: to_toml(simulation),
        });
    }
    Section { title: "What was trained on what".to_owned(), blocks }
}

type Facts = Vec<(String, String)>;

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// The table, its columns and its molecule.
fn table(run: &TrainedRun) -> Facts {
    let TrainedRun { experiment, record, .. } = run;
    let source = &experiment.source;
    let preprocessing = &record.preprocessing;
    let files = match &source.simulator {
        Some(simulator) => {
            format!("events of the simulator `{simulator}`, new ones in every epoch")
        }
        None => source.files.join(", "),
    };
    let split = &experiment.split;
    let rows = format!(
        "{} rows: {} to train on, {} to stop by, {} to score by (seed {})",
        record.data_rows,
        share(split.train),
        share(split.validation),
        share(split.test),
        split.seed
    );
    let mut facts =
        vec![fact("Run", run.path.display().to_string()), fact("Table", files), fact("Rows", rows)];
    match &record.molecule {
        Some(molecule) => facts.push(fact("Molecule", atoms(molecule))),
        None => facts.push(fact("Molecule", "none declared: the columns are plain numbers")),
    }
    let (positions, nuisances) = preprocessing.x_names().split_at(preprocessing.positions());
    let mut inferred = format!(
        "{} in {} independent directions; {}",
        names(positions),
        preprocessing.d_eff(),
        preprocessing.frame_description()
    );
    if !preprocessing.dead_x().is_empty() {
        inferred
            .push_str(&format!("; {} never vary", count(preprocessing.dead_x().len(), "column")));
    }
    facts.push(fact("Inferred", inferred));
    if !nuisances.is_empty() {
        facts.push(fact("Inferred beside", names(nuisances)));
    }
    facts.push(fact("Given", names(preprocessing.y_names())));
    facts.push(fact("Noise", noise(run)));
    facts
}

fn share(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The ions with their charges and masses.
fn atoms(molecule: &Molecule) -> String {
    let ions: Vec<String> = (molecule.labels().iter())
        .zip(molecule.charges())
        .zip(molecule.masses())
        .map(|((label, charge), mass)| {
            let mass = mass / cei_physics::units::ELECTRON_MASSES_PER_U;
            format!("{label} (charge {}, {mass:.3} u)", number(*charge).trim_end_matches(".00"))
        })
        .collect();
    list(&ions)
}

/// Columns, as many as can be read.
fn names(columns: &[String]) -> String {
    let shown = columns.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match columns.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The declared noise of the momenta.
fn noise(run: &TrainedRun) -> String {
    let Some(noise) = run.record.noise() else {
        return "not declared".to_owned();
    };
    match noise.first() {
        Some(first) if noise.iter().all(|sd| sd == first) && *first == 0.0 => {
            "momenta without noise".to_owned()
        }
        Some(first) if noise.iter().all(|sd| sd == first) => {
            format!("standard deviation {} a.u. of each momentum component", number(*first))
        }
        _ => {
            let components: Vec<String> = noise.iter().map(|sd| number(*sd)).collect();
            format!(
                "standard deviations (a.u.) of the momentum components: {}",
                components.join(", ")
            )
        }
    }
}

fn model(run: &TrainedRun) -> Facts {
    let training = &run.record.training;
    let mut facts = vec![fact(
        "Model",
        format!("{}, {} trained numbers", run.record.name(), training.parameters),
    )];
    if let Some(active) = &training.active_latent {
        facts.push(fact("Latent", active.to_string()));
    }
    facts
}

fn training(run: &TrainedRun) -> Facts {
    let record = &run.record;
    let training = &record.training;
    let text = format!(
        "{}, best {} ({} on the validation rows); {} on {} in {} s",
        count(training.epochs, "epoch"),
        training.best_epoch,
        number(training.best_validation_loss),
        training.stopped,
        training.device,
        number(training.seconds)
    );
    let digests = format!(
        "weights {}, table {} (first digits of SHA-256)",
        start(&record.weights_sha256),
        start(&record.data_fingerprint)
    );
    vec![
        fact("Training", text),
        fact("Digests", digests),
        fact("Program", format!("cei {}", record.program)),
    ]
}

fn start(digest: &str) -> &str {
    digest.get(..DIGEST).unwrap_or(digest)
}
