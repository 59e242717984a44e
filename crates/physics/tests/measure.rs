//! Measuring noise-free events anew has the law of simulating them with the detector.

use cei_physics::{Events, Simulation, measure, simulate};
use ndarray::{Array2, Axis};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EVENTS: usize = 4000;

fn simulation(frame: &str, noise: &str) -> Result<Simulation, toml::de::Error> {
    toml::from_str(&format!(
        r#"
        orientation = "random"
        centre = "centre-of-mass"
        [molecule]
        atoms = [
            {{ element = "C", charge = 2.0 }},
            {{ element = "O", charge = 2.0 }},
            {{ element = "S", charge = 2.0 }},
        ]
        [geometry]
        law = "triatomic"
        centre = "C"
        bonds = [
            {{ atom = "O", length_angstrom = {{ distribution = "uniform", low = 1.0, high = 3.0 }} }},
            {{ atom = "S", length_angstrom = {{ distribution = "uniform", low = 1.0, high = 3.0 }} }},
        ]
        angle_deg = {{ distribution = "uniform", low = 120.0, high = 170.0 }}
        [detector]
        momentum_noise_au = {noise}
        [frame]
        {frame}
        "#
    ))
}

const MOMENTUM: &str = "kind = \"momentum\"\nx_axis = \"S\"\nxy_plane = \"O\"";
const NOISE: &str = "{ C = 5.0, O = 10.0, S = 20.0 }";

/// The noise is a tenth of the momenta, so every frame turns by several degrees.
#[test]
fn noise_on_recorded_events_is_noise_in_the_laboratory() -> TestResult {
    for frame in [MOMENTUM, "kind = \"separate\"\nx_axis = \"S\"\nxy_plane = \"O\""] {
        let noisy = simulation(frame, NOISE)?;
        let direct = simulate(&noisy, EVENTS, 1)?;
        let quiet = simulation(frame, "0.0")?;
        let mut again = simulate(&quiet, EVENTS, 2)?;
        measure(&quiet, &noisy.detector, &mut again, 3)?;
        for (a, b) in [(&direct.momenta, &again.momenta), (&direct.positions, &again.positions)] {
            // Means of 4,000 events: two independent ones differ by sqrt(2 / 4000) = 0.022 sd; 4.5 of
            // these are allowed for each of 36 numbers. The variances alike: the law has no long tails.
            for (a, b) in [(a.clone(), b.clone()), (squares(a), squares(b))] {
                for (a, b) in a.axis_iter(Axis(1)).zip(b.axis_iter(Axis(1))) {
                    let (mean_a, mean_b) =
                        (a.mean().unwrap_or(f64::NAN), b.mean().unwrap_or(f64::NAN));
                    let sd = a.std(1.0).max(1e-9);
                    assert!((mean_a - mean_b).abs() < 0.1 * sd, "{mean_a} {mean_b} {sd}");
                }
            }
        }
        // O lies in the xy plane and S on the x axis of the noisy momenta.
        assert!(again.momenta.column(5).iter().all(|pz| pz.abs() < 1e-9));
        assert!(again.momenta.column(7).iter().all(|py| py.abs() < 1e-9));
    }
    Ok(())
}

fn squares(values: &Array2<f64>) -> Array2<f64> {
    values.mapv(|value| value * value)
}

#[test]
fn the_noise_has_the_declared_size_and_its_own_seed() -> TestResult {
    let quiet = simulation("kind = \"laboratory\"", "0.0")?;
    let noisy = simulation("kind = \"laboratory\"", "{ C = [1, 2.0, 3], O = 0.0, S = 4.0 }")?;
    let clean = simulate(&quiet, EVENTS, 2)?;
    let noise = |seed| -> Result<Events, Box<dyn std::error::Error>> {
        let mut events = clean.clone();
        measure(&quiet, &noisy.detector, &mut events, seed)?;
        Ok(events)
    };
    let (first, other) = (noise(3)?, noise(4)?);
    assert_eq!(first, noise(3)?);
    assert_ne!(first, other);
    assert_eq!(first.positions, clean.positions);
    let difference = &first.momenta - &clean.momenta;
    for (column, sd) in [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 4.0, 4.0, 4.0].into_iter().enumerate() {
        // The sd of 4,000 normal numbers has a standard error of 1.1 %; five of these are allowed.
        let found = difference.column(column).std(1.0);
        assert!((found - sd).abs() <= 0.056 * sd, "column {column}: {found}");
    }
    Ok(())
}

#[test]
fn noise_that_differs_between_axes_needs_the_laboratory() -> TestResult {
    let uneven = simulation("kind = \"laboratory\"", "{ C = [1, 2.0, 3], O = 0.0, S = 4.0 }")?;
    let quiet = simulation(MOMENTUM, "0.0")?;
    let mut events = simulate(&quiet, 3, 2)?;
    let error = measure(&quiet, &uneven.detector, &mut events, 0).unwrap_err().to_string();
    assert!(error.contains("kind = \"laboratory\""), "{error}");
    Ok(())
}
