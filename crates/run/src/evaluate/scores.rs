//! Everything that is added up over chunks of events: errors, coverage, baselines.

use cei_metrics::results::{
    Baselines, Distribution, Estimators, Evaluation, NeighbourScores, NuisanceScores, level_key,
};
use cei_metrics::{
    Accumulator, COVERAGE_LEVELS, EnsembleScores, Estimator, GaugeFreeScores, NEIGHBOUR_CANDIDATES,
    NearestNeighbours, PointErrors, TrainingMean, density_ranks,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};

use super::likelihood::Likelihood;
use super::molecule::MoleculeScores;
use super::table::ScoredTable;
use crate::dataset::Dataset;
use crate::{RunError, TrainedRun};

/// True and predicted values of the quantities that figures show.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs {
    /// Name and unit of each quantity.
    pub labels: Vec<(String, &'static str)>,
    /// Events x quantities.
    pub truth: Vec<Array2<f64>>,
    /// Means over the draws, events x quantities.
    pub predicted: Vec<Array2<f64>>,
}

/// Everything that is added up over chunks of events.
pub(super) struct Scores {
    mean: PointErrors,
    draw: PointErrors,
    ensemble: EnsembleScores,
    /// Hits of highest-density regions, one accumulator a level; empty without a density.
    hdr: Vec<Accumulator>,
    molecule: Option<MoleculeScores>,
    train_mean: Option<(TrainingMean, PointErrors)>,
    neighbours: Option<NeighbourBaseline>,
    pub(super) pairs: Pairs,
    /// Positions that vary.
    alive: Vec<usize>,
    /// Number of positions; what stands behind them are nuisances.
    positions: usize,
    nuisances: Option<NuisanceErrors>,
}

struct NuisanceErrors {
    mean: PointErrors,
    train_mean: Option<(TrainingMean, PointErrors)>,
}

struct NeighbourBaseline {
    neighbours: NearestNeighbours,
    k: usize,
    errors: PointErrors,
    gauge_free: Option<GaugeFreeScores>,
}

impl Scores {
    /// `seed` is that of what is drawn for the scores.
    pub(super) fn new(
        run: &TrainedRun,
        own: Option<&Dataset>,
        seed: u64,
    ) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let columns = preprocessing.positions();
        let alive: Vec<usize> =
            preprocessing.alive_x().iter().copied().filter(|column| *column < columns).collect();
        let width = preprocessing.x_names().len() - columns;
        let errors_of_nuisances = || PointErrors::new(width, &[]);
        let mut nuisances = None;
        if width > 0 {
            nuisances = Some(NuisanceErrors { mean: errors_of_nuisances()?, train_mean: None });
        }
        let errors = || PointErrors::new(columns, &alive);
        let molecule = run.molecule().map(|m| MoleculeScores::new(run, m, seed)).transpose()?;
        let (mut train_mean, mut neighbours) = (None, None);
        if let Some(dataset) = own {
            let (raw_x, raw_y) = dataset.table.part(&dataset.split.train);
            let (x, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
            let (x, of_nuisances) = x.view().split_at(Axis(1), columns);
            if let Some(nuisances) = &mut nuisances {
                let mean = TrainingMean::fit(of_nuisances)?;
                nuisances.train_mean = Some((mean, errors_of_nuisances()?));
            }
            train_mean = Some((TrainingMean::fit(x)?, errors()?));
            let scaled_y = preprocessing.neighbour_y(raw_y.view());
            let tree = NearestNeighbours::fit(scaled_y.view(), x)?;
            let (raw_x, raw_y) = dataset.table.part(&dataset.split.validation);
            let (x, _) = preprocessing.gauged(raw_x.view(), raw_y.view());
            let scaled_y = preprocessing.neighbour_y(raw_y.view());
            let x = x.slice(s![.., ..columns]);
            let k = tree.choose_k(scaled_y.view(), x, &NEIGHBOUR_CANDIDATES)?.k;
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
            positions: columns,
            nuisances,
        })
    }

    /// Takes the log densities of the truth and of the draws of a chunk of events, where there are any.
    pub(super) fn add_densities(
        &mut self,
        densities: Option<&(Array1<f64>, Array2<f64>)>,
    ) -> Result<(), RunError> {
        let Some((truth, draws)) = densities else { return Ok(()) };
        let ranks = density_ranks(truth.view(), draws.view())?;
        self.hdr.resize_with(COVERAGE_LEVELS.len(), Accumulator::default);
        for (accumulator, level) in self.hdr.iter_mut().zip(COVERAGE_LEVELS) {
            ranks.lowest_hits(level)?.iter().for_each(|hit| accumulator.add(*hit));
        }
        Ok(())
    }

    /// Takes the draws (`n` x K x columns) of a chunk of events.
    pub(super) fn add(
        &mut self,
        run: &TrainedRun,
        x: ArrayView2<'_, f64>,
        raw_y: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(), RunError> {
        if let Some(molecule) = &mut self.molecule {
            molecule.add(run, x, y, draws)?;
        }
        let (x, of_nuisances) = x.split_at(Axis(1), self.positions);
        let (draws, nuisance_draws) = draws.view().split_at(Axis(2), self.positions);
        if let Some(nuisances) = &mut self.nuisances {
            nuisances.mean.add(of_nuisances, Estimator::Mean.estimate(nuisance_draws)?.view())?;
            if let Some((mean, errors)) = &mut nuisances.train_mean {
                errors.add(of_nuisances, mean.estimate(x.nrows()).view())?;
            }
        }
        let mean = Estimator::Mean.estimate(draws)?;
        self.mean.add(x, mean.view())?;
        self.draw.add(x, Estimator::Draw.estimate(draws)?.view())?;
        self.ensemble.add(x, draws)?;
        match &mut self.molecule {
            Some(molecule) => {
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
            let scaled_y = run.record.preprocessing.neighbour_y(raw_y);
            let near = baseline.neighbours.draws(scaled_y.view(), baseline.k)?;
            baseline.errors.add(x, Estimator::Mean.estimate(near.view())?.view())?;
            if let Some(gauge_free) = &mut baseline.gauge_free {
                gauge_free.add(x, near.view())?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(
        &self,
        run: &TrainedRun,
        scored: &ScoredTable,
        draws: usize,
        likelihood: &Likelihood,
    ) -> Result<Evaluation, RunError> {
        let names = run.record.preprocessing.x_names();
        let (names, nuisance_names) = names.split_at(self.positions);
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
        let mut distribution = Distribution::of(&self.ensemble)?;
        add_coverage_hdr(&mut distribution, &self.hdr);
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
            nuisances: match &self.nuisances {
                Some(errors) => errors.scores(nuisance_names)?,
                None => Vec::new(),
            },
            likelihood: likelihood.nll,
            likelihood_bound: likelihood.bound,
            distribution,
            resimulation: molecule.map(|m| m.resimulation.summary()).transpose()?,
            invertibility_max_abs: likelihood.invertibility,
        })
    }
}

/// The coverage of highest-density regions, from hits at each level.
pub(super) fn add_coverage_hdr(distribution: &mut Distribution, hits: &[Accumulator]) {
    for (accumulator, level) in hits.iter().zip(COVERAGE_LEVELS) {
        let Some(summary) = accumulator.summary() else { continue };
        distribution.coverage_hdr.insert(level_key(level), summary.mean);
        if let Some(error) = summary.standard_error {
            distribution.coverage_hdr_standard_error.insert(level_key(level), error);
        }
    }
}

impl NuisanceErrors {
    fn scores(&self, names: &[String]) -> Result<Vec<NuisanceScores>, RunError> {
        let of_train_mean = match &self.train_mean {
            Some((_, errors)) => Some(errors.root_mean_square()?),
            None => None,
        };
        let scores = names.iter().zip(self.mean.root_mean_square()?).enumerate();
        let scores = scores.map(|(place, (name, error))| NuisanceScores {
            column: name.clone(),
            rmse: error.mean,
            rmse_train_mean: of_train_mean.as_ref().map(|errors| errors[place].mean),
        });
        Ok(scores.collect())
    }
}
