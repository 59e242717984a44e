//! Gauge, degenerate directions and scalers as configured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gauge::GaugeConfig;
use crate::scaler::ScalerKind;

/// How directions in which positions never vary are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Degenerate {
    /// Leave them out of the network and put them back on decoding.
    #[default]
    Project,
    /// Keep every dimension and add noise to the directions without variation during training.
    Noise,
}

/// What stands between a row of the table and the network (`docs/spec.md#preprocessing`).
///
/// ```toml
/// [preprocessing]
/// x_scaler = "robust"
/// bounds = { delay_fs = [0.0, 200.0] }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreprocessingConfig {
    /// Placement of an event in space.
    pub gauge: GaugeConfig,
    /// What happens to directions without variation.
    pub degenerate: Degenerate,
    /// Standard deviation of the noise of `degenerate = "noise"`.
    #[schemars(extend("exclusiveMinimum" = 0, "unit" = "scaled units"))]
    pub noise_sd: f64,
    /// Scaler of the positions.
    pub x_scaler: ScalerKind,
    /// Scaler of the momenta.
    pub y_scaler: ScalerKind,
    /// Least and largest value of position columns whose prior is a box, by name, in the gauge; no draw lies
    /// outside.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("unit" = "bohr, or the table's own", "allowed" = "the lower first"))]
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
