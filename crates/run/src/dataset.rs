//! From the files of an experiment to what a trainer or an evaluation needs.

use cei_data::{Preprocessing, Split, Table, fingerprint, load};
use cei_physics::Simulation;
use cei_train::{DegenerateNoise, Rows, TrainingRows};

use crate::simulate::simulation_of;
use crate::{Experiment, RunError};

/// A loaded table and its split.
#[derive(Debug)]
pub struct Dataset {
    /// All rows, in internal units, not yet in a gauge.
    pub table: Table,
    /// Which rows are for what.
    pub split: Split,
    /// SHA-256 of names and values.
    pub fingerprint: String,
}

impl Dataset {
    /// Loads and splits the table of an experiment.
    ///
    /// # Errors
    /// A file, row or column that cannot be used; too few rows; a side that does not vary.
    pub fn load(experiment: &Experiment) -> Result<Self, RunError> {
        experiment.split.check()?;
        let table = load(&experiment.source, &experiment.columns)?;
        table.check_trainable(&experiment.split)?;
        let split = Split::new(table.rows(), &experiment.split)?;
        Ok(Self { fingerprint: fingerprint(&table), table, split })
    }

    /// The simulation that made the table, where one stands beside its files and is of the molecule of
    /// the experiment.
    ///
    /// # Errors
    /// A simulation beside a file that cannot be read.
    pub fn simulation(&self, experiment: &Experiment) -> Result<Option<Simulation>, RunError> {
        let simulation = simulation_of(&self.table.files)?;
        Ok(simulation.filter(|made| experiment.molecule.as_ref() == Some(&made.molecule)))
    }

    /// Fits the preprocessing on the training rows alone.
    ///
    /// # Errors
    /// A gauge that does not fit, a side without variation.
    pub fn fit(&self, experiment: &Experiment) -> Result<Preprocessing, RunError> {
        let molecule = experiment.molecule.as_ref();
        let config = &experiment.preprocessing;
        Ok(Preprocessing::fit(config, molecule, &self.table, &self.split.train)?)
    }

    /// Scaled rows for training and validation.
    pub fn training_rows(&self, preprocessing: &Preprocessing) -> TrainingRows {
        let degenerate = preprocessing
            .noise_directions()
            .map(|(directions, sd)| DegenerateNoise { directions, sd });
        TrainingRows {
            training: scaled_rows(&self.table, &self.split.train, preprocessing),
            validation: scaled_rows(&self.table, &self.split.validation, preprocessing),
            degenerate,
        }
    }
}

/// The rows of one part, scaled.
fn scaled_rows(table: &Table, part: &impl cei_data::Rows, preprocessing: &Preprocessing) -> Rows {
    let (x, y) = preprocessing.encode_part(table, part);
    Rows { x, y }
}
