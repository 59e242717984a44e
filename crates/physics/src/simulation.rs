//! Simulated events: geometries drawn or given, exploded, measured and rotated into their frame.
//!
//! One event: geometry (with its momenta, if the law has them), centre, orientation, displacement, thermal momenta,
//! nuisances, charge state, explosion, detector noise, which ions are detected, frame. Its random numbers are drawn in this order, all of them from stream `i` of ChaCha8 under the
//! seed for event `i`, so it depends neither on the number of threads nor on the events beside it.

mod plan;

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::plan::{Plan, Source};
use crate::break_up::{BreakUp, Dynamics};
use crate::channel::{self, Channel};
use crate::charging::Charging;
use crate::detector::{Detector, add_noise};
use crate::error::SimulationConfigError;
use crate::explosion::{Accuracy, ExplosionError};
use crate::frame::Frame;
use crate::geometry::{GeometryLaw, ImpossibleGeometry};
use crate::molecule::Molecule;
use crate::nuisance::Nuisance;
use crate::orientation::Orientation;

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
    /// Charge states that differ between events: each event has the charges of one of them, drawn by their weights. The
    /// molecule's own charges must be those of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = channel::MAX_CHANNELS))]
    pub channels: Vec<Channel>,
    /// How its ions come to their charges.
    #[serde(default, skip_serializing_if = "Charging::is_instantaneous")]
    pub charging: Charging,
    /// In which order its bonds break.
    #[serde(default, skip_serializing_if = "BreakUp::is_concerted")]
    pub break_up: BreakUp,
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
    /// Measured momenta (events, 3N) in a.u.; NaN of ions that were not detected.
    pub momenta: Array2<f64>,
    /// Momenta (events, 3N) in a.u. with which the ions started, turned with the positions; none where they start at rest.
    pub initial_momenta: Option<Array2<f64>>,
    /// What was drawn beside the positions (events, [`Simulation::nuisances`]), in the units of the columns.
    pub nuisances: Array2<f64>,
    /// Charges of the ions (events, N); no columns where all events have those of the molecule.
    pub charges: Array2<f64>,
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
///
/// ```
/// use cei_physics::presets::OCS_WIDE;
/// use cei_physics::{Simulation, simulate};
///
/// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// let events = simulate(&ocs, 100, 7)?;
/// assert_eq!(events.momenta.dim(), (100, 9));
/// // More events only add rows.
/// assert_eq!(simulate(&ocs, 10, 7)?.momenta, events.momenta.slice(ndarray::s![..10, ..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use cei_physics::presets::OCS_WIDE;
/// use cei_physics::{Simulation, simulate, simulate_range};
///
/// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// let part = simulate_range(&ocs, 40..50, 7)?;
/// assert_eq!(part.positions, simulate(&ocs, 50, 7)?.positions.slice(ndarray::s![40.., ..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    Plan::new(simulation, &simulation.charge_states()?)?.run(Source::Law(&law), range, seed)
}

/// Simulates one event for each row of `positions` (events, 3N; bohr). The configured orientation, centre,
/// displacement and frame apply to them; the geometry law does not. Row `i` uses random stream `i`.
///
/// # Errors
/// [`SimulationError::PositionColumns`] and as [`simulate`].
///
/// ```
/// use cei_physics::presets::OCS_WIDE;
/// use cei_physics::{Simulation, simulate_positions};
///
/// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// // Two geometries of C, O, S in bohr; turned at random, as the preset says.
/// let rows = ndarray::array![
///     [0.0, 0.0, 0.0, 2.2, 0.0, 0.0, -2.9, 0.5, 0.0],
///     [0.0, 0.0, 0.0, 3.2, 0.0, 0.0, -2.9, 0.5, 0.0],
/// ];
/// let events = simulate_positions(&ocs, rows.view(), 1)?;
/// assert_eq!(events.positions.dim(), (2, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn simulate_positions(
    simulation: &Simulation,
    positions: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Events, SimulationError> {
    simulate_given(simulation, &GivenRows::at_rest(positions), seed)
}

/// The same for ions that start with `momenta` (events, 3N; a.u.), which are turned with the positions.
///
/// # Errors
/// As [`simulate_given`].
///
/// ```
/// use cei_physics::presets::OCS_WIDE;
/// use cei_physics::{Simulation, simulate_moving, simulate_positions};
///
/// let mut ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// ocs.detector = cei_physics::Detector::default();
/// let positions = ndarray::array![[0.0, 0.0, 0.0, 2.2, 0.0, 0.0, -2.9, 0.5, 0.0]];
/// // Twenty atomic units of carbon against oxygen change what is measured.
/// let initial = ndarray::array![[20.0, 0.0, 0.0, -20.0, 0.0, 0.0, 0.0, 0.0, 0.0]];
/// let moving = simulate_moving(&ocs, positions.view(), initial.view(), 1)?;
/// assert_ne!(moving.momenta, simulate_positions(&ocs, positions.view(), 1)?.momenta);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn simulate_moving(
    simulation: &Simulation,
    positions: ArrayView2<'_, f64>,
    momenta: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Events, SimulationError> {
    let rows = GivenRows { momenta: Some(momenta), ..GivenRows::at_rest(positions) };
    simulate_given(simulation, &rows, seed)
}

/// Events of which more is given than the simulation says.
#[derive(Debug, Clone)]
pub struct GivenRows<'a> {
    /// Positions (events, 3N) in bohr.
    pub positions: ArrayView2<'a, f64>,
    /// Momenta (events, 3N) in a.u. with which the ions start; by the simulation if none.
    pub momenta: Option<ArrayView2<'a, f64>>,
    /// Of each of [`Simulation::nuisances`] its value in every event, if it is given; what is not, or not listed, is drawn.
    pub nuisances: Vec<Option<&'a [f64]>>,
}

impl<'a> GivenRows<'a> {
    fn at_rest(positions: ArrayView2<'a, f64>) -> Self {
        Self { positions, momenta: None, nuisances: Vec::new() }
    }

    /// The number of events.
    fn events(&self) -> usize {
        let moving = self.momenta.as_ref().map(|momenta| momenta.nrows());
        let numbers = self.nuisances.iter().flatten().map(|values| values.len());
        moving.into_iter().chain(numbers).fold(self.positions.nrows(), usize::min)
    }
}

/// Simulates one event for each row that is given, as [`simulate_positions`].
///
/// # Errors
/// [`SimulationError::PositionColumns`], [`SimulationConfigError::MomentaTwice`] if momenta are given and `temperature_k` gives some
/// too, an [`ExplosionError::NotPositive`] nuisance, and as [`simulate`].
///
/// ```
/// use cei_physics::{GivenRows, Simulation, simulate_given};
///
/// // Charges that take a time of their own in each event, here 5 and 20 fs.
/// let text = "molecule.atoms = [{ element = 'C', charge = 1 }, { element = 'O', charge = 1 }]\n\
///     charging = { kind = 'exponential', tau_fs = { distribution = 'uniform', low = 1.0, high = 30.0 } }";
/// let simulation: Simulation = toml::from_str(text)?;
/// let positions = ndarray::array![[0.0, 0.0, 0.0, 2.2, 0.0, 0.0], [0.0, 0.0, 0.0, 2.2, 0.0, 0.0]];
/// let rows = GivenRows {
///     positions: positions.view(),
///     momenta: None,
///     nuisances: vec![Some(&[5.0, 20.0])],
/// };
/// let events = simulate_given(&simulation, &rows, 1)?;
/// let squares = events.momenta.mapv(|p| p * p).sum_axis(ndarray::Axis(1));
/// assert!(squares[0] > squares[1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simulate_given(
    simulation: &Simulation,
    rows: &GivenRows<'_>,
    seed: u64,
) -> Result<Events, SimulationError> {
    simulate_given_range(simulation, rows, 0..rows.events(), seed)
}

/// Simulates the events of `range`: exactly those rows of [`simulate_given`], which are numbered in `rows`.
///
/// # Errors
/// As [`simulate_given`].
///
/// # Panics
/// If `rows` are fewer.
pub fn simulate_given_range(
    simulation: &Simulation,
    rows: &GivenRows<'_>,
    range: Range<usize>,
    seed: u64,
) -> Result<Events, SimulationError> {
    let atoms = simulation.molecule.atom_count();
    for side in [Some(&rows.positions), rows.momenta.as_ref()].into_iter().flatten() {
        if side.ncols() != 3 * atoms {
            return Err(SimulationError::PositionColumns { found: side.ncols(), atoms });
        }
    }
    if rows.momenta.is_some() && simulation.temperature_k > 0.0 {
        let other = "the file of the positions";
        return Err(SimulationConfigError::MomentaTwice { other }.into());
    }
    let source = Source::Rows {
        positions: rows.positions.view(),
        momenta: rows.momenta.as_ref().map(|momenta| momenta.view()),
        nuisances: &rows.nuisances,
    };
    let states = simulation.charge_states()?;
    Plan::new(simulation, &states)?.run(source, range, seed)
}

/// Measures complete, noise-free events of `simulation` by `detector`: adds noise to the momenta of every row, draws which
/// ions are detected, and fixes the simulation's frame anew by the measured momenta, for positions and momenta. Row `i` uses
/// random stream `i` of `seed`.
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
///
/// ```
/// use cei_physics::presets::OCS_WIDE;
/// use cei_physics::{Simulation, Detector, detector::Noise, measure, simulate};
///
/// let mut ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// ocs.detector = Detector::default();
/// let exact = simulate(&ocs, 50, 1)?;
/// let mut measured = exact.clone();
/// let noisy = Detector { momentum_noise_au: Noise::Same(1.0), ..Detector::default() };
/// measure(&ocs, &noisy, &mut measured, 2)?;
/// let off = &measured.momenta - &exact.momenta;
/// assert!(off.iter().any(|value| value.abs() > 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn measure(
    simulation: &Simulation,
    detector: &Detector,
    events: &mut Events,
    seed: u64,
) -> Result<(), SimulationConfigError> {
    measure_in(&simulation.molecule, &simulation.frame, detector, events, seed)
}

/// The same for events of `molecule` that are recorded in `frame`, whatever made them.
///
/// # Errors
/// As [`measure`].
///
/// # Panics
/// If `events` has not three columns an atom.
pub fn measure_in(
    molecule: &Molecule,
    frame: &Frame,
    detector: &Detector,
    events: &mut Events,
    seed: u64,
) -> Result<(), SimulationConfigError> {
    let deviations = detector.standard_deviations(molecule)?;
    let detection = detector.detection(molecule)?;
    let turned = *frame != Frame::default();
    let uneven = |axes: &[f64]| axes.iter().any(|sd| *sd != axes[0]);
    if turned && deviations.chunks_exact(3).any(uneven) {
        return Err(SimulationConfigError::UnevenNoise);
    }
    let frame = frame.resolve(molecule)?;
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
        if let Some(detection) = &detection {
            detection.apply(&mut rng, momenta);
        }
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
        Plan::new(self, &self.charge_states()?).map(|_| ())
    }

    /// What is drawn for each event beside the positions; columns of the tables that are simulated.
    pub fn nuisances(&self) -> Vec<Nuisance> {
        self.dynamics().nuisances()
    }

    /// How the ions come to their charges, and in which order bonds break.
    pub fn dynamics(&self) -> Dynamics {
        Dynamics { charging: self.charging.clone(), break_up: self.break_up.clone() }
    }
}

fn default_events() -> usize {
    10_000
}
