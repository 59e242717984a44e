//! For tests of models: what must hold for every [`ConditionalModel`].

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
    let mut gradient = vec![0.0; values.len()];
    model.loss_and_gradient(batch, &mut noise(), &mut gradient);
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
