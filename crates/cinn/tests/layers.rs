//! Properties of every layer alone, for any numbers: invertible, with the log-determinant of the
//! autodiff Jacobian, also at the edges of bins and in the tails.

use burn::tensor::Device;
use cei_cinn::layers::{ActNorm, Affine, Flip, LuLinear, Permutation, Spline};
use cei_cinn::{CinnConfig, Flow, FlowPreset, LayerConfig, SubnetConfig};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::tensor::{from_matrix, to_matrix};
use cei_model::{Activation, Parameters, open_device};
use nalgebra::DMatrix;
use ndarray::Array2;
use proptest::prelude::*;

fn all_layers() -> Vec<LayerConfig> {
    let activation = Activation::Tanh;
    let subnet = SubnetConfig::Residual { width: 8, blocks: 2, activation, dropout: 0.0 };
    vec![
        LayerConfig::Affine(Affine { subnet: subnet.clone(), clamp: 2.0 }),
        LayerConfig::Spline(Spline { subnet, bins: 6, bound: 3.0 }),
        LayerConfig::Flip(Flip {}),
        LayerConfig::Permutation(Permutation { seed: 2 }),
        LayerConfig::ActNorm(ActNorm {}),
        LayerConfig::LuLinear(LuLinear { seed: 5 }),
    ]
}

/// One layer with random parameters.
fn flow(layer: &LayerConfig, d: usize, spread: f32, seed: u64, device: &Device) -> Flow {
    let config = CinnConfig { layers: vec![layer.clone()], ..CinnConfig::default() };
    let mut rng = stream(seed, Purpose::Weights, 0);
    let flow = Flow::new(&config, d, 2, &mut rng, device).expect("a valid configuration");
    let count = Parameters::of(&flow).values.len();
    let values: Vec<f32> =
        standard_normal(1, count, &mut rng).iter().map(|value| spread * value).collect();
    Parameters::assign(flow, &values, device)
}

/// Numbers near the middle, on bounds (3 and the edges of equal bins), and in the tails. Those that
/// a coupling keeps feed its subnet: far ones would make slopes that f32 cannot undo.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -4.0f32..4.0,
        1 => prop::sample::select(vec![-3.0f32, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]),
        1 => prop::sample::select(vec![-5.0f32, -3.000_000_2, 3.000_000_2, 5.0]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_layer_is_invertible(
        values in prop::collection::vec(number(), 4 * 5),
        d in 1usize..=5,
        seed in 0u64..1000,
    ) {
        let device = open_device("cpu").expect("a processor");
        let x = Array2::from_shape_vec((4, d), values[..4 * d].to_vec()).expect("4 d numbers");
        let y = standard_normal(4, 2, &mut stream(seed, Purpose::Draws, 0));
        let y = from_matrix(y.view(), &device);
        for layer in all_layers() {
            // With larger weights a slope within a bin may fall to 1e-6, which f32 cannot undo.
            for spread in [0.0, 0.1] {
                let flow = flow(&layer, d, spread, seed, &device);
                let (z, log_det) = flow.forward(from_matrix(x.view(), &device), y.clone());
                prop_assert!(to_matrix(log_det).iter().all(|value| value.is_finite()));
                let back = to_matrix(flow.inverse(z, y.clone()));
                for (back, x) in back.iter().zip(&x) {
                    prop_assert!((back - x).abs() < 1e-4 * x.abs().max(1.0), "{back} for {x}: {layer:?}");
                }
            }
        }
    }

    #[test]
    fn log_determinants_are_those_of_the_jacobian(
        values in prop::collection::vec(number(), 5),
        d in 1usize..=5,
        seed in 0u64..1000,
    ) {
        let device = open_device("cpu").expect("a processor").autodiff();
        let x = Array2::from_shape_vec((1, d), values[..d].to_vec()).expect("d numbers");
        let y = standard_normal(1, 2, &mut stream(seed, Purpose::Draws, 0));
        let y = from_matrix(y.view(), &device);
        for layer in all_layers() {
            let flow = flow(&layer, d, 0.1, seed, &device);
            let mut jacobian = DMatrix::<f64>::zeros(d, d);
            let mut log_det = 0.0;
            for output in 0..d {
                let x = from_matrix(x.view(), &device).require_grad();
                let (z, term) = flow.forward(x.clone(), y.clone());
                let gradients = z.narrow(1, output, 1).sum().backward();
                let gradient = x.grad(&gradients).expect("z depends on x");
                for (input, value) in to_matrix(gradient).iter().enumerate() {
                    jacobian[(output, input)] = f64::from(*value);
                }
                log_det = f64::from(to_matrix(term)[[0, 0]]);
            }
            let expected = jacobian.determinant().abs().ln();
            // At a bound exactly the derivative of the clip is not defined; everywhere else it is.
            if x.iter().all(|x| x.abs() != 3.0) {
                prop_assert!((log_det - expected).abs() < 1e-4, "{log_det}, {expected}: {layer:?}");
            }
        }
    }
}

#[test]
fn a_spline_coupling_starts_as_the_identity() {
    let device = open_device("cpu").expect("a processor");
    let layers = vec![all_layers().swap_remove(1)];
    let config = CinnConfig { layers, ..CinnConfig::default() };
    let flow = Flow::new(&config, 3, 2, &mut stream(1, Purpose::Weights, 0), &device);
    let x = standard_normal(100, 3, &mut stream(1, Purpose::Draws, 0)).mapv(|x| 2.0 * x);
    let y = standard_normal(100, 2, &mut stream(1, Purpose::Draws, 1));
    let (z, log_det) = flow
        .expect("a valid configuration")
        .forward(from_matrix(x.view(), &device), from_matrix(y.view(), &device));
    assert!((to_matrix(z) - &x).iter().all(|error| error.abs() < 1e-5));
    assert!(to_matrix(log_det).iter().all(|value| value.abs() < 1e-5));
}

#[test]
fn keys_are_strict_and_have_defaults() {
    let read = |text: &str| toml::from_str::<CinnConfig>(text).map_err(|error| error.to_string());
    assert_eq!(read("").expect("the proposal"), CinnConfig::default());
    assert_eq!(read("preset = \"spline\"").expect("splines"), CinnConfig::spline());
    let listed = read("layers = [{ layer = \"spline\", bins = 4 }, { layer = \"lu-linear\" }]");
    assert_eq!(listed.expect("two layers").flow_layers().len(), 2);
    for (text, word) in [
        ("layers = [{ layer = \"flip\", bins = 4 }]", "bins"),
        ("layers = [{ layer = \"fold\" }]", "fold"),
        ("presets = \"spline\"", "presets"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(word), "{error}");
    }
    let spline = CinnConfig::spline();
    for (config, key) in [
        (CinnConfig { bins: 1, ..spline.clone() }, "model.bins"),
        (CinnConfig { bound: 0.0, ..spline.clone() }, "model.bound"),
        (CinnConfig { dropout: 1.0, ..spline.clone() }, "model.dropout"),
        (CinnConfig { hidden: vec![8, 9], ..spline.clone() }, "model.hidden"),
        (CinnConfig { layers: vec![LayerConfig::Flip(Flip {})], ..spline }, "model.preset"),
        (CinnConfig { dropout: 0.1, ..CinnConfig::default() }, "model.dropout"),
    ] {
        assert_eq!(config.check().map_err(|error| error.key), Err(key));
    }
    assert_eq!(CinnConfig::default().preset, FlowPreset::Proposal);
}

#[test]
fn splines_leave_far_numbers_alone() {
    let device = open_device("cpu").expect("a processor");
    let flow = flow(&all_layers()[1], 1, 0.3, 4, &device);
    let x = Array2::from_shape_vec((4, 1), vec![-1e30, -3.1, 1e4, 1e30]).expect("four numbers");
    let y = from_matrix(Array2::zeros((4, 2)).view(), &device);
    let (z, log_det) = flow.forward(from_matrix(x.view(), &device), y.clone());
    assert_eq!(to_matrix(z.clone()), x);
    assert!(to_matrix(log_det).iter().all(|value| *value == 0.0));
    assert_eq!(to_matrix(flow.inverse(z, y)), x);
}
