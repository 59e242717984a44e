//! Refined events on disk while a prediction is under way: what is there is not refined again.
//!
//! The folder `DRAWS.parts` stands beside the file of the draws until this has its name. A part has the events of a chunk, in CBOR
//! with every bit of their numbers, and behind them a digest of these bytes and of what the events come from.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::{Scope, ScopedJoinHandle};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::PredictStep;
use super::origin::Origin;
use super::prediction::Prediction;
use crate::RunError;
use crate::folder::layout::{PARTS_EVIDENCE, PARTS_ORIGIN};
use crate::refine::RefinedEvent;

/// Characters of a digest.
const DIGEST: usize = 64;

/// The parts of a prediction.
pub(crate) struct Parts {
    folder: PathBuf,
    origin: Origin,
    /// Of the origin: stands in each part, so that none of another prediction is taken for one of this.
    sha256: String,
    /// The events that are refined.
    rows: Range<usize>,
    /// Events of a part.
    size: usize,
    /// Whether the folder is that of this prediction already.
    was_begun: bool,
    /// Whether nothing is written.
    is_read_only: bool,
}

/// What is known of a part.
pub(super) enum Part<T> {
    Absent,
    /// It is not as it was written.
    Damaged(PathBuf),
    There(Vec<T>),
}

impl Parts {
    /// The parts of a prediction beside the file of its draws; none where it refines nothing, or all in one chunk. `device` is
    /// what the network draws on. Nothing is written yet.
    ///
    /// # Errors
    /// The folder holds parts of another prediction.
    pub(super) fn of(prediction: &Prediction<'_>, device: &str) -> Result<Option<Self>, RunError> {
        let (rows, size) = (prediction.rows(), prediction.chunk());
        if prediction.refiner.is_none() || rows.len() <= size {
            return Ok(None);
        }
        let options = prediction.options;
        let shard = prediction.shard.map(|shard| ("--shard", shard.to_string()));
        let own = [
            ("--chain", options.chain_file.is_some().to_string()),
            ("--initial-momenta", options.initial_momenta.to_string()),
            ("--device", device.to_owned()),
        ];
        let origin = Origin::of(prediction, own.into_iter().chain(shard))?;
        let folder = folder_of(&options.draws_file);
        let was_begun = origin
            .is_at(&folder.join(PARTS_ORIGIN))
            .map_err(|what| RunError::OtherParts { path: folder.clone(), what })?;
        Ok(Some(Self {
            folder,
            sha256: origin.sha256(),
            origin,
            rows,
            size,
            was_begun,
            is_read_only: false,
        }))
    }

    /// The same, of which nothing is kept.
    pub(super) fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    /// Tells how many events are there, if any are.
    pub(super) fn tell(&self, watch: &mut impl FnMut(PredictStep<'_>)) {
        let events = self.there();
        if events > 0 {
            watch(PredictStep::Resumed { events, of: self.rows.len(), folder: &self.folder });
        }
    }

    /// Events that are there.
    pub(super) fn there(&self) -> usize {
        let is_there = |chunk: &Range<usize>| self.was_begun && self.file(chunk).exists();
        self.chunks().filter(is_there).map(|chunk| chunk.len()).sum()
    }

    /// The events of a chunk.
    ///
    /// # Errors
    /// A file that the system does not read.
    pub(super) fn read(&self, chunk: &Range<usize>) -> Result<Part<RefinedEvent>, RunError> {
        self.read_at(self.file(chunk), chunk.len())
    }

    /// The evidences of the `count` events that are looked at before the first part.
    ///
    /// # Errors
    /// A file that the system does not read.
    pub(super) fn read_evidence(&self, count: usize) -> Result<Part<Option<f64>>, RunError> {
        self.read_at(self.folder.join(PARTS_EVIDENCE), count)
    }

    fn read_at<T: DeserializeOwned>(
        &self,
        path: PathBuf,
        count: usize,
    ) -> Result<Part<T>, RunError> {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Part::Absent),
            Err(error) => return Err(RunError::io("read", &path)(error)),
        };
        let events = bytes.split_last_chunk::<DIGEST>().and_then(|(content, digest)| {
            let is_whole = *digest == *self.seal(content).as_bytes();
            let events = is_whole.then(|| ciborium::from_reader::<Vec<_>, _>(content))?;
            events.ok().filter(|events| events.len() == count)
        });
        Ok(events.map_or(Part::Damaged(path), Part::There))
    }

    /// What keeps the events of chunks.
    pub(super) fn keeper<'scope, 'parts>(
        &'parts self,
        scope: &'scope Scope<'scope, 'parts>,
    ) -> Keeper<'scope, 'parts> {
        Keeper { parts: self, scope, writing: None }
    }

    /// Keeps the evidences of the events that are looked at before the first part.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub(super) fn write_evidence(&self, evidence: &[Option<f64>]) -> Result<(), RunError> {
        let path = self.folder.join(PARTS_EVIDENCE);
        self.write_at(&path, content(&path, evidence)?)
    }

    fn write_at(&self, path: &Path, mut bytes: Vec<u8>) -> Result<(), RunError> {
        if self.is_read_only {
            return Ok(());
        }
        let origin = self.folder.join(PARTS_ORIGIN);
        if !origin.exists() {
            std::fs::create_dir_all(&self.folder).map_err(RunError::io("create", &self.folder))?;
            self.origin.write(&origin)?;
        }
        let seal = self.seal(&bytes);
        bytes.extend(seal.as_bytes());
        Ok(cei_files::write(path, &bytes)?)
    }

    /// Removes the parts, and the folder if nothing else is in it.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn remove(self) -> Result<(), RunError> {
        // What the parts are of goes last: without it they are nobody's.
        let files = self.chunks().map(|chunk| self.file(&chunk));
        let others = [PARTS_EVIDENCE, PARTS_ORIGIN].map(|name| self.folder.join(name));
        for file in files.chain(others) {
            gone(std::fs::remove_file(&file)).map_err(RunError::io("remove", &file))?;
        }
        cei_files::sweep(&self.folder);
        match gone(std::fs::remove_dir(&self.folder)) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.map_err(RunError::io("remove", &self.folder)),
        }
    }

    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (rows, size) = (self.rows.clone(), self.size);
        rows.clone().step_by(size).map(move |start| start..rows.end.min(start + size))
    }

    fn file(&self, chunk: &Range<usize>) -> PathBuf {
        let number = (chunk.start - self.rows.start) / self.size;
        self.folder.join(format!("part-{number:06}.cbor"))
    }

    fn seal(&self, content: &[u8]) -> String {
        let mut hash = cei_files::Sha256::default();
        hash.update(self.sha256.as_bytes());
        hash.update(content);
        hash.finish()
    }
}

/// Keeps the events of a chunk on disk while the next ones are refined.
pub(super) struct Keeper<'scope, 'parts> {
    parts: &'parts Parts,
    scope: &'scope Scope<'scope, 'parts>,
    writing: Option<ScopedJoinHandle<'scope, Result<(), RunError>>>,
}

impl Keeper<'_, '_> {
    /// Begins to write the events of a chunk, when those before are written.
    ///
    /// # Errors
    /// The folder or the file of those before cannot be written.
    pub(super) fn keep(
        &mut self,
        chunk: &Range<usize>,
        events: &[RefinedEvent],
    ) -> Result<(), RunError> {
        let (parts, path) = (self.parts, self.parts.file(chunk));
        let bytes = content(&path, events)?;
        self.wait()?;
        self.writing = Some(self.scope.spawn(move || parts.write_at(&path, bytes)));
        Ok(())
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub(super) fn wait(&mut self) -> Result<(), RunError> {
        self.writing.take().map_or(Ok(()), |writing| {
            writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// What is written of events, without the seal.
fn content<T: Serialize>(path: &Path, events: &[T]) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(events, &mut bytes)
        .map_err(|error| RunError::io("write", path)(std::io::Error::other(error)))?;
    Ok(bytes)
}

/// The folder of the parts beside a file of draws.
fn folder_of(draws: &Path) -> PathBuf {
    let mut name = OsString::from(draws);
    name.push(".parts");
    PathBuf::from(name)
}

/// What is not there is removed.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
