//! Events of a simulator in the place of a table, and tables that are measured anew.

use cei_data::{DroppedRows, MomentumUnit, PositionUnit, Selection, SharedFrame, Split, Table};
use cei_model::random::{Purpose, derived_seed};
use cei_physics::{Detector, Events, Frame, Molecule, Simulation, measure_in, simulate};
use ndarray::{Array2, Axis, concatenate};

use super::event_columns::EventColumns;
use super::fresh::{Recipe, for_training};
use crate::folder::Origin;
use crate::{Experiment, RunError};

/// Streams of the events of a simulated data set; no epoch has these numbers.
const FIRST_EPOCH: u64 = 0;
const VALIDATION: u64 = u64::MAX - 1;
const TEST: u64 = u64::MAX;

/// Events of an epoch at most: all of them are in memory, several times.
const MOST_EVENTS: usize = 10_000_000;

/// A table, its split, and how the training rows of later epochs are made.
pub(super) type Parts = (Table, Split, Option<Recipe>);

/// Training, validation and test events of a simulation, one part after another.
pub(super) fn simulated(
    experiment: &Experiment,
    simulation: &Simulation,
) -> Result<Parts, RunError> {
    let molecule = &simulation.molecule;
    check_columns(experiment, molecule, "source.simulator")?;
    let columns = EventColumns::of(&experiment.columns, simulation)?;
    let (source, split) = (&experiment.source, &experiment.split);
    if source.fresh_noise {
        return Err(RunError::FreshNoiseOfSimulator);
    }
    let events = source.events_per_epoch.unwrap_or(simulation.events);
    if events < 2 {
        return Err(RunError::TooSmall { key: "source.events_per_epoch", value: events, least: 2 });
    }
    let share = |part: f64| ((events as f64 * part / split.train).round() as usize).max(1);
    let (validation, test) = (share(split.validation), share(split.test));
    let all = events.saturating_add(validation).saturating_add(test);
    if events > MOST_EVENTS || all > 2 * MOST_EVENTS {
        let (key, most) = ("source.events_per_epoch", MOST_EVENTS);
        return Err(RunError::TooLarge { key, value: events, most });
    }
    let seed = |stream| derived_seed(split.seed, Purpose::Events, stream);
    let parts = [
        simulate(&for_training(simulation), events, seed(FIRST_EPOCH))?,
        simulate(simulation, validation, seed(VALIDATION))?,
        simulate(simulation, test, seed(TEST))?,
    ];
    let under_another =
        |views: [ndarray::ArrayView2<'_, f64>; 3]| match concatenate(Axis(0), &views) {
            Ok(rows) => rows,
            Err(_) => unreachable!("every part has three columns an atom"),
        };
    let x = parts.each_ref().map(|part| columns.x(part));
    let y = parts.each_ref().map(|part| columns.y(part));
    let table = Table {
        x: under_another(x.each_ref().map(|x| x.view())),
        y: under_another(y.each_ref().map(|y| y.view())),
        x_names: columns.x_names(molecule),
        y_names: columns.y_names(molecule),
        nuisances: columns.nuisances.len(),
        charges: experiment.columns.charges.len(),
        alike: None,
        may_miss: simulation
            .detector
            .detection(molecule)?
            .map(|d| d.may_miss())
            .unwrap_or_default(),
        files: Vec::new(),
        readings: Vec::new(),
        dropped: DroppedRows::default(),
    };
    let recipe = Recipe::Events { simulation: Box::new(simulation.clone()), events, columns };
    Ok((table, Split::consecutive(events, validation, test), Some(recipe)))
}

/// A noise-free simulated table, as the declared detector measures it.
pub(super) fn measured_anew(
    experiment: &Experiment,
    simulation: &Simulation,
    origin: &Origin,
    table: Table,
    split: Split,
) -> Result<Parts, RunError> {
    check_columns(experiment, &simulation.molecule, "source.fresh_noise")?;
    let nothing = |detector: &Detector| {
        let deviations = detector.standard_deviations(&simulation.molecule)?;
        Ok::<_, RunError>(deviations.iter().all(|sd| *sd == 0.0))
    };
    if !nothing(&simulation.detector)? {
        return Err(RunError::FreshNoiseOnNoise);
    }
    let Some(detector) = &origin.detector else { return Err(RunError::FreshNoiseUndeclared) };
    if nothing(detector)? {
        return Err(RunError::FreshNoiseUndeclared);
    }
    if table.has_missing_ions() {
        return Err(RunError::FreshNoiseOnMissing);
    }
    measured(experiment, (&simulation.molecule, &simulation.frame), detector, table, split)
}

/// A table with all ions of its events, of which the declared efficiency leaves some.
pub(super) fn seen_in_part(
    experiment: &Experiment,
    origin: &Origin,
    table: Table,
    split: Split,
) -> Result<Parts, RunError> {
    let (Some(molecule), Some(detector)) = (&experiment.molecule, &origin.detector) else {
        return Err(RunError::DetectorWithoutMolecule);
    };
    check_columns(experiment, molecule, "detector.efficiency")?;
    let fixes_frame = experiment.preprocessing.gauge.frame == SharedFrame::Momentum;
    let frame = match &origin.simulation {
        Some(simulation) => simulation.frame.clone(),
        None if fixes_frame => Frame::default(),
        None => return Err(RunError::MissingInUnknownFrame),
    };
    // Their noise is in the table already.
    let detector = Detector { efficiency: detector.efficiency.clone(), ..Detector::default() };
    measured(experiment, (molecule, &frame), &detector, table, split)
}

/// A table as a detector measures it, for the first epoch and for those that follow.
fn measured(
    experiment: &Experiment,
    (molecule, frame): (&Molecule, &Frame),
    detector: &Detector,
    mut table: Table,
    split: Split,
) -> Result<Parts, RunError> {
    // The nuisances that the table has, whichever they are, are not measured.
    let events_of = |(x, y): (Array2<f64>, Array2<f64>)| {
        let components = 3 * molecule.atom_count();
        let (positions, nuisances) = x.view().split_at(Axis(1), components);
        let (momenta, charges) = y.view().split_at(Axis(1), components);
        Events {
            positions: positions.to_owned(),
            momenta: momenta.to_owned(),
            initial_momenta: None,
            nuisances: nuisances.to_owned(),
            charges: charges.to_owned(),
        }
    };
    let columns = EventColumns::all(&table);
    let events = events_of(table.part(&split.train));
    let mut noisy = events_of((table.x, table.y));
    let recipe = Recipe::Measured {
        molecule: Box::new(molecule.clone()),
        frame: Box::new(frame.clone()),
        detector: Box::new(detector.clone()),
        events: Box::new(events),
        columns: columns.clone(),
    };
    let seed = derived_seed(experiment.split.seed, Purpose::DetectorNoise, FIRST_EPOCH);
    measure_in(molecule, frame, detector, &mut noisy, seed)?;
    table.x = columns.x(&noisy);
    table.y = columns.y(&noisy);
    Ok((table, split, Some(recipe)))
}

/// Events are those of the molecule, three numbers an atom on either side. Measured files may name them otherwise
/// and have other units, but must have units.
fn check_columns(
    experiment: &Experiment,
    molecule: &Molecule,
    key: &'static str,
) -> Result<(), RunError> {
    let Selection { x, y, x_unit, y_unit, .. } = &experiment.columns;
    let count = 3 * molecule.atom_count();
    let has_units = *x_unit != PositionUnit::None && *y_unit != MomentumUnit::None;
    if (x.len(), y.len()) == (count, count) && has_units {
        Ok(())
    } else {
        Err(RunError::OtherColumns { key, count })
    }
}
