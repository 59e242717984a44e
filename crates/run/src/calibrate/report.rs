//! The outcome of the tests of calibration as it is told and kept.

use std::collections::BTreeMap;

use cei_data::Copies;
use cei_metrics::{EcdfPoint, Uniformity, number};
use serde::{Deserialize, Serialize};

use crate::dataset::warning;

/// The outcome of all tests of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the table.
    pub data_fingerprint: String,
    /// How many of the test events repeat rows of training; absent for runs of older versions, which do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<Copies>,
    /// Test events.
    pub events: usize,
    /// Draws of each.
    pub draws: usize,
    /// Whether the draws were refined by the simulator.
    #[serde(default)]
    pub refined: bool,
    /// Then, how many events are outside the model; their draws are the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_model: Option<usize>,
    /// How well a classifier tells `(truth, y)` from `(one draw, y)` over the events: 0.5 for an exact
    /// posterior. It sees what ranks of single quantities do not, and is no part of `pass`.
    pub joint_c2st: JointC2st,
    /// Seed.
    pub seed: u64,
    /// Probability that an exact posterior fails a family of tests (all quantities; HDR; TARP).
    #[serde(with = "number")]
    pub level: f64,
    /// The tests.
    #[serde(flatten)]
    pub tests: CalibrationTests,
    /// Whether every test passed.
    pub pass: bool,
    /// The same tests of the events of which as many ions, or the same ones, were detected; empty where none is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_detected: Vec<DetectedTests>,
    /// Why the results are not in the folder where they should be.
    #[serde(skip)]
    pub not_kept: Option<String>,
}

/// Tests of some of the events. Each set fails an exact posterior with the probability of the level of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectedTests {
    /// Ions that were detected.
    pub ions: usize,
    /// The others; absent where these are all events of as many ions, whichever they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// Test events.
    pub events: usize,
    /// The tests; absent where the events are too few.
    #[serde(flatten)]
    pub tests: Option<CalibrationTests>,
    /// Whether every test passed; absent without tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<bool>,
}

/// Accuracy of a classifier, cross-validated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JointC2st {
    /// Part of the rows that it names rightly.
    #[serde(with = "number")]
    pub accuracy: f64,
    /// Standard error of the accuracy.
    #[serde(with = "number")]
    pub standard_error: f64,
}

/// The tests of a set of draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationTests {
    /// Simulation-based calibration of each position, bond length and angle.
    pub sbc: Vec<QuantityTest>,
    /// Coverage of highest-density regions, where draws have a density.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr: Option<RegionTest>,
    /// Coverage of balls around references that depend on the momenta.
    pub tarp: RegionTest,
}

/// Ranks of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantityTest {
    /// Its name: a column, a bond, an angle.
    pub quantity: String,
    /// Histogram and plain p-values.
    #[serde(flatten)]
    pub ranks: Uniformity,
    /// p-value of the ECDF, adjusted for all tests of the family (Holm).
    #[serde(with = "number")]
    pub ecdf_p_adjusted: f64,
    /// p-value of chi-square, adjusted likewise.
    #[serde(with = "number")]
    pub chi_square_p_adjusted: f64,
    /// Whether both adjusted p-values are above the level.
    pub pass: bool,
    /// The outcome in words.
    pub verdict: String,
    /// ECDF less uniform, with the simultaneous band of this quantity alone.
    pub ecdf_difference: Vec<EcdfPoint>,
}

/// Coverage of regions that hold a given share of the draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionTest {
    /// Ranks, tested like a quantity.
    #[serde(flatten)]
    pub test: QuantityTest,
    /// Observed coverage by nominal level.
    #[serde(with = "number")]
    pub coverage: BTreeMap<String, f64>,
    /// Its standard errors.
    #[serde(with = "number")]
    pub coverage_standard_error: BTreeMap<String, f64>,
    /// Nominal and observed coverage.
    #[serde(with = "number")]
    pub curve: Vec<(f64, f64)>,
}

impl Calibration {
    /// What is to be said about events that were trained on; none if there is nothing.
    pub fn warning(&self) -> Option<String> {
        warning(self.trained_on)
    }
}

impl CalibrationTests {
    /// Whether every test passed.
    pub fn pass(&self) -> bool {
        let regions = self.hdr.iter().chain([&self.tarp]);
        self.sbc.iter().chain(regions.map(|region| &region.test)).all(|test| test.pass)
    }
}
