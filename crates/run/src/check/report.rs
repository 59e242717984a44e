//! What a check has found, as it is told and kept.

use cei_metrics::number;
use serde::Serialize;

/// Whether the declared simulation describes a file of momenta.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// `pass` unless a test fails.
    pub verdict: Verdict,
    /// The tests.
    pub tests: Vec<CheckTest>,
    /// Events of the file.
    pub events: usize,
    /// Events that the population was inferred from.
    pub fitted: usize,
    /// How many of these the model does not describe; they are not in the population.
    pub not_described: usize,
    /// Other events, that are compared with the simulation.
    pub tested: usize,
    /// Simulated events that they are compared with.
    pub simulated: usize,
    /// Events that are left out: ions are missing, or their momenta are no measurements.
    pub left_out: usize,
    /// The distribution of geometries that is simulated.
    pub population: CheckedPopulation,
    /// Refined draws of each event.
    pub draws: usize,
    /// Probability that momenta of the declared simulation fail.
    #[serde(with = "number")]
    pub level: f64,
    /// Seed.
    pub seed: u64,
    /// What there is to say about the momenta, one thing an entry.
    pub warnings: Vec<String>,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    Pass,
    /// The simulation does not describe the momenta.
    Fail,
}

/// The distribution of geometries that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedPopulation {
    /// The declared law: the events of the first half do not ask for another one.
    Declared,
    /// That of the first half, a mixture of so many normal laws.
    Inferred {
        /// Normal laws.
        laws: usize,
    },
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckTest {
    /// `log_evidence`, `kinetic_energy`, `angles` or `classifier`.
    pub name: &'static str,
    /// The greatest distance between two distribution functions; of the classifier its accuracy.
    #[serde(with = "number")]
    pub statistic: f64,
    /// How probable this or more is under the declared simulation, adjusted for the number of tests (Holm).
    #[serde(with = "number")]
    pub p_value: f64,
    /// The same for this test alone.
    #[serde(with = "number")]
    pub p_value_alone: f64,
    /// Whether the p-value is at least the level.
    pub pass: bool,
    /// In which way the events differ most from simulated ones, whether that is much or not.
    pub direction: String,
}
