//! Break-up in two steps: what is conserved, closed forms, independent integrations, and derivatives.

use cei_physics::energy::{kinetic_energy, potential_energy};
use cei_physics::units::{ELECTRON_MASSES_PER_U, TIME_AU_FS};
use cei_physics::{
    Accuracy, AtomSpec, BreakUp, Charging, Dynamics, Exploder, Molecule, Simulation, explode,
    simulate,
};
use ndarray::{Array2, array};

fn molecule(elements: &[&str]) -> Molecule {
    Molecule::new(elements.iter().map(|element| AtomSpec::new(element, 1.0)).collect()).unwrap()
}

fn dynamics(law: &str) -> Dynamics {
    let break_up: BreakUp = toml::from_str(&format!("kind = 'sequential'\n{law}")).unwrap();
    Dynamics { break_up, ..Dynamics::from(&Charging::default()) }
}

fn momenta(molecule: &Molecule, law: &str, positions: &[f64]) -> Vec<f64> {
    let mut momenta = vec![0.0; positions.len()];
    let exploder = Exploder::new(molecule, dynamics(law), &Accuracy::default()).unwrap();
    exploder.explode(positions, None, &mut momenta).unwrap();
    momenta
}

fn sum(momenta: &[f64], axis: usize) -> f64 {
    momenta[axis..].iter().step_by(3).sum()
}

/// O, C, S bent by about 30 degrees, out of any plane of axes.
const OCS: [f64; 9] = [-2.0, 0.7, 0.4, 0.1, -0.1, 0.0, 2.8, 0.5, -0.3];

#[test]
fn energy_and_momentum_are_conserved() {
    let ocs = molecule(&["O", "C", "S"]);
    let acetylene = molecule(&["H", "C", "C", "H"]);
    let bent = [-3.0, 0.9, 0.2, -1.1, 0.0, 0.0, 1.2, 0.1, -0.2, 2.9, -0.8, 0.7];
    for (molecule, positions, first) in [
        (&ocs, &OCS[..], "O"),
        (&ocs, &OCS[..], "C"),
        (&ocs, &OCS[..], "S"),
        (&acetylene, &bent[..], "H1"),
    ] {
        for turn in ["rotation_deg = 70.0", "lifetime_ps = 0.3", "rotation_deg = 359.0"] {
            let end = momenta(molecule, &format!("first = '{first}'\n{turn}"), positions);
            let ratio = kinetic_energy(molecule, &end) / potential_energy(molecule, positions);
            assert!((ratio - 1.0).abs() < 1e-8, "{first}, {turn}: {ratio}");
            let largest = end.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
            for axis in 0..3 {
                assert!(sum(&end, axis).abs() < 1e-9 * largest, "{first}, {turn}");
            }
        }
    }
}

/// The errors of the rough mode are not known here: searches that ask for it get the fast one.
#[test]
fn the_rough_mode_is_the_fast_one() {
    let ocs = molecule(&["O", "C", "S"]);
    let rows = Array2::from_shape_vec((1, 9), OCS.to_vec()).unwrap();
    let [rough, fast] = [Accuracy::rough(), Accuracy::fast()].map(|accuracy| {
        let law = dynamics("first = 'O'\nrotation_deg = 70.0");
        let exploder = Exploder::new(&ocs, law, &accuracy).unwrap();
        let (momenta, jacobian) = exploder.explode_linearised(rows.view()).unwrap();
        (exploder.explode_all(rows.view()).unwrap(), momenta, jacobian)
    });
    assert!(rough.0.iter().all(|p| p.is_finite()) && rough == fast, "{rough:?} {fast:?}");
}

/// An ion on the perpendicular bisector of two like ones pushes both alike: nothing turns, and both steps are of two bodies.
#[test]
fn a_symmetric_first_step_is_that_of_two_bodies() {
    let water = molecule(&["O", "H", "H"]);
    let (height, half) = (1.1, 1.4);
    let positions = [0.0, height, 0.0, -half, 0.0, 0.0, half, 0.0, 0.0];
    let end = momenta(&water, "first = 'O'\nrotation_deg = 90.0", &positions);
    let (o, h) = (water.masses()[0], water.masses()[1]);
    let distance = height.hypot(half);
    let first = (2.0 * (2.0 * o * h / (o + 2.0 * h)) * 2.0 / distance).sqrt();
    let second = (h / (2.0 * half)).sqrt();
    let expected = [0.0, first, 0.0, -second, -first / 2.0, 0.0, second, -first / 2.0, 0.0];
    for (found, expected) in end.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-7 * first, "{end:?}");
    }
}

/// A molecule on a line has no angular momentum in the rest, which then does not turn.
#[test]
fn what_lies_on_a_line_stays_there() {
    let ocs = molecule(&["O", "C", "S"]);
    let line = [-2.2, 0.0, 0.0, 0.0, 0.0, 0.0, 2.9, 0.0, 0.0];
    let end = momenta(&ocs, "first = 'O'\nlifetime_ps = 1.0", &line);
    assert!(end[0] < 0.0 && end[3] < end[6], "{end:?}");
    for axis in [1, 2] {
        assert!(end[axis..].iter().step_by(3).all(|p| p.abs() < 1e-9), "{end:?}");
    }
}

/// The first ion's momentum: that of an ion of the reduced mass that flies from two of a mass beyond all measure, by the
/// integration of the concerted explosion; smaller by what the rotation of the rest takes. And the angular momentum
/// of the rest: that of the torque on it on the way, by a Runge-Kutta integration of order 4 with small steps. It is seen in the
/// kinetic energy of the second step, which has that of the rotation beside the Coulomb energy of C and S.
#[test]
fn the_first_step_is_that_of_an_independent_integration() {
    let ocs = molecule(&["O", "C", "S"]);
    let [o, c, s] = [0, 1, 2].map(|atom| ocs.masses()[atom]);
    let reduced = o * (c + s) / (o + c + s);
    let end = momenta(&ocs, "first = 'O'\nrotation_deg = 40.0", &OCS);
    let atom =
        |mass_u: f64, name: &str| AtomSpec { mass_u: Some(mass_u), ..AtomSpec::new(name, 1.0) };
    let heavy = [atom(reduced / ELECTRON_MASSES_PER_U, "O"), atom(1e14, "C"), atom(1e14, "S")];
    let heavy = Molecule::new(heavy.to_vec()).unwrap();
    let mut free = [0.0; 9];
    explode(&heavy, &OCS, None, &Accuracy::default(), &mut free).unwrap();
    let length = |p: &[f64]| p.iter().map(|p| p * p).sum::<f64>().sqrt();
    let factor = length(&end[..3]) / length(&free[..3]);
    for axis in 0..3 {
        let off = end[axis] - factor * free[axis];
        assert!(off.abs() < 1e-5 * length(&end[..3]), "{axis}: {off}");
    }
    // Energy of the second step in the frame of C and S.
    let second = [0, 1, 2].map(|axis| (c * end[6 + axis] - s * end[3 + axis]) / (c + s));
    let internal = second.map(|p| p * p).iter().sum::<f64>() * (c + s) / (2.0 * c * s);
    let apart = [0, 1, 2].map(|axis| OCS[6 + axis] - OCS[3 + axis]);
    let distance = length(&apart);
    let rotational = internal - 1.0 / distance;
    let inertia = c * s / (c + s) * distance * distance;
    let torqued = factor * frozen_angular_momentum(reduced, [c, s]);
    let expected = torqued * torqued / (2.0 * inertia);
    assert!((rotational / expected - 1.0).abs() < 1e-3, "{rotational} {expected}");
    // Energies: what is missing in the translation is in the rotation.
    let translation = length(&end[..3]).powi(2) / (2.0 * reduced);
    let total = length(&free[..3]).powi(2) / (2.0 * reduced);
    assert!(((translation + rotational) / total - 1.0).abs() < 1e-5);
}

/// Length of the time integral of the torque of a leaving ion on two that stay where they are, about their centre of mass.
fn frozen_angular_momentum(reduced: f64, [c, s]: [f64; 2]) -> f64 {
    let place = |atom: usize| [OCS[3 * atom], OCS[3 * atom + 1], OCS[3 * atom + 2]];
    let sources = [place(1), place(2)];
    let centre = [0, 1, 2].map(|k| (c * sources[0][k] + s * sources[1][k]) / (c + s));
    // Position, momentum and angular momentum.
    let slope = |y: &[f64; 9]| -> [f64; 9] {
        let mut slope = [0.0; 9];
        for source in &sources {
            let apart: [f64; 3] = std::array::from_fn(|k| y[k] - source[k]);
            let cube = apart.iter().map(|x| x * x).sum::<f64>().powf(1.5);
            let arm: [f64; 3] = std::array::from_fn(|k| source[k] - centre[k]);
            for k in 0..3 {
                let (l, m) = ((k + 1) % 3, (k + 2) % 3);
                slope[3 + k] += apart[k] / cube;
                slope[6 + k] -= (arm[l] * apart[m] - arm[m] * apart[l]) / cube;
            }
        }
        (0..3).for_each(|k| slope[k] = y[3 + k] / reduced);
        slope
    };
    let mut y = [0.0; 9];
    y[..3].copy_from_slice(&place(0));
    let mut h = 0.2;
    while y[..3].iter().map(|x| x * x).sum::<f64>() < 1e10 {
        let at = |k: &[f64; 9], part: f64| -> [f64; 9] {
            std::array::from_fn(|i| y[i] + part * h * k[i])
        };
        let k1 = slope(&y);
        let k2 = slope(&at(&k1, 0.5));
        let k3 = slope(&at(&k2, 0.5));
        let k4 = slope(&at(&k3, 1.0));
        y = std::array::from_fn(|i| y[i] + h / 6.0 * (k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]));
        h *= 1.002;
    }
    y[6..].iter().map(|l| l * l).sum::<f64>().sqrt()
}

/// A lifetime turns by the angular velocity, which the energy of the rotation gives.
#[test]
fn a_lifetime_is_an_angle() {
    let ocs = molecule(&["O", "C", "S"]);
    let [_, c, s] = [0, 1, 2].map(|atom| ocs.masses()[atom]);
    let end = momenta(&ocs, "first = 'O'\nrotation_deg = 40.0", &OCS);
    let second = [0, 1, 2].map(|axis| (c * end[6 + axis] - s * end[3 + axis]) / (c + s));
    let internal = second.map(|p| p * p).iter().sum::<f64>() * (c + s) / (2.0 * c * s);
    let distance = [0, 1, 2].map(|k| (OCS[6 + k] - OCS[3 + k]).powi(2)).iter().sum::<f64>().sqrt();
    let inertia = c * s / (c + s) * distance * distance;
    let rate = (2.0 * (internal - 1.0 / distance) / inertia).sqrt();
    let picoseconds = 40f64.to_radians() / rate * TIME_AU_FS / 1000.0;
    let by_time = momenta(&ocs, &format!("first = 'O'\nlifetime_ps = {picoseconds}"), &OCS);
    for (one, other) in end.iter().zip(&by_time) {
        assert!((one - other).abs() < 1e-5, "{end:?} {by_time:?}");
    }
}

/// Derivatives by positions and by the number of the event, beside differences of order 2 with another step.
#[test]
fn jacobians_are_those_of_differences() {
    let ocs = molecule(&["O", "C", "S"]);
    let drawn = "{ distribution = 'uniform', low = 0.0, high = 360.0 }";
    for (law, number, step) in [("rotation_deg", 50.0, 1e-3), ("lifetime_ps", 0.4, 1e-6)] {
        let dynamics = dynamics(&format!("first = 'O'\n{law} = {drawn}"));
        let accuracy = Accuracy { tolerance: 1e-13, ..Accuracy::default() };
        let exploder = Exploder::new(&ocs, &dynamics, &accuracy).unwrap();
        assert_eq!(exploder.inputs(), 10);
        let mut row = OCS.to_vec();
        row.push(number);
        let rows = Array2::from_shape_vec((1, 10), row.clone()).unwrap();
        let (momenta, jacobian) = exploder.explode_linearised(rows.view()).unwrap();
        let plain = exploder.explode_all(rows.view()).unwrap();
        for (one, other) in momenta.iter().zip(&plain) {
            assert!((one - other).abs() < 1e-7, "{one} {other}");
        }
        for input in 0..10 {
            let h = if input < 9 { 1e-4 } else { step };
            let mut both = Array2::from_shape_fn((2, 10), |(_, column)| row[column]);
            both[[0, input]] += h;
            both[[1, input]] -= h;
            let ends = exploder.explode_all(both.view()).unwrap();
            for component in 0..9 {
                let slope = (ends[[0, component]] - ends[[1, component]]) / (2.0 * h);
                let found = jacobian[[0, component, input]];
                let scale = jacobian.iter().fold(0.0, |most: f64, j| most.max(j.abs()));
                assert!(
                    (found - slope).abs() < 2e-5 * scale,
                    "{law} {input} {component}: {found} {slope}"
                );
            }
        }
    }
}

const EVENTS: &str = r#"
orientation = "random"
[molecule]
atoms = [{ element = "O", charge = 1 }, { element = "C", charge = 1 }, { element = "S", charge = 1 }]
[break_up]
kind = "sequential"
first = "O"
rotation_deg = { distribution = "uniform", low = 0.0, high = 360.0 }
[geometry]
law = "triatomic"
centre = "C"
bonds = [
    { atom = "O", length_angstrom = { distribution = "normal", mean = 1.16, sd = 0.03 } },
    { atom = "S", length_angstrom = { distribution = "normal", mean = 1.56, sd = 0.03 } },
]
bend_deg = { distribution = "uniform", low = 2.0, high = 20.0 }
"#;

/// A rotation that is uniform makes the angle between the steps uniform, in the native frame: counts in ten bins of 4,000 events
/// have a chi-square below 27.9 (9 degrees of freedom, 0.1 %).
#[test]
fn a_uniform_rotation_is_seen_as_one() {
    let simulation: Simulation = toml::from_str(EVENTS).unwrap();
    let names: Vec<String> = simulation.nuisances().into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["break_up_rotation_deg"]);
    let events = simulate(&simulation, 4000, 3).unwrap();
    let [o, c, s] = [0, 1, 2].map(|atom| simulation.molecule.masses()[atom]);
    let mut counts = [0.0; 10];
    for p in events.momenta.rows() {
        let q: [f64; 3] = std::array::from_fn(|k| (c * p[6 + k] - s * p[3 + k]) / (c + s));
        let first: [f64; 3] =
            std::array::from_fn(|k| ((c + s) * p[k] - o * (p[3 + k] + p[6 + k])) / (o + c + s));
        let dot = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let angle = (dot(&q, &first) / (dot(&q, &q) * dot(&first, &first)).sqrt()).acos();
        counts[((angle / std::f64::consts::PI * 10.0) as usize).min(9)] += 1.0;
    }
    let chi_square: f64 = counts.iter().map(|n: &f64| (n - 400.0).powi(2) / 400.0).sum();
    assert!(chi_square < 27.9, "{chi_square}: {counts:?}");
    // And without the break-up the angle is that of a bent molecule: above 130 degrees, all of them.
    let concerted = Simulation { break_up: BreakUp::default(), ..simulation };
    assert!(concerted.nuisances().is_empty());
    let other = simulate(&concerted, 4, 3).unwrap();
    assert_eq!(other.nuisances.ncols(), 0);
}

#[test]
fn what_does_not_fit_is_told() {
    let ocs = molecule(&["O", "C", "S"]);
    let law = dynamics("first = 'O'\nrotation_deg = 10.0");
    let exploder = Exploder::new(&ocs, &law, &Accuracy::default()).unwrap();
    let rows = array![[-2.0, 0.7, 0.4, 0.1, -0.1, 0.0, 2.8, 0.5, -0.3]];
    let error = exploder.explode(&OCS, Some(&[0.1; 9]), &mut [0.0; 9]).unwrap_err();
    assert!(error.to_string().contains("start at rest"), "{error}");
    assert!(exploder.explode_varied(rows.view(), rows.view()).is_err());
    let warm: Simulation = toml::from_str(&format!("temperature_k = 300.0\n{EVENTS}")).unwrap();
    assert!(warm.check().unwrap_err().to_string().contains("start at rest"));
    let slow =
        EVENTS.replace("[geometry]", "[charging]\nkind = 'linear'\ntau_fs = 3.0\n[geometry]");
    let slow: Simulation = toml::from_str(&slow).unwrap();
    assert!(slow.check().unwrap_err().to_string().contains("charges that are there at once"));
    // Two atoms at one point.
    let mut far = OCS;
    far[3..6].copy_from_slice(&OCS[..3]);
    let mut end = [0.0; 9];
    assert!(exploder.explode(&far, None, &mut end).is_err());
}
