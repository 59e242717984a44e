//! The presets of `configs/data`: the facts of `docs/spec.md#reference-data` and `docs/spec.md#wide-data`, and what
//! every simulation promises.

use cei_physics::energy::kinetic_energy_release;
use cei_physics::presets::{CHBRCLF, OCS_REFERENCE, OCS_WIDE, OCS_WIDE_FINE, Preset, SIMULATIONS};
use cei_physics::units::{BOHR_ANGSTROM, BOLTZMANN_HARTREE_PER_K, HARTREE_EV};
use cei_physics::{
    Centre, Events, Simulation, SimulationError, simulate, simulate_positions, simulate_range,
};
use ndarray::{Array2, ArrayView1};

fn simulation(text: &str) -> Simulation {
    toml::from_str(text).unwrap()
}

fn preset(preset: Preset) -> Simulation {
    simulation(preset.text)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn sd(values: &[f64]) -> f64 {
    let centre = mean(values);
    mean(&values.iter().map(|v| (v - centre).powi(2)).collect::<Vec<_>>()).sqrt()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let product: Vec<f64> = a.iter().zip(b).map(|(x, y)| x * y).collect();
    (mean(&product) - mean(a) * mean(b)) / (sd(a) * sd(b))
}

fn vector(row: &ArrayView1<'_, f64>, from: usize, to: usize) -> [f64; 3] {
    [0, 1, 2].map(|axis| row[3 * to + axis] - row[3 * from + axis])
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|c| c * c).sum::<f64>().sqrt()
}

/// r_CO, r_CS in bohr and the angle in degrees of each row.
fn shapes(positions: &Array2<f64>) -> [Vec<f64>; 3] {
    let mut shapes = [vec![], vec![], vec![]];
    for row in positions.rows() {
        let (o, s) = (vector(&row, 0, 1), vector(&row, 0, 2));
        let cosine = (o[0] * s[0] + o[1] * s[1] + o[2] * s[2]) / (length(o) * length(s));
        shapes[0].push(length(o));
        shapes[1].push(length(s));
        shapes[2].push(cosine.clamp(-1.0, 1.0).acos().to_degrees());
    }
    shapes
}

fn column_sds(table: &Array2<f64>) -> Vec<f64> {
    table.columns().into_iter().map(|column| sd(&column.to_vec())).collect()
}

fn assert_within(name: &str, found: f64, expected: f64, relative: f64) {
    assert!((found / expected - 1.0).abs() < relative, "{name}: {found}, expected {expected}");
}

#[test]
fn ocs_reference_has_the_published_moments() {
    let simulation = preset(OCS_REFERENCE);
    let Events { positions, momenta, .. } = simulate(&simulation, 10_000, 0).unwrap();
    let [r_co, r_cs, angle] = shapes(&positions);
    let ker: Vec<f64> = momenta
        .rows()
        .into_iter()
        .map(|row| kinetic_energy_release(&simulation.molecule, &row.to_vec()) * HARTREE_EV)
        .collect();
    assert_within("mean r_CO", mean(&r_co), 2.527, 0.03);
    assert_within("sd r_CO", sd(&r_co), 0.347, 0.03);
    assert_within("mean r_CS", mean(&r_cs), 3.529, 0.03);
    assert_within("sd r_CS", sd(&r_cs), 0.492, 0.03);
    assert_within("correlation", correlation(&r_co, &r_cs), 0.969, 0.03);
    assert_within("mean angle", mean(&angle), 175.9, 0.03);
    assert_within("sd angle", sd(&angle), 2.4, 0.03);
    assert_within("mean KER", mean(&ker), 93.5, 0.03);
    assert_within("sd KER", sd(&ker), 11.2, 0.05);

    // Columns cx cy cz ox oy oz sx sy sz.
    let sds = column_sds(&positions);
    // Heavy-tailed: 0.8 % standard error, and the law's own value is 0.0870.
    assert_within("sd cz", sds[2], 0.085, 0.05);
    let variance = sds.iter().map(|sd| sd * sd).sum::<f64>() / 9.0;
    assert_within("MSE of the mean predictor", variance, 0.734, 0.03);
    for dead in [5, 7, 8] {
        assert!(sds[dead] < 1e-9, "position column {dead}: sd {}", sds[dead]);
    }
    let momentum_sds = column_sds(&momenta);
    for dead in [2, 5, 7, 8] {
        assert!(momentum_sds[dead] < 1e-9, "momentum column {dead}: sd {}", momentum_sds[dead]);
    }
    assert!(positions.rows().into_iter().all(|row| row[6] > 0.0 && row[4] >= 0.0));
    assert!(momenta.rows().into_iter().all(|row| row[6] > 0.0 && row[4] >= 0.0));
}

#[test]
fn ocs_wide_is_uniform_and_in_the_momentum_frame() {
    let simulation = preset(OCS_WIDE);
    let Events { positions, momenta, .. } = simulate(&simulation, 4_000, 1).unwrap();
    let [r_co, r_cs, angle] = shapes(&positions);
    for lengths in [r_co, r_cs] {
        let angstrom: Vec<f64> = lengths.iter().map(|r| r * BOHR_ANGSTROM).collect();
        assert!(angstrom.iter().all(|r| (1.0 - 1e-9..=5.0 + 1e-9).contains(r)));
        // Uniform in 1 to 5: sd 4 / sqrt 12 = 1.155, standard error of the mean 0.018.
        assert!((mean(&angstrom) - 3.0).abs() < 0.09);
        assert_within("sd", sd(&angstrom), 4.0 / 12.0_f64.sqrt(), 0.05);
    }
    assert!(angle.iter().all(|a| (100.0 - 1e-6..=180.0).contains(a)));
    assert!((mean(&angle) - 140.0).abs() < 1.8);
    for (position, momentum) in positions.rows().into_iter().zip(momenta.rows()) {
        let centre = simulation.molecule.centre_of_mass(&position.to_vec());
        assert!(length(centre) < 1e-12);
        assert!(momentum[6] > 0.0 && momentum[4] >= 0.0);
        assert!(momentum[5].abs().max(momentum[7].abs()).max(momentum[8].abs()) < 1e-10);
    }
}

#[test]
fn the_fine_detector_differs_in_nothing_but_the_noise() {
    let mut fine = preset(OCS_WIDE_FINE);
    fine.detector = preset(OCS_WIDE).detector;
    assert_eq!(fine, preset(OCS_WIDE));
}

#[test]
fn chbrclf_has_separated_atoms_and_carbon_at_the_origin() {
    let simulation = preset(CHBRCLF);
    let Events { positions, momenta, .. } = simulate(&simulation, 500, 0).unwrap();
    assert_eq!(simulation.molecule.position_columns()[9], "cx");
    for (position, momentum) in positions.rows().into_iter().zip(momenta.rows()) {
        assert_eq!(position.to_vec()[9..12], [0.0; 3]);
        for i in 0..5 {
            assert!((0..i).all(|j| length(vector(&position, i, j)) > 0.5 - 1e-12));
        }
        // C (columns 9 to 11) on +x, Br (columns 0 to 2) in the xy half-plane.
        assert!(momentum[9] > 0.0 && momentum[1] >= 0.0);
        assert!(momentum[10].abs().max(momentum[11].abs()).max(momentum[2].abs()) < 1e-10);
    }
    // The frame is one rotation: the explosion of the recorded positions has the recorded momenta.
    let mut given = simulation;
    given.frame = cei_physics::Frame::default();
    let again = simulate_positions(&given, positions.view(), 0).unwrap();
    let difference = (again.momenta - momenta).mapv(f64::abs);
    assert!(difference.iter().all(|d| *d < 1e-6));
}

#[test]
fn rows_depend_on_the_seed_and_their_number_alone() {
    let simulation = preset(OCS_WIDE);
    let on_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| simulate(&simulation, 200, 7).unwrap())
    };
    let one = on_threads(1);
    assert_eq!(one, on_threads(3));
    let part = simulate_range(&simulation, 50..120, 7).unwrap();
    assert_eq!(part.positions, one.positions.slice(ndarray::s![50..120, ..]));
    assert_eq!(part.momenta, one.momenta.slice(ndarray::s![50..120, ..]));
    assert_ne!(one.positions, simulate(&simulation, 200, 8).unwrap().positions);
    // No two rows share a stream.
    assert_ne!(one.positions.row(0), one.positions.row(1));
}

#[test]
fn noise_has_the_declared_spread_on_each_axis() {
    let mut simulation = preset(OCS_WIDE);
    simulation.frame = cei_physics::Frame::default();
    simulation.detector = toml::from_str(
        "momentum_noise_au = { C = 0.5, O = [1.0, 2.0, 3.0], S = [0.0, 0.1, 10.0] }",
    )
    .unwrap();
    let noisy = simulate(&simulation, 4_000, 3).unwrap();
    simulation.detector = Default::default();
    let clean = simulate(&simulation, 4_000, 3).unwrap();
    assert_eq!(noisy.positions, clean.positions);
    let noise = noisy.momenta - clean.momenta;
    let declared = [0.5, 0.5, 0.5, 1.0, 2.0, 3.0, 0.0, 0.1, 10.0];
    for (column, expected) in noise.columns().into_iter().zip(declared) {
        let values = column.to_vec();
        // Standard errors: mean sd / 63, sd 1.1 %. Five of each.
        assert!(mean(&values).abs() <= 0.08 * expected);
        assert!((sd(&values) - expected).abs() <= 0.056 * expected);
    }
    let (first, second) = (noise.column(0).to_vec(), noise.column(4).to_vec());
    assert!(correlation(&first, &second).abs() < 5.0 / 4_000.0_f64.sqrt());
}

#[test]
fn orientations_are_isotropic_and_displacements_as_declared() {
    let mut simulation = preset(OCS_REFERENCE);
    simulation.frame = cei_physics::Frame::default();
    simulation.displacement_bohr = 0.7;
    let events = simulate(&simulation, 4_000, 4).unwrap();
    let mut centres = [vec![], vec![], vec![]];
    let mut cosines = [vec![], vec![], vec![]];
    for row in events.positions.rows() {
        let centre = simulation.molecule.centre_of_mass(&row.to_vec());
        let bond = vector(&row, 0, 1);
        for axis in 0..3 {
            centres[axis].push(centre[axis]);
            cosines[axis].push(bond[axis] / length(bond));
        }
    }
    for axis in 0..3 {
        assert_within("displacement", sd(&centres[axis]), 0.7, 0.056);
        // A direction cosine is uniform in -1 to 1: sd 1 / sqrt 3, relative standard error 0.7 %.
        assert_within("direction cosine", sd(&cosines[axis]), 1.0 / 3.0_f64.sqrt(), 0.036);
        assert!(mean(&cosines[axis]).abs() < 5.0 * 0.577 / 4_000.0_f64.sqrt());
    }
}

#[test]
fn heat_adds_its_energy_and_leaves_the_centre_of_mass_at_rest() {
    let text = "temperature_k = 2000\n[molecule]\natoms = [{ element = \"N\", charge = 1 }, \
                { element = \"C\", charge = 1 }, { element = \"H\", charge = 0 }]\n\
                [geometry]\nlaw = \"fixed\"\n[geometry.positions_angstrom]\n\
                N = [0, 0, 1.1]\nC = [0, 0, 0]\nH = [0, 0, -1]";
    let hot = simulation(text);
    let mut cold = hot.clone();
    cold.temperature_k = 0.0;
    let release = |simulation: &Simulation, events| -> Vec<f64> {
        let momenta = simulate(simulation, events, 0).unwrap().momenta;
        for row in momenta.rows() {
            for axis in 0..3 {
                let total: f64 = row.iter().skip(axis).step_by(3).sum();
                assert!(total.abs() < 1e-9, "the centre of mass moves with {total}");
            }
        }
        let ker = |row: ArrayView1<'_, f64>| kinetic_energy_release(&hot.molecule, &row.to_vec());
        momenta.rows().into_iter().map(ker).collect()
    };
    let extra = mean(&release(&hot, 4_000)) - release(&cold, 1)[0];
    // Three atoms without the centre of mass have 6 degrees of freedom: 3 kT, sd sqrt(3) kT per event,
    // standard error 0.9 %.
    assert_within("thermal energy", extra, 3.0 * BOLTZMANN_HARTREE_PER_K * 2000.0, 0.05);
}

#[test]
fn configurations_round_trip_and_have_defaults() {
    for of_program in SIMULATIONS {
        let simulation = preset(*of_program);
        simulation.check().unwrap();
        assert_eq!(self::simulation(&toml::to_string(&simulation).unwrap()), simulation);
    }
    let short = simulation(
        "centre = { atom = \"C\" }\n[molecule]\natoms = [{ element = \"C\", charge = 1 }, { element = \"O\", charge = 1 }]",
    );
    assert_eq!((short.events, short.seed), (10_000, 0));
    assert_eq!(short.centre, Centre::Atom("C".to_owned()));
    assert_eq!(simulation(&toml::to_string(&short).unwrap()), short);
}

#[test]
fn errors_name_the_key_or_the_event() {
    let error_of = |from: &str, to: &str| {
        assert!(OCS_WIDE.text.contains(from));
        simulation(&OCS_WIDE.text.replace(from, to)).check().unwrap_err().to_string()
    };
    assert!(
        error_of("x_axis = \"S\"", "x_axis = \"Se\"")
            .starts_with("`frame.x_axis`: the molecule has no atom `Se`")
    );
    assert!(
        error_of("x_axis = \"S\"", "x_axis = \"O\"")
            .starts_with("`frame.xy_plane`: atom `O` is named twice")
    );
    assert!(error_of("low = 100.0", "low = 200.0").starts_with("`geometry.angle_deg.high`: `180`"));
    assert!(
        error_of("noise_au = 1.0", "noise_au = -1.0").starts_with("`detector.momentum_noise_au`")
    );
    assert!(error_of("seed = 0", "temperature_k = -3").starts_with("`temperature_k`: `-3`"));
    let unknown = toml::from_str::<Simulation>(&OCS_WIDE.text.replace("seed = 0", "sead = 0"));
    assert!(unknown.unwrap_err().to_string().contains("sead"));

    let mut simulation = preset(OCS_WIDE);
    simulation.geometry = None;
    assert!(simulate(&simulation, 1, 0).unwrap_err().to_string().contains("`geometry` is missing"));
    let mut positions = ndarray::array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0, -3.0, 0.0, 0.0]];
    assert!(simulate_positions(&simulation, positions.view(), 0).is_ok());
    positions[[0, 3]] = 0.0;
    let error = simulate_positions(&simulation, positions.view(), 0).unwrap_err();
    assert!(matches!(error, SimulationError::Explosion { event: 0, .. }));
    assert!(error.to_string().starts_with("event 0: atoms `C` and `O` coincide"), "{error}");
    let error = simulate_positions(&simulation, positions.slice(ndarray::s![.., ..6]), 0);
    assert!(matches!(error, Err(SimulationError::PositionColumns { found: 6, atoms: 3 })));
}
