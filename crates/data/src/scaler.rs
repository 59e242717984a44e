//! Column scalers: `scaled = (raw - offset) / scale`, fitted once and never changed.

use ndarray::{ArrayView1, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        let (offsets, scales) = values
            .columns()
            .into_iter()
            .map(|column| {
                let (offset, scale) = offset_and_scale(kind, &column);
                (offset, if scale.is_normal() { scale } else { 1.0 })
            })
            .unzip();
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
    let values = || column.iter().filter(|value| !value.is_nan());
    let Some(&first) = values().next() else {
        return (0.0, 0.0);
    };
    let count = values().count() as f64;
    let shift = values().map(|value| value - first).sum::<f64>() / count;
    let variance = values().map(|value| (value - first - shift).powi(2)).sum::<f64>() / count;
    (first + shift, variance.sqrt())
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
