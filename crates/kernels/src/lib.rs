//! Fused CPU kernels of the conditional models: what their inner loops are made of.
//!
//! | piece | does |
//! | --- | --- |
//! | [`Mlp`] | perceptron on a block of rows, forward and backward |
//! | [`AffineCoupling`] | soft-clamped scale and shift, its inverse, its gradient, `log|det|` |
//! | [`Residual`], [`Dropout`] | residual network on a block of rows, forward and backward |
//! | [`SplineCoupling`] | rational-quadratic spline of every feature, alike |
//! | [`permute`], [`act_norm`], [`Lu`] | maps of the features that mix or scale them |
//! | [`Gradient`], [`sum_over_tiles`], [`blocks`], [`Pool`] | rows over threads, with results that do not depend on them |
//! | [`Team`] | processes that share the rows of a batch, likewise |
//! | [`AdamStep`], [`norm`] | the optimiser on a flat vector |
//!
//! Matrices are blocks of rows: [`Matrix`] has a row contiguous (the products read it so),
//! [`Columns`] a column (elementwise work on few columns reads it so). Parameters are stretches of
//! one flat `f32` vector: for every layer its weight (inputs x outputs, row-major), then its bias.
//! The instruction set is found at run time ([`Level`]).

mod activation;
mod adam;
mod coupling;
mod dropout;
mod elementary;
mod level;
mod linear;
mod matrix;
mod mlp;
mod muon;
mod norm;
mod parallel;
mod product;
mod residual;
mod spline;
mod team;

pub use activation::Activation;
pub use adam::{AdamFactors, AdamStep};
pub use coupling::{AffineCoupling, CouplingTrace};
pub use dropout::Dropout;
pub use elementary::exp_of_all;
pub use level::Level;
pub use linear::{Lu, act_norm, act_norm_backward, act_norm_inverse, permute, permute_back};
pub use matrix::{Columns, Matrix};
pub use mlp::{Deltas, Hidden, Mlp};
pub use muon::{MuonFactors, MuonMemory, Orthogonal};
pub use norm::norm;
pub use parallel::{Gradient, Pool, blocks, shards_of, sum_over_tiles};
pub use residual::{Residual, ResidualTrace};
pub use spline::{SplineCoupling, SplineTrace};
pub use team::{Link, Team};
