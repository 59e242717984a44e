//! Column scalers: `scaled = (raw - offset) / scale`, fitted once and never changed.

use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ScratchError;
use crate::passes::Passes;

/// A range of quartiles below this part of the standard deviation is round-off.
const ROUND_OFF: f64 = 1e-9;

/// What offset and scale of a column are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScalerKind {
    /// Mean and standard deviation.
    #[default]
    Standardise,
    /// Least value and range, onto [0, 1].
    MinMax,
    /// Median and interquartile range; where most values are one but for round-off, the standard deviation.
    Robust,
    /// 0 and 1.
    None,
}

/// Offsets and scales of the columns of one matrix; every scale is positive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    kind: ScalerKind,
    offsets: Vec<f64>,
    scales: Vec<f64>,
}

impl Scaler {
    /// Fits one offset and one scale a column of `values` (`rows x columns`). A column without any
    /// spread by the chosen measure keeps the scale 1.
    #[must_use]
    pub fn fit(kind: ScalerKind, values: ArrayView2<'_, f64>) -> Self {
        let columns = values.columns().into_iter();
        Self::new(kind, columns.map(|column| offset_and_scale(kind, &column)).collect())
    }

    /// The same for rows of `width` columns that are gone through, whose moments may be known; by [`ScalerKind::Robust`] one
    /// column at a time is in memory.
    pub(crate) fn fit_passes(
        kind: ScalerKind,
        rows: &Passes<'_>,
        width: usize,
        moments: Option<Vec<(f64, f64)>>,
    ) -> Result<Self, ScratchError> {
        if let Passes::Kept(values) = rows {
            return Ok(Self::fit(kind, values.view()));
        }
        let mut columns = vec![(0.0, 1.0); width];
        match kind {
            ScalerKind::Standardise => {
                columns = match moments {
                    Some(moments) => moments,
                    None => RunningMoments::of(rows)?.finish().0,
                };
            }
            ScalerKind::MinMax => {
                let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); width];
                rows.each(&mut |values| {
                    for (column, (least, most)) in values.columns().into_iter().zip(&mut ends) {
                        *least = column.iter().copied().fold(*least, f64::min);
                        *most = column.iter().copied().fold(*most, f64::max);
                    }
                })?;
                columns = ends.into_iter().map(|(least, most)| (least, most - least)).collect();
            }
            ScalerKind::Robust => {
                for (index, column) in columns.iter_mut().enumerate() {
                    let mut all = Vec::new();
                    rows.each(&mut |values| all.extend(values.column(index)))?;
                    *column = offset_and_scale(kind, &ArrayView1::from(&all));
                }
            }
            ScalerKind::None => {}
        }
        Ok(Self::new(kind, columns))
    }

    fn new(kind: ScalerKind, columns: Vec<(f64, f64)>) -> Self {
        let scale = |scale: f64| if scale.is_normal() { scale } else { 1.0 };
        let (offsets, scales) =
            columns.into_iter().map(|(offset, its)| (offset, scale(its))).unzip();
        Self { kind, offsets, scales }
    }

    /// The same, but with scale 1 and the constant as offset for these columns, which do not vary.
    pub(crate) fn with_unit_scales(mut self, dead: impl Iterator<Item = (usize, f64)>) -> Self {
        for (column, constant) in dead {
            self.offsets[column] = constant;
            self.scales[column] = 1.0;
        }
        self
    }

    /// The measure it was fitted with.
    #[must_use]
    pub fn kind(&self) -> ScalerKind {
        self.kind
    }

    /// Offsets, in the raw unit.
    #[must_use]
    pub fn offsets(&self) -> &[f64] {
        &self.offsets
    }

    /// Scales, in the raw unit.
    #[must_use]
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// The scaled value of column `column`.
    #[must_use]
    pub fn transform(&self, column: usize, raw: f64) -> f64 {
        (raw - self.offsets[column]) / self.scales[column]
    }

    /// The raw value of column `column`.
    #[must_use]
    pub fn inverse(&self, column: usize, scaled: f64) -> f64 {
        scaled * self.scales[column] + self.offsets[column]
    }

    /// `ln |det d raw / d scaled|` = sum of `ln scale`: add it to a negative log-likelihood in
    /// scaled units to have it in raw units.
    #[must_use]
    pub fn log_abs_det(&self) -> f64 {
        self.scales.iter().map(|scale| scale.ln()).sum()
    }
}

fn offset_and_scale(kind: ScalerKind, column: &ArrayView1<'_, f64>) -> (f64, f64) {
    match kind {
        ScalerKind::Standardise => mean_and_sd(column),
        ScalerKind::MinMax => {
            let least = column.iter().copied().fold(f64::INFINITY, f64::min);
            let most = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (least, most - least)
        }
        ScalerKind::Robust => {
            let mut sorted: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let [low, median, high] = [0.25, 0.5, 0.75].map(|level| quantile(&sorted, level));
            let (range, (_, sd)) = (high - low, mean_and_sd(column));
            (median, if range < ROUND_OFF * sd { sd } else { range })
        }
        ScalerKind::None => (0.0, 1.0),
    }
}

/// Mean and population standard deviation, taken about the first value so that a constant column
/// has exactly zero; what is missing, NaN, is left out.
pub(crate) fn mean_and_sd(column: &ArrayView1<'_, f64>) -> (f64, f64) {
    let moments = Moments::of(column);
    (moments.mean, moments.variance.sqrt())
}

/// Number, mean and population variance of the values of a column that are not missing, and the largest magnitude.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
    largest: f64,
}

impl Moments {
    fn of(column: &ArrayView1<'_, f64>) -> Self {
        let values = || column.iter().filter(|value| !value.is_nan());
        let Some(&first) = values().next() else {
            return Self::default();
        };
        let count = values().count() as f64;
        let shift = values().map(|value| value - first).sum::<f64>() / count;
        let variance = values().map(|value| (value - first - shift).powi(2)).sum::<f64>() / count;
        let largest = values().fold(0.0, |most: f64, value| most.max(value.abs()));
        Self { count, mean: first + shift, variance, largest }
    }

    /// Those of both columns one after another (Chan et al. 1979).
    fn with(self, other: Self) -> Self {
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let count = self.count + other.count;
        let (part, apart) = (other.count / count, other.mean - self.mean);
        let within = self.variance + (other.variance - self.variance) * part;
        Self {
            count,
            mean: self.mean + apart * part,
            variance: within + apart * apart * part * (1.0 - part),
            largest: self.largest.max(other.largest),
        }
    }
}

/// The moments of columns whose rows come in blocks. Of one block they are, to the bit, those of its columns.
#[derive(Default)]
pub(crate) struct RunningMoments(Vec<Moments>);

impl RunningMoments {
    /// Those of rows that are gone through.
    pub(crate) fn of(rows: &Passes<'_>) -> Result<Self, ScratchError> {
        let mut running = Self::default();
        rows.each(&mut |values| running.add(values))?;
        Ok(running)
    }

    /// Takes a block.
    pub(crate) fn add(&mut self, values: ArrayView2<'_, f64>) {
        self.0.resize(values.ncols(), Moments::default());
        let columns = values.axis_iter(Axis(1)).into_par_iter();
        self.0.par_iter_mut().zip(columns).for_each(|(moments, column)| {
            *moments = moments.with(Moments::of(&column));
        });
    }

    /// Mean and standard deviation of each column, and its largest magnitude.
    pub(crate) fn finish(self) -> (Vec<(f64, f64)>, Vec<f64>) {
        let each = self.0.iter();
        each.map(|column| ((column.mean, column.variance.sqrt()), column.largest)).unzip()
    }
}

/// Quantile of sorted values, linear between neighbours; 0 for no values.
pub(crate) fn quantile(sorted: &[f64], level: f64) -> f64 {
    if sorted.is_empty() {
        return 0.0;
    }
    let place = level * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}
