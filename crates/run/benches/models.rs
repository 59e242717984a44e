//! Training steps, densities and draws of the models on the processor, at the shapes of the
//! reference programs: 9 columns of `x` and `y`, batches of 512 rows in training
//! and of 8192 in drawing.
//!
//! `RAYON_NUM_THREADS` sets the number of threads.

use cei_cinn::CinnConfig;
use cei_cvae::CvaeConfig;
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{Activation, Batch, ConditionalModel, open_device};
use cei_train::adam::{Adam, StepSize};
use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;

const BATCH: usize = 512;
const DRAWS: usize = 8192;

fn main() {
    divan::main();
}

/// The reference models.
#[derive(Debug, Clone, Copy)]
enum Model {
    Cvae { hidden: usize, latent: usize },
    Cinn { hidden: usize },
}

const MODELS: [Model; 4] = [
    Model::Cvae { hidden: 128, latent: 8 },
    Model::Cvae { hidden: 512, latent: 32 },
    Model::Cinn { hidden: 128 },
    Model::Cinn { hidden: 256 },
];

impl Model {
    fn build(self) -> Box<dyn ConditionalModel> {
        let device = open_device("cpu").expect("the processor is there");
        match self {
            Self::Cvae { hidden, latent } => {
                let config = CvaeConfig {
                    encoder_hidden: vec![hidden; 2],
                    decoder_hidden: vec![hidden; 2],
                    latent,
                    activation: Activation::Elu,
                    ..CvaeConfig::default()
                };
                cei_cvae::build(&config, 9, 9, 1, device)
            }
            Self::Cinn { hidden } => {
                let config = CinnConfig { hidden: vec![hidden; 2], ..CinnConfig::default() };
                cei_cinn::build(&config, 9, 9, 1, device)
            }
        }
        .expect("the configuration is in range")
    }
}

fn rows(n: usize, columns: usize) -> Array2<f32> {
    standard_normal(n, columns, &mut stream(1, Purpose::Draws, columns as u64))
}

/// Loss, gradient, Adam and the new parameters.
#[divan::bench(args = MODELS)]
fn training_step(bencher: Bencher<'_, '_>, model: Model) {
    let mut model = model.build();
    let mut values = model.parameters().values.clone();
    let mut gradient = vec![0.0; values.len()];
    let mut adam = Adam::new(values.len());
    let size = StepSize { learning_rate: 1e-3, weight_decay: 0.0, gradient_clip: 0.0 };
    let (x, y) = (rows(BATCH, 9), rows(BATCH, 9));
    let mut step = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        step += 1;
        let mut noise = stream(1, Purpose::TrainingNoise, step);
        let batch = Batch { x: x.view(), y: y.view() };
        model.loss_and_gradient(batch, &mut noise, &mut gradient);
        adam.step(&mut values, &gradient, size);
        model.set_parameters(&values);
    });
}

/// From latents and `y` to `x`.
#[divan::bench(args = MODELS)]
fn decode(bencher: Bencher<'_, '_>, model: Model) {
    let model = model.build();
    let (z, y) = (rows(DRAWS, model.dimensions().z), rows(DRAWS, 9));
    bencher.counter(ItemsCount::new(DRAWS)).bench_local(|| model.decode(z.view(), y.view()));
}

/// The density of the flows.
#[divan::bench(args = [MODELS[2], MODELS[3]])]
fn log_prob(bencher: Bencher<'_, '_>, model: Model) {
    let model = model.build();
    let (x, y) = (rows(DRAWS, 9), rows(DRAWS, 9));
    let batch = Batch { x: x.view(), y: y.view() };
    bencher.counter(ItemsCount::new(DRAWS)).bench_local(|| model.log_prob(batch));
}
