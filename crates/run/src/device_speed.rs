//! How fast a device trains and draws: the proposal's flow on random rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cei_cinn::CinnConfig;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{ConditionalModel, Transfers, open_device};
use cei_train::{EpochRecord, Observer, Progress, Rows, TrainingConfig, TrainingRows, train};
use serde::Serialize;

use crate::RunError;

/// Columns of `x` and of `y`: three atoms.
const COLUMNS: usize = 9;
const STEPS: usize = 8;
/// Draws that are decoded together.
const DRAWS: usize = 1 << 14;
/// How long steps are timed, once the first two epochs are over, and draws after the first ones.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// How fast a device trains and draws, and what crosses between it and the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceSpeed {
    /// As it is asked for.
    pub device: String,
    /// Steps of the optimiser a second, validation left out.
    pub steps_per_second: f64,
    /// Tensors that cross in a step.
    pub crossings_a_step: f64,
    /// Tensors that cross in an epoch, those of its steps included.
    pub crossings_an_epoch: f64,
    /// Draws a second, latents and momenta on the host and positions back there.
    pub draws_per_second: f64,
}

impl DeviceSpeed {
    /// What is timed, in words.
    pub fn what() -> String {
        let config = CinnConfig::default();
        format!(
            "a cINN of {} couplings with hidden layers {:?}, {} rows a batch, {STEPS} steps an epoch, {DRAWS} draws together",
            config.couplings,
            config.hidden,
            TrainingConfig::default().batch_size
        )
    }
}

/// Trains on the device for some seconds, and draws for some.
///
/// # Errors
/// A device that cannot be used.
pub fn time_device(device: &str) -> Result<DeviceSpeed, RunError> {
    let config = TrainingConfig::default();
    let mut model =
        cei_cinn::build(&CinnConfig::default(), COLUMNS, COLUMNS, 1, open_device(device)?)?;
    let normal = |n, index| standard_normal(n, COLUMNS, &mut stream(1, Purpose::Draws, index));
    let rows = |n| Rows { x: normal(n, 0), y: normal(n, 1) };
    let training = TrainingRows {
        training: rows(STEPS * config.batch_size).into(),
        validation: rows(1).into(),
        degenerate: None,
    };
    let stop = AtomicBool::new(false);
    let mut clock = Clock::new(&stop);
    train(model.as_mut(), &training, &config, None, false, &stop, &mut clock)?;
    let epochs = clock.epochs as f64;
    Ok(DeviceSpeed {
        device: device.to_owned(),
        steps_per_second: epochs * STEPS as f64 / clock.training.as_secs_f64(),
        crossings_a_step: clock.in_steps as f64 / (epochs * (STEPS - 1) as f64),
        crossings_an_epoch: clock.crossed as f64 / epochs,
        draws_per_second: draws_per_second(model.as_ref(), &rows(DRAWS)),
    })
}

/// The first draws are not counted: a device compiles its kernels for them.
fn draws_per_second(model: &dyn ConditionalModel, Rows { x: z, y }: &Rows) -> f64 {
    let decode = || std::hint::black_box(model.decode(z.view(), y.view()));
    decode();
    let (begun, mut times) = (Instant::now(), 0);
    while times == 0 || begun.elapsed() < LONG_ENOUGH {
        decode();
        times += 1;
    }
    (times * z.nrows()) as f64 / begun.elapsed().as_secs_f64()
}

/// Times the epochs after the first two, in which a device compiles its kernels.
struct Clock<'a> {
    stop: &'a AtomicBool,
    epochs: usize,
    training: Duration,
    /// When the last epoch ended, and what had crossed then.
    last: Option<(Instant, Transfers)>,
    /// What had crossed after the first batch of the epoch.
    first_batch: Transfers,
    in_steps: u64,
    crossed: u64,
}

impl<'a> Clock<'a> {
    fn new(stop: &'a AtomicBool) -> Self {
        Self {
            stop,
            epochs: 0,
            training: Duration::ZERO,
            last: None,
            first_batch: Transfers::default(),
            in_steps: 0,
            crossed: 0,
        }
    }
}

impl Observer for Clock<'_> {
    fn batch(&mut self, progress: &Progress) {
        let now = Transfers::so_far();
        if progress.batch == 1 {
            self.first_batch = now;
        } else if progress.batch == STEPS && self.last.is_some() {
            self.in_steps += now.since(self.first_batch).total();
        }
    }

    fn epoch(&mut self, progress: &Progress, _record: &EpochRecord) {
        let now = (Instant::now(), Transfers::so_far());
        if progress.epoch < 2 {
            return;
        }
        if let Some((instant, transfers)) = self.last {
            self.epochs += 1;
            self.training += now.0 - instant;
            self.crossed += now.1.since(transfers).total();
        }
        self.last = Some(now);
        if self.training >= LONG_ENOUGH {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}
