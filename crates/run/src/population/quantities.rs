//! The numbers of a geometry in which a population may differ from the training law, and the density of that law in them.
//!
//! ```text
//! p_0(q) = p_0(x) |dx / dq|      over all rotations of x; nuisances are independent of the geometry
//! ```

use cei_data::Alike;
use cei_physics::alike::Relabelling;
use cei_physics::bond_tree::ShapeQuantity;
use cei_physics::{BondTree, Nuisance, PositionDensity};
use ndarray::{ArrayView3, s};

use crate::error::SampleError;
use crate::{RunError, TrainedRun};

/// Geometries by which the bonds are found, and their seed.
const LOOKED_AT: usize = 200;
const SEED: u64 = 0;

/// The numbers of a geometry.
pub(crate) struct Quantities {
    tree: BondTree,
    /// What atoms that are exchanged at will are called: as in the geometries of the law.
    relabelling: Option<Relabelling>,
    density: PositionDensity,
    nuisances: Vec<Nuisance>,
    /// Names, with their units: `C-O_pm`, `O-C-S_deg`, `charging_tau_fs`.
    pub(crate) names: Vec<String>,
    /// Limits of each.
    pub(crate) limits: Vec<Option<[f64; 2]>>,
    /// Which are dihedrals, that begin again after 360 degrees.
    pub(crate) dihedrals: Vec<bool>,
}

impl Quantities {
    /// Those of the molecule of a run.
    ///
    /// # Errors
    /// Momenta without noise; a law without a density, or whose geometries are not turned.
    pub(crate) fn of(run: &TrainedRun, has_noise: bool) -> Result<Self, RunError> {
        let cannot = |why: &str, hint| -> RunError {
            SampleError::NoPopulation { path: run.path.clone(), why: why.to_owned(), hint }.into()
        };
        if !has_noise {
            return Err(cannot(
                "its momenta have no noise, so that each event has its geometry: there is nothing to take out",
                "look at the geometries of `cei predict --refine`; for measured momenta declare `detector.momentum_noise_au`",
            ));
        }
        let (Some(molecule), Some(simulation)) = (run.molecule(), &run.record.simulation) else {
            return Err(cannot(
                "the law behind its table is not known",
                "train on a simulated table with its `.simulation.toml` beside it",
            ));
        };
        let mut density = simulation.position_density()?;
        let geometries = simulation.draw_geometries(LOOKED_AT, SEED).map_err(SampleError::from)?;
        let mut relabelling = None;
        if let Some(Alike { groups, .. }) = run.record.preprocessing.alike() {
            density = density.exchanging(groups, geometries.view());
            relabelling = Relabelling::fit(groups, geometries.view());
        }
        let tree = BondTree::shortest(geometries.view());
        let first = geometries.row(0).to_vec();
        if density.log_density_of_shape(&first).is_none() {
            return Err(cannot(
                "its geometry law says where and how the molecule lies, and no density of its shape alone",
                "simulate with `orientation = \"random\"` and `centre = \"centre-of-mass\"`",
            ));
        }
        let labels = molecule.labels();
        let (mut names, mut limits, mut dihedrals) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, atoms) in tree.quantities() {
            let atoms: Vec<&str> = atoms.iter().map(|atom| labels[*atom].as_str()).collect();
            let unit = if kind == ShapeQuantity::Length { "pm" } else { "deg" };
            names.push(format!("{}_{unit}", atoms.join("-")));
            limits.push((kind == ShapeQuantity::Angle).then_some([0.0, 180.0]));
            dihedrals.push(kind == ShapeQuantity::Dihedral);
        }
        let nuisances = simulation.nuisances();
        for nuisance in &nuisances {
            names.push(nuisance.name.clone());
            limits.push(None);
            dihedrals.push(false);
        }
        Ok(Self { tree, relabelling, density, nuisances, names, limits, dihedrals })
    }

    /// The numbers of a draw (positions in bohr, then nuisances), and the log density of the training law there.
    pub(crate) fn of_draw(&self, draw: &[f64]) -> (Vec<f64>, f64) {
        let mut draw = draw.to_vec();
        if let Some(relabelling) = &self.relabelling {
            relabelling.relabel(&mut draw);
        }
        let (positions, nuisances) = draw.split_at(draw.len() - self.nuisances.len());
        let (mut values, log_volume) = self.tree.values(positions);
        let of_shape = self.density.log_density_of_shape(positions).unwrap_or(f64::NAN);
        let of_nuisances = self.nuisances.iter().zip(nuisances);
        let of_nuisances: f64 = of_nuisances.map(|(law, value)| law.log_density(*value)).sum();
        values.extend_from_slice(nuisances);
        (values, of_shape + log_volume + of_nuisances)
    }

    /// Of each quantity that is a dihedral, the mean direction of all draws (events, draws, m), degrees.
    pub(crate) fn dihedral_means(&self, draws: ArrayView3<'_, f64>) -> Vec<Option<f64>> {
        let of_dihedral = |place: usize| {
            let own = draws.slice(s![.., .., place]);
            let sine: f64 = own.iter().map(|phi| phi.to_radians().sin()).sum();
            let cosine: f64 = own.iter().map(|phi| phi.to_radians().cos()).sum();
            sine.atan2(cosine).to_degrees()
        };
        let places = self.dihedrals.iter().enumerate();
        places.map(|(place, is)| is.then(|| of_dihedral(place))).collect()
    }

    /// Cuts the dihedrals of a row, which begin again after 360 degrees, opposite to these means.
    pub(crate) fn unwrap(&self, row: &mut [f64], means: &[Option<f64>]) {
        for (phi, mean) in row.iter_mut().zip(means) {
            if let Some(mean) = mean {
                *phi = mean + (*phi - mean + 180.0).rem_euclid(360.0) - 180.0;
            }
        }
    }
}
