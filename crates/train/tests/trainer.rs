//! The trainer on a model whose answer is known: `x = w y + b`, with squared error.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{
    Batch, ConditionalModel, Dimensions, Gradient, LatentMoments, Loss, Parameter, Parameters, Team,
};
use cei_train::{
    Checkpoint, EpochRecord, EpochRows, EpochRowsError, Observer, Optimizer, Progress, Rows,
    Schedule, Silent, StopReason, TrainError, TrainingConfig, TrainingReport, TrainingRows, train,
    train_on_new_rows,
};
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// `x = w y + b` with a little noise in the loss, so that the streams of noise matter too, and a
/// gradient that depends on the progress of the training.
struct Line {
    parameters: Parameters,
    /// Step from which on the loss is no number.
    breaks_at: Option<usize>,
    steps: AtomicUsize,
    /// Grows over the first ten epochs, as the weight of a term in a warm-up does.
    warmth: f32,
}

impl Line {
    fn new() -> Self {
        let parameter = |name: &str, shape: &[usize], offset| Parameter {
            name: name.to_owned(),
            shape: shape.to_owned(),
            offset,
        };
        let layout = vec![parameter("line.weight", &[1, 1], 0), parameter("line.bias", &[1], 1)];
        let parameters = Parameters { layout, values: vec![0.0; 2] };
        Self { parameters, breaks_at: None, steps: AtomicUsize::new(0), warmth: 1.0 }
    }
}

impl ConditionalModel for Line {
    fn dimensions(&self) -> Dimensions {
        Dimensions { x: 1, y: 1, z: 1 }
    }

    fn loss_terms(&self) -> &'static [&'static str] {
        &["squared_error"]
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn set_parameters(&mut self, values: &[f32]) {
        self.parameters.values.copy_from_slice(values);
    }

    fn set_progress(&mut self, epochs: f64) {
        self.warmth = 0.5 + 0.05 * epochs.min(10.0) as f32;
    }

    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss {
        self.loss_and_gradient(batch, noise, &mut Gradient::default())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut Gradient,
    ) -> Loss {
        let g = gradient.whole(2);
        let n = batch.x.nrows() as f32;
        let jitter = standard_normal(batch.x.nrows(), 1, noise) * 0.01;
        let (w, b) = (self.parameters.values[0], self.parameters.values[1]);
        let residual = &batch.y * w + b + &jitter - batch.x;
        g[0] = self.warmth * 2.0 * (&residual * &batch.y).sum() / n;
        g[1] = self.warmth * 2.0 * residual.sum() / n;
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let mut total = f64::from(residual.mapv(|r| r * r).sum() / n);
        if self.breaks_at.is_some_and(|breaks_at| step >= breaks_at) {
            total = f64::NAN;
        }
        Loss { total, terms: vec![total] }
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let zero = Array2::zeros(batch.x.raw_dim());
        LatentMoments { mean: zero.clone(), variance: zero }
    }

    fn decode(&self, _z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
        y.to_owned() * self.parameters.values[0] + self.parameters.values[1]
    }
}

fn line_rows(n: usize) -> Rows {
    let y = standard_normal(n, 1, &mut stream(4, Purpose::Draws, n as u64));
    Rows { x: &y * 3.0 - 1.0, y }
}

fn rows() -> TrainingRows {
    TrainingRows {
        training: line_rows(205).into(),
        validation: line_rows(50).into(),
        degenerate: None,
    }
}

fn config() -> TrainingConfig {
    TrainingConfig {
        learning_rate: 0.03,
        batch_size: 32,
        max_epochs: 60,
        patience: 60,
        ..TrainingConfig::default()
    }
}

fn run(
    model: &mut Line,
    config: &TrainingConfig,
    checkpoint: Option<&Path>,
    resume: bool,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<TrainingReport, TrainError> {
    train(model, &rows(), config, checkpoint, resume, stop, observer)
}

fn with_muon() -> TrainingConfig {
    TrainingConfig {
        optimizer: Optimizer::Muon,
        learning_rate: 0.3,
        schedule: Schedule::OneCycle,
        ..config()
    }
}

#[test]
fn finds_the_line() -> TestResult {
    finds_the_line_with(&config())
}

#[test]
fn muon_finds_it_too() -> TestResult {
    finds_the_line_with(&with_muon())
}

/// The first step of a weight is 0.2 learning rates times what the polynomial makes of 1, and that of a bias is Adam's.
#[test]
fn muon_moves_weights_and_adam_the_others() -> TestResult {
    let stop = AtomicBool::new(false);
    let once = TrainingConfig { batch_size: 205, max_epochs: 1, ..with_muon() };
    let once = TrainingConfig { schedule: Schedule::Constant, ..once };
    let mut model = Line::new();
    run(&mut model, &once, None, false, &mut Silent, &stop)?;
    let quintic = |s: f64, [a, b, c]: [f64; 3]| s * (a + s * s * (b + s * s * c));
    let quintics = [[7.3625, -20.7434, 15.1606], [2.9175, -2.1824, 0.4755]];
    let expected = [0.2 * 0.3 * quintics.into_iter().fold(1.0, quintic), -0.3];
    for (found, expected) in model.parameters.values.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
    }
    Ok(())
}

fn finds_the_line_with(config: &TrainingConfig) -> TestResult {
    let mut model = Line::new();
    let stop = AtomicBool::new(false);
    let report = run(&mut model, config, None, false, &mut Silent, &stop)?;
    assert_eq!(report.reason, StopReason::MaxEpochs);
    assert_eq!(report.history.epochs.len(), 60);
    let [w, b] = model.parameters.values[..] else { return Err("two parameters".into()) };
    assert!((w - 3.0).abs() < 0.02 && (b + 1.0).abs() < 0.02, "{w} {b}");
    let best = report.best.ok_or("no best")?;
    let lowest = report.history.epochs.iter().map(|e| e.validation_loss).fold(f64::MAX, f64::min);
    assert_eq!(best.1, lowest);
    Ok(())
}

/// Asks to stop after a number of batches.
struct StopAfter<'a>(usize, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn batch(&mut self, _progress: &Progress) {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

/// 205 rows in batches of 32 make 7 batches an epoch: the stops fall on the first batch, in the
/// middle of an epoch and on its end.
#[test]
fn an_interrupted_and_resumed_training_ends_in_the_same_bits() -> TestResult {
    resumes_in_the_same_bits(&config())
}

/// The average, the decay on a plateau and a schedule within the epoch are part of the state too.
#[test]
fn average_plateau_and_warm_up_resume_in_the_same_bits() -> TestResult {
    let config = TrainingConfig {
        ema_decay: 0.98,
        plateau_factor: 0.5,
        plateau_patience: 1,
        min_delta: 0.01,
        schedule: Schedule::OneCycle,
        warmup_epochs: 3.5,
        ..config()
    };
    let stop = AtomicBool::new(false);
    let report = run(&mut Line::new(), &config, None, false, &mut Silent, &stop)?;
    let last = report.history.epochs.last().ok_or("no epoch")?;
    let scheduled = config.learning_rate_at(60.0);
    assert!(last.learning_rate < 0.6 * scheduled, "the plateau has decayed: {last:?}");
    resumes_in_the_same_bits(&config)
}

#[test]
fn muon_resumes_in_the_same_bits() -> TestResult {
    resumes_in_the_same_bits(&with_muon())
}

fn resumes_in_the_same_bits(config: &TrainingConfig) -> TestResult {
    let folder = tempfile::tempdir()?;
    let stop = AtomicBool::new(false);
    let mut whole = Line::new();
    let expected = run(&mut whole, config, None, false, &mut Silent, &stop)?;
    for batches in [1, 17, 21] {
        let path = folder.path().join(format!("{batches}.safetensors"));
        let stop = AtomicBool::new(false);
        let mut model = Line::new();
        let observer = &mut StopAfter(batches, &stop);
        let report = run(&mut model, config, Some(&path), false, observer, &stop)?;
        assert_eq!(report.reason, StopReason::Interrupted);
        assert_eq!(report.history.epochs.len(), batches / 7);
        stop.store(false, Ordering::Relaxed);
        let mut model = Line::new();
        let resumed = run(&mut model, config, Some(&path), true, &mut Silent, &stop)?;
        let bits =
            |model: &Line| model.parameters.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&model), bits(&whole), "after {batches} batches");
        assert_eq!(resumed.best, expected.best);
        let losses = |report: &TrainingReport| {
            let bits = |e: &EpochRecord| {
                [e.training_loss, e.validation_loss, e.learning_rate].map(f64::to_bits)
            };
            report.history.epochs.iter().map(bits).collect::<Vec<_>>()
        };
        assert_eq!(losses(&resumed), losses(&expected));
    }
    Ok(())
}

/// One epoch of one batch: after step 1 the decay is min(0.9, 2 / 11), so the average has moved by
/// 9 / 11 of the step from zero, and it is what is validated and kept.
#[test]
fn the_averaged_parameters_are_validated_and_kept() -> TestResult {
    let one_step = TrainingConfig { batch_size: 205, max_epochs: 1, ..config() };
    let stop = AtomicBool::new(false);
    let (mut plain, mut mean) = (Line::new(), Line::new());
    let moved = run(&mut plain, &one_step, None, false, &mut Silent, &stop)?;
    let averaged = TrainingConfig { ema_decay: 0.9, ..one_step };
    let kept = run(&mut mean, &averaged, None, false, &mut Silent, &stop)?;
    for (moved, kept) in plain.parameters.values.iter().zip(&mean.parameters.values) {
        assert!((kept - moved * 9.0 / 11.0).abs() < 1e-6, "{kept} of {moved}");
    }
    let loss = |report: &TrainingReport| report.history.epochs[0].validation_loss;
    // The first step leads downhill, so the loss at 9/11 of it lies above that at its end.
    assert!(loss(&kept) > loss(&moved));
    let mut noise = stream(averaged.seed, Purpose::ValidationNoise, 0);
    let validation = rows().validation;
    let all = validation.some(usize::MAX)?;
    let batch = all.batch();
    assert_eq!(mean.loss(batch, &mut noise).total, loss(&kept));
    Ok(())
}

#[test]
fn a_checkpoint_without_average_cannot_be_resumed_with_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("checkpoint.safetensors");
    let stop = AtomicBool::new(false);
    let short = TrainingConfig { max_epochs: 1, ..config() };
    run(&mut Line::new(), &short, Some(&path), false, &mut Silent, &stop)?;
    let averaged = TrainingConfig { ema_decay: 0.9, ..config() };
    let result = run(&mut Line::new(), &averaged, Some(&path), true, &mut Silent, &stop);
    let Err(error) = result else { return Err("it was resumed".into()) };
    assert!(error.to_string().contains("`training.ema_decay`"), "{error}");
    Ok(())
}

/// New rows in every epoch, whose slope is the number of the epoch.
#[derive(Default)]
struct Slopes {
    prepared: Vec<usize>,
    taken: Vec<usize>,
}

impl EpochRows for Slopes {
    fn prepare(&mut self, epoch: usize) {
        self.prepared.push(epoch);
    }

    fn take(&mut self, epoch: usize) -> Result<Rows, EpochRowsError> {
        self.taken.push(epoch);
        if epoch == 9 {
            return Err("there is no ninth".into());
        }
        let y = standard_normal(205, 1, &mut stream(5, Purpose::Draws, epoch as u64));
        Ok(Rows { x: &y * epoch as f32, y })
    }
}

#[test]
fn every_epoch_has_its_own_rows_and_a_resumed_one_the_same() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("checkpoint.safetensors");
    let stop = AtomicBool::new(false);
    let config = TrainingConfig { max_epochs: 8, ..config() };
    let mut whole = Line::new();
    let mut slopes = Slopes::default();
    let fresh = Some(&mut slopes as &mut dyn EpochRows);
    let (args, alone) = ((&rows(), &config), Team::default());
    train_on_new_rows(&mut whole, args.0, fresh, args.1, None, false, &stop, &mut Silent, &alone)?;
    // The next rows are ordered before an epoch begins; there are none after the last.
    assert_eq!((slopes.prepared, slopes.taken), ((2..=8).collect(), (2..=8).collect()));
    let (mut resumed, mut slopes) = (Line::new(), Slopes::default());
    for (model, resume) in [(&mut Line::new(), false), (&mut resumed, true)] {
        let observer = &mut StopAfter(if resume { usize::MAX } else { 3 * 7 + 4 }, &stop);
        let fresh = Some(&mut slopes as &mut dyn EpochRows);
        train_on_new_rows(
            model,
            args.0,
            fresh,
            args.1,
            Some(&path),
            resume,
            &stop,
            observer,
            &alone,
        )?;
        stop.store(false, Ordering::Relaxed);
    }
    assert_eq!(slopes.taken, [2, 3, 4, 4, 5, 6, 7, 8]);
    let bits =
        |model: &Line| model.parameters.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&resumed), bits(&whole));
    Ok(())
}

#[test]
fn rows_that_cannot_be_made_end_the_training_with_their_reason() {
    let stop = AtomicBool::new(false);
    let fresh = Some(&mut Slopes::default() as &mut dyn EpochRows);
    let mut model = Line::new();
    let (rows, config, observer) = (rows(), config(), &mut Silent);
    let team = &Team::default();
    let result =
        train_on_new_rows(&mut model, &rows, fresh, &config, None, false, &stop, observer, team);
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "the rows of epoch 9 cannot be made: there is no ninth");
}

#[test]
fn resuming_a_finished_training_changes_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("checkpoint.safetensors");
    let stop = AtomicBool::new(false);
    let config = TrainingConfig { patience: 3, min_delta: 0.5, ..config() };
    let mut model = Line::new();
    let first = run(&mut model, &config, Some(&path), false, &mut Silent, &stop)?;
    assert_eq!(first.reason, StopReason::Patience);
    let mut model = Line::new();
    let second = run(&mut model, &config, Some(&path), true, &mut Silent, &stop)?;
    assert_eq!(first, second);
    Ok(())
}

#[test]
fn a_longer_training_continues_a_finished_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("checkpoint.safetensors");
    let stop = AtomicBool::new(false);
    let short = TrainingConfig { max_epochs: 20, ..config() };
    run(&mut Line::new(), &short, Some(&path), false, &mut Silent, &stop)?;
    let mut resumed = Line::new();
    run(&mut resumed, &config(), Some(&path), true, &mut Silent, &stop)?;
    let mut whole = Line::new();
    run(&mut whole, &config(), None, false, &mut Silent, &stop)?;
    assert_eq!(resumed.parameters.values, whole.parameters.values);
    Ok(())
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_the_best() -> TestResult {
    let stop = AtomicBool::new(false);
    let config = TrainingConfig { max_epochs: 2, ..config() };
    let mut sound = Line::new();
    run(&mut sound, &config, None, false, &mut Silent, &stop)?;
    // Two epochs of 7 steps and a validation each: the third epoch fails at its third step.
    let mut broken = Line { breaks_at: Some(2 * 8 + 3), ..Line::new() };
    let config = TrainingConfig { max_epochs: 5, ..config };
    let report = run(&mut broken, &config, None, false, &mut Silent, &stop)?;
    let StopReason::Diverged(divergence) = report.reason else {
        return Err(format!("{:?}", report.reason).into());
    };
    assert_eq!((divergence.epoch, divergence.batch, divergence.best), (3, Some(3), Some(2)));
    let text = divergence.to_string();
    assert!(
        text.starts_with("the loss became NaN in epoch 3, batch 3; the parameters of epoch 2"),
        "{text}"
    );
    assert_eq!(broken.parameters.values, sound.parameters.values);
    Ok(())
}

#[test]
fn a_checkpoint_is_written_every_epoch() -> TestResult {
    struct Watch<'a>(&'a Path, Vec<usize>);
    impl Observer for Watch<'_> {
        fn batch(&mut self, progress: &Progress) {
            if progress.batch == 1 && progress.epoch > 1 {
                let checkpoint = Checkpoint::load(self.0, 2);
                self.1.extend(checkpoint.map(|c| c.state.history.epochs.len()));
            }
        }

        fn epoch(&mut self, progress: &Progress, record: &EpochRecord) {
            assert_eq!(progress.epoch, record.epoch);
        }
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("checkpoint.safetensors");
    let mut watch = Watch(&path, Vec::new());
    let config = TrainingConfig { max_epochs: 4, ..config() };
    run(&mut Line::new(), &config, Some(&path), false, &mut watch, &AtomicBool::new(false))?;
    assert_eq!(watch.1, [1, 2, 3]);
    Ok(())
}

#[test]
fn no_rows_are_an_error() {
    let empty = || Rows { x: Array2::zeros((0, 1)), y: Array2::zeros((0, 1)) };
    let rows = TrainingRows {
        training: line_rows(3).into(),
        validation: empty().into(),
        degenerate: None,
    };
    let stop = AtomicBool::new(false);
    let result = train(&mut Line::new(), &rows, &config(), None, false, &stop, &mut Silent);
    assert!(matches!(result, Err(TrainError::NoRows { training: 3, validation: 0 })));
}
