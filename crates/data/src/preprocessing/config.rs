//! Gauge, degenerate directions and scalers as configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gauge::GaugeConfig;
use crate::scaler::ScalerKind;

/// How directions in which positions never vary are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Degenerate {
    /// Leave them out of the network and put them back on decoding.
    #[default]
    Project,
    /// Keep every dimension and add noise to the directions without variation during training.
    Noise,
}

/// Gauge, degenerate directions and scalers as configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreprocessingConfig {
    /// Placement of an event in space.
    pub gauge: GaugeConfig,
    /// What happens to directions without variation.
    pub degenerate: Degenerate,
    /// Standard deviation of the noise of `degenerate = "noise"`, in scaled units.
    pub noise_sd: f64,
    /// Scaler of the positions.
    pub x_scaler: ScalerKind,
    /// Scaler of the momenta.
    pub y_scaler: ScalerKind,
    /// Least and largest value of position columns whose prior is a box, by name, in the gauge and in
    /// internal units; no draw lies outside.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, [f64; 2]>,
}

impl Default for PreprocessingConfig {
    /// As given, projected, standardised; noise, where asked for, of 0.01 scaled units.
    fn default() -> Self {
        Self {
            gauge: GaugeConfig::default(),
            degenerate: Degenerate::Project,
            noise_sd: 0.01,
            x_scaler: ScalerKind::Standardise,
            y_scaler: ScalerKind::Standardise,
            bounds: BTreeMap::new(),
        }
    }
}
