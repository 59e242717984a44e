//! What can be wrong with the matrices handed to a metric.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An input that cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Two matrices that must describe the same events have different numbers of rows.
    #[error("{what} has `{found}` rows where `{expected}` are needed")]
    Rows {
        /// Which matrix.
        what: &'static str,
        /// Rows of its counterpart.
        expected: usize,
        /// Its own rows.
        found: usize,
    },
    /// Two matrices that must have the same columns have different numbers of them.
    #[error("{what} has `{found}` columns where `{expected}` are needed")]
    Columns {
        /// Which matrix.
        what: &'static str,
        /// Columns of its counterpart.
        expected: usize,
        /// Its own columns.
        found: usize,
    },
    /// Nothing to score.
    #[error("{what} is empty")]
    Empty {
        /// Which matrix or list.
        what: &'static str,
    },
    /// A NaN or an infinity.
    #[error("{what} has a value that is not finite at event `{event}`, column `{column}`")]
    NotFinite {
        /// Which matrix.
        what: &'static str,
        /// Row within the chunk, from 0.
        event: usize,
        /// Column, from 0.
        column: usize,
    },
    /// A column index beyond the matrix.
    #[error("column `{column}` does not exist: there are `{columns}` columns")]
    NoSuchColumn {
        /// The index asked for.
        column: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// A sample too small for a test.
    #[error("{what} has `{found}` rows, but the test needs `{needed}`")]
    TooFewRows {
        /// Which sample.
        what: &'static str,
        /// Least number of rows.
        needed: usize,
        /// Rows given.
        found: usize,
    },
    /// A fair score needs at least two draws.
    #[error(
        "`{found}` draws per event are too few: this score needs `{needed}`\nhint: ask for more draws with `--draws`"
    )]
    TooFewDraws {
        /// Least number of draws.
        needed: usize,
        /// Draws given.
        found: usize,
    },
    /// A coverage level outside (0, 1).
    #[error("coverage level `{level}` is not between 0 and 1")]
    Level {
        /// The level.
        level: f64,
    },
    /// More neighbours than training rows.
    #[error("`{requested}` neighbours asked for, `{available}` training rows available")]
    Neighbours {
        /// Neighbours asked for.
        requested: usize,
        /// Training rows in the tree.
        available: usize,
    },
    /// The columns are no positions: their number is not a multiple of three.
    #[error("`{columns}` columns cannot be the x, y, z of atoms")]
    NotPositions {
        /// Columns of the matrix.
        columns: usize,
    },
    /// A bond or an angle names an atom that does not exist, or one atom twice.
    #[error("a bond or an angle names the atoms {atoms:?} of a molecule of `{count}` atoms")]
    Atoms {
        /// The atoms named, from 0.
        atoms: Vec<usize>,
        /// Atoms of the molecule.
        count: usize,
    },
    /// Two accumulators that do not count the same thing were merged.
    #[error("accumulators of different metrics cannot be merged")]
    Merge,
}
