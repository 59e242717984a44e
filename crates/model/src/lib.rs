//! What the conditional models share: their contract, multilayer perceptrons, latent statistics, devices.
