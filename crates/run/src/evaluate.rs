//! Scoring a trained run on rows it has not seen (`docs/spec.md#evaluation`). Test positions are compared with draws;
//! they never reach the model, except in the two places that need them by definition: the exact
//! likelihood and the invertibility check.

pub mod floor;

use std::path::Path;

use cei_data::{Copies, Preprocessing, Reading, Table, fingerprint};
use cei_metrics::results::{
    Baselines, Distribution, Estimators, Evaluation, LikelihoodBound, NegativeLogLikelihood,
    NeighbourScores, level_key,
};
use cei_metrics::{
    Accumulator, COVERAGE_LEVELS, EnsembleScores, Estimator, GaugeFreeScores, InternalCoordinates,
    NEIGHBOUR_CANDIDATES, NearestNeighbours, PointErrors, ResimulationErrors, TrainingMean,
    density_ranks, number,
};
use cei_model::random::{Purpose, stream};
use cei_model::{Batch, Device};
use cei_physics::{Accuracy, FrameRule, Molecule, Simulation, explode_all};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use serde::{Deserialize, Serialize};

use crate::config::MOST_DRAWS;
use crate::dataset::{Dataset, Origin};
use crate::draws::{check_draws, draw_positions, first_rows};
use crate::floor::{Floor, floor};
use crate::folder::rows::{refuse_far_out, trained_on, warning};
use crate::folder::sealed::not_kept;
use crate::folder::{ActiveLatent, write_json};
use crate::later::{LaterTable, Loaded};
use crate::log_prob::{log_prob, log_prob_of_draws, log_prob_of_truth, scaled};
use crate::plausibility::{Plausibility, Training};
use crate::simulate::simulation_beside;
use crate::support::Support;
use crate::{Experiment, Member, RunError, TrainedRun, figures};

/// Events whose draws are in memory at once.
const CHUNK: usize = 500;

/// Events whose draws are ranked by density: the density of a draw costs as much as the draw.
const DENSITY_EVENTS: usize = 10_000;

/// Latents of each event in the importance-weighted bound of the likelihood.
const BOUND_SAMPLES: usize = 200;

/// Rows of a table to be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScoredRows {
    /// The test part.
    #[default]
    Test,
    /// Every row, those that the model was trained on included.
    All,
}

/// What to score, and how.
#[derive(Debug, Clone, Default)]
pub struct EvaluateOptions {
    /// Another table of positions and momenta than that of the run; all its rows are scored.
    pub data: Option<LaterTable>,
    /// Which rows of the run's own table.
    pub rows: ScoredRows,
    /// Draws of each event; by default those of the configuration.
    pub draws: Option<usize>,
    /// Seed of the draws.
    pub seed: u64,
}

/// The scores of a run, and what must be known to compare them with those of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvaluation {
    /// The scores (`docs/spec.md#results-json`).
    #[serde(flatten)]
    pub scores: Evaluation,
    /// Least errors that any method can reach on this table, where they can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Latent dimensions that carry information (CVAE only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_latent: Option<ActiveLatent>,
    /// How another table than the run's own compares with training as a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plausibility: Option<Plausibility>,
    /// What was scored.
    pub scored: Scored,
    /// Why the scores are not in the folder of the run, where they should be.
    #[serde(skip)]
    pub not_kept: Option<String>,
    /// How each file of another table than the run's own was read.
    #[serde(skip)]
    pub readings: Vec<Reading>,
    /// What must be known before these scores are believed, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What was scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Name of the model.
    pub model: String,
    /// The files of the table.
    pub files: Vec<String>,
    /// `test`, `all`, or `other table`.
    pub rows: String,
    /// SHA-256 of the table.
    pub data_fingerprint: String,
    /// SHA-256 of the weights, as in `model.json`; absent in evaluations of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// How many of these rows repeat rows of training; absent for runs of older versions, which do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<Copies>,
    /// Rows outside of `preprocessing.bounds`: their density is zero, so that the mean NLL is infinite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub out_of_bounds: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// Unit of the positions and of their errors; none where the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Where latents came from.
    pub latent: cei_model::latent::LatentSource,
    /// Noise on directions without variation, in scaled units: part of what the NLL is a density of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub degenerate_noise_sd: Option<f64>,
    /// Seed of the draws.
    pub seed: u64,
}

/// Rows to be scored, raw and in the gauge of the run.
struct ScoredTable {
    raw_x: Array2<f64>,
    raw_y: Array2<f64>,
    x: Array2<f64>,
    y: Array2<f64>,
    readings: Vec<Reading>,
}

/// Scores a run, and first tells `judged` how another table than its own compares with training as a set; on its own test
/// rows the result and its figures are also written into its folder, if it can be written.
///
/// # Errors
/// No trained model, a table that cannot be loaded or is not the one of the training, too few draws.
pub fn evaluate_run(
    path: &Path,
    options: &EvaluateOptions,
    device: Device,
    judged: impl FnOnce(&Plausibility),
    mut progress: impl FnMut(usize, usize),
) -> Result<RunEvaluation, RunError> {
    let run = TrainedRun::load(path, device)?;
    let count = options.draws.unwrap_or(run.experiment.evaluation.draws);
    check_draws(count, 2, MOST_DRAWS)?;
    let own = own_dataset(&run, options)?;
    let (files, mut scored, fingerprint, rows) = scored_table(&run, own.as_ref(), options)?;
    let readings = std::mem::take(&mut scored.readings);
    let plausibility = match Support::load(&run)?.filter(|_| options.data.is_some()) {
        None => None,
        Some(support) => {
            let raw_y = scored.raw_y.view();
            let outside = support.judge(&run.record.preprocessing, raw_y)?;
            Some(Training::of_run(&run, &support).judge(raw_y, Some(&outside)))
        }
    };
    if let Some(plausibility) = &plausibility {
        judged(plausibility);
    }
    let trained_on = trained_on(&run, scored.raw_x.view(), scored.raw_y.view())?;
    let out_of_bounds = out_of_bounds(&run, &scored);
    let mut scores = Scores::new(&run, own.as_ref())?;
    let total = scored.x.nrows();
    for start in (0..total).step_by(CHUNK) {
        let range = start..(start + CHUNK).min(total);
        let draws = draw_positions(
            &run,
            scored.raw_y.slice(s![range.clone(), ..]),
            count,
            options.seed,
            start,
        );
        let raw_y = scored.raw_y.slice(s![range.clone(), ..]);
        let raw_x = scored.raw_x.slice(s![range.clone(), ..]);
        if start < DENSITY_EVENTS {
            scores.add_densities(
                log_prob_of_truth(&run, raw_x, raw_y, options.seed, start),
                log_prob_of_draws(&run, &draws, raw_y, options.seed, start),
            )?;
        }
        scores.add(
            &run,
            scored.x.slice(s![range.clone(), ..]),
            scored.raw_y.slice(s![range.clone(), ..]),
            scored.y.slice(s![range.clone(), ..]),
            &draws,
        )?;
        progress(range.end, total);
    }
    let preprocessing = &run.record.preprocessing;
    let mut evaluation = RunEvaluation {
        scores: scores.finish(&run, &scored, count, options.seed)?,
        floor: match made_by(&run, options, &files)? {
            Some(simulation) => floor(&run, &simulation, scored.raw_x.view())?,
            None => None,
        },
        active_latent: run.record.training.active_latent,
        plausibility,
        scored: Scored {
            model: run.record.name(),
            files,
            rows: rows.to_owned(),
            data_fingerprint: fingerprint,
            weights_sha256: Some(run.record.weights_sha256.clone()),
            trained_on,
            out_of_bounds,
            frame: preprocessing.frame_description(),
            unit: run.experiment.columns.x_unit.internal().map(str::to_owned),
            latent: run.experiment.evaluation.latent,
            degenerate_noise_sd: preprocessing.noise_directions().map(|(_, sd)| f64::from(sd)),
            seed: options.seed,
        },
        not_kept: None,
        readings,
        warnings: warnings(trained_on, out_of_bounds, total),
    };
    if rows == "test" {
        evaluation.not_kept = keep(&run, &scores.pairs, &evaluation)?;
    }
    Ok(evaluation)
}

/// Writes scores and figures into the folder of the run. A folder that cannot be written is told, but takes the
/// scores from nobody.
fn keep(
    run: &TrainedRun,
    pairs: &Pairs,
    evaluation: &RunEvaluation,
) -> Result<Option<String>, RunError> {
    let kept = write_json(&run.path.join("evaluation.json"), evaluation)
        .and_then(|()| figures::evaluation(run, pairs, evaluation));
    not_kept(kept)
}

/// The table that the run was trained on. It must be the same, or its test rows are not those kept
/// from the model; where another table is scored it only serves the baselines, and may be missing.
fn own_dataset(run: &TrainedRun, options: &EvaluateOptions) -> Result<Option<Dataset>, RunError> {
    let loaded =
        Dataset::load(&run.experiment, &Origin::of_record(&run.record)).and_then(|dataset| {
            // Events of a simulator follow from seeds, whatever the last bit of another processor.
            let simulated = run.experiment.source.simulator.is_some();
            if simulated || dataset.fingerprint == run.record.data_fingerprint {
                Ok(dataset)
            } else {
                Err(RunError::TableChanged { path: run.path.clone() })
            }
        });
    match (loaded, &options.data) {
        (Ok(dataset), _) => Ok(Some(dataset)),
        (Err(_), Some(_)) => Ok(None),
        (Err(error), None) => Err(error.of_table(&run.path)),
    }
}

/// The simulation that made the scored rows: the simulator of the run, or what stands beside the one
/// file of the table; none for anything else.
fn made_by(
    run: &TrainedRun,
    options: &EvaluateOptions,
    files: &[String],
) -> Result<Option<Simulation>, RunError> {
    match (&run.experiment.source.simulator, &options.data, files) {
        (Some(_), None, _) => Ok(run.record.simulation.clone()),
        (_, _, [file]) => simulation_beside(Path::new(file)),
        _ => Ok(None),
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// How many of the scored rows lie outside of `preprocessing.bounds`.
fn out_of_bounds(run: &TrainedRun, scored: &ScoredTable) -> usize {
    let scales = run.record.preprocessing.log_abs_det(scored.raw_x.view(), scored.raw_y.view());
    scales.iter().filter(|scale| **scale == f64::INFINITY).count()
}

fn warnings(trained_on: Option<Copies>, out_of_bounds: usize, rows: usize) -> Vec<String> {
    let bounds = (out_of_bounds > 0).then(|| {
        format!("{out_of_bounds} of {rows} rows lie outside of `preprocessing.bounds`: no draw is there, and their density is zero")
    });
    warning(trained_on).into_iter().chain(bounds).collect()
}

type FilesAndTable = (Vec<String>, ScoredTable, String, &'static str);

fn scored_table(
    run: &TrainedRun,
    own: Option<&Dataset>,
    options: &EvaluateOptions,
) -> Result<FilesAndTable, RunError> {
    let names = |table: &Table| match &run.experiment.source.simulator {
        Some(simulator) if table.files.is_empty() => vec![format!("simulator {simulator}")],
        _ => table.files.iter().map(|f| f.display().to_string()).collect(),
    };
    if let Some(data) = &options.data {
        let Loaded { mut table, source, selection } = data.load(run, true)?;
        refuse_far_out(run, &mut table, &selection, source.drop_invalid)?;
        let (files, fingerprint) = (names(&table), fingerprint(&table));
        let mut scored = ScoredTable::new(&run.record.preprocessing, table.x, table.y);
        scored.readings = table.readings;
        return Ok((files, scored, fingerprint, "other table"));
    }
    let Some(dataset) = own else { unreachable!("without another table the run's own is loaded") };
    let ((x, y), rows) = match options.rows {
        ScoredRows::Test => (dataset.table.part(&dataset.split.test), "test"),
        ScoredRows::All => ((dataset.table.x.clone(), dataset.table.y.clone()), "all"),
    };
    let scored = ScoredTable::new(&run.record.preprocessing, x, y);
    Ok((names(&dataset.table), scored, dataset.fingerprint.clone(), rows))
}

impl ScoredTable {
    fn new(preprocessing: &Preprocessing, raw_x: Array2<f64>, raw_y: Array2<f64>) -> Self {
        let (x, y) = preprocessing.gauged(raw_x.view(), raw_y.view());
        Self { raw_x, raw_y, x, y, readings: Vec::new() }
    }
}

/// True and predicted values of the quantities that figures show.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Name and unit of each quantity.
    pub labels: Vec<(String, &'static str)>,
    /// Events x quantities.
    pub truth: Vec<Array2<f64>>,
    /// Means over the draws, events x quantities.
    pub predicted: Vec<Array2<f64>>,
}

/// Everything that is added up over chunks of events.
struct Scores {
    mean: PointErrors,
    draw: PointErrors,
    ensemble: EnsembleScores,
    /// Hits of highest-density regions, one accumulator a level; empty without a density.
    hdr: Vec<Accumulator>,
    molecule: Option<MoleculeScores>,
    train_mean: Option<(TrainingMean, PointErrors)>,
    neighbours: Option<NeighbourBaseline>,
    pairs: Pairs,
    alive: Vec<usize>,
}

struct MoleculeScores {
    molecule: Molecule,
    coordinates: InternalCoordinates,
    gauge_free: GaugeFreeScores,
    frame: FrameRule,
    resimulation: ResimulationErrors,
}

struct NeighbourBaseline {
    neighbours: NearestNeighbours,
    k: usize,
    errors: PointErrors,
    gauge_free: Option<GaugeFreeScores>,
}

impl Scores {
    fn new(run: &TrainedRun, own: Option<&Dataset>) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let columns = preprocessing.x_names().len();
        let alive = preprocessing.alive_x().to_vec();
        let errors = || PointErrors::new(columns, &alive);
        let molecule = run.molecule().map(|m| MoleculeScores::new(run, m)).transpose()?;
        let (mut train_mean, mut neighbours) = (None, None);
        if let Some(dataset) = own {
            let (raw_x, raw_y) = dataset.table.part(&dataset.split.train);
            let (x, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
            train_mean = Some((TrainingMean::fit(x.view())?, errors()?));
            let scaled_y = preprocessing.encode_y(raw_y.view()).mapv(f64::from);
            let tree = NearestNeighbours::fit(scaled_y.view(), x.view())?;
            let (raw_x, raw_y) = dataset.table.part(&dataset.split.validation);
            let (x, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
            let scaled_y = preprocessing.encode_y(raw_y.view()).mapv(f64::from);
            let k = tree.choose_k(scaled_y.view(), x.view(), &NEIGHBOUR_CANDIDATES)?.k;
            let gauge_free = molecule.as_ref().map(|m| m.gauge_free.clone());
            neighbours =
                Some(NeighbourBaseline { neighbours: tree, k, errors: errors()?, gauge_free });
        }
        let mut pairs = Pairs::default();
        match &molecule {
            Some(molecule) => pairs.labels = molecule.labels(),
            None => {
                let names = alive.iter().map(|&column| preprocessing.x_names()[column].clone());
                pairs.labels = names.map(|name| (name, "")).collect();
            }
        }
        Ok(Self {
            mean: errors()?,
            draw: errors()?,
            ensemble: EnsembleScores::new(columns, &alive, &COVERAGE_LEVELS)?,
            hdr: Vec::new(),
            molecule,
            train_mean,
            neighbours,
            pairs,
            alive,
        })
    }

    /// Takes the log densities of the truth and of the draws of a chunk of events, where there are any.
    fn add_densities(
        &mut self,
        truth: Option<Array1<f64>>,
        draws: Option<Array2<f64>>,
    ) -> Result<(), RunError> {
        let (Some(truth), Some(draws)) = (truth, draws) else { return Ok(()) };
        let ranks = density_ranks(truth.view(), draws.view())?;
        self.hdr.resize_with(COVERAGE_LEVELS.len(), Accumulator::default);
        for (accumulator, level) in self.hdr.iter_mut().zip(COVERAGE_LEVELS) {
            ranks.lowest_hits(level)?.iter().for_each(|hit| accumulator.add(*hit));
        }
        Ok(())
    }

    /// Takes the draws (`n` x K x columns) of a chunk of events.
    fn add(
        &mut self,
        run: &TrainedRun,
        x: ArrayView2<'_, f64>,
        raw_y: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(), RunError> {
        let mean = Estimator::Mean.estimate(draws.view())?;
        self.mean.add(x, mean.view())?;
        self.draw.add(x, Estimator::Draw.estimate(draws.view())?.view())?;
        self.ensemble.add(x, draws.view())?;
        match &mut self.molecule {
            Some(molecule) => {
                molecule.add(run, x, y, draws)?;
                let (truth, predicted) = molecule.pairs(x, draws)?;
                self.pairs.truth.push(truth);
                self.pairs.predicted.push(predicted);
            }
            None => {
                self.pairs.truth.push(x.select(Axis(1), &self.alive));
                self.pairs.predicted.push(mean.select(Axis(1), &self.alive));
            }
        }
        if let Some((train_mean, errors)) = &mut self.train_mean {
            errors.add(x, train_mean.estimate(x.nrows()).view())?;
        }
        if let Some(baseline) = &mut self.neighbours {
            let scaled_y = run.record.preprocessing.encode_y(raw_y).mapv(f64::from);
            let near = baseline.neighbours.draws(scaled_y.view(), baseline.k)?;
            baseline.errors.add(x, Estimator::Mean.estimate(near.view())?.view())?;
            if let Some(gauge_free) = &mut baseline.gauge_free {
                gauge_free.add(x, near.view())?;
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        run: &TrainedRun,
        scored: &ScoredTable,
        draws: usize,
        seed: u64,
    ) -> Result<Evaluation, RunError> {
        let names = run.record.preprocessing.x_names();
        let train_mean =
            self.train_mean.as_ref().map(|(_, errors)| errors.scores(names)).transpose()?;
        let knn = match &self.neighbours {
            None => None,
            Some(baseline) => Some(NeighbourScores {
                k: baseline.k,
                rows_used: baseline.neighbours.rows_used(),
                scores: baseline.errors.scores(names)?,
                gauge_free: baseline.gauge_free.as_ref().map(|g| g.mean_errors()).transpose()?,
            }),
        };
        let (nll, bound, invertibility) = likelihood(run, scored, seed);
        let mut distribution = Distribution::of(&self.ensemble)?;
        for (accumulator, level) in self.hdr.iter().zip(COVERAGE_LEVELS) {
            let Some(summary) = accumulator.summary() else { continue };
            distribution.coverage_hdr.insert(level_key(level), summary.mean);
            if let Some(error) = summary.standard_error {
                distribution.coverage_hdr_standard_error.insert(level_key(level), error);
            }
        }
        let molecule = self.molecule.as_ref();
        Ok(Evaluation {
            rows: scored.x.nrows(),
            draws,
            estimators: Estimators {
                mean: self.mean.scores(names)?,
                draw: self.draw.scores(names)?,
            },
            baselines: Baselines { train_mean, knn },
            gauge_free: molecule.map(|m| m.gauge_free.summary()).transpose()?,
            likelihood: nll,
            likelihood_bound: bound,
            distribution,
            resimulation: molecule.map(|m| m.resimulation.summary()).transpose()?,
            invertibility_max_abs: invertibility,
        })
    }
}

/// Negative log-likelihood of the scored rows in raw units, the bound of it where the model has only
/// that, and the largest `|x - f^-1(f(x))|` in scaled units of a model with an exact density.
fn likelihood(
    run: &TrainedRun,
    scored: &ScoredTable,
    seed: u64,
) -> (Option<NegativeLogLikelihood>, Option<LikelihoodBound>, Option<f64>) {
    let (raw_x, raw_y) = (scored.raw_x.view(), scored.raw_y.view());
    let preprocessing = &run.record.preprocessing;
    let d_eff = preprocessing.d_eff();
    let (x, y) = scaled(run, raw_x, raw_y, seed);
    let Some(log_prob) = log_prob(run, raw_x, raw_y, seed) else {
        let mut rng = stream(seed, Purpose::LikelihoodBound, 0);
        let batch = Batch { x: x.view(), y: y.view() };
        let bounds = run.log_prob_bound(batch, BOUND_SAMPLES, &mut rng);
        let scales = preprocessing.log_abs_det(raw_x, raw_y);
        let bound = bounds.and_then(|bounds| {
            let values = bounds.into_iter().zip(scales).map(|(bound, scale)| scale - bound);
            LikelihoodBound::of(values, BOUND_SAMPLES, d_eff)
        });
        return (None, bound, None);
    };
    let values = log_prob.into_iter().map(|log_prob| -log_prob);
    let nll = NegativeLogLikelihood::of(values, d_eff);
    let mut worst = 0.0f32;
    for Member { model, .. } in &run.members {
        for (x, y) in x.axis_chunks_iter(Axis(0), 8192).zip(y.axis_chunks_iter(Axis(0), 8192)) {
            let z = model.latent_moments(Batch { x, y }).mean;
            let back = model.decode(z.view(), y);
            // Not `max`: it would pass over a NaN.
            let larger =
                |worst: f32, error: &f32| if error.abs() <= worst { worst } else { error.abs() };
            worst = (&back - &x).iter().fold(worst, larger);
        }
    }
    (nll, None, Some(f64::from(worst)))
}

impl MoleculeScores {
    fn new(run: &TrainedRun, molecule: &Molecule) -> Result<Self, RunError> {
        let coordinates = internal_coordinates(&run.experiment, molecule)?;
        Ok(Self {
            gauge_free: GaugeFreeScores::new(coordinates.clone(), &COVERAGE_LEVELS)?,
            coordinates,
            frame: FrameRule {
                x_axis: molecule.atom_count() - 1,
                xy_plane: molecule.atom_count() - 2,
            },
            resimulation: ResimulationErrors::default(),
            molecule: molecule.clone(),
        })
    }

    fn labels(&self) -> Vec<(String, &'static str)> {
        let bonds = self.coordinates.pair_labels().iter().map(|label| (label.clone(), "pm"));
        let angles = self.coordinates.triple_labels().iter().map(|label| (label.clone(), "deg"));
        bonds.chain(angles).collect()
    }

    fn add(
        &mut self,
        run: &TrainedRun,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(), RunError> {
        self.gauge_free.add(x, draws.view())?;
        if y.ncols() != x.ncols() {
            return Ok(());
        }
        let count = run.experiment.evaluation.resimulated_draws.min(draws.len_of(Axis(1)));
        let positions = first_rows(draws, count);
        let resimulated = explode_all(&self.molecule, positions.view(), &Accuracy::default())?;
        let resimulated = self.in_one_frame(resimulated);
        let measured = self.in_one_frame(y.to_owned());
        let shape = (x.nrows(), count, x.ncols());
        let resimulated = match resimulated.into_shape_with_order(shape) {
            Ok(resimulated) => resimulated,
            Err(_) => unreachable!("there is one explosion a draw"),
        };
        self.resimulation.add(measured.view(), resimulated.view())?;
        Ok(())
    }

    /// Rotates every row of momenta into the frame of its last two atoms.
    fn in_one_frame(&self, mut momenta: Array2<f64>) -> Array2<f64> {
        for mut row in momenta.rows_mut() {
            if let Some(row) = row.as_slice_mut() {
                self.frame.rotation(row).apply(row);
            }
        }
        momenta
    }

    /// True and mean predicted bond lengths (pm) and angles (degrees), events x quantities.
    fn pairs(
        &self,
        x: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), RunError> {
        let pm = cei_metrics::PM_PER_BOHR;
        let truth =
            side_by_side(&(self.coordinates.lengths(x)? * pm), &self.coordinates.angles_deg(x)?);
        let mean = |values: Array3<f64>| Estimator::Mean.estimate(values.view());
        let predicted = side_by_side(
            &(mean(self.coordinates.lengths_of_draws(draws.view())?)? * pm),
            &mean(self.coordinates.angles_deg_of_draws(draws.view())?)?,
        );
        Ok((truth, predicted))
    }
}

fn side_by_side(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    match concatenate(Axis(1), &[left.view(), right.view()]) {
        Ok(both) => both,
        Err(_) => unreachable!("both have one row an event"),
    }
}

/// Bond lengths of all pairs, and angles about the configured vertex.
///
/// # Errors
/// A vertex that the molecule does not have.
pub fn internal_coordinates(
    experiment: &Experiment,
    molecule: &Molecule,
) -> Result<InternalCoordinates, RunError> {
    let vertex = match &experiment.evaluation.vertex {
        None => 0,
        Some(label) => molecule.index_of(label).ok_or_else(|| RunError::UnknownAtom {
            key: "evaluation.vertex",
            label: label.clone(),
            atoms: molecule.labels().join(", "),
        })?,
    };
    Ok(InternalCoordinates::about(molecule.labels(), vertex)?)
}
