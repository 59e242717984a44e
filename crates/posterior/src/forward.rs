//! The forward model `y = f(u)` with its Jacobian, and its one use here: an explosion seen through a chart.
//!
//! `J_u = J_x B^T` with the exact Jacobian `J_x` of final momenta by positions.

use cei_physics::{
    Accuracy, Dynamics, Exploder, ExplosionError, InitialMomentumLaw, Molecule, Varied,
};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis, s};

use crate::chart::Chart;
use crate::circle::Circle;
use crate::error::PosteriorError;

/// A deterministic model of what is measured. Rows with no result are NaN.
pub trait Forward: Sync {
    /// Number of coordinates, d.
    fn inputs(&self) -> usize;
    /// Number of measured components, m.
    fn outputs(&self) -> usize;
    /// Values (rows, m) at coordinates (rows, d).
    fn values(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64>;
    /// Values (rows, m) and Jacobians (rows, m, d) at coordinates (rows, d).
    fn linearised(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>);
    /// The angles among the coordinates, of which the prior knows one turn.
    fn circles(&self) -> &[Circle] {
        &[]
    }
}

/// Some of the components of a model: those that were measured.
///
/// ```
/// use cei_posterior::{Components, Forward};
/// use ndarray::{Array2, Array3, ArrayView2, array};
///
/// /// `y = (x, 2 x)`.
/// struct Twice;
///
/// impl Forward for Twice {
///     fn inputs(&self) -> usize {
///         1
///     }
///     fn outputs(&self) -> usize {
///         2
///     }
///     fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
///         x.dot(&array![[1.0, 2.0]])
///     }
///     fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
///         let jacobian = |(_, component, _)| [1.0, 2.0][component];
///         (self.values(x), Array3::from_shape_fn((x.nrows(), 2, 1), jacobian))
///     }
/// }
///
/// let second = Components::new(&Twice, vec![1]);
/// assert_eq!(second.values(array![[3.0]].view()), array![[6.0]]);
/// assert_eq!(second.of(&[7.0, 8.0]), [8.0]);
/// ```
pub struct Components<'a> {
    forward: &'a dyn Forward,
    kept: Vec<usize>,
}

impl<'a> Components<'a> {
    /// The components at the places `kept`, each less than the number of components of `forward`.
    pub fn new(forward: &'a dyn Forward, kept: Vec<usize>) -> Self {
        Self { forward, kept }
    }

    /// The same components of a row of all.
    pub fn of(&self, row: &[f64]) -> Vec<f64> {
        self.kept.iter().map(|&place| row[place]).collect()
    }
}

impl Forward for Components<'_> {
    fn inputs(&self) -> usize {
        self.forward.inputs()
    }

    fn outputs(&self) -> usize {
        self.kept.len()
    }

    fn values(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        self.forward.values(coordinates).select(Axis(1), &self.kept)
    }

    fn linearised(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let (values, jacobians) = self.forward.linearised(coordinates);
        (values.select(Axis(1), &self.kept), jacobians.select(Axis(1), &self.kept))
    }

    fn circles(&self) -> &[Circle] {
        self.forward.circles()
    }
}

/// Final momenta (3N, a.u.) of an explosion from rest at the positions of a chart, with the nuisances that a
/// charging or break-up draws as further columns of the chart.
///
/// Ions that move at the start have momenta `F(x) z` with independent normal numbers `z` ([`InitialMomentumLaw`]). These are
/// further coordinates, and further measured components: as if each had been measured as 0 with a noise of 1, which is
/// their prior.
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Charging, Molecule};
/// use cei_posterior::{Chart, Explosion, Forward as _};
/// use ndarray::array;
///
/// // Two ions with their centre of mass at rest at the origin: three coordinates, six momenta.
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
/// let chart = Chart::centred(pair.masses())?;
/// let explosion = Explosion::new(&pair, &Charging::default(), &chart, &Accuracy::default())?;
/// let (momenta, jacobian) = explosion.linearised(array![[1.5, 0.0, 0.0]].view());
/// assert_eq!((momenta.dim(), jacobian.dim()), ((1, 6), (1, 6, 3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Explosion<'a> {
    molecule: &'a Molecule,
    chart: &'a Chart,
    dynamics: Dynamics,
    accuracy: Accuracy,
    /// None for ions at rest.
    motion: Option<&'a InitialMomentumLaw>,
    /// Nuisances that are angles.
    circles: Vec<Circle>,
}

/// The step of finite differences by which initial momenta turn with the molecule, bohr.
const TURN_STEP: f64 = 1e-4;

/// The part of the largest momentum above which noise hides the errors of the fast integration, which are
/// 2e-6 of it at the mean and 5e-5 at worst.
const HIDDEN: f64 = 2e-4;
/// That above which it hides those of a coarser one, 1e-5 at the mean and, of 30,000 events of the presets, 7e-4 at worst.
const WELL_HIDDEN: f64 = 1.2e-3;

impl<'a> Explosion<'a> {
    /// The explosion of `molecule`, whose charges come and whose bonds break as `dynamics` says, a [`cei_physics::Charging`] or
    /// [`Dynamics`], seen through `chart`.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] if the chart is of another number of atoms or nuisances; [`PosteriorError::Explosion`]
    /// for an accuracy out of range and for a charging or break-up that does not fit the molecule.
    pub fn new(
        molecule: &'a Molecule,
        dynamics: impl Into<Dynamics>,
        chart: &'a Chart,
        accuracy: &Accuracy,
    ) -> Result<Self, PosteriorError> {
        let dynamics = dynamics.into();
        let exploder =
            Exploder::new(molecule, &dynamics, accuracy).map_err(ExplosionError::from)?;
        if chart.columns() != exploder.inputs() {
            return Err(PosteriorError::Size {
                what: "columns of the chart",
                found: chart.columns(),
                expected: exploder.inputs(),
            });
        }
        let circles = chart.circles(&dynamics.nuisances());
        Ok(Self { molecule, chart, dynamics, accuracy: accuracy.clone(), motion: None, circles })
    }

    /// The same for ions that move at the start.
    pub fn with_motion(self, law: &'a InitialMomentumLaw) -> Self {
        Self { motion: Some(law), ..self }
    }

    /// Number of coordinates that are momenta at the start, after those of the chart.
    fn kicks(&self) -> usize {
        self.motion.map_or(0, InitialMomentumLaw::dimension)
    }

    /// Rows of the explosion (rows, 3N and nuisances) and of momenta at the start (rows, 3N) at coordinates.
    fn divided(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array2<f64>) {
        let (of_chart, kicks) = coordinates.split_at(Axis(1), self.chart.dimension());
        let rows = self.chart.positions(of_chart);
        let columns = 3 * self.molecule.atom_count();
        let mut initial = Array2::zeros((rows.nrows(), columns));
        if let Some(law) = self.motion {
            let each = initial.rows_mut().into_iter().zip(kicks.rows()).zip(rows.rows());
            for ((mut initial, z), row) in each {
                initial.assign(&law.factor(&row.to_vec()[..columns]).dot(&z));
            }
        }
        (rows, initial)
    }

    /// How the momenta at the start change with the positions (3N, 3N), because they turn with them.
    fn turning(
        &self,
        law: &InitialMomentumLaw,
        row: &[f64],
        z: ArrayView1<'_, f64>,
    ) -> Array2<f64> {
        let columns = 3 * self.molecule.atom_count();
        let mut changes = Array2::zeros((columns, columns));
        for (component, mut change) in changes.columns_mut().into_iter().enumerate() {
            let at = |step: f64| {
                let mut positions = row[..columns].to_vec();
                positions[component] += step;
                law.factor(&positions).dot(&z)
            };
            change.assign(&((at(TURN_STEP) - at(-TURN_STEP)) / (2.0 * TURN_STEP)));
        }
        changes
    }

    fn exploder(&self) -> Result<Exploder<'a>, ExplosionError> {
        Ok(Exploder::new(self.molecule, &self.dynamics, &self.accuracy)?)
    }

    /// `accuracy`, made fast, and coarser still, where noise of at least `least_noise` (a.u.) on momenta of up to
    /// `largest_momentum` (a.u.) hides the difference.
    pub fn accuracy_for(accuracy: &Accuracy, least_noise: f64, largest_momentum: f64) -> Accuracy {
        let hides = |part: f64| least_noise > part * largest_momentum;
        if hides(WELL_HIDDEN) {
            Accuracy { tolerance: 1e-3, tail: 1e-2, ..Accuracy::fast() }
        } else if hides(HIDDEN) {
            Accuracy::fast()
        } else {
            accuracy.clone()
        }
    }
}

impl Forward for Explosion<'_> {
    fn inputs(&self) -> usize {
        self.chart.dimension() + self.kicks()
    }

    fn outputs(&self) -> usize {
        3 * self.molecule.atom_count() + self.kicks()
    }

    fn values(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        let (rows, initial) = self.divided(coordinates);
        let mut values = Array2::from_elem((rows.nrows(), self.outputs()), f64::NAN);
        let momenta = self.exploder().and_then(|exploder| match self.motion {
            None => exploder.explode_all(rows.view()),
            Some(_) => exploder.explode_moving(rows.view(), initial.view()),
        });
        if let Ok(momenta) = momenta {
            values.slice_mut(s![.., ..momenta.ncols()]).assign(&momenta);
            let kicks = coordinates.slice(s![.., self.chart.dimension()..]);
            values.slice_mut(s![.., momenta.ncols()..]).assign(&kicks);
        }
        values
    }

    fn linearised(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let (rows, initial) = self.divided(coordinates);
        let (columns, of_chart) = (initial.ncols(), self.chart.dimension());
        let mut values = Array2::from_elem((rows.nrows(), self.outputs()), f64::NAN);
        let mut jacobians =
            Array3::from_elem((rows.nrows(), self.outputs(), self.inputs()), f64::NAN);
        let turned = self.chart.basis().reversed_axes();
        // The sizes, the accuracy and the dynamics were checked before, and nothing else is an error here.
        let Ok(exploder) = self.exploder() else { return (values, jacobians) };
        let Some(law) = self.motion else {
            if let Ok((momenta, by_input)) = exploder.explode_linearised(rows.view()) {
                values = momenta;
                let each = jacobians.axis_iter_mut(Axis(0)).zip(by_input.axis_iter(Axis(0)));
                each.for_each(|(mut jacobian, by_input)| jacobian.assign(&by_input.dot(&turned)));
            }
            return (values, jacobians);
        };
        let Ok(Varied { momenta, mut by_input, by_kick }) =
            exploder.explode_varied(rows.view(), initial.view())
        else {
            return (values, jacobians);
        };
        for (index, mut jacobian) in jacobians.axis_iter_mut(Axis(0)).enumerate() {
            let row = rows.row(index).to_vec();
            let z = coordinates.slice(s![index, of_chart..]);
            values.slice_mut(s![index, ..columns]).assign(&momenta.row(index));
            values.slice_mut(s![index, columns..]).assign(&z);
            let by_kick = by_kick.index_axis(Axis(0), index);
            let mut by_input = by_input.index_axis_mut(Axis(0), index);
            if law.turns() {
                let turning = self.turning(law, &row, z);
                let change = by_kick.dot(&turning.slice(s![..columns - 3, ..]));
                let mut by_position = by_input.slice_mut(s![.., ..columns]);
                by_position += &change;
            }
            let factor = law.factor(&row[..columns]);
            jacobian.slice_mut(s![..columns, ..of_chart]).assign(&by_input.dot(&turned));
            let of_momenta = by_kick.dot(&factor.slice(s![..columns - 3, ..]));
            jacobian.slice_mut(s![..columns, of_chart..]).assign(&of_momenta);
            jacobian.slice_mut(s![columns.., ..of_chart]).fill(0.0);
            jacobian.slice_mut(s![columns.., of_chart..]).assign(&Array2::eye(z.len()));
        }
        (values, jacobians)
    }

    fn circles(&self) -> &[Circle] {
        &self.circles
    }
}
