//! Tables of positions and momenta: loading, checks, splits, scaling and gauges.
//!
//! A [`Source`] names files, a [`Selection`] the columns; [`load()`] gives a checked [`Table`] in
//! internal units (bohr, atomic units of momentum). [`Split`] cuts it, [`Preprocessing`] is fitted on
//! the training part alone and turns raw rows into what a network sees, and back. [`inspect()`] says
//! what a file holds, [`mod@write`], [`positions`] and [`arrow`] are the other ways in and out.
//!
//! Matrices are plain `ndarray` matrices, rows are events; no Polars type is public.

#![allow(clippy::needless_pass_by_value, reason = "ndarray's views are passed by value")]

pub mod alike;
pub mod arrow;
pub mod concatenate;
pub mod digests;
pub mod error;
pub mod extremes;
pub mod fingerprint;
pub mod further;
pub mod gauge;
pub mod inspect;
pub mod load;
pub mod missing;
pub mod momentum_sum;
pub mod motion;
pub mod positions;
pub mod preprocessing;
pub mod reading;
pub mod rounding;
mod sample;
pub mod scaler;
pub mod source;
pub mod split;
pub mod sum_gate;
pub mod units;
pub mod write;
pub mod write_frames;

mod block;
mod cells;
mod columns;
mod header;
mod kinds;
mod layout;
mod lines;
mod nearest;
mod number;
mod opened;
mod parquet_file;
mod parts;
mod passes;
mod quiet;
mod subspace;
mod table_file;
mod table_rows;
mod text_file;
mod text_rows;
mod trainable;

pub use alike::Alike;
pub use concatenate::{ConcatenateError, concatenate};
pub use digests::{Copies, Digests, RowDigests};
pub use error::{FarCell, LoadError, ScratchError};
pub use extremes::{Spread, Spreads};
pub use fingerprint::fingerprint;
pub use further::Further;
pub use gauge::{Gauge, GaugeConfig, GaugeError, MomentumGauge, PositionGauge, SharedFrame};
pub use inspect::{InspectOptions, Inspection, inspect};
pub use load::{DroppedRows, Selection, Table, column_names, load};
pub use missing::{by_detected, detected, is_incomplete, missing_fault};
pub use momentum_sum::apply_sums;
pub use motion::{MotionOptions, MotionUnit, Quantity};
pub use nearest::{did_you_mean, nearest};
pub use parts::{Division, Marks, Part, Role, TrainingPart};
pub use positions::{
    FrameMotion, Frames, FramesFormat, LoadedPositions, MoldenModes, PositionsError, is_xyz,
    load_positions, load_reference, read_molden, read_xyz,
};
pub use preprocessing::{
    DeadColumn, Degenerate, OffRows, Preprocessing, PreprocessingConfig, PreprocessingError,
};
pub use reading::{Encoding, Reading, TextReading, remarks};
pub use sample::load_sample;
pub use scaler::{Scaler, ScalerKind};
pub use source::{ColumnRef, Comment, Decimal, Header, Separator, Source};
pub use split::{Rows, Split, SplitConfig, SplitError, TestSplit, TrainSplit, ValidationSplit};
pub use sum_gate::{CentreOfMass, Gated, SumGate, SumOptions};
pub use table_rows::{ScratchTable, TableRows, TakeRows, gathered, part_of};
pub use trainable::check_trainable;
pub use units::{MomentumUnit, PositionUnit, UnitError};
pub use write::{ColumnData, ColumnType, TableWriter, WriteError, header, write_table};
pub use write_frames::{FramesWriter, is_frames};
