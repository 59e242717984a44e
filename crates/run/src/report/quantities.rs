//! What of a geometry is shown: distances and angles of a molecule and its nuisances, or else the columns that vary.

use cei_metrics::{InternalCoordinates, PM_PER_BOHR};
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::words::{count, list};
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// Quantities of a corner plot at most.
const MOST_IN_CORNER: usize = 4;
/// Panels of a figure at most.
const MOST_PANELS: usize = 6;
/// Atoms of which all distances and angles are shown.
const SMALL: usize = 3;

/// All quantities that can be told of a geometry, and which of them are shown.
pub(super) struct Quantities {
    coordinates: Option<InternalCoordinates>,
    /// Columns that are quantities themselves: nuisances, or what varies in a table that is no molecule.
    columns: Vec<usize>,
    /// Name and unit of each.
    labels: Vec<(String, String)>,
    /// Those with a panel of their own.
    pub(super) shown: Vec<usize>,
    /// Those of corner plots.
    pub(super) corner: Vec<usize>,
}

impl Quantities {
    /// Those of a run; `typical` (rows x inferred columns, in its frame) tells which distances are the shortest.
    ///
    /// # Errors
    /// Rows that do not fit the run.
    pub(super) fn of(run: &TrainedRun, typical: ArrayView2<'_, f64>) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let names = preprocessing.x_names();
        let molecule = run.molecule();
        let coordinates = molecule
            .map(|molecule| {
                internal_coordinates(&run.experiment, molecule, run.record.preprocessing.alike())
            })
            .transpose()?;
        let mut labels: Vec<(String, String)> = Vec::new();
        if let Some(coordinates) = &coordinates {
            let of = |names: &[String], unit: &str| -> Vec<(String, String)> {
                names.iter().map(|name| (name.clone(), unit.to_owned())).collect()
            };
            labels.extend(of(coordinates.pair_labels(), "pm"));
            labels.extend(of(coordinates.triple_labels(), "deg"));
        }
        let columns: Vec<usize> = match molecule {
            Some(_) => (preprocessing.positions()..names.len()).collect(),
            None => preprocessing.alive_x().to_vec(),
        };
        let unit = run.experiment.columns.x_unit.internal().unwrap_or_default();
        labels.extend(columns.iter().map(|&column| {
            if column < preprocessing.positions() {
                (names[column].clone(), unit.to_owned())
            } else {
                nuisance(&names[column])
            }
        }));
        let mut quantities =
            Self { coordinates, columns, labels, shown: Vec::new(), corner: Vec::new() };
        let atoms = molecule.map_or(0, |molecule| molecule.atom_count());
        quantities.choose(atoms, typical)?;
        Ok(quantities)
    }

    /// Chooses what is shown: the shortest distances, which are the bonds, an angle between two of them, and nuisances.
    fn choose(&mut self, atoms: usize, typical: ArrayView2<'_, f64>) -> Result<(), RunError> {
        let Some(coordinates) = &self.coordinates else {
            self.corner = (0..self.labels.len().min(MOST_IN_CORNER)).collect();
            self.shown = (0..self.labels.len().min(MOST_PANELS)).collect();
            return Ok(());
        };
        let (pairs, triples) = (coordinates.pair_labels(), coordinates.triple_labels());
        let means = self.values(typical)?.mean_axis(Axis(0));
        let length = |pair: usize| means.as_ref().map_or(0.0, |means| means[pair]);
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by(|a, b| length(*a).total_cmp(&length(*b)));
        let mut corner: Vec<usize> =
            order.into_iter().take((atoms - 1).clamp(1, MOST_IN_CORNER - 1)).collect();
        corner.sort_unstable();
        let is_bond = |atoms: [&str; 2]| {
            let [a, b] =
                [format!("{}-{}", atoms[0], atoms[1]), format!("{}-{}", atoms[1], atoms[0])];
            corner.iter().any(|pair| pairs[*pair] == a || pairs[*pair] == b)
        };
        let is_of_bonds = |label: &&String| match label.split('-').collect::<Vec<_>>()[..] {
            [a, vertex, b] => is_bond([a, vertex]) && is_bond([vertex, b]),
            _ => false,
        };
        let angle = triples.iter().find(is_of_bonds).or(triples.first());
        let angle = angle.and_then(|label| triples.iter().position(|other| other == label));
        let columns = pairs.len() + triples.len()..self.labels.len();
        let chosen = corner.iter().copied().chain(angle.map(|angle| pairs.len() + angle));
        self.corner = chosen.chain(columns.clone()).take(MOST_IN_CORNER).collect();
        self.shown = if atoms <= SMALL {
            (0..self.labels.len().min(MOST_PANELS)).collect()
        } else {
            let mut shown = self.corner.clone();
            shown.extend(columns.filter(|column| !self.corner.contains(column)));
            shown.truncate(MOST_PANELS);
            shown
        };
        Ok(())
    }

    /// All quantities (rows x quantities) of inferred rows in the frame of the run.
    ///
    /// # Errors
    /// Rows that do not fit the run.
    pub(super) fn values(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>, RunError> {
        let columns = rows.select(Axis(1), &self.columns);
        let Some(coordinates) = &self.coordinates else { return Ok(columns) };
        let positions = rows.slice(s![.., ..3 * coordinates.atoms()]);
        let lengths = coordinates.lengths(positions)? * PM_PER_BOHR;
        let angles = coordinates.angles_deg(positions)?;
        match concatenate(Axis(1), &[lengths.view(), angles.view(), columns.view()]) {
            Ok(values) => Ok(values),
            Err(_) => unreachable!("all have one row a geometry"),
        }
    }

    /// Name of a quantity.
    pub(super) fn name(&self, quantity: usize) -> &str {
        &self.labels[quantity].0
    }

    /// Unit of a quantity; empty where it has none.
    pub(super) fn unit(&self, quantity: usize) -> &str {
        &self.labels[quantity].1
    }

    /// Name and unit of a quantity.
    pub(super) fn label(&self, quantity: usize) -> String {
        self.with_unit(self.name(quantity), quantity)
    }

    /// What is said of a quantity, with its unit.
    pub(super) fn with_unit(&self, what: &str, quantity: usize) -> String {
        match self.unit(quantity) {
            "" => what.to_owned(),
            unit => format!("{what} ({unit})"),
        }
    }

    /// What is not shown, in words; none if everything is.
    pub(super) fn left_out(&self) -> Option<String> {
        let left = self.labels.len() - self.shown.len();
        let kind = if self.coordinates.is_some() {
            "the shortest distances, which are the bonds, with an angle between them"
        } else {
            "the first that vary"
        };
        let names: Vec<String> = self.shown.iter().map(|q| self.name(*q).to_owned()).collect();
        (left > 0).then(|| {
            format!(
                "Shown are {}, {kind}; {} of this table {} left out here.",
                list(&names),
                count(left, "other quantity").replace("quantitys", "quantities"),
                if left == 1 { "is" } else { "are" }
            )
        })
    }
}

/// Name and unit of a nuisance, whose unit ends its name.
fn nuisance(column: &str) -> (String, String) {
    let unit = match column.rsplit_once('_') {
        Some((_, unit @ ("fs" | "ev" | "au" | "deg" | "pm"))) => unit.replace("ev", "eV"),
        _ => String::new(),
    };
    let per = column.ends_with("_per_fs");
    (column.to_owned(), if per { "1/fs".to_owned() } else { unit })
}
