//! Times what users wait for, in this process and with the threads of `RAYON_NUM_THREADS`: training steps,
//! densities and draws of the models, explosions, and the loading of the tables that are named. Prints
//! one line of JSON a case; `cargo xtask bench` makes a table of them, beside other programs' times.
//!
//! `cei-bench [--quick] [TABLE...]`
//!
//! `cei-bench problem ...` instead makes and scores the benchmark problems of simulation-based inference, for
//! `cargo xtask inference-bench`.

mod models;
mod problems;
mod simulation;
mod tables;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program reports to its caller")]
fn report(error: &dyn Error) {
    eprintln!("error: {error}");
}

fn run() -> Result<(), Box<dyn Error>> {
    cei_run::instructions::settle();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("problem", rest)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return problems::run(rest);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let clock = if quick { Clock { samples: 15 } } else { Clock { samples: 60 } };
    busy_loop(&clock);
    models::time(&clock)?;
    simulation::time(&clock)?;
    for table in arguments.iter().filter(|argument| *argument != "--quick") {
        tables::time(&clock, table)?;
    }
    Ok(())
}

/// The same arithmetic on every thread, which needs no memory: how much of another core the machine gives to
/// another thread at this time, and so the most that anything can gain.
fn busy_loop(clock: &Clock) {
    const TERMS: usize = 1 << 22;
    let sum = || (0..TERMS).fold(black_box(1.0), |sum, _| sum * 0.5 + 1.0);
    let items = rayon::current_num_threads() * TERMS;
    clock.time("busy loop", "no model", items, || rayon::broadcast(|_| sum()));
}

/// Repeats a case and prints the median of its times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    samples: usize,
}

impl Clock {
    /// Times `work`, which does `items` of what is counted (rows, events). The first quarter as many
    /// repetitions again warm up and do not count.
    #[allow(clippy::print_stdout, reason = "the program reports to its caller")]
    pub(crate) fn time<R>(&self, case: &str, of: &str, items: usize, mut work: impl FnMut() -> R) {
        for _ in 0..self.samples.div_ceil(4) {
            black_box(work());
        }
        let mut times: Vec<f64> = (0..self.samples)
            .map(|_| {
                let begun = Instant::now();
                black_box(work());
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!(
            r#"{{"case": "{case}", "of": "{of}", "items": {items}, "median_ms": {median:.4}}}"#
        );
    }
}
