//! Damage to the folder of a run is noticed: with one byte of one file changed, whatever reads the folder gives the
//! numbers that it gave before, says that a key was edited, or fails with an error that names the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cei_data::SumOptions;
use cei_model::open_device;
use cei_run::compare::read_evaluation;
use cei_run::dataset::LaterTable;
use cei_run::dataset::sidecar_path;
use cei_run::evaluate::{EvaluateOptions, evaluate_run};
use cei_run::folder::remarks;
use cei_run::predict::{PredictOptions, predict_to_files};
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_run::{Experiment, RunError};
use cei_train::Silent;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENT: &str = r#"
[molecule]
atoms = [
    { element = "C", charge = 2.0 },
    { element = "O", charge = 2.0 },
    { element = "S", charge = 2.0 },
]
[preprocessing.gauge]
positions = "centred"
frame = "momentum"
x_axis = "S"
xy_plane = "O"
[model]
kind = "cvae"
latent = 2
encoder_hidden = [4]
decoder_hidden = [4]
[training]
max_epochs = 2
batch_size = 20
[evaluation]
draws = 4
resimulated_draws = 1
"#;

/// A table of 60 events and a run trained on it, evaluated.
struct Trained {
    folder: tempfile::TempDir,
    experiment: Experiment,
}

impl Trained {
    fn new(members: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let table = folder.path().join("table.csv");
        simulate(&table, 60, 1.0)?;
        let given = [
            format!("source.files=['{}']", table.display()),
            format!("training.ensemble={members}"),
        ];
        let experiment = Experiment::parse(EXPERIMENT, "test", &given)?;
        let trained = Self { folder, experiment };
        trained.train(false)?;
        trained.evaluate()?;
        Ok(trained)
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn train(&self, resume: bool) -> Result<Vec<String>, RunError> {
        let stop = AtomicBool::new(false);
        let mut remarks = Vec::new();
        let told = |plan: &cei_run::train::TrainingPlan| remarks.clone_from(&plan.remarks);
        train_run(&self.experiment, &self.run(), "cpu", resume, &stop, told, &mut Silent)?;
        Ok(remarks)
    }

    fn evaluate(&self) -> Result<String, RunError> {
        let options = EvaluateOptions::default();
        let scores = evaluate_run(&self.run(), &options, open_device("cpu")?, |_| {}, |_, _| {})?;
        Ok(format!("{:?}", scores.scores))
    }

    fn predict(&self) -> Result<String, RunError> {
        let at = |name: &str| self.folder.path().join(name);
        let options = PredictOptions {
            momenta: LaterTable::file(at("table.csv").to_string_lossy()),
            sums: SumOptions::default(),
            draws: 2,
            seed: 0,
            false_coincidences: None,
            draws_file: at("draws.csv"),
            summary_file: Some(at("summary.csv")),
            refine: false,
            modes_file: None,
            chain_file: None,
            initial_momenta: false,
            report_file: None,
            report_events: Vec::new(),
            shard: None,
        };
        predict_to_files(&self.run(), &options, open_device("cpu")?, |_| {})?;
        let read =
            |path: PathBuf| std::fs::read_to_string(&path).map_err(RunError::io("read", &path));
        Ok(read(at("draws.csv"))? + &read(at("summary.csv"))?)
    }

    fn compare(&self) -> Result<String, RunError> {
        Ok(format!("{:?}", read_evaluation(&self.run())?))
    }

    /// Continues the training, which has ended: the weights of the run are then written again.
    fn resume(&self) -> Result<String, RunError> {
        self.train(true)?;
        let mut weights = String::new();
        for name in ["model.safetensors", "member-2/model.safetensors"] {
            if let Ok(bytes) = std::fs::read(self.run().join(name)) {
                weights.push_str(&cei_files::sha256(&bytes));
            }
        }
        Ok(weights)
    }
}

fn simulate(table: &Path, events: usize, noise: f64) -> Result<(), RunError> {
    let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
    simulation.events = events;
    simulation.detector.momentum_noise_au = cei_physics::detector::Noise::Same(noise);
    simulate_to_file(&simulation, &Geometries::Law, false, table, |_, _| {})?;
    Ok(())
}

/// Every file below a folder, figures left out, which nobody reads.
fn contents(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut contents(&path)?);
        } else if !path.extension().is_some_and(|kind| kind == "svg" || kind == "png") {
            found.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    Ok(found)
}

/// Another byte in the place of this one; of a digit another digit, which no parser can notice.
fn changed(byte: u8) -> u8 {
    if byte.is_ascii_digit() { b'0' + (byte - b'0' + 1) % 10 } else { byte ^ 1 }
}

/// Positions in a file: spread over all of it, and digits.
fn places(bytes: &[u8], count: usize) -> Vec<usize> {
    let spread = (0..count).map(|i| i * bytes.len() / count);
    let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
    let of_digits =
        (0..count.min(digits.len())).map(|i| digits[i * digits.len() / count.min(digits.len())]);
    spread.chain(of_digits).collect()
}

type Command = (&'static str, fn(&Trained) -> Result<String, RunError>);

fn no_change_is_believed(members: usize, commands: &[Command], count: usize) -> TestResult {
    let trained = Trained::new(members)?;
    let run = trained.run();
    let undamaged: Vec<String> = {
        let found: Result<_, _> = commands.iter().map(|(_, command)| command(&trained)).collect();
        found?
    };
    let files = contents(&run)?;
    assert!(files.len() >= 7, "{:?}", files.keys());
    let mut noticed = 0;
    for (file, bytes) in &files {
        let name = file.file_name().ok_or("no name")?.to_string_lossy().into_owned();
        for place in places(bytes, count) {
            for ((command, run_it), undamaged) in commands.iter().zip(&undamaged) {
                let mut damaged = bytes.clone();
                damaged[place] = changed(damaged[place]);
                std::fs::write(file, &damaged)?;
                // What an edit of `config.toml` may change is told.
                let told = remarks(&run)
                    .unwrap_or_default()
                    .iter()
                    .any(|told| told.contains("was edited"));
                match run_it(&trained) {
                    Ok(found) => assert!(
                        found == *undamaged || (name == "config.toml" && told),
                        "{command} believes byte {place} of `{}`",
                        file.display()
                    ),
                    Err(error) => {
                        noticed += 1;
                        // A table of another name, or with other names, is told as such.
                        let text = error.to_string();
                        assert!(
                            text.contains(&name) || (name == "config.toml" && told),
                            "{command}, byte {place} of `{}`: {text}",
                            file.display()
                        );
                    }
                }
                for (file, bytes) in &files {
                    std::fs::write(file, bytes)?;
                }
            }
        }
    }
    assert!(noticed > 20, "only {noticed} changes were noticed");
    Ok(())
}

#[test]
fn no_changed_byte_of_a_run_is_believed() -> TestResult {
    let commands: [Command; 4] = [
        ("predict", Trained::predict),
        ("compare", Trained::compare),
        ("evaluate", Trained::evaluate),
        ("resume", Trained::resume),
    ];
    no_change_is_believed(1, &commands, 3)
}

#[test]
fn no_changed_byte_of_an_ensemble_is_believed() -> TestResult {
    let commands: [Command; 2] = [("predict", Trained::predict), ("resume", Trained::resume)];
    no_change_is_believed(2, &commands, 1)
}

/// What a user may edit goes on working and is told with both values; anything else is refused by its key.
#[test]
fn edits_of_the_configuration_are_told_or_refused() -> TestResult {
    let trained = Trained::new(1)?;
    let config = trained.run().join("config.toml");
    let text = std::fs::read_to_string(&config)?;
    assert_eq!(remarks(&trained.run())?, Vec::<String>::new());
    std::fs::write(&config, text.replace("draws = 4", "draws = 5"))?;
    let told = remarks(&trained.run())?;
    assert!(
        matches!(&told[..], [one] if one.contains("config.toml` was edited: `evaluation.draws` is `5`, the training had `4`")),
        "{told:?}"
    );
    trained.predict()?;
    for (from, to, key) in [
        ("batch_size = 20", "batch_size = 21", "training.batch_size"),
        ("charge = 2.0", "charge = 1.0", "molecule.atoms"),
        ("encoder_hidden = [4]", "encoder_hidden = [5]", "model.encoder_hidden"),
        ("x_unit = \"bohr\"", "x_unit = \"pm\"", "columns.x_unit"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&config, text.replacen(from, to, 1))?;
        for error in [trained.predict().unwrap_err(), trained.train(true).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
            assert!(error.contains("config.toml` was changed"), "{error}");
        }
    }
    Ok(())
}

/// A run of an earlier version has no digests: it is read, with one remark.
#[test]
fn a_run_without_digests_is_read_with_a_remark() -> TestResult {
    let trained = Trained::new(1)?;
    let before = trained.predict()?;
    let run = trained.run();
    let strip = |name: &str, keys: &[&str]| -> TestResult {
        let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join(name))?)?;
        let object = value.as_object_mut().ok_or("no object")?;
        keys.iter().for_each(|key| drop(object.remove(*key)));
        Ok(std::fs::write(run.join(name), serde_json::to_string(&value)?)?)
    };
    strip("model.json", &["sha256", "files"])?;
    strip("evaluation.json", &["sha256"])?;
    let mut begun: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("training.json"))?)?;
    let fingerprint = begun["data_fingerprint"].take();
    std::fs::write(run.join("data.sha256"), fingerprint.as_str().ok_or("no digest")?)?;
    std::fs::remove_file(run.join("training.json"))?;
    let told = remarks(&run)?;
    assert!(matches!(&told[..], [one] if one.contains("have no digests")), "{told:?}");
    assert_eq!(trained.predict()?, before);
    trained.compare()?;
    trained.train(true)?;
    assert_eq!(remarks(&run)?, Vec::<String>::new(), "resumed, it has digests");
    assert_eq!(trained.predict()?, before);
    // Without its record of the beginning a run with digests is not complete.
    std::fs::remove_file(run.join("training.json"))?;
    assert!(trained.predict().unwrap_err().to_string().contains("training.json"));
    Ok(())
}

/// The table is known by its content, not by its place; what stood beside it is remembered.
#[test]
fn a_table_that_moved_resumes() -> TestResult {
    let mut trained = Trained::new(1)?;
    let old = trained.folder.path().join("table.csv");
    let new = trained.folder.path().join("moved.csv");
    std::fs::rename(&old, &new)?;
    let record = std::fs::read_to_string(trained.run().join("model.json"))?;
    assert!(record.contains("\"detector\""));
    for error in [trained.evaluate().unwrap_err(), trained.train(true).unwrap_err()] {
        let error = error.to_string();
        assert!(error.contains("name its new place with `cei train --resume --data`"), "{error}");
    }
    trained.experiment.source.files = vec![new.display().to_string()];
    trained.experiment.training.max_epochs = 3;
    trained.train(true)?;
    trained.evaluate()?;
    let record = std::fs::read_to_string(trained.run().join("model.json"))?;
    assert!(record.contains("\"detector\""), "the noise is forgotten");
    // Another table is refused, wherever it lies.
    simulate(&new, 61, 1.0)?;
    assert!(matches!(trained.train(true), Err(RunError::ResumeTable { .. })));
    Ok(())
}

/// An evaluation does not outlive the model that it is of.
#[test]
fn an_evaluation_of_an_earlier_model_is_refused() -> TestResult {
    let mut trained = Trained::new(1)?;
    trained.experiment.training.max_epochs = 4;
    trained.train(true)?;
    assert!(matches!(trained.compare(), Err(RunError::EvaluationOfAnother { .. })));
    trained.evaluate()?;
    trained.compare()?;
    Ok(())
}

/// Scores that cannot be kept are given all the same, and why they are not kept is told.
#[test]
fn scores_of_a_run_that_cannot_be_written_are_given() -> TestResult {
    let trained = Trained::new(1)?;
    let file = trained.run().join("evaluation.json");
    std::fs::remove_file(&file)?;
    std::fs::create_dir(&file)?;
    let options = EvaluateOptions::default();
    let scores = evaluate_run(&trained.run(), &options, open_device("cpu")?, |_| {}, |_, _| {})?;
    assert!(scores.not_kept.is_some_and(|why| why.contains("evaluation.json")));
    Ok(())
}

/// A run is in use, or was left in the middle: the sentence says which, and what to do.
#[test]
fn an_unfinished_run_says_what_it_is() -> TestResult {
    let trained = Trained::new(1)?;
    let lock = cei_files::Lock::acquire(&trained.run())?;
    for error in [trained.predict().unwrap_err(), trained.train(true).unwrap_err()] {
        assert!(error.to_string().contains("is still in training (process"), "{error}");
    }
    drop(lock);
    std::fs::remove_file(trained.run().join("model.json"))?;
    let error = trained.predict().unwrap_err().to_string();
    assert!(error.contains("was interrupted\nhint: finish it with `cei train -o"), "{error}");
    Ok(())
}

/// A table and the simulation beside it are of one making, or refused.
#[test]
fn a_table_beside_the_simulation_of_another_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let refused = |table: &Path| match cei_run::dataset::simulation_of(&[table.to_owned()]) {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    simulate(&at("quiet.csv"), 20, 0.1)?;
    simulate(&at("noisy.csv"), 20, 1.0)?;
    assert_eq!(refused(&at("noisy.csv")), None);
    // As if two simulations into one file had crossed, or one was killed between its two files.
    std::fs::copy(sidecar_path(&at("quiet.csv")), sidecar_path(&at("noisy.csv")))?;
    let told = refused(&at("noisy.csv")).ok_or("believed")?;
    assert!(told.contains("is not the table that"), "{told}");
    // A row less.
    let table = std::fs::read_to_string(at("quiet.csv"))?;
    std::fs::write(at("quiet.csv"), table.lines().take(20).collect::<Vec<_>>().join("\n"))?;
    let told = refused(&at("quiet.csv")).ok_or("believed")?;
    assert!(told.contains("with some rows removed"), "{told}");
    // As the hint says.
    let sidecar = sidecar_path(&at("quiet.csv"));
    let text = std::fs::read_to_string(&sidecar)?;
    let unbound: Vec<&str> = text.lines().filter(|line| !line.contains("SHA-256")).collect();
    std::fs::write(&sidecar, unbound.join("\n"))?;
    assert_eq!(refused(&at("quiet.csv")), None);
    assert_eq!(cei_run::dataset::sidecar_remarks(&[at("quiet.csv")]).len(), 1);
    // An edit of the noise.
    simulate(&at("noisy.csv"), 20, 1.0)?;
    let sidecar = sidecar_path(&at("noisy.csv"));
    let text = std::fs::read_to_string(&sidecar)?;
    std::fs::write(&sidecar, text.replace("momentum_noise_au = 1.0", "momentum_noise_au = 0.1"))?;
    assert!(refused(&at("noisy.csv")).ok_or("believed")?.contains("was edited"));
    // One that cannot be written leaves the older pair as it was.
    let both = || std::fs::read(at("whole.csv"));
    simulate(&at("whole.csv"), 20, 1.0)?;
    let before = both()?;
    std::fs::remove_file(sidecar_path(&at("whole.csv")))?;
    std::fs::create_dir(sidecar_path(&at("whole.csv")))?;
    assert!(simulate(&at("whole.csv"), 20, 0.1).is_err());
    assert_eq!(both()?, before);
    Ok(())
}

/// Two simulations into one file: the second is refused while the first one works.
#[test]
fn two_simulations_do_not_write_one_table() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = folder.path().join("table.csv");
    let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
    simulation.events = 60_000;
    let mut second = None;
    simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {
        second = second.take().or_else(|| simulate(&table, 10, 0.1).err());
    })?;
    let told = second.ok_or("both were written")?.to_string();
    assert!(told.contains("is being written by another command (process"), "{told}");
    assert!(cei_run::dataset::simulation_beside(&table)?.is_some());
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 2);
    Ok(())
}
