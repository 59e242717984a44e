//! The training events that the evidence of others is compared with stand in a run's files as measured ones do.

use std::sync::atomic::AtomicBool;

use cei_model::open_device;
use cei_physics::presets::OCS_WIDE;
use cei_physics::simulate;
use cei_posterior::LAWS_ALONG_CURVES;
use cei_train::Silent;
use ndarray::{Array1, Array2, Array3};

use super::Refiner;
use crate::train::train_run;
use crate::trained::draws::draw_positions;
use crate::{Experiment, TrainedRun};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENT: &str = r#"
[source]
events_per_epoch = 300
[preprocessing.gauge]
frame = "momentum"
x_axis = "S"
xy_plane = "O"
[model]
kind = "cinn"
couplings = 1
hidden = [4]
[training]
max_epochs = 1
batch_size = 100
"#;

const ALIGNED: &str =
    r#"{ kind = "aligned", molecule_axis = ["O", "S"], laboratory_axis = "z", cos2 = 0.95 }"#;

/// Momenta of training events of a run of OCS, recorded in the laboratory, whose network sees them in their own frame.
fn momenta(
    orientation: &str,
    noise: &str,
) -> Result<Option<Array2<f64>>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let law = folder.path().join("law.toml");
    let text = cei_physics::presets::OCS_WIDE.text;
    let text = text.replace("orientation = \"random\"", &format!("orientation = {orientation}"));
    let (text, _) = text.split_once("[detector]").ok_or("no detector")?;
    std::fs::write(&law, format!("{text}[detector]\nmomentum_noise_au = {noise}\n"))?;
    let simulator = format!("source.simulator='{}'", law.display());
    let experiment = Experiment::parse(EXPERIMENT, "test", &[simulator])?;
    let run = folder.path().join("run");
    train_run(&experiment, &run, "cpu", false, &AtomicBool::new(false), |_| {}, &mut Silent)?;
    let run = TrainedRun::load(&run, open_device("cpu")?)?;
    Ok(Refiner::new(&run, 1, 1, 3, true)?.momenta_of_training(7, 100)?)
}

/// Of an aligned molecule they are aligned, and have the noise of the laboratory's axes: 30 a.u. of each ion along z is 52
/// of their sum, 1 along x and y is 1.7.
#[test]
fn momenta_of_aligned_training_events_stand_in_the_laboratory() -> TestResult {
    let uneven = "{ C = [1, 1, 30], O = [1, 1, 30], S = [1, 1, 30] }";
    for (noise, along_z) in [("1.0", 1.732), (uneven, 51.96)] {
        let momenta = momenta(ALIGNED, noise)?.ok_or("no momenta")?;
        assert_eq!(momenta.dim(), (100, 9));
        let apart = |row: usize, axis: usize| momenta[[row, 6 + axis]] - momenta[[row, 3 + axis]];
        let square = |row: usize| (0..3).map(|axis| apart(row, axis).powi(2)).sum::<f64>();
        // O and S fly apart nearly along their distance, which has a mean cos^2 of 0.95; at random it were 0.33 +- 0.03.
        let cos2 = (0..100).map(|row| apart(row, 2).powi(2) / square(row)).sum::<f64>() / 100.0;
        assert!(cos2 > 0.7, "{noise}: {cos2}");
        // A standard deviation of 100 numbers has an error of 7 %.
        for (axis, expected) in [1.732, 1.732, along_z].into_iter().enumerate() {
            let sum = |row: usize| (0..3).map(|ion| momenta[[row, 3 * ion + axis]]).sum::<f64>();
            let sd = ((0..100).map(|row| sum(row).powi(2)).sum::<f64>() / 100.0).sqrt();
            assert!((sd / expected - 1.0).abs() < 0.28, "{noise}, axis {axis}: {sd}");
        }
    }
    Ok(())
}

/// Of molecules that are turned at random those that the run has kept serve, in the frame of the run; not with noise that
/// differs between the laboratory's axes, which that frame does not know.
#[test]
fn momenta_of_random_training_events_stand_in_the_frame_of_the_run() -> TestResult {
    let momenta_of = |noise: &str| momenta("\"random\"", noise);
    let kept = momenta_of("1.0")?.ok_or("no momenta")?;
    let largest = kept.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
    for row in kept.rows() {
        // S on +x, O in the half-plane xy, y > 0; single precision.
        assert!(row[6] > 0.0 && row[4] > 0.0);
        assert!([row[7], row[8], row[5]].iter().all(|p| p.abs() < 1e-5 * largest), "{row}");
    }
    assert!(momenta_of("{ C = [1, 1, 3], O = 1, S = 1 }")?.is_none());
    Ok(())
}

/// The angle of a break-up in steps leaves curves, unless it is the same for all events.
#[test]
fn laws_of_a_break_up_in_steps_are_laid_along_its_curves() -> TestResult {
    let folder = tempfile::tempdir()?;
    let law = folder.path().join("law.toml");
    let simulator = format!("source.simulator='{}'", law.display());
    let in_steps = "[break_up]\nkind = 'sequential'\nfirst = 'O'\n\
        rotation_deg = { distribution = 'uniform', low = 0, high = 360 }\n";
    let nuisance = "columns.nuisances=['break_up_rotation_deg']";
    let fixed = "[break_up]\nkind = 'sequential'\nfirst = 'O'\nrotation_deg = 90\n";
    for (name, break_up, set, expected) in [
        ("concerted", "", vec![simulator.clone()], 0),
        ("fixed", fixed, vec![simulator.clone()], 0),
        ("in-steps", in_steps, vec![simulator, nuisance.to_owned()], LAWS_ALONG_CURVES),
    ] {
        std::fs::write(&law, format!("{}\n{break_up}", cei_physics::presets::OCS_WIDE.text))?;
        let experiment = Experiment::parse(EXPERIMENT, "test", &set)?;
        let run = folder.path().join(name);
        train_run(&experiment, &run, "cpu", false, &AtomicBool::new(false), |_| {}, &mut Silent)?;
        let run = TrainedRun::load(&run, open_device("cpu")?)?;
        let refiner = Refiner::new(&run, 1, 1, 3, true)?;
        assert_eq!(refiner.target.options.along_curves, expected, "{name}");
    }
    Ok(())
}

/// Where all draws of the network are outside the law, as of an event unlike any in training, those of the law lead to the same
/// posterior as good ones do.
#[test]
fn searches_that_the_network_misleads_begin_at_the_law() -> TestResult {
    let folder = tempfile::tempdir()?;
    let law = folder.path().join("law.toml");
    std::fs::write(&law, cei_physics::presets::OCS_WIDE.text)?;
    let set = [
        format!("source.simulator='{}'", law.display()),
        "detector.momentum_noise_au=1.0".to_owned(),
    ];
    let experiment = Experiment::parse(EXPERIMENT, "test", &set)?;
    let run = folder.path().join("run");
    train_run(&experiment, &run, "cpu", false, &AtomicBool::new(false), |_| {}, &mut Silent)?;
    let run = TrainedRun::load(&run, open_device("cpu")?)?;
    let refiner = Refiner::new(&run, 1000, 1000, 3, true)?;
    let y = refiner.momenta_of_training(7, 8)?.ok_or("no momenta")?;
    let good = draw_positions(&run, y.view(), 400, 3, 0);
    let misled = &good + 20.0;
    let misled = &misled * &Array1::from_shape_fn(9, |column| (column / 3) as f64 * 3.0);
    let of = |draws: &Array3<f64>| refiner.refine(y.view(), draws.view(), 5, 0);
    for (expected, found) in of(&good)?.iter().zip(of(&misled)?) {
        let [expected, found] = [expected, &found].map(|event| event.log_evidence);
        let (expected, found) = (expected.ok_or("no evidence")?, found.ok_or("lost")?);
        assert!((expected - found).abs() < 0.3, "{expected} {found}");
    }
    Ok(())
}

/// Momenta of three ions without noise lie in a plane, and the law does not: it excludes what is outside of its limits all the same.
#[test]
fn geometries_in_a_plane_are_within_the_limits_of_the_law() -> TestResult {
    let folder = tempfile::tempdir()?;
    let law = folder.path().join("law.toml");
    let (text, _) = OCS_WIDE.text.split_once("[detector]").ok_or("no detector")?;
    std::fs::write(&law, text)?;
    let simulator = format!("source.simulator='{}'", law.display());
    let experiment = Experiment::parse(EXPERIMENT, "test", &[simulator])?;
    let run = folder.path().join("run");
    train_run(&experiment, &run, "cpu", false, &AtomicBool::new(false), |_| {}, &mut Silent)?;
    let run = TrainedRun::load(&run, open_device("cpu")?)?;
    let refiner = Refiner::new(&run, 100, 100, 3, true)?;
    let events = simulate(&toml::from_str(text)?, 12, 2)?;
    let draws = draw_positions(&run, events.momenta.view(), 100, 3, 0);
    let refined = refiner.refine(events.momenta.view(), draws.view(), 5, 0)?;
    for (event, truth) in refined.iter().zip(events.positions.rows()) {
        let bonds = |positions: &[f64]| -> Vec<f64> {
            let of = |atom: usize| {
                let along = |axis: usize| positions[3 * atom + axis] - positions[axis];
                (0..3).map(|axis| along(axis).powi(2)).sum::<f64>().sqrt()
            };
            vec![of(1), of(2)]
        };
        let all: Vec<Vec<f64>> = event.modes.iter().map(|mode| bonds(&mode.inferred)).collect();
        // From 1 to 5 angstrom.
        let is_drawn = |bonds: &Vec<f64>| bonds.iter().all(|b| (1.889..9.449).contains(b));
        assert!(all.iter().all(is_drawn), "{all:?}");
        let truth = bonds(&truth.to_vec());
        let is_truth =
            |bonds: &Vec<f64>| bonds.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(all.iter().any(is_truth), "{truth:?} not in {all:?}");
    }
    Ok(())
}
