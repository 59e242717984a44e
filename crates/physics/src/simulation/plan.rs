//! What a simulation does for each event: draws, placement, explosion, noise and frame.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::{Centre, Events, Simulation, SimulationError};
use crate::channel::{self, ChargeState};
use crate::detector::{Detection, add_noise};
use crate::error::{SimulationConfigError, require};
use crate::explosion::{CHUNK, Exploder, ExplosionError, Given};
use crate::frame::ResolvedFrame;
use crate::geometry::{GeometryLaw, ResolvedLaw, translate};
use crate::nuisance::Nuisance;
use crate::orientation::ResolvedOrientation;
use crate::units::BOLTZMANN_HARTREE_PER_K;
use crate::vector::{Vector, bring_to_rest, of_atom};

/// Where geometries come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Law(&'a ResolvedLaw),
    /// Given positions, momenta if the ions move, and of each nuisance its values where they are given.
    Rows {
        positions: ArrayView2<'a, f64>,
        momenta: Option<ArrayView2<'a, f64>>,
        nuisances: &'a [Option<&'a [f64]>],
    },
}

impl Source<'_> {
    fn has_momenta(&self) -> bool {
        match self {
            Self::Law(law) => law.has_momenta(),
            Self::Rows { momenta, .. } => momenta.is_some(),
        }
    }

    /// The nuisance of this place in an event, if it is given.
    fn number(&self, place: usize, event: usize) -> Option<f64> {
        match self {
            Self::Law(_) => None,
            Self::Rows { nuisances, .. } => {
                nuisances.get(place).copied().flatten().map(|values| values[event])
            }
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
    /// No numbers where all have the molecule's.
    charges: &'r mut [f64],
}

/// A checked simulation with all its atoms found.
pub(super) struct Plan<'a> {
    simulation: &'a Simulation,
    states: &'a [ChargeState],
    /// One for each state.
    exploders: Vec<Exploder<'a>>,
    centre: ResolvedCentre,
    orientation: ResolvedOrientation,
    /// Standard deviation of each component of the initial momenta, a.u.; empty at rest.
    thermal: Vec<f64>,
    /// Standard deviation of each component of the detector noise, a.u.; empty without noise.
    noise: Vec<f64>,
    /// None where every ion is detected.
    detection: Option<Detection>,
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
    pub(super) fn new(
        simulation: &'a Simulation,
        states: &'a [ChargeState],
    ) -> Result<Self, SimulationConfigError> {
        let at_least_0 = |key: &str, value| require(key, value, "at least 0", |v| v >= 0.0);
        at_least_0("displacement_bohr", simulation.displacement_bohr)?;
        at_least_0("temperature_k", simulation.temperature_k)?;
        if simulation.temperature_k > 0.0
            && simulation.geometry.as_ref().is_some_and(GeometryLaw::has_momenta)
        {
            let other = "`geometry.law = \"harmonic\"`";
            return Err(SimulationConfigError::MomentaTwice { other });
        }
        let moves = simulation.temperature_k > 0.0
            || !simulation.initial_momenta.is_law()
            || simulation.geometry.as_ref().is_some_and(GeometryLaw::has_momenta);
        if moves && !simulation.break_up.is_concerted() {
            return Err(SimulationConfigError::Sequential { what: "ions that start at rest" });
        }
        let molecule = &simulation.molecule;
        let energy = BOLTZMANN_HARTREE_PER_K * simulation.temperature_k;
        let thermal = molecule.masses().iter().flat_map(|mass| [(mass * energy).sqrt(); 3]);
        let (dynamics, accuracy) = (simulation.dynamics(), &simulation.accuracy);
        let exploders = states.iter().map(|s| Exploder::new(&s.molecule, &dynamics, accuracy));
        Ok(Self {
            simulation,
            states,
            exploders: exploders.collect::<Result<_, _>>()?,
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
            detection: simulation.detector.detection(molecule)?,
            nuisances: simulation.nuisances(),
            frame: simulation.frame.resolve(molecule)?,
        })
    }

    pub(super) fn run(
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
        let ions = if self.states.len() > 1 { columns / 3 } else { 0 };
        let mut charges = Array2::zeros((range.len(), ions));
        let [
            Some(all_positions),
            Some(all_momenta),
            Some(all_initial),
            Some(all_nuisances),
            Some(all_charges),
        ] = [&mut positions, &mut momenta, &mut initial, &mut nuisances, &mut charges]
            .map(|values| values.as_slice_mut())
        else {
            unreachable!("new arrays are contiguous")
        };
        let first_failure = all_positions
            .par_chunks_mut(CHUNK * columns)
            .zip(all_momenta.par_chunks_mut(CHUNK * columns))
            .zip(chunks_of(all_initial, moving_columns, range.len()))
            .zip(chunks_of(all_nuisances, self.nuisances.len(), range.len()))
            .zip(chunks_of(all_charges, ions, range.len()))
            .zip(range.into_par_iter().step_by(CHUNK))
            .filter_map(|(((((positions, momenta), initial), nuisances), charges), first)| {
                let rows = Chunk { positions, initial, momenta, nuisances, charges };
                self.chunk(source, first, &generator, rows).err()
            })
            .min_by_key(SimulationError::event);
        match first_failure {
            Some(error) => Err(error),
            None => {
                let initial_momenta = moves.then_some(initial);
                Ok(Events { positions, momenta, initial_momenta, nuisances, charges })
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
        let Chunk { positions, initial, momenta, nuisances, charges } = rows;
        let columns = 3 * self.simulation.molecule.atom_count();
        let mut noise = vec![0.0; if self.noise.is_empty() { 0 } else { positions.len() }];
        // Zero, or NaN of an ion that is not detected.
        let mut missing = vec![0.0; if self.detection.is_some() { positions.len() } else { 0 }];
        let mut states = Vec::with_capacity(positions.len() / columns);
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
                self.draw_nuisances(source, event, &mut rng, &mut nuisances[first_nuisance..])
            {
                undrawn = Some(error);
                break;
            }
            let state = channel::draw(self.states, &mut rng);
            states.push(state);
            if let Some(charges) = charges.get_mut(drawn / 3..span.end / 3) {
                charges.copy_from_slice(self.states[state].molecule.charges());
            }
            if let Some(noise) = noise.get_mut(span.clone()) {
                add_noise(&mut rng, &self.noise, noise);
            }
            if let (Some(detection), Some(missing)) =
                (&self.detection, missing.get_mut(span.clone()))
            {
                detection.apply(&mut rng, missing);
            }
            drawn = span.end;
        }
        // An event before the one that cannot be drawn may fail to explode, and is then the first failure.
        let (positions, momenta) = (&mut positions[..drawn], &mut momenta[..drawn]);
        let moving = initial.get(..drawn).filter(|initial| !initial.is_empty());
        let numbers = &nuisances[..drawn / columns * self.nuisances.len()];
        let rows = Given { positions, numbers, initial_momenta: moving };
        let failed = self.explode(rows, &states, momenta);
        if let Some((row, source)) = failed.into_iter().next() {
            return Err(SimulationError::Explosion { event: first + row, source });
        }
        if let Some(error) = undrawn {
            return Err(error);
        }
        for (momentum, noise) in momenta.iter_mut().zip(noise.iter()) {
            *momentum += noise;
        }
        for (momentum, missing) in momenta.iter_mut().zip(&missing) {
            *momentum += missing;
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

    /// Explodes rows, each in its charge state, as [`Exploder::explode_rows`].
    fn explode(
        &self,
        rows: Given<'_>,
        states: &[usize],
        momenta: &mut [f64],
    ) -> Vec<(usize, ExplosionError)> {
        if let [exploder] = &self.exploders[..] {
            return exploder.explode_rows(rows, momenta);
        }
        let columns = 3 * self.simulation.molecule.atom_count();
        let mut failed = Vec::new();
        for (state, exploder) in self.exploders.iter().enumerate() {
            let members: Vec<usize> =
                (0..states.len()).filter(|&event| states[event] == state).collect();
            let of_members = |values: &[f64], width: usize| {
                let row = |&event: &usize| &values[event * width..(event + 1) * width];
                members.iter().flat_map(row).copied().collect::<Vec<f64>>()
            };
            let positions = of_members(rows.positions, columns);
            let numbers = of_members(rows.numbers, self.nuisances.len());
            let initial = rows.initial_momenta.map(|initial| of_members(initial, columns));
            let own = Given {
                positions: &positions,
                numbers: &numbers,
                initial_momenta: initial.as_deref(),
            };
            let mut result = vec![0.0; positions.len()];
            let without_result = exploder.explode_rows(own, &mut result);
            failed.extend(without_result.into_iter().map(|(row, error)| (members[row], error)));
            for (&event, result) in members.iter().zip(result.chunks_exact(columns)) {
                momenta[event * columns..(event + 1) * columns].copy_from_slice(result);
            }
        }
        failed.sort_by_key(|(event, _)| *event);
        failed
    }

    /// Draws what an event has beside its positions, where it is not given, into the first of `values`.
    fn draw_nuisances(
        &self,
        source: Source<'_>,
        event: usize,
        rng: &mut ChaCha8Rng,
        values: &mut [f64],
    ) -> Result<(), SimulationError> {
        for (place, (nuisance, value)) in self.nuisances.iter().zip(values).enumerate() {
            let none = || SimulationError::Nuisance { event, name: nuisance.name.clone() };
            *value = match source.number(place, event) {
                Some(given) => given,
                None => nuisance.draw(rng).ok_or_else(none)?,
            };
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
            Source::Rows { positions: given, momenta: moving, .. } => {
                for (position, value) in positions.iter_mut().zip(given.row(event)) {
                    *position = *value;
                }
                let moving = moving.iter().flat_map(|moving| moving.row(event));
                for (momentum, value) in momenta.iter_mut().zip(moving) {
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
