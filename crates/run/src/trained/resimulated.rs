//! Momenta of drawn geometries: exploded again, and turned so that momenta of any orientation compare.

use cei_model::random::{Purpose, standard_normal, stream};
use cei_physics::{Accuracy, Dynamics, Exploder, FrameRule, InitialMomentumLaw, Molecule};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::{RunError, TrainedRun};

/// The forward model of a run.
pub(crate) struct Resimulator {
    molecule: Molecule,
    dynamics: Dynamics,
    frame: FrameRule,
    /// None for ions at rest, and where the law of their momenta is not known.
    motion: Option<InitialMomentumLaw>,
    seed: u64,
}

impl Resimulator {
    /// `seed` is that of the momenta with which ions start that move.
    pub(crate) fn new(run: &TrainedRun, molecule: &Molecule, seed: u64) -> Self {
        let atoms = molecule.atom_count();
        Self {
            molecule: molecule.clone(),
            dynamics: run.dynamics(),
            frame: FrameRule { x_axis: atoms - 1, xy_plane: atoms - 2 },
            motion: initial_momentum_law(run),
            seed,
        }
    }

    /// Momenta (rows x 3N, a.u.) of inferred rows, positions (bohr) and nuisances, in the frame of the last two atoms,
    /// with NaN where an explosion fails; none for rows that are not what the simulation begins with. Each event has equally
    /// many rows, one behind another. `charges` are those of the ions of each event, empty for the molecule's; ions that move
    /// start with random momenta, which follow from the seed and the number of their event.
    ///
    /// # Errors
    /// A charging or break-up that does not fit the molecule.
    pub(crate) fn momenta(
        &self,
        inferred: ArrayView2<'_, f64>,
        charges: &[Vec<f64>],
        numbers: &[u64],
    ) -> Result<Option<Array2<f64>>, RunError> {
        let columns = 3 * self.molecule.atom_count();
        let draws = inferred.nrows() / charges.len().max(1);
        let mut momenta = Array2::zeros((inferred.nrows(), columns));
        for (charges, events) in by_charges(charges) {
            let molecule = match charges {
                [] => self.molecule.clone(),
                charges => self.molecule.with_charges(charges),
            };
            let exploder = Exploder::new(&molecule, &self.dynamics, &Accuracy::default())?;
            if inferred.ncols() != exploder.inputs() {
                return Ok(None);
            }
            let of_events = events.iter().flat_map(|event| event * draws..(event + 1) * draws);
            let rows: Vec<usize> = of_events.collect();
            let inferred = inferred.select(Axis(0), &rows);
            let exploded = match &self.motion {
                None => exploder.explode_all(inferred.view())?,
                Some(law) => {
                    let numbers: Vec<u64> = events.iter().map(|event| numbers[*event]).collect();
                    let positions = inferred.slice(s![.., ..columns]);
                    let initial = initial_momenta(law, positions, self.seed, &numbers);
                    exploder.explode_moving(inferred.view(), initial.view())?
                }
            };
            for (row, exploded) in rows.into_iter().zip(exploded.rows()) {
                momenta.row_mut(row).assign(&exploded);
            }
        }
        Ok(Some(self.in_one_frame(momenta)))
    }

    /// Whether ions that move at the start do so here; they have no law where it depends on more than the positions.
    pub(crate) fn draws_initial_momenta(&self) -> bool {
        self.motion.is_some()
    }

    /// Rotates every row of momenta into the frame of its last two atoms.
    pub(crate) fn in_one_frame(&self, mut momenta: Array2<f64>) -> Array2<f64> {
        for mut row in momenta.rows_mut() {
            if let Some(row) = row.as_slice_mut() {
                self.frame.rotation(row).apply(row);
            }
        }
        momenta
    }
}

/// The law of the momenta with which the ions of a run start; none where they start at rest, or have no law.
pub(crate) fn initial_momentum_law(run: &TrainedRun) -> Option<InitialMomentumLaw> {
    let law = run.record.simulation.as_ref()?.initial_momentum_law().ok()??;
    (!law.is_averaged()).then_some(law)
}

/// The events of each charge state, in the order of their first.
fn by_charges(charges: &[Vec<f64>]) -> Vec<(&[f64], Vec<usize>)> {
    let mut states: Vec<(&[f64], Vec<usize>)> = Vec::new();
    for (event, charges) in charges.iter().enumerate() {
        match states.iter_mut().find(|(state, _)| charges == state) {
            Some((_, events)) => events.push(event),
            None => states.push((charges, vec![event])),
        }
    }
    states
}

/// Momenta (rows x 3N, a.u.) drawn at the positions (rows x 3N, bohr) of draws, as many of each of the events `numbers`.
fn initial_momenta(
    law: &InitialMomentumLaw,
    positions: ArrayView2<'_, f64>,
    seed: u64,
    numbers: &[u64],
) -> Array2<f64> {
    let draws = positions.nrows() / numbers.len().max(1);
    let z = numbers.iter().flat_map(|event| {
        let mut rng = stream(seed, Purpose::InitialMomenta, *event);
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
