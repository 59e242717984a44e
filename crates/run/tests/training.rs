//! What training must keep whatever the model: the same bits with any number of threads, and no
//! memory that is asked for again and again.

use std::alloc::System;
use std::sync::atomic::AtomicBool;

use cei_cinn::CinnConfig;
use cei_cvae::CvaeConfig;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{ConditionalModel, open_device};
use cei_train::{
    DegenerateNoise, Observer, Progress, Rows, Silent, TrainingConfig, TrainingRows, train,
};
use ndarray::Array2;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A CVAE and a cINN with 9 columns of `x` and `y`.
fn models() -> Result<[Box<dyn ConditionalModel>; 2], Box<dyn std::error::Error>> {
    let cvae = CvaeConfig {
        encoder_hidden: vec![32, 32],
        decoder_hidden: vec![32, 32],
        latent: 8,
        ..CvaeConfig::default()
    };
    let cinn = CinnConfig { couplings: 4, hidden: vec![32, 32], ..CinnConfig::default() };
    let device = open_device("cpu")?;
    Ok([cei_cvae::build(&cvae, 9, 9, 1, device.clone())?, cei_cinn::build(&cinn, 9, 9, 1, device)?])
}

fn rows(training: usize) -> TrainingRows {
    let rows = |n, index| {
        let normal = |purpose| standard_normal(n, 9, &mut stream(1, purpose, index));
        Rows { x: normal(Purpose::Draws), y: normal(Purpose::Shuffle) }
    };
    TrainingRows {
        training: rows(training, 0).into(),
        validation: rows(300, 1).into(),
        degenerate: Some(DegenerateNoise { directions: Array2::eye(9), sd: 0.01 }),
    }
}

/// Both tests in one: a second test would allocate while this one counts.
#[test]
fn training_keeps_its_bits_and_its_memory() -> TestResult {
    the_number_of_threads_changes_no_bit()?;
    a_step_allocates_little_and_no_more_for_larger_batches()
}

fn the_number_of_threads_changes_no_bit() -> TestResult {
    let rows = rows(1100);
    let config = TrainingConfig {
        batch_size: 512,
        max_epochs: 3,
        gradient_clip: 1.0,
        ..TrainingConfig::default()
    };
    let mut results = Vec::new();
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let mut bits = Vec::new();
        for mut model in models()? {
            let stop = AtomicBool::new(false);
            pool.install(|| train(&mut *model, &rows, &config, None, false, &stop, &mut Silent))?;
            bits.push(model.parameters().values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
        results.push(bits);
    }
    assert_eq!(results[0], results[1], "1 and 2 threads");
    assert_eq!(results[0], results[2], "1 and 3 threads");
    Ok(())
}

/// Counts what is allocated from the end of one batch to the end of the next.
struct Counter {
    region: Region<'static, System>,
    steps: Vec<Stats>,
}

impl Observer for Counter {
    fn batch(&mut self, progress: &Progress) {
        // The first batch of an epoch stands behind a validation and a shuffle.
        if progress.epoch > 1 && progress.batch > 1 {
            self.steps.push(self.region.change());
        }
        self.region.reset();
    }
}

/// With one thread: of several, one that the machine keeps busy elsewhere may get its first rows, and with
/// them its buffers, in a late step.
fn a_step_allocates_little_and_no_more_for_larger_batches() -> TestResult {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    for batch_size in [64, 2048] {
        let rows = rows(batch_size * 6);
        let config = TrainingConfig { batch_size, max_epochs: 4, ..TrainingConfig::default() };
        for mut model in models()? {
            let stop = AtomicBool::new(false);
            let steps = Vec::with_capacity(1000);
            let mut counter = Counter { region: Region::new(ALLOCATOR), steps };
            pool.install(|| train(&mut *model, &rows, &config, None, false, &stop, &mut counter))?;
            assert_eq!(counter.steps.len(), 3 * 5);
            let worst = counter.steps.iter().max_by_key(|stats| stats.bytes_allocated);
            let Some(worst) = worst else { unreachable!("there are steps") };
            // The terms of the loss, and blocks of the queues of the thread pool.
            assert!(worst.bytes_allocated < 8192, "batch {batch_size}: {worst:?}");
            assert!(worst.allocations < 20, "batch {batch_size}: {worst:?}");
        }
    }
    Ok(())
}
