//! A saved model is one folder; [`layout`] names its files.
//!
//! An ensemble of K models is one folder with the members in `member-1` to `member-K`, each of them such a
//! folder, and with all of these files but weights, history and checkpoint; its record names K.
//!
//! Every file that is read again is known by a digest: the record, what the training began with and the evaluation hold
//! that of their own content (`sealed`), the checkpoint too, the record that of weights and `companions`; the
//! configuration is compared with what the training began with (`begun`), key by key, and what a user may edit there
//! may differ. Reading checks version, shapes and digests, and never executes anything. While a training is under way
//! its process holds the lock of the folder.

pub(crate) mod begun;
pub(crate) mod companions;
pub(crate) mod history;
pub mod layout;
pub(crate) mod opened;
mod origin;
mod record;
pub(crate) mod rows;
pub(crate) mod sealed;
pub(crate) mod support;
pub(crate) mod weights;

pub use opened::remarks;
pub use origin::Origin;
pub use record::{
    ActiveLatent, ModelRecord, PartCopies, SupportBounds, TrainingSummary, load_record,
};
