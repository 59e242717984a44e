//! The tables that a prediction writes: draws, a summary of each event, and the modes of each refined one.

use cei_data::{ColumnData, ColumnType, Further, SharedFrame};
use cei_metrics::{InternalCoordinates, PM_PER_BOHR, quantile};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::rows_of;
use crate::plausibility::{Cause, Outside, Plausibility};
use crate::predict::is_far_out;
use crate::refine::{PositionMode, RefinedEvent, Refiner};
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// The quantiles of a summary, and how their columns are named.
const QUANTILES: [(f64, &str); 5] =
    [(0.05, "q05"), (0.16, "q16"), (0.5, "q50"), (0.84, "q84"), (0.95, "q95")];

/// A chunk of events: raw momenta, the network's draws, and what the simulator made of them.
pub(crate) struct Events<'a> {
    pub(crate) first: usize,
    /// Number of the first draw of each.
    pub(crate) first_draw: usize,
    pub(crate) y: ArrayView2<'a, f64>,
    pub(crate) draws: &'a Array3<f64>,
    pub(crate) refined: Option<&'a [RefinedEvent]>,
    /// The limits of the geometry law that each event is flagged for, in words; empty where the law has none.
    pub(crate) law_edge: &'a [Option<String>],
}

impl Events<'_> {
    /// The draws of each event (any number x columns).
    fn rows(&self) -> Vec<ArrayView2<'_, f64>> {
        rows_of(self.draws, self.refined)
    }
}

/// What the tables of one prediction have in common.
pub(crate) struct Tables<'a> {
    run: &'a TrainedRun,
    /// Number of each event: its row in the momenta file, from 0.
    numbers: Vec<u64>,
    coordinates: Option<InternalCoordinates>,
    outside: Option<&'a [Outside]>,
    /// Why the file as a set is far from training, in one word, if it is; none where that is not known.
    file: Option<Option<&'static str>>,
    /// Whether the geometry law has limits.
    has_limits: bool,
    /// Whether there is a refinement, and then whether draws have weights.
    refined: Option<bool>,
    /// Whether positions are given in the orientation of the file too.
    pub(crate) rotates_back: bool,
    /// Further columns of the momenta file, for each event.
    further: Vec<(String, ColumnData)>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(
        run: &'a TrainedRun,
        numbers: Vec<u64>,
        outside: Option<&'a [Outside]>,
        file: Option<&Plausibility>,
        has_limits: bool,
        refiner: Option<&Refiner<'_>>,
    ) -> Result<Self, RunError> {
        let coordinates = run
            .molecule()
            .map(|molecule| internal_coordinates(&run.experiment, molecule))
            .transpose()?;
        let frame = run.record.preprocessing.config().gauge.frame;
        Ok(Self {
            run,
            numbers,
            coordinates,
            outside,
            file: file.map(|file| file.cause.as_ref().map(Cause::name)),
            has_limits,
            refined: refiner.map(Refiner::has_noise),
            rotates_back: frame == SharedFrame::Momentum,
            further: Vec::new(),
        })
    }

    /// Passes further columns of the momenta file on into all tables; gives what has to be said about them.
    pub(crate) fn pass_on(&mut self, further: Further) -> Vec<String> {
        let own = [self.draw_columns(), self.summary_columns(), self.mode_columns()]
            .into_iter()
            .flatten();
        let (columns, remarks) = further.beside(&own.map(|(name, _)| name).collect::<Vec<_>>());
        self.further = columns;
        remarks
    }

    fn further_columns(&self) -> impl Iterator<Item = (String, ColumnType)> {
        self.further.iter().map(|(name, data)| (name.clone(), data.column_type()))
    }

    /// The cells of the further columns, for events that have so many rows each.
    fn further_of(
        &self,
        events: &Events<'_>,
        rows: impl Iterator<Item = usize> + Clone,
    ) -> impl Iterator<Item = ColumnData> {
        let places = (events.first..).zip(rows);
        let places = places.flat_map(|(event, rows)| std::iter::repeat_n(event, rows));
        self.further.iter().map(move |(_, data)| data.select(places.clone()))
    }

    /// The draws of each event; none of one whose momenta are no measurements.
    fn rows<'b>(&self, events: &'b Events<'_>) -> Vec<ArrayView2<'b, f64>> {
        let mut rows = events.rows();
        for (event, rows) in rows.iter_mut().enumerate() {
            if is_far_out(self.outside, events.first + event) {
                rows.slice_collapse(s![..0, ..]);
            }
        }
        rows
    }

    fn numbers(&self, events: &Events<'_>) -> &[u64] {
        &self.numbers[events.first..events.first + events.y.nrows()]
    }

    /// One column for each position; for a shared momentum frame also the positions in the orientation
    /// of the file, `..._file`.
    fn position_columns(&self) -> Vec<(String, ColumnType)> {
        let names = self.run.record.preprocessing.x_names();
        let mut columns: Vec<_> =
            names.iter().map(|name| (name.clone(), ColumnType::F64)).collect();
        if self.rotates_back {
            columns.extend(names.iter().map(|name| (format!("{name}_file"), ColumnType::F64)));
        }
        columns
    }

    /// Positions of each event one under another, and the same in the orientation of the file.
    fn positions(&self, rows: &[ArrayView2<'_, f64>], y: ArrayView2<'_, f64>) -> Vec<Array2<f64>> {
        let width = self.run.record.preprocessing.x_names().len();
        let total: usize = rows.iter().map(ArrayView2::nrows).sum();
        let mut all = Array2::zeros((total, width));
        let mut start = 0;
        for rows in rows {
            all.slice_mut(ndarray::s![start..start + rows.nrows(), ..]).assign(rows);
            start += rows.nrows();
        }
        if !self.rotates_back {
            return vec![all];
        }
        let gauge = self.run.record.preprocessing.gauge();
        let events: Vec<Vec<f64>> = y.rows().into_iter().map(|y| y.to_vec()).collect();
        let event_of: Vec<usize> = rows
            .iter()
            .enumerate()
            .flat_map(|(event, rows)| std::iter::repeat_n(event, rows.nrows()))
            .collect();
        let mut turned = all.clone();
        turned.axis_iter_mut(Axis(0)).into_par_iter().zip(event_of).for_each(|(mut row, event)| {
            if let Some(row) = row.as_slice_mut() {
                gauge.rotate_back(row, &events[event]);
            }
        });
        vec![all, turned]
    }

    /// `event`, `draw`, under refinement `outside_model` (0 or 1), the positions (bohr), and what else the momenta file has of the event.
    pub(crate) fn draw_columns(&self) -> Vec<(String, ColumnType)> {
        let mut columns =
            vec![("event".to_owned(), ColumnType::U64), ("draw".to_owned(), ColumnType::U32)];
        if self.refined.is_some() {
            columns.push(("outside_model".to_owned(), ColumnType::U32));
        }
        columns.extend(self.position_columns());
        columns.extend(self.further_columns());
        columns
    }

    /// `event`, `draw` and the positions (bohr).
    pub(crate) fn chain_columns(&self) -> Vec<(String, ColumnType)> {
        let mut columns =
            vec![("event".to_owned(), ColumnType::U64), ("draw".to_owned(), ColumnType::U32)];
        columns.extend(self.position_columns());
        columns.extend(self.further_columns());
        columns
    }

    pub(crate) fn chain(&self, events: &Events<'_>) -> Vec<ColumnData> {
        // An event without a chain has no rows, but keeps its number.
        let rows = events.refined.unwrap_or_default().iter().map(|event| match &event.chain {
            Some(chain) => chain.draws.view(),
            None => event.draws.slice(s![..0, ..]),
        });
        let rows: Vec<_> = rows.collect();
        self.numbered(&rows, events, None)
    }

    pub(crate) fn draws(&self, events: &Events<'_>) -> Vec<ColumnData> {
        self.numbered(&self.rows(events), events, events.refined)
    }

    /// The rows of each event one under another, with their numbers and, where it is refined, whether
    /// it is outside the model.
    fn numbered(
        &self,
        rows: &[ArrayView2<'_, f64>],
        events: &Events<'_>,
        refined: Option<&[RefinedEvent]>,
    ) -> Vec<ColumnData> {
        let number = self.numbers(events).iter().zip(rows);
        let mut columns = vec![
            ColumnData::U64(
                number
                    .flat_map(|(event, rows)| std::iter::repeat_n(*event, rows.nrows()))
                    .collect(),
            ),
            ColumnData::U32(
                rows.iter()
                    .flat_map(|rows| {
                        (0..rows.nrows()).map(|draw| (events.first_draw + draw) as u32)
                    })
                    .collect(),
            ),
        ];
        if let Some(refined) = refined {
            let outside = rows.iter().zip(refined).flat_map(|(rows, event)| {
                std::iter::repeat_n(u32::from(event.outside.any()), rows.nrows())
            });
            columns.push(ColumnData::U32(outside.collect()));
        }
        for positions in self.positions(rows, events.y) {
            let values = positions.columns().into_iter().map(|column| column.to_vec());
            columns.extend(values.map(ColumnData::F64));
        }
        columns.extend(self.further_of(events, rows.iter().map(ArrayView2::nrows)));
        columns
    }

    /// Names of the positions, bond lengths (pm) and angles (degrees).
    fn quantities(&self) -> Vec<String> {
        let mut quantities = self.run.record.preprocessing.x_names().to_vec();
        quantities.extend(self.internal_names());
        quantities
    }

    fn internal_names(&self) -> Vec<String> {
        self.coordinates.as_ref().map_or_else(Vec::new, |coordinates| {
            let lengths = coordinates.pair_labels().iter().map(|label| format!("{label}_pm"));
            let angles = coordinates.triple_labels().iter().map(|label| format!("{label}_deg"));
            lengths.chain(angles).collect()
        })
    }

    /// Bond lengths (pm) and angles (degrees) of positions.
    fn internal(&self, positions: ArrayView2<'_, f64>) -> Result<Vec<Array2<f64>>, RunError> {
        let Some(coordinates) = &self.coordinates else { return Ok(Vec::new()) };
        Ok(vec![coordinates.lengths(positions)? * PM_PER_BOHR, coordinates.angles_deg(positions)?])
    }

    /// `event`; `outside` names why it is outside the training support and `outside_model` why it is not
    /// what the model describes; for every position, bond length (pm) and angle (degrees), mean, standard
    /// deviation and quantiles over the draws; `outside_file` names why the file as a set is far from training, and
    /// `law_edge` at which limits of the geometry law the event is pinned.
    pub(crate) fn summary_columns(&self) -> Vec<(String, ColumnType)> {
        let mut columns = vec![("event".to_owned(), ColumnType::U64)];
        if self.outside.is_some() {
            columns.push(("outside".to_owned(), ColumnType::Text));
        }
        if let Some(noise) = self.refined {
            columns.push(("outside_model".to_owned(), ColumnType::Text));
            columns.push(("modes".to_owned(), ColumnType::U32));
            if noise {
                let names = ["k_hat", "effective_sample_size", "log_evidence"];
                columns.extend(names.map(|name| (name.to_owned(), ColumnType::F64)));
            }
        }
        for quantity in self.quantities() {
            columns.push((format!("{quantity}_mean"), ColumnType::F64));
            columns.push((format!("{quantity}_sd"), ColumnType::F64));
            let quantiles = QUANTILES.iter().map(|(_, name)| format!("{quantity}_{name}"));
            columns.extend(quantiles.map(|name| (name, ColumnType::F64)));
        }
        if self.file.is_some() {
            columns.push(("outside_file".to_owned(), ColumnType::Text));
        }
        if self.has_limits {
            columns.push(("law_edge".to_owned(), ColumnType::Text));
        }
        columns.extend(self.further_columns());
        columns
    }

    pub(crate) fn summary(&self, events: &Events<'_>) -> Result<Vec<ColumnData>, RunError> {
        let mut columns = vec![ColumnData::U64(self.numbers(events).to_vec())];
        if let Some(outside) = self.outside {
            let outside = &outside[events.first..events.first + events.y.nrows()];
            let reason = |event: &Outside| event.any().then(|| event.to_string());
            columns.push(ColumnData::Text(outside.iter().map(reason).collect()));
        }
        if let Some((noise, refined)) = self.refined.zip(events.refined) {
            let reason =
                |event: &RefinedEvent| event.outside.any().then(|| event.outside.to_string());
            columns.push(ColumnData::Text(refined.iter().map(reason).collect()));
            columns.push(ColumnData::U32(refined.iter().map(|e| e.modes.len() as u32).collect()));
            if noise {
                let numbers: [fn(&RefinedEvent) -> Option<f64>; 3] =
                    [|e| e.k_hat, |e| e.effective_sample_size, |e| e.log_evidence];
                for number in numbers {
                    let values = refined.iter().map(|event| number(event).unwrap_or(f64::NAN));
                    columns.push(ColumnData::F64(values.collect()));
                }
            }
        }
        let rows = self.rows(events);
        let statistics: Vec<Vec<f64>> = rows
            .par_iter()
            .map(|rows| {
                let mut statistics: Vec<f64> =
                    rows.columns().into_iter().flat_map(summarise).collect();
                for quantity in self.internal(*rows)? {
                    statistics.extend(quantity.columns().into_iter().flat_map(summarise));
                }
                Ok(statistics)
            })
            .collect::<Result<_, RunError>>()?;
        let width = self.quantities().len() * (2 + QUANTILES.len());
        columns.extend(
            (0..width).map(|column| {
                ColumnData::F64(statistics.iter().map(|event| event[column]).collect())
            }),
        );
        if let Some(why) = self.file {
            columns.push(ColumnData::Text(vec![why.map(str::to_owned); events.y.nrows()]));
        }
        if self.has_limits {
            columns.push(ColumnData::Text(events.law_edge.to_vec()));
        }
        columns.extend(self.further_of(events, std::iter::repeat_n(1, events.y.nrows())));
        Ok(columns)
    }

    /// `event`, `mode`, its posterior `weight` (with noise), the root mean square `misfit` of its momenta,
    /// the number of `searches` that ended there, whether the event is `outside_model` and whether the geometry law
    /// excludes the mode (`outside_law`; 0 or 1), both at the end, its positions (bohr), bond lengths (pm) and angles (degrees).
    pub(crate) fn mode_columns(&self) -> Vec<(String, ColumnType)> {
        let mut columns =
            vec![("event".to_owned(), ColumnType::U64), ("mode".to_owned(), ColumnType::U32)];
        if self.refined == Some(true) {
            columns.push(("weight".to_owned(), ColumnType::F64));
        }
        columns.push(("misfit".to_owned(), ColumnType::F64));
        columns.push(("searches".to_owned(), ColumnType::U32));
        columns.extend(self.position_columns());
        columns.extend(self.internal_names().into_iter().map(|name| (name, ColumnType::F64)));
        columns.extend(
            ["outside_model", "outside_law"].map(|name| (name.to_owned(), ColumnType::U32)),
        );
        columns.extend(self.further_columns());
        columns
    }

    pub(crate) fn modes(&self, events: &Events<'_>) -> Result<Vec<ColumnData>, RunError> {
        let refined = events.refined.unwrap_or_default();
        let modes = || refined.iter().flat_map(|event| &event.modes);
        let number = self.numbers(events).iter().zip(refined);
        let mut columns = vec![
            ColumnData::U64(
                number.flat_map(|(event, r)| std::iter::repeat_n(*event, r.modes.len())).collect(),
            ),
            ColumnData::U32(refined.iter().flat_map(|event| 0..event.modes.len() as u32).collect()),
        ];
        if self.refined == Some(true) {
            let weight = |mode: &PositionMode| mode.weight.unwrap_or(f64::NAN);
            columns.push(ColumnData::F64(modes().map(weight).collect()));
        }
        columns.push(ColumnData::F64(modes().map(|mode| mode.misfit).collect()));
        columns.push(ColumnData::U32(modes().map(|mode| mode.searches as u32).collect()));
        let width = self.run.record.preprocessing.x_names().len();
        let rows: Vec<Array2<f64>> = refined
            .iter()
            .map(|event| {
                Array2::from_shape_fn((event.modes.len(), width), |(mode, column)| {
                    event.modes[mode].positions[column]
                })
            })
            .collect();
        let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
        let mut matrices = self.positions(&views, events.y);
        matrices.extend(self.internal(matrices[0].view())?);
        for matrix in matrices {
            let values = matrix.columns().into_iter().map(|column| column.to_vec());
            columns.extend(values.map(ColumnData::F64));
        }
        let outside = refined.iter().flat_map(|event| {
            std::iter::repeat_n(u32::from(event.outside.any()), event.modes.len())
        });
        columns.push(ColumnData::U32(outside.collect()));
        columns.push(ColumnData::U32(modes().map(|mode| u32::from(mode.outside_law)).collect()));
        columns.extend(self.further_of(events, refined.iter().map(|event| event.modes.len())));
        Ok(columns)
    }
}

/// Mean, standard deviation (zero for a single draw) and quantiles of the draws of one event; NaN, which is written as
/// nothing, without any.
fn summarise(draws: ArrayView1<'_, f64>) -> Vec<f64> {
    let mut sorted = draws.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mean = draws.mean().unwrap_or(f64::NAN);
    let sd = match draws.len() {
        0 => f64::NAN,
        1 => 0.0,
        _ => draws.std(1.0),
    };
    let quantiles =
        QUANTILES.iter().map(|(level, _)| quantile(&sorted, *level).unwrap_or(f64::NAN));
    [mean, sd].into_iter().chain(quantiles).collect()
}
