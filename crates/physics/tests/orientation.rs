//! Aligned molecules: their positions follow the density that refinement takes as prior, and momenta turn with them.

use cei_physics::presets::{CHBRCLF, OCS_WIDE};
use cei_physics::{
    Accuracy, Frame, Orientation, Simulation, explode, simulate, simulate_positions,
};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// OCS of any shape, aligned with z and recorded in the laboratory.
fn ocs(orientation: &str) -> Simulation {
    let mut simulation: Simulation = toml::from_str(OCS_WIDE.text).unwrap();
    simulation.orientation = parsed(orientation);
    simulation.frame = Frame::default();
    simulation.accuracy = Accuracy::fast();
    simulation.detector = Default::default();
    simulation
}

fn parsed(orientation: &str) -> Orientation {
    let table: toml::Table = toml::from_str(&format!("orientation = {orientation}")).unwrap();
    table["orientation"].clone().try_into().unwrap()
}

const STRONG: &str =
    r#"{ kind = "aligned", molecule_axis = ["O", "S"], laboratory_axis = "z", cos2 = 0.65 }"#;
const OF_INERTIA: &str = r#"{ kind = "aligned", laboratory_axis = "z", beta = 2.0 }"#;
const ORIENTED: &str = r#"{ kind = "aligned", molecule_axis = ["C", "O"], laboratory_axis = "z", weights = [[0, 3], [60, 1], [180, 0.2]] }"#;

/// For any density g, the mean of g / p over draws from p is 1 (where p has all of g's support). With g normal in
/// Cartesian coordinates, narrower along z or along x, this proves Jacobian, normalisation and axis at once: the two g
/// differ only by how they lie to the laboratory.
#[test]
fn the_density_of_aligned_molecules_is_that_of_their_draws() {
    for (seed, orientation) in (0..).zip([STRONG, OF_INERTIA, ORIENTED]) {
        let law = ocs(orientation);
        let density = law.position_density().unwrap();
        assert!(density.is_aligned());
        let events = simulate(&law, 40_000, 11 + seed).unwrap();
        for axis in [0, 2] {
            let sd = |component: usize| if component % 3 == axis { 2.5 } else { 4.0 };
            let relative = |row: &[f64]| [3, 4, 5, 6, 7, 8].map(|c| row[c] - row[c % 3]);
            let log_g = |row: &[f64]| {
                let of = |(c, d): (usize, &f64)| {
                    -0.5 * (d / sd(c)).powi(2) - (sd(c) * (2.0 * std::f64::consts::PI).sqrt()).ln()
                };
                relative(row).iter().enumerate().map(of).sum::<f64>()
            };
            let (mut sum, mut squares) = (0.0, 0.0);
            for row in events.positions.rows() {
                let row = row.to_vec();
                let ratio = (log_g(&row) - density.log_density(&row)).exp();
                sum += ratio;
                squares += ratio * ratio;
            }
            let n = events.positions.nrows() as f64;
            let (mean, error) = (sum / n, (squares / n).sqrt() / n.sqrt());
            // What of g lies where the law has any: bonds of 1 to 5 angstrom, angles of 100 to 180 degrees.
            let mut rng = ChaCha8Rng::seed_from_u64(2 + axis as u64);
            let mut inside = 0.0;
            for _ in 0..100_000 {
                let mut row = [0.0; 9];
                for (c, x) in row.iter_mut().enumerate().skip(3) {
                    *x = sd(c) * rng.sample::<f64, _>(StandardNormal);
                }
                inside += f64::from(u8::from(density.log_density(&row) > f64::NEG_INFINITY));
            }
            let expected = inside / 1e5;
            assert!(expected > 0.05, "g must overlap: {expected}");
            let most = 4.0 * error + 4.0 * (expected / 1e5).sqrt();
            assert!((mean - expected).abs() < most, "{orientation}: {mean} +- {error}, {expected}");
        }
    }
}

/// A sphere of five atoms, which is no triatomic: the factor on the density is that of the angle by hand.
#[test]
fn any_law_takes_the_factor() {
    let mut random: Simulation = toml::from_str(CHBRCLF.text).unwrap();
    random.frame = Frame::default();
    let mut aligned = random.clone();
    aligned.orientation = parsed(
        r#"{ kind = "aligned", molecule_axis = ["C", "Br"], laboratory_axis = "x", beta = 1.5 }"#,
    );
    let events = simulate(&aligned, 20, 3).unwrap();
    let [plain, factored] = [&random, &aligned].map(|law| law.position_density().unwrap());
    let [from, to] = ["C", "Br"].map(|label| random.molecule.index_of(label).unwrap());
    for row in events.positions.rows() {
        let row = row.to_vec();
        let along = [0, 1, 2].map(|axis| row[3 * to + axis] - row[3 * from + axis]);
        let cos2 = along[0].powi(2) / along.iter().map(|x| x * x).sum::<f64>();
        let expected = plain.log_density(&row) + (1.0 + 1.5 * (1.5 * cos2 - 0.5)).ln();
        approx::assert_relative_eq!(factored.log_density(&row), expected, max_relative = 1e-12);
    }
}

/// The recorded momenta are those of the recorded positions, in the laboratory; and `<cos^2>` of the momenta's axis O to S
/// is the positions' own, far from 1/3.
#[test]
fn momenta_turn_with_the_positions() {
    let mut law = ocs(STRONG);
    law.accuracy = Accuracy::default();
    let events = simulate(&law, 500, 5).unwrap();
    let cos2 = |row: &[f64]| {
        let along = [3, 4, 5].map(|c| row[c + 3] - row[c]);
        along[2].powi(2) / along.iter().map(|x| x * x).sum::<f64>()
    };
    let mut of_momenta = 0.0;
    for (x, y) in events.positions.rows().into_iter().zip(events.momenta.rows()) {
        let mut again = [0.0; 9];
        explode(&law.molecule, &x.to_vec(), None, &law.accuracy, &mut again).unwrap();
        let largest = again.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
        for (a, b) in again.iter().zip(&y) {
            approx::assert_abs_diff_eq!(*a, *b, epsilon = 1e-8 * largest);
        }
        of_momenta += cos2(&y.to_vec()) / 500.0;
    }
    // The sd of cos^2 is below 0.32, five standard errors are 0.07; momenta of bent molecules point a little elsewhere.
    assert!((of_momenta - 0.65).abs() < 0.1, "{of_momenta}");
}

/// In the frame of the momenta nothing is left of the laboratory: the same events as of random molecules, and their density.
#[test]
fn the_frame_of_the_momenta_forgets_the_alignment() {
    let frame: Frame =
        toml::from_str("kind = \"momentum\"\nx_axis = \"S\"\nxy_plane = \"O\"").unwrap();
    let [random, aligned] = ["\"random\"", STRONG].map(|orientation| {
        let mut law = ocs(orientation);
        law.accuracy = Accuracy::default();
        law.frame = frame.clone();
        law
    });
    let density = [&random, &aligned].map(|law| law.position_density().unwrap());
    assert!(!density[1].is_aligned());
    // The shape is drawn first, so that it is the same under one seed.
    let events = [&random, &aligned].map(|law| simulate(law, 50, 4).unwrap());
    for row in 0..50 {
        let first = events[0].positions.row(row).to_vec();
        assert_eq!(density[0].log_density(&first), density[1].log_density(&first));
        for (a, b) in
            [(&events[0].positions, &events[1].positions), (&events[0].momenta, &events[1].momenta)]
        {
            for (a, b) in a.row(row).iter().zip(b.row(row)) {
                approx::assert_abs_diff_eq!(*a, *b, epsilon = 1e-6);
            }
        }
    }
}

/// Given positions are turned by the same law, however they lie.
#[test]
fn given_positions_are_aligned_anew() {
    let law = ocs(STRONG);
    let one = [0.0, 0.0, 0.0, 2.3, 0.4, 0.0, -3.0, 0.0, 0.1];
    let given = Array2::from_shape_fn((4000, 9), |(_, column)| one[column]);
    let events = simulate_positions(&law, given.view(), 6).unwrap();
    let mut mean = 0.0;
    for row in events.positions.rows() {
        let along = [3, 4, 5].map(|c| row[c + 3] - row[c]);
        mean += along[2].powi(2) / along.iter().map(|x| x * x).sum::<f64>() / 4000.0;
    }
    // The sd of cos^2 is below 0.32, the standard error 0.005.
    assert!((mean - 0.65).abs() < 0.025, "{mean}");
}
