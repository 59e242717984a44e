//! Shards of one work made one table, in the bytes in which a single process would have written it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cei_data::concatenate;
use cei_files::{AtomicFile, Lock, check_outputs};
use serde::Serialize;

use crate::RunError;
use crate::dataset::{sidecar_path, sidecar_text, simulation_beside};
use crate::error::ShardError;
use crate::shard::{ShardRecord, record_path};

/// Missing shards that are named.
const MOST_NAMED: usize = 20;

/// What was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// The table.
    pub path: PathBuf,
    /// The command of which it is.
    pub command: String,
    /// Which of the tables of that command.
    pub table: String,
    /// Rows or events of the whole.
    pub events: usize,
    /// Shards.
    pub shards: usize,
    /// Files that are the same shard as another one, to the byte, and were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<PathBuf>,
    /// The simulation that made it, if it is of `cei simulate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PathBuf>,
}

/// Makes one table of all shards of a work, given in any order; for one of `cei simulate` the simulation beside it, too.
///
/// # Errors
/// A file that is no shard or is not as it was written, shards of several works, a shard that is missing or is there twice with
/// different rows, a file that cannot be written; then nothing appears.
///
/// ```
/// use cei_run::simulate::{Geometries, SimulateOptions, simulate_to_file, simulate_with};
///
/// let simulation = cei_physics::Simulation { events: 100, ..cei_run::config::preset_simulation("ocs-wide")? };
/// let folder = tempfile::tempdir()?;
/// let at = |name: &str| folder.path().join(name);
/// let mut parts = Vec::new();
/// for shard in ["1/3", "2/3", "3/3"] {
///     let options = SimulateOptions { shard: Some(shard.parse()?), ..SimulateOptions::default() };
///     let part = at(&format!("part-{}.csv", &shard[..1]));
///     simulate_with(&simulation, &Geometries::Law, &options, &part, |_, _| {})?;
///     parts.push(part);
/// }
/// cei_run::merge::merge_shards(&parts, &at("merged.csv"))?;
/// simulate_to_file(&simulation, &Geometries::Law, false, &at("whole.csv"), |_, _| {})?;
/// assert_eq!(std::fs::read(at("merged.csv"))?, std::fs::read(at("whole.csv"))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge_shards(files: &[PathBuf], path: &Path) -> Result<Merged, RunError> {
    let sidecars: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| [file.clone(), record_path(file), sidecar_path(file)])
        .collect();
    let inputs: Vec<&Path> = sidecars.iter().map(PathBuf::as_path).collect();
    check_outputs(&inputs, &[path, &sidecar_path(path)])?;
    let Whole { record, parts, repeated } = whole(files)?;
    let simulation = match parts.first() {
        Some(part) if record.command == "simulate" => simulation_beside(part)?,
        _ => None,
    };
    let _lock = Lock::acquire(path)?;
    let table = concatenate(&parts, path)?;
    let configuration = match simulation {
        None => None,
        Some(simulation) => {
            let configuration = sidecar_path(path);
            let mut sidecar = AtomicFile::create(&configuration)?;
            sidecar.write_all(sidecar_text(&simulation, &table.sha256()?).as_bytes())?;
            sidecar.commit()?;
            Some(configuration)
        }
    };
    table.commit()?;
    let ShardRecord { command, table, events, shard, .. } = record;
    let path = path.to_owned();
    Ok(Merged { path, command, table, events, shards: shard.of(), repeated, configuration })
}

/// All shards of one work.
struct Whole {
    /// What the first of them is.
    record: ShardRecord,
    /// Their tables, in order.
    parts: Vec<PathBuf>,
    /// Further tables with the same bytes as one of these.
    repeated: Vec<PathBuf>,
}

fn whole(files: &[PathBuf]) -> Result<Whole, RunError> {
    let mut first: Option<(ShardRecord, PathBuf)> = None;
    let mut parts: BTreeMap<usize, (String, PathBuf)> = BTreeMap::new();
    let mut repeated = Vec::new();
    for file in files {
        let record = ShardRecord::read(file)?;
        let table = file.clone();
        if let Some((of_first, first)) = &first
            && let Some(what) = record.difference(of_first)
        {
            return Err(ShardError::Foreign { table, first: first.clone(), what }.into());
        }
        match parts.get(&record.shard.number()) {
            Some((sha256, _)) if *sha256 == record.table_sha256 => repeated.push(table),
            Some((_, first)) => {
                let (first, shard) = (first.clone(), record.shard.to_string());
                return Err(ShardError::Twice { table, first, shard }.into());
            }
            None => {
                let sha256 = record.table_sha256.clone();
                parts.insert(record.shard.number(), (sha256, table));
            }
        }
        first.get_or_insert((record, file.clone()));
    }
    let Some((record, _)) = first else {
        return Err(RunError::TooSmall { key: "SHARD", value: 0, least: 1 });
    };
    let of = record.shard.of();
    let mut missing = (1..=of).filter(|number| !parts.contains_key(number));
    if let Some(first) = missing.next() {
        let named = std::iter::once(first).chain(missing.by_ref()).take(MOST_NAMED);
        let named: Vec<String> = named.map(|number| format!("{number}/{of}")).collect();
        let more = match missing.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = format!("{first}/{of}");
        return Err(ShardError::Missing { missing: named.join(", ") + &more, first }.into());
    }
    Ok(Whole { record, parts: parts.into_values().map(|(_, path)| path).collect(), repeated })
}
