//! Which rows a model was trained on: digests of them lie beside the model, so that scores of rows that it has seen are
//! told from scores of others. 24 bytes a row.

use std::path::Path;

use cei_data::{Copies, Digests, FarCell, RowDigests, Selection, Table, extremes};
use ndarray::ArrayView2;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::folder::read_companion;
use crate::plausibility::{Cause, Training};
use crate::support::Support;
use crate::{RunError, TrainedRun};

/// Name of the file in a run folder.
pub(crate) const ROWS: &str = "rows.safetensors";
/// What the tensors of each kind of digests are called.
const PARTS: [&str; 3] = ["rows", "positions", "momenta"];

/// Writes the digests of the training rows beside the model.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn save(digests: &RowDigests, folder: &Path) -> Result<(), RunError> {
    let path = folder.join(ROWS);
    let mut tensors: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
    for (part, digests) in PARTS.iter().zip([&digests.whole, &digests.positions, &digests.momenta])
    {
        let numbers =
            |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let sorted = digests.sorted.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((format!("{part}.digests"), Dtype::U64, sorted));
        tensors.push((format!("{part}.offsets"), Dtype::F64, numbers(&digests.offsets)));
        tensors.push((format!("{part}.widths"), Dtype::F64, numbers(&digests.widths)));
    }
    let failed = |error| RunError::io("write", &path)(std::io::Error::other(error));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, kind, bytes)| {
            Ok((name.as_str(), TensorView::new(*kind, vec![bytes.len() / 8], bytes)?))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(failed)?;
    let written = safetensors::serialize(views, None).map_err(failed)?;
    Ok(cei_files::write(&path, &written)?)
}

/// The digests of the training rows of a run; none for one that was trained before runs had them.
///
/// # Errors
/// A file that cannot be read or is damaged.
pub(crate) fn load(run: &TrainedRun) -> Result<Option<RowDigests>, RunError> {
    if !run.record.files.contains_key(ROWS) {
        return Ok(None);
    }
    let bytes = read_companion(&run.path, &run.record, ROWS)?;
    let preprocessing = &run.record.preprocessing;
    let (x, y) = (preprocessing.x_names().len(), preprocessing.y_names().len());
    let bad = |reason| RunError::BadModel {
        path: run.path.clone(),
        reason: format!("`{ROWS}` {reason}"),
    };
    let damaged = |error: safetensors::SafeTensorError| bad(format!("is damaged: {error}"));
    let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let part = |part: &str, columns: usize| {
        let words = |name: &str, kind: Dtype| {
            let tensor = tensors.tensor(&format!("{part}.{name}")).map_err(damaged)?;
            if tensor.dtype() != kind {
                return Err(bad(format!("holds `{part}.{name}` of another type")));
            }
            Ok(tensor.data().as_chunks::<8>().0.to_vec())
        };
        let numbers = |name: &str| {
            Ok::<Vec<f64>, RunError>(
                words(name, Dtype::F64)?.into_iter().map(f64::from_le_bytes).collect(),
            )
        };
        let digests = Digests {
            offsets: numbers("offsets")?,
            widths: numbers("widths")?,
            sorted: words("digests", Dtype::U64)?.into_iter().map(u64::from_le_bytes).collect(),
        };
        // A side that does not vary has no digests.
        let widths = digests.widths.len();
        if digests.offsets.len() != columns || (widths != columns && !digests.sorted.is_empty()) {
            return Err(bad(format!(
                "holds {widths} columns of `{part}`, the model has {columns}"
            )));
        }
        Ok(digests)
    };
    Ok(Some(RowDigests {
        whole: part(PARTS[0], x + y)?,
        positions: part(PARTS[1], x)?,
        momenta: part(PARTS[2], y)?,
    }))
}

/// How many of these raw rows repeat rows that the run was trained on; none for a run without digests.
///
/// # Errors
/// Digests that are damaged.
pub(crate) fn trained_on(
    run: &TrainedRun,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
) -> Result<Option<Copies>, RunError> {
    Ok(load(run)?.map(|digests| digests.copies(x, y)))
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

/// Cells of a table that no training row is anywhere near: named as an error, or left out with `drop_invalid`.
///
/// # Errors
/// The first such cell.
pub(crate) fn refuse_far_out(
    run: &TrainedRun,
    table: &mut Table,
    selection: &Selection,
    drop_invalid: bool,
) -> Result<(), RunError> {
    let cells = far_out(run, table, selection);
    if !drop_invalid
        && 2 * cells.len() <= table.rows()
        && let Some(first) = cells.first()
    {
        let more = cells.len() - 1;
        return Err(cei_data::LoadError::FarOut { cell: Box::new(first.clone()), more }.into());
    }
    if (!drop_invalid || cells.len() == table.rows())
        && let Some(first) = cells.first()
    {
        return Err(all_far_out(run, table, first, cells.len()));
    }
    extremes::leave_out(table, &cells);
    Ok(())
}

/// The error of a table whose momenta are far from those of all training rows, `count` of them, with the likely cause.
pub(crate) fn all_far_out(
    run: &TrainedRun,
    table: &Table,
    first: &FarCell,
    count: usize,
) -> RunError {
    let support = match Support::load(run) {
        Ok(support) => support,
        Err(error) => return error,
    };
    let judged = support.map(|support| Training::of_run(run, &support).judge(table.y.view(), None));
    let cause = match judged.and_then(|judged| judged.cause) {
        None | Some(Cause::Unknown { .. }) => {
            "unknown\nhint: are they in the unit of the training table, and its columns in the same order?"
                .to_owned()
        }
        Some(cause) => cause.in_words(),
    };
    RunError::AllFarOut { cell: Box::new(first.clone()), count, cause }
}

/// Cells, one of each row, that no training row is anywhere near.
pub(crate) fn far_out(run: &TrainedRun, table: &Table, selection: &Selection) -> Vec<FarCell> {
    let spreads = run.record.support.as_ref().and_then(|support| support.spreads.as_ref());
    spreads.map_or_else(Vec::new, |spreads| spreads.absurd(table, selection))
}
