//! The fused flow on the processor against the composed one: losses, gradients, densities, latents
//! and draws.

use cei_cinn::layers::{ActNorm, Affine, Flip, LuLinear, Permutation, Spline};
use cei_cinn::{CinnConfig, Flow, LayerConfig, SubnetConfig, build};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::testing::{assert_close, assert_same_training, assert_update};
use cei_model::{Activation, Batch, ConditionalModel, Gradient, OnDevice, open_device};
use ndarray::Array2;

type TestResult = Result<(), Box<dyn std::error::Error>>;
type Pair = (Box<dyn ConditionalModel>, Box<dyn ConditionalModel>);

const ACTIVATIONS: [Activation; 4] =
    [Activation::Elu, Activation::Relu, Activation::Tanh, Activation::Gelu];

/// The fused and the composed model, built alike.
fn pair(config: &CinnConfig, x: usize, y: usize) -> Result<Pair, Box<dyn std::error::Error>> {
    let device = open_device("cpu")?;
    let flow = Flow::new(config, x, y, &mut stream(4, Purpose::Weights, 0), &device)?;
    Ok((build(config, x, y, 4, device.clone())?, Box::new(OnDevice::new(flow, device))))
}

fn rows(n: usize, d: usize, index: u64) -> Array2<f32> {
    standard_normal(n, d, &mut stream(9, Purpose::Draws, index))
}

#[test]
fn both_start_with_the_same_parameters() -> TestResult {
    let (fused, composed) = pair(&CinnConfig::default(), 9, 9)?;
    assert_eq!(fused.parameters(), composed.parameters());
    Ok(())
}

#[test]
fn fused_and_composed_agree_on_odd_shapes() -> TestResult {
    let hidden: [&[usize]; 4] = [&[], &[1], &[17, 31], &[16, 5, 40]];
    for ((x, y), hidden) in [(1, 1), (2, 5), (3, 2), (9, 9)].into_iter().zip(hidden) {
        for activation in ACTIVATIONS {
            for n in [1, 7, 513] {
                let config = CinnConfig {
                    couplings: 5,
                    hidden: hidden.to_vec(),
                    activation,
                    ..CinnConfig::default()
                };
                agree(&config, x, y, n, 1e-5)?;
            }
        }
    }
    Ok(())
}

/// Every kind of layer and subnet, in an order of their own.
fn layers(activation: Activation, dropout: f64) -> CinnConfig {
    let residual = SubnetConfig::Residual { width: 19, blocks: 2, activation, dropout };
    let mlp = SubnetConfig::Mlp { hidden: vec![13], activation };
    let layers = vec![
        LayerConfig::ActNorm(ActNorm {}),
        LayerConfig::LuLinear(LuLinear { seed: 3 }),
        LayerConfig::Spline(Spline { subnet: residual.clone(), bins: 7, bound: 2.5 }),
        LayerConfig::Flip(Flip {}),
        LayerConfig::Affine(Affine { subnet: residual, clamp: 1.5 }),
        LayerConfig::Permutation(Permutation { seed: 1 }),
        LayerConfig::Spline(Spline { subnet: mlp, bins: 3, bound: 3.0 }),
    ];
    CinnConfig { layers, ..CinnConfig::default() }
}

#[test]
fn every_layer_agrees_on_odd_shapes() -> TestResult {
    for (x, y) in [(1, 1), (2, 5), (3, 2), (9, 9)] {
        for activation in ACTIVATIONS {
            for n in [1, 7, 513] {
                // Slopes of splines multiply: seven layers of them amplify the rounding of either path.
                agree(&layers(activation, 0.0), x, y, n, 5e-5)?;
            }
        }
    }
    Ok(())
}

#[test]
fn each_coupling_alone_agrees_more_closely() -> TestResult {
    let is_coupling =
        |layer: &LayerConfig| matches!(layer, LayerConfig::Affine(_) | LayerConfig::Spline(_));
    for layer in layers(Activation::Elu, 0.0).layers.into_iter().filter(is_coupling) {
        for (x, y) in [(1, 1), (3, 2), (9, 9)] {
            for n in [1, 7, 513] {
                let config = CinnConfig { layers: vec![layer.clone()], ..CinnConfig::default() };
                agree(&config, x, y, n, 1e-5)?;
            }
        }
    }
    Ok(())
}

#[test]
fn both_drop_out_the_same_numbers() -> TestResult {
    let (mut fused, mut composed) = pair(&layers(Activation::Elu, 0.3), 3, 2)?;
    let count = fused.parameters().values.len();
    let values: Vec<f32> = rows(1, count, 7).iter().map(|value| 0.3 * value).collect();
    let (x, y) = (rows(513, 3, 0), rows(513, 2, 1));
    let batch = Batch { x: x.view(), y: y.view() };
    let noise = || stream(1, Purpose::TrainingNoise, 0);
    let mut gradients = <[Gradient; 2]>::default();
    for (model, gradient) in [&mut fused, &mut composed].into_iter().zip(&mut gradients) {
        model.set_parameters(&values);
        let dropped = model.loss_and_gradient(batch, &mut noise(), gradient).total;
        let whole = model.loss(batch, &mut noise()).total;
        assert!((dropped - whole).abs() > 1e-3, "nothing is dropped: {dropped} and {whole}");
    }
    let gradients = gradients.map(|gradient| gradient.total());
    assert_close(&gradients[0], &gradients[1], 5e-5, "gradient");
    Ok(())
}

#[test]
fn act_norms_start_alike_and_standardise() -> TestResult {
    let (mut fused, mut composed) = pair(&CinnConfig::spline(), 3, 2)?;
    let x = rows(700, 3, 0).mapv(|value| 4.0 * value - 7.0);
    let y = rows(700, 2, 1);
    let batch = Batch { x: x.view(), y: y.view() };
    fused.initialise(batch);
    composed.initialise(batch);
    assert_close(&fused.parameters().values, &composed.parameters().values, 1e-5, "parameters");
    let z = fused.latent_moments(batch).mean;
    for column in z.columns() {
        let mean = column.mean().unwrap_or(f32::NAN);
        let variance = column.mapv(|v| (v - mean).powi(2)).mean().unwrap_or(f32::NAN);
        assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} and {variance}");
    }
    Ok(())
}

fn agree(config: &CinnConfig, d: usize, width: usize, n: usize, tolerance: f32) -> TestResult {
    let case = format!("d = {d}, {n} rows, {config:?}");
    // With larger numbers the slopes of splines span many powers of ten, and rounding shows.
    let spread = if config.layers.is_empty() { 0.3 } else { 0.1 };
    let (mut fused, mut composed) = pair(config, d, width)?;
    let count = fused.parameters().values.len();
    let values: Vec<f32> = rows(1, count, 7).iter().map(|value| spread * value).collect();
    fused.set_parameters(&values);
    composed.set_parameters(&values);
    let (x, y) = (rows(n, d, 0), rows(n, width, 1));
    let batch = Batch { x: x.view(), y: y.view() };
    let noise = || stream(1, Purpose::TrainingNoise, 0);

    let mut gradients = <[Gradient; 2]>::default();
    let loss = fused.loss_and_gradient(batch, &mut noise(), &mut gradients[0]).total;
    let expected = composed.loss_and_gradient(batch, &mut noise(), &mut gradients[1]).total;
    assert!((loss - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{case}: {loss}, {expected}");
    assert_eq!(fused.loss(batch, &mut noise()).total, loss, "{case}");
    let gradients = gradients.map(|gradient| gradient.total());
    assert_close(&gradients[0], &gradients[1], tolerance, &format!("{case}: gradient"));

    let values = |model: &dyn ConditionalModel| -> Result<Vec<Vec<f32>>, &'static str> {
        let log_prob = model.log_prob(batch).ok_or("no density")?;
        let moments = model.latent_moments(batch);
        assert!(moments.variance.iter().all(|variance| *variance == 0.0));
        Ok(vec![
            log_prob.iter().map(|value| *value as f32).collect(),
            moments.mean.into_iter().collect(),
            model.decode(x.view(), y.view()).into_iter().collect(),
        ])
    };
    for (fused, composed) in values(&*fused)?.iter().zip(values(&*composed)?) {
        assert_close(fused, &composed, tolerance, &case);
    }
    assert_update(&mut *fused, batch);
    Ok(())
}

/// On the edges of equal bins, on the bounds, next to these and in the tails.
#[test]
fn a_spline_has_a_density_and_a_way_back_at_the_edges_of_its_bins() -> TestResult {
    const PLACES: [f32; 11] =
        [-5.0, -3.000_000_2, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 3.000_000_2, 5.0];
    let subnet = SubnetConfig::Mlp { hidden: vec![8], activation: Activation::Tanh };
    let spline = LayerConfig::Spline(Spline { subnet, bins: 6, bound: 3.0 });
    let layers = vec![spline.clone(), LayerConfig::Flip(Flip {}), spline];
    let config = CinnConfig { layers, ..CinnConfig::default() };
    let (mut fused, mut composed) = pair(&config, 2, 1)?;
    let count = fused.parameters().values.len();
    let n = PLACES.len();
    let x = Array2::from_shape_fn((n * n, 2), |(row, column)| PLACES[[row / n, row % n][column]]);
    let y = rows(n * n, 1, 1);
    let batch = Batch { x: x.view(), y: y.view() };
    // Without weights the bins are equal.
    for spread in [0.0, 0.1] {
        let values: Vec<f32> = rows(1, count, 7).iter().map(|value| spread * value).collect();
        fused.set_parameters(&values);
        composed.set_parameters(&values);
        let density = |model: &dyn ConditionalModel| -> Result<Vec<f32>, &'static str> {
            let values = model.log_prob(batch).ok_or("no density")?;
            Ok(values.iter().map(|value| *value as f32).collect())
        };
        let (found, expected) = (density(&*fused)?, density(&*composed)?);
        assert!(found.iter().all(|value| value.is_finite()));
        assert_close(&found, &expected, 5e-5, "density");
        let z = fused.latent_moments(batch).mean;
        let back = fused.decode(z.view(), y.view());
        for (back, x) in back.iter().zip(&x) {
            assert!((back - x).abs() < 1e-4 * x.abs().max(1.0), "{back} for {x}");
        }
    }
    Ok(())
}

/// The rows of a matrix in any layout are what counts.
#[test]
fn the_layout_of_the_rows_does_not_matter() -> TestResult {
    let (fused, _) = pair(&CinnConfig { couplings: 2, ..CinnConfig::default() }, 3, 2)?;
    let (x, y) = (rows(20, 3, 0), rows(20, 2, 1));
    let (x_columns, y_columns) = (x.t().as_standard_layout().into_owned(), y.t().to_owned());
    let batch = Batch { x: x.view(), y: y.view() };
    let transposed = Batch { x: x_columns.t(), y: y_columns.t() };
    assert_eq!(fused.log_prob(batch), fused.log_prob(transposed));
    Ok(())
}

#[test]
fn a_hundred_steps_end_at_the_same_loss() -> TestResult {
    let config = CinnConfig { couplings: 6, hidden: vec![32, 32], ..CinnConfig::default() };
    let (mut fused, mut composed) = pair(&config, 9, 9)?;
    let (x, y) = (rows(600, 9, 0), rows(600, 9, 1));
    assert_same_training(&mut *fused, &mut *composed, Batch { x: x.view(), y: y.view() });
    Ok(())
}
