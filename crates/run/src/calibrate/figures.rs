//! The figures of the tests of calibration: rank histograms, ECDF differences, coverage.

use std::path::Path;

use cei_metrics::special::binomial_interval;
use cei_report::{CoverageCurve, RankPanel, ecdf_differences, expected_coverage, rank_histograms};

use super::report::{Calibration, QuantityTest};
use crate::RunError;
use crate::figures::{folder, name_of};
use crate::folder::layout::figure;

/// Quantities on a page of ranks.
const RANK_PANELS: usize = 18;

/// Draws the outcome of the tests of calibration: rank histograms, ECDF differences, coverage.
///
/// # Errors
/// A figure cannot be written.
pub(super) fn draw(path: &Path, calibration: &Calibration) -> Result<(), RunError> {
    let folder = folder(path)?;
    let Calibration { events, draws, level, tests, .. } = calibration;
    let regions = tests.hdr.iter().chain([&tests.tarp]);
    let all: Vec<&QuantityTest> =
        tests.sbc.iter().chain(regions.clone().map(|region| &region.test)).collect();
    let differences: Vec<Vec<[f64; 4]>> = all
        .iter()
        .map(|test| {
            let points = test.ecdf_difference.iter();
            points.map(|p| [p.edge, p.difference, p.lower, p.upper]).collect()
        })
        .collect();
    let verdicts: Vec<String> = all
        .iter()
        .map(|test| {
            let p = test.ecdf_p_adjusted.min(test.chi_square_p_adjusted);
            let p = if p < 0.01 { "p < 0.01".to_owned() } else { format!("p = {p:.2}") };
            format!("{} ({p})", if test.pass { "pass" } else { "fail" })
        })
        .collect();
    let panels: Vec<RankPanel<'_>> = (all.iter().zip(&differences).zip(&verdicts))
        .map(|((test, differences), verdict)| {
            let share = 1.0 / test.ranks.histogram.len() as f64;
            RankPanel {
                quantity: &test.quantity,
                verdict,
                edges: &test.ranks.edges,
                counts: &test.ranks.histogram,
                expected: binomial_interval(*events, share, *level),
                differences,
            }
        })
        .collect();
    let title = format!("{} ({})", calibration.model, name_of(path));
    let heading = format!("ranks of the truth among {draws} draws, {events} events, {title}");
    // A page more rather than one that nobody can read.
    for (page, panels) in panels.chunks(RANK_PANELS).enumerate() {
        let suffix = if page == 0 { String::new() } else { format!("_{}", page + 1) };
        let page_of = |name: &str| folder.join(format!("{name}{suffix}"));
        rank_histograms(&page_of(figure::SBC_RANKS), &heading, panels)?;
        ecdf_differences(&page_of(figure::SBC_ECDF), &heading, panels)?;
    }
    for (region, stem) in regions.map(|region| {
        (
            region,
            if std::ptr::eq(region, &tests.tarp) { figure::TARP } else { figure::COVERAGE_HDR },
        )
    }) {
        let curve = CoverageCurve { label: &region.test.quantity, points: &region.curve };
        let heading = format!("{}, {title}", region.test.quantity);
        expected_coverage(&folder.join(stem), &heading, &[curve])?;
    }
    Ok(())
}
