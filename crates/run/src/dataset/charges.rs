//! Charges of the ions of later events, for a run that is conditioned on them: in columns, the same for all, or unknown.

use cei_data::Table;
use cei_physics::Simulation;
use ndarray::{Array2, Axis, concatenate, s};

use crate::error::LaterError;
use crate::{RunError, TrainedRun};

/// Where the charges of the ions of later events are said.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum GivenCharges {
    /// In columns of the table.
    #[default]
    Columns,
    /// They are these, in the order of the molecule's atoms, in all events.
    All(Vec<f64>),
    /// Nowhere: they are inferred.
    Unknown,
}

/// The charges of a table that is given to a run.
pub(crate) struct TableCharges {
    /// Those of the channels of the run's simulation; none where there is no list of them.
    states: Vec<Vec<f64>>,
    /// Those of all events, where they are not in columns; those of the first channel where they are not known.
    of_all: Option<Vec<f64>>,
}

impl GivenCharges {
    /// For what does not infer charges.
    ///
    /// # Errors
    /// Charges that are not known.
    pub(crate) fn check_known(&self) -> Result<(), RunError> {
        if *self == Self::Unknown { Err(LaterError::ChargesUnknown.into()) } else { Ok(()) }
    }
}

impl TableCharges {
    /// Those that are `given` to a run.
    ///
    /// # Errors
    /// A run that is not conditioned on charges, or has no channels to choose from; charges that no channel has.
    pub(crate) fn of(run: &TrainedRun, given: &GivenCharges) -> Result<Self, RunError> {
        let states = states_of(run)?;
        let preprocessing = &run.record.preprocessing;
        let of_all = match given {
            GivenCharges::Columns => None,
            _ if !preprocessing.has_charges() => {
                return Err(LaterError::ChargesNotAsked { channels: states.len() }.into());
            }
            GivenCharges::Unknown => Some(states.first().ok_or(LaterError::NoChannels)?.clone()),
            GivenCharges::All(charges) => {
                let names = &preprocessing.y_names()[preprocessing.momenta()..];
                if charges.len() != names.len() {
                    let (found, names) = (charges.len(), names.to_vec());
                    return Err(LaterError::ChargeCount { found, names }.into());
                }
                if !is_known(charges, &states) {
                    let (charges, known) = (charges.clone(), known(&states));
                    return Err(LaterError::OtherCharges { charges, known }.into());
                }
                Some(charges.clone())
            }
        };
        Ok(Self { states, of_all })
    }

    /// Whether they are in columns of the table, if the run asks for any.
    pub(crate) fn are_columns(&self) -> bool {
        self.of_all.is_none()
    }

    /// Puts them behind the momenta of every row; those that stand there already are looked at.
    ///
    /// # Errors
    /// Charges that no channel has.
    pub(crate) fn complete(&self, run: &TrainedRun, table: &mut Table) -> Result<(), RunError> {
        let Some(charges) = &self.of_all else { return self.check(table) };
        let preprocessing = &run.record.preprocessing;
        let rows = table.rows();
        let columns = Array2::from_shape_fn((rows, charges.len()), |(_, ion)| charges[ion]);
        if let Ok(y) = concatenate(Axis(1), &[table.y.view(), columns.view()]) {
            table.y = y;
        }
        table.y_names.extend_from_slice(&preprocessing.y_names()[preprocessing.momenta()..]);
        table.charges = charges.len();
        Ok(())
    }

    /// Charges in columns are those of a channel.
    fn check(&self, table: &Table) -> Result<(), RunError> {
        let states = &self.states;
        let momenta = table.y.ncols() - table.charges;
        if table.charges == 0 || states.is_empty() {
            return Ok(());
        }
        for (row, charges) in table.y.slice(s![.., momenta..]).rows().into_iter().enumerate() {
            let charges = charges.to_vec();
            if !is_known(&charges, states) {
                let at = Box::new(table.location(row, None));
                return Err(LaterError::OtherChargesAt { at, charges, known: known(states) }.into());
            }
        }
        Ok(())
    }
}

/// The charges of the channels of a run's simulation; none where there is no list of them.
fn states_of(run: &TrainedRun) -> Result<Vec<Vec<f64>>, RunError> {
    let simulation = run.record.simulation.as_ref().filter(|law| law.has_channels());
    let states = simulation.map(Simulation::charge_states).transpose()?.unwrap_or_default();
    Ok(states.into_iter().map(|state| state.molecule.charges().to_vec()).collect())
}

fn is_known(charges: &[f64], states: &[Vec<f64>]) -> bool {
    states.is_empty() || states.iter().any(|state| state == charges)
}

/// Charge states in words.
fn known(states: &[Vec<f64>]) -> String {
    let words = |state: &Vec<f64>| {
        let charges: Vec<String> = state.iter().map(ToString::to_string).collect();
        format!("({})", charges.join(", "))
    };
    states.iter().map(words).collect::<Vec<_>>().join(", ")
}
