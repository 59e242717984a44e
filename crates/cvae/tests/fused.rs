//! The fused CVAE on the processor against the composed one: losses, gradients, latents and
//! reconstructions.

use cei_cvae::{Cvae, CvaeConfig, Reconstruction, build};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::testing::{assert_close, assert_same_training};
use cei_model::{Activation, Batch, ConditionalModel, OnDevice, open_device};
use ndarray::Array2;

type TestResult = Result<(), Box<dyn std::error::Error>>;
type Pair = (Box<dyn ConditionalModel>, Box<dyn ConditionalModel>);

/// Widths of `x`, `y` and the latent, and of the hidden layers of encoder and decoder.
type Shape = (usize, usize, usize, &'static [usize], &'static [usize]);

/// The fused and the composed model, built alike.
fn pair(config: &CvaeConfig, x: usize, y: usize) -> Result<Pair, Box<dyn std::error::Error>> {
    let device = open_device("cpu")?;
    let cvae = Cvae::new(config, x, y, &mut stream(4, Purpose::Weights, 0), &device)?;
    Ok((build(config, x, y, 4, device.clone())?, Box::new(OnDevice::new(cvae, device))))
}

fn rows(n: usize, d: usize, index: u64) -> Array2<f32> {
    standard_normal(n, d, &mut stream(9, Purpose::Draws, index))
}

#[test]
fn both_start_with_the_same_parameters() -> TestResult {
    let (fused, composed) = pair(&CvaeConfig::default(), 9, 9)?;
    assert_eq!(fused.parameters(), composed.parameters());
    assert_eq!(fused.loss_terms(), composed.loss_terms());
    Ok(())
}

#[test]
fn fused_and_composed_agree_on_odd_shapes() -> TestResult {
    let shapes: [Shape; 4] = [
        (1, 1, 1, &[1], &[]),
        (2, 5, 3, &[17], &[31]),
        (3, 2, 16, &[16, 33], &[20, 7, 12]),
        (9, 9, 20, &[40, 24, 18], &[64, 64]),
    ];
    let kinds = [Activation::Elu, Activation::Relu, Activation::Tanh, Activation::Gelu];
    for (x, y, latent, encoder, decoder) in shapes {
        for (activation, reconstruction) in
            kinds.into_iter().zip([Reconstruction::Sum, Reconstruction::Mean].repeat(2))
        {
            for n in [1, 7, 513] {
                let config = CvaeConfig {
                    encoder_hidden: encoder.to_vec(),
                    decoder_hidden: decoder.to_vec(),
                    latent,
                    activation,
                    beta: 0.7,
                    reconstruction,
                };
                agree(&config, x, y, n, 1.0)?;
            }
        }
    }
    Ok(())
}

/// With parameters so large that `log sigma^2` meets its bound, where it has no gradient.
#[test]
fn fused_and_composed_agree_at_the_bound_of_the_variance() -> TestResult {
    let config = CvaeConfig {
        encoder_hidden: vec![6],
        decoder_hidden: vec![6],
        latent: 4,
        // Where tanh is flat, its slope is rounding errors.
        activation: Activation::Relu,
        beta: 0.0,
        ..CvaeConfig::default()
    };
    agree(&config, 3, 3, 50, 12.0)
}

fn agree(config: &CvaeConfig, d: usize, width: usize, n: usize, scale: f32) -> TestResult {
    let case = format!("d = {d}, {n} rows, {config:?}");
    let (mut fused, mut composed) = pair(config, d, width)?;
    let values: Vec<f32> = fused.parameters().values.iter().map(|value| scale * value).collect();
    fused.set_parameters(&values);
    composed.set_parameters(&values);
    let count = values.len();
    let (x, y, z) = (rows(n, d, 0), rows(n, width, 1), rows(n, config.latent, 2));
    let batch = Batch { x: x.view(), y: y.view() };
    let noise = || stream(1, Purpose::TrainingNoise, 0);

    let mut gradients = [vec![0.0; count], vec![0.0; count]];
    let loss = fused.loss_and_gradient(batch, &mut noise(), &mut gradients[0]);
    let expected = composed.loss_and_gradient(batch, &mut noise(), &mut gradients[1]);
    let terms = |loss: &cei_model::Loss| {
        [&[loss.total], &loss.terms[..]].concat().iter().map(|v| *v as f32).collect::<Vec<_>>()
    };
    assert_close(&terms(&loss), &terms(&expected), 1e-5, &format!("{case}: loss"));
    assert_eq!(fused.loss(batch, &mut noise()), loss, "{case}");
    assert_close(&gradients[0], &gradients[1], 1e-5, &format!("{case}: gradient"));

    let values = |model: &dyn ConditionalModel| -> Vec<Vec<f32>> {
        let moments = model.latent_moments(batch);
        let decoded = model.decode(z.view(), y.view());
        [moments.mean, moments.variance, decoded].map(|m| m.into_iter().collect()).to_vec()
    };
    for (fused, composed) in values(&*fused).iter().zip(values(&*composed)) {
        assert_close(fused, &composed, 1e-5, &case);
    }
    Ok(())
}

#[test]
fn a_hundred_steps_end_at_the_same_loss() -> TestResult {
    let config = CvaeConfig {
        encoder_hidden: vec![48, 48],
        decoder_hidden: vec![48, 48],
        latent: 8,
        ..CvaeConfig::default()
    };
    let (mut fused, mut composed) = pair(&config, 9, 9)?;
    let (x, y) = (rows(600, 9, 0), rows(600, 9, 1));
    assert_same_training(&mut *fused, &mut *composed, Batch { x: x.view(), y: y.view() });
    Ok(())
}
