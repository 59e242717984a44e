//! Simulated events: geometries drawn or given, exploded, measured and rotated into their frame.
//!
//! One event: geometry (with its momenta, if the law has them), centre, orientation, displacement, thermal momenta,
//! nuisances, explosion, detector noise, frame. Its random numbers are drawn in this order, all of them from stream `i` of ChaCha8 under the
//! seed for event `i`, so it depends neither on the number of threads nor on the events beside it.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::charging::Charging;
use crate::detector::{Detector, add_noise};
use crate::error::{SimulationConfigError, require};
use crate::explosion::{Accuracy, CHUNK, Exploder, ExplosionError, Given};
use crate::frame::{Frame, ResolvedFrame};
use crate::geometry::{GeometryLaw, ImpossibleGeometry, ResolvedLaw, translate};
use crate::molecule::Molecule;
use crate::nuisance::Nuisance;
use crate::orientation::{Orientation, ResolvedOrientation};
use crate::units::BOLTZMANN_HARTREE_PER_K;
use crate::vector::{Vector, bring_to_rest, of_atom};

/// Everything that defines a simulated data set; the content of a preset in `configs/data`.
///
/// ```toml
/// events = 200_000
/// orientation = "random"
/// centre = "centre-of-mass"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Number of events; `cei simulate --events` has the last word.
    #[serde(default = "default_events")]
    pub events: usize,
    /// Seed of all random numbers; `cei simulate --seed` has the last word.
    #[serde(default)]
    pub seed: u64,
    /// How the molecule is turned in the laboratory.
    #[serde(default)]
    pub orientation: Orientation,
    /// Standard deviation, along each axis, of a common displacement of all atoms after centring.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub displacement_bohr: f64,
    /// Temperature of Gaussian initial momenta; 0 starts the ions at rest. Each component has the
    /// variance `m k T`; the centre of mass is then brought to rest.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub temperature_k: f64,
    /// Where the momenta come from with which the ions start.
    #[serde(default, skip_serializing_if = "InitialMomenta::is_law")]
    pub initial_momenta: InitialMomenta,
    /// What is at the origin before the displacement.
    #[serde(default)]
    pub centre: Centre,
    /// The molecule.
    pub molecule: Molecule,
    /// How its ions come to their charges.
    #[serde(default, skip_serializing_if = "Charging::is_instantaneous")]
    pub charging: Charging,
    /// The law of its geometries; not needed where positions are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<GeometryLaw>,
    /// The detector.
    #[serde(default)]
    pub detector: Detector,
    /// The frame in which events are recorded.
    #[serde(default)]
    pub frame: Frame,
    /// How exactly the explosions are integrated.
    #[serde(default)]
    pub accuracy: Accuracy,
}

/// The origin of the positions; `centre = "centre-of-mass"` or `centre = { atom = "C" }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Centre {
    /// As the geometry law draws it, or as the positions are given.
    #[default]
    AsDrawn,
    /// The centre of mass is moved to the origin.
    CentreOfMass,
    /// The atom with this label is moved to the origin.
    Atom(String),
}

/// Where the momenta come from with which ions start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InitialMomenta {
    /// From `temperature_k` or the geometry law `harmonic`; without either the ions start at rest.
    #[default]
    Law,
    /// From the file of the positions. `cei simulate --positions` writes it beside a table whose ions did so; new
    /// events cannot be drawn then.
    Given,
}

impl InitialMomenta {
    pub(crate) fn is_law(&self) -> bool {
        *self == Self::Law
    }
}

/// Simulated events; rows are events, columns `(x, y, z)` per atom.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// Positions (events, 3N) in bohr.
    pub positions: Array2<f64>,
    /// Measured momenta (events, 3N) in a.u.
    pub momenta: Array2<f64>,
    /// Momenta (events, 3N) in a.u. with which the ions started, turned with the positions; none where they start at rest.
    pub initial_momenta: Option<Array2<f64>>,
    /// What was drawn beside the positions (events, [`Simulation::nuisances`]), in the units of the columns.
    pub nuisances: Array2<f64>,
}

/// A simulation that cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] SimulationConfigError),
    /// Given positions do not fit the molecule.
    #[error("positions have {found} columns, the molecule's {atoms} atoms need {}", 3 * .atoms)]
    PositionColumns {
        /// The number of columns given.
        found: usize,
        /// The number of atoms.
        atoms: usize,
    },
    /// No geometry could be drawn.
    #[error("event {event}: {source}")]
    Geometry {
        /// The event's number, from 0.
        event: usize,
        /// The condition that was not met.
        source: ImpossibleGeometry,
    },
    /// A nuisance could not be drawn.
    #[error(
        "event {event}: no draw of `{name}` in 100,000 was positive\nhint: its distribution in `[charging]` has (almost) no positive numbers"
    )]
    Nuisance {
        /// The event's number, from 0.
        event: usize,
        /// The name of the column.
        name: String,
    },
    /// An explosion has no result.
    #[error("event {event}: {source}")]
    Explosion {
        /// The event's number, from 0.
        event: usize,
        /// The reason.
        source: ExplosionError,
    },
}

impl SimulationError {
    /// The event that failed, 0 if it is not about one.
    fn event(&self) -> usize {
        match self {
            Self::Geometry { event, .. }
            | Self::Nuisance { event, .. }
            | Self::Explosion { event, .. } => *event,
            Self::Config(_) | Self::PositionColumns { .. } => 0,
        }
    }
}

/// Simulates events `0..events` under `seed`, in parallel. The same rows for the same seed, whatever the
/// number of threads; more events only add rows.
///
/// # Errors
/// [`SimulationError`]; of several events that fail, the first is reported.
pub fn simulate(
    simulation: &Simulation,
    events: usize,
    seed: u64,
) -> Result<Events, SimulationError> {
    simulate_range(simulation, 0..events, seed)
}

/// Simulates the events of `range`: exactly those rows of [`simulate`]. For callers that write a large
/// table piece by piece or show progress.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_range(
    simulation: &Simulation,
    range: Range<usize>,
    seed: u64,
) -> Result<Events, SimulationError> {
    let law = simulation.geometry.as_ref().ok_or(SimulationConfigError::NoGeometry)?;
    let law = law.resolve(&simulation.molecule)?;
    if !simulation.initial_momenta.is_law() {
        return Err(SimulationConfigError::MomentaNotGiven.into());
    }
    Plan::new(simulation)?.run(Source::Law(&law), range, seed)
}

/// Simulates one event for each row of `positions` (events, 3N; bohr). The configured orientation, centre,
/// displacement and frame apply to them; the geometry law does not. Row `i` uses random stream `i`.
///
/// # Errors
/// [`SimulationError::PositionColumns`] and as [`simulate`].
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn simulate_positions(
    simulation: &Simulation,
    positions: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Events, SimulationError> {
    let atoms = simulation.molecule.atom_count();
    if positions.ncols() != 3 * atoms {
        return Err(SimulationError::PositionColumns { found: positions.ncols(), atoms });
    }
    Plan::new(simulation)?.run(Source::Rows(positions, None), 0..positions.nrows(), seed)
}

/// The same for ions that start with `momenta` (events, 3N; a.u.), which are turned with the positions.
///
/// # Errors
/// As [`simulate_positions`], and [`SimulationConfigError::MomentaTwice`] if `temperature_k` gives momenta too.
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn simulate_moving(
    simulation: &Simulation,
    positions: ArrayView2<'_, f64>,
    momenta: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Events, SimulationError> {
    let atoms = simulation.molecule.atom_count();
    for side in [&positions, &momenta] {
        if side.ncols() != 3 * atoms {
            return Err(SimulationError::PositionColumns { found: side.ncols(), atoms });
        }
    }
    if simulation.temperature_k > 0.0 {
        let other = "the file of the positions";
        return Err(SimulationConfigError::MomentaTwice { other }.into());
    }
    let rows = 0..positions.nrows().min(momenta.nrows());
    Plan::new(simulation)?.run(Source::Rows(positions, Some(momenta)), rows, seed)
}

/// Measures noise-free events of `simulation` by `detector`: adds noise to the momenta of every row and
/// fixes the simulation's frame anew by the noisy momenta, for positions and momenta. Row `i` uses random
/// stream `i` of `seed`.
///
/// What frames took from the orientation, aligned or not, does not matter to noise that is the same along the three axes
/// of each ion; so the result has the law of events that were simulated with the detector.
///
/// # Errors
/// [`SimulationConfigError`] for a detector that does not fit the molecule, and for noise that differs between axes
/// where the events are not recorded in the laboratory.
///
/// # Panics
/// If `events` has not three columns an atom.
pub fn measure(
    simulation: &Simulation,
    detector: &Detector,
    events: &mut Events,
    seed: u64,
) -> Result<(), SimulationConfigError> {
    let molecule = &simulation.molecule;
    let deviations = detector.standard_deviations(molecule)?;
    let turned = simulation.frame != Frame::default();
    let uneven = |axes: &[f64]| axes.iter().any(|sd| *sd != axes[0]);
    if turned && deviations.chunks_exact(3).any(uneven) {
        return Err(SimulationConfigError::UnevenNoise);
    }
    let frame = simulation.frame.resolve(molecule)?;
    let generator = ChaCha8Rng::seed_from_u64(seed);
    let columns = 3 * molecule.atom_count();
    let Events { positions, momenta, .. } = events;
    assert_eq!(positions.ncols(), columns, "three position columns an atom");
    assert_eq!(momenta.ncols(), columns, "three momentum columns an atom");
    for values in [&mut *positions, &mut *momenta] {
        if !values.is_standard_layout() {
            *values = values.as_standard_layout().into_owned();
        }
    }
    let (Some(positions), Some(momenta)) = (positions.as_slice_mut(), momenta.as_slice_mut())
    else {
        unreachable!("both have standard layout")
    };
    let rows = positions.par_chunks_exact_mut(columns).zip(momenta.par_chunks_exact_mut(columns));
    rows.enumerate().for_each(|(row, (positions, momenta))| {
        let mut rng = generator.clone();
        rng.set_stream(row as u64);
        add_noise(&mut rng, &deviations, momenta);
        frame.apply(positions, momenta);
    });
    Ok(())
}

impl Simulation {
    /// Checks everything that can be wrong with the configuration without simulating.
    ///
    /// # Errors
    /// [`SimulationConfigError`] that names the key.
    pub fn check(&self) -> Result<(), SimulationConfigError> {
        if let Some(law) = &self.geometry {
            law.resolve(&self.molecule)?;
        }
        Plan::new(self).map(|_| ())
    }

    /// What is drawn for each event beside the positions; columns of the tables that are simulated.
    pub fn nuisances(&self) -> Vec<Nuisance> {
        self.charging.nuisances()
    }
}

fn default_events() -> usize {
    10_000
}

/// Where geometries come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Law(&'a ResolvedLaw),
    /// Given positions, and momenta if the ions move.
    Rows(ArrayView2<'a, f64>, Option<ArrayView2<'a, f64>>),
}

impl Source<'_> {
    fn has_momenta(&self) -> bool {
        match self {
            Self::Law(law) => law.has_momenta(),
            Self::Rows(_, momenta) => momenta.is_some(),
        }
    }
}

/// Rows of a table that is being made.
struct Chunk<'r> {
    positions: &'r mut [f64],
    /// No numbers where the ions start at rest.
    initial: &'r mut [f64],
    momenta: &'r mut [f64],
    nuisances: &'r mut [f64],
}

/// A checked simulation with all its atoms found.
struct Plan<'a> {
    simulation: &'a Simulation,
    exploder: Exploder<'a>,
    centre: ResolvedCentre,
    orientation: ResolvedOrientation,
    /// Standard deviation of each component of the initial momenta, a.u.; empty at rest.
    thermal: Vec<f64>,
    /// Standard deviation of each component of the detector noise, a.u.; empty without noise.
    noise: Vec<f64>,
    nuisances: Vec<Nuisance>,
    frame: ResolvedFrame,
}

#[derive(Clone, Copy)]
enum ResolvedCentre {
    AsDrawn,
    CentreOfMass,
    Atom(usize),
}

impl<'a> Plan<'a> {
    fn new(simulation: &'a Simulation) -> Result<Self, SimulationConfigError> {
        let at_least_0 = |key: &str, value| require(key, value, "at least 0", |v| v >= 0.0);
        at_least_0("displacement_bohr", simulation.displacement_bohr)?;
        at_least_0("temperature_k", simulation.temperature_k)?;
        if simulation.temperature_k > 0.0
            && simulation.geometry.as_ref().is_some_and(GeometryLaw::has_momenta)
        {
            let other = "`geometry.law = \"harmonic\"`";
            return Err(SimulationConfigError::MomentaTwice { other });
        }
        let molecule = &simulation.molecule;
        let energy = BOLTZMANN_HARTREE_PER_K * simulation.temperature_k;
        let thermal = molecule.masses().iter().flat_map(|mass| [(mass * energy).sqrt(); 3]);
        Ok(Self {
            simulation,
            exploder: Exploder::new(molecule, &simulation.charging, &simulation.accuracy)?,
            centre: match &simulation.centre {
                Centre::AsDrawn => ResolvedCentre::AsDrawn,
                Centre::CentreOfMass => ResolvedCentre::CentreOfMass,
                Centre::Atom(label) => {
                    ResolvedCentre::Atom(molecule.require_index("centre.atom", label)?)
                }
            },
            orientation: simulation.orientation.resolve(molecule)?,
            thermal: none_if_zero(thermal.collect()),
            noise: none_if_zero(simulation.detector.standard_deviations(molecule)?),
            nuisances: simulation.nuisances(),
            frame: simulation.frame.resolve(molecule)?,
        })
    }

    fn run(
        &self,
        source: Source<'_>,
        range: Range<usize>,
        seed: u64,
    ) -> Result<Events, SimulationError> {
        let columns = 3 * self.simulation.molecule.atom_count();
        let generator = ChaCha8Rng::seed_from_u64(seed);
        let mut positions = Array2::zeros((range.len(), columns));
        let mut momenta = Array2::zeros((range.len(), columns));
        // Rows of no width where the ions start at rest.
        let moves = source.has_momenta() || !self.thermal.is_empty();
        let moving_columns = if moves { columns } else { 0 };
        let mut initial = Array2::zeros((range.len(), moving_columns));
        let mut nuisances = Array2::zeros((range.len(), self.nuisances.len()));
        let (Some(all_positions), Some(all_momenta), Some(all_initial), Some(all_nuisances)) = (
            positions.as_slice_mut(),
            momenta.as_slice_mut(),
            initial.as_slice_mut(),
            nuisances.as_slice_mut(),
        ) else {
            unreachable!("new arrays are contiguous")
        };
        let first_failure = all_positions
            .par_chunks_mut(CHUNK * columns)
            .zip(all_momenta.par_chunks_mut(CHUNK * columns))
            .zip(chunks_of(all_initial, moving_columns, range.len()))
            .zip(chunks_of(all_nuisances, self.nuisances.len(), range.len()))
            .zip(range.into_par_iter().step_by(CHUNK))
            .filter_map(|((((positions, momenta), initial), nuisances), first)| {
                let rows = Chunk { positions, initial, momenta, nuisances };
                self.chunk(source, first, &generator, rows).err()
            })
            .min_by_key(SimulationError::event);
        match first_failure {
            Some(error) => Err(error),
            None => {
                let initial_momenta = moves.then_some(initial);
                Ok(Events { positions, momenta, initial_momenta, nuisances })
            }
        }
    }

    /// Simulates the events from number `first` on, as many as there are rows. All that is random is drawn
    /// before the explosions, which are faster together.
    fn chunk(
        &self,
        source: Source<'_>,
        first: usize,
        generator: &ChaCha8Rng,
        rows: Chunk<'_>,
    ) -> Result<(), SimulationError> {
        let Chunk { positions, initial, momenta, nuisances } = rows;
        let columns = 3 * self.simulation.molecule.atom_count();
        let mut noise = vec![0.0; if self.noise.is_empty() { 0 } else { positions.len() }];
        let mut undrawn = None;
        let mut drawn = 0;
        for row in positions.chunks_exact_mut(columns) {
            let event = first + drawn / columns;
            let span = drawn..drawn + columns;
            let mut rng = generator.clone();
            rng.set_stream(event as u64);
            let moving = initial.get_mut(span.clone()).unwrap_or_default();
            if let Err(error) = self.place(source, event, &mut rng, row, moving) {
                undrawn = Some(error);
                break;
            }
            if !self.thermal.is_empty() {
                self.draw_thermal(&mut rng, moving);
            }
            let first_nuisance = drawn / columns * self.nuisances.len();
            if let Err(error) =
                self.draw_nuisances(event, &mut rng, &mut nuisances[first_nuisance..])
            {
                undrawn = Some(error);
                break;
            }
            if let Some(noise) = noise.get_mut(span.clone()) {
                add_noise(&mut rng, &self.noise, noise);
            }
            drawn = span.end;
        }
        // An event before the one that cannot be drawn may fail to explode, and is then the first failure.
        let (positions, momenta) = (&mut positions[..drawn], &mut momenta[..drawn]);
        let moving = initial.get(..drawn).filter(|initial| !initial.is_empty());
        let numbers = &nuisances[..drawn / columns * self.nuisances.len()];
        let rows = Given { positions, numbers, initial_momenta: moving };
        let failed = self.exploder.explode_rows(rows, momenta);
        if let Some((row, source)) = failed.into_iter().next() {
            return Err(SimulationError::Explosion { event: first + row, source });
        }
        if let Some(error) = undrawn {
            return Err(error);
        }
        for (momentum, noise) in momenta.iter_mut().zip(&noise) {
            *momentum += noise;
        }
        let rows = positions.chunks_exact_mut(columns).zip(momenta.chunks_exact_mut(columns));
        for (row, (positions, momenta)) in rows.enumerate() {
            let rotation = self.frame.apply(positions, momenta);
            if let Some(initial) = initial.get_mut(row * columns..(row + 1) * columns) {
                rotation.apply(initial);
            }
        }
        Ok(())
    }

    /// Draws what an event has beside its positions into the first of `values`.
    fn draw_nuisances(
        &self,
        event: usize,
        rng: &mut ChaCha8Rng,
        values: &mut [f64],
    ) -> Result<(), SimulationError> {
        for (nuisance, value) in self.nuisances.iter().zip(values) {
            let none = || SimulationError::Nuisance { event, name: nuisance.name.clone() };
            *value = nuisance.draw(rng).ok_or_else(none)?;
        }
        Ok(())
    }

    /// The positions of one event in the laboratory, and the momenta that come with them; `momenta` is empty where there
    /// are none.
    fn place(
        &self,
        source: Source<'_>,
        event: usize,
        rng: &mut ChaCha8Rng,
        positions: &mut [f64],
        momenta: &mut [f64],
    ) -> Result<(), SimulationError> {
        let simulation = self.simulation;
        match source {
            Source::Law(law) => law
                .draw(rng, positions, momenta)
                .map_err(|source| SimulationError::Geometry { event, source })?,
            Source::Rows(given, moving) => {
                for (position, value) in positions.iter_mut().zip(given.row(event)) {
                    *position = *value;
                }
                for (momentum, value) in
                    momenta.iter_mut().zip(moving.iter().flat_map(|moving| moving.row(event)))
                {
                    *momentum = *value;
                }
            }
        }
        self.move_to_origin(positions);
        self.orientation.apply(rng, positions, momenta);
        if simulation.displacement_bohr > 0.0 {
            let step: Vector = [0; 3].map(|_| rng.sample::<f64, _>(StandardNormal));
            translate(positions, step.map(|c| simulation.displacement_bohr * c));
        }
        Ok(())
    }

    fn move_to_origin(&self, positions: &mut [f64]) {
        let origin = match self.centre {
            ResolvedCentre::AsDrawn => return,
            ResolvedCentre::CentreOfMass => self.simulation.molecule.centre_of_mass(positions),
            ResolvedCentre::Atom(atom) => of_atom(positions, atom),
        };
        translate(positions, origin.map(|c| -c));
    }

    /// Adds independent normal momenta, minus each atom's share of the centre of mass's motion.
    fn draw_thermal(&self, rng: &mut impl Rng, momenta: &mut [f64]) {
        add_noise(rng, &self.thermal, momenta);
        bring_to_rest(momenta, self.simulation.molecule.masses());
    }
}

/// Rows of a width, a chunk of events at a time; as many chunks where they have no numbers.
fn chunks_of(values: &mut [f64], width: usize, rows: usize) -> Vec<&mut [f64]> {
    let mut chunks = values.chunks_mut((CHUNK * width).max(1));
    (0..rows.div_ceil(CHUNK)).map(|_| chunks.next().unwrap_or_default()).collect()
}

/// Spares random numbers that would be multiplied by zero.
fn none_if_zero(deviations: Vec<f64>) -> Vec<f64> {
    if deviations.iter().all(|sd| *sd == 0.0) { Vec::new() } else { deviations }
}
