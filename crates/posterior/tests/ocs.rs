//! The ambiguous momenta of carbonyl sulfide (`docs/spec.md#reference-values`): two different geometries give the
//! same momenta.

use cei_physics::presets::{CHBRCLF, OCS_WIDE};
use cei_physics::units::BOHR_PM;
use cei_physics::{Accuracy, Centre, Detector, FrameRule, Simulation, explode, simulate};
use cei_posterior::{
    ChainOptions, Chart, ChartPrior, Event, Explorer, Explosion, Forward, Mode, ModeOptions,
    RefineOptions, find_modes, find_solutions, refine, sample_chain,
};
use ndarray::{Array2, Axis, Zip, s};

/// Bond lengths C-O and C-S (pm) and angle (degrees).
const GEOMETRIES: [[f64; 3]; 2] = [[121.053, 184.211, 163.158], [141.32, 154.03, 161.38]];

/// `ocs-wide` with masses of exactly 12, 16 and 32 u, for which both geometries give the same momenta.
fn simulation() -> Simulation {
    let text = OCS_WIDE
        .text
        .replacen("\"C\", charge", "\"C\", mass_u = 12.0, charge", 1)
        .replacen("\"O\", charge", "\"O\", mass_u = 16.0, charge", 1)
        .replacen("\"S\", charge", "\"S\", mass_u = 32.0, charge", 1);
    let simulation: Simulation = toml::from_str(&text).unwrap();
    assert_eq!(simulation.centre, Centre::CentreOfMass);
    assert!(
        (simulation.molecule.masses()[2] / simulation.molecule.masses()[0] - 32.0 / 12.0).abs()
            < 1e-12
    );
    simulation
}

/// Momenta of the first geometry in their frame.
fn momenta(simulation: &Simulation) -> Vec<f64> {
    let [r_co, r_cs, angle] = GEOMETRIES[0];
    let (sin, cos) = angle.to_radians().sin_cos();
    let (r_co, r_cs) = (r_co / BOHR_PM, r_cs / BOHR_PM);
    let positions = [0.0, 0.0, 0.0, r_co, 0.0, 0.0, r_cs * cos, r_cs * sin, 0.0];
    let mut momenta = vec![0.0; 9];
    explode(&simulation.molecule, &positions, None, &Accuracy::default(), &mut momenta).unwrap();
    FrameRule { x_axis: 2, xy_plane: 1 }.rotation(&momenta).apply(&mut momenta);
    momenta
}

fn internal(positions: &[f64]) -> [f64; 3] {
    let bond = |atom: usize| [0, 1, 2].map(|axis| positions[3 * atom + axis] - positions[axis]);
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (o, s) = (bond(1), bond(2));
    let (r_o, r_s) = (dot(o, o).sqrt(), dot(s, s).sqrt());
    [r_o * BOHR_PM, r_s * BOHR_PM, (dot(o, s) / (r_o * r_s)).acos().to_degrees()]
}

/// Draws of the prior in the momentum frame, as many as `count` with the least misfit: where no network is.
fn likely(simulation: &Simulation, chart: &Chart, measured: &[f64], count: usize) -> Array2<f64> {
    let fast = Simulation { accuracy: Accuracy::fast(), ..simulation.clone() };
    let events = simulate(&fast, 50_000, 9).unwrap();
    let mut misfits: Vec<(f64, usize)> = Vec::new();
    Zip::indexed(events.momenta.rows()).for_each(|row, momenta| {
        misfits.push((momenta.iter().zip(measured).map(|(p, y)| (p - y).powi(2)).sum(), row));
    });
    misfits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rows: Vec<usize> = misfits[..count].iter().map(|(_, row)| *row).collect();
    chart.coordinates(events.positions.select(Axis(0), &rows).view())
}

/// The mode nearest to a geometry agrees with it within 3 pm and 1 degree.
fn mode_at<'a>(chart: &Chart, modes: &'a [Mode], geometry: [f64; 3]) -> &'a Mode {
    let found = modes.iter().find(|mode| {
        let [r_co, r_cs, angle] = internal(&chart.positions_of(&mode.coordinates));
        (r_co - geometry[0]).abs() < 3.0
            && (r_cs - geometry[1]).abs() < 3.0
            && (angle - geometry[2]).abs() < 1.0
    });
    let all: Vec<_> =
        modes.iter().map(|mode| internal(&chart.positions_of(&mode.coordinates))).collect();
    found.unwrap_or_else(|| panic!("no mode at {geometry:?} among {all:?}"))
}

/// Share of rows nearest to each mode.
fn shares(modes: &[Mode], rows: &Array2<f64>) -> Vec<f64> {
    let mut shares = vec![0.0; modes.len()];
    for row in rows.rows() {
        let square = |mode: &Mode| -> f64 {
            row.iter().zip(&mode.coordinates).map(|(x, c)| (x - c).powi(2)).sum()
        };
        let far = modes.iter().map(square).enumerate();
        let nearest = far.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        shares[nearest] += 1.0 / rows.nrows() as f64;
    }
    shares
}

/// At the least noise that each accuracy is good for: a hundredth of it at the mean, and not all of it at worst.
#[test]
fn noise_hides_what_a_coarser_integration_leaves() {
    let parts = [2.1e-4, 1.3e-3];
    let levels = parts.map(|part| Explosion::accuracy_for(&Accuracy::default(), part, 1.0));
    assert_eq!(levels[0], Accuracy::fast());
    assert!(levels[1] != levels[0]);
    for preset in [OCS_WIDE, CHBRCLF] {
        let simulation =
            Simulation { detector: Detector::default(), ..toml::from_str(preset.text).unwrap() };
        let momenta_by = |accuracy: &Accuracy| {
            let simulation = Simulation { accuracy: accuracy.clone(), ..simulation.clone() };
            simulate(&simulation, 2000, 3).unwrap().momenta
        };
        let exact = momenta_by(&Accuracy::default());
        for (part, accuracy) in parts.iter().zip(&levels) {
            let coarse = momenta_by(accuracy);
            let errors = coarse.rows().into_iter().zip(exact.rows()).map(|(coarse, exact)| {
                let largest = exact.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
                let difference = (&coarse - &exact).iter().fold(0.0, |m: f64, p| m.max(p.abs()));
                difference / (part * largest)
            });
            let errors: Vec<f64> = errors.collect();
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            let worst = errors.iter().copied().fold(0.0, f64::max);
            assert!(mean < 0.02 && worst < 1.0, "{}, {part}: {mean}, {worst}", preset.name);
        }
    }
}

/// The wide prior admits a third geometry with the same momenta, near its end of 1 angstrom for C-S.
const THIRD: [f64; 3] = [232.2, 103.2, 165.4];

#[test]
fn both_geometries_are_modes_with_the_weights_of_the_chain() {
    let simulation = simulation();
    let measured = momenta(&simulation);
    let chart = Chart::centred(simulation.molecule.masses()).unwrap();
    let density = simulation.position_density().unwrap();
    let prior = ChartPrior::new(&density, &[], &chart).unwrap();
    let log_prior = |u: &[f64]| prior.log_density(u);
    let noise = [0.1; 9];
    let accuracy = Explosion::accuracy_for(&simulation.accuracy, 0.1, 300.0);
    assert_eq!(accuracy, Accuracy::fast());
    let forward =
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &accuracy).unwrap();
    let event =
        Event { forward: &forward, log_prior: &log_prior, measured: &measured, noise: &noise };
    let draws = likely(&simulation, &chart, &measured, 300);

    let options = RefineOptions { samples: 4000, ..RefineOptions::default() };
    let refined = refine(&event, draws.view(), None, &options, 1).unwrap();
    for geometry in GEOMETRIES.into_iter().chain([THIRD]) {
        mode_at(&chart, &refined.modes, geometry);
    }
    assert!(refined.k_hat < 0.7, "k-hat {}", refined.k_hat);
    assert!(refined.effective_sample_size > 800.0, "{}", refined.effective_sample_size);

    let modes = &refined.modes;
    let starts = Array2::from_shape_fn((1, 6), |(_, c)| modes[0].coordinates[c]);
    let options = ChainOptions::default();
    let chain = sample_chain(&event, starts.view(), modes, &options, 5).unwrap().unwrap();
    assert!(chain.r_hat.iter().all(|r| *r < 1.05), "{:?}", chain.r_hat);
    let of_chain = shares(modes, &chain.draws);
    let found = shares(modes, &refined.draws);
    for (index, mode) in modes.iter().enumerate() {
        let expected = of_chain[index];
        // Some 2,000 effective draws of either: a standard error of 0.015.
        assert!((mode.weight - expected).abs() < 0.05, "{index}: {} {expected}", mode.weight);
        assert!((found[index] - mode.weight).abs() < 0.01, "{index}: {found:?}");
    }
}

/// Without noise both are roots, whatever the start.
#[test]
fn both_geometries_are_roots() {
    let simulation = simulation();
    let measured = momenta(&simulation);
    let chart = Chart::centred(simulation.molecule.masses()).unwrap();
    let density = simulation.position_density().unwrap();
    let prior = ChartPrior::new(&density, &[], &chart).unwrap();
    let log_prior = |u: &[f64]| prior.log_density(u);
    let forward =
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &Accuracy::default())
            .unwrap();
    let event = Event { forward: &forward, log_prior: &log_prior, measured: &measured, noise: &[] };
    let draws = likely(&simulation, &chart, &measured, 300);
    let modes = find_modes(&event, draws.view(), &ModeOptions::default()).unwrap();
    for geometry in GEOMETRIES {
        let mode = mode_at(&chart, &modes, geometry);
        // The residual of a root is that of the integration, 1e-10 of 500 a.u.
        assert!(mode.misfit < 1e-12, "{}", mode.misfit);
    }
    // The given geometry is found to its digits.
    let first = mode_at(&chart, &modes, GEOMETRIES[0]);
    let found = internal(&chart.positions_of(&first.coordinates));
    for (found, given) in found.iter().zip(GEOMETRIES[0]) {
        assert!((found - given).abs() < 1e-4, "{found} {given}");
    }
}

/// A network that believes in one geometry alone: the search goes on to the others, and knows when it is done.
#[test]
fn solutions_that_no_draw_is_near_are_found() {
    let simulation = simulation();
    let measured = momenta(&simulation);
    let chart = Chart::centred(simulation.molecule.masses()).unwrap();
    let density = simulation.position_density().unwrap();
    let prior = ChartPrior::new(&density, &[], &chart).unwrap();
    let log_prior = |_: &[f64]| 0.0;
    let forward =
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &Accuracy::default())
            .unwrap();
    let event = Event { forward: &forward, log_prior: &log_prior, measured: &measured, noise: &[] };
    let options = ModeOptions::default();
    let near = likely(&simulation, &chart, &measured, 300);
    let all = find_modes(&event, near.view(), &options).unwrap();
    let believed = &mode_at(&chart, &all, GEOMETRIES[0]).coordinates;
    let draws = Array2::from_shape_fn((24, chart.dimension()), |(row, column)| {
        believed[column] + 1e-3 * ((row + 7 * column) % 5) as f64
    });
    assert_eq!(find_modes(&event, draws.view(), &options).unwrap().len(), 1);

    let law = simulate(&simulation, 500, 3).unwrap().positions;
    let log_density = |u: &[f64]| prior.log_density(u);
    let of = |accuracy| {
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &accuracy).unwrap()
    };
    let (fast, rough) = (of(Accuracy::fast()), of(Accuracy::rough()));
    let explorer = Explorer {
        fast: &fast,
        rough: &rough,
        chart: &chart,
        law: law.view(),
        near: law.slice(s![..24, ..]),
        log_density: &log_density,
    };
    let found = find_solutions(&event, draws.view(), &explorer, &options, 1).unwrap();
    assert!(found.complete);
    for geometry in [GEOMETRIES[0], GEOMETRIES[1], THIRD] {
        mode_at(&chart, &found.modes, geometry);
    }
    let inside = |mode: &Mode| log_density(&mode.coordinates) > f64::NEG_INFINITY;
    assert!(found.modes.iter().all(|mode| inside(mode) && mode.starts > 1));
    assert_eq!(found, find_solutions(&event, draws.view(), &explorer, &options, 1).unwrap());
    // The weights are those of little noise, and the heaviest comes first.
    let little = Event { log_prior: &log_density, noise: &[1e-3; 9], ..event };
    let modes = find_modes(&little, near.view(), &options).unwrap();
    assert_eq!(modes.len(), found.modes.len());
    for mode in modes {
        let geometry = internal(&chart.positions_of(&mode.coordinates));
        let weight = mode_at(&chart, &found.modes, geometry).weight;
        assert!((weight - mode.weight).abs() < 1e-3, "{geometry:?}: {weight} {}", mode.weight);
    }
    assert!(found.modes.is_sorted_by(|a, b| a.weight >= b.weight));
    // Where the law excludes all of them, none is given.
    let nowhere = Explorer { log_density: &|_: &[f64]| f64::NEG_INFINITY, ..explorer };
    assert!(find_solutions(&event, draws.view(), &nowhere, &options, 1).unwrap().modes.is_empty());
}

/// The Jacobian through a chart is the derivative of the values through it.
#[test]
fn the_chart_carries_the_jacobian() {
    let simulation = simulation();
    let chart = Chart::centred(simulation.molecule.masses()).unwrap();
    let forward =
        Explosion::new(&simulation.molecule, &simulation.charging, &chart, &Accuracy::default())
            .unwrap();
    let events = simulate(&simulation, 5, 2).unwrap();
    let u = chart.coordinates(events.positions.view());
    let (values, jacobians) = forward.linearised(u.view());
    let plain = forward.values(u.view());
    assert!((&values - &plain).iter().all(|e| e.abs() < 1e-6));
    let step = 1e-4;
    for k in 0..6 {
        let moved = |sign: f64| {
            let mut moved = u.clone();
            moved.column_mut(k).mapv_inplace(|x| x + sign * step);
            forward.values(moved.view())
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        for ((row, i), expected) in slope.indexed_iter() {
            // Second-order differences: (step / r)^2 of slopes of 100 a.u. per bohr.
            assert!((jacobians[[row, i, k]] - expected).abs() < 1e-3, "{row} {i} {k}");
        }
    }
}
