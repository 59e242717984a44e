//! The harmonic law: positions and momenta against closed forms, whatever the modes are multiplied by and mixed with.
//!
//! OCS has the force constants 15.65431488 (CO), 7.18341775 (CS), 1.0 (between them) mdyn/angstrom and 2.29252946 (bend)
//! mdyn angstrom; its modes were found by another program (numpy), and so were those of SO2.

use cei_physics::units::{BOHR_ANGSTROM, BOLTZMANN_HARTREE_PER_K, HARTREE_CM1, HARTREE_EV};
use cei_physics::{
    Accuracy, Events, Exploder, GeometryLaw, Orientation, Rotation, Simulation, Vibrations,
    simulate, simulate_moving,
};

const OCS: &str = r#"
    [molecule]
    isotopes = "commonest"
    atoms = [{ element = "C", charge = 2 }, { element = "O", charge = 2 }, { element = "S", charge = 2 }]
    [geometry]
    law = "harmonic"
    positions_angstrom = { C = [0, 0, 0], O = [0, 0, -1.1578], S = [0, 0, 1.5601] }
    modes = [
        { frequency_cm1 = 520, displacements = { C = [0, -0.908709, 0], O = [0, 0.39133, 0], S = [0, 0.14529, 0] } },
        { frequency_cm1 = 520, displacements = { C = [-0.908709, 0, 0], O = [0.39133, 0, 0], S = [0.14529, 0, 0] } },
        { frequency_cm1 = 859, displacements = { C = [0, 0, 0.459562], O = [0, 0, 0.713203], S = [0, 0, -0.529286] } },
        { frequency_cm1 = 2062, displacements = { C = [0, 0, 0.856743], O = [0, 0, -0.511549], S = [0, 0, -0.065643] } },
    ]"#;

const SO2: &str = r#"
    orientation = "random"
    [molecule]
    isotopes = "commonest"
    atoms = [{ element = "S", charge = 1 }, { element = "O", label = "A", charge = 1 }, { element = "O", label = "B", charge = 1 }]
    [geometry]
    law = "harmonic"
    temperature_k = 300
    positions_angstrom = { S = [0, 0, 0], A = [0, 1.234716, 0.722956], B = [0, -1.234716, 0.722956] }
    modes = [
        { frequency_cm1 = 518, displacements = { S = [0, 0, 0.383719], A = [0, 0.528491, -0.383506], B = [0, -0.528491, -0.383506] } },
        { frequency_cm1 = 1151, displacements = { S = [0, 0, 0.372468], A = [0, -0.540422, -0.372261], B = [0, 0.540422, -0.372261] } },
        { frequency_cm1 = 1362, displacements = { S = [0, 0.521095, 0], A = [0, -0.520806, -0.304944], B = [0, -0.520806, 0.304944] } },
    ]"#;

const EVENTS: usize = 20_000;

fn simulation(text: &str) -> Simulation {
    Simulation { accuracy: Accuracy::fast(), ..toml::from_str(text).unwrap() }
}

fn vibrations(simulation: &mut Simulation) -> &mut Vibrations {
    match &mut simulation.geometry {
        Some(GeometryLaw::Harmonic(vibrations)) => vibrations,
        _ => panic!("the law is harmonic"),
    }
}

fn drawn(simulation: &Simulation, events: usize) -> (Events, Vec<Vec<f64>>) {
    let made = simulate(simulation, events, 5).unwrap();
    let initial = made.initial_momenta.as_ref().unwrap();
    let initial = initial.rows().into_iter().map(|row| row.to_vec()).collect();
    (made, initial)
}

fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x * x));
    sum / count
}

/// Within five standard errors of a variance of normal values, `sqrt(2 / n)` of it; the seed is fixed.
fn assert_variance(what: &str, found: f64, expected: f64) {
    let error = (2.0 / EVENTS as f64).sqrt();
    assert!((found / expected - 1.0).abs() < 5.0 * error, "{what}: {found}, expected {expected}");
}

/// `coth(w / 2kT)` of a frequency in 1/cm.
fn thermal(frequency_cm1: f64, temperature_k: f64) -> f64 {
    let energy = BOLTZMANN_HARTREE_PER_K * temperature_k;
    1.0 / (frequency_cm1 / HARTREE_CM1 / (2.0 * energy)).tanh()
}

/// Standard deviations of bond lengths (pm) and of the bend along one axis (degrees) from force constants and masses, by
/// matrix functions in numpy; classically, `k T` times the inverse of the force constants.
#[test]
fn bonds_and_bends_vary_as_the_force_constants_say() {
    let cases = [
        ("wigner", 0.0, [3.507041, 3.882512, 5.139124]),
        ("wigner", 300.0, [3.510238, 3.923956, 5.582630]),
        ("wigner", 2000.0, [4.543634, 6.406973, 11.951776]),
        ("classical", 2000.0, [4.218706, 6.227744, 11.882852]),
    ];
    for (statistics, temperature_k, expected) in cases {
        let text = OCS.replace(
            "law = \"harmonic\"",
            &format!(
                "law = \"harmonic\"\nstatistics = \"{statistics}\"\ntemperature_k = {temperature_k}"
            ),
        );
        let (made, _) = drawn(&simulation(&text), EVENTS);
        let rows = || made.positions.rows().into_iter();
        let (r_co, r_cs) = (1.1578 / BOHR_ANGSTROM, 1.5601 / BOHR_ANGSTROM);
        let pm = |sd: f64| (sd / (100.0 * BOHR_ANGSTROM)).powi(2);
        let co = variance(rows().map(|x| x[2] - x[5] - r_co));
        let cs = variance(rows().map(|x| x[8] - x[2] - r_cs));
        let bend = |axis: usize| {
            variance(
                rows().map(|x| (x[3 + axis] - x[axis]) / r_co + (x[6 + axis] - x[axis]) / r_cs),
            )
        };
        assert_variance("C-O", co, pm(expected[0]));
        assert_variance("C-S", cs, pm(expected[1]));
        for axis in [0, 1] {
            assert_variance("bend", bend(axis), expected[2].to_radians().powi(2));
        }
    }
}

/// Each normal coordinate and momentum has the variance of its oscillator, and none is correlated with another.
#[test]
fn normal_coordinates_and_momenta_are_those_of_independent_oscillators() {
    for temperature_k in [0.0, 700.0] {
        let mut simulation = simulation(OCS);
        vibrations(&mut simulation).temperature_k = temperature_k;
        let (made, initial) = drawn(&simulation, EVENTS);
        let modes = vibrations(&mut simulation).clone().modes;
        let molecule = &simulation.molecule;
        let reference = vibrations(&mut simulation.clone()).positions_angstrom.clone();
        let mut columns: Vec<(f64, Vec<f64>)> = Vec::new();
        for mode in &modes {
            let d: Vec<f64> =
                molecule.labels().iter().flat_map(|label| mode.displacements[label]).collect();
            let m: Vec<f64> = molecule.masses().iter().flat_map(|m| [*m; 3]).collect();
            let norm: f64 = d.iter().zip(&m).map(|(d, m)| m * d * d).sum::<f64>().sqrt();
            let x_0: Vec<f64> = molecule
                .labels()
                .iter()
                .flat_map(|label| reference[label].map(|x| x / BOHR_ANGSTROM))
                .collect();
            // Dimensionless: Q sqrt(w) and P / sqrt(w) both have the variance coth / 2.
            let w = mode.frequency_cm1 / HARTREE_CM1;
            let expected = 0.5 * thermal(mode.frequency_cm1, temperature_k);
            let coordinate = made.positions.rows().into_iter().map(|x| {
                let parts = (0..9).map(|c| m[c] * d[c] * (x[c] - x_0[c]));
                parts.sum::<f64>() / norm * w.sqrt()
            });
            columns.push((expected, coordinate.collect()));
            let momentum =
                initial.iter().map(|p| (0..9).map(|c| d[c] * p[c]).sum::<f64>() / norm / w.sqrt());
            columns.push((expected, momentum.collect()));
        }
        let n = EVENTS as f64;
        for (i, (expected, a)) in columns.iter().enumerate() {
            assert_variance("normal coordinate", variance(a.iter().copied()), *expected);
            for (other, b) in &columns[..i] {
                let covariance = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
                // Five standard errors; the displacements have six digits.
                let error = 5.0 * (expected * other / n).sqrt();
                assert!(covariance.abs() < error, "{covariance} {error}");
            }
        }
    }
}

/// Half of the energy of harmonic oscillators is kinetic: the sum of `w coth / 4`, at 0 K 0.12278 eV, classically kT / 2 a
/// mode. The centre of mass is at the origin and at rest.
#[test]
fn kinetic_energy_is_shared_equally_and_nothing_moves_as_a_whole() {
    let frequencies = [520.0, 520.0, 859.0, 2062.0];
    let mean = |simulation: &Simulation| {
        let masses = simulation.molecule.masses().to_vec();
        let (made, initial) = drawn(simulation, EVENTS);
        for (x, p) in made.positions.rows().into_iter().zip(&initial) {
            let centre = simulation.molecule.centre_of_mass(&x.to_vec());
            assert!(centre.iter().all(|c| c.abs() < 1e-12), "{centre:?}");
            for axis in 0..3 {
                let total: f64 = p[axis..].iter().step_by(3).sum();
                assert!(total.abs() < 1e-13, "{total}");
            }
        }
        let energies = initial
            .iter()
            .map(|p| p.iter().enumerate().map(|(c, p)| p * p / (2.0 * masses[c / 3])).sum::<f64>());
        HARTREE_EV * energies.sum::<f64>() / EVENTS as f64
    };
    let mut ocs = simulation(OCS);
    for temperature_k in [0.0, 300.0, 2000.0] {
        vibrations(&mut ocs).temperature_k = temperature_k;
        let each =
            frequencies.map(|w| HARTREE_EV * w / HARTREE_CM1 * thermal(w, temperature_k) / 4.0);
        // The energy of a mode is exponential with half a degree of freedom: its variance is twice its squared mean.
        let error = (each.iter().map(|e| 2.0 * e * e).sum::<f64>() / EVENTS as f64).sqrt();
        let (found, expected) = (mean(&ocs), each.iter().sum::<f64>());
        assert!((found - expected).abs() < 5.0 * error, "{temperature_k}: {found} {expected}");
    }
    let known = frequencies.iter().sum::<f64>() / 4.0 / HARTREE_CM1 * HARTREE_EV;
    approx::assert_relative_eq!(known, 0.122775, max_relative = 1e-4);
    vibrations(&mut ocs).statistics = cei_physics::Statistics::Classical;
    let expected = 4.0 * 0.5 * BOLTZMANN_HARTREE_PER_K * 2000.0 * HARTREE_EV;
    let error = expected / 4.0 * (2.0 * 4.0 / EVENTS as f64).sqrt();
    let found = mean(&ocs);
    assert!((found - expected).abs() < 5.0 * error, "classical: {found} {expected}");
}

/// A molecule that is described turned is drawn turned; a random orientation turns positions and momenta together.
#[test]
fn positions_and_momenta_turn_together() {
    let plain = simulation(OCS);
    let turn = Rotation::from_quaternion([0.3, -0.5, 0.7, 0.4]);
    let mut turned = plain.clone();
    let law = vibrations(&mut turned);
    law.positions_angstrom.values_mut().for_each(|x| turn.apply(x));
    for mode in &mut law.modes {
        mode.displacements.values_mut().for_each(|d| turn.apply(d));
    }
    let random = Simulation { orientation: Orientation::Random, ..plain.clone() };
    let [(a, p_a), (b, p_b), (c, p_c)] =
        [&plain, &turned, &random].map(|simulation| drawn(simulation, 50));
    for event in 0..50 {
        let state = |events: &Events, p: &[Vec<f64>]| {
            [events.positions.row(event).to_vec(), p[event].clone()].concat()
        };
        let mut expected = state(&a, &p_a);
        let vectors = |state: &[f64]| -> Vec<f64> {
            let dot =
                |i: usize, j: usize| (0..3).map(|c| state[3 * i + c] * state[3 * j + c]).sum();
            (0..6).flat_map(|i| (0..6).map(move |j| (i, j))).map(|(i, j)| dot(i, j)).collect()
        };
        // All lengths and angles of positions and momenta are those of the molecule that is not turned.
        approx::assert_abs_diff_eq!(
            vectors(&state(&c, &p_c))[..],
            vectors(&expected)[..],
            epsilon = 1e-9
        );
        turn.apply(&mut expected);
        approx::assert_abs_diff_eq!(state(&b, &p_b)[..], expected[..], epsilon = 1e-9);
        // The final momenta are those of ions that start so.
        let exploder = Exploder::new(&random.molecule, &random.charging, &random.accuracy).unwrap();
        let mut final_momenta = [0.0; 9];
        let x = c.positions.row(event).to_vec();
        exploder.explode(&x, Some(&p_c[event]), &mut final_momenta).unwrap();
        let row = c.momenta.row(event).to_vec();
        approx::assert_abs_diff_eq!(row[..], final_momenta[..], epsilon = 1e-9);
    }
}

/// Displacements may have any length and sign of the masses' roots that is declared; what moves or turns the molecule as a
/// whole is left out, and said.
#[test]
fn modes_may_be_given_in_any_way_that_is_declared() {
    let plain = simulation(OCS);
    let expected = drawn(&plain, 20);
    let same = |simulation: &Simulation| {
        let found = drawn(simulation, 20);
        approx::assert_abs_diff_eq!(
            found.0.positions.as_slice().unwrap(),
            expected.0.positions.as_slice().unwrap(),
            epsilon = 1e-9
        );
        approx::assert_abs_diff_eq!(found.1.concat()[..], expected.1.concat()[..], epsilon = 1e-8);
    };
    let mut scaled = plain.clone();
    for (mode, factor) in vibrations(&mut scaled).modes.iter_mut().zip([1e-3, 250.0, 7.0, 0.5]) {
        mode.displacements.values_mut().flatten().for_each(|d| *d *= factor);
    }
    same(&scaled);
    assert_eq!(scaled.remarks().unwrap(), [] as [&str; 0]);

    let mut weighted = plain.clone();
    let masses = plain.molecule.masses().to_vec();
    let atom = |label: &str| plain.molecule.index_of(label).unwrap();
    for mode in &mut vibrations(&mut weighted).modes {
        for (label, d) in &mut mode.displacements {
            d.iter_mut().for_each(|d| *d *= masses[atom(label)].sqrt());
        }
    }
    let error = weighted.check().unwrap_err().to_string();
    assert!(error.contains("moves or turns the molecule"), "{error}");
    assert!(
        error.contains("hint: as mass-weighted vectors") && error.contains("= true`"),
        "{error}"
    );
    vibrations(&mut weighted).mass_weighted = true;
    same(&weighted);

    let mut whole = plain.clone();
    let law = vibrations(&mut whole);
    let mut rigid = law.modes[0].clone();
    rigid.frequency_cm1 = -12.0;
    rigid.displacements.values_mut().for_each(|d| *d = [0.0, 0.0, 1.0]);
    let mut nothing = rigid.clone();
    nothing.frequency_cm1 = 0.0;
    nothing.displacements.values_mut().for_each(|d| *d = [0.0; 3]);
    law.modes.insert(0, rigid);
    law.modes.insert(0, nothing);
    same(&whole);
    let remarks = whole.remarks().unwrap();
    assert!(remarks[0].contains("2 modes") && remarks[0].contains("left out"), "{remarks:?}");
}

#[test]
fn modes_that_describe_no_molecule_are_refused_by_key() {
    let error = |change: &dyn Fn(&mut Vibrations)| {
        let mut simulation = simulation(OCS);
        change(vibrations(&mut simulation));
        simulation.check().unwrap_err().to_string()
    };
    let imaginary = |law: &mut Vibrations| law.modes[2].frequency_cm1 = -859.0;
    assert!(
        error(&imaginary).starts_with("`geometry.modes[2].frequency_cm1`: `-859` is imaginary")
    );
    let mut left_out = simulation(OCS);
    imaginary(vibrations(&mut left_out));
    vibrations(&mut left_out).imaginary = cei_physics::Imaginary::LeaveOut;
    assert!(left_out.remarks().unwrap()[0].contains("imaginary"));
    let twice = error(&|law| law.modes[3].displacements = law.modes[2].displacements.clone());
    assert!(twice.contains("`geometry.modes[2]` and `geometry.modes[3]` are not orthogonal"));
    assert!(twice.contains("100.0 %") && twice.contains("hint: are the masses"), "{twice}");
    assert!(error(&|law| law.modes.clear()).starts_with("`geometry.modes` is missing"));
    assert!(error(&|law| law.modes[1].frequency_cm1 = 0.2).contains("at least 1 cm^-1"));
    assert!(error(&|law| law.molden = Some("a".into())).contains("`a` have not been read"));
    let still = error(&|law| law.modes[1].displacements.values_mut().for_each(|d| *d = [0.0; 3]));
    assert!(still.contains("all displacements are zero"), "{still}");
    let another = error(&|law| {
        law.modes[0].displacements.insert("N".into(), [0.0; 3]);
    });
    assert!(another.contains("`geometry.modes[0].displacements`") && another.contains("`N`"));
    let cold = error(&|law| law.statistics = cei_physics::Statistics::Classical);
    assert!(cold.starts_with("`geometry.temperature_k`: `0`"), "{cold}");
    // Deuterium for hydrogen, so to say: 18O and 34S in the place of 16O and 32S.
    let heavy =
        OCS.replace("\"O\", charge", "\"18O\", charge").replace("\"S\", charge", "\"36S\", charge");
    let heavy: Simulation = toml::from_str(&heavy).unwrap();
    let error = heavy.check().map(|()| heavy.remarks().unwrap().concat());
    let said = error.unwrap_or_else(|error| error.to_string());
    assert!(said.contains("masses"), "{said}");
    let mut hot = simulation(OCS);
    hot.temperature_k = 300.0;
    let error = hot.check().unwrap_err().to_string();
    assert!(error.starts_with("`temperature_k` gives the ions momenta"), "{error}");
}

/// The mean of g / p over draws from p is 1 for every density g: with g that of bonds and an angle of their own, this
/// proves the density of a linear and of a bent molecule, Jacobians and normalisation included.
#[test]
fn the_density_is_that_of_the_draws() {
    let narrow = |centre: &str, outer: [&str; 2], lengths: [f64; 2], angle: &str| {
        let bond = |place: usize| {
            format!(
                "{{ atom = \"{}\", length_angstrom = {{ distribution = \"normal\", mean = {}, sd = 0.02 }} }}",
                outer[place], lengths[place]
            )
        };
        format!(
            "law = \"triatomic\"\ncentre = \"{centre}\"\nbonds = [{}, {}]\n{angle}",
            bond(0),
            bond(1)
        )
    };
    let bend = "bend_deg = { distribution = \"weibull\", shape = 2.0, scale = 5.0 }";
    let angle = "angle_deg = { distribution = \"normal\", mean = 119.3, sd = 2.0 }";
    let cases = [
        (OCS.to_owned(), narrow("C", ["O", "S"], [1.1578, 1.5601], bend)),
        // Bends of unequal frequencies: the axis is averaged over.
        (
            OCS.replacen("frequency_cm1 = 520", "frequency_cm1 = 700", 1),
            narrow("C", ["O", "S"], [1.1578, 1.5601], bend),
        ),
        (SO2.to_owned(), narrow("S", ["A", "B"], [1.4308, 1.4308], angle)),
    ];
    for (text, other) in cases {
        let mut harmonic = simulation(&text);
        harmonic.orientation = Orientation::Random;
        let p = harmonic.position_density().unwrap();
        assert_eq!(p.coordinates().dim(), (6, 9));
        let g = Simulation { geometry: Some(toml::from_str(&other).unwrap()), ..harmonic.clone() };
        let g = g.position_density().unwrap();
        let made = simulate(&harmonic, EVENTS, 8).unwrap();
        let (mut sum, mut squares) = (0.0, 0.0);
        for row in made.positions.rows() {
            let row = row.to_vec();
            let ratio = (g.log_density(&row) - p.log_density(&row)).exp();
            sum += ratio;
            squares += ratio * ratio;
        }
        let n = EVENTS as f64;
        let error = (squares / n).sqrt() / n.sqrt();
        assert!(error < 0.02, "the test sees little: {error}");
        assert!((sum / n - 1.0).abs() < 5.0 * error, "{} +- {error}", sum / n);
    }
    let reason = |text: &str| simulation(text).position_density().unwrap_err().to_string();
    assert!(reason(OCS).contains("`orientation = \"as-drawn\"`"));
    let mut fewer = simulation(SO2);
    vibrations(&mut fewer).modes.pop();
    assert!(fewer.remarks().unwrap()[0].contains("2 of the molecule's 3 vibrations"));
    assert!(fewer.position_density().unwrap_err().to_string().contains("lacks vibrations"));
}

/// Two atoms: a normal length, in every direction alike.
#[test]
fn the_density_of_a_diatomic_by_hand() {
    let text = "orientation = \"random\"\n[molecule]\natoms = [{ element = \"H\", charge = 1 }, { element = \"D\", charge = 1 }]\n\
        [geometry]\nlaw = \"harmonic\"\npositions_angstrom = { H = [0.3, 0, 0], D = [0.3, 0.74, 0] }\n\
        modes = [{ frequency_cm1 = 3800, displacements = { H = [0, -0.894, 0], D = [0, 0.447, 0] } }]";
    let density = simulation(text).position_density().unwrap();
    let molecule = &simulation(text).molecule;
    let [m_1, m_2] = [molecule.masses()[0], molecule.masses()[1]];
    let sd = (0.5 / (3800.0 / HARTREE_CM1) / (m_1 * m_2 / (m_1 + m_2))).sqrt();
    for r in [1.2, 1.4, 1.75] {
        let row = [5.0, -1.0, 2.0, 5.0 + 0.6 * r, -1.0, 2.0 - 0.8 * r];
        let z = (r - 0.74 / BOHR_ANGSTROM) / sd;
        let normal = (-0.5 * z * z).exp() / (sd * (2.0 * std::f64::consts::PI).sqrt());
        let expected = normal / (4.0 * std::f64::consts::PI * r * r);
        approx::assert_relative_eq!(density.log_density(&row), expected.ln(), epsilon = 1e-9);
    }
}

/// Given the positions, initial momenta are normal with the covariance that is told: each component in units of its
/// standard deviation has the variance 1, and so have combinations of two.
#[test]
fn the_covariance_of_initial_momenta_is_that_of_the_draws() {
    let thermal = OCS.split("[geometry]").next().unwrap().to_owned()
        + "[geometry]\nlaw = \"fixed\"\npositions_angstrom = { C = [0, 0, 0], O = [0, 0, -1.1578], S = [0, 0, 1.5601] }";
    let cases = [
        OCS.replacen("[molecule]", "orientation = \"random\"\n[molecule]", 1),
        SO2.to_owned(),
        format!("temperature_k = 900.0\norientation = \"random\"\n{thermal}"),
    ];
    for text in cases {
        let simulation = simulation(&text);
        let law = simulation.initial_momentum_law().unwrap().unwrap();
        let (made, initial) = drawn(&simulation, EVENTS);
        for weights in [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, -2.0, 0.5, 3.0]] {
            let places = [0, 4, 2, 8];
            let standard = made.positions.rows().into_iter().zip(&initial).map(|(x, p)| {
                let covariance = law.covariance(&x.to_vec());
                let value: f64 = (0..4).map(|i| weights[i] * p[places[i]]).sum();
                let pairs = (0..4).flat_map(|i| (0..4).map(move |j| (i, j)));
                let variance: f64 = pairs
                    .map(|(i, j)| weights[i] * weights[j] * covariance[[places[i], places[j]]])
                    .sum();
                value / variance.sqrt()
            });
            assert_variance("standardised momentum", variance(standard), 1.0);
        }
    }
}

/// Ions that are given with momenta fly as the exploder says, and are turned as a whole; laws that draw momenta do not
/// fit beside.
#[test]
fn given_momenta_are_those_that_the_ions_start_with() {
    let mut ocs = simulation(OCS);
    let (made, initial) = drawn(&ocs, 10);
    let initial = ndarray::Array2::from_shape_vec((10, 9), initial.concat()).unwrap();
    let again = simulate_moving(&ocs, made.positions.view(), initial.view(), 0).unwrap();
    approx::assert_abs_diff_eq!(
        again.momenta.as_slice().unwrap(),
        made.momenta.as_slice().unwrap(),
        epsilon = 1e-12
    );
    assert_eq!(again.initial_momenta.as_ref(), Some(&initial));
    // A molecule that moves as a whole: the same explosion, seen from a train.
    let velocity = [3e-4, -2e-4, 1e-4];
    let boosts: Vec<f64> =
        ocs.molecule.masses().iter().flat_map(|m| velocity.map(|v| m * v)).collect();
    let boosts = ndarray::Array1::from_vec(boosts);
    let moving = &initial + &boosts;
    let seen = simulate_moving(&ocs, made.positions.view(), moving.view(), 0).unwrap();
    let expected = &made.momenta + &boosts;
    approx::assert_abs_diff_eq!(
        seen.momenta.as_slice().unwrap(),
        expected.as_slice().unwrap(),
        epsilon = 1e-4
    );
    assert!(!ocs.starts_at_rest());
    ocs.geometry = None;
    assert!(ocs.starts_at_rest());
    ocs.initial_momenta = cei_physics::InitialMomenta::Given;
    assert!(!ocs.starts_at_rest() && ocs.initial_momentum_law().unwrap().is_none());
    ocs.temperature_k = 10.0;
    let error = simulate_moving(&ocs, made.positions.view(), initial.view(), 0).unwrap_err();
    assert!(error.to_string().contains("the file of the positions does too"), "{error}");
    let mut given = simulation(OCS);
    given.initial_momenta = cei_physics::InitialMomenta::Given;
    let error = simulate(&given, 1, 0).unwrap_err().to_string();
    assert!(error.starts_with("`initial_momenta` is `given`"), "{error}");
}
