//! Conditional variational autoencoder.
