//! A table of a prediction that is written while the next chunk is drawn.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use cei_data::{ColumnData, FramesWriter, TableWriter, WriteError, is_frames};
use cei_files::AtomicFile;

use super::columns::Column;
use super::tables::{Events, Kind, Tables};
use crate::RunError;
use crate::shard::ShardRecord;

/// A file: its columns, and what writes it.
pub(super) struct Output<'scope> {
    pub(super) kind: Kind,
    path: PathBuf,
    columns: Vec<&'static Column>,
    batches: SyncSender<Vec<ColumnData>>,
    writer: ScopedJoinHandle<'scope, Result<AtomicFile, WriteError>>,
}

/// What writes rows: a table, or a frame for each of them.
enum Writer {
    Table(Box<TableWriter>),
    Frames(Box<FramesWriter>),
}

impl<'scope> Output<'scope> {
    /// Begins the file, on a thread of its own. One batch waits while another is written.
    pub(super) fn create(
        scope: &'scope Scope<'scope, '_>,
        kind: Kind,
        path: &Path,
        tables: &Tables<'_>,
    ) -> Result<Self, WriteError> {
        let header = kind.header(tables);
        let writer = match (is_frames(path), tables.frames()) {
            (false, _) => Writer::Table(Box::new(TableWriter::create(path, &header)?)),
            (true, Some((molecule, positions))) => {
                Writer::Frames(Box::new(FramesWriter::create(path, &header, molecule, positions)?))
            }
            (true, None) => return Err(WriteError::NoGeometry { file: path.to_owned() }),
        };
        let (batches, waiting) = sync_channel(1);
        let writer = scope.spawn(move || writer.write_all(waiting));
        Ok(Self { kind, path: path.to_owned(), columns: kind.columns(tables), batches, writer })
    }

    /// Sends the rows of a few events; false if nobody writes them any more.
    pub(super) fn write(&self, tables: &Tables<'_>, events: &Events<'_>) -> Result<bool, RunError> {
        let rows = tables.rows(self.kind, events)?;
        let batch = self.columns.iter().flat_map(|column| column.data(&rows)).collect();
        Ok(self.batches.send(batch).is_ok())
    }

    /// When all files are complete, does what belongs to them `beside`, and gives them their names if that succeeds; of a shard
    /// with the `record` of what each is a part of.
    pub(super) fn finish<T>(
        outputs: Vec<Self>,
        beside: impl FnOnce() -> Result<T, RunError>,
        record: impl Fn(Kind) -> Option<ShardRecord>,
    ) -> Result<T, RunError> {
        let named: Vec<(Kind, PathBuf)> =
            outputs.iter().map(|output| (output.kind, output.path.clone())).collect();
        let written = outputs.into_iter().map(Self::written).collect::<Result<Vec<_>, _>>()?;
        let done = beside()?;
        for ((kind, path), file) in named.iter().zip(written) {
            match record(*kind) {
                Some(record) => record.commit(path, file)?,
                None => file.commit()?,
            }
        }
        Ok(done)
    }

    fn written(self) -> Result<AtomicFile, WriteError> {
        drop(self.batches);
        self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Writer {
    fn write_all(mut self, batches: Receiver<Vec<ColumnData>>) -> Result<AtomicFile, WriteError> {
        for batch in batches {
            match &mut self {
                Self::Table(writer) => writer.write(batch)?,
                Self::Frames(writer) => writer.write(&batch)?,
            }
        }
        match self {
            Self::Table(writer) => writer.complete(),
            Self::Frames(writer) => Ok(writer.complete()),
        }
    }
}
