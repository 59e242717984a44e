//! Explosions a second: the scalar path, the lanes and the fast mode, on one thread and on all; and whole
//! simulations. Run `cargo bench -p cei-physics`; events a second stand in the second line of each case.
//! For the numbers of one core, pin it (`taskset -c 1`) and choose the cases with `one-thread`.

use std::fmt;

use cei_physics::presets::{CHBRCLF, OCS_REFERENCE, OCS_WIDE};
use cei_physics::{Accuracy, Events, Exploder, Mode, Simulation, simulate};
use divan::Bencher;
use divan::counter::ItemsCount;
use rayon::{ThreadPool, ThreadPoolBuilder};

const EVENTS: usize = 16_384;

/// Methane, singly charged everywhere, about its equilibrium (r_CH 1.087 angstrom).
const CH4: &str = r#"
[molecule]
atoms = [
    { element = "C", charge = 1.0 },
    { element = "H", label = "H1", charge = 1.0 },
    { element = "H", label = "H2", charge = 1.0 },
    { element = "H", label = "H3", charge = 1.0 },
    { element = "H", label = "H4", charge = 1.0 },
]

[geometry]
law = "gaussian"
displacement_angstrom = { C = 0.03, H1 = 0.1, H2 = 0.1, H3 = 0.1, H4 = 0.1 }

[geometry.positions_angstrom]
C = [0.0, 0.0, 0.0]
H1 = [0.6276, 0.6276, 0.6276]
H2 = [0.6276, -0.6276, -0.6276]
H3 = [-0.6276, 0.6276, -0.6276]
H4 = [-0.6276, -0.6276, 0.6276]
"#;

/// Charge that takes time.
const EXPONENTIAL: &str = concat!(
    include_str!("../../../configs/data/ocs-wide.toml"),
    "\n[charging]\nkind = \"exponential\"\ntau_fs = 10.0\n"
);

const MOLECULES: [(&str, &str); 5] = [
    (OCS_REFERENCE.name, OCS_REFERENCE.text),
    (OCS_WIDE.name, OCS_WIDE.text),
    ("ocs-wide-exponential", EXPONENTIAL),
    ("ch4", CH4),
    (CHBRCLF.name, CHBRCLF.text),
];

const MODES: [(&str, Mode); 3] =
    [("scalar", Mode::Reference), ("precise", Mode::Precise), ("fast", Mode::Fast)];

/// Numbers of threads; 0 are all.
const THREADS: [(&str, usize); 2] = [("one-thread", 1), ("all-threads", 0)];

struct Case {
    name: String,
    simulation: Simulation,
    threads: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn main() {
    divan::main();
}

/// Momenta of given positions.
#[divan::bench(args = cases(), sample_count = 15, sample_size = 1)]
fn explosions(bencher: Bencher<'_, '_>, case: &Case) {
    let Case { simulation, .. } = case;
    let Events { positions, .. } = checked(simulate(simulation, EVENTS, 0));
    let Simulation { molecule, charging, accuracy, .. } = simulation;
    let exploder = checked(Exploder::new(molecule, charging, accuracy));
    let pool = pool(case.threads);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| pool.install(|| exploder.explode_all(positions.view())));
}

/// Geometries, explosions, noise and frames.
#[divan::bench(args = cases(), sample_count = 15, sample_size = 1)]
fn simulations(bencher: Bencher<'_, '_>, case: &Case) {
    let pool = pool(case.threads);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| pool.install(|| simulate(&case.simulation, EVENTS, 0)));
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (molecule, text) in MOLECULES {
        for (mode_name, mode) in MODES {
            for (threads_name, threads) in THREADS {
                let mut simulation: Simulation = checked(toml::from_str(text));
                simulation.accuracy = Accuracy { mode, ..Accuracy::default() };
                let name = format!("{molecule}/{mode_name}/{threads_name}");
                cases.push(Case { name, simulation, threads });
            }
        }
    }
    cases
}

fn pool(threads: usize) -> ThreadPool {
    checked(ThreadPoolBuilder::new().num_threads(threads).build())
}

fn checked<T, E: fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
