//! Is a posterior as wide as it says, and where it says? Ranks of the truth of test events among
//! posterior draws, tested for uniformity: simulation-based calibration of every quantity,
//! highest-density coverage and TARP of the posterior as a whole.
//!
//! The tests see nothing but plain arrays of draws, so any source of draws can be tested:
//! [`calibrate_run`] gives them those of the network, [`calibrate`] those of its caller.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cei_data::Copies;
use cei_metrics::results::level_key;
use cei_metrics::{
    COVERAGE_LEVELS, EcdfPoint, InternalCoordinates, NearestNeighbours, PM_PER_BOHR, Ranks,
    Summary, Uniformity, density_ranks, holm, number, ranks, tarp_ranks,
};
use cei_model::Device;
use cei_model::random::{Purpose, standard_normal, stream};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use serde::{Deserialize, Serialize};

use crate::c2st::check_level;
use crate::config::MOST_DRAWS;
use crate::dataset::{Dataset, Origin};
use crate::draws::{check_draws, draw_positions};
use crate::evaluate::internal_coordinates;
use crate::folder::rows::{trained_on, warning};
use crate::folder::sealed::not_kept;
use crate::folder::write_json;
use crate::log_prob::{log_prob_of_draws, log_prob_of_truth};
use crate::refine::Refiner;
use crate::{RunError, TrainedRun, figures};

/// Events whose draws are in memory at once.
const CHUNK: usize = 100;
/// Fewest events: 20 truths and 20 draws for the classifier; of fewer, no test of ranks can fail anything.
const LEAST_EVENTS: usize = 40;
/// Fewest draws of an event.
const LEAST_DRAWS: usize = 9;
/// TARP's references lie around the position of the nearest training row with this share of each
/// column's standard deviation: far enough that the distance says something in every direction.
const REFERENCE_WIDTH: f64 = 0.5;
/// Importance draws from which refined draws are resampled.
const REFINED_SAMPLES: usize = 1000;
/// Levels of the curves of coverage, in (0, 1).
const CURVE_POINTS: usize = 39;

/// What to test, and at which error rate.
#[derive(Debug, Clone)]
pub struct CalibrateOptions {
    /// Test events at most.
    pub events: usize,
    /// Draws of each event, L. L + 1 divisible by 20 gives equal bins.
    pub draws: usize,
    /// Seed of draws, references and ties.
    pub seed: u64,
    /// Error rate of each of the three families of tests.
    pub level: f64,
    /// Whether the draws are those that the simulator has refined.
    pub refine: bool,
    /// Where `calibration.json` and figures go; by default the run folder.
    pub folder: Option<PathBuf>,
}

/// Draws of some events, and densities where the source of draws has them.
#[derive(Debug, Clone)]
pub struct EventDraws {
    /// Positions in the frame of the run: events x draws x columns.
    pub positions: Array3<f64>,
    /// Log density of the truth of each event and of each of its draws, up to a constant for each
    /// event.
    pub log_prob: Option<(Array1<f64>, Array2<f64>)>,
}

/// The events of a test: what draws are compared with.
#[derive(Debug, Clone)]
pub struct CalibrationEvents {
    /// True positions in the frame of the run, events x columns.
    pub truth: Array2<f64>,
    /// References of TARP, made from momenta alone, events x columns.
    pub references: Array2<f64>,
    /// Standard deviation of each column over training rows.
    pub scale: Array1<f64>,
    /// Names of the columns.
    pub names: Vec<String>,
    /// The columns that vary; the others are not tested.
    pub alive: Vec<usize>,
    /// Bond lengths and angles, where the table is a molecule.
    pub coordinates: Option<InternalCoordinates>,
}

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
    /// Why the results are not in the folder where they should be.
    #[serde(skip)]
    pub not_kept: Option<String>,
}

impl Calibration {
    /// What is to be said about events that were trained on; none if there is nothing.
    pub fn warning(&self) -> Option<String> {
        warning(self.trained_on)
    }
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

/// Tests the network of a run on its test events and writes `calibration.json` and figures.
///
/// # Errors
/// No trained model, a table that is not that of the training, too few events or draws, a level
/// outside (0, 1), a folder that cannot be made. What cannot be kept there is told in the result.
pub fn calibrate_run(
    path: &Path,
    options: &CalibrateOptions,
    device: Device,
    progress: impl FnMut(usize, usize),
) -> Result<Calibration, RunError> {
    check_level(options.level)?;
    check_draws(options.draws, LEAST_DRAWS, MOST_DRAWS)?;
    if options.events < LEAST_EVENTS {
        let value = options.events;
        return Err(RunError::TooSmall { key: "--events", value, least: LEAST_EVENTS });
    }
    let mut run = TrainedRun::load(path, device)?;
    if let Some(folder) = &options.folder {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    }
    if options.refine {
        run.draw_from_prior();
    }
    let dataset = Dataset::load(&run.experiment, &Origin::of_record(&run.record))?;
    let simulated = run.experiment.source.simulator.is_some();
    if !simulated && dataset.fingerprint != run.record.data_fingerprint {
        return Err(RunError::TableChanged { path: run.path.clone() });
    }
    let (mut raw_x, mut raw_y) = dataset.table.part(&dataset.split.test);
    let count = options.events.min(raw_y.nrows());
    if count < LEAST_EVENTS {
        return Err(RunError::TooFewTestEvents {
            path: run.path,
            found: count,
            needed: LEAST_EVENTS,
        });
    }
    raw_x = raw_x.slice(s![..count, ..]).to_owned();
    raw_y = raw_y.slice(s![..count, ..]).to_owned();
    let events = CalibrationEvents::of(&run, &dataset, &raw_x, &raw_y, options.seed)?;
    let refiner = options
        .refine
        .then(|| Refiner::new(&run, REFINED_SAMPLES, options.draws, options.seed))
        .transpose()?;
    if refiner.as_ref().is_some_and(|refiner| !refiner.has_noise()) {
        return Err(RunError::CannotRefine {
            path: run.path.clone(),
            why: "its momenta have no noise, so that its posterior is a set of points".to_owned(),
            hint: "calibrate the network alone, or see `cei predict --refine --modes FILE`",
        });
    }
    let mut outside = 0;
    let mut one_draw = Array2::zeros(raw_x.raw_dim());
    let draws = |range: Range<usize>| {
        let (first, rows) = (range.start, s![range, ..]);
        let (x, y) = (raw_x.slice(rows), raw_y.slice(rows));
        let mut keep_one = |positions: &Array3<f64>| {
            // Any one draw of each event will do.
            for (event, draws) in positions.axis_iter(Axis(0)).enumerate() {
                let event = first + event;
                one_draw.row_mut(event).assign(&draws.row(event % options.draws));
            }
        };
        if let Some(refiner) = &refiner {
            let network = draw_positions(&run, y, refiner.network_draws(), options.seed, first);
            let refined = refiner.refine(y, &network, options.seed, first)?;
            let mut positions = Array3::zeros((y.nrows(), options.draws, x.ncols()));
            for (event, mut target) in refined.iter().zip(positions.axis_iter_mut(Axis(0))) {
                outside += usize::from(event.outside.any());
                target.assign(&event.draws.slice(s![..options.draws, ..]));
            }
            keep_one(&positions);
            return Ok(EventDraws { positions, log_prob: None });
        }
        let positions = draw_positions(&run, y, options.draws, options.seed, first);
        keep_one(&positions);
        let truth = log_prob_of_truth(&run, x, y, options.seed, first);
        let of_draws = log_prob_of_draws(&run, &positions, y, options.seed, first);
        Ok(EventDraws { positions, log_prob: truth.zip(of_draws) })
    };
    let tests = calibrate(&events, draws, options.level, options.seed, progress)?;
    let joint_c2st = joint_c2st(&run, raw_x.view(), one_draw.view(), raw_y.view(), options.seed)?;
    let mut calibration = Calibration {
        not_kept: None,
        joint_c2st,
        model: run.record.name(),
        data_fingerprint: dataset.fingerprint,
        trained_on: trained_on(&run, raw_x.view(), raw_y.view())?,
        events: count,
        draws: options.draws,
        refined: options.refine,
        outside_model: options.refine.then_some(outside),
        seed: options.seed,
        level: options.level,
        pass: tests.pass(),
        tests,
    };
    let folder = options.folder.as_deref().unwrap_or(&run.path);
    let kept = write_json(&folder.join("calibration.json"), &calibration)
        .and_then(|()| figures::calibration(folder, &calibration));
    calibration.not_kept = not_kept(kept)?;
    Ok(calibration)
}

/// Tells true positions with their momenta, of every other event, from drawn ones with theirs, of the events
/// between. Of one event both would stand beside the same momenta, and a classifier that has seen the one
/// would take the other for its opposite.
fn joint_c2st(
    run: &TrainedRun,
    truth: ArrayView2<'_, f64>,
    draws: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<JointC2st, RunError> {
    let preprocessing = &run.record.preprocessing;
    let scaled_y = preprocessing.encode_y(y);
    let joint = |x: Array2<f32>| match concatenate(Axis(1), &[x.view(), scaled_y.view()]) {
        Ok(joint) => joint.mapv(f64::from),
        Err(_) => unreachable!("both have one row an event"),
    };
    let truth = joint(preprocessing.encode_x(truth, y));
    let draws = joint(preprocessing.encode_gauged_x(draws));
    let (truth, draws) = (truth.slice(s![..;2, ..]), draws.slice(s![1..;2, ..]));
    let c2st = cei_metrics::c2st(draws, truth, seed)?;
    Ok(JointC2st { accuracy: c2st.accuracy, standard_error: c2st.standard_error })
}

/// Tests draws of any source: `source` gives those of a range of the `events`, chunk by chunk.
///
/// # Errors
/// What `source` fails with; draws that do not fit the events or are not finite; fewer than 20 events.
pub fn calibrate(
    events: &CalibrationEvents,
    mut source: impl FnMut(Range<usize>) -> Result<EventDraws, RunError>,
    level: f64,
    seed: u64,
    mut progress: impl FnMut(usize, usize),
) -> Result<CalibrationTests, RunError> {
    let total = events.truth.nrows();
    let (mut sbc, mut hdr, mut tarp) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..total).step_by(CHUNK) {
        let range = start..(start + CHUNK).min(total);
        let draws = source(range.clone())?;
        let truth = events.truth.slice(s![range.clone(), ..]);
        sbc.push(events.quantity_ranks(range.clone(), &draws.positions)?);
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
    let sbc = quantity_tests(&events.quantities(), &joined(sbc), level, seed)?;
    let hdr = if hdr.is_empty() {
        None
    } else {
        Some(region_test("highest-density regions", &joined(hdr), level, seed)?)
    };
    let tarp = region_test("TARP", &joined(tarp), level, seed)?;
    Ok(CalibrationTests { sbc, hdr, tarp })
}

impl CalibrationTests {
    /// Whether every test passed.
    pub fn pass(&self) -> bool {
        let regions = self.hdr.iter().chain([&self.tarp]);
        self.sbc.iter().chain(regions.map(|region| &region.test)).all(|test| test.pass)
    }
}

impl CalibrationEvents {
    /// Test rows (raw) of a run, with references around the positions of the training rows whose
    /// scaled momenta are nearest.
    fn of(
        run: &TrainedRun,
        dataset: &Dataset,
        raw_x: &Array2<f64>,
        raw_y: &Array2<f64>,
        seed: u64,
    ) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let (truth, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
        let (train_x, train_y) = dataset.table.part(&dataset.split.train);
        let (x, _) = preprocessing.gauged(train_x.view(), train_y.view());
        let scaled = |y: &Array2<f64>| preprocessing.encode_y(y.view()).mapv(f64::from);
        let nearest = NearestNeighbours::fit(scaled(&train_y).view(), x.view())?
            .draws(scaled(raw_y).view(), 1)?;
        let scale = x.std_axis(Axis(0), 0.0);
        // No event has this number: the stream is that of no draw.
        let mut rng = stream(seed, Purpose::Draws, u64::MAX);
        let noise = standard_normal(truth.nrows(), truth.ncols(), &mut rng).mapv(f64::from);
        let references =
            nearest.index_axis(Axis(1), 0).to_owned() + noise * REFERENCE_WIDTH * &scale;
        Ok(Self {
            truth,
            references,
            scale,
            names: preprocessing.x_names().to_vec(),
            alive: preprocessing.alive_x().to_vec(),
            coordinates: run
                .molecule()
                .map(|molecule| internal_coordinates(&run.experiment, molecule))
                .transpose()?,
        })
    }

    /// Names of the quantities tested.
    fn quantities(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.alive.iter().map(|&column| self.names[column].clone()).collect();
        if let Some(coordinates) = &self.coordinates {
            names.extend(
                coordinates.pair_labels().iter().chain(coordinates.triple_labels()).cloned(),
            );
        }
        names
    }

    /// Ranks of positions, bond lengths and angles of a range of events.
    fn quantity_ranks(&self, range: Range<usize>, draws: &Array3<f64>) -> Result<Ranks, RunError> {
        let truth = self.truth.slice(s![range, ..]);
        let alive = &self.alive;
        let mut parts =
            vec![ranks(truth.select(Axis(1), alive).view(), draws.select(Axis(2), alive).view())?];
        if let Some(coordinates) = &self.coordinates {
            let lengths = coordinates.lengths_of_draws(draws.view())? * PM_PER_BOHR;
            parts.push(ranks((coordinates.lengths(truth)? * PM_PER_BOHR).view(), lengths.view())?);
            if !coordinates.triple_labels().is_empty() {
                let angles = coordinates.angles_deg_of_draws(draws.view())?;
                parts.push(ranks(coordinates.angles_deg(truth)?.view(), angles.view())?);
            }
        }
        Ok(joined_along(Axis(1), &parts))
    }
}

/// The ranks of all chunks of events.
fn joined(parts: Vec<Ranks>) -> Ranks {
    joined_along(Axis(0), &parts)
}

fn joined_along(axis: Axis, parts: &[Ranks]) -> Ranks {
    let join = |pick: fn(&Ranks) -> &Array2<usize>| {
        let views: Vec<_> = parts.iter().map(|part| pick(part).view()).collect();
        match concatenate(axis, &views) {
            Ok(joined) => joined,
            Err(_) => unreachable!("the parts have the same events or the same quantities"),
        }
    };
    Ranks {
        below: join(|ranks| &ranks.below),
        equal: join(|ranks| &ranks.equal),
        draws: parts.first().map_or(0, |part| part.draws),
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
        };
        let source = |range: Range<usize>| {
            Ok(EventDraws {
                positions: positions.slice(s![range.clone(), .., ..]).to_owned(),
                log_prob: Some((
                    of_truth.slice(s![range.clone()]).to_owned(),
                    of_draws.slice(s![range, ..]).to_owned(),
                )),
            })
        };
        let result = calibrate(&test_events, source, 0.01, 1, |_, _| {});
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
