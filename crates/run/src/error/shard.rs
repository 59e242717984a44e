//! Why shards do not make a whole.

use std::path::PathBuf;

use thiserror::Error;

/// Shards that cannot be merged.
#[derive(Debug, Error)]
pub enum ShardError {
    /// A table that does not exist.
    #[error("there is no `{}`\nhint: did its task end? make this shard, and merge again", table.display())]
    NotThere {
        /// The table.
        table: PathBuf,
    },
    /// A table without what tells of which whole it is a part.
    #[error("`{}` is no shard: there is no `{}` beside it\nhint: shards are written with `--shard`, and moved with what stands beside them", table.display(), path.display())]
    None {
        /// The table.
        table: PathBuf,
        /// What is missing.
        path: PathBuf,
    },
    /// A table that is not the one that was written.
    #[error("`{}` is not the table that `{}` was written with\nhint: make this shard anew", table.display(), path.display())]
    OfAnotherTable {
        /// The table.
        table: PathBuf,
        /// What stands beside it.
        path: PathBuf,
    },
    /// Parts of two wholes.
    #[error("`{}` and `{}` are not shards of one whole: they differ in {what}", table.display(), first.display())]
    Foreign {
        /// The table.
        table: PathBuf,
        /// The one that it is compared with.
        first: PathBuf,
        /// In what they differ.
        what: String,
    },
    /// The same part twice, and not the same rows.
    #[error("`{}` and `{}` are both shard {shard}, and differ\nhint: leave out the one that is wrong, or make the shard anew", table.display(), first.display())]
    Twice {
        /// The table.
        table: PathBuf,
        /// The other one.
        first: PathBuf,
        /// Which part.
        shard: String,
    },
    /// Parts that are not there.
    #[error(
        "shards are missing: {missing}\nhint: make each with `--shard`, as `--shard {first}`, and merge again"
    )]
    Missing {
        /// Which ones.
        missing: String,
        /// The first of them.
        first: String,
    },
}
