//! Scores of a molecule: bond lengths and angles, and momenta of draws that are exploded again.

use cei_metrics::{
    COVERAGE_LEVELS, Estimator, GaugeFreeScores, InternalCoordinates, ResimulationErrors,
};
use cei_model::random::{Purpose, standard_normal, stream};
use cei_physics::{Accuracy, Exploder, FrameRule, InitialMomentumLaw, Molecule};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, concatenate, s};
use rayon::prelude::*;

use crate::trained::draws::first_rows;
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// Scores of bond lengths, angles and momenta.
pub(super) struct MoleculeScores {
    molecule: Molecule,
    coordinates: InternalCoordinates,
    pub(super) gauge_free: GaugeFreeScores,
    frame: FrameRule,
    pub(super) resimulation: ResimulationErrors,
    /// None for ions at rest, and where the law of their momenta is not known.
    motion: Option<InitialMomentumLaw>,
    seed: u64,
    /// Events that have been added.
    events: usize,
}

impl MoleculeScores {
    /// `seed` is that of the momenta with which ions start that move.
    pub(super) fn new(run: &TrainedRun, molecule: &Molecule, seed: u64) -> Result<Self, RunError> {
        let coordinates = internal_coordinates(&run.experiment, molecule)?;
        Ok(Self {
            gauge_free: GaugeFreeScores::new(coordinates.clone(), &COVERAGE_LEVELS)?,
            coordinates,
            frame: FrameRule {
                x_axis: molecule.atom_count() - 1,
                xy_plane: molecule.atom_count() - 2,
            },
            resimulation: ResimulationErrors::default(),
            motion: motion(run),
            seed,
            events: 0,
            molecule: molecule.clone(),
        })
    }

    pub(super) fn labels(&self) -> Vec<(String, &'static str)> {
        let bonds = self.coordinates.pair_labels().iter().map(|label| (label.clone(), "pm"));
        let angles = self.coordinates.triple_labels().iter().map(|label| (label.clone(), "deg"));
        bonds.chain(angles).collect()
    }

    pub(super) fn add(
        &mut self,
        run: &TrainedRun,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(), RunError> {
        let columns = 3 * self.molecule.atom_count();
        self.gauge_free.add(x.slice(s![.., ..columns]), draws.slice(s![.., .., ..columns]))?;
        let preprocessing = &run.record.preprocessing;
        if preprocessing.momenta() != columns || run.averages_charges() {
            return Ok(());
        }
        let (momenta, charges) = y.split_at(Axis(1), columns);
        let count = run.experiment.evaluation.resimulated_draws.min(draws.len_of(Axis(1)));
        let first = self.events;
        self.events += x.nrows();
        let mut resimulated = Array3::zeros((x.nrows(), count, columns));
        for (charges, events) in by_charges(charges) {
            let molecule = match &charges[..] {
                [] => self.molecule.clone(),
                charges => self.molecule.with_charges(charges),
            };
            let exploder = Exploder::new(&molecule, &run.charging(), &Accuracy::default())?;
            if x.ncols() != exploder.inputs() {
                return Ok(());
            }
            let rows = first_rows(&draws.select(Axis(0), &events), count);
            let exploded = match &self.motion {
                None => exploder.explode_all(rows.view())?,
                Some(law) => {
                    let numbers: Vec<usize> = events.iter().map(|event| first + event).collect();
                    let positions = rows.slice(s![.., ..columns]);
                    let initial = initial_momenta(law, positions, self.seed, &numbers);
                    exploder.explode_moving(rows.view(), initial.view())?
                }
            };
            let exploded = self.in_one_frame(exploded);
            for (place, event) in events.into_iter().enumerate() {
                let own = exploded.slice(s![place * count..(place + 1) * count, ..]);
                resimulated.index_axis_mut(Axis(0), event).assign(&own);
            }
        }
        let measured = self.in_one_frame(momenta.to_owned());
        self.resimulation.add(measured.view(), resimulated.view())?;
        Ok(())
    }

    /// Rotates every row of momenta into the frame of its last two atoms.
    fn in_one_frame(&self, mut momenta: Array2<f64>) -> Array2<f64> {
        for mut row in momenta.rows_mut() {
            if let Some(row) = row.as_slice_mut() {
                self.frame.rotation(row).apply(row);
            }
        }
        momenta
    }

    /// True and mean predicted bond lengths (pm) and angles (degrees), events x quantities.
    pub(super) fn pairs(
        &self,
        x: ArrayView2<'_, f64>,
        draws: ArrayView3<'_, f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), RunError> {
        let pm = cei_metrics::PM_PER_BOHR;
        let truth =
            side_by_side(&(self.coordinates.lengths(x)? * pm), &self.coordinates.angles_deg(x)?);
        let mean = |values: Array3<f64>| Estimator::Mean.estimate(values.view());
        let predicted = side_by_side(
            &(mean(self.coordinates.lengths_of_draws(draws)?)? * pm),
            &mean(self.coordinates.angles_deg_of_draws(draws)?)?,
        );
        Ok((truth, predicted))
    }
}

/// The rows of each charge state (rows x ions; of no columns where all have the molecule's), in the order of their first.
fn by_charges(charges: ArrayView2<'_, f64>) -> Vec<(Vec<f64>, Vec<usize>)> {
    let mut states: Vec<(Vec<f64>, Vec<usize>)> = Vec::new();
    for (event, charges) in charges.rows().into_iter().enumerate() {
        match states.iter_mut().find(|(state, _)| charges == ArrayView1::from(&state[..])) {
            Some((_, events)) => events.push(event),
            None => states.push((charges.to_vec(), vec![event])),
        }
    }
    states
}

/// The law of the momenta with which the ions of a run start; none where they start at rest, or have no law.
pub(super) fn motion(run: &TrainedRun) -> Option<InitialMomentumLaw> {
    let law = run.record.simulation.as_ref()?.initial_momentum_law().ok()??;
    (!law.is_averaged()).then_some(law)
}

/// Momenta (rows x 3N, a.u.) drawn at the positions (rows x 3N, bohr) of draws, as many of each of the events `numbers`.
fn initial_momenta(
    law: &InitialMomentumLaw,
    positions: ArrayView2<'_, f64>,
    seed: u64,
    numbers: &[usize],
) -> Array2<f64> {
    let draws = positions.nrows() / numbers.len().max(1);
    let z = numbers.iter().flat_map(|event| {
        let mut rng = stream(seed, Purpose::InitialMomenta, *event as u64);
        standard_normal(draws, law.dimension(), &mut rng).mapv(f64::from).into_iter()
    });
    let z: Vec<f64> = z.collect();
    let mut momenta = Array2::zeros(positions.dim());
    let rows = momenta.axis_iter_mut(Axis(0)).into_par_iter();
    let rows = rows.zip(positions.axis_iter(Axis(0))).zip(z.par_chunks(law.dimension()));
    rows.for_each(|((mut momenta, x), z)| {
        momenta.assign(&law.factor(&x.to_vec()).dot(&ArrayView1::from(z)));
    });
    momenta
}

fn side_by_side(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    match concatenate(Axis(1), &[left.view(), right.view()]) {
        Ok(both) => both,
        Err(_) => unreachable!("both have one row an event"),
    }
}
