//! What training on a table may hold in memory: little more than its numbers once in f32, or of a table that stays on the disk
//! its buffer.

use std::alloc::System;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cei_model::random::{Purpose, standard_normal, stream};
use cei_run::Experiment;
use cei_run::train::train_run;
use cei_train::Silent;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROWS: usize = 500_000;
/// Of positions, and of momenta: all of them vary.
const COLUMNS: usize = 9;
/// A table in f32, and what stands beside it: split, order of the rows, digests of the training rows.
const MOST: f64 = 1.15;
/// Blocks of rows on their way, models, figures, whatever the length of the table; with `source.stream` there is nothing else.
const FIXED: usize = 40 << 20;

fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The most that is held while `work` runs, looked at every millisecond.
fn peak_of(work: impl FnOnce() -> TestResult) -> Result<usize, Box<dyn std::error::Error>> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(held());
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let most = watch.join().map_err(|_| "the watch has panicked")?;
        worked.map(|()| most)
    })
}

/// Independent normal numbers, rounded so far that the ranks are looked at again.
fn write_table(path: &Path) -> TestResult {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let names = |side: char| (0..COLUMNS).map(move |column| format!("{side}{column}"));
    writeln!(file, "{}", names('x').chain(names('y')).collect::<Vec<_>>().join(","))?;
    for block in 0..ROWS / 1000 {
        let numbers =
            standard_normal(1000, 2 * COLUMNS, &mut stream(1, Purpose::Draws, block as u64));
        for row in numbers.rows() {
            let cells: Vec<String> = row.iter().map(|cell| format!("{cell:.4}")).collect();
            writeln!(file, "{}", cells.join(","))?;
        }
    }
    Ok(file.flush()?)
}

#[test]
fn training_holds_little_more_than_the_table_in_f32() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = folder.path().join("table.csv");
    write_table(&table)?;
    let names = |side: char| {
        (0..COLUMNS).map(|column| format!("'{side}{column}'")).collect::<Vec<_>>().join(",")
    };
    let text = format!(
        "model = {{ kind = 'cinn', couplings = 1, hidden = [8] }}\nsource.files = ['{}']\ncolumns = {{ x = [{}], y = [{}], x_unit = 'none', y_unit = 'none' }}\ntraining.max_epochs = 1",
        table.display(),
        names('x'),
        names('y'),
    );
    let peak = |name: &str, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let experiment = Experiment::parse(&text, "memory", &keys)?;
        let (run, stop) = (folder.path().join(name), AtomicBool::new(false));
        let before = held();
        let peak = peak_of(|| {
            train_run(&experiment, &run, "cpu", false, &stop, |_| (), &mut Silent)?;
            Ok(())
        })?;
        Ok::<_, Box<dyn std::error::Error>>(peak - before)
    };
    let in_f32 = ROWS * 2 * COLUMNS * size_of::<f32>();
    let kept = peak("kept", &[])?;
    let most = (MOST * in_f32 as f64) as usize + FIXED;
    assert!(kept <= most, "{kept} bytes of {most} for a table of {in_f32}");
    // The watch has seen the rows that were trained on.
    assert!(kept >= in_f32 / 2, "{kept} bytes for a table of {in_f32}");
    let streamed = peak("streamed", &["source.stream=true", "source.buffer_rows=20000"])?;
    assert!(streamed <= FIXED, "{streamed} bytes of {FIXED} with a small buffer");
    Ok(())
}
