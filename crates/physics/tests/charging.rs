//! Explosions whose charges take time, against an integration that shares nothing with them: extrapolated modified
//! midpoint steps in physical time, with the charges written anew.

use cei_physics::units::TIME_AU_FS;
use cei_physics::{Accuracy, Charging, Exploder, Mode, Molecule, Quantity, Simulation, simulate};
use ndarray::{Array2, ArrayView1, s};

const OCS: &str = include_str!("../../../configs/data/ocs-wide.toml");
const CHBRCLF: &str = include_str!("../../../configs/data/chbrclf.toml");

/// Midpoint steps of the columns of the extrapolation.
const SUBSTEPS: [usize; 8] = [2, 4, 6, 8, 10, 12, 14, 16];

/// Positions and velocities of all ions.
type State = Vec<[f64; 6]>;

/// A charge as a function of time in fs.
type ChargeAt<'a> = dyn Fn(usize, f64) -> f64 + 'a;

struct Reference<'a> {
    masses: &'a [f64],
    charge: &'a ChargeAt<'a>,
    /// No step crosses these times (fs); charges are constant from the last one on.
    marks: Vec<f64>,
    /// The shortest time (fs) in which charges change.
    time_scale: f64,
    /// Errors of velocities are measured by no less than this.
    least_speed: f64,
}

impl Reference<'_> {
    fn slope(&self, state: &State, time: f64) -> State {
        let mut slope: State =
            state.iter().map(|[_, _, _, u, v, w]| [*u, *v, *w, 0.0, 0.0, 0.0]).collect();
        let charges: Vec<f64> =
            (0..state.len()).map(|ion| (self.charge)(ion, time * TIME_AU_FS)).collect();
        for a in 0..state.len() {
            for b in 0..state.len() {
                if a != b {
                    let d = [0, 1, 2].map(|axis| state[a][axis] - state[b][axis]);
                    let r = d.iter().map(|c| c * c).sum::<f64>().sqrt();
                    for axis in 0..3 {
                        slope[a][3 + axis] +=
                            charges[a] * charges[b] * d[axis] / r.powi(3) / self.masses[a];
                    }
                }
            }
        }
        slope
    }

    fn midpoint(&self, state: &State, time: f64, step: f64, count: usize) -> State {
        let h = step / count as f64;
        let moved = |from: &State, slope: &State, h: f64| -> State {
            let sum = |(x, k): (&[f64; 6], &[f64; 6])| std::array::from_fn(|c| x[c] + h * k[c]);
            from.iter().zip(slope).map(sum).collect()
        };
        let mut before = state.clone();
        let mut now = moved(state, &self.slope(state, time), h);
        for number in 1..count {
            let slope = self.slope(&now, time + number as f64 * h);
            let after = moved(&before, &slope, 2.0 * h);
            (before, now) = (now, after);
        }
        // Gragg's smoothing at the end.
        let slope = self.slope(&now, time + step);
        let other = moved(&before, &slope, h);
        let mean = |(a, b): (&[f64; 6], &[f64; 6])| std::array::from_fn(|c| 0.5 * (a[c] + b[c]));
        now.iter().zip(&other).map(mean).collect()
    }

    /// One step of order 16, and the difference to order 14 relative to the largest component.
    fn step(&self, state: &State, time: f64, step: f64) -> (State, f64) {
        let mut column: Vec<State> = vec![];
        let mut error = f64::INFINITY;
        for (row, count) in SUBSTEPS.iter().enumerate() {
            let mut next = vec![self.midpoint(state, time, step, *count)];
            for k in 1..=row {
                let ratio = (*count as f64 / SUBSTEPS[row - k] as f64).powi(2);
                let better = next[k - 1].iter().zip(&column[k - 1]).map(|(new, old)| {
                    std::array::from_fn(|c| new[c] + (new[c] - old[c]) / (ratio - 1.0))
                });
                let better = better.collect();
                next.push(better);
            }
            column = next;
        }
        let (best, second) = (&column[SUBSTEPS.len() - 1], &column[SUBSTEPS.len() - 2]);
        for half in [0, 3] {
            let largest = |f: &dyn Fn(usize, usize) -> f64| {
                let all = (0..best.len()).flat_map(|a| (half..half + 3).map(move |c| (a, c)));
                all.map(|(a, c)| f(a, c).abs()).fold(0.0, f64::max)
            };
            let scale = largest(&|a, c| best[a][c]);
            let apart = largest(&|a, c| best[a][c] - second[a][c]);
            let relative = apart / if half == 0 { scale } else { scale.max(self.least_speed) };
            error = if half == 0 { relative } else { error.max(relative) };
        }
        (best.clone(), error)
    }

    /// Momenta at infinite time: steps until all pairs have a ten millionth of their energy left, then straight lines.
    fn momenta(&self, positions: &[f64], initial: &[f64]) -> Vec<f64> {
        let atoms = positions.len() / 3;
        let mut state: State = (0..atoms)
            .map(|a| {
                std::array::from_fn(|c| match c {
                    0..3 => positions[3 * a + c],
                    _ => initial[3 * a + c - 3] / self.masses[a],
                })
            })
            .collect();
        let end = self.marks.last().unwrap() / TIME_AU_FS;
        let mut time = 0.0;
        let pairs: Vec<(usize, usize)> =
            (0..atoms).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
        let last_charge = |a: usize| (self.charge)(a, 1e300);
        let mut h: f64 = 1e-3 * self.time_scale / TIME_AU_FS;
        loop {
            let far = pairs.iter().all(|&(a, b)| {
                let d: [f64; 6] = std::array::from_fn(|c| state[a][c] - state[b][c]);
                let r = d[..3].iter().map(|c| c * c).sum::<f64>().sqrt();
                let mu = self.masses[a] * self.masses[b] / (self.masses[a] + self.masses[b]);
                let energy = 0.5 * mu * d[3..].iter().map(|c| c * c).sum::<f64>();
                let outward = (0..3).map(|c| d[c] * d[c + 3]).sum::<f64>() > 0.0;
                outward && last_charge(a) * last_charge(b) / r < 1e-7 * energy
            });
            if far && time >= end {
                break;
            }
            let marks = self.marks.iter().map(|mark| mark / TIME_AU_FS);
            let mark = marks.filter(|mark| *mark > time).fold(f64::INFINITY, f64::min);
            let cut = time + h >= mark;
            let step = if cut { mark - time } else { h };
            let (after, error) = self.step(&state, time, step);
            if error < 1e-12 {
                state = after;
                time = if cut { mark } else { time + step };
                h *= if error < 1e-13 { 1.4 } else { 1.05 };
            } else {
                assert!(step > 1e-9, "the reference integration does not advance: {error:e}");
                h = 0.6 * step;
            }
        }
        let mut momenta: Vec<f64> = state
            .iter()
            .zip(self.masses)
            .flat_map(|(ion, mass)| [3, 4, 5].map(|c| ion[c] * mass))
            .collect();
        for &(a, b) in &pairs {
            let d: [f64; 6] = std::array::from_fn(|c| state[a][c] - state[b][c]);
            let r = d[..3].iter().map(|c| c * c).sum::<f64>().sqrt();
            let w = d[3..].iter().map(|c| c * c).sum::<f64>().sqrt();
            let cosine = (0..3).map(|c| d[c] * d[c + 3]).sum::<f64>() / (r * w);
            for c in 0..3 {
                let impulse = last_charge(a) * last_charge(b) * (d[c] / r + d[c + 3] / w)
                    / (r * w * (1.0 + cosine));
                momenta[3 * a + c] += impulse;
                momenta[3 * b + c] -= impulse;
            }
        }
        momenta
    }
}

/// `1 - erf(x)`, for negative x too: by the Taylor series of the error function and, beyond 1.5, its continued
/// fraction.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 1.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..50 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let fraction = (1..60).rev().fold(0.0, |tail, n| f64::from(n) / 2.0 / (x + tail));
    (-x * x).exp() / (x + fraction) / std::f64::consts::PI.sqrt()
}

/// The documented charges of an atom at a time in fs, and what the reference must know of them.
fn reference_of<'a>(
    molecule: &'a Molecule,
    charging: &'a Charging,
) -> (Box<ChargeAt<'a>>, Vec<f64>, f64) {
    let last = molecule.charges();
    let first = |initial: &std::collections::BTreeMap<String, f64>, atom: usize| {
        initial.get(&molecule.labels()[atom]).copied().unwrap_or(0.0)
    };
    match charging {
        Charging::Instantaneous {} => (Box::new(|atom, _| last[atom]), vec![0.0], 1.0),
        Charging::Exponential { tau_fs: Quantity::Fixed(tau), initial_charges } => (
            Box::new(move |atom, t| {
                let q0 = first(initial_charges, atom);
                last[atom] + (q0 - last[atom]) * (-t / tau).exp()
            }),
            vec![40.0 * tau],
            *tau,
        ),
        Charging::Linear { tau_fs: Quantity::Fixed(tau), initial_charges } => (
            Box::new(move |atom, t| {
                let q0 = first(initial_charges, atom);
                if t < *tau { q0 + (last[atom] - q0) * t / tau } else { last[atom] }
            }),
            vec![*tau],
            *tau,
        ),
        Charging::Pulse { fwhm_fs: Quantity::Fixed(fwhm_fs), initial_charges } => {
            let sigma = fwhm_fs / (8.0 * 2.0_f64.ln()).sqrt();
            let charge = move |atom: usize, t: f64| {
                let q0 = first(initial_charges, atom);
                let z = (t / sigma - 4.0).min(30.0);
                q0 + (last[atom] - q0) * 0.5 * erfc(-z / 2.0_f64.sqrt())
            };
            (Box::new(charge), vec![13.0 * sigma], sigma)
        }
        Charging::Transfer {
            atom: heavy,
            tau_fs: Quantity::Fixed(tau),
            rate_per_fs: Quantity::Fixed(rate),
            initial_charges,
        } => {
            let heavy = molecule.index_of(heavy).unwrap();
            let gain = move |atom: usize| last[atom] - first(initial_charges, atom);
            let others: f64 = (0..last.len()).filter(|a| *a != heavy).map(gain).sum();
            let charge = move |atom: usize, t: f64| {
                let t = t.min(1e6);
                let (a, b) = ((-t / tau).exp(), (-rate * t).exp());
                let left = others * (a - b) / (rate * tau - 1.0);
                let handed_on = 1.0 - a - left / others;
                let q0 = first(initial_charges, atom);
                if atom == heavy {
                    q0 + gain(atom) * (1.0 - a) + left
                } else {
                    q0 + gain(atom) * handed_on
                }
            };
            (Box::new(charge), vec![40.0 * tau.max(1.0 / rate)], tau.min(1.0 / rate))
        }
        drawn => panic!("{drawn:?} has no one time"),
    }
}

fn charging(text: &str) -> Charging {
    toml::from_str(text).unwrap()
}

fn exploder<'a>(molecule: &'a Molecule, charging: &Charging, mode: Mode) -> Exploder<'a> {
    let accuracy = Accuracy { mode, ..Accuracy::default() };
    Exploder::new(molecule, charging, &accuracy).unwrap()
}

fn largest_momentum(row: ArrayView1<'_, f64>) -> f64 {
    let ions = row.to_vec();
    ions.chunks_exact(3).map(|p| p.iter().map(|c| c * c).sum::<f64>().sqrt()).fold(0.0, f64::max)
}

/// Largest difference of any ion's momentum, relative to the event's largest, over all rows.
fn largest_error(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    let rows = found.rows().into_iter().zip(expected.rows());
    rows.map(|(found, expected)| {
        let apart = largest_momentum((&found - &expected).view());
        if apart.is_nan() { f64::INFINITY } else { apart / largest_momentum(expected) }
    })
    .fold(0.0, f64::max)
}

/// Momenta (rows, 3N) of the reference, from rest.
fn expected(molecule: &Molecule, charging: &Charging, positions: &Array2<f64>) -> Array2<f64> {
    let (charge, marks, time_scale) = reference_of(molecule, charging);
    let masses = molecule.masses();
    let reference = Reference { masses, charge: &charge, marks, time_scale, least_speed: 1e-4 };
    let mut expected = positions.clone();
    for mut row in expected.rows_mut() {
        let at_rest = vec![0.0; row.len()];
        let momenta = reference.momenta(&row.to_vec(), &at_rest);
        row.assign(&ArrayView1::from(&momenta));
    }
    expected
}

/// The same molecules with their distances multiplied.
fn scaled(positions: &Array2<f64>, factor: f64) -> Array2<f64> {
    positions.mapv(|x| factor * x)
}

/// Molecules of two to five ions with some geometries (bohr).
fn molecules() -> Vec<(Molecule, Array2<f64>)> {
    let pair: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", charge = 1 }, { element = \"O\", charge = 3 }]",
    )
    .unwrap();
    let of_pair = Array2::from_shape_vec((1, 6), vec![0.0, 0.0, 0.0, 1.5, 1.0, -0.5]).unwrap();
    let acetylene: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", label = \"C1\", charge = 1 }, { element = \"C\", label = \"C2\", charge = 1 }, \
         { element = \"H\", label = \"H1\", charge = 1 }, { element = \"H\", label = \"H2\", charge = 1 }]",
    )
    .unwrap();
    let row = vec![-1.14, 0.1, 0.0, 1.14, 0.0, 0.2, -3.1, 0.3, 0.1, 3.0, -0.4, 0.0];
    let of_acetylene = Array2::from_shape_vec((1, 12), row).unwrap();
    // X-rays in CH2Cl2: charges 11, 9, 2, 1, 1.
    let dichloromethane: Molecule = toml::from_str(
        "atoms = [{ element = \"Cl\", label = \"Cl1\", charge = 11 }, { element = \"Cl\", label = \"Cl2\", charge = 9 }, \
         { element = \"C\", charge = 2 }, { element = \"H\", label = \"H1\", charge = 1 }, \
         { element = \"H\", label = \"H2\", charge = 1 }]",
    )
    .unwrap();
    let row = vec![2.77, -0.5, 0.0, -2.77, -0.5, 0.1, 0.0, 1.0, 0.0, 0.0, 2.1, 1.7, 0.1, 2.1, -1.7];
    let of_dichloromethane = Array2::from_shape_vec((1, 15), row).unwrap();
    let mut molecules =
        vec![(pair, of_pair), (acetylene, of_acetylene), (dichloromethane, of_dichloromethane)];
    for text in [OCS, CHBRCLF] {
        let simulation: Simulation = toml::from_str(text).unwrap();
        let positions = simulate(&simulation, 1, 4).unwrap().positions;
        molecules.push((simulation.molecule, positions));
    }
    molecules
}

/// Charging of every kind, with and without initial charges, fast and slow.
fn kinds(molecule: &Molecule) -> Vec<String> {
    let first = &molecule.labels()[0];
    let second = &molecule.labels()[1];
    let transfer = format!("kind = \"transfer\"\natom = \"{first}\"\n");
    let initial = format!("initial_charges = {{ {first} = 1, {second} = 0.25 }}\n");
    let mut kinds = vec![];
    for time in [0.3, 8.0, 90.0] {
        kinds.push(format!("kind = \"exponential\"\ntau_fs = {time}"));
        kinds.push(format!("kind = \"linear\"\ntau_fs = {time}"));
        kinds.push(format!("kind = \"pulse\"\nfwhm_fs = {time}"));
        kinds.push(format!("{transfer}tau_fs = {time}\nrate_per_fs = 0.4"));
    }
    kinds.push(format!("{transfer}tau_fs = 10\nrate_per_fs = 0.02"));
    kinds.push(format!("kind = \"exponential\"\ntau_fs = 20\n{initial}"));
    kinds.push(format!("kind = \"linear\"\ntau_fs = 20\n{initial}"));
    kinds.push(format!("kind = \"pulse\"\nfwhm_fs = 20\n{initial}"));
    kinds.push(format!("{transfer}tau_fs = 20\nrate_per_fs = 0.06\n{initial}"));
    kinds
}

/// So many ions of charges 1 to 3 on a sphere of about 3 bohr.
fn cluster(atoms: usize) -> (Molecule, Array2<f64>) {
    let atom = |k: usize| {
        let (element, charge) = [("C", 2), ("H", 1), ("O", 3)][k % 3];
        format!("{{ element = \"{element}\", label = \"{element}{k}\", charge = {charge} }}")
    };
    let list: Vec<String> = (0..atoms).map(atom).collect();
    let molecule = toml::from_str(&format!("atoms = [{}]", list.join(", "))).unwrap();
    let row = (0..atoms).flat_map(|k| {
        let (height, angle) = (1.0 - (2 * k + 1) as f64 / atoms as f64, 2.4 * k as f64);
        let (radius, across) = (3.2 + 0.3 * (5.0 * k as f64).sin(), (1.0 - height * height).sqrt());
        [radius * across * angle.cos(), radius * across * angle.sin(), radius * height]
    });
    (molecule, Array2::from_shape_vec((1, 3 * atoms), row.collect()).unwrap())
}

/// Two to five ions, near (half the distances) and far (twenty times): 1e-9 of the largest momentum, in the lanes and
/// outside.
#[test]
fn momenta_are_those_of_an_independent_integration() {
    let mut worst = vec![];
    for (molecule, positions) in molecules() {
        for text in kinds(&molecule) {
            let charging = charging(&text);
            for factor in [0.5, 1.0, 20.0] {
                let positions = scaled(&positions, factor);
                let expected = expected(&molecule, &charging, &positions);
                for mode in [Mode::Precise, Mode::Reference] {
                    let found = exploder(&molecule, &charging, mode).explode_all(positions.view());
                    let error = largest_error(&found.unwrap(), &expected);
                    worst.push((
                        error,
                        format!("{:?} {text} x{factor} {mode:?}", molecule.labels()),
                    ));
                }
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert!(worst[0].0 < 1e-9, "{:#?}", &worst[..worst.len().min(12)]);
}

/// Six to ten ions, which one code of the lanes serves whatever their number, and more, which another does.
#[test]
fn larger_molecules_are_exploded_as_precisely() {
    for atoms in (6..=10).chain([12, 20]) {
        let (molecule, positions) = cluster(atoms);
        let kinds = kinds(&molecule).into_iter().step_by(if atoms > 10 { 4 } else { 1 });
        for text in kinds {
            let charging = charging(&text);
            let expected = expected(&molecule, &charging, &positions);
            for mode in [Mode::Precise, Mode::Reference] {
                let exploder = exploder(&molecule, &charging, mode);
                assert!(exploder.all_repel(), "{text}");
                let found = exploder.explode_all(positions.view()).unwrap();
                let error = largest_error(&found, &expected);
                assert!(error < 1e-9, "{atoms} atoms, {text} {mode:?}: {error:e}");
            }
            // The rows of one call do not depend on one another, here of different sizes and more than lanes.
            let factors = [1.0, 0.7, 1.0, 1.3, 0.9, 1.1, 1.0, 0.8, 1.2, 1.0, 2.0];
            let many: Vec<f64> =
                factors.iter().flat_map(|f| scaled(&positions, *f).into_iter()).collect();
            let many = Array2::from_shape_vec((factors.len(), 3 * atoms), many).unwrap();
            let exploder = exploder(&molecule, &charging, Mode::Precise);
            let together = exploder.explode_all(many.view()).unwrap();
            let alone = exploder.explode_all(positions.view()).unwrap();
            for row in [0, 2, 6, 9] {
                assert_eq!(together.row(row), alone.row(0), "{atoms} atoms, {text}");
            }
        }
    }
}

/// Ions that move towards each other, and whose charges come meanwhile.
#[test]
fn initial_momenta_count_too() {
    let simulation: Simulation = toml::from_str(OCS).unwrap();
    let molecule = &simulation.molecule;
    let positions = simulate(&simulation, 1, 9).unwrap().positions;
    for text in kinds(molecule) {
        let charging = charging(&text);
        let (charge, marks, time_scale) = reference_of(molecule, &charging);
        let reference = Reference {
            masses: molecule.masses(),
            charge: &charge,
            marks,
            time_scale,
            least_speed: 1e-4,
        };
        for row in positions.rows() {
            let positions = row.to_vec();
            let initial: Vec<f64> = positions.iter().map(|x| -4.0 * x + 1.0).collect();
            let expected = reference.momenta(&positions, &initial);
            let expected = Array2::from_shape_vec((1, 9), expected).unwrap();
            for mode in [Mode::Precise, Mode::Reference] {
                let mut found = vec![0.0; 9];
                let exploder = exploder(molecule, &charging, mode);
                exploder.explode(&positions, Some(&initial), &mut found).unwrap();
                let found = Array2::from_shape_vec((1, 9), found).unwrap();
                let error = largest_error(&found, &expected);
                assert!(error < 1e-9, "{text} {mode:?}: {error:e}");
            }
        }
    }
}

/// `tau -> 0` is the instantaneous explosion (to 1e-8), whatever the kind and the initial charges.
#[test]
fn charges_that_come_at_once_are_the_instantaneous_ones() {
    for preset in [OCS, CHBRCLF] {
        let simulation: Simulation = toml::from_str(preset).unwrap();
        let molecule = &simulation.molecule;
        let positions = simulate(&simulation, 50, 3).unwrap().positions;
        let at_once = exploder(molecule, &Charging::default(), Mode::Precise);
        let expected = at_once.explode_all(positions.view()).unwrap();
        let first = &molecule.labels()[0];
        let initial = format!("initial_charges = {{ {first} = 0.5 }}");
        for time in [1e-9, 1e-14] {
            for text in [
                format!("kind = \"exponential\"\ntau_fs = {time}"),
                format!("kind = \"exponential\"\ntau_fs = {time}\n{initial}"),
                format!("kind = \"linear\"\ntau_fs = {time}\n{initial}"),
                format!("kind = \"pulse\"\nfwhm_fs = {time}"),
                format!(
                    "kind = \"transfer\"\natom = \"{first}\"\ntau_fs = {time}\nrate_per_fs = {}",
                    1.0 / time
                ),
            ] {
                for mode in [Mode::Precise, Mode::Reference] {
                    let found = exploder(molecule, &charging(&text), mode);
                    let found = found.explode_all(positions.view()).unwrap();
                    let error = largest_error(&found, &expected);
                    assert!(error < 1e-8, "{text} {mode:?}: {error:e}");
                }
            }
        }
    }
}

/// `tau -> infinity` leaves the initial charges. Without them momenta vanish as `tau^(-1/3)`: ions that move freely meet
/// a force `(t / tau)^2 / (v t)^2`, constant until `tau`, so that `m v ~ 1 / (tau v^2)`.
#[test]
fn charges_that_never_come_leave_the_initial_ones() {
    let simulation: Simulation = toml::from_str(OCS).unwrap();
    let molecule = &simulation.molecule;
    let positions = simulate(&simulation, 20, 3).unwrap().positions;
    let mut atoms = molecule.atoms().to_vec();
    for (atom, charge) in atoms.iter_mut().zip([1.0, 0.5, 0.75]) {
        atom.charge = charge;
    }
    let before = Molecule::new(atoms).unwrap();
    let expected = exploder(&before, &Charging::default(), Mode::Precise);
    let expected = expected.explode_all(positions.view()).unwrap();
    let at_once = exploder(molecule, &Charging::default(), Mode::Precise);
    let at_once = at_once.explode_all(positions.view()).unwrap();
    let initial = "initial_charges = { C = 1.0, O = 0.5, S = 0.75 }";
    let time = 1e12;
    for kind in
        ["kind = \"exponential\"\ntau_fs", "kind = \"linear\"\ntau_fs", "kind = \"pulse\"\nfwhm_fs"]
    {
        for mode in [Mode::Precise, Mode::Reference] {
            let with = charging(&format!("{kind} = {time}\n{initial}"));
            let found = exploder(molecule, &with, mode).explode_all(positions.view()).unwrap();
            // Of the charge of a pulse 3.2e-5 is there at the start.
            let allowed = if kind.contains("pulse") { 2e-4 } else { 1e-8 };
            let error = largest_error(&found, &expected);
            assert!(error < allowed, "{with:?} {mode:?}: {error:e}");
            let without = charging(&format!("{kind} = {time}"));
            let found = exploder(molecule, &without, mode).explode_all(positions.view()).unwrap();
            for (found, at_once) in found.rows().into_iter().zip(at_once.rows()) {
                let ratio = largest_momentum(found) / largest_momentum(at_once);
                assert!(ratio > 0.0 && ratio < 1e-3, "{without:?} {mode:?}: {ratio:e}");
            }
        }
    }
}

/// On many events of the presets: the lanes against the scalar path.
#[test]
fn lanes_agree_with_the_reference() {
    for preset in [OCS, CHBRCLF] {
        let simulation: Simulation = toml::from_str(preset).unwrap();
        let molecule = &simulation.molecule;
        let positions = simulate(&simulation, 300, 11).unwrap().positions;
        for text in kinds(molecule) {
            let charging = charging(&text);
            let of =
                |mode| exploder(molecule, &charging, mode).explode_all(positions.view()).unwrap();
            let (reference, lanes) = (of(Mode::Reference), of(Mode::Precise));
            let error = largest_error(&lanes, &reference);
            assert!(error < 1e-9, "{text}: {error:e}");
            let error = largest_error(&of(Mode::Fast), &reference);
            assert!(error < 5e-5, "{text}, fast: {error:e}");
        }
    }
}

/// An event's momenta depend on no other event.
#[test]
fn an_explosion_does_not_depend_on_its_neighbours() {
    let simulation: Simulation = toml::from_str(OCS).unwrap();
    let molecule = &simulation.molecule;
    let positions = simulate(&simulation, 101, 2).unwrap().positions;
    for text in kinds(molecule) {
        let exploder = exploder(molecule, &charging(&text), Mode::Precise);
        let all = exploder.explode_all(positions.view()).unwrap();
        for (start, end) in [(1, 101), (3, 20), (7, 8)] {
            let part = exploder.explode_all(positions.slice(s![start..end, ..])).unwrap();
            assert_eq!(part, all.slice(s![start..end, ..]), "{text}");
        }
    }
}

/// Opposite charges and neutral atoms are for the scalar path; initial charges may be so, the final ones or both.
#[test]
fn what_the_lanes_do_not_take_is_exploded_all_the_same() {
    let molecule: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", charge = 3 }, { element = \"O\", charge = 0 }, \
         { element = \"S\", charge = 2 }]",
    )
    .unwrap();
    let row = vec![0.0, 0.0, 0.0, 2.2, 0.3, 0.0, -3.0, 0.2, 0.4];
    let positions = Array2::from_shape_vec((1, 9), row).unwrap();
    for text in [
        "kind = \"exponential\"\ntau_fs = 5",
        "kind = \"exponential\"\ntau_fs = 5\ninitial_charges = { O = 1 }",
        "kind = \"linear\"\ntau_fs = 5\ninitial_charges = { C = -0.2 }",
        "kind = \"transfer\"\natom = \"O\"\ntau_fs = 5\nrate_per_fs = 0.3",
    ] {
        let charging = charging(text);
        let (charge, marks, time_scale) = reference_of(&molecule, &charging);
        // The reference ends where all pairs that interact do; the neutral atom flies with the impulse it got.
        let reference = Reference {
            masses: molecule.masses(),
            charge: &charge,
            marks,
            time_scale,
            least_speed: 1e-4,
        };
        let found = exploder(&molecule, &charging, Mode::Precise).explode_all(positions.view());
        let found = found.unwrap();
        let of_neutral = largest_momentum(found.slice(s![0, 3..6]));
        let gets_charge = text.contains("O =") || text.contains("\"O\"");
        assert_eq!(of_neutral > 0.0, gets_charge, "{text}: {of_neutral}");
        let expected = reference.momenta(&positions.row(0).to_vec(), &[0.0; 9]);
        let expected = Array2::from_shape_vec((1, 9), expected).unwrap();
        let error = largest_error(&found, &expected);
        assert!(error < 1e-9, "{text}: {error:e}");
    }
}

/// A configuration that says nothing, or that charges are instantaneous, is the same; others come through TOML.
#[test]
fn charging_is_a_table_of_the_simulation() {
    let plain: Simulation = toml::from_str(OCS).unwrap();
    let declared = |text: &str| toml::from_str::<Simulation>(&format!("{OCS}\n[charging]\n{text}"));
    assert_eq!(declared("kind = \"instantaneous\"").unwrap(), plain);
    assert!(!toml::to_string(&plain).unwrap().contains("charging"));
    let slow =
        declared("kind = \"exponential\"\ntau_fs = 10\ninitial_charges = { C = 1 }").unwrap();
    assert_ne!(slow, plain);
    let again: Simulation = toml::from_str(&toml::to_string(&slow).unwrap()).unwrap();
    assert_eq!(again, slow);
    let events = |simulation: &Simulation| simulate(simulation, 50, 3).unwrap();
    let gone = |simulation: &Simulation| events(simulation).momenta.mapv(f64::abs).sum();
    assert!(gone(&slow) < 0.95 * gone(&plain));
    let error = declared("kind = \"exponential\"\ntau_fs = -1").unwrap().check().unwrap_err();
    assert!(error.to_string().contains("`charging.tau_fs`"), "{error}");
    let message = declared("kind = \"exponential\"\ntau_ps = 1").unwrap_err().to_string();
    assert!(message.contains("tau_ps"), "{message}");
}
