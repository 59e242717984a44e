//! Models that compute on a device. One test, since what it counts is counted in the whole process: no tensor crosses in a step of
//! a training, what crosses in an epoch does not depend on its steps, and many rows cross together. The device is a processor
//! here; the path is that of every device.

use std::sync::atomic::AtomicBool;

use cei_cinn::CinnConfig;
use cei_cvae::CvaeConfig;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{Batch, ConditionalModel, Transfers, open_device};
use cei_train::{
    DegenerateNoise, EpochRecord, Observer, Optimizer, Progress, Rows, TrainingConfig,
    TrainingRows, train,
};
use ndarray::{array, s};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const BATCH: usize = 16;

/// Notes what has crossed after every batch, and after every epoch, and in which the weights were the best.
#[derive(Default)]
struct Count {
    batches: Vec<Vec<u64>>,
    epochs: Vec<u64>,
    best: Vec<bool>,
}

impl Observer for Count {
    fn batch(&mut self, progress: &Progress) {
        if progress.batch == 1 {
            self.batches.push(Vec::new());
        }
        if let Some(batches) = self.batches.last_mut() {
            batches.push(Transfers::so_far().total());
        }
    }

    fn epoch(&mut self, progress: &Progress, record: &EpochRecord) {
        self.epochs.push(Transfers::so_far().total());
        self.best.push(progress.best.is_some_and(|(epoch, _)| epoch == record.epoch));
    }
}

fn rows(n: usize) -> Rows {
    let draw =
        |columns| standard_normal(n, columns, &mut stream(7, Purpose::Draws, columns as u64));
    Rows { x: draw(3), y: draw(4) }
}

/// What crosses in each epoch after the first beside the weights where they are the best, in a training of `steps` steps an
/// epoch; asserts that nothing crosses between its batches.
fn crossings(
    model: &mut dyn ConditionalModel,
    config: &TrainingConfig,
    degenerate: Option<DegenerateNoise>,
    steps: usize,
) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let rows = TrainingRows {
        training: rows(steps * BATCH - 3).into(),
        validation: rows(40).into(),
        degenerate,
    };
    let (mut count, stop) = (Count::default(), AtomicBool::new(false));
    train(model, &rows, config, None, false, &stop, &mut count)?;
    assert_eq!(count.batches.len(), config.max_epochs);
    for batches in &count.batches[1..] {
        assert_eq!(batches.len(), steps);
        assert!(batches.iter().all(|so_far| *so_far == batches[0]), "{batches:?}");
    }
    let crossed = count.epochs.windows(2).map(|pair| pair[1] - pair[0]);
    Ok(crossed.zip(&count.best[1..]).map(|(crossed, best)| crossed - u64::from(*best)).collect())
}

/// Tables in, results out: as many tensors for many rows as for few, and the same results.
fn rows_cross_together(models: Vec<Box<dyn ConditionalModel>>) {
    let (n, few) = (20_000, 5);
    let Rows { x, y } = rows(n);
    for model in models {
        let batch = Batch { x: x.view(), y: y.view() };
        let z = standard_normal(n, model.dimensions().z, &mut stream(8, Purpose::Draws, 0));
        let mut before = Transfers::so_far();
        let mut crossed = || {
            let now = Transfers::so_far();
            let crossed = now.since(std::mem::replace(&mut before, now));
            [crossed.to_device, crossed.to_host]
        };
        let decoded = model.decode(z.view(), y.view());
        assert_eq!(crossed(), [2, 1]);
        let moments = model.latent_moments(batch);
        assert_eq!(crossed(), [2, 1]);
        let densities = model.log_prob(batch);
        assert_eq!(crossed(), if densities.is_some() { [2, 1] } else { [2, 0] });

        for begin in [0, 8_190, n - few] {
            let rows = begin..begin + few;
            let part = s![rows.clone(), ..];
            assert_eq!(model.decode(z.slice(part), y.slice(part)), decoded.slice(part));
            let batch = batch.rows(rows.clone());
            let of_part = model.latent_moments(batch);
            assert_eq!(of_part.mean, moments.mean.slice(part));
            assert_eq!(of_part.variance, moments.variance.slice(part));
            let densities = densities.as_ref().map(|all| all[rows].to_vec());
            assert_eq!(model.log_prob(batch), densities);
        }
    }
}

#[test]
fn no_tensor_crosses_in_a_step() -> TestResult {
    let device = open_device("ndarray")?;
    let flow = CinnConfig { couplings: 2, hidden: vec![8], ..CinnConfig::default() };
    let spline = CinnConfig { couplings: 2, hidden: vec![8, 8], ..CinnConfig::spline() };
    let cvae = CvaeConfig {
        encoder_hidden: vec![8],
        decoder_hidden: vec![8],
        latent: 2,
        kl_warmup_epochs: 2.0,
        ..CvaeConfig::default()
    };
    let plain = TrainingConfig {
        batch_size: BATCH,
        max_epochs: 4,
        learning_rate: 1e-3,
        ..TrainingConfig::default()
    };
    let all = TrainingConfig {
        ema_decay: 0.9,
        gradient_clip: 1.0,
        weight_decay: 1e-2,
        warmup_epochs: 1.0,
        ..plain
    };
    let muon = TrainingConfig { optimizer: Optimizer::Muon, ..all };
    let noise = DegenerateNoise { directions: array![[0.6, 0.8, 0.0]], sd: 0.5 };
    let models = || -> Result<[Box<dyn ConditionalModel>; 3], Box<dyn std::error::Error>> {
        Ok([
            cei_cinn::build(&flow, 3, 4, 1, device.clone())?,
            cei_cinn::build(&spline, 3, 4, 1, device.clone())?,
            cei_cvae::build(&cvae, 3, 4, 1, device.clone())?,
        ])
    };
    rows_cross_together(models()?.into());
    for config in [&plain, &all, &muon] {
        for degenerate in [None, Some(noise.clone())] {
            for (mut few, mut many) in models()?.into_iter().zip(models()?) {
                let few = crossings(&mut *few, config, degenerate.clone(), 4)?;
                let many = crossings(&mut *many, config, degenerate.clone(), 12)?;
                // The order of the rows and the losses, of the steps and of the validation rows; random numbers of the model and
                // of the degenerate directions.
                assert!((3..=5).contains(&few[0]), "{few:?}");
                assert!(
                    few.iter().chain(&many).all(|crossed| *crossed == few[0]),
                    "{few:?} {many:?}"
                );
            }
        }
    }
    Ok(())
}
