//! The flat parameter vector: layout, assignment and gradients of a network.

use burn::tensor::Tensor;
use cei_model::mlp::LastLayer;
use cei_model::random::{Purpose, stream};
use cei_model::tensor::{from_matrix, to_matrix, to_values};
use cei_model::{Activation, Mlp, Parameters, open_device};
use ndarray::array;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn network(last: LastLayer) -> Result<Mlp, Box<dyn std::error::Error>> {
    let device = open_device("cpu")?;
    let mut rng = stream(0, Purpose::Weights, 0);
    Ok(Mlp::new(2, &[3], 1, Activation::Relu, last, &mut rng, &device))
}

#[test]
fn the_layout_names_every_tensor_in_order() -> TestResult {
    let parameters = Parameters::of(&network(LastLayer::Random)?);
    let layout: Vec<_> =
        parameters.layout.iter().map(|p| (p.name.as_str(), p.shape.clone(), p.offset)).collect();
    assert_eq!(
        layout,
        [
            ("layers.0.weight", vec![2, 3], 0),
            ("layers.0.bias", vec![3], 6),
            ("layers.1.weight", vec![3, 1], 9),
            ("layers.1.bias", vec![1], 12),
        ]
    );
    assert_eq!(parameters.values.len(), 13);
    Ok(())
}

#[test]
fn weights_stay_within_their_bound_and_zero_is_zero() -> TestResult {
    let values = Parameters::of(&network(LastLayer::Random)?).values;
    let bound = |inputs: f32| 1.0 / inputs.sqrt();
    assert!(values[..9].iter().all(|v| v.abs() <= bound(2.0)));
    assert!(values[9..].iter().all(|v| v.abs() <= bound(3.0)));
    assert!(values.iter().all(|v| *v != 0.0));
    let zero = Parameters::of(&network(LastLayer::Zero)?).values;
    assert!(zero[9..].iter().all(|v| *v == 0.0));
    Ok(())
}

/// `relu(x W1 + b1) W2 + b2` and its gradient, by hand.
#[test]
fn value_and_gradient_by_hand() -> TestResult {
    let device = open_device("cpu")?.autodiff();
    let values =
        [1.0, 0.0, -1.0, 0.0, 1.0, 1.0, 0.5, 0.0, 0.0, 2.0, 3.0, 4.0, 0.25].map(|v: f32| v);
    let network = Parameters::assign(network(LastLayer::Random)?, &values, &device);
    assert_eq!(Parameters::of(&network).values, values);
    // x = (1, 2): hidden (1 + 0.5, 2, -1 + 2) = (1.5, 2, 1), output 3 + 6 + 4 + 0.25
    let x = from_matrix(array![[1.0, 2.0]].view(), &device);
    let output: Tensor<2> = network.forward(x);
    assert_eq!(to_matrix(output.clone()), array![[13.25]]);
    let loss = output.sum();
    assert_eq!(to_values(loss.clone()), [13.25]);
    let mut gradient = [0.0; 13];
    Parameters::gather(&network, loss.backward(), &mut gradient);
    let weights = [2.0, 3.0, 4.0, 4.0, 6.0, 8.0];
    let rest = [2.0, 3.0, 4.0, 1.5, 2.0, 1.0, 1.0];
    assert_eq!(gradient[..6], weights);
    assert_eq!(gradient[6..], rest);
    Ok(())
}
