//! Events that have a charging time of their own: against explosions by that one time.

use cei_physics::{
    Accuracy, Charging, Exploder, ExplosionError, Mode, Simulation, presets, simulate,
    simulate_positions, simulate_range,
};
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

const KINDS: [(&str, &str); 3] =
    [("exponential", "tau_fs"), ("linear", "tau_fs"), ("pulse", "fwhm_fs")];
const DRAWN: &str = "{ distribution = \"uniform\", low = 0, high = 40 }";

/// A preset whose charging has this time.
fn charging(preset: &str, (kind, key): (&str, &str), time: &str) -> Simulation {
    let more = format!(
        "\n[charging]\nkind = \"{kind}\"\n{key} = {time}\ninitial_charges = {{ C = 0.5 }}\n"
    );
    toml::from_str(&format!("{preset}{more}")).unwrap()
}

fn text(preset: presets::Preset) -> &'static str {
    preset.text
}

/// Rows of positions, each with a time behind it.
fn rows(positions: ArrayView2<'_, f64>, times: &[f64]) -> Array2<f64> {
    let times = Array2::from_shape_vec((times.len(), 1), times.to_vec()).unwrap();
    concatenate(Axis(1), &[positions, times.view()]).unwrap()
}

fn exploder(simulation: &Simulation, accuracy: Accuracy) -> Exploder<'_> {
    Exploder::new(&simulation.molecule, &simulation.charging, &accuracy).unwrap()
}

const TIMES: [f64; 5] = [1e-3, 0.7, 4.0, 11.0, 39.0];

#[test]
fn every_event_flies_by_its_own_time() {
    for preset in [presets::OCS_WIDE, presets::CHBRCLF] {
        for kind in KINDS {
            let drawn = charging(text(preset), kind, DRAWN);
            let positions = simulate(&drawn, TIMES.len(), 1).unwrap().positions;
            for mode in [Mode::Precise, Mode::Reference] {
                let accuracy = Accuracy { mode, ..Accuracy::default() };
                let of_all = exploder(&drawn, accuracy.clone());
                let all = of_all.explode_all(rows(positions.view(), &TIMES).view()).unwrap();
                for (row, time) in TIMES.iter().enumerate() {
                    let alone = charging(text(preset), kind, &format!("{time:?}"));
                    let alone = exploder(&alone, accuracy.clone())
                        .explode_all(positions.slice(s![row..=row, ..]))
                        .unwrap();
                    let largest = alone.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
                    let apart = (&all.row(row) - &alone.row(0)).mapv(f64::abs);
                    let error = apart.iter().fold(0.0, |most: f64, e| most.max(*e)) / largest;
                    assert!(error < 1e-9, "{kind:?} {mode:?} {time}: {error:e}");
                }
            }
        }
    }
}

/// Against central differences of order 4 of explosions by one time each.
#[test]
fn jacobians_have_the_time_as_a_column() {
    for preset in [presets::OCS_WIDE, presets::CHBRCLF] {
        for kind in KINDS {
            let drawn = charging(text(preset), kind, DRAWN);
            let times = [2.0, 7.0, 13.0, 25.0];
            let positions = simulate(&drawn, times.len(), 2).unwrap().positions;
            let input = rows(positions.view(), &times);
            let of_all = exploder(&drawn, Accuracy::default());
            let (momenta, jacobians) = of_all.explode_linearised(input.view()).unwrap();
            let columns = positions.ncols();
            assert_eq!(jacobians.dim(), (times.len(), columns, columns + 1));
            let plain = of_all.explode_all(input.view()).unwrap();
            assert!((&momenta - &plain).iter().all(|e| e.abs() < 1e-6));
            let accuracy = Accuracy { tolerance: 1e-13, ..Accuracy::default() };
            for (row, time) in times.iter().enumerate() {
                let at = |moved: f64| {
                    let alone = charging(text(preset), kind, &format!("{:?}", time + moved));
                    let alone = exploder(&alone, accuracy.clone());
                    alone.explode_all(positions.slice(s![row..=row, ..])).unwrap().row(0).to_owned()
                };
                let h = 1e-2 * time;
                let expected = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                let by_time = jacobians.slice(s![row, .., columns]);
                let largest = jacobians
                    .index_axis(Axis(0), row)
                    .iter()
                    .fold(0.0, |most: f64, entry| most.max(entry.abs()));
                let apart = (&by_time - &expected).mapv(f64::abs);
                let error = apart.iter().fold(0.0, |most: f64, e| most.max(*e)) / largest;
                assert!(error < 1e-6, "{kind:?} {time}: {error:e}");
                // Positions move the momenta as they do by one time.
                let alone = charging(text(preset), kind, &format!("{time:?}"));
                let (_, by_position) = exploder(&alone, Accuracy::default())
                    .explode_linearised(positions.slice(s![row..=row, ..]))
                    .unwrap();
                let found = jacobians.slice(s![row, .., ..columns]);
                let apart = (&found - &by_position.index_axis(Axis(0), 0)).mapv(f64::abs);
                let error = apart.iter().fold(0.0, |most: f64, e| most.max(*e)) / largest;
                assert!(error < 1e-7, "{kind:?} {time}, by position: {error:e}");
            }
        }
    }
}

#[test]
fn simulated_events_have_the_times_that_are_recorded() {
    let preset = presets::OCS_WIDE;
    let noise = "momentum_noise_au = 1.0";
    let quiet = text(preset).replace(noise, "momentum_noise_au = 0.0");
    assert_ne!(quiet, text(preset));
    for kind in KINDS {
        let simulation = charging(&quiet, kind, DRAWN);
        let names: Vec<String> = simulation.nuisances().into_iter().map(|n| n.name).collect();
        assert_eq!(names, [format!("charging_{}", kind.1)]);
        let events = simulate(&simulation, 600, 5).unwrap();
        assert_eq!(events.nuisances.dim(), (600, 1));
        let mean = events.nuisances.mean().unwrap();
        assert!((mean - 20.0).abs() < 4.0 * 40.0 / 12.0_f64.sqrt() / 600.0_f64.sqrt(), "{mean}");
        let row = rows(events.positions.view(), &events.nuisances.column(0).to_vec());
        let again = exploder(&simulation, Accuracy::default()).explode_all(row.view()).unwrap();
        assert!((&again - &events.momenta).iter().all(|e| e.abs() < 1e-6), "{kind:?}");
        // Any part of them is the same, and so are others drawn at the same positions.
        let part = simulate_range(&simulation, 250..300, 5).unwrap();
        assert_eq!(part.nuisances, events.nuisances.slice(s![250..300, ..]));
        assert_eq!(part.momenta, events.momenta.slice(s![250..300, ..]));
        let given = simulate_positions(&simulation, events.positions.view(), 6).unwrap();
        assert_ne!(given.nuisances, events.nuisances);
    }
    let fixed = charging(&quiet, KINDS[0], "10.0");
    assert_eq!(simulate(&fixed, 3, 0).unwrap().nuisances.dim(), (3, 0));
}

#[test]
fn what_is_no_time_is_told() {
    let simulation = charging(text(presets::OCS_WIDE), KINDS[0], DRAWN);
    let exploder = exploder(&simulation, Accuracy::default());
    assert_eq!(exploder.inputs(), 10);
    let events = simulate(&simulation, 3, 5).unwrap();
    let row = rows(events.positions.view(), &[10.0, -1.0, f64::NAN]);
    let momenta = exploder.explode_all(row.view()).unwrap();
    for (row, is_sound) in momenta.rows().into_iter().zip([true, false, false]) {
        assert_eq!(row.iter().all(|p| p.is_finite()), is_sound);
    }
    let (_, jacobians) = exploder.explode_linearised(row.view()).unwrap();
    assert!(jacobians.slice(s![0, .., ..]).iter().all(|entry| entry.is_finite()));
    assert!(jacobians.slice(s![1.., .., ..]).iter().all(|entry| entry.is_nan()));
    let mut momenta = [0.0; 9];
    let error = exploder.explode(&row.row(1).to_vec(), None, &mut momenta).unwrap_err();
    assert!(matches!(error, ExplosionError::NotPositive { value: -1.0, .. }), "{error}");
    assert_eq!(error.to_string(), "`charging_tau_fs` is `-1`, expected a positive number");
    let short = events.positions.view();
    assert!(exploder.explode_all(short).is_err());
    let wrong =
        charging(text(presets::OCS_WIDE), KINDS[0], "{ distribution = \"fixed\", value = 3 }");
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.contains("`charging.tau_fs`"), "{error}");
    let _: Charging = wrong.charging;
}

/// Times and rates of a transfer, either of them drawn, or both.
#[test]
fn a_transfer_has_times_and_rates_of_its_own() {
    let rate_law = "{ distribution = \"uniform\", low = 0.02, high = 1.0 }";
    for (preset, atom) in [(presets::OCS_WIDE, "S"), (presets::CHBRCLF, "Br")] {
        let transfer = |tau: &str, rate: &str| -> Simulation {
            let law = format!(
                "\n[charging]\nkind = \"transfer\"\natom = \"{atom}\"\ntau_fs = {tau}\nrate_per_fs = {rate}\n"
            );
            toml::from_str(&format!("{}{law}", text(preset))).unwrap()
        };
        let (times, rates) = ([2.0, 7.0, 13.0, 25.0], [0.5, 0.1432, 0.05, 0.4]);
        let positions = simulate(&transfer("9.0", "0.4"), 4, 2).unwrap().positions;
        let columns = positions.ncols();
        for (tau, rate) in [(DRAWN, "0.15"), ("8.0", rate_law), (DRAWN, rate_law)] {
            let law = transfer(tau, rate);
            let (own_tau, own_rate) = (tau == DRAWN, rate == rate_law);
            let names: Vec<String> = law.nuisances().into_iter().map(|n| n.name).collect();
            let known = [("charging_tau_fs", own_tau), ("charging_rate_per_fs", own_rate)];
            let expected: Vec<&str> =
                known.iter().filter(|(_, own)| *own).map(|(name, _)| *name).collect();
            assert_eq!(names, expected);
            // Both of one event, and its numbers as a row has them.
            let both = |row: usize| {
                [if own_tau { times[row] } else { 8.0 }, if own_rate { rates[row] } else { 0.15 }]
            };
            let numbers = |both: [f64; 2]| -> Vec<f64> {
                both.into_iter()
                    .zip([own_tau, own_rate])
                    .filter(|(_, own)| *own)
                    .map(|(n, _)| n)
                    .collect()
            };
            let input = Array2::from_shape_fn((4, columns + names.len()), |(row, column)| {
                if column < columns {
                    positions[[row, column]]
                } else {
                    numbers(both(row))[column - columns]
                }
            });
            let alone = |row: usize, [tau, rate]: [f64; 2], tolerance: f64| {
                let one = transfer(&format!("{tau:?}"), &format!("{rate:?}"));
                exploder(&one, Accuracy { tolerance, ..Accuracy::default() })
                    .explode_all(positions.slice(s![row..=row, ..]))
                    .unwrap()
                    .row(0)
                    .to_owned()
            };
            for mode in [Mode::Precise, Mode::Reference] {
                let of_all = exploder(&law, Accuracy { mode, ..Accuracy::default() });
                let (momenta, jacobians) = of_all.explode_linearised(input.view()).unwrap();
                for row in 0..if mode == Mode::Precise { 4 } else { 1 } {
                    let expected = alone(row, both(row), 1e-10);
                    let largest = expected.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
                    let apart = (&momenta.row(row) - &expected).mapv(f64::abs);
                    let error = apart.iter().fold(0.0, |most: f64, e| most.max(*e)) / largest;
                    assert!(error < 1e-9, "{tau} {rate} {mode:?} {row}: {error:e}");
                    let mut column = columns;
                    for which in [0, 1] {
                        if ![own_tau, own_rate][which] {
                            continue;
                        }
                        let at = |part: f64| {
                            let mut moved = both(row);
                            moved[which] *= 1.0 + part;
                            alone(row, moved, 1e-13)
                        };
                        let h = 1e-2;
                        let expected = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h)))
                            / (12.0 * h * both(row)[which]);
                        let found = jacobians.slice(s![row, .., column]);
                        let scale = expected.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
                        let apart = (&found - &expected).mapv(f64::abs);
                        let error = apart.iter().fold(0.0, |most: f64, e| most.max(*e)) / scale;
                        assert!(error < 1e-6, "{tau} {rate} {mode:?} {row} {which}: {error:e}");
                        column += 1;
                    }
                }
            }
        }
    }
}
