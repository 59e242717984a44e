//! Progress on stderr: a bar on a terminal, plain lines now and then elsewhere, nothing if quiet.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use cei_train::{EpochRecord, Observer, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{number, to_stderr};

/// How often a plain line is printed.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a command is in a known number of rows.
pub(crate) struct RowProgress(ProgressBar);

impl RowProgress {
    /// A bar if stderr is a terminal and not `quiet`.
    pub(crate) fn new(what: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0).with_message(what.to_owned());
        let template = "{msg} {bar:30} {human_pos}/{human_len}, {per_sec}, {eta} left";
        Self(bar.with_style(style(template)))
    }

    /// `done` of `total` rows.
    pub(crate) fn show(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Watches a training.
pub(crate) struct TrainingProgress {
    shown: Shown,
    /// Which member of an ensemble is trained, in words; empty for a single model.
    member: String,
}

enum Shown {
    /// A bar over the batches of all epochs.
    Bar(ProgressBar),
    /// Plain lines, and when the last one was printed.
    Lines(Option<Instant>),
    /// Nothing.
    Quiet,
}

impl TrainingProgress {
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = if quiet {
            Shown::Quiet
        } else if !std::io::stderr().is_terminal() {
            Shown::Lines(None)
        } else {
            Shown::Bar(ProgressBar::new(0).with_style(style("{bar:16} {wide_msg}")))
        };
        Self { shown, member: String::new() }
    }

    /// Takes the bar away, or prints the last line.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Observer for TrainingProgress {
    fn member(&mut self, member: usize, members: usize) {
        self.member = format!("member {member}/{members}, ");
        // Its first epoch is shown at once.
        if let Shown::Lines(last) = &mut self.shown {
            *last = None;
        }
    }

    fn batch(&mut self, progress: &Progress) {
        if let Shown::Bar(bar) = &self.shown {
            let done = (progress.epoch - 1) * progress.batches + progress.batch;
            bar.set_length((progress.max_epochs * progress.batches) as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{}{}", self.member, describe(progress, None)));
        }
    }

    fn epoch(&mut self, progress: &Progress, record: &EpochRecord) {
        let line = || format!("{}{}", self.member, describe(progress, Some(record)));
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_message(line()),
            Shown::Lines(last) => {
                if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                    *last = Some(Instant::now());
                    to_stderr(&line());
                }
            }
            Shown::Quiet => {}
        }
    }
}

/// One line: epoch, losses, best epoch, patience, speed, time left. What matters most comes first, for
/// narrow terminals.
fn describe(progress: &Progress, record: Option<&EpochRecord>) -> String {
    let Progress { epoch, max_epochs, patience_left, .. } = progress;
    let losses = match record {
        Some(record) => format!(
            "loss {} validation {}",
            number(record.training_loss, 5),
            number(record.validation_loss, 5)
        ),
        None => format!("loss {}", number(progress.training_loss, 5)),
    };
    let best = progress.best.map_or_else(String::new, |(epoch, loss)| {
        format!(", best {} (epoch {epoch})", number(loss, 5))
    });
    let left = Duration::from_secs_f64(progress.seconds_left.clamp(0.0, 1e9));
    format!(
        "epoch {epoch}/{max_epochs} {losses}{best}, patience {patience_left}, {:.0} rows/s, at most {} left",
        progress.rows_per_second,
        indicatif::HumanDuration(left)
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
