//! One trainer for every conditional model (`docs/spec.md#training`): mini-batches, Adam or Muon, early stopping on the
//! validation loss, a checkpoint every epoch, and a resumed run that ends in the same weights, bit
//! for bit, as an uninterrupted one.
//!
//! **Nothing here knows which model it trains, where the rows come from, or a terminal.**

pub mod adam;
mod average;
pub mod checkpoint;
pub mod config;
mod descent;
pub mod early_stopping;
pub mod history;
mod losses;
mod muon;
pub mod observer;
mod outcome;
pub mod plateau;
mod resident;
mod row_set;
pub mod rows;
pub mod trainer;
mod validation;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use config::{Optimizer, Schedule, TrainingConfig};
pub use early_stopping::{EarlyStopping, Verdict};
pub use history::{EpochRecord, History};
pub use observer::{Observer, Progress, Silent};
pub use outcome::{Divergence, StopReason, TrainError, TrainingReport};
pub use plateau::Plateau;
pub use row_set::{Chunk, FileRows, FileRowsWriter, RowSet, ShufflingWriter, TrainingRows};
pub use rows::{DegenerateNoise, EpochRows, EpochRowsError, Rows};
pub use trainer::{train, train_on_new_rows};
