//! Which columns of simulated events make a table: positions and the nuisances that the experiment lists; momenta, and
//! charges if it lists them.

use cei_data::{ColumnRef, Selection, Table};
use cei_physics::{Events, Molecule, Simulation};
use ndarray::{Array2, Axis, concatenate};

use crate::RunError;

/// The columns of events that are inferred, and those of the condition.
#[derive(Debug, Clone)]
pub struct EventColumns {
    /// Names of the nuisances that are inferred, and places among those of the simulation.
    pub(super) nuisances: Vec<(String, usize)>,
    /// Whether charges stand behind the momenta.
    pub(super) charges: bool,
}

impl EventColumns {
    /// Those that `columns.nuisances` and `columns.charges` list.
    ///
    /// # Errors
    /// One that the simulation does not draw.
    pub(super) fn of(columns: &Selection, simulation: &Simulation) -> Result<Self, RunError> {
        let drawn: Vec<String> =
            simulation.nuisances().into_iter().map(|drawn| drawn.name).collect();
        let place = |column: &ColumnRef| {
            let place = drawn.iter().position(|name| *column == ColumnRef::Name(name.clone()));
            let place = place.ok_or_else(|| RunError::UnknownNuisance {
                column: column.to_string(),
                known: drawn.clone(),
            })?;
            Ok((drawn[place].clone(), place))
        };
        let nuisances = columns.nuisances.iter().map(place).collect::<Result<_, RunError>>()?;
        let charges = !columns.charges.is_empty();
        if charges {
            if !simulation.has_channels() {
                return Err(RunError::NoChannels);
            }
            let known = simulation.molecule.charge_columns();
            if columns.charges.iter().map(ToString::to_string).ne(known.iter().cloned()) {
                return Err(RunError::ChargeColumns { known });
            }
        }
        Ok(Self { nuisances, charges })
    }

    /// Those of a table, which is that of the events themselves.
    pub(super) fn all(table: &Table) -> Self {
        let first = table.x_names.len() - table.nuisances;
        let names = table.x_names[first..].iter().cloned();
        Self { nuisances: names.zip(0..).collect(), charges: table.charges > 0 }
    }

    /// Names of the columns that are inferred.
    pub(super) fn x_names(&self, molecule: &Molecule) -> Vec<String> {
        let nuisances = self.nuisances.iter().map(|(name, _)| name.clone());
        molecule.position_columns().into_iter().chain(nuisances).collect()
    }

    /// Names of the columns of the condition.
    pub(super) fn y_names(&self, molecule: &Molecule) -> Vec<String> {
        let mut names = molecule.momentum_columns();
        if self.charges {
            names.extend(molecule.charge_columns());
        }
        names
    }

    /// What is inferred of some events (rows x columns).
    pub(super) fn x(&self, events: &Events) -> Array2<f64> {
        let places: Vec<usize> = self.nuisances.iter().map(|(_, place)| *place).collect();
        side_by_side(&events.positions, &events.nuisances.select(Axis(1), &places))
    }

    /// What is known of some events (rows x columns).
    pub(super) fn y(&self, events: &Events) -> Array2<f64> {
        condition_of(events, self.charges)
    }
}

/// What a network is conditioned on of some events (rows x columns), with their charges or without.
pub(crate) fn condition_of(events: &Events, charges: bool) -> Array2<f64> {
    if charges { side_by_side(&events.momenta, &events.charges) } else { events.momenta.clone() }
}

fn side_by_side(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    match concatenate(Axis(1), &[left.view(), right.view()]) {
        Ok(columns) => columns,
        Err(_) => unreachable!("both have one row an event"),
    }
}
