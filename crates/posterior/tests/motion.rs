//! Ions that move at the start: their momenta as coordinates, against differences.

use cei_physics::{Accuracy, Simulation, presets, simulate};
use cei_posterior::{Chart, Explosion, Forward};
use ndarray::{Array2, Axis, concatenate, s};

const VIBRATIONS: &str = r#"
[geometry]
law = "harmonic"
positions_angstrom = { C = [0, 0, 0], O = [0, 0, -1.1578], S = [0, 0, 1.5601] }
modes = [
    { frequency_cm1 = 520, displacements = { C = [0, -0.908709, 0], O = [0, 0.39133, 0], S = [0, 0.14529, 0] } },
    { frequency_cm1 = 520, displacements = { C = [-0.908709, 0, 0], O = [0.39133, 0, 0], S = [0.14529, 0, 0] } },
    { frequency_cm1 = 859, displacements = { C = [0, 0, 0.459562], O = [0, 0, 0.713203], S = [0, 0, -0.529286] } },
    { frequency_cm1 = 2062, displacements = { C = [0, 0, 0.856743], O = [0, 0, -0.511549], S = [0, 0, -0.065643] } },
]
"#;

fn assert_linearised(simulation: &Simulation, charging: &str) {
    let law = simulation.initial_momentum_law().unwrap().unwrap();
    let molecule = &simulation.molecule;
    let events = simulate(simulation, 3, 8).unwrap();
    let inputs = concatenate![Axis(1), events.positions, events.nuisances];
    // The chart of all positions (and of a time, if there is one).
    let columns = inputs.ncols();
    let chart = Chart::new(ndarray::Array1::zeros(columns), Array2::eye(columns)).unwrap();
    let accuracy = Accuracy { tolerance: 1e-13, ..Accuracy::default() };
    let explosion = Explosion::new(molecule, &simulation.charging, &chart, &accuracy)
        .unwrap()
        .with_motion(&law);
    let kicks = law.dimension();
    let z = Array2::from_shape_fn((3, kicks), |(row, k)| (row as f64 + 1.3 * k as f64).sin());
    let coordinates = concatenate![Axis(1), inputs, z];
    assert_eq!(explosion.inputs(), columns + kicks);
    assert_eq!(explosion.outputs(), 9 + kicks);
    let (values, jacobians) = explosion.linearised(coordinates.view());
    let plain = explosion.values(coordinates.view());
    assert!((&values - &plain).iter().all(|e| e.abs() < 1e-6));
    assert_eq!(values.slice(s![.., 9..]), z);
    for number in 0..columns + kicks {
        let at = |size: f64| {
            let mut moved = coordinates.clone();
            moved.column_mut(number).mapv_inplace(|x| x + size);
            explosion.values(moved.view())
        };
        let h = 2e-3;
        let expected = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        for row in 0..3 {
            let largest = jacobians.index_axis(Axis(0), row);
            let largest = largest.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
            let apart = &jacobians.slice(s![row, .., number]) - &expected.row(row);
            let error = apart.iter().fold(0.0, |most: f64, e| most.max(e.abs())) / largest;
            assert!(error < 1e-6, "{charging} {number} {row}: {error:e}");
        }
    }
}

#[test]
fn momenta_at_the_start_are_coordinates() {
    for charging in [
        "",
        "[charging]\nkind = \"exponential\"\ntau_fs = 10.0\n",
        "[charging]\nkind = \"exponential\"\ntau_fs = { distribution = \"uniform\", low = 0, high = 40 }\n",
    ] {
        let text = presets::OCS_WIDE.text;
        let thermal = format!("temperature_k = 300.0\n{text}\n{charging}");
        assert_linearised(&toml::from_str(&thermal).unwrap(), charging);
        let (before, after) = text.split_once("[geometry]").unwrap();
        let (_, after) = after.split_once("[detector]").unwrap();
        let harmonic = format!("{before}{VIBRATIONS}[detector]{after}\n{charging}");
        assert_linearised(&toml::from_str(&harmonic).unwrap(), charging);
    }
}
