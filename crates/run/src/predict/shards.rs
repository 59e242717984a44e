//! Of which whole the tables of a shard are a part.

use std::path::PathBuf;

use super::coincidences::Mixed;
use super::origin::Origin;
use super::prediction::Prediction;
use super::tables::Kind;
use crate::RunError;
use crate::shard::ShardRecord;

/// The record of each table; none where the prediction is no shard. `device` is what the network draws on.
///
/// # Errors
/// A file that the tables follow from cannot be read.
pub(super) fn records(
    prediction: &Prediction<'_>,
    device: &str,
) -> Result<impl Fn(Kind) -> Option<ShardRecord>, RunError> {
    let record = prediction.shard.map(|shard| {
        let origin = origin(prediction, device)?;
        let events = prediction.y.nrows();
        Ok::<_, RunError>(ShardRecord::new(shard, "predict", "", events, origin))
    });
    let record = record.transpose()?;
    Ok(move |kind: Kind| {
        record.clone().map(|record| ShardRecord { table: kind.name().to_owned(), ..record })
    })
}

/// All that tables follow from, by name.
fn origin(prediction: &Prediction<'_>, device: &str) -> Result<Vec<(String, String)>, RunError> {
    let options = prediction.options;
    let mixed = match &options.false_coincidences {
        None => "none".to_owned(),
        Some(Mixed::Events) => "those of the file".to_owned(),
        Some(Mixed::Others(table)) => digests(&table.resolve()?)?,
    };
    let own = [
        ("--refine", options.refine.to_string()),
        ("--chain", options.chain_file.is_some().to_string()),
        ("--initial-momenta", options.initial_momenta.to_string()),
        ("--false-coincidences", mixed),
        ("--device", device.to_owned()),
    ];
    // Momenta are not all that is passed on.
    let files = ("the files".to_owned(), digests(&options.momenta.resolve()?)?);
    Ok(Origin::of(prediction, own)?.named().chain([files]).collect())
}

/// The digests of the content of files, in their order.
fn digests(files: &[PathBuf]) -> Result<String, RunError> {
    let digest =
        |path: &PathBuf| cei_files::sha256_of_file(path).map_err(RunError::io("read", path));
    Ok(files.iter().map(digest).collect::<Result<Vec<_>, _>>()?.join(" "))
}
