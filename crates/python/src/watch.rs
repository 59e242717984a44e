//! Work while Python's lock is released: progress and warnings go to an object of Python, and Ctrl-C ends the work.
//!
//! The pipelines tell their progress and ask nothing. What Python raises then, a `KeyboardInterrupt` mostly, ends them by
//! unwinding, which closes and removes what is unfinished; here it becomes an exception again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::failure::Failure;

/// How often Python is asked at most.
const EVERY: Duration = Duration::from_millis(100);

/// The object that is told: `progress(done, total, text)` and `warn(text)`.
pub(crate) struct Watch {
    told: Py<PyAny>,
    last: Instant,
}

impl Watch {
    pub(crate) fn new(told: Py<PyAny>) -> Self {
        Self { told, last: Instant::now() }
    }

    /// So much of all is done. Ends the work by unwinding where Python raises something.
    pub(crate) fn progress(&mut self, done: usize, total: usize) {
        if let Err(error) = self.try_progress(done, total, String::new) {
            resume_unwind(Box::new(error));
        }
    }

    /// The same, with a text, for those who end by themselves.
    pub(crate) fn try_progress(
        &mut self,
        done: usize,
        total: usize,
        text: impl FnOnce() -> String,
    ) -> PyResult<()> {
        if self.last.elapsed() < EVERY && done < total {
            return Ok(());
        }
        self.last = Instant::now();
        Python::attach(|py| {
            py.check_signals()?;
            self.told.call_method1(py, "progress", (done, total, text())).map(drop)
        })
    }

    /// Something to be known. Ends the work where Python makes an error of it.
    pub(crate) fn warn<'a>(&self, texts: impl IntoIterator<Item = &'a String>) {
        for text in texts {
            let told = Python::attach(|py| self.told.call_method1(py, "warn", (text,)).map(drop));
            if let Err(error) = told {
                resume_unwind(Box::new(error));
            }
        }
    }
}

/// Does work without Python's lock.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> PyResult<T> {
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(result) => Ok(result?),
        Err(payload) => match payload.downcast::<PyErr>() {
            Ok(error) => Err(*error),
            Err(panic) => resume_unwind(panic),
        },
    }
}
