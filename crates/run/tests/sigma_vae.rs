//! A CVAE with a learned decoder variance, from table to scores, where the answer is known:
//! `x | y ~ N(y, 0.5^2)`, whose negative log-likelihood is `1/2 log(2 pi e 0.25)` = 0.726 nats.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cei_model::open_device;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_run::evaluate::{EvaluateOptions, RunEvaluation, evaluate_run};
use cei_run::train::train_run;
use cei_run::trained::draws::draw_positions;
use cei_run::{Experiment, TrainedRun};
use cei_train::Silent;
use ndarray::{Axis, s};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const SD: f64 = 0.5;

const EXPERIMENT: &str = r#"
[columns]
x = ["x"]
y = ["y"]
[model]
kind = "cvae"
encoder_hidden = [16]
decoder_hidden = [16]
latent = 2
prior_hidden = [8]
[training]
learning_rate = 1e-2
batch_size = 256
max_epochs = 40
"#;

fn trained(
    folder: &Path,
    name: &str,
    given: &[&str],
) -> Result<RunEvaluation, Box<dyn std::error::Error>> {
    let table = folder.join("table.csv");
    let normal = standard_normal(4000, 2, &mut stream(8, Purpose::Draws, 0)).mapv(f64::from);
    let mut text = "x,y\n".to_owned();
    for row in normal.rows() {
        writeln!(text, "{},{}", 3.0 + row[0] + SD * row[1], row[0])?;
    }
    std::fs::write(&table, text)?;
    let mut overrides: Vec<String> = given.iter().map(|&key| key.to_owned()).collect();
    overrides.push(format!("source.files=['{}']", table.display()));
    let experiment = Experiment::parse(EXPERIMENT, "test", &overrides)?;
    let (path, stop) = (folder.join(name), AtomicBool::new(false));
    train_run(&experiment, &path, "cpu", false, &stop, |_| {}, &mut Silent)?;
    Ok(evaluate_run(&path, &EvaluateOptions::default(), open_device("cpu")?, |_| {}, |_, _| {})?)
}

#[test]
fn its_bound_is_the_known_likelihood_and_its_draws_have_the_known_spread() -> TestResult {
    let folder = tempfile::tempdir()?;
    for options in [
        vec!["evaluation.latent=prior"],
        vec!["model.prior=conditional", "model.encoder_input=x-and-y", "model.kl_warmup_epochs=5"],
    ] {
        let name = options.len().to_string();
        let options = [&["model.decoder_variance=per-column"], &options[..]].concat();
        let evaluation = trained(folder.path(), &name, &options)?;
        let bound = evaluation.scores.likelihood_bound.ok_or("no bound")?;
        // 600 test rows: a standard error of sqrt(1/2 / 600) = 0.03, three of which are allowed, and
        // 0.02 for what the network did not learn.
        assert!((bound.nll_bound - 0.726).abs() < 0.11, "{options:?}: {bound:?}");
        assert_eq!(bound.nll_bound_d_eff, 1);
        assert!(evaluation.scores.likelihood.is_none());
        // Standard error 1.2 %.
        let coverage = evaluation.scores.distribution.coverage["0.9"];
        assert!((coverage - 0.9).abs() < 0.05, "{options:?}: {coverage}");

        let run = TrainedRun::load(&folder.path().join(&name), open_device("cpu")?)?;
        let y = standard_normal(5, 1, &mut stream(2, Purpose::Draws, 0)).mapv(f64::from);
        let draws = draw_positions(&run, y.view(), 2000, 1, 0);
        let alone = draw_positions(&run, y.slice(s![3..4, ..]), 2000, 1, 3);
        assert_eq!(draws.slice(s![3..4, .., ..]), alone, "{options:?}");
        for (draws, y) in draws.axis_iter(Axis(0)).zip(&y) {
            let (mean, sd) = (draws.mean().unwrap_or(f64::NAN), draws.std(0.0));
            assert!((sd - SD).abs() < 0.08, "{options:?}: {sd} at {y}");
            assert!((mean - 3.0 - y).abs() < 0.15, "{options:?}: {mean} at {y}");
        }
    }
    Ok(())
}

/// The answer is one Gaussian, which the decoder alone can be; with a dear KL divergence nothing is left
/// for the latent, whose mean may follow `y` all the same.
#[test]
fn a_collapse_beside_a_conditional_prior_is_said_in_words() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = [
        "model.decoder_variance=shared",
        "model.prior=conditional",
        "model.encoder_input=x-and-y",
        "model.beta=20",
    ];
    let active = trained(folder.path(), "run", &options)?.active_latent.ok_or("no count")?;
    assert_eq!((active.active, active.of, active.declared_variance), (0, 2, true), "{active}");
    assert!(active.kl_nats.is_some_and(|nats| (0.0..0.02).contains(&nats)), "{active}");
    let text = active.to_string();
    assert!(text.contains("collapsed") && text.contains("beyond p(z | y)"), "{text}");
    Ok(())
}

#[test]
fn a_model_without_declared_variance_has_no_bound() -> TestResult {
    let folder = tempfile::tempdir()?;
    let evaluation = trained(folder.path(), "run", &["training.max_epochs=2"])?;
    assert!(evaluation.scores.likelihood_bound.is_none());
    let active = evaluation.active_latent.ok_or("no count")?;
    assert!(active.kl_nats.is_none() && !active.declared_variance);
    Ok(())
}
