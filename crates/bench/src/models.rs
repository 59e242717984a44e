//! Training steps, densities and draws of the models on the processor, at the shapes of the reference
//! programs: 9 columns of `x` and `y`, batches of 512 rows in training and of 8192 in drawing.

use std::error::Error;

use cei_cinn::{CinnConfig, Flow};
use cei_cvae::{Cvae, CvaeConfig};
use cei_model::random::{Purpose, fill_standard_normal, standard_normal, stream};
use cei_model::{Activation, Batch, ConditionalModel, Gradient, OnDevice, open_device};
use cei_train::adam::{Adam, StepSize};
use ndarray::Array2;
use rayon::prelude::*;

use crate::Clock;

const BATCH: usize = 512;
const DRAWS: usize = 8192;
/// Latents are drawn as predictions draw them: a stream for the draws of each event.
const DRAWS_OF_AN_EVENT: usize = 1024;

/// The reference models.
#[derive(Debug, Clone, Copy)]
enum Model {
    Cvae { hidden: usize, latent: usize },
    Cinn { hidden: usize },
}

/// The models, by the names that the reference programs give them.
const MODELS: [(&str, Model); 4] = [
    ("cvae128", Model::Cvae { hidden: 128, latent: 8 }),
    ("cvae512", Model::Cvae { hidden: 512, latent: 32 }),
    ("cinn128", Model::Cinn { hidden: 128 }),
    ("cinn256", Model::Cinn { hidden: 256 }),
];

/// The two ways in which a model computes on the processor.
#[derive(Debug, Clone, Copy)]
enum Path {
    /// By the kernels of this project.
    Fused,
    /// By the operators of the tensor library, as on every other device.
    Composed,
}

impl Model {
    fn build(self, path: Path) -> Result<Box<dyn ConditionalModel>, Box<dyn Error>> {
        let device = open_device("cpu")?;
        let mut rng = stream(1, Purpose::Weights, 0);
        Ok(match self {
            Self::Cvae { hidden, latent } => {
                let config = CvaeConfig {
                    encoder_hidden: vec![hidden; 2],
                    decoder_hidden: vec![hidden; 2],
                    latent,
                    activation: Activation::Elu,
                    ..CvaeConfig::default()
                };
                match path {
                    Path::Fused => cei_cvae::build(&config, 9, 9, 1, device)?,
                    Path::Composed => {
                        let network = Cvae::new(&config, 9, 9, &mut rng, &device)?;
                        Box::new(OnDevice::new(network, device))
                    }
                }
            }
            Self::Cinn { hidden } => {
                let config = CinnConfig {
                    hidden: vec![hidden; 2],
                    activation: Activation::Relu,
                    ..CinnConfig::default()
                };
                match path {
                    Path::Fused => cei_cinn::build(&config, 9, 9, 1, device)?,
                    Path::Composed => {
                        let flow = Flow::new(&config, 9, 9, &mut rng, &device)?;
                        Box::new(OnDevice::new(flow, device))
                    }
                }
            }
        })
    }
}

pub(crate) fn time(clock: &Clock) -> Result<(), Box<dyn Error>> {
    for (name, model) in MODELS {
        let mut fused = model.build(Path::Fused)?;
        training_step(clock, "training step", name, &mut *fused);
        inference(clock, name, &*fused);
        let mut composed = model.build(Path::Composed)?;
        training_step(clock, "training step, composed", name, &mut *composed);
    }
    Ok(())
}

/// Loss, gradient, Adam and the new parameters.
fn training_step(clock: &Clock, case: &str, name: &str, model: &mut dyn ConditionalModel) {
    let parameters = model.parameters().values.len();
    let mut gradient = Gradient::default();
    let mut adam = Adam::new(parameters);
    let size = StepSize { learning_rate: 1e-3, weight_decay: 0.0, gradient_clip: 0.0 };
    let (x, y) = (rows(BATCH, 9), rows(BATCH, 9));
    let batch = Batch { x: x.view(), y: y.view() };
    let mut step = 0;
    clock.time(case, name, BATCH, || {
        step += 1;
        let mut noise = stream(1, Purpose::TrainingNoise, step);
        model.loss_and_gradient(batch, &mut noise, &mut gradient);
        model.update_parameters(adam.step(&gradient, size));
    });
}

/// Draws with and without drawing the latents, and the density of those that have one.
fn inference(clock: &Clock, name: &str, model: &dyn ConditionalModel) {
    let y = rows(DRAWS, 9);
    let mut z = Array2::zeros((DRAWS, model.dimensions().z));
    clock.time("sampling", name, DRAWS, || {
        draw_latents(&mut z);
        model.decode(z.view(), y.view())
    });
    clock.time("decoding", name, DRAWS, || model.decode(z.view(), y.view()));
    let x = rows(DRAWS, 9);
    let batch = Batch { x: x.view(), y: y.view() };
    if model.log_prob(batch).is_some() {
        clock.time("log_prob", name, DRAWS, || model.log_prob(batch));
    }
}

fn draw_latents(z: &mut Array2<f32>) {
    let columns = z.ncols();
    if let Some(values) = z.as_slice_mut() {
        values.par_chunks_mut(DRAWS_OF_AN_EVENT * columns).enumerate().for_each(|(event, z)| {
            fill_standard_normal(z, &mut stream(1, Purpose::Draws, event as u64));
        });
    }
}

fn rows(n: usize, columns: usize) -> Array2<f32> {
    standard_normal(n, columns, &mut stream(1, Purpose::Draws, columns as u64))
}
