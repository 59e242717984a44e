//! What a training is about to do, known before the first epoch.

use cei_data::{
    ColumnRef, Division, DroppedRows, LoadError, Preprocessing, Reading, Selection, TableRows,
};
use cei_model::ConditionalModel;
use cei_physics::{Frame, Orientation, Simulation};

use crate::dataset::{Dataset, in_words, rounding};
use crate::folder::{Origin, PartCopies};
use crate::refine::{Ingredients, Obstacle};
use crate::{Experiment, RunError};

/// Columns of a side that are named one by one.
const MOST_NAMED: usize = 30;

/// What a training is about to do, known before the first epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingPlan {
    /// Rows of training, validation and test part.
    pub rows: [usize; 3],
    /// How each file was read.
    pub readings: Vec<Reading>,
    /// The columns of the run and what must be known about them, in words.
    pub columns: String,
    /// Rows that `drop_invalid` left out.
    pub dropped: DroppedRows,
    /// Name of the model.
    pub model: &'static str,
    /// Trained numbers.
    pub parameters: usize,
    /// Columns of `x` and `y` that the network sees.
    pub dimensions: [usize; 2],
    /// Dead columns, in words; none if every column varies.
    pub dead_columns: Option<String>,
    /// What in the table is likely to mislead: extreme cells, rows of one part that repeat those of another.
    pub warnings: Vec<String>,
    /// Dimension of the density of `x`.
    pub d_eff: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// What else has to be said before the training: edits of a run that is resumed, tables whose origin is
    /// believed unproved.
    pub remarks: Vec<String>,
    /// Why `cei predict --refine` will not be possible; none if it will.
    pub no_refinement: Option<Obstacle>,
}

pub(super) fn plan(
    experiment: &Experiment,
    origin: &Origin,
    dataset: &Dataset<Box<dyn TableRows>, Box<dyn Division>>,
    copies: Option<&PartCopies>,
    preprocessing: &Preprocessing,
    model: &dyn ConditionalModel,
    remarks: Vec<String>,
) -> Result<TrainingPlan, RunError> {
    let names: Vec<&str> = preprocessing
        .dead_x()
        .iter()
        .chain(preprocessing.dead_y())
        .map(|column| column.name.as_str())
        .collect();
    let mut warnings = dataset.extremes.clone();
    warnings.extend(copies.into_iter().flat_map(copies_in_words));
    let rounded = rounding::warning(experiment, dataset, preprocessing);
    warnings.extend(rounded.map_err(LoadError::from)?);
    let channels = origin.simulation.as_ref().is_some_and(Simulation::has_channels);
    let told = !experiment.columns.charges.is_empty();
    warnings.extend((channels && !told).then(|| {
        "the charge states of the events differ, and the model is not told them; list `columns.charges` where they are known".to_owned()
    }));
    let width = preprocessing.positions();
    let molecule = experiment.molecule.as_ref().filter(|m| 3 * m.atom_count() == width);
    let noise = origin.detector.as_ref().zip(molecule);
    let remarks = remarks.into_iter().chain(alignment_remark(origin, preprocessing));
    let remarks = remarks.chain(dataset.stream_remark()).collect();
    let ingredients = Ingredients {
        molecule,
        simulation: origin.simulation.as_ref(),
        preprocessing,
        noise: noise.and_then(|(detector, molecule)| detector.standard_deviations(molecule).ok()),
    };
    Ok(TrainingPlan {
        no_refinement: ingredients.obstacle(),
        warnings,
        rows: dataset.split.counts(),
        readings: dataset.table.head().readings.clone(),
        columns: columns_in_words(experiment),
        dropped: dataset.table.head().dropped.clone(),
        model: experiment.model.architecture().name(),
        parameters: model.parameters().values.len(),
        dimensions: [preprocessing.x_dim(), preprocessing.y_dim()],
        dead_columns: (!names.is_empty()).then(|| names.join(", ")),
        d_eff: preprocessing.d_eff(),
        frame: preprocessing.frame_description(),
        remarks,
    })
}

/// Rows of one part that repeat those of another.
fn copies_in_words(copies: &PartCopies) -> impl Iterator<Item = String> {
    let of_validation = copies.test_of_validation.unwrap_or_default();
    let parts = [
        ("validation", "training", copies.validation),
        ("test", "training", copies.test),
        ("test", "validation", of_validation),
    ];
    parts.into_iter().filter(|(_, _, copies)| copies.any()).map(|(part, of, copies)| {
        let which = format!("rows of the {part} part");
        in_words(&copies, &which, &format!("rows of the {of} part"))
    })
}

/// That what is trained does not know the alignment that its simulation declares.
fn alignment_remark(origin: &Origin, preprocessing: &Preprocessing) -> Option<String> {
    let is_aligned = |law: &&Simulation| matches!(law.orientation, Orientation::Turned(_));
    let law = origin.simulation.as_ref().filter(is_aligned)?;
    if law.frame != Frame::default() {
        return Some("remark: the simulation aligns its molecules, but records events in a frame that their momenta fix, which forgets the alignment: results are those of molecules that are turned at random\nhint: simulate with `frame = { kind = \"laboratory\" }`".to_owned());
    }
    (!preprocessing.config().gauge.keeps_momenta()).then(|| "remark: the simulation aligns its molecules, but the network sees momenta in a frame that they fix themselves (`preprocessing.gauge`), which forgets the alignment: its draws are those of unknown orientation, which `cei predict --refine` corrects\nhint: leave `preprocessing.gauge` out for a network that sees the laboratory".to_owned())
}

/// The columns that the run reads: where atoms were numbered or columns renamed they are not obvious. Where events are
/// simulated, whether files for the run must have other names than a simulated table.
fn columns_in_words(experiment: &Experiment) -> String {
    let list = |columns: &[ColumnRef]| {
        let shown = columns.iter().take(MOST_NAMED).map(ToString::to_string);
        let more = columns.len().saturating_sub(MOST_NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        shown.chain(more).collect::<Vec<_>>().join(", ")
    };
    let Selection { x, y, nuisances, charges, .. } = &experiment.columns;
    let mut text = format!("columns: positions {}; momenta {}", list(x), list(y));
    if !nuisances.is_empty() {
        text.push_str(&format!("; nuisances {}", list(nuisances)));
    }
    if !charges.is_empty() {
        text.push_str(&format!("; charges {}", list(charges)));
    }
    let molecule = experiment.molecule.as_ref().filter(|_| experiment.source.simulator.is_some());
    let Some(molecule) = molecule else { return text };
    let of_simulation =
        |names: Vec<String>| names.into_iter().map(ColumnRef::from).collect::<Vec<_>>();
    let own = of_simulation(molecule.momentum_columns());
    if own != *y {
        text.push_str(&format!(
            "\nno simulated table has these momenta (there they are {}): files for `cei predict` must, or are given with `--columns`",
            list(&own)
        ));
    }
    if x.iter().any(|column| y.contains(column)) {
        text.push_str(
            "\npositions and momenta share columns: they are those of files of momenta alone; a file of both needs `--set columns.x=[...]`",
        );
    }
    text
}
