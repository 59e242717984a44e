//! The support of the training data: which measured momenta the model has never seen the like of.
//!
//! A network answers whatever it is asked. An event is outside when its momentum sum, its kinetic
//! energy release, or its distance to the nearest training momenta (Euclidean, in the network's scaled
//! units) is beyond what one in a thousand of the training table's own events are beyond. Of an event with missing ions only
//! the distance is judged, to training momenta of the same ions.

use std::fmt;
use std::path::Path;

use cei_data::{LoadError, Part, Preprocessing, Spreads, is_incomplete};
use cei_metrics::{NearestNeighbours, quantile};
use cei_physics::Molecule;
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::folder::{SupportBounds, support};
use crate::{RunError, TrainedRun};

/// The part of the training table's own events that each bound leaves outside.
const RARE: f64 = 1e-3;
/// Training momenta that distances are measured to, and validation momenta that set the bound.
const REFERENCE_ROWS: usize = 10_000;
/// A momentum sum below this part of the largest momentum is round-off of the table.
const ROUND_OFF: f64 = 1e-4;

/// The support of a training table.
pub(crate) struct Support {
    bounds: SupportBounds,
    molecule: Option<Molecule>,
    reference: Array2<f32>,
    tree: NearestNeighbours,
}

/// Why an event is outside the training support; empty if it is inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// The momenta add up to more than in training.
    pub momentum_sum: bool,
    /// The kinetic energy release is above or below that of the training events.
    pub kinetic_energy: bool,
    /// No training momenta are near.
    pub distance: bool,
    /// A momentum is so far from those of training that it is no measurement: nothing was inferred.
    pub far_out: bool,
}

impl Outside {
    /// Whether there is any reason.
    pub fn any(self) -> bool {
        self.momentum_sum || self.kinetic_energy || self.distance || self.far_out
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.momentum_sum, "momentum-sum"),
            (self.kinetic_energy, "kinetic-energy"),
            (self.distance, "distance"),
            (self.far_out, "far-out"),
        ];
        let names: Vec<_> = reasons.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" "))
    }
}

impl Support {
    /// The support of the training rows of a table; `molecule` only if its momenta are three columns
    /// an atom.
    ///
    /// # Errors
    /// Momenta that are not finite; rows that cannot be read again.
    pub(crate) fn fit(
        training: Part<'_>,
        validation: Part<'_>,
        preprocessing: &Preprocessing,
        molecule: Option<&Molecule>,
    ) -> Result<Self, RunError> {
        let momenta = preprocessing.momenta();
        let molecule = molecule.filter(|molecule| 3 * molecule.atom_count() == momenta).cloned();
        let encoded = |part: Part<'_>| {
            let rows = part.count();
            let used = rows.min(REFERENCE_ROWS);
            let spaced: Vec<_> = (0..used).map(|i| i * rows / used).collect();
            let encode = |_, y: Array2<f64>| preprocessing.encode_y(y.view());
            part.gathered(&spaced, preprocessing.y_dim(), encode).map_err(LoadError::from)
        };
        let reference = encoded(training)?;
        let tree = tree(preprocessing, &reference)?;
        let validation = preprocessing.set_apart(encoded(validation)?.mapv(f64::from));
        let mut distances = tree.distances(validation.view())?;
        distances.sort_by(f64::total_cmp);
        let spreads = Spreads::of(training, molecule.as_ref());
        let mut bounds = SupportBounds {
            momentum_sum_au: None,
            kinetic_energy_ev: None,
            distance: quantile(&distances, 1.0 - RARE).unwrap_or(f64::INFINITY),
            spreads: Some(spreads.map_err(LoadError::from)?),
        };
        if let Some(molecule) = &molecule {
            let rare = (RARE * training.count() as f64).ceil() as usize + 2;
            let (mut sums, mut energies, mut largest) = (Ends::new(rare), Ends::new(rare), 0.0_f64);
            let each = training.each(&mut |_, _, y| {
                let y = y.slice_move(s![.., ..momenta]);
                let of_row = |y: ArrayView1<'_, f64>| (momentum_sum(y), energy_ev(molecule, y));
                let found: Vec<_> = y.axis_iter(Axis(0)).into_par_iter().map(of_row).collect();
                sums.add(found.iter().map(|found| found.0));
                energies.add(found.iter().map(|found| found.1));
                largest = y.iter().fold(largest, |most, p| most.max(p.abs()));
            });
            each.map_err(LoadError::from)?;
            let round_off = ROUND_OFF * largest;
            bounds.momentum_sum_au = sums.quantile(1.0 - RARE).map(|sum| sum.max(round_off));
            bounds.kinetic_energy_ev = energies
                .quantile(RARE / 2.0)
                .zip(energies.quantile(1.0 - RARE / 2.0))
                .map(Into::into);
        }
        Ok(Self { bounds, molecule, reference, tree })
    }

    /// The bounds alone.
    pub(crate) fn bounds(&self) -> &SupportBounds {
        &self.bounds
    }

    /// Writes the reference momenta beside the model.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), RunError> {
        support::write(&self.reference, folder)
    }

    /// The support of a run; none for one that was trained before runs had it.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub(crate) fn load(run: &TrainedRun) -> Result<Option<Self>, RunError> {
        let Some(bounds) = run.record.support.clone() else { return Ok(None) };
        let reference = support::read(&run.path, &run.record)?;
        let molecule = run
            .record
            .molecule
            .clone()
            .filter(|m| 3 * m.atom_count() == run.record.preprocessing.momenta());
        let tree = tree(&run.record.preprocessing, &reference)?;
        Ok(Some(Self { bounds, molecule, tree, reference }))
    }

    /// The molecule, if the momenta are three columns an atom.
    pub(crate) fn molecule(&self) -> Option<&Molecule> {
        self.molecule.as_ref()
    }

    /// At most `count` training momenta, raw and in the gauge of the run, with charges behind them where the run is conditioned on these.
    pub(crate) fn momenta(&self, preprocessing: &Preprocessing, count: usize) -> Array2<f64> {
        let rows = self.reference.nrows();
        let used = rows.min(count);
        let spaced: Vec<_> = (0..used).map(|i| i * rows / used).collect();
        preprocessing.decode_y(self.reference.select(Axis(0), &spaced).view())
    }

    /// Writes into each row of the condition (raw momenta, then charges) those of `states` by which it is nearest to
    /// training.
    ///
    /// # Errors
    /// Momenta that are not finite.
    pub(crate) fn choose_charges(
        &self,
        preprocessing: &Preprocessing,
        y: &mut Array2<f64>,
        states: &[&[f64]],
    ) -> Result<(), RunError> {
        let momenta = preprocessing.momenta();
        let mut least = vec![f64::INFINITY; y.nrows()];
        let mut nearest = y.clone();
        for charges in states {
            for mut row in y.slice_mut(s![.., momenta..]).rows_mut() {
                row.iter_mut().zip(*charges).for_each(|(cell, charge)| *cell = *charge);
            }
            let scaled = preprocessing.neighbour_y(y.view());
            let distances = self.tree.distances(scaled.view())?;
            for (row, distance) in distances.into_iter().enumerate() {
                if distance < least[row] {
                    least[row] = distance;
                    nearest.row_mut(row).assign(&y.row(row));
                }
            }
        }
        *y = nearest;
        Ok(())
    }

    /// Why each event of raw momenta (`n` x columns of the condition) is outside, if it is.
    ///
    /// # Errors
    /// Momenta that are not finite.
    pub(crate) fn judge(
        &self,
        preprocessing: &Preprocessing,
        y: ArrayView2<'_, f64>,
    ) -> Result<Vec<Outside>, RunError> {
        let scaled = preprocessing.neighbour_y(y);
        let distances = self.tree.distances(scaled.view())?;
        let judge = |(y, distance): (ArrayView1<'_, f64>, f64)| {
            let mut outside =
                Outside { distance: distance > self.bounds.distance, ..Outside::default() };
            if let Some(molecule) = self.molecule.as_ref().filter(|_| !is_incomplete(y)) {
                outside.momentum_sum =
                    self.bounds.momentum_sum_au.is_some_and(|most| momentum_sum(y) > most);
                outside.kinetic_energy = self
                    .bounds
                    .kinetic_energy_ev
                    .is_some_and(|[low, high]| !(low..=high).contains(&energy_ev(molecule, y)));
            }
            outside
        };
        let momenta = preprocessing.momenta_of(y);
        Ok(momenta.rows().into_iter().zip(distances).map(judge).collect())
    }
}

/// The least and the largest of many values; NaN, as of events with missing ions, which have neither sum nor energy, are
/// left out.
struct Ends {
    kept: usize,
    count: usize,
    least: Vec<f64>,
    largest: Vec<f64>,
}

impl Ends {
    /// Keeps so many at each end.
    fn new(kept: usize) -> Self {
        Self { kept, count: 0, least: Vec::new(), largest: Vec::new() }
    }

    fn add(&mut self, values: impl Iterator<Item = f64>) {
        for value in values.filter(|value| !value.is_nan()) {
            self.count += 1;
            self.least.push(value);
            self.largest.push(value);
        }
        let kept = self.kept;
        if self.least.len() > kept {
            self.least.select_nth_unstable_by(kept, f64::total_cmp);
            self.largest.select_nth_unstable_by(kept, |a, b| b.total_cmp(a));
            self.least.truncate(kept);
            self.largest.truncate(kept);
        }
    }

    /// A quantile so near an end that the values about it are kept.
    fn quantile(&mut self, level: f64) -> Option<f64> {
        let last = self.count.checked_sub(1)?;
        self.least.sort_unstable_by(f64::total_cmp);
        self.largest.sort_unstable_by(f64::total_cmp);
        let (values, first) = if level < 0.5 {
            (&self.least, 0)
        } else {
            (&self.largest, self.count - self.largest.len())
        };
        let position = level * last as f64;
        let below = position.floor() as usize;
        let at = |place: usize| values[place.min(last) - first];
        Some(at(below) + (position - below as f64) * (at(below + 1) - at(below)))
    }
}

fn tree(
    preprocessing: &Preprocessing,
    reference: &Array2<f32>,
) -> Result<NearestNeighbours, RunError> {
    let reference = preprocessing.set_apart(reference.mapv(f64::from));
    Ok(NearestNeighbours::fit(reference.view(), reference.view())?)
}

/// `|sum p|` of a row of momenta.
fn momentum_sum(y: ArrayView1<'_, f64>) -> f64 {
    let axis = |axis: usize| y.iter().skip(axis).step_by(3).sum::<f64>().powi(2);
    (0..3).map(axis).sum::<f64>().sqrt()
}

fn energy_ev(molecule: &Molecule, y: ArrayView1<'_, f64>) -> f64 {
    kinetic_energy_release(molecule, &y.to_vec()) * HARTREE_EV
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_named() {
        let outside = Outside { momentum_sum: true, distance: true, ..Outside::default() };
        assert_eq!(outside.to_string(), "momentum-sum distance");
        assert!(outside.any() && !Outside::default().any());
        assert_eq!(Outside::default().to_string(), "");
    }

    #[test]
    fn quantiles_near_an_end_need_the_values_there_alone() {
        let values: Vec<f64> = (0..5000).map(|i| f64::from(i * 1999 % 5000).sqrt()).collect();
        let mut ends = Ends::new(7);
        for block in values.chunks(600) {
            ends.add(block.iter().copied().chain([f64::NAN]));
        }
        let mut sorted = values;
        sorted.sort_unstable_by(f64::total_cmp);
        for level in [RARE / 2.0, RARE, 1.0 - RARE, 1.0 - RARE / 2.0] {
            assert_eq!(ends.quantile(level), quantile(&sorted, level), "{level}");
        }
        assert_eq!(Ends::new(7).quantile(0.5), None);
    }

    #[test]
    fn a_momentum_sum_by_hand() {
        let y = ndarray::array![1.0, 0.0, 0.0, 2.0, 4.0, 0.0];
        assert!((momentum_sum(y.view()) - 5.0).abs() < 1e-15);
    }
}
