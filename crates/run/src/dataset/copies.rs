//! Scores of rows that a model was trained on are told from scores of others.

use cei_data::Copies;
use ndarray::ArrayView2;

use crate::folder::rows;
use crate::{RunError, TrainedRun};

/// How many of these raw rows repeat rows that the run was trained on; none for a run without digests.
///
/// # Errors
/// Digests that are damaged.
pub(crate) fn trained_on(
    run: &TrainedRun,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
) -> Result<Option<Copies>, RunError> {
    Ok(rows::read(&run.path, &run.record)?.map(|digests| digests.copies(x, y)))
}

/// What is to be said about scored rows that were trained on.
pub(crate) fn warning(copies: Option<Copies>) -> Option<String> {
    let copies = copies.filter(|copies| copies.any())?;
    Some(format!(
        "{}; scores of such rows say nothing about rows that it has not seen",
        in_words(&copies, "rows", "rows that the model was trained on")
    ))
}

/// `3 of 45 rows repeat rows of training, 4 their positions, 3 their momenta (rounded copies count)`
pub(crate) fn in_words(copies: &Copies, which: &str, of: &str) -> String {
    let Copies { of: all, rows, positions, momenta } = copies;
    format!(
        "{rows} of {all} {which} repeat {of}; {positions} repeat the positions of one, {momenta} the momenta (rounded copies count)"
    )
}
