//! How long a simulation will take: its first events, made and written to a file that is thrown away.

use std::path::Path;
use std::time::Instant;

use cei_data::TableWriter;
use cei_physics::Simulation;

use super::prepared::{CHUNK, Geometries, Prepared, SimulateOptions, columns, events_of, prepare};
use crate::RunError;
use crate::estimate::{Estimate, TRIAL};
use crate::shard::rows_of;

/// Events that are tried first.
const FIRST: usize = 64;
/// How many times as many are tried next, while there is time.
const GROWTH: usize = 4;
/// Bytes of a cell while its chunk is simulated and written: two matrices, a column, a table of Polars, its text.
const CELL: usize = 56;

/// What [`super::simulate_with`] will take. Nothing appears at `path`.
///
/// # Errors
/// As [`super::simulate_with`].
pub fn estimate_simulation(
    simulation: &Simulation,
    geometries: &Geometries,
    options: &SimulateOptions,
    path: &Path,
) -> Result<Estimate, RunError> {
    let initial = options.initial_momenta;
    let begun = Instant::now();
    let Prepared { header, given, events, .. } = prepare(simulation, geometries, initial, path)?;
    let rows = rows_of(options.shard, events);
    let events = rows.len();
    // Without the columns of a file that are passed on, which cost little.
    let mut writer = TableWriter::create(path, &header)?;
    let preparation_seconds = begun.elapsed().as_secs_f64();
    let tried = Instant::now();
    let (mut done, mut most, mut count) = (0, 0, FIRST);
    // Seconds and events of the last and largest part: the first ones start threads and fill caches.
    let mut last = (0.0, 1);
    while done < events && (done == 0 || tried.elapsed() < TRIAL) && most < CHUNK {
        let end = events.min(done + count);
        let part = Instant::now();
        let range = rows.start + done..rows.start + end;
        let made = events_of(simulation, given.as_ref(), range)?;
        let batch = columns(simulation, &made, initial);
        writer.write(batch.into_iter().map(|(_, data)| data).collect())?;
        most = most.max(end - done);
        last = (part.elapsed().as_secs_f64(), end - done);
        done = end;
        count = (GROWTH * count).min(CHUNK);
    }
    let closing = Instant::now();
    writer.complete()?.sha256()?;
    let closing = closing.elapsed().as_secs_f64() / done.max(1) as f64;
    let (seconds, count) = last;
    Ok(Estimate {
        rows: events,
        steps: events,
        of: "events",
        seconds: preparation_seconds + events as f64 * (seconds / count as f64 + closing),
        preparation_seconds,
        tried_steps: done,
        tried_seconds: tried.elapsed().as_secs_f64(),
        caveat: None,
        more_bytes: events.min(CHUNK).saturating_sub(most) * header.len() * CELL,
    })
}
