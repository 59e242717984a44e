//! Tests that ranks are uniform: of every quantity, of highest-density regions, and of TARP.

use std::collections::BTreeMap;
use std::ops::Range;

use cei_metrics::results::level_key;
use cei_metrics::{COVERAGE_LEVELS, Ranks, Summary, Uniformity, density_ranks, holm, tarp_ranks};
use ndarray::{Axis, s};

use super::events::{CalibrationEvents, EventDraws};
use super::ranks::{joined, of_events};
use super::report::{CalibrationTests, QuantityTest, RegionTest};
use crate::RunError;

/// Events whose draws are in memory at once.
const CHUNK: usize = 100;

/// Levels of the curves of coverage, in (0, 1).
const CURVE_POINTS: usize = 39;

/// Ranks of the truth of some events among draws for them.
pub(super) struct AllRanks {
    quantities: Vec<String>,
    sbc: Ranks,
    hdr: Option<Ranks>,
    tarp: Ranks,
}

/// The ranges of so many events whose draws are asked for together.
pub(super) fn chunks(events: usize) -> impl Iterator<Item = Range<usize>> {
    (0..events).step_by(CHUNK).map(move |start| start..(start + CHUNK).min(events))
}

/// Ranks draws of any source: `source` gives those of a range of the `events`, chunk by chunk.
///
/// # Errors
/// What `source` fails with; draws that do not fit the events or are not finite.
pub(super) fn ranks_of(
    events: &CalibrationEvents,
    mut source: impl FnMut(Range<usize>) -> Result<EventDraws, RunError>,
    mut progress: impl FnMut(usize, usize),
) -> Result<AllRanks, RunError> {
    let total = events.truth.nrows();
    let (mut sbc, mut hdr, mut tarp) = (Vec::new(), Vec::new(), Vec::new());
    for range in chunks(total) {
        let draws = source(range.clone())?;
        let truth = events.truth.slice(s![range.clone(), ..]);
        sbc.push(events.quantity_ranks(range.clone(), &draws)?);
        if let Some((truth, draws)) = &draws.log_prob {
            hdr.push(density_ranks(truth.view(), draws.view())?);
        }
        tarp.push(tarp_ranks(
            truth.select(Axis(1), &events.alive).view(),
            draws.positions.select(Axis(2), &events.alive).view(),
            events.references.slice(s![range.clone(), ..]).select(Axis(1), &events.alive).view(),
            events.scale.select(Axis(0), &events.alive).view(),
        )?);
        progress(range.end, total);
    }
    Ok(AllRanks {
        quantities: events.quantities(),
        sbc: joined(sbc),
        hdr: (!hdr.is_empty()).then(|| joined(hdr)),
        tarp: joined(tarp),
    })
}

impl AllRanks {
    /// Those of some of the events.
    pub(super) fn of(&self, events: &[usize]) -> Self {
        Self {
            quantities: self.quantities.clone(),
            sbc: of_events(&self.sbc, events),
            hdr: self.hdr.as_ref().map(|ranks| of_events(ranks, events)),
            tarp: of_events(&self.tarp, events),
        }
    }

    /// Tests that they are uniform.
    ///
    /// # Errors
    /// Fewer than 20 events.
    pub(super) fn tests(&self, level: f64, seed: u64) -> Result<CalibrationTests, RunError> {
        let regions = "highest-density regions";
        let hdr = self.hdr.as_ref().map(|ranks| region_test(regions, ranks, level, seed));
        Ok(CalibrationTests {
            sbc: quantity_tests(&self.quantities, &self.sbc, level, seed)?,
            hdr: hdr.transpose()?,
            tarp: region_test("TARP", &self.tarp, level, seed)?,
        })
    }
}

fn quantity_tests(
    quantities: &[String],
    ranks: &Ranks,
    level: f64,
    seed: u64,
) -> Result<Vec<QuantityTest>, RunError> {
    let tests = (0..quantities.len())
        .map(|column| Uniformity::of(ranks, column, seed))
        .collect::<Result<Vec<Uniformity>, _>>()?;
    let p_values: Vec<f64> =
        tests.iter().flat_map(|test| [test.ecdf_p, test.chi_square_p]).collect();
    let adjusted = holm(&p_values);
    (quantities.iter().zip(tests).zip(adjusted.chunks_exact(2)))
        .map(|((quantity, ranks), adjusted)| {
            let pass = adjusted.iter().all(|p| *p > level);
            let verdict = if pass {
                "pass: ranks as uniform as chance".to_owned()
            } else {
                format!("fail: {}", ranks.in_words())
            };
            Ok(QuantityTest {
                quantity: quantity.clone(),
                ecdf_difference: ranks.ecdf_difference(level)?,
                ecdf_p_adjusted: adjusted[0],
                chi_square_p_adjusted: adjusted[1],
                ranks,
                pass,
                verdict,
            })
        })
        .collect()
}

fn region_test(name: &str, ranks: &Ranks, level: f64, seed: u64) -> Result<RegionTest, RunError> {
    let Some(mut test) = quantity_tests(&[name.to_owned()], ranks, level, seed)?.pop() else {
        unreachable!("one name, one test");
    };
    if !test.pass {
        let covers = if test.ranks.bias > 0.0 { "too little" } else { "too much" };
        test.verdict = format!("fail: regions cover {covers} of the truth on average");
    }
    let observed = |level: f64| -> Result<Option<Summary>, RunError> {
        Ok(Summary::of(ranks.lowest_hits(level)?))
    };
    let (mut coverage, mut coverage_standard_error) = (BTreeMap::new(), BTreeMap::new());
    for level in COVERAGE_LEVELS {
        if let Some(summary) = observed(level)? {
            coverage.insert(level_key(level), summary.mean);
            if let Some(error) = summary.standard_error {
                coverage_standard_error.insert(level_key(level), error);
            }
        }
    }
    let levels = (1..=CURVE_POINTS).map(|point| point as f64 / (CURVE_POINTS + 1) as f64);
    let mut curve = Vec::with_capacity(CURVE_POINTS);
    for level in levels {
        if let Some(summary) = observed(level)? {
            curve.push((level, summary.mean));
        }
    }
    Ok(RegionTest { test, coverage, coverage_standard_error, curve })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cei_model::random::{Purpose, standard_normal, stream};
    use ndarray::{Array1, Array2, Array3};

    /// x ~ N(0, I), y = x + N(0, I): tests draws of N(y / 2, width^2 / 2).
    fn tests_of(width: f64) -> CalibrationTests {
        let (events, draws) = (600, 99);
        let normal = |rows, index| {
            let mut rng = stream(5, Purpose::Draws, index);
            standard_normal(rows, 2, &mut rng).mapv(f64::from)
        };
        let truth = normal(events, 0);
        let centre = (&truth + &normal(events, 1)) * 0.5;
        let noise = normal(events * draws, 2) * (width * 0.5_f64.sqrt());
        let positions = Array3::from_shape_fn((events, draws, 2), |(event, draw, column)| {
            centre[[event, column]] + noise[[event * draws + draw, column]]
        });
        let log_prob = |event: usize, x: ndarray::ArrayView1<'_, f64>| {
            -(&x - &centre.row(event)).mapv(|d| d * d).sum()
        };
        let of_truth = Array1::from_shape_fn(events, |event| log_prob(event, truth.row(event)));
        let of_draws = Array2::from_shape_fn((events, draws), |(event, draw)| {
            log_prob(event, positions.slice(s![event, draw, ..]))
        });
        let test_events = CalibrationEvents {
            references: &centre + &normal(events, 3),
            truth,
            scale: Array1::ones(2),
            names: vec!["a".to_owned(), "b".to_owned()],
            alive: vec![0, 1],
            coordinates: None,
            states: None,
        };
        let source = |range: Range<usize>| {
            Ok(EventDraws {
                positions: positions.slice(s![range.clone(), .., ..]).to_owned(),
                states: None,
                log_prob: Some((
                    of_truth.slice(s![range.clone()]).to_owned(),
                    of_draws.slice(s![range, ..]).to_owned(),
                )),
            })
        };
        let result = ranks_of(&test_events, source, |_, _| {}).and_then(|r| r.tests(0.01, 1));
        result.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_exact_posterior_passes_every_test() {
        let tests = tests_of(1.0);
        assert!(tests.pass(), "{tests:?}");
        assert_eq!(tests.sbc.len(), 2);
        assert_eq!(tests.tarp.coverage.len(), COVERAGE_LEVELS.len());
    }

    #[test]
    fn narrow_and_wide_draws_fail_every_test_and_are_named() {
        for (width, quantity, region) in
            [(0.6, "too narrow", "too little"), (1.7, "too wide", "too much")]
        {
            let tests = tests_of(width);
            for test in &tests.sbc {
                assert!(!test.pass && test.verdict.contains(quantity), "{test:?}");
            }
            let hdr = tests.hdr.as_ref().map(|hdr| &hdr.test);
            assert!(hdr.is_some_and(|hdr| hdr.verdict.contains(region)), "{hdr:?}");
            assert!(!tests.tarp.test.pass);
        }
    }
}
