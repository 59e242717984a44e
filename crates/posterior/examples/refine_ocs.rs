//! Effective sample size and speed of the refinement on simulated events, with a nearest-neighbour estimate in
//! the place of a network: `cargo run --release -p cei-posterior --example refine_ocs -- 0.1 200`.

#![allow(clippy::print_stdout, reason = "a program that measures")]

use std::time::Instant;

use cei_physics::presets::OCS_WIDE;
use cei_physics::{Accuracy, Simulation, detector::Noise, simulate};
use cei_posterior::{Chart, ChartPrior, Event, Explosion, RefineOptions, refine, worst_k_hat};
use ndarray::{Array2, ArrayView1, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

const NEIGHBOURS: usize = 60;
const DRAWS: usize = 1000;

/// Processor time of this process so far in seconds, where the system tells (Linux, in hundredths).
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: f64 = text.rsplit(')').next()?.split_whitespace().nth(11)?.parse().ok()?;
    Some(ticks / 100.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let noise: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let count: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let mut simulation: Simulation = toml::from_str(OCS_WIDE.text)?;
    simulation.detector.momentum_noise_au = Noise::Same(noise);
    simulation.accuracy = Accuracy::fast();
    let chart = Chart::centred(simulation.molecule.masses())?;
    let density = simulation.position_density()?;
    let prior = ChartPrior::new(&density, &[], &chart)?;
    let log_prior = |u: &[f64]| prior.log_density(u);
    let forward =
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &simulation.accuracy)?;
    let training = simulate(&simulation, 200_000, 1)?;
    let known = chart.coordinates(training.positions.view());
    let test = simulate(&simulation, count, 2)?;
    let sd = vec![noise; 9];

    let stand_ins: Vec<StandIn> = (0..count)
        .into_par_iter()
        .map(|event| StandIn::new(test.momenta.row(event), &training.momenta, &known, event as u64))
        .collect();

    let options = RefineOptions::default();
    let before = processor_seconds();
    let begin = Instant::now();
    let results: Vec<(f64, f64, usize, f64)> = (0..count)
        .into_par_iter()
        .map(|event| {
            let stand_in = &stand_ins[event];
            let network = |u: &Array2<f64>| stand_in.log_prob(u);
            let y = test.momenta.row(event).to_vec();
            let problem =
                Event { forward: &forward, log_prior: &log_prior, measured: &y, noise: &sd };
            match refine(&problem, stand_in.draws.view(), Some(&network), &options, event as u64) {
                Ok(refined) => (
                    refined.effective_sample_size,
                    refined.k_hat,
                    refined.modes.len(),
                    refined.log_evidence,
                ),
                Err(_) => (f64::NAN, f64::NAN, 0, f64::NAN),
            }
        })
        .collect();
    let seconds = begin.elapsed().as_secs_f64();
    let quantiles = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        [0.02, 0.1, 0.25, 0.5, 0.75, 0.95].map(|q| values[((count - 1) as f64 * q) as usize])
    };
    println!("noise {noise} a.u., {count} events: {:.1} events/s", count as f64 / seconds);
    if let (Some(before), Some(after)) = (before, processor_seconds()) {
        println!("processor time: {:.2} ms an event", 1e3 * (after - before) / count as f64);
    }
    println!("quantiles 2, 10, 25, 50, 75, 95 %");
    println!("effective sample size {:?}", quantiles(results.iter().map(|r| r.0).collect()));
    println!("k-hat {:?}", quantiles(results.iter().map(|r| r.1).collect()));
    println!("modes {:?}", quantiles(results.iter().map(|r| r.2 as f64).collect()));
    println!("log evidence {:?}", quantiles(results.iter().map(|r| r.3).collect()));
    let worst = worst_k_hat(options.samples);
    let bad = results.iter().filter(|r| r.1.is_nan() || r.1 > worst).count();
    println!("k-hat above {worst:.3}: {bad} of {count}");
    Ok(())
}

/// A stand-in for a network: a kernel estimate from the events with the most similar momenta.
struct StandIn {
    draws: Array2<f64>,
    centres: Array2<f64>,
    width: Vec<f64>,
}

impl StandIn {
    /// For momenta `y`, from the momenta and coordinates of other events.
    fn new(y: ArrayView1<'_, f64>, momenta: &Array2<f64>, known: &Array2<f64>, seed: u64) -> Self {
        let mut far: Vec<(f64, usize)> = momenta
            .rows()
            .into_iter()
            .enumerate()
            .map(|(row, p)| (p.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum(), row))
            .collect();
        far.select_nth_unstable_by(NEIGHBOURS, |a, b| a.0.total_cmp(&b.0));
        let rows: Vec<usize> = far[..NEIGHBOURS].iter().map(|(_, row)| *row).collect();
        let centres = known.select(Axis(0), &rows);
        let width: Vec<f64> =
            centres.std_axis(Axis(0), 0.0).iter().map(|s| 0.4 * s.max(0.02)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draws = Array2::from_shape_fn((DRAWS, 6), |(row, c)| {
            centres[[row % NEIGHBOURS, c]] + width[c] * rng.sample::<f64, _>(StandardNormal)
        });
        Self { draws, centres, width }
    }

    fn log_prob(&self, u: &Array2<f64>) -> Vec<f64> {
        let log_width: f64 = self.width.iter().map(|w| w.ln()).sum();
        let constant = -3.0 * (2.0 * std::f64::consts::PI).ln() - log_width;
        let kernel = |u: ArrayView1<'_, f64>, c: ArrayView1<'_, f64>| {
            let z = u.iter().zip(c).zip(&self.width);
            let z_2: f64 = z.map(|((u, c), w)| ((u - c) / w).powi(2)).sum();
            (-0.5 * z_2).exp()
        };
        let mean = |u| {
            let sum: f64 = self.centres.rows().into_iter().map(|c| kernel(u, c)).sum();
            sum / NEIGHBOURS as f64
        };
        u.rows().into_iter().map(|u| mean(u).ln() + constant).collect()
    }
}
