//! An ensemble is the equal-weight mixture of its members: in its densities, its draws and its files.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cei_data::SumOptions;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{Batch, open_device};
use cei_run::dataset::LaterTable;
use cei_run::evaluate::{EvaluateOptions, evaluate_run};
use cei_run::folder::layout;
use cei_run::predict::{PredictOptions, predict_to_files};
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_run::trained::draws::draw_positions;
use cei_run::{Experiment, RunError, TrainedRun};
use cei_train::{Observer, Progress, Silent};
use ndarray::{Axis, s};

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
kind = "cinn"
couplings = 2
hidden = [16]
[training]
max_epochs = 3
batch_size = 100
learning_rate = 0.01
seed = 7
"#;

fn experiment(folder: &Path, given: &[&str]) -> Result<Experiment, RunError> {
    let table = folder.join("table.csv");
    if !table.exists() {
        let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
        simulation.events = 500;
        simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {})?;
    }
    let files = format!("source.files=['{}']", table.display());
    let given = [&[files.as_str()], given].concat().into_iter().map(str::to_owned);
    Ok(Experiment::parse(EXPERIMENT, "test", &given.collect::<Vec<_>>())?)
}

fn train(experiment: &Experiment, run: &Path) -> Result<(), RunError> {
    let stop = AtomicBool::new(false);
    train_run(experiment, run, "cpu", false, &stop, |_| {}, &mut Silent)?;
    Ok(())
}

fn load(run: &Path) -> Result<TrainedRun, Box<dyn std::error::Error>> {
    Ok(TrainedRun::load(run, open_device("cpu")?)?)
}

fn weights(run: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(run.join("model.safetensors"))
}

#[test]
fn the_density_is_the_mean_of_those_of_the_members() -> TestResult {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    train(&experiment(folder.path(), &["training.ensemble=3"])?, &run)?;
    let ensemble = load(&run)?;
    assert_eq!((ensemble.members.len(), ensemble.record.name()), (3, "ensemble of 3 cINNs".into()));
    let preprocessing = &ensemble.record.preprocessing;
    let rows = |width, purpose| standard_normal(20, width, &mut stream(1, purpose, 0));
    let x = rows(preprocessing.x_dim(), Purpose::Draws);
    let y = rows(preprocessing.y_dim(), Purpose::Shuffle);
    let batch = Batch { x: x.view(), y: y.view() };
    let mixture = ensemble.log_prob(batch).ok_or("no density")?;
    let mut densities = vec![0.0; 20];
    for number in 1..=3 {
        let member = load(&layout::member(&run, number))?;
        let log_prob = member.log_prob(batch).ok_or("no density")?;
        densities.iter_mut().zip(log_prob).for_each(|(sum, value)| *sum += value.exp() / 3.0);
    }
    for (log_prob, density) in mixture.iter().zip(&densities) {
        assert!((log_prob - density.ln()).abs() < 1e-9, "{log_prob} {density}");
    }
    Ok(())
}

/// The members are made to answer with distant constants, so that each draw tells who made it.
#[test]
fn draws_come_from_all_members_alike_and_do_not_depend_on_other_events() -> TestResult {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    train(&experiment(folder.path(), &["training.ensemble=3"])?, &run)?;
    let mut ensemble = load(&run)?;
    for (place, member) in ensemble.members.iter_mut().enumerate() {
        member.latent.mean.fill(1e3 * (place as f64 - 1.0));
        member.latent.sd.fill(1e-3);
    }
    let table = load_table(&experiment(folder.path(), &[])?)?;
    let (events, count) = (20, 300);
    let y = table.y.slice(s![..events, ..]);
    let draws = draw_positions(&ensemble, y, count, 5, 100);
    let mut counts = vec![0; 3];
    for (place, found) in counts.iter_mut().enumerate() {
        let mut alone = load(&layout::member(&run, place + 1))?;
        alone.members[0].latent = ensemble.members[place].latent.clone();
        let own = draw_positions(&alone, y, 1, 5, 100);
        for (draws, own) in draws.axis_iter(Axis(0)).zip(own.axis_iter(Axis(0))) {
            let near = |draw: &ndarray::ArrayView1<'_, f64>| {
                let size = own.iter().map(|v| v.abs()).fold(0.0, f64::max);
                let off = draw - &own.row(0);
                off.iter().all(|v| v.abs() < 0.01 * size)
            };
            *found += draws.rows().into_iter().filter(|draw| near(draw)).count();
        }
    }
    // Every draw has one maker; 6000 draws over three: the standard error of a count is
    // sqrt(6000 2/9) = 37, and five of them are allowed.
    assert_eq!(counts.iter().sum::<usize>(), events * count);
    assert!(counts.iter().all(|&found| (1815..=2185).contains(&found)), "{counts:?}");
    let later = draw_positions(&ensemble, table.y.slice(s![5..events, ..]), count, 5, 105);
    assert_eq!(later, draws.slice(s![5.., .., ..]));
    Ok(())
}

fn load_table(experiment: &Experiment) -> Result<cei_data::Table, cei_data::LoadError> {
    cei_data::load(&experiment.source, &experiment.columns)
}

#[test]
fn members_are_the_single_runs_of_consecutive_seeds() -> TestResult {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    train(&experiment(folder.path(), &["training.ensemble=2"])?, &run)?;
    for (number, seed) in [(1, "training.seed=7"), (2, "training.seed=8")] {
        let single = folder.path().join(seed);
        train(&experiment(folder.path(), &[seed])?, &single)?;
        assert!(weights(&single)? == weights(&layout::member(&run, number))?, "{seed}");
    }
    Ok(())
}

/// Asks to stop after a number of batches, and keeps the members that were begun.
struct StopAfter<'a>(usize, &'a AtomicBool, Vec<usize>);

impl Observer for StopAfter<'_> {
    fn member(&mut self, member: usize, members: usize) {
        assert_eq!(members, 3);
        self.2.push(member);
    }

    fn batch(&mut self, _progress: &Progress) {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_ensemble_resumes_in_the_member_where_it_was_interrupted() -> TestResult {
    let folder = tempfile::tempdir()?;
    let experiment = experiment(folder.path(), &["training.ensemble=3"])?;
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    train(&experiment, &whole)?;
    let stop = AtomicBool::new(false);
    // 350 training rows are 4 batches, three epochs are 12: the stop falls into the second member.
    let mut observer = StopAfter(17, &stop, Vec::new());
    let outcome = train_run(&experiment, &halves, "cpu", false, &stop, |_| {}, &mut observer)?;
    assert_eq!((outcome.record.is_none(), observer.2), (true, vec![1, 2]));
    let unfinished = load(&halves).map(|_| ()).unwrap_err().to_string();
    assert!(unfinished.contains("--resume`"), "{unfinished}");
    stop.store(false, Ordering::Relaxed);
    let again = train_run(&experiment, &halves, "cpu", false, &stop, |_| {}, &mut Silent);
    assert!(matches!(again, Err(RunError::RunExists { .. })));
    let outcome = train_run(&experiment, &halves, "cpu", true, &stop, |_| {}, &mut Silent)?;
    let record = outcome.record.ok_or("unfinished")?;
    assert_eq!((record.ensemble, record.training.epochs), (Some(3), 9));
    for number in 1..=3 {
        assert!(
            weights(&layout::member(&whole, number))? == weights(&layout::member(&halves, number))?
        );
    }
    Ok(())
}

#[test]
fn an_ensemble_is_scored_and_predicts_like_a_run() -> TestResult {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    train(&experiment(folder.path(), &["training.ensemble=2"])?, &run)?;
    let options = EvaluateOptions { draws: Some(20), ..EvaluateOptions::default() };
    let evaluation = evaluate_run(&run, &options, open_device("cpu")?, |_| {}, |_, _| {})?;
    assert_eq!(evaluation.scored.model, "ensemble of 2 cINNs");
    assert!(evaluation.scores.invertibility_max_abs.is_some_and(|error| error < 1e-3));
    let mixture = evaluation.scores.likelihood.ok_or("no likelihood")?.nll;
    let mut members = 0.0;
    for number in [1, 2] {
        let member = layout::member(&run, number);
        let evaluation = evaluate_run(&member, &options, open_device("cpu")?, |_| {}, |_, _| {})?;
        members += evaluation.scores.likelihood.ok_or("no likelihood")?.nll / 2.0;
    }
    // Jensen: the logarithm of the mean density is at least the mean of its logarithm.
    assert!(mixture < members, "{mixture} {members}");
    let options = PredictOptions {
        momenta: LaterTable::file(folder.path().join("table.csv").to_string_lossy()),
        sums: SumOptions::default(),
        draws: 3,
        seed: 0,
        false_coincidences: None,
        draws_file: folder.path().join("draws.csv"),
        summary_file: None,
        refine: false,
        modes_file: None,
        chain_file: None,
        initial_momenta: false,
        report_file: None,
        report_events: Vec::new(),
        shard: None,
    };
    let report = predict_to_files(&run, &options, open_device("cpu")?, |_| {})?;
    assert_eq!((report.events, report.draws), (500, 3));
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let none = experiment(folder.path(), &["training.ensemble=0"]).unwrap_err();
    assert!(none.to_string().contains("`training.ensemble` is `0`"), "{none}");
    train(&experiment(folder.path(), &["training.ensemble=2"])?, &run)?;
    let stop = AtomicBool::new(false);
    let more = experiment(folder.path(), &["training.ensemble=3"])?;
    let differs = train_run(&more, &run, "cpu", true, &stop, |_| {}, &mut Silent).unwrap_err();
    assert!(differs.to_string().contains("`training.ensemble` differs"), "{differs}");
    // A member that was trained anew on its own is not the one that the ensemble was made of.
    let second = layout::member(&run, 2);
    std::fs::remove_dir_all(&second)?;
    train(&experiment(folder.path(), &["training.seed=99"])?, &second)?;
    let foreign = load(&run).map(|_| ()).unwrap_err().to_string();
    assert!(foreign.contains("not those of its `model.json`"), "{foreign}");
    Ok(())
}
