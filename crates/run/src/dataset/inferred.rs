//! Which columns of simulated events are inferred: the positions, and the nuisances that the experiment lists.

use cei_data::{ColumnRef, Selection, Table};
use cei_physics::{Events, Molecule, Simulation};
use ndarray::{Array2, Axis, concatenate};

use crate::RunError;

/// The nuisances that are inferred beside the positions.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// Names, and places among those of the simulation.
    pub(super) nuisances: Vec<(String, usize)>,
}

impl Inferred {
    /// Those that `columns.nuisances` lists.
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
        Ok(Self { nuisances })
    }

    /// Those of a table, which is that of the events themselves.
    pub(super) fn all(table: &Table) -> Self {
        let first = table.x_names.len() - table.nuisances;
        let names = table.x_names[first..].iter().cloned();
        Self { nuisances: names.zip(0..).collect() }
    }

    /// Names of the columns that are inferred.
    pub(super) fn names(&self, molecule: &Molecule) -> Vec<String> {
        let nuisances = self.nuisances.iter().map(|(name, _)| name.clone());
        molecule.position_columns().into_iter().chain(nuisances).collect()
    }

    /// What is inferred of some events (rows x columns).
    pub(super) fn columns(&self, events: &Events) -> Array2<f64> {
        let places: Vec<usize> = self.nuisances.iter().map(|(_, place)| *place).collect();
        let nuisances = events.nuisances.select(Axis(1), &places);
        match concatenate(Axis(1), &[events.positions.view(), nuisances.view()]) {
            Ok(columns) => columns,
            Err(_) => unreachable!("both have one row an event"),
        }
    }
}
