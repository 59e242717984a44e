//! Positions whose prior is a box: a column between `low` and `high` is opened to the whole line, so that no
//! draw leaves the box and a density that jumps at its edge is smooth where the network sees it.
//!
//! `u = ln((x - low) / (high - x))`, `x = low + (high - low) / (1 + exp(-u))`,
//! `dx/du = (x - low)(high - x) / (high - low)`.

use std::collections::BTreeMap;

use ndarray::{ArrayViewMut1, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::error::PreprocessingError;
use crate::gauge::Gauge;
use crate::parts::Part;

/// Values on an edge are taken to be this part of the box inside: tables in f32 round onto edges.
const EDGE: f64 = 1e-9;

/// The columns of a side that have bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ColumnBounds(Vec<ColumnBound>);

/// One column and its least and largest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnBound {
    index: usize,
    low: f64,
    high: f64,
}

impl ColumnBounds {
    /// The bounds by column name, resolved.
    ///
    /// # Errors
    /// A name that is no position column; bounds that are not finite and ascending.
    pub(super) fn new(
        given: &BTreeMap<String, [f64; 2]>,
        names: &[String],
    ) -> Result<Self, PreprocessingError> {
        let resolve = |(name, &[low, high]): (&String, &[f64; 2])| {
            let index = names.iter().position(|known| known == name).ok_or_else(|| {
                PreprocessingError::UnknownBound { name: name.clone(), names: names.to_vec() }
            })?;
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err(PreprocessingError::Bound { name: name.clone(), low, high });
            }
            Ok(ColumnBound { index, low, high })
        };
        Ok(Self(given.iter().map(resolve).collect::<Result<_, _>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every position of a part lies in the box, edges included.
    ///
    /// # Errors
    /// The first value outside; rows that cannot be read again.
    pub(super) fn check(&self, gauge: &Gauge, part: Part<'_>) -> Result<(), PreprocessingError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut outside: Option<(usize, ColumnBound, f64)> = None;
        part.each(&mut |places, x, y| {
            let x = gauge.positions(x, y.view());
            for bound in &self.0 {
                for (&place, &value) in places.iter().zip(x.column(bound.index)) {
                    let is_first = || outside.is_none_or(|(first, _, _)| place < first);
                    if !bound.holds(value) && is_first() {
                        outside = Some((place, *bound, value));
                    }
                }
            }
        })?;
        let Some((place, ColumnBound { index, low, high }, value)) = outside else {
            return Ok(());
        };
        let row = part.numbers(&[place])[0];
        let name = part.head().x_names[index].clone();
        Err(PreprocessingError::OutOfBounds { name, row, value, low, high })
    }

    /// From the box to the line; values outside go to its edge.
    pub(super) fn open(&self, mut rows: ArrayViewMut2<'_, f64>) {
        for bound in &self.0 {
            for x in rows.column_mut(bound.index) {
                let part = ((*x - bound.low) / (bound.high - bound.low)).clamp(EDGE, 1.0 - EDGE);
                *x = (part / (1.0 - part)).ln();
            }
        }
    }

    /// From the line to the box.
    pub(super) fn close(&self, row: &mut ArrayViewMut1<'_, f64>) {
        for bound in &self.0 {
            let u = row[bound.index];
            row[bound.index] = bound.low + (bound.high - bound.low) / (1.0 + (-u).exp());
        }
    }

    /// `ln |det dx/du|` at a row of the box; infinite outside, where no density is.
    pub(super) fn log_abs_det(&self, mut x: impl FnMut(usize) -> f64) -> f64 {
        let column = |bound: &ColumnBound| {
            let x = x(bound.index);
            if !bound.holds(x) {
                return f64::INFINITY;
            }
            let width = bound.high - bound.low;
            let part = ((x - bound.low) / width).clamp(EDGE, 1.0 - EDGE);
            (part * (1.0 - part) * width).ln()
        };
        self.0.iter().map(column).sum()
    }
}

impl ColumnBound {
    fn holds(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
