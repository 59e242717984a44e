//! Progress on stderr: a bar on a terminal, plain lines (one a minute at least) elsewhere, nothing if quiet.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cei_run::sweep::{SweepObserver, Trial};
use cei_run::train::TrainingPlan;
use cei_train::{EpochRecord, Observer, Progress};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::output::{number, say_how_read, to_stderr, warnings};

/// How often a plain line is printed.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a long command prints a line where stderr is no terminal.
const BEAT: Duration = Duration::from_mins(1);

/// Shows how far a command is in a known number of events: a bar on a terminal; elsewhere a line a minute, also while
/// nothing is finished.
pub(crate) struct RowProgress {
    bar: ProgressBar,
    lines: Option<Lines>,
}

/// Prints lines on a thread of its own.
struct Lines {
    counts: Arc<[AtomicUsize; 2]>,
    /// How many were done when the first were, and when: preparations do not count for the pace.
    first: Arc<OnceLock<(usize, Instant)>>,
    /// Dropped to end the thread.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Lines {
    fn start(
        what: &str,
        of: &'static str,
        every: Duration,
        print: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let (stop, stopped) = channel::<()>();
        let (what, seen, begun) = (what.to_owned(), Arc::clone(&counts), Instant::now());
        let first: Arc<OnceLock<(usize, Instant)>> = Arc::new(OnceLock::new());
        let pace = Arc::clone(&first);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let [done, total] = [&seen[0], &seen[1]].map(|count| count.load(Ordering::Relaxed));
                if total > 0 && done == total {
                    // What follows is told by others.
                    continue;
                }
                let first = pace.get().filter(|(before, _)| done > *before);
                print(&match first {
                    Some((before, since)) => {
                        line(&what, of, [*before, done, total], since.elapsed())
                    }
                    None => format!(
                        "{what}: {done} of {total} {of} after {}",
                        HumanDuration(begun.elapsed())
                    ),
                });
            }
        });
        Self { counts, first, stop, thread }
    }
}

/// One line about `done` of `total` things, `before` of which were done before the time `elapsed` began.
fn line(what: &str, of: &str, [before, done, total]: [usize; 3], elapsed: Duration) -> String {
    let rate = done.saturating_sub(before) as f64 / elapsed.as_secs_f64();
    format!(
        "{what}: {done} of {total} {of}, {} {of}/s, {} left",
        number(rate, 3),
        about(total.saturating_sub(done) as f64 / rate)
    )
}

/// A time in words, for example `about 3 minutes`.
pub(crate) fn about(seconds: f64) -> String {
    let duration = Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    if seconds < 1.0 {
        "less than a second".to_owned()
    } else {
        format!("about {}", HumanDuration(duration))
    }
}

impl RowProgress {
    /// Of what is counted, `of` is the name; nothing is shown if `quiet`.
    pub(crate) fn new(what: &str, of: &'static str, quiet: bool) -> Self {
        if quiet {
            return Self { bar: ProgressBar::hidden(), lines: None };
        }
        if !std::io::stderr().is_terminal() {
            let lines = Lines::start(what, of, BEAT, to_stderr);
            return Self { bar: ProgressBar::hidden(), lines: Some(lines) };
        }
        let bar = ProgressBar::new(0).with_message(what.to_owned());
        let template = "{msg} {bar:30} {human_pos}/{human_len}, {per_sec}, {eta} left";
        Self { bar: bar.with_style(style(template)), lines: None }
    }

    /// `done` of `total` events.
    pub(crate) fn show(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if let Some(Lines { counts, first, .. }) = &self.lines {
            first.get_or_init(|| (done, Instant::now()));
            counts[0].store(done, Ordering::Relaxed);
            counts[1].store(total, Ordering::Relaxed);
        }
    }

    /// A line for the person at the terminal, beside the bar, quiet or not.
    pub(crate) fn aside(&self, text: &str) {
        self.bar.suspend(|| to_stderr(text));
    }

    /// Takes the bar away.
    pub(crate) fn clear(self) {
        self.bar.finish_and_clear();
        if let Some(Lines { stop, thread, .. }) = self.lines {
            drop(stop);
            // A thread that only prints has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// Watches a training.
pub(crate) struct TrainingProgress {
    shown: Shown,
    /// Which member of an ensemble is trained, in words; empty for a single model.
    member: String,
    begun: Instant,
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
        Self { shown, member: String::new(), begun: Instant::now() }
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
        if let Shown::Lines(last) = &mut self.shown
            && self.begun.elapsed() >= BEAT
            && last.is_none_or(|last| last.elapsed() >= BEAT)
        {
            *last = Some(Instant::now());
            to_stderr(&format!("{}{}", self.member, describe(progress, None)));
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

/// Watches a search: a line for each trial that begins or ends, and how far those under way are.
pub(crate) struct SweepProgress {
    /// A bar on a terminal, with the trial that was heard of last.
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Whether what is trained was told.
    told: bool,
    last: Option<Instant>,
}

impl SweepProgress {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal())
            .then(|| ProgressBar::new(0).with_style(style("{bar:16} {wide_msg}")));
        Self { bar, quiet, told: false, last: None }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| to_stderr(text)),
            None if self.quiet => {}
            None => to_stderr(text),
        }
    }
}

impl Drop for SweepProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl SweepObserver for SweepProgress {
    fn begins(&mut self, trial: &Trial, resumed: bool) {
        let values: Vec<String> =
            trial.values.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let verb = if resumed { "goes on" } else { "begins" };
        self.say(&format!("trial {} {verb}: {}", trial.number, values.join(", ")));
    }

    /// The table is the same for all trials: the first plan says all.
    fn plan(&mut self, _trial: usize, plan: &TrainingPlan) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        say_how_read(&plan.readings);
        warnings(plan).iter().for_each(|warning| to_stderr(warning));
        let [training, validation, _] = plan.rows;
        self.say(&format!(
            "{training} rows to train, {validation} to validate, by which trials are compared; those kept for the test are not looked at"
        ));
    }

    fn epoch(&mut self, trial: usize, progress: &Progress, record: &EpochRecord) {
        let line = || format!("trial {trial}: {}", describe(progress, Some(record)));
        if let Some(bar) = &self.bar {
            bar.set_length(progress.max_epochs as u64);
            bar.set_position(progress.epoch as u64);
            bar.set_message(line());
        } else if self.last.is_none_or(|last| last.elapsed() >= BEAT) {
            self.last = Some(Instant::now());
            self.say(&line());
        }
    }

    fn ended(&mut self, trial: &Trial) {
        let Some(outcome) = &trial.outcome else { return };
        let lowest = outcome.lowest().map_or_else(String::new, |(epoch, loss)| {
            format!(", validation loss {} in epoch {epoch}", number(loss, 6))
        });
        self.say(&format!(
            "trial {} {} after {} epochs, {:.0} s{lowest}: {}",
            trial.number,
            outcome.state.name(),
            outcome.validation_losses.len(),
            outcome.seconds,
            outcome.reason
        ));
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
        HumanDuration(left)
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_rate_and_the_time_left() {
        let text = line("predicting", "events", [50, 150, 400], Duration::from_secs(60));
        assert_eq!(text, "predicting: 150 of 400 events, 1.67 events/s, about 3 minutes left");
    }

    /// Lines come also while nothing is finished, and end with the command.
    #[test]
    fn lines_come_without_any_progress() {
        let (sender, lines) = channel();
        let shown =
            Lines::start("testing", "events", Duration::from_millis(5), move |text: &str| {
                let _ = sender.send(text.to_owned());
            });
        assert!(lines.recv().unwrap().starts_with("testing: 0 of 0 events after"));
        shown.counts[0].store(3, Ordering::Relaxed);
        shown.counts[1].store(4, Ordering::Relaxed);
        assert!(lines.iter().any(|text| text.starts_with("testing: 3 of 4 events after")));
        let _ = shown.first.set((2, Instant::now()));
        assert!(lines.iter().any(|text| text.contains("events/s")));
        // When all is done there is no more to tell of it.
        shown.counts[0].store(4, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        lines.try_iter().for_each(drop);
        std::thread::sleep(Duration::from_millis(50));
        assert!(lines.try_recv().is_err());
        drop(shown.stop);
        shown.thread.join().unwrap();
        assert!(lines.recv().is_err());
    }
}
