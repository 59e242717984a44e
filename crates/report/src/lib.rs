//! Figures of a run: learning curves, predicted against true, residuals, calibration, searches and counts of events, from
//! plain numbers to SVG and PNG.
//!
//! Every function but those of [`page`] writes `<stem>.svg` and `<stem>.png` from one scene, so the two agree. The PNG
//! needs no font of the machine: its glyphs (DejaVu Sans) are compiled in. Colours are those of M.
//! Okabe and K. Ito, which all kinds of colour vision tell apart. [`page`] is a report for the browser.
#![allow(
    clippy::needless_pass_by_value,
    reason = "ndarray's views are pointers, made to be passed by value; the lint does not see it"
)]

mod calibration;
mod classifier;
mod counts;
mod error;
mod files;
mod learning;
pub mod page;
mod population;
mod ranks;
mod raster;
mod residuals;
mod scatter;
mod search;
mod style;

pub use calibration::{CoverageCurve, coverage_curves, expected_coverage};
pub use classifier::{Accuracy, classifier_accuracies};
pub use counts::{BinCounts, CountPanel, MapPanel, NumberedFigure, count_histograms, count_maps};
pub use error::{Error, Result};
pub use files::FigureFiles;
pub use learning::{EpochLoss, LearningCurve, learning_curve, learning_curves};
pub use population::{PopulationCurve, PopulationPanel, population_curves};
pub use ranks::{RankPanel, ecdf_differences, rank_histograms};
pub use residuals::{Residuals, residual_histograms};
pub use scatter::{TrueAndPredicted, true_vs_predicted};
pub use search::{SearchAxis, SearchKey, SearchTrials, search_results};
