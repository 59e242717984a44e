//! Conditional invertible neural network.
