//! What a refinement is made of, and why it may be impossible.

use cei_data::Preprocessing;
use cei_physics::detector::is_uneven;
use cei_physics::{
    Frame, GeometryLaw, InitialMomentumLaw, Molecule, Nuisance, PositionDensity, Simulation,
};
use ndarray::Array2;

/// Geometries of the law by which atoms that are exchanged at will are called.
const REFERENCE_DRAWS: usize = 500;

/// Why draws cannot be refined, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Why not.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

/// What a refinement is made of, known before the training.
pub(crate) struct Ingredients<'a> {
    /// The molecule of the table, if it is one.
    pub molecule: Option<&'a Molecule>,
    /// The simulation behind the table.
    pub simulation: Option<&'a Simulation>,
    /// The preprocessing, fitted.
    pub preprocessing: &'a Preprocessing,
    /// The declared noise of every momentum component (a.u.).
    pub noise: Option<Vec<f64>>,
}

/// What has passed the check.
pub(super) struct Refinable<'a> {
    pub(super) molecule: &'a Molecule,
    pub(super) simulation: Option<&'a Simulation>,
    pub(super) origin: Vec<f64>,
    pub(super) basis: Array2<f64>,
    pub(super) noise: Vec<f64>,
    pub(super) density: Option<PositionDensity>,
    pub(super) nuisances: Vec<Nuisance>,
    /// None for ions at rest.
    pub(super) motion: Option<InitialMomentumLaw>,
}

impl<'a> Ingredients<'a> {
    /// Why draws made of these cannot be refined; none if they can.
    pub(crate) fn obstacle(self) -> Option<Obstacle> {
        self.check().err()
    }

    pub(super) fn check(self) -> Result<Refinable<'a>, Obstacle> {
        let cannot = |why: &str, hint| Obstacle { why: why.to_owned(), hint };
        let Self { preprocessing, simulation, .. } = self;
        let molecule = self
            .molecule
            .filter(|molecule| preprocessing.momenta() == 3 * molecule.atom_count())
            .ok_or_else(|| {
                cannot("its table is no molecule", "the simulator needs `[molecule]`")
            })?;
        let separate = simulation.is_some_and(|s| matches!(s.frame, Frame::Separate { .. }));
        if separate || !preprocessing.gauge().keeps_one_frame() {
            return Err(cannot(
                "positions and momenta are rotated apart",
                "train with `preprocessing.gauge.frame = \"momentum\"` on a table whose momenta and positions share a frame",
            ));
        }
        let (origin, basis) = preprocessing.chart().ok_or_else(|| {
            cannot(
                "its positions have bounds, or noise in directions without variation",
                "train without `preprocessing.bounds` and with `preprocessing.degenerate = \"project\"`",
            )
        })?;
        let noise = self.noise.ok_or_else(|| {
            cannot(
                "the noise of its momenta is not declared",
                "declare `detector.momentum_noise_au` in the experiment",
            )
        })?;
        let noise = if noise.iter().all(|sd| *sd == 0.0) { Vec::new() } else { noise };
        if noise.is_empty() && preprocessing.may_miss_ions() {
            return Err(cannot(
                "ions may be missing, and momenta without noise are searched for the geometries that give all of them",
                "declare the noise of the detector in `detector.momentum_noise_au`",
            ));
        }
        if is_uneven(&noise) && simulation.is_some_and(|law| law.frame != Frame::default()) {
            return Err(cannot(
                "its noise differs between laboratory axes, but its events are turned out of the laboratory",
                "simulate with `frame.kind = \"laboratory\"`",
            ));
        }
        let at_rest = "simulate ions that start at rest: `temperature_k = 0`, another law than `harmonic`, positions without momenta";
        let motion = simulation.filter(|simulation| !simulation.starts_at_rest());
        let motion = match motion.map(Simulation::initial_momentum_law) {
            None => None,
            Some(Ok(Some(law))) if noise.is_empty() || law.is_averaged() => {
                let why = if noise.is_empty() {
                    "its ions do not start at rest, and momenta without noise leave a continuum of geometries"
                } else {
                    "its molecule is linear with bends that are no degenerate pairs, so that the momenta at the start have no normal law"
                };
                return Err(cannot(why, at_rest));
            }
            Some(Ok(Some(law))) => Some(law),
            Some(_) => return Err(cannot("its ions start with momenta of a file", at_rest)),
        };
        let nuisances = simulation.map(Simulation::nuisances).unwrap_or_default();
        let inferred = &preprocessing.x_names()[preprocessing.positions()..];
        let drawn: Vec<&str> = nuisances.iter().map(|nuisance| nuisance.name.as_str()).collect();
        if inferred != drawn {
            return Err(Obstacle {
                why: format!(
                    "its simulation draws {} for each event, and the run infers {}",
                    names(&drawn),
                    names(inferred)
                ),
                hint: "list in `columns.nuisances` what the simulation draws beside the positions, in its order",
            });
        }
        if noise.is_empty() && !nuisances.is_empty() {
            return Err(cannot(
                "momenta without noise, and numbers that differ between events, leave a line of geometries",
                "declare the noise of the detector in `detector.momentum_noise_au`",
            ));
        }
        let channels = simulation.is_some_and(Simulation::has_channels);
        if noise.is_empty() && channels && !preprocessing.has_charges() {
            return Err(cannot(
                "its charge states differ between events, and momenta without noise do not tell how probable each is",
                "list their charges in `columns.charges`, or declare `detector.momentum_noise_au`",
            ));
        }
        let alike = preprocessing.alike();
        let vibrates =
            simulation.is_some_and(|law| matches!(law.geometry, Some(GeometryLaw::Harmonic(_))));
        if alike.is_some() && motion.is_some() && vibrates {
            return Err(cannot(
                "its ions alike are exchanged at will, and they start with momenta of normal modes, which tell them apart",
                "train with `molecule.exchangeable = false`, or on ions that start at rest",
            ));
        }
        let density = match (noise.is_empty(), simulation) {
            (true, simulation) => simulation.and_then(|law| law.position_density().ok()),
            (false, Some(Simulation { geometry: None, .. })) => {
                return Err(cannot(
                    "the positions of its table are those of a file, whose law is not known",
                    "train on events of a geometry law",
                ));
            }
            (false, Some(simulation)) => {
                let density = simulation.position_density().map_err(|error| Obstacle {
                    why: error.to_string(),
                    hint: "train on a simulation whose geometry law has a density (docs/refinement.md)",
                })?;
                Some(density)
            }
            (false, None) => {
                return Err(cannot(
                    "the geometry law behind its table is not known",
                    "train on a table with its `.simulation.toml` beside it",
                ));
            }
        };
        let density = match (alike, density, simulation) {
            (Some(alike), Some(density), Some(law)) => {
                let geometries = law
                    .draw_geometries(REFERENCE_DRAWS, 0)
                    .map_err(|error| Obstacle { why: error.to_string(), hint: at_rest })?;
                Some(density.exchanging(&alike.groups, geometries.view()))
            }
            (_, density, _) => density,
        };
        Ok(Refinable { molecule, simulation, origin, basis, noise, density, nuisances, motion })
    }
}

/// Columns in words.
fn names(columns: &[impl AsRef<str>]) -> String {
    if columns.is_empty() {
        return "nothing beside the positions".to_owned();
    }
    let quoted: Vec<String> = columns.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}
