//! Properties of the CVAE: its loss by hand, its gradient against finite differences, and what a
//! test position may reach.

use burn::tensor::{Tensor, TensorData};
use cei_cvae::{
    Cvae, CvaeConfig, DecoderVariance, EncoderInput, LatentPrior, Reconstruction, build,
    kl_divergence,
};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::tensor::{from_matrix, to_matrix};
use cei_model::testing::directional_derivatives;
use cei_model::{Activation, Batch, ConditionalModel, Gradient, log_prob_bound, open_device};
use ndarray::{Array2, array};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn config() -> CvaeConfig {
    CvaeConfig {
        encoder_hidden: vec![11, 7],
        decoder_hidden: vec![13, 5],
        latent: 3,
        ..CvaeConfig::default()
    }
}

fn rows(n: usize, d: usize, index: u64) -> Array2<f32> {
    standard_normal(n, d, &mut stream(9, Purpose::Draws, index))
}

#[test]
fn kl_divergence_by_hand() -> TestResult {
    let device = open_device("cpu")?;
    // mu = (0, 1), sigma^2 = (1, e): -1/2 [(1 + 0 - 0 - 1) + (1 + 1 - 1 - e)] = (e - 1) / 2
    let mu = from_matrix(array![[0.0, 1.0]].view(), &device);
    let log_variance = from_matrix(array![[0.0, 1.0]].view(), &device);
    let kl = to_matrix(kl_divergence(mu, log_variance))[[0, 0]];
    assert!((kl - (1f32.exp() - 1.0) / 2.0).abs() < 1e-6, "{kl}");
    Ok(())
}

#[test]
fn the_loss_is_reconstruction_plus_beta_kl_and_mean_is_sum_over_d() -> TestResult {
    let (x, y) = (rows(40, 4, 0), rows(40, 2, 1));
    let loss = |beta, reconstruction| -> Result<_, Box<dyn std::error::Error>> {
        let config = CvaeConfig { beta, reconstruction, ..config() };
        let model = build(&config, 4, 2, 1, open_device("cpu")?)?;
        Ok(model
            .loss(Batch { x: x.view(), y: y.view() }, &mut stream(0, Purpose::TrainingNoise, 0)))
    };
    let sum = loss(0.5, Reconstruction::Sum)?;
    let mean = loss(0.5, Reconstruction::Mean)?;
    assert!((sum.total - (sum.terms[0] + 0.5 * sum.terms[1])).abs() < 1e-5);
    assert!((sum.terms[0] - 4.0 * mean.terms[0]).abs() < 1e-5);
    assert_eq!(sum.terms[1], mean.terms[1]);
    Ok(())
}

#[test]
fn gradient_agrees_with_finite_differences() -> TestResult {
    for activation in [Activation::Elu, Activation::Tanh, Activation::Gelu] {
        let config = CvaeConfig { activation, ..config() };
        let mut model = build(&config, 4, 2, 1, open_device("cpu")?)?;
        let (x, y) = (rows(64, 4, 2), rows(64, 2, 3));
        let batch = Batch { x: x.view(), y: y.view() };
        let (gradient, difference) = directional_derivatives(model.as_mut(), batch);
        let error = (gradient - difference).abs();
        assert!(error < 2e-3 * (1.0 + gradient.abs()), "{gradient} and {difference}");
        assert!(gradient.abs() > 1e-3, "the direction shows nothing: {gradient}");
    }
    Ok(())
}

/// exp of a large positive number is infinite; a masked ELU would make its gradient NaN.
#[test]
fn elu_has_a_finite_gradient_far_out() -> TestResult {
    let device = open_device("cpu")?.autodiff();
    let data = TensorData::new(vec![-200.0f32, -1.0, 0.5, 200.0], [1, 4]);
    let x = Tensor::<2>::from_data(data, &device).require_grad();
    let y = Activation::Elu.forward(x.clone());
    let gradients = y.clone().sum().backward();
    let values = to_matrix(y);
    let gradient = to_matrix(x.grad(&gradients).ok_or("no gradient")?);
    let e = (-1f32).exp();
    for (value, expected) in values.iter().zip([-1.0, e - 1.0, 0.5, 200.0]) {
        assert!((value - expected).abs() < 1e-6, "{value}");
    }
    for (value, expected) in gradient.iter().zip([0.0, e, 1.0, 1.0]) {
        assert!((value - expected).abs() < 1e-6, "{value}");
    }
    Ok(())
}

#[test]
fn the_encoder_sees_x_alone_and_its_log_variance_is_bounded() -> TestResult {
    let device = open_device("cpu")?;
    let model = Cvae::new(&config(), 4, 2, &mut stream(1, Purpose::Weights, 0), &device)?;
    let huge = from_matrix(rows(8, 4, 4).mapv(|v| v * 1e6).view(), &device);
    let y = from_matrix(rows(8, 2, 1).view(), &device);
    let (_, log_variance) = model.encode(huge, y);
    assert!(to_matrix(log_variance).iter().all(|v| v.abs() <= 20.0));
    let model = build(&config(), 4, 2, 1, device)?;
    let x = rows(8, 4, 5);
    let moments = |index| {
        let y = rows(8, 2, index);
        model.latent_moments(Batch { x: x.view(), y: y.view() }).mean
    };
    assert_eq!(moments(6), moments(7));
    Ok(())
}

#[test]
fn the_decoder_uses_z_and_y() -> TestResult {
    let model = build(&config(), 4, 2, 1, open_device("cpu")?)?;
    let decode = |z, y| model.decode(rows(1, 3, z).view(), rows(1, 2, y).view());
    assert_eq!(decode(0, 1), decode(0, 1));
    assert_ne!(decode(0, 1), decode(2, 1));
    assert_ne!(decode(0, 1), decode(0, 2));
    Ok(())
}

/// All options beyond the proposal at once.
fn all_options() -> CvaeConfig {
    CvaeConfig {
        decoder_variance: DecoderVariance::PerColumn,
        kl_warmup_epochs: 4.0,
        free_bits: 0.05,
        prior: LatentPrior::Conditional,
        prior_hidden: vec![6],
        encoder_input: EncoderInput::XAndY,
        ..config()
    }
}

/// A model whose parameters are all away from zero.
fn moved(config: &CvaeConfig) -> Result<Box<dyn ConditionalModel>, Box<dyn std::error::Error>> {
    let mut model = build(config, 4, 2, 1, open_device("cpu")?)?;
    let shift =
        standard_normal(1, model.parameters().values.len(), &mut stream(5, Purpose::Draws, 0));
    let values: Vec<f32> =
        model.parameters().values.iter().zip(&shift).map(|(value, s)| value + 0.2 * s).collect();
    model.set_parameters(&values);
    Ok(model)
}

/// The derivative of what training minimises along its gradient is the gradient's length.
#[test]
fn the_training_loss_has_its_gradient_with_every_option() -> TestResult {
    let mut model = moved(&all_options())?;
    model.set_progress(3.0);
    let (x, y) = (rows(64, 4, 2), rows(64, 2, 3));
    let batch = Batch { x: x.view(), y: y.view() };
    let values = model.parameters().values.clone();
    let mut gradient = Gradient::default();
    let noise = || stream(1, Purpose::TrainingNoise, 0);
    model.loss_and_gradient(batch, &mut noise(), &mut gradient);
    let gradient = gradient.total();
    let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let mut at = |step: f32| {
        let there: Vec<f32> =
            values.iter().zip(&gradient).map(|(value, g)| value + step * g / length).collect();
        model.set_parameters(&there);
        model.loss_and_gradient(batch, &mut noise(), &mut Gradient::default()).total
    };
    let difference = (at(3e-3) - at(-3e-3)) / 6e-3;
    let error = (f64::from(length) - difference).abs() / f64::from(length);
    assert!(error < 2e-3, "{length} and {difference}");
    Ok(())
}

#[test]
fn warm_up_and_free_bits_change_training_alone_and_by_hand() -> TestResult {
    let mut model = moved(&all_options())?;
    let (x, y) = (rows(50, 4, 2), rows(50, 2, 3));
    let batch = Batch { x: x.view(), y: y.view() };
    let noise = || stream(1, Purpose::TrainingNoise, 0);
    let mut gradient = Gradient::default();
    let elbo = model.loss(batch, &mut noise());
    let posterior = model.latent_moments(batch);
    let prior = model.latent_prior(y.view()).ok_or("no prior")?;
    let kl = posterior.kl_divergence(&prior).mean_axis(ndarray::Axis(0)).ok_or("no rows")?;
    assert!((elbo.terms[1] - kl.sum()).abs() < 1e-4 * kl.sum(), "{elbo:?} {kl}");
    assert!((elbo.total - elbo.terms[0] - elbo.terms[1]).abs() < 1e-9);
    let free_bits = 0.05;
    assert!(kl.iter().any(|kl| *kl > free_bits), "{kl}");
    let paid: f64 = kl.iter().map(|kl| kl.max(free_bits)).sum();
    // Never told, half way, and past the warm-up of 4 epochs.
    for (epochs, beta) in [(None, 1.0), (Some(0.0), 0.0), (Some(2.0), 0.5), (Some(9.0), 1.0)] {
        if let Some(epochs) = epochs {
            model.set_progress(epochs);
        }
        let training = model.loss_and_gradient(batch, &mut noise(), &mut gradient);
        let expected = elbo.terms[0] + beta * paid;
        assert!((training.total - expected).abs() < 1e-4, "{epochs:?}: {training:?}, {expected}");
        assert_eq!(model.loss(batch, &mut noise()), elbo, "{epochs:?}");
    }
    Ok(())
}

/// log N(x; x^, s^2) with the noise-free latent: a posterior that is a point at `mu`.
#[test]
fn a_learned_variance_makes_the_reconstruction_a_log_likelihood() -> TestResult {
    for decoder_variance in [DecoderVariance::Shared, DecoderVariance::PerColumn] {
        let model = moved(&CvaeConfig { decoder_variance, ..config() })?;
        let sd = model.decoder_sd().ok_or("no sd")?;
        assert_eq!(sd.len(), 4);
        let (x, y) = (rows(30, 4, 2), rows(30, 2, 3));
        let batch = Batch { x: x.view(), y: y.view() };
        let loss = model.loss(batch, &mut stream(1, Purpose::TrainingNoise, 0));
        let moments = model.latent_moments(batch);
        let eps = standard_normal(30, 3, &mut stream(1, Purpose::TrainingNoise, 0));
        let z = &moments.mean + &(moments.variance.mapv(f32::sqrt) * eps);
        let decoded = model.decode(z.view(), y.view());
        let nll: f64 = x
            .indexed_iter()
            .map(|((row, column), x)| {
                let s = f64::from(sd[column]);
                let error = f64::from(x - decoded[[row, column]]) / s;
                0.5 * (error * error + std::f64::consts::TAU.ln()) + s.ln()
            })
            .sum();
        assert!((loss.terms[0] - nll / 30.0).abs() < 1e-5 * nll.abs(), "{loss:?} {nll}");
    }
    assert_eq!(moved(&config())?.decoder_sd(), None);
    Ok(())
}

/// The bound by importance weights lies above the ELBO and, the model being Gaussian in all but its
/// decoder, rises with the number of samples.
#[test]
fn the_bound_is_the_elbo_with_one_sample_and_rises_with_more() -> TestResult {
    let config = CvaeConfig { free_bits: 0.0, kl_warmup_epochs: 0.0, ..all_options() };
    let model = moved(&config)?;
    let (x, y) = (rows(400, 4, 2), rows(400, 2, 3));
    let batch = Batch { x: x.view(), y: y.view() };
    let bound = |samples| -> Result<f64, Box<dyn std::error::Error>> {
        let mut rng = stream(1, Purpose::LikelihoodBound, 0);
        let bounds = log_prob_bound(&*model, batch, samples, &mut rng).ok_or("no bound")?;
        Ok(bounds.iter().sum::<f64>() / 400.0)
    };
    let elbo: f64 = (0..50)
        .map(|index| -model.loss(batch, &mut stream(1, Purpose::TrainingNoise, index)).total / 50.0)
        .sum();
    let (one, many) = (bound(1)?, bound(200)?);
    // The standard error of the mean of 400 single-sample bounds is below 0.2 here.
    assert!((one - elbo).abs() < 0.6, "{one} {elbo}");
    assert!(many > one.max(elbo), "{many} {one} {elbo}");
    let model = build(&crate::config(), 4, 2, 1, open_device("cpu")?)?;
    let mut rng = stream(1, Purpose::LikelihoodBound, 0);
    assert!(log_prob_bound(&*model, batch, 5, &mut rng).is_none());
    Ok(())
}

#[test]
fn a_conditional_prior_starts_as_the_standard_one_and_y_reaches_the_encoder_when_asked()
-> TestResult {
    let model = build(&all_options(), 4, 2, 1, open_device("cpu")?)?;
    let (x, y, other) = (rows(8, 4, 5), rows(8, 2, 6), rows(8, 2, 7));
    let prior = model.latent_prior(y.view()).ok_or("no prior")?;
    assert!(prior.mean.iter().all(|m| *m == 0.0) && prior.variance.iter().all(|v| *v == 1.0));
    let mean = |y: &Array2<f32>| model.latent_moments(Batch { x: x.view(), y: y.view() }).mean;
    assert_ne!(mean(&y), mean(&other));
    Ok(())
}

#[test]
fn bad_hyper_parameters_are_named() {
    let bad = [
        (CvaeConfig { latent: 0, ..CvaeConfig::default() }, "model.latent"),
        (CvaeConfig { encoder_hidden: vec![], ..CvaeConfig::default() }, "model.encoder_hidden"),
        (CvaeConfig { decoder_hidden: vec![0], ..CvaeConfig::default() }, "model.decoder_hidden"),
        (CvaeConfig { beta: f64::NAN, ..CvaeConfig::default() }, "model.beta"),
        (CvaeConfig { free_bits: -0.1, ..CvaeConfig::default() }, "model.free_bits"),
        (
            CvaeConfig { kl_warmup_epochs: f64::INFINITY, ..CvaeConfig::default() },
            "model.kl_warmup_epochs",
        ),
        (CvaeConfig { prior_hidden: vec![0], ..CvaeConfig::default() }, "model.prior_hidden"),
        (
            CvaeConfig {
                reconstruction: Reconstruction::Mean,
                decoder_variance: DecoderVariance::Shared,
                ..CvaeConfig::default()
            },
            "model.reconstruction",
        ),
    ];
    for (config, key) in bad {
        assert_eq!(config.check().map_err(|error| error.key), Err(key));
    }
}
