//! Posteriors that lean on where the prior ends: data of an event that its law explains badly.

use cei_posterior::{Event, Forward, RefineOptions, refine};
use ndarray::{Array2, Array3, ArrayView2};

/// Two measured numbers that both depend on both coordinates.
struct Skewed;

const ROWS: [[f64; 2]; 2] = [[1.0, 0.8], [0.6, 1.0]];

impl Forward for Skewed {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self) -> usize {
        2
    }

    fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
        u.dot(&Array2::from(ROWS.to_vec()).t())
    }

    fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = Array3::from_shape_fn((u.nrows(), 2, 2), |(_, row, k)| ROWS[row][k]);
        (self.values(u), jacobian)
    }
}

/// The data fit best beyond the box, 0 to 1 for each coordinate: beyond a wall whose nearest point is not the most probable one,
/// and beyond a corner. The evidence is an integral over the box.
#[test]
fn the_evidence_beyond_a_wall_is_that_of_the_box() {
    let log_prior = |u: &[f64]| {
        if u.iter().all(|u| (0.0..=1.0).contains(u)) { 0.0 } else { f64::NEG_INFINITY }
    };
    const NOISE: f64 = 0.01;
    for best in [[1.4, 0.3], [0.2, -0.5], [1.1, 1.2], [-0.3, -0.1]] {
        let measured = ROWS.map(|row| row[0] * best[0] + row[1] * best[1]);
        let event = Event {
            forward: &Skewed,
            log_prior: &log_prior,
            measured: &measured,
            noise: &[NOISE; 2],
        };
        // What is drawn is far from the data.
        let draws = Array2::from_shape_fn((100, 2), |(row, k)| {
            0.35 + 0.3 * (((row * (7 + 6 * k)) % 100) as f64 + 0.5) / 100.0
        });
        let refined = refine(&event, draws.view(), None, &RefineOptions::default(), 1).unwrap();
        let expected = log_integral(|u| {
            let misfit = |row: usize| {
                (ROWS[row][0] * (u[0] - best[0]) + ROWS[row][1] * (u[1] - best[1])) / NOISE
            };
            -0.5 * (misfit(0).powi(2) + misfit(1).powi(2))
                - (NOISE * NOISE * std::f64::consts::TAU).ln()
        });
        assert!(
            (refined.log_evidence - expected).abs() < 0.2,
            "{best:?}: {} {expected}",
            refined.log_evidence
        );
        assert!(
            refined.effective_sample_size > 50.0,
            "{best:?}: {}",
            refined.effective_sample_size
        );
    }
}

/// The log of the integral over the box, by midpoints that are closest at its ends: at 1e-9 and less.
fn log_integral(log: impl Fn([f64; 2]) -> f64) -> f64 {
    const STEPS: usize = 3000;
    // u = (1 - cos(pi t)) / 2
    let nodes: Vec<(f64, f64)> = (0..STEPS)
        .map(|step| {
            let angle = std::f64::consts::PI * (step as f64 + 0.5) / STEPS as f64;
            (0.5 * (1.0 - angle.cos()), 0.5 * std::f64::consts::PI * angle.sin() / STEPS as f64)
        })
        .collect();
    let terms: Vec<f64> = nodes
        .iter()
        .flat_map(|(a, da)| {
            nodes.iter().map(|(b, db)| log([*a, *b]) + (da * db).ln()).collect::<Vec<_>>()
        })
        .collect();
    cei_posterior::log_sum_exp(&terms)
}
