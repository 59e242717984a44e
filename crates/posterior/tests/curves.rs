//! Posteriors that are curves, because one number more is unknown than the data determine.

use cei_physics::presets::OCS_WIDE;
use cei_physics::{Accuracy, Simulation, simulate};
use cei_posterior::{
    Chart, ChartPrior, Event, Explosion, Forward, LAWS_ALONG_CURVES, RefineOptions, Refined, refine,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// An angle and a point in the plane, of which the distance from the circle's point at this angle is measured.
struct Helix;

const RADIUS: f64 = 3.0;
const NOISE: f64 = 0.02;
const TURNS: f64 = 2.0 * std::f64::consts::TAU;

impl Forward for Helix {
    fn inputs(&self) -> usize {
        3
    }

    fn outputs(&self) -> usize {
        2
    }

    fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn((u.nrows(), 2), |(row, axis)| {
            let (sin, cos) = u[[row, 0]].sin_cos();
            u[[row, 1 + axis]] - RADIUS * [cos, sin][axis]
        })
    }

    fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = |(row, axis, k): (usize, usize, usize)| {
            let (sin, cos) = u[[row, 0]].sin_cos();
            if k == 0 { RADIUS * [sin, -cos][axis] } else { f64::from(u8::from(k == 1 + axis)) }
        };
        (self.values(u), Array3::from_shape_fn((u.nrows(), 2, 3), jacobian))
    }
}

/// The posterior of two turns of a helix 2,000 times as long as it is wide, all within a flat prior: the angle is uniform, and the
/// evidence is that of the prior's box. Straight laws where 24 searches end leave most of it out.
#[test]
fn laws_along_a_helix_hold_all_of_it() {
    let log_prior = |u: &[f64]| {
        let inside = (0.0..=TURNS).contains(&u[0]) && u[1..].iter().all(|x| x.abs() < 5.0);
        if inside { -(100.0 * TURNS).ln() } else { f64::NEG_INFINITY }
    };
    let event =
        Event { forward: &Helix, log_prior: &log_prior, measured: &[0.0; 2], noise: &[NOISE; 2] };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let draws = Array2::from_shape_fn((400, 3), |(row, k)| match k {
        0 => TURNS * (row as f64 + 0.5) / 400.0,
        _ => RADIUS * rng.sample::<f64, _>(StandardNormal),
    });
    let of_seeds = |along_curves| -> Vec<Refined> {
        let options = RefineOptions { along_curves, ..RefineOptions::default() };
        let refined = |seed| refine(&event, draws.view(), None, &options, seed).unwrap();
        (0..40).into_par_iter().map(refined).collect()
    };
    let mean = |of: &[Refined], value: &dyn Fn(&Refined) -> f64| {
        of.iter().map(value).sum::<f64>() / of.len() as f64
    };
    let part = |refined: &Refined| (refined.log_evidence + 100.0_f64.ln()).exp();
    let along = of_seeds(LAWS_ALONG_CURVES);
    // 40 evidences of some 600 effective draws each: a standard error of 0.5 %.
    assert!((mean(&along, &part) - 1.0).abs() < 0.02, "{}", mean(&along, &part));
    let effective = mean(&along, &|refined| refined.effective_sample_size);
    assert!(effective > 400.0, "{effective}");
    for eighth in 0..8 {
        let share = |refined: &Refined| {
            let angles = refined.draws.column(0).mapv(|angle| (8.0 * angle / TURNS) as usize);
            angles.iter().filter(|place| **place == eighth).count() as f64 / angles.len() as f64
        };
        // Of 24,000 effective draws: a standard error of 0.002.
        assert!((mean(&along, &share) - 0.125).abs() < 0.01, "{}", mean(&along, &share));
    }
    let alone = of_seeds(0);
    assert!(mean(&alone, &part) < 0.9, "{}", mean(&alone, &part));
}

/// `ocs-wide` whose O leaves first, before the others turn by any angle: along its curves the laws of 24 searches miss no more than
/// those of four times as many, and without curves they do.
#[test]
fn laws_along_the_curves_of_a_break_up_in_steps_miss_none() {
    let law = "kind = 'sequential'\nfirst = 'O'\n\
        rotation_deg = { distribution = 'uniform', low = 0, high = 360 }";
    let break_up = toml::from_str(law).unwrap();
    let simulation = Simulation { break_up, ..toml::from_str(OCS_WIDE.text).unwrap() };
    let centred = Chart::centred(simulation.molecule.masses()).unwrap();
    let mut basis = Array2::zeros((7, 10));
    basis.slice_mut(s![..6, ..9]).assign(&centred.basis());
    basis[[6, 9]] = 1.0;
    let chart = Chart::new(Array1::zeros(10), basis).unwrap();
    let (density, nuisances) = (simulation.position_density().unwrap(), simulation.nuisances());
    let prior = ChartPrior::new(&density, &nuisances, &chart).unwrap();
    let log_prior = |u: &[f64]| prior.log_density(u);
    let (molecule, dynamics) = (&simulation.molecule, simulation.dynamics());
    let forward = Explosion::new(molecule, dynamics, &chart, &Accuracy::fast()).unwrap();
    let law = simulate(&simulation, 20_000, 3).unwrap();
    let inferred = concatenate![Axis(1), law.positions, law.nuisances];
    let measured = simulate(&simulation, 8, 4).unwrap().momenta;
    let lost: Vec<[f64; 2]> = (0..measured.nrows())
        .into_par_iter()
        .map(|row| {
            // Draws of the law with momenta like the measured ones, where no network is.
            let distance_2 = |other: usize| -> f64 {
                (&law.momenta.row(other) - &measured.row(row)).mapv(|p| p * p).sum()
            };
            let mut near: Vec<usize> = (0..law.momenta.nrows()).collect();
            near.sort_by_cached_key(|other| distance_2(*other).to_bits());
            let draws = chart.coordinates(inferred.select(Axis(0), &near[..400]).view());
            let measured = measured.row(row).to_vec();
            let event = Event {
                forward: &forward,
                log_prior: &log_prior,
                measured: &measured,
                noise: &[1.0; 9],
            };
            let evidence = |along_curves: usize, starts: usize, samples: usize| {
                let mut options =
                    RefineOptions { samples, along_curves, ..RefineOptions::default() };
                options.modes.starts = starts;
                refine(&event, draws.view(), None, &options, 1).unwrap().log_evidence
            };
            let few = RefineOptions::default().modes.starts;
            // Of an evidence a part can be missing, and nothing be too much.
            let all = evidence(LAWS_ALONG_CURVES, 4 * few, 4000);
            [all - evidence(0, few, 1000), all - evidence(LAWS_ALONG_CURVES, few, 1000)]
        })
        .collect();
    let mean = |which: usize| lost.iter().map(|lost| lost[which]).sum::<f64>() / lost.len() as f64;
    // Of 1,000 draws an evidence has a standard error of some 0.06, a mean of eight 0.02.
    assert!(mean(0) > 0.06, "{lost:?}");
    assert!(mean(1).abs() < 0.06, "{lost:?}");
}
