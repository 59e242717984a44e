//! For tests of models: what must hold for every [`ConditionalModel`].

use cei_kernels::{AdamFactors, AdamStep, Gradient, Level};

use crate::random::{Purpose, standard_normal, stream};
use crate::{Batch, ConditionalModel};

/// Step of the finite difference: the loss has a relative error of about 1e-7 in f32, which leaves
/// about 1e-5 of the derivative.
const STEP: f32 = 1e-2;

/// The derivative of the loss along a direction half random and half that of the gradient (a random one
/// alone may be at right angles to it): from the gradient, and from a central difference. They agree
/// to about 1e-3 where the loss is smooth.
pub fn directional_derivatives(model: &mut dyn ConditionalModel, batch: Batch<'_>) -> (f64, f64) {
    let noise = || stream(1, Purpose::TrainingNoise, 0);
    let values = model.parameters().values.clone();
    let mut gradient = Gradient::default();
    model.loss_and_gradient(batch, &mut noise(), &mut gradient);
    let gradient = gradient.total();
    let random = standard_normal(1, values.len(), &mut stream(2, Purpose::Draws, 0));
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let (length, random_length) =
        (norm(&mut gradient.iter().copied()), norm(&mut random.iter().copied()));
    let mixed = gradient.iter().zip(&random).map(|(g, r)| g / length + r / random_length);
    let direction: Vec<f32> = mixed.collect();
    let norm = norm(&mut direction.iter().copied());
    let from_gradient = gradient.iter().zip(&direction).map(|(g, v)| f64::from(g * v / norm)).sum();
    let mut loss_at = |step: f32| {
        let moved: Vec<f32> =
            values.iter().zip(&direction).map(|(t, v)| t + step * v / norm).collect();
        model.set_parameters(&moved);
        model.loss(batch, &mut noise()).total
    };
    let difference = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * f64::from(STEP));
    model.set_parameters(&values);
    (from_gradient, difference)
}

/// Asserts that `values` are those of `reference` up to `tolerance`, relative to the largest.
///
/// # Panics
/// If they are not; the message begins with `what`.
pub fn assert_close(values: &[f32], reference: &[f32], tolerance: f32, what: &str) {
    assert_eq!(values.len(), reference.len(), "{what}");
    let scale = reference.iter().fold(1e-2f32, |scale, value| scale.max(value.abs()));
    for (index, (value, reference)) in values.iter().zip(reference).enumerate() {
        let error = (value - reference).abs() / scale;
        assert!(error <= tolerance, "{what}: {value} for {reference} at {index} ({error:.1e})");
    }
}

/// Asserts that the model takes a step of the optimiser as if it were given the new parameters, to the
/// bit: loss and parameters agree.
///
/// # Panics
/// If they do not.
pub fn assert_update(model: &mut dyn ConditionalModel, batch: Batch<'_>) {
    let noise = || stream(1, Purpose::TrainingNoise, 0);
    let values = model.parameters().values.clone();
    let mut gradient = Gradient::default();
    model.loss_and_gradient(batch, &mut noise(), &mut gradient);
    let factors = AdamFactors {
        first: 0.9,
        second: 0.999,
        epsilon: 1e-8,
        rate: 1e-2,
        root: 30.0,
        keep: 0.99,
        clip: 0.5,
    };
    let (mut first, mut second) = (vec![0.0; values.len()], vec![0.0; values.len()]);
    let mut expected = values;
    AdamStep::new(factors, &gradient, &mut first, &mut second).apply(Level::best(), &mut expected);
    let (mut first, mut second) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
    model.update_parameters(AdamStep::new(factors, &gradient, &mut first, &mut second));
    assert_eq!(model.parameters().values, expected);
    let loss = model.loss(batch, &mut noise());
    model.set_parameters(&expected);
    assert_eq!(loss, model.loss(batch, &mut noise()));
}

/// Trains both models alike for 100 steps of gradient descent on `batch` and asserts that their
/// losses then agree to 1e-4.
///
/// # Panics
/// If they do not.
pub fn assert_same_training(
    one: &mut dyn ConditionalModel,
    other: &mut dyn ConditionalModel,
    batch: Batch<'_>,
) {
    let train = |model: &mut dyn ConditionalModel| {
        let mut values = model.parameters().values.clone();
        let mut gradient = Gradient::default();
        let mut losses = Vec::new();
        for step in 0..=100 {
            let mut noise = stream(3, Purpose::TrainingNoise, step);
            losses.push(model.loss_and_gradient(batch, &mut noise, &mut gradient).total);
            for (value, gradient) in values.iter_mut().zip(gradient.total()) {
                *value -= 0.02 * gradient;
            }
            model.set_parameters(&values);
        }
        (losses[0], losses[100])
    };
    let ((start, end), (_, other_end)) = (train(one), train(other));
    assert!(start - end > 0.1, "training moves the loss: from {start} to {end}");
    assert!((end - other_end).abs() < 1e-4, "after 100 steps {end} against {other_end}");
}
