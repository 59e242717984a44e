//! Scores of the events of which as many ions, or the same ones, were detected.

use cei_data::by_detected;
use cei_metrics::results::{Distribution, NegativeLogLikelihood};
use cei_metrics::{Accumulator, COVERAGE_LEVELS, EnsembleScores, GaugeFreeScores, density_ranks};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};

use super::report::DetectedScores;
use super::scores::add_coverage_hdr;
use super::table::ScoredTable;
use crate::trained::{detected_sets, internal_coordinates};
use crate::{RunError, TrainedRun};

/// Everything that is added up for each of these sets of events.
pub(super) struct ByDetected {
    groups: Vec<Group>,
    /// Number of positions; what stands behind them are nuisances.
    positions: usize,
}

struct Group {
    ions: usize,
    missing: Option<Vec<String>>,
    /// Scored rows, rising.
    rows: Vec<usize>,
    ensemble: EnsembleScores,
    /// Hits of highest-density regions, one accumulator a level; empty without a density.
    hdr: Vec<Accumulator>,
    gauge_free: Option<GaugeFreeScores>,
}

impl ByDetected {
    /// Sets of the rows to be scored; none where no ion may be missing.
    pub(super) fn new(run: &TrainedRun, scored: &ScoredTable) -> Result<Self, RunError> {
        let preprocessing = &run.record.preprocessing;
        let positions = preprocessing.positions();
        let Some(molecule) = run.molecule().filter(|_| preprocessing.may_miss_ions()) else {
            return Ok(Self { groups: Vec::new(), positions });
        };
        let alive: Vec<usize> =
            preprocessing.alive_x().iter().copied().filter(|column| *column < positions).collect();
        let sets = by_detected(preprocessing.momenta_of(scored.raw_y.view()));
        let sets = detected_sets(molecule, sets).into_iter().map(|set| {
            let coordinates =
                internal_coordinates(&run.experiment, molecule, run.record.preprocessing.alike())?;
            Ok(Group {
                ions: set.ions,
                missing: set.missing,
                rows: set.rows,
                ensemble: EnsembleScores::new(positions, &alive, &COVERAGE_LEVELS)?,
                hdr: Vec::new(),
                gauge_free: Some(GaugeFreeScores::new(coordinates, &COVERAGE_LEVELS)?),
            })
        });
        Ok(Self { groups: sets.collect::<Result<_, RunError>>()?, positions })
    }

    /// Takes the draws (`n` x K x columns) of the rows from `start` on, and their densities where they have any.
    pub(super) fn add(
        &mut self,
        start: usize,
        x: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
        densities: Option<&(Array1<f64>, Array2<f64>)>,
    ) -> Result<(), RunError> {
        let end = start + x.nrows();
        for group in &mut self.groups {
            let within = group.rows.iter().filter(|row| (start..end).contains(row));
            let rows: Vec<usize> = within.map(|row| row - start).collect();
            if rows.is_empty() {
                continue;
            }
            let x = x.slice(s![.., ..self.positions]).select(Axis(0), &rows);
            let draws = draws.slice(s![.., .., ..self.positions]).select(Axis(0), &rows);
            group.ensemble.add(x.view(), draws.view())?;
            if let Some(gauge_free) = &mut group.gauge_free {
                gauge_free.add(x.view(), draws.view())?;
            }
            if let Some((truth, of_draws)) = densities {
                let (truth, of_draws) =
                    (truth.select(Axis(0), &rows), of_draws.select(Axis(0), &rows));
                let ranks = density_ranks(truth.view(), of_draws.view())?;
                group.hdr.resize_with(COVERAGE_LEVELS.len(), Accumulator::default);
                for (accumulator, level) in group.hdr.iter_mut().zip(COVERAGE_LEVELS) {
                    ranks.lowest_hits(level)?.iter().for_each(|hit| accumulator.add(*hit));
                }
            }
        }
        Ok(())
    }

    /// `nll` is that of each row, empty without a density.
    pub(super) fn finish(
        &self,
        run: &TrainedRun,
        nll: &[f64],
    ) -> Result<Vec<DetectedScores>, RunError> {
        let d_eff = run.record.preprocessing.d_eff();
        let of_group = |group: &Group| {
            let mut distribution = Distribution::of(&group.ensemble)?;
            add_coverage_hdr(&mut distribution, &group.hdr);
            let values = group.rows.iter().filter_map(|row| nll.get(*row).copied());
            Ok(DetectedScores {
                ions: group.ions,
                missing: group.missing.clone(),
                rows: group.rows.len(),
                likelihood: NegativeLogLikelihood::of(values, d_eff),
                distribution,
                gauge_free: group.gauge_free.as_ref().map(|scores| scores.summary()).transpose()?,
            })
        };
        self.groups.iter().map(of_group).collect()
    }
}
