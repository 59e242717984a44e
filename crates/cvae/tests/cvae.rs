//! Properties of the CVAE: its loss by hand, its gradient against finite differences, and what a
//! test position may reach.

use burn::tensor::{Tensor, TensorData};
use cei_cvae::{Cvae, CvaeConfig, Reconstruction, build, kl_divergence};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::tensor::{from_matrix, to_matrix};
use cei_model::testing::directional_derivatives;
use cei_model::{Activation, Batch, open_device};
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
    let (_, log_variance) = model.encode(huge);
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

#[test]
fn bad_hyper_parameters_are_named() {
    let bad = [
        (CvaeConfig { latent: 0, ..CvaeConfig::default() }, "model.latent"),
        (CvaeConfig { encoder_hidden: vec![], ..CvaeConfig::default() }, "model.encoder_hidden"),
        (CvaeConfig { decoder_hidden: vec![0], ..CvaeConfig::default() }, "model.decoder_hidden"),
        (CvaeConfig { beta: f64::NAN, ..CvaeConfig::default() }, "model.beta"),
    ];
    for (config, key) in bad {
        assert_eq!(config.check().map_err(|error| error.key), Err(key));
    }
}
