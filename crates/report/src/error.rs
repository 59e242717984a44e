//! Why a figure could not be drawn or written.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A figure that cannot be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to draw: no panels, or no finite point in a panel.
    #[error("nothing to draw: `{what}` has no finite point")]
    Empty {
        /// The curve or panel.
        what: String,
    },
    /// Coordinates of unequal number.
    #[error("`{what}` has `{truth}` true and `{predicted}` predicted values")]
    Lengths {
        /// The panel.
        what: String,
        /// True values.
        truth: usize,
        /// Predicted values.
        predicted: usize,
    },
    /// The PNG could not be made.
    #[error("cannot draw `{}`: {reason}", path.display())]
    Raster {
        /// The file.
        path: PathBuf,
        /// What the rasteriser says.
        reason: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] cei_files::FileError),
}
