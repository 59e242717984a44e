//! What must hold for a model, and a law whose posterior is known.

use cei_gaussian::GaussianConfig;
use cei_kernels::{AdamFactors, AdamStep};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::testing::{assert_close, assert_update, directional_derivatives};
use cei_model::{Architecture as _, Batch, ConditionalModel, Gradient, open_device};
use ndarray::Array2;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn rows(n: usize, columns: usize, index: u64) -> Array2<f32> {
    standard_normal(n, columns, &mut stream(9, Purpose::Draws, index))
}

/// A model for `x` of `d` columns and `y` of 2, with random weights throughout.
fn model(d: usize) -> TestResult<Box<dyn ConditionalModel>> {
    let config = GaussianConfig { hidden: vec![7], ..GaussianConfig::default() };
    let mut model = config.build(d, 2, 1, open_device("cpu")?)?;
    let count = model.parameters().values.len();
    model.set_parameters((rows(1, count, 3) * 0.3).as_slice().ok_or("not contiguous")?);
    Ok(model)
}

/// The sum of the density over a fine grid is 1, for any weights and `y`.
#[test]
fn the_density_is_normalised() -> TestResult {
    let (side, step) = (400, 0.1f32);
    let x = Array2::from_shape_fn((side * side, 2), |(row, column)| {
        let place = if column == 0 { row / side } else { row % side };
        (place as f32 - 200.0) * step
    });
    let y = Array2::from_shape_fn((side * side, 2), |(_, column)| [0.7, -1.2][column]);
    let log_prob = model(2)?.log_prob(Batch { x: x.view(), y: y.view() }).ok_or("no density")?;
    let sum: f64 = log_prob.iter().map(|value| value.exp()).sum::<f64>() * f64::from(step).powi(2);
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    Ok(())
}

#[test]
fn decoding_undoes_encoding() -> TestResult {
    for d in [1, 2, 5] {
        let (model, z, y) = (model(d)?, rows(50, d, 0), rows(50, 2, 1));
        let x = model.decode(z.view(), y.view());
        let back = model.latent_moments(Batch { x: x.view(), y: y.view() }).mean;
        let [back, z] = [&back, &z].map(|rows| rows.iter().copied().collect::<Vec<f32>>());
        assert_close(&back, &z, 1e-5, "latents");
    }
    Ok(())
}

#[test]
fn the_gradient_is_that_of_the_loss_and_steps_are_taken() -> TestResult {
    for d in [1, 3] {
        let (mut model, x, y) = (model(d)?, rows(64, d, 0), rows(64, 2, 1));
        let batch = Batch { x: x.view(), y: y.view() };
        let (gradient, difference) = directional_derivatives(model.as_mut(), batch);
        assert!((gradient - difference).abs() < 2e-3 * gradient.abs(), "{gradient} {difference}");
        assert_update(model.as_mut(), batch);
    }
    Ok(())
}

/// `x = y_1 (1, -2) + T e` with normal `e`: its `log p(x | y)` in closed form.
#[test]
fn it_learns_a_law_that_is_known() -> TestResult {
    let triangle = [[0.5, 0.0], [0.3, 0.2]];
    let of = |n: usize, index: u64| {
        let (e, y) = (rows(n, 2, index), rows(n, 2, index + 1));
        let x = Array2::from_shape_fn((n, 2), |(row, column)| {
            let t: [f32; 2] = triangle[column];
            y[[row, 0]] * [1.0, -2.0][column] + t[0] * e[[row, 0]] + t[1] * e[[row, 1]]
        });
        (x, y, e)
    };
    let config = GaussianConfig { hidden: vec![], ..GaussianConfig::default() };
    let mut model = config.build(2, 2, 0, open_device("cpu")?)?;
    let (x, y, _) = of(4000, 10);
    let mut gradient = Gradient::default();
    let count = model.parameters().values.len();
    let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
    for step in 1..=600 {
        let mut noise = stream(0, Purpose::TrainingNoise, step);
        model.loss_and_gradient(Batch { x: x.view(), y: y.view() }, &mut noise, &mut gradient);
        let factors = AdamFactors {
            first: 0.9,
            second: 0.999,
            epsilon: 1e-8,
            rate: 0.02 / (1.0 - 0.9f32.powi(step as i32)),
            root: 1.0 / (1.0 - 0.999f32.powi(step as i32)).sqrt(),
            keep: 1.0,
            clip: 1.0,
        };
        model.update_parameters(AdamStep::new(factors, &gradient, &mut first, &mut second));
    }
    let (x, y, e) = of(2000, 20);
    let found = model.log_prob(Batch { x: x.view(), y: y.view() }).ok_or("no density")?;
    // log p = -1/2 |e|^2 - ln 2 pi - ln det T; 13 parameters from 4,000 rows cost 13 / 8000 nats in the mean.
    let constant = std::f64::consts::TAU.ln() + (0.5f64 * 0.2).ln();
    let exact = e.rows().into_iter().map(|e| -0.5 * f64::from(e.dot(&e)) - constant);
    let off: f64 = found.iter().zip(exact).map(|(found, exact)| exact - found).sum();
    let mean = off / found.len() as f64;
    assert!(mean.abs() < 0.01, "{mean} nats from the exact density");
    Ok(())
}

#[test]
fn the_page_shows_the_crate_as_it_is() {
    let page = include_str!("../../../docs/adding-a-model.md");
    let files = [
        include_str!("../src/config.rs"),
        include_str!("../src/network.rs"),
        include_str!("../src/lib.rs"),
    ];
    for file in files {
        assert!(page.contains(&format!("```rust\n{file}```\n")), "docs/adding-a-model.md");
    }
}
