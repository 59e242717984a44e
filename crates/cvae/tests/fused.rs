//! The fused CVAE on the processor against the composed one: losses, gradients, latents and
//! reconstructions.

use cei_cvae::{
    Cvae, CvaeConfig, DecoderVariance, EncoderInput, LatentPrior, Reconstruction, build,
};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::testing::{assert_close, assert_same_training, assert_update};
use cei_model::{Activation, Batch, ConditionalModel, Gradient, OnDevice, open_device};
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
                    ..CvaeConfig::default()
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

/// Every option beyond the proposal, alone and together, on odd shapes.
#[test]
fn fused_and_composed_agree_with_every_option() -> TestResult {
    let base = CvaeConfig {
        encoder_hidden: vec![17, 9],
        decoder_hidden: vec![13],
        latent: 5,
        prior_hidden: vec![11],
        beta: 0.7,
        ..CvaeConfig::default()
    };
    let learned = |decoder_variance| CvaeConfig { decoder_variance, ..base.clone() };
    let conditional = CvaeConfig { prior: LatentPrior::Conditional, ..base.clone() };
    let configs = [
        learned(DecoderVariance::Shared),
        learned(DecoderVariance::PerColumn),
        CvaeConfig { prior_hidden: vec![], ..conditional.clone() },
        CvaeConfig { encoder_input: EncoderInput::XAndY, ..base.clone() },
        CvaeConfig { kl_warmup_epochs: 4.0, ..base.clone() },
        // Between the smallest and the largest of the five divergences, so that some are paid.
        CvaeConfig { free_bits: 0.05, ..base.clone() },
        CvaeConfig {
            decoder_variance: DecoderVariance::PerColumn,
            encoder_input: EncoderInput::XAndY,
            kl_warmup_epochs: 4.0,
            free_bits: 0.05,
            ..conditional
        },
    ];
    for config in configs {
        for n in [1, 7, 513] {
            for scale in [1.0, 2.0] {
                agree(&config, 3, 4, n, scale)?;
            }
        }
    }
    Ok(())
}

/// With parameters so large that every learned logarithm meets its bound, where it has no gradient.
#[test]
fn fused_and_composed_agree_at_the_bounds_of_decoder_and_prior() -> TestResult {
    let config = CvaeConfig {
        encoder_hidden: vec![6],
        decoder_hidden: vec![6],
        latent: 2,
        activation: Activation::Relu,
        beta: 1e-6,
        decoder_variance: DecoderVariance::PerColumn,
        prior: LatentPrior::Conditional,
        prior_hidden: vec![6],
        ..CvaeConfig::default()
    };
    agree(&config, 3, 3, 50, 12.0)
}

fn agree(config: &CvaeConfig, d: usize, width: usize, n: usize, scale: f32) -> TestResult {
    let case = format!("d = {d}, {n} rows, {config:?}");
    let (mut fused, mut composed) = pair(config, d, width)?;
    let count = fused.parameters().values.len();
    // Those that start as zero (the last layer of the prior, the sd of the decoder) too.
    let values = fused.parameters().values.iter();
    let shift = standard_normal(1, count, &mut stream(5, Purpose::Draws, 0));
    let values: Vec<f32> =
        values.zip(&shift).map(|(value, shift)| scale * (value + 0.1 * shift)).collect();
    fused.set_parameters(&values);
    composed.set_parameters(&values);
    for model in [&mut fused, &mut composed] {
        model.set_progress(1.0);
    }
    let (x, y, z) = (rows(n, d, 0), rows(n, width, 1), rows(n, config.latent, 2));
    let batch = Batch { x: x.view(), y: y.view() };
    let noise = || stream(1, Purpose::TrainingNoise, 0);

    let mut gradients = <[Gradient; 2]>::default();
    let loss = fused.loss_and_gradient(batch, &mut noise(), &mut gradients[0]);
    let expected = composed.loss_and_gradient(batch, &mut noise(), &mut gradients[1]);
    let terms = |loss: &cei_model::Loss| {
        [&[loss.total], &loss.terms[..]].concat().iter().map(|v| *v as f32).collect::<Vec<_>>()
    };
    assert_close(&terms(&loss), &terms(&expected), 1e-5, &format!("{case}: loss"));
    let (compared, reference) =
        (fused.loss(batch, &mut noise()), composed.loss(batch, &mut noise()));
    assert_close(&terms(&compared), &terms(&reference), 1e-5, &format!("{case}: compared loss"));
    if config.kl_warmup_epochs == 0.0 && config.free_bits == 0.0 {
        assert_eq!(compared, loss, "{case}");
    }
    let gradients = gradients.map(|gradient| gradient.total());
    assert_close(&gradients[0], &gradients[1], 1e-5, &format!("{case}: gradient"));

    let values = |model: &dyn ConditionalModel| -> Vec<Vec<f32>> {
        let moments = model.latent_moments(batch);
        let decoded = model.decode(z.view(), y.view());
        [moments.mean, moments.variance, decoded].map(|m| m.into_iter().collect()).to_vec()
    };
    for (fused, composed) in values(&*fused).iter().zip(values(&*composed)) {
        assert_close(fused, &composed, 1e-5, &case);
    }
    assert_eq!(fused.decoder_sd().is_some(), composed.decoder_sd().is_some(), "{case}");
    if let (Some(fused), Some(composed)) = (fused.decoder_sd(), composed.decoder_sd()) {
        assert_close(&fused, &composed, 1e-6, &format!("{case}: sd"));
    }
    let priors = [&fused, &composed].map(|model| model.latent_prior(y.view()));
    assert_eq!(priors[0].is_some(), config.prior == LatentPrior::Conditional, "{case}");
    if let [Some(fused), Some(composed)] = priors {
        for (fused, composed) in [(fused.mean, composed.mean), (fused.variance, composed.variance)]
        {
            let [fused, composed] = [fused, composed].map(|m| m.into_iter().collect::<Vec<_>>());
            assert_close(&fused, &composed, 1e-5, &format!("{case}: prior"));
        }
    }
    assert_update(&mut *fused, batch);
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
