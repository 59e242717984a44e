//! What every kind of layer must be, for those of the table and for one that is written here, as
//! `docs/adding-a-layer.md` shows it: invertible, with the log-determinant of the autodiff Jacobian, and the same in
//! kernels as in tensors.

#[path = "kinds/tails.rs"]
#[expect(unreachable_pub, reason = "the file stands here as it would in the crate")]
mod tails;

use burn::tensor::Device;
use cei_cinn::layer::LayerKind;
use cei_cinn::{Flow, LayerConfig, build_of_layers};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::tensor::{from_matrix, to_matrix};
use cei_model::testing::{assert_close, assert_update};
use cei_model::{Batch, ConditionalModel, Gradient, OnDevice, Parameters, open_device};
use nalgebra::DMatrix;
use ndarray::Array2;
use tails::Tails;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Columns of `y`.
const WIDTH: usize = 2;

#[test]
fn every_kind_of_the_table_is_a_layer() -> TestResult {
    for config in LayerConfig::of_every_kind() {
        assert_is_layer(config.kind())?;
    }
    Ok(())
}

#[test]
fn a_kind_that_is_written_elsewhere_is_a_layer() -> TestResult {
    assert_is_layer(&Tails::default())?;
    // Some of the parameters meet this bound, where they have no gradient.
    assert_is_layer(&Tails { bound: 0.02 })?;
    let error = Tails { bound: -1.0 }.check().expect_err("a negative bound");
    assert_eq!(error.key, "model.layers.bound");
    Ok(())
}

#[test]
fn the_page_shows_this_kind_as_it_is() {
    let page = include_str!("../../../docs/adding-a-layer.md");
    let file = include_str!("kinds/tails.rs").replace("use cei_cinn::", "use crate::");
    assert!(page.contains(&format!("```rust\n{file}```\n")), "docs/adding-a-layer.md");
}

fn assert_is_layer(kind: &dyn LayerKind) -> TestResult {
    kind.check()?;
    let device = open_device("cpu")?;
    for d in [1, 2, 5] {
        assert_invertible_with_its_determinant(kind, d, &device)?;
        for n in [1, 7, 130] {
            assert_same_in_kernels(kind, d, n, &device)?;
        }
    }
    Ok(())
}

fn rows(n: usize, d: usize, index: u64) -> Array2<f32> {
    standard_normal(n, d, &mut stream(9, Purpose::Draws, index))
}

/// The layer between two others of its kind, so that each has its own numbers.
fn flow(kind: &dyn LayerKind, d: usize, device: &Device) -> Flow {
    Flow::of_layers(&[kind; 3], d, WIDTH, &mut stream(5, Purpose::Weights, 0), device)
}

fn some_parameters(count: usize) -> Vec<f32> {
    rows(1, count, 3).iter().map(|value| 0.03 * value).collect()
}

fn assert_invertible_with_its_determinant(
    kind: &dyn LayerKind,
    d: usize,
    device: &Device,
) -> TestResult {
    let device = device.clone().autodiff();
    let flow = flow(kind, d, &device);
    let values = some_parameters(Parameters::of(&flow).values.len());
    let flow = Parameters::assign(flow, &values, &device);
    let (row, y) = (rows(1, d, 0), from_matrix(rows(1, WIDTH, 1).view(), &device));
    let mut jacobian = DMatrix::<f64>::zeros(d, d);
    let mut log_det = 0.0;
    for output in 0..d {
        let x = from_matrix(row.view(), &device).require_grad();
        let (z, term) = flow.forward(x.clone(), y.clone());
        let gradients = z.clone().narrow(1, output, 1).sum().backward();
        let gradient = to_matrix(x.grad(&gradients).ok_or("z depends on x")?);
        for (input, value) in gradient.iter().enumerate() {
            jacobian[(output, input)] = f64::from(*value);
        }
        log_det = f64::from(to_matrix(term)[[0, 0]]);
        let back = to_matrix(flow.inverse(z, y.clone()));
        assert!((back - &row).iter().all(|error| error.abs() < 1e-4), "{kind:?}, d = {d}: inverse");
    }
    let expected = jacobian.determinant().abs().ln();
    assert!((log_det - expected).abs() < 1e-4, "{kind:?}, d = {d}: {log_det}, {expected}");
    Ok(())
}

fn assert_same_in_kernels(kind: &dyn LayerKind, d: usize, n: usize, device: &Device) -> TestResult {
    let case = format!("{kind:?}, d = {d}, {n} rows");
    let mut fused = build_of_layers(&[kind; 3], d, WIDTH, 5, device.clone());
    let mut composed = OnDevice::new(flow(kind, d, device), device.clone());
    assert_eq!(fused.parameters(), composed.parameters(), "{case}");
    let values = some_parameters(fused.parameters().values.len());
    fused.set_parameters(&values);
    composed.set_parameters(&values);
    let (x, y) = (rows(n, d, 0), rows(n, WIDTH, 1));
    let batch = Batch { x: x.view(), y: y.view() };
    let numbers = |model: &dyn ConditionalModel| -> Result<[Vec<f32>; 3], &'static str> {
        let log_prob = model.log_prob(batch).ok_or("no density")?;
        Ok([
            log_prob.iter().map(|value| *value as f32).collect(),
            model.latent_moments(batch).mean.into_iter().collect(),
            model.decode(x.view(), y.view()).into_iter().collect(),
        ])
    };
    for (fused, composed) in numbers(&*fused)?.iter().zip(numbers(&composed)?) {
        assert_close(fused, &composed, 5e-5, &case);
    }
    // Without parameters there is nothing to train.
    if !values.is_empty() {
        let noise = || stream(1, Purpose::TrainingNoise, 0);
        let mut gradients = <[Gradient; 2]>::default();
        let loss = fused.loss_and_gradient(batch, &mut noise(), &mut gradients[0]).total;
        composed.loss_and_gradient(batch, &mut noise(), &mut gradients[1]);
        assert_eq!(fused.loss(batch, &mut noise()).total, loss, "{case}");
        let gradients = gradients.map(|gradient| gradient.total());
        assert_close(&gradients[0], &gradients[1], 5e-5, &format!("{case}: gradient"));
        assert_update(&mut *fused, batch);
    }
    Ok(())
}
