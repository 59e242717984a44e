//! From raw tables to what a network sees and back: gauge, bounds, dead columns, linear constraints, scaling.
//! Fitted on the training part alone; travels with the model.
//!
//! Notation: `x` a gauged row of all position columns, opened where they have bounds, `a` its columns that vary, `m` their mean,
//! `B` an orthonormal basis (`a columns x d_eff`) of the directions in which `a` varies. The network
//! sees `scaler(B^T (a - m))`, or `scaler(a)` where nothing is constrained.
//!
//! Where ions may be missing, the network's condition has in the place of a momentum that is a share of what the others lack to
//! a sum of zero, and one number an ion behind them all: 1 where it is missing, 0 where it was detected.

mod bounds;
mod chunks;
mod config;
mod directions;
mod error;
mod side;

use cei_physics::Molecule;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, s};
use serde::{Deserialize, Serialize};

use self::bounds::ColumnBounds;
use self::chunks::in_chunks;
pub(crate) use self::chunks::in_place;
pub use self::config::{Degenerate, PreprocessingConfig};
use self::directions::{Noise, Subspace};
pub use self::error::PreprocessingError;
pub use self::side::DeadColumn;
use self::side::{OFF_CONSTANT, Side};
use crate::alike::Alike;
use crate::error::ScratchError;
use crate::gauge::Gauge;
use crate::missing::{fill_in, indicators};
use crate::parts::{Part, TrainingPart};
use crate::passes::Passes;
use crate::scaler::{RunningMoments, Scaler};
use crate::split::TrainSplit;
use crate::subspace;
use crate::table_rows::{TableRows, put};

/// Singular values below this part of the largest are constraints (`docs/spec.md#degenerate-directions`).
const RANK_TOLERANCE: f64 = 1e-6;
/// How far apart events are, for each ion that was detected in one of them alone: beyond all scaled momenta.
const APART: f64 = 1e3;

/// Rows of another table that do not obey what was constant in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OffRows {
    /// Rows with a dead position column off its constant.
    pub dead_x: usize,
    /// Rows with a dead momentum column off its constant.
    pub dead_y: usize,
    /// Rows that violate a linear constraint of the positions.
    pub constraints: usize,
}

/// Everything between raw tables and the network, fitted on the training part alone (`docs/spec.md#preprocessing`).
///
/// Raw tables are `rows x columns`, f64, internal units; network tables are f32 and scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    config: PreprocessingConfig,
    gauge: Gauge,
    #[serde(default, skip_serializing_if = "ColumnBounds::is_empty")]
    bounds: ColumnBounds,
    x: Side,
    y: Side,
    #[serde(default, skip_serializing_if = "is_zero")]
    nuisances: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    charges: usize,
    /// Ions that have an indicator; none where none may be missing.
    #[serde(default, skip_serializing_if = "is_zero")]
    indicated: usize,
    /// Ions alike, where they are called by their momenta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alike: Option<Alike>,
    x_rank: usize,
    y_rank: usize,
    subspace: Option<Subspace>,
    noise: Option<Noise>,
    x_scaler: Scaler,
    y_scaler: Scaler,
}

impl Preprocessing {
    /// Fits every step on the rows of `train`; no other row of `table` is looked at. One side of them is in memory at a time.
    ///
    /// # Errors
    /// A gauge that does not fit the molecule or the columns, a side without variation, an invalid
    /// noise, bounds that a training row breaks or that go with constrained positions, rows that cannot be read again.
    pub fn fit(
        config: &PreprocessingConfig,
        molecule: Option<&Molecule>,
        rows: &dyn TableRows,
        train: &TrainSplit,
    ) -> Result<Self, PreprocessingError> {
        Self::fit_part(config, molecule, TrainingPart::of(rows, train))
    }

    /// The same on a part of a table, of which no more than blocks are in memory where its rows are not listed.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_part(
        config: &PreprocessingConfig,
        molecule: Option<&Molecule>,
        training: TrainingPart<'_>,
    ) -> Result<Self, PreprocessingError> {
        let part = training.part();
        let table = part.head();
        if table.x.ncols() == 0 {
            return Err(PreprocessingError::NoPositions);
        }
        let with_noise = config.degenerate == Degenerate::Noise;
        if with_noise && !(config.noise_sd > 0.0 && config.noise_sd.is_finite()) {
            return Err(PreprocessingError::NoiseSd { value: config.noise_sd });
        }
        let positions = table.x.ncols() - table.nuisances;
        let momenta = table.y.ncols() - table.charges;
        let gauge = Gauge::new(&config.gauge, molecule, positions, momenta)?;
        let [x_components, y_components] = table.components(molecule);
        let (y_side, y_rank, y_scaler) = {
            let y = Passes::of(part, table.y.ncols(), |_, y| gauge.momenta(y))?;
            let (side, means, sds) =
                Side::fit("y", &table.y_names, &y, part.count(), y_components)?;
            let alive = side.only_alive(y);
            let rank = subspace::rank(&alive, &means, &sds, RANK_TOLERANCE)?;
            let moments = Some(means.into_iter().zip(sds).collect());
            let scaler = Scaler::fit_passes(config.y_scaler, &alive, side.alive.len(), moments)?;
            (side, rank, scaler)
        };
        let columns = table.x.ncols();
        let bounds = ColumnBounds::new(&config.bounds, &table.x_names)?;
        bounds.check(&gauge, part)?;
        let (x_side, x_rank, subspace, noise, x_scaler) = {
            let x = opened_positions(&gauge, &bounds, part)?;
            let (side, means, sds) =
                Side::fit("x", &table.x_names, &x, part.count(), x_components)?;
            let of_all = with_noise
                .then(|| Scaler::fit_passes(config.x_scaler, &x, columns, None))
                .transpose()?;
            let alive = side.only_alive(x);
            let found = subspace::directions(&alive, &means, &sds, RANK_TOLERANCE)?;
            let rank = found.alive.ncols();
            if !bounds.is_empty() && rank < columns {
                return Err(PreprocessingError::BoundedSubspace { columns, rank });
            }
            let (subspace, noise, scaler) = if let Some(scaler) = of_all {
                let dead = side.dead.iter().map(|dead| (dead.index, dead.constant));
                let scaler = scaler.with_unit_scales(dead);
                let noise = Noise::new(config.noise_sd, &side, &found, &means, &scaler);
                (None, Some(noise), scaler)
            } else if rank < side.alive.len() {
                let subspace = Subspace::new(means, &found);
                let coordinates = subspace.coordinates(alive);
                let scaler = Scaler::fit_passes(config.x_scaler, &coordinates, rank, None)?;
                (Some(subspace), None, scaler)
            } else {
                let moments = Some(means.into_iter().zip(sds).collect());
                (None, None, Scaler::fit_passes(config.x_scaler, &alive, rank, moments)?)
            };
            (side, rank, subspace, noise, scaler)
        };
        Ok(Self {
            config: config.clone(),
            gauge,
            bounds,
            x: x_side,
            y: y_side,
            nuisances: table.nuisances,
            charges: table.charges,
            indicated: table.may_miss.len(),
            alike: table.alike.clone(),
            x_rank,
            y_rank,
            subspace,
            noise,
            x_scaler,
            y_scaler,
        })
    }

    /// What it was fitted with.
    #[must_use]
    pub fn config(&self) -> &PreprocessingConfig {
        &self.config
    }

    /// The resolved gauge.
    #[must_use]
    pub fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Names of all columns that are inferred: positions, then nuisances.
    #[must_use]
    pub fn x_names(&self) -> &[String] {
        &self.x.names
    }

    /// How many of them are positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.x.names.len() - self.nuisances
    }

    /// Names of all columns of the condition: momenta, then charges.
    #[must_use]
    pub fn y_names(&self) -> &[String] {
        &self.y.names
    }

    /// How many of them are momenta.
    #[must_use]
    pub fn momenta(&self) -> usize {
        self.y.names.len() - self.charges
    }

    /// The momenta of rows of the condition (rows x y columns).
    #[must_use]
    pub fn momenta_of<'a>(&self, y: ArrayView2<'a, f64>) -> ArrayView2<'a, f64> {
        y.slice_move(s![.., ..self.momenta()])
    }

    /// Whether charges of the ions stand behind the momenta.
    #[must_use]
    pub fn has_charges(&self) -> bool {
        self.charges > 0
    }

    /// Whether ions may be missing, their momenta NaN.
    #[must_use]
    pub fn may_miss_ions(&self) -> bool {
        self.indicated > 0
    }

    /// Which ions are alike and called by their momenta, none where they are told apart.
    #[must_use]
    pub fn alike(&self) -> Option<&Alike> {
        self.alike.as_ref()
    }

    /// Indices of the position columns that vary.
    #[must_use]
    pub fn alive_x(&self) -> &[usize] {
        &self.x.alive
    }

    /// Position columns that do not vary.
    #[must_use]
    pub fn dead_x(&self) -> &[DeadColumn] {
        &self.x.dead
    }

    /// Momentum columns that do not vary.
    #[must_use]
    pub fn dead_y(&self) -> &[DeadColumn] {
        &self.y.dead
    }

    /// The number of independent directions in which positions vary. With `project` it is also
    /// [`Self::x_dim`]; with `noise` the density has `x_dim` dimensions.
    #[must_use]
    pub fn d_eff(&self) -> usize {
        self.x_rank
    }

    /// The number of independent directions in which momenta vary; only reported.
    #[must_use]
    pub fn y_rank(&self) -> usize {
        self.y_rank
    }

    /// Width of what the network infers.
    #[must_use]
    pub fn x_dim(&self) -> usize {
        self.x_scaler.scales().len()
    }

    /// Width of what the network is conditioned on.
    #[must_use]
    pub fn y_dim(&self) -> usize {
        self.y.alive.len() + self.indicated
    }

    /// `nll_raw = nll_network + log_abs_det_scale()`, in nats: the density in orthonormal raw
    /// coordinates (bohr) of the fitted subspace, with `x_dim` dimensions. With bounds it is only the
    /// part that is the same for all rows: see [`Self::log_abs_det`].
    #[must_use]
    pub fn log_abs_det_scale(&self) -> f64 {
        self.x_scaler.log_abs_det()
    }

    /// The orthonormal raw coordinates `u` of the fitted subspace, `x = origin + basis^T u` for a row `x`
    /// of all position columns in the gauge: the origin, and `x_dim x columns` orthonormal rows (bohr).
    /// None with `noise`, where `x` has directions that no data obey, and with bounds, where the
    /// network's coordinates are curved.
    #[must_use]
    pub fn chart(&self) -> Option<(Vec<f64>, Array2<f64>)> {
        if self.noise.is_some() || !self.bounds.is_empty() {
            return None;
        }
        let mut origin = vec![0.0; self.x.names.len()];
        for dead in &self.x.dead {
            origin[dead.index] = dead.constant;
        }
        let mut basis = Array2::zeros((self.x_dim(), self.x.names.len()));
        for (place, &index) in self.x.alive.iter().enumerate() {
            match &self.subspace {
                None => basis[[place, index]] = 1.0,
                Some(subspace) => {
                    origin[index] = subspace.mean[place];
                    for (row, value) in subspace.basis[place].iter().enumerate() {
                        basis[[row, index]] = *value;
                    }
                }
            }
        }
        Some((origin, basis))
    }

    /// `ln |det d raw / d scaled|` at every row of raw tables, bounds included: `nll_raw = nll_network +
    /// log_abs_det`. It is infinite at a row outside of the bounds, whose density is zero.
    #[must_use]
    pub fn log_abs_det(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Vec<f64> {
        let scale = self.log_abs_det_scale();
        if self.bounds.is_empty() {
            return vec![scale; x.nrows()];
        }
        let gauged = self.gauge.positions(row_major(x), y);
        let row = |row: ArrayView1<'_, f64>| scale + self.bounds.log_abs_det(|column| row[column]);
        gauged.rows().into_iter().map(row).collect()
    }

    /// The numbers of directions in which these rows of positions and of momenta vary by more than these parts of the
    /// largest variation of a standardised direction; as fitted where a part is zero.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn ranks_within(
        &self,
        part: Part<'_>,
        tolerances: [f64; 2],
    ) -> Result<[usize; 2], ScratchError> {
        let rank = |side: &Side, rows: Passes<'_>, tolerance: f64| {
            let alive = side.only_alive(rows);
            let (means, sds): (Vec<f64>, Vec<f64>) =
                RunningMoments::of(&alive)?.finish().0.into_iter().unzip();
            subspace::rank(&alive, &means, &sds, tolerance)
        };
        let mut ranks = [self.x_rank, self.y_rank];
        if tolerances[0] > RANK_TOLERANCE {
            let x = opened_positions(&self.gauge, &self.bounds, part)?;
            ranks[0] = rank(&self.x, x, tolerances[0])?;
        }
        if tolerances[1] > RANK_TOLERANCE {
            let y = Passes::of(part, self.y.names.len(), |_, y| self.gauge.momenta(y))?;
            ranks[1] = rank(&self.y, y, tolerances[1])?;
        }
        Ok(ranks)
    }

    /// Whether all these rows of a raw table lie within `preprocessing.bounds`.
    ///
    /// # Errors
    /// The first value outside; rows that cannot be read again.
    pub fn check_bounds(&self, part: Part<'_>) -> Result<(), PreprocessingError> {
        self.bounds.check(&self.gauge, part)
    }

    /// The frame of decoded positions in words.
    #[must_use]
    pub fn frame_description(&self) -> String {
        let mut frame = match self.may_miss_ions() {
            true => self.gauge.describe_where_ions_are_missing(),
            false => self.gauge.describe_positions(),
        };
        if let Some(alike) = &self.alike {
            frame.push_str(&format!("; {}", alike.describe(self.gauge.labels())));
        }
        frame
    }

    /// Directions that need noise in training, as orthonormal rows (`k x x_dim`) in scaled
    /// coordinates, and the noise's sd; none with `project` or where nothing is degenerate.
    #[must_use]
    pub fn noise_directions(&self) -> Option<(Array2<f32>, f32)> {
        let noise = self.noise.as_ref().filter(|noise| !noise.directions.is_empty())?;
        let shape = (noise.directions.len(), self.x_dim());
        let directions =
            Array2::from_shape_fn(shape, |(row, column)| noise.directions[row][column] as f32);
        Some((directions, noise.sd as f32))
    }

    /// Both raw tables in the gauge, still in raw units: what decoded draws are compared with.
    #[must_use]
    pub fn gauged(
        &self,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
    ) -> (Array2<f64>, Array2<f64>) {
        (self.gauge.positions(row_major(x), y), self.gauge.momenta(row_major(y)))
    }

    /// Raw positions (`rows x x columns`) to the network's (`rows x x_dim`). The raw momenta of the
    /// same rows are only read where they fix the frame.
    #[must_use]
    pub fn encode_x(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Array2<f32> {
        in_chunks(x, self.x_dim(), |start, rows, mut out| {
            let y = y.slice(s![start..start + rows.nrows(), ..]);
            let mut gauged = self.gauge.positions(row_major(rows), y);
            self.bounds.open(gauged.view_mut());
            for (row, out) in gauged.rows().into_iter().zip(out.rows_mut()) {
                self.encode_row(&row, out);
            }
        })
    }

    /// Raw positions that are in the gauge already, for example decoded ones, to the network's.
    #[must_use]
    pub fn encode_gauged_x(&self, x: ArrayView2<'_, f64>) -> Array2<f32> {
        in_chunks(x, self.x_dim(), |_, rows, mut out| {
            let mut rows = row_major(rows);
            self.bounds.open(rows.view_mut());
            for (row, out) in rows.rows().into_iter().zip(out.rows_mut()) {
                self.encode_row(&row, out);
            }
        })
    }

    /// Raw momenta (`rows x y columns`) to the network's (`rows x y_dim`).
    #[must_use]
    pub fn encode_y(&self, y: ArrayView2<'_, f64>) -> Array2<f32> {
        in_chunks(y, self.y_dim(), |_, rows, mut out| {
            let mut gauged = self.gauge.momenta(row_major(rows));
            if self.may_miss_ions() {
                let mut momenta = gauged.slice_mut(s![.., ..self.momenta()]);
                let missing = indicators(momenta.view());
                out.slice_mut(s![.., self.y.alive.len()..]).assign(&missing.mapv(|m| m as f32));
                fill_in(&mut momenta);
            }
            for (row, mut out) in gauged.rows().into_iter().zip(out.rows_mut()) {
                for (column, &index) in self.y.alive.iter().enumerate() {
                    out[column] = self.y_scaler.transform(column, row[index]) as f32;
                }
            }
        })
    }

    /// Coordinates (`rows x y_dim`) of raw momenta by whose distance events are compared: those of the network, but events
    /// of which other ions were detected are far from one another.
    #[must_use]
    pub fn neighbour_y(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        self.set_apart(self.encode_y(y).mapv(f64::from))
    }

    /// The same from the network's momenta.
    #[must_use]
    pub fn set_apart(&self, mut scaled: Array2<f64>) -> Array2<f64> {
        scaled.slice_mut(s![.., self.y.alive.len()..]).mapv_inplace(|missing| APART * missing);
        scaled
    }

    /// The network's momenta (`rows x y_dim`) to raw momenta (`rows x all y columns`) in the gauge.
    #[must_use]
    pub fn decode_y(&self, scaled: ArrayView2<'_, f32>) -> Array2<f64> {
        in_chunks(scaled, self.y.names.len(), |_, rows, mut out| {
            for (row, mut out) in rows.rows().into_iter().zip(out.rows_mut()) {
                for (column, &index) in self.y.alive.iter().enumerate() {
                    out[index] = self.y_scaler.inverse(column, f64::from(row[column]));
                }
                for dead in &self.y.dead {
                    out[dead.index] = dead.constant;
                }
                for (ion, missing) in row.slice(s![self.y.alive.len()..]).iter().enumerate() {
                    if *missing > 0.5 {
                        out.slice_mut(s![3 * ion..3 * ion + 3]).fill(f64::NAN);
                    }
                }
            }
        })
    }

    /// The network's `(x, y)` of one part of a table, made a bounded number of rows at a time.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn encode_part(&self, part: Part<'_>) -> Result<(Array2<f32>, Array2<f32>), ScratchError> {
        let rows = part.count();
        let mut encoded =
            (Array2::zeros((rows, self.x_dim())), Array2::zeros((rows, self.y_dim())));
        part.each(&mut |places, x, y| {
            put(&mut encoded.0, places, &self.encode_x(x.view(), y.view()));
            put(&mut encoded.1, places, &self.encode_y(y.view()));
        })?;
        Ok(encoded)
    }

    /// The network's positions (`rows x x_dim`) to raw positions (`rows x all x columns`) in the
    /// gauge, internal units. Inverts [`Self::encode_x`] up to f32 on rows that obey the constraints;
    /// any row is put onto them.
    #[must_use]
    pub fn decode_x(&self, scaled: ArrayView2<'_, f32>) -> Array2<f64> {
        in_chunks(scaled, self.x.names.len(), |_, rows, mut out| {
            for (row, out) in rows.rows().into_iter().zip(out.rows_mut()) {
                self.decode_row(&row, out);
            }
        })
    }

    /// How many rows of another raw table do not obey what was constant in training.
    #[must_use]
    pub fn off_constant_rows(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> OffRows {
        let (mut gauged_x, gauged_y) = self.gauged(x, y);
        self.bounds.open(gauged_x.view_mut());
        let tolerance = OFF_CONSTANT * self.x.largest_sd;
        let constraints = self.subspace.as_ref().map_or(0, |subspace| {
            let violated = |row: &ArrayView1<'_, f64>| {
                subspace.null.iter().any(|null| {
                    let terms = null.iter().zip(&self.x.alive).zip(&subspace.mean);
                    let off: f64 = terms.map(|((n, &index), mean)| n * (row[index] - mean)).sum();
                    off.abs() > tolerance
                })
            };
            gauged_x.rows().into_iter().filter(violated).count()
        });
        OffRows {
            dead_x: self.x.off_constant(gauged_x.view()),
            dead_y: self.y.off_constant(gauged_y.view()),
            constraints,
        }
    }

    /// How many rows of raw momenta have a dead column off its constant; needs no positions.
    #[must_use]
    pub fn off_constant_momenta(&self, y: ArrayView2<'_, f64>) -> usize {
        self.y.off_constant(self.gauge.momenta(row_major(y)).view())
    }

    fn encode_row(&self, x: &ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f32>) {
        if let Some(subspace) = &self.subspace {
            for (column, value) in out.iter_mut().enumerate() {
                let terms = self.x.alive.iter().zip(&subspace.mean).zip(&subspace.basis);
                let u: f64 =
                    terms.map(|((&index, mean), basis)| (x[index] - mean) * basis[column]).sum();
                *value = self.x_scaler.transform(column, u) as f32;
            }
        } else if self.noise.is_some() {
            for (column, value) in out.iter_mut().enumerate() {
                *value = self.x_scaler.transform(column, x[column]) as f32;
            }
        } else {
            for (column, (value, &index)) in out.iter_mut().zip(&self.x.alive).enumerate() {
                *value = self.x_scaler.transform(column, x[index]) as f32;
            }
        }
    }

    fn decode_row(&self, scaled: &ArrayView1<'_, f32>, mut out: ArrayViewMut1<'_, f64>) {
        let mut scaled: Vec<f64> = scaled.iter().map(|&value| f64::from(value)).collect();
        if let Some(noise) = &self.noise {
            noise.remove(&mut scaled);
        }
        let raw = (0..scaled.len()).map(|column| self.x_scaler.inverse(column, scaled[column]));
        if let Some(subspace) = &self.subspace {
            let u: Vec<f64> = raw.collect();
            for ((&index, mean), basis) in
                self.x.alive.iter().zip(&subspace.mean).zip(&subspace.basis)
            {
                out[index] = mean + basis.iter().zip(&u).map(|(b, u)| b * u).sum::<f64>();
            }
        } else if self.noise.is_some() {
            out.iter_mut().zip(raw).for_each(|(out, raw)| *out = raw);
        } else {
            self.x.alive.iter().zip(raw).for_each(|(&index, raw)| out[index] = raw);
        }
        for dead in &self.x.dead {
            out[dead.index] = dead.constant;
        }
        self.bounds.close(&mut out);
    }
}

/// The positions of a part in the gauge, opened where they have bounds.
fn opened_positions<'a>(
    gauge: &'a Gauge,
    bounds: &'a ColumnBounds,
    part: Part<'a>,
) -> Result<Passes<'a>, ScratchError> {
    Passes::of(part, part.head().x.ncols(), |x, y| {
        let mut x = gauge.positions(x, y.view());
        bounds.open(x.view_mut());
        x
    })
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A copy whose rows are contiguous.
fn row_major(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    rows.as_standard_layout().into_owned()
}
