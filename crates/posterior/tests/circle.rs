//! Posteriors of angles: what lies on both sides of the place where a turn begins is one.

use cei_physics::Simulation;
use cei_physics::presets::OCS_WIDE;
use cei_posterior::{Chart, Circle, Event, Explosion, Forward, RefineOptions, Refined, refine};
use ndarray::{Array1, Array2, Array3, ArrayView2};

/// An angle of 0 to 360 degrees and another number, of which cosine, sine and the number are measured. The coordinates are
/// oblique: the angle is along `ALONG`, the number across.
struct Angle(Vec<Circle>);

const ALONG: [f64; 2] = [0.6, 0.8];
const NOISE: [f64; 3] = [0.2, 0.2, 0.5];

/// The angle (degrees) and the number.
fn numbers(u: &[f64]) -> [f64; 2] {
    [ALONG[0] * u[0] + ALONG[1] * u[1], ALONG[0] * u[1] - ALONG[1] * u[0]]
}

impl Forward for Angle {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self) -> usize {
        3
    }

    fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn((u.nrows(), 3), |(row, component)| {
            let [angle, number] = numbers(&u.row(row).to_vec());
            let (sin, cos) = angle.to_radians().sin_cos();
            [cos, sin, number][component]
        })
    }

    fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = |(row, component, k): (usize, usize, usize)| {
            let (sin, cos) = numbers(&u.row(row).to_vec())[0].to_radians().sin_cos();
            let by_angle = [-sin, cos, 0.0][component].to_radians();
            let by_number = [0.0, 0.0, 1.0][component];
            by_angle * ALONG[k] + by_number * [-ALONG[1], ALONG[0]][k]
        };
        (self.values(u), Array3::from_shape_fn((u.nrows(), 3, 2), jacobian))
    }

    fn circles(&self) -> &[Circle] {
        &self.0
    }
}

/// Measured at 4 degrees; the network knows what lies below 360 alone.
fn across_the_start(circles: Vec<Circle>) -> Refined {
    let log_prior = |u: &[f64]| {
        let [angle, number] = numbers(u);
        let inside = (0.0..=360.0).contains(&angle) && number.abs() < 5.0;
        if inside { -3600.0_f64.ln() } else { f64::NEG_INFINITY }
    };
    let (sin, cos) = 4.0_f64.to_radians().sin_cos();
    let event = Event {
        forward: &Angle(circles),
        log_prior: &log_prior,
        measured: &[cos, sin, 1.0],
        noise: &NOISE,
    };
    let draws = Array2::from_shape_fn((200, 2), |(row, k)| {
        let (angle, number) = (359.0 - 0.1 * row as f64, 0.5 + 0.005 * row as f64);
        [ALONG[0] * angle - ALONG[1] * number, ALONG[1] * angle + ALONG[0] * number][k]
    });
    let options = RefineOptions { samples: 4000, ..RefineOptions::default() };
    refine(&event, draws.view(), None, &options, 1).unwrap()
}

/// Part of the draws with angles below 180 degrees.
fn low(refined: &Refined) -> f64 {
    let angles = refined.draws.rows().into_iter().map(|u| numbers(&u.to_vec())[0]);
    angles.filter(|angle| *angle < 180.0).count() as f64 / refined.draws.nrows() as f64
}

#[test]
fn a_posterior_across_the_start_of_a_turn_is_one() {
    // By sums over the angle, in steps of a hundredth of a degree.
    let density = |angle: f64| {
        let (there, here) = (angle.to_radians(), 4.0_f64.to_radians());
        let square = (there.cos() - here.cos()).powi(2) + (there.sin() - here.sin()).powi(2);
        let sd = NOISE[0];
        (-0.5 * square / (sd * sd)).exp() / (2.0 * std::f64::consts::PI * sd * sd)
    };
    let sum = |from: f64, steps: u32| -> f64 {
        (0..steps).map(|step| 0.01 * density(from + 0.01 * (f64::from(step) + 0.5))).sum()
    };
    let whole = sum(0.0, 36_000);
    let below_180 = sum(0.0, 18_000) / whole;
    // The number is uniform over 10, and its likelihood well within.
    let log_evidence = (whole / 3600.0).ln();

    let refined = across_the_start(vec![Circle::new(ALONG.to_vec(), 0.0, 360.0)]);
    // 2,000 effective draws: a standard error of 0.011.
    assert!((low(&refined) - below_180).abs() < 0.045, "{} {below_180}", low(&refined));
    assert!((refined.log_evidence - log_evidence).abs() < 0.08, "{}", refined.log_evidence);
    assert_eq!(refined.modes.len(), 1);
    let [angle, _] = numbers(&refined.modes[0].coordinates);
    assert!((angle - 4.0).abs() < 0.1, "{angle}");
    assert!(
        refined.draws.rows().into_iter().all(|u| (0.0..=360.0).contains(&numbers(&u.to_vec())[0]))
    );

    // Cut at its start, it is half of it at most.
    let cut = across_the_start(Vec::new());
    assert!((low(&cut) - below_180).abs() > 0.2, "{}", low(&cut));
}

/// `ocs-wide` whose O leaves first; the others turn by an angle of 0 to `high` degrees.
fn in_steps(high: f64) -> Simulation {
    let angle = format!("{{ distribution = 'uniform', low = 0, high = {high} }}");
    let law = format!("kind = 'sequential'\nfirst = 'O'\nrotation_deg = {angle}");
    let break_up = toml::from_str(&law).unwrap();
    Simulation { break_up, ..toml::from_str(OCS_WIDE.text).unwrap() }
}

/// Momenta that a rotation of a full turn does not change have a circle in their chart, and that of half a turn has none.
#[test]
fn a_rotation_over_a_full_turn_is_a_circle() {
    for (high, expected) in [(360.0, 1), (180.0, 0)] {
        let simulation = in_steps(high);
        let mut basis = Array2::eye(10);
        basis[[9, 9]] = -1.0;
        // The chart counts the angle downwards, from 100 degrees.
        let mut origin = Array1::zeros(10);
        origin[9] = 100.0;
        let chart = Chart::new(origin, basis).unwrap();
        let explosion = Explosion::new(
            &simulation.molecule,
            simulation.dynamics(),
            &chart,
            &simulation.accuracy,
        )
        .unwrap();
        assert_eq!(explosion.circles().len(), expected);
        let Some(circle) = explosion.circles().first() else { continue };
        // 370 degrees are 10.
        let mut u = [0.0; 10];
        u[9] = -270.0;
        circle.fold(&mut u);
        assert_eq!(u[9], 90.0);
    }
}
