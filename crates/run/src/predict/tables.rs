//! The rows of a prediction's tables: what they are made from, and what is worked out for all columns together.

use cei_data::{ColumnData, SharedFrame};
use cei_metrics::{InternalCoordinates, PM_PER_BOHR, quantile};
use cei_physics::Molecule;
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::coincidences::Coincidence;
use crate::plausibility::{Cause, Outside, Plausibility};
use crate::refine::{PositionMode, RefinedEvent, Refiner};
use crate::trained::internal_coordinates;
use crate::{RunError, TrainedRun};

/// The quantiles of a summary, and how their columns are named.
const QUANTILES: [(f64, &str); 5] =
    [(0.05, "q05"), (0.16, "q16"), (0.5, "q50"), (0.84, "q84"), (0.95, "q95")];

/// The tables that a prediction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A row for each draw of each event.
    Draws,
    /// A row for each event.
    Summary,
    /// A row for each mode of each event.
    Modes,
    /// A row for each draw of each event's Markov chain.
    Chain,
}

impl Kind {
    /// What records of shards call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Draws => "draws",
            Self::Summary => "summary",
            Self::Modes => "modes",
            Self::Chain => "chain",
        }
    }
}

/// A chunk of events: raw momenta, the network's draws, and what the simulator made of them.
pub(super) struct Events<'a> {
    /// Number of the first among all events.
    pub(super) first: usize,
    /// Number of the first draw of each.
    pub(super) first_draw: usize,
    pub(super) y: ArrayView2<'a, f64>,
    pub(super) draws: &'a Array3<f64>,
    pub(super) refined: Option<&'a [RefinedEvent]>,
    /// The limits of the geometry law that each event is flagged for, in words; empty where the law has none.
    pub(super) law_edge: &'a [Option<String>],
    /// How probable it is that the ions of each event come from one molecule; empty where that is not asked for.
    pub(super) coincidences: &'a [Coincidence],
}

/// What the tables of one prediction have in common.
pub(crate) struct Tables<'a> {
    run: &'a TrainedRun,
    /// Number of each event: its row in the momenta file, from 0.
    pub(super) numbers: Vec<u64>,
    pub(super) coordinates: Option<InternalCoordinates>,
    pub(super) outside: Option<&'a [Outside]>,
    /// Why the file as a set is far from training, in one word, if it is.
    pub(super) file: Option<&'static str>,
    /// Whether the geometry law has limits.
    pub(super) has_limits: bool,
    /// Whether there is a refinement, and then whether draws have weights.
    pub(super) refined: Option<bool>,
    /// Whether it is asked which events are false coincidences.
    pub(super) has_coincidences: bool,
    /// Whether positions are given in the orientation of the file too.
    pub(super) rotates_back: bool,
    /// The labels of the ions and the charge states that an event may be in, where that is inferred; empty otherwise.
    pub(super) states: Vec<Vec<f64>>,
    /// Names of the momenta at the start, where they are asked for; empty otherwise.
    pub(super) initial_momenta: Vec<String>,
    /// Further columns of the momenta file, for each event.
    pub(crate) further: Vec<(String, ColumnData)>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(
        run: &'a TrainedRun,
        numbers: Vec<u64>,
        outside: Option<&'a [Outside]>,
        file: Option<&Plausibility>,
        has_limits: bool,
        refiner: Option<&Refiner<'_>>,
    ) -> Result<Self, RunError> {
        let coordinates = run
            .molecule()
            .map(|molecule| {
                internal_coordinates(&run.experiment, molecule, run.record.preprocessing.alike())
            })
            .transpose()?;
        let frame = run.record.preprocessing.config().gauge.frame;
        Ok(Self {
            run,
            numbers,
            coordinates,
            outside,
            file: file.and_then(|file| file.cause.as_ref()).map(Cause::name),
            has_limits,
            refined: refiner.map(Refiner::has_noise),
            has_coincidences: false,
            rotates_back: frame == SharedFrame::Momentum,
            initial_momenta: match run.molecule() {
                Some(molecule) if refiner.is_some_and(Refiner::tells_initial_momenta) => {
                    molecule.initial_momentum_columns()
                }
                _ => Vec::new(),
            },
            states: refiner
                .and_then(Refiner::unknown_states)
                .unwrap_or_default()
                .iter()
                .map(|s| s.molecule.charges().to_vec())
                .collect(),
            further: Vec::new(),
        })
    }

    /// What frames are made of: the molecule, and its positions where they have a unit of length.
    pub(super) fn frames(&self) -> Option<(&Molecule, &[String])> {
        self.run.experiment.columns.x_unit.internal()?;
        Some((self.run.molecule()?, self.positions()))
    }

    /// Names of all that is inferred: positions, then nuisances.
    pub(super) fn inferred(&self) -> &[String] {
        self.run.record.preprocessing.x_names()
    }

    /// Names of the positions.
    pub(super) fn positions(&self) -> &[String] {
        &self.inferred()[..self.run.record.preprocessing.positions()]
    }

    /// Names of the nuisances.
    pub(super) fn nuisances(&self) -> &[String] {
        &self.inferred()[self.run.record.preprocessing.positions()..]
    }

    /// Names of the charges.
    pub(super) fn charges(&self) -> Vec<String> {
        self.run.molecule().map(Molecule::charge_columns).unwrap_or_default()
    }

    /// Names of the probabilities of the charge states.
    pub(super) fn probabilities(&self) -> Vec<String> {
        let of_state = |state: &Vec<f64>| {
            let charges: Vec<String> = state.iter().map(ToString::to_string).collect();
            format!("p_state_{}", charges.join("_"))
        };
        self.states.iter().map(of_state).collect()
    }

    /// Names of the distances of atoms.
    pub(super) fn lengths(&self) -> Vec<String> {
        let labels = self.coordinates.iter().flat_map(InternalCoordinates::pair_labels);
        labels.map(|label| format!("{label}_pm")).collect()
    }

    /// Names of the angles of atoms.
    pub(super) fn angles(&self) -> Vec<String> {
        let labels = self.coordinates.iter().flat_map(InternalCoordinates::triple_labels);
        labels.map(|label| format!("{label}_deg")).collect()
    }

    /// Names of the statistics of a summary.
    pub(super) fn statistics(&self) -> Vec<String> {
        let quantities =
            [self.inferred(), &self.lengths(), &self.angles(), &self.initial_momenta].concat();
        let of_quantity = |quantity: &String| {
            let statistics = ["mean", "sd"].into_iter().chain(QUANTILES.map(|(_, name)| name));
            statistics.map(|statistic| format!("{quantity}_{statistic}")).collect::<Vec<_>>()
        };
        quantities.iter().flat_map(of_quantity).collect()
    }

    /// Whether nothing was inferred for an event because its momenta are no measurements.
    pub(super) fn is_far_out(&self, event: usize) -> bool {
        self.outside.and_then(|events| events.get(event)).is_some_and(|event| event.far_out)
    }

    /// Why an event is outside the training support; none if it is not.
    pub(super) fn why_outside(&self, event: usize) -> Option<String> {
        let outside = self.outside.and_then(|events| events.get(event));
        outside.filter(|outside| outside.any()).map(ToString::to_string)
    }

    /// The rows that a table has of some events.
    pub(super) fn rows<'b, 'e: 'b>(
        &'b self,
        kind: Kind,
        events: &Events<'e>,
    ) -> Result<Rows<'b>, RunError> {
        match kind {
            Kind::Draws => {
                let mut rows = self.rows_of(events, &self.draws(events), events.first_draw);
                rows.charges = self.charges_of(&rows, |event, draw| {
                    event.states.as_ref().map_or(0, |states| states.of_draws[draw])
                });
                let (momenta, columns) = (&mut rows.initial_momenta, self.initial_momenta.len());
                let all =
                    rows.refined.iter().flat_map(|event| event.initial_momenta.iter().copied());
                if columns > 0 {
                    *momenta = matrix(all.collect(), columns);
                }
                Ok(rows)
            }
            Kind::Chain => Ok(self.rows_of(events, &chains(events), 0)),
            Kind::Modes => {
                let modes = self.modes(events);
                let modes: Vec<_> = modes.iter().map(|modes| modes.view()).collect();
                let mut rows = self.rows_of(events, &modes, 0);
                let [lengths, angles] = self.internal(rows.positions.view())?;
                (rows.lengths_pm, rows.angles_deg) = (lengths, angles);
                rows.charges = self.charges_of(&rows, |event, mode| event.modes[mode].state);
                let modes = rows.refined.iter().flat_map(|event| &event.modes);
                let all = modes.flat_map(|mode| mode.initial_momenta.iter().copied()).collect();
                if !self.initial_momenta.is_empty() {
                    rows.initial_momenta = matrix(all, self.initial_momenta.len());
                }
                Ok(rows)
            }
            Kind::Summary => {
                let mut rows = Rows::new(self, events);
                rows.places = (0..events.y.nrows()).map(|event| (event, 0)).collect();
                rows.statistics = self.summaries(&self.draws(events), &rows)?;
                rows.probabilities = self.probabilities_of(&rows);
                Ok(rows)
            }
        }
    }

    /// What was inferred of each event (any number x columns), one under another, numbers beginning with `first`.
    fn rows_of<'b, 'e: 'b>(
        &'b self,
        events: &Events<'e>,
        inferred: &[ArrayView2<'_, f64>],
        first: usize,
    ) -> Rows<'b> {
        let mut rows = Rows::new(self, events);
        let of_event = |(event, rows): (usize, &ArrayView2<'_, f64>)| {
            (first..first + rows.nrows()).map(move |number| (event, number))
        };
        rows.places = inferred.iter().enumerate().flat_map(of_event).collect();
        let columns = self.positions().len();
        rows.positions = Array2::zeros((rows.places.len(), columns));
        rows.nuisances = Array2::zeros((rows.places.len(), self.nuisances().len()));
        let mut start = 0;
        for part in inferred {
            let (positions, nuisances) = part.split_at(Axis(1), columns);
            let span = start..start + part.nrows();
            rows.positions.slice_mut(s![span.clone(), ..]).assign(&positions);
            rows.nuisances.slice_mut(s![span, ..]).assign(&nuisances);
            start += part.nrows();
        }
        if self.rotates_back {
            rows.turned = self.turned(rows.positions.clone(), &rows.places, events.y);
        }
        rows
    }

    /// How many columns of the condition are momenta.
    pub(super) fn momenta(&self) -> usize {
        self.run.record.preprocessing.momenta()
    }

    /// The charges of the ions in the first draw of an event of a chunk; none where they are not inferred.
    pub(super) fn charges_of_first_draw(
        &self,
        events: &Events<'_>,
        place: usize,
    ) -> Option<&[f64]> {
        let states = events.refined?.get(place)?.states.as_ref()?;
        self.states.get(*states.of_draws.first()?).map(Vec::as_slice)
    }

    /// Of each row the charges of its state; no columns where these are not inferred.
    fn charges_of(
        &self,
        rows: &Rows<'_>,
        state: impl Fn(&RefinedEvent, usize) -> usize,
    ) -> Array2<f64> {
        let Some(ions) = self.states.first().map(Vec::len) else { return Array2::zeros((0, 0)) };
        let of_row =
            |(event, number): (usize, usize)| &self.states[state(&rows.refined[event], number)];
        Array2::from_shape_fn((rows.places.len(), ions), |(row, ion)| of_row(rows.places[row])[ion])
    }

    /// Of each row the probabilities of its event's charge states; NaN, which is written as nothing, of an event about
    /// which nothing was inferred.
    fn probabilities_of(&self, rows: &Rows<'_>) -> Array2<f64> {
        Array2::from_shape_fn((rows.places.len(), self.states.len()), |(row, state)| {
            let event = rows.refined.get(rows.places[row].0);
            let states = event.and_then(|event| event.states.as_ref());
            states.map_or(f64::NAN, |states| states.probabilities[state])
        })
    }

    /// Positions in the orientation of the file.
    fn turned(
        &self,
        mut positions: Array2<f64>,
        places: &[(usize, usize)],
        y: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let gauge = self.run.record.preprocessing.gauge();
        let momenta: Vec<Vec<f64>> = y.rows().into_iter().map(|y| y.to_vec()).collect();
        let rows = positions.axis_iter_mut(Axis(0)).into_par_iter().zip(places);
        rows.for_each(|(mut row, &(event, _))| {
            if let Some(row) = row.as_slice_mut() {
                gauge.rotate_back(row, &momenta[event]);
            }
        });
        positions
    }

    /// The draws of each event (any number x columns); none of one whose momenta are no measurements.
    pub(super) fn draws<'b>(&self, events: &'b Events<'_>) -> Vec<ArrayView2<'b, f64>> {
        let mut draws: Vec<_> = match events.refined {
            Some(refined) => refined.iter().map(|event| event.draws.view()).collect(),
            None => events.draws.axis_iter(Axis(0)).collect(),
        };
        for (event, draws) in draws.iter_mut().enumerate() {
            if self.is_far_out(events.first + event) {
                draws.slice_collapse(s![..0, ..]);
            }
        }
        draws
    }

    /// The positions and nuisances of each event's modes.
    fn modes(&self, events: &Events<'_>) -> Vec<Array2<f64>> {
        let width = self.inferred().len();
        let of_event = |event: &RefinedEvent| {
            Array2::from_shape_fn((event.modes.len(), width), |(mode, column)| {
                event.modes[mode].inferred[column]
            })
        };
        events.refined.unwrap_or_default().iter().map(of_event).collect()
    }

    /// Mean, standard deviation and quantiles of all quantities of each event.
    fn summaries(
        &self,
        draws: &[ArrayView2<'_, f64>],
        rows: &Rows<'_>,
    ) -> Result<Array2<f64>, RunError> {
        let none = Array2::from_elem((0, self.initial_momenta.len()), f64::NAN);
        let of_event =
            |(event, draws): (usize, &ArrayView2<'_, f64>)| -> Result<Vec<f64>, RunError> {
                let initial = rows.refined.get(event).map(|event| &event.initial_momenta);
                let initial = initial.filter(|all| all.ncols() == none.ncols()).unwrap_or(&none);
                let [lengths, angles] =
                    self.internal(draws.slice(s![.., ..self.positions().len()]))?;
                let quantities = [*draws, lengths.view(), angles.view(), initial.view()];
                let columns = quantities.iter().flat_map(|quantities| quantities.columns());
                Ok(columns.flat_map(summarise).collect())
            };
        let all = draws.par_iter().enumerate().map(of_event).collect::<Result<Vec<_>, _>>()?;
        let width = self.statistics().len();
        Ok(Array2::from_shape_fn((draws.len(), width), |(event, place)| all[event][place]))
    }

    /// Distances (pm) and angles (degrees) of positions; no columns without a molecule.
    fn internal(&self, positions: ArrayView2<'_, f64>) -> Result<[Array2<f64>; 2], RunError> {
        let Some(coordinates) = &self.coordinates else {
            return Ok([(); 2].map(|()| Array2::zeros((positions.nrows(), 0))));
        };
        Ok([coordinates.lengths(positions)? * PM_PER_BOHR, coordinates.angles_deg(positions)?])
    }
}

/// The draws of each event's Markov chain; none of an event without one.
fn chains<'b>(events: &'b Events<'_>) -> Vec<ArrayView2<'b, f64>> {
    let of_event = |event: &'b RefinedEvent| match &event.chain {
        Some(chain) => chain.draws.view(),
        None => event.draws.slice(s![..0, ..]),
    };
    events.refined.unwrap_or_default().iter().map(of_event).collect()
}

/// Numbers as rows of so many columns.
fn matrix(numbers: Vec<f64>, columns: usize) -> Array2<f64> {
    match Array2::from_shape_vec((numbers.len() / columns, columns), numbers) {
        Ok(matrix) => matrix,
        Err(_) => unreachable!("each row has all columns"),
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

/// The rows that a table has of some events, with what is worked out for all columns together: matrices with one row
/// for each, and no columns where the table has none of these.
pub(super) struct Rows<'a> {
    pub(super) tables: &'a Tables<'a>,
    /// Number of the first event among all.
    first: usize,
    refined: &'a [RefinedEvent],
    law_edge: &'a [Option<String>],
    coincidences: &'a [Coincidence],
    /// Of each row, the place of its event in the chunk and its own number in that event.
    places: Vec<(usize, usize)>,
    /// bohr, in the frame of the run.
    pub(super) positions: Array2<f64>,
    /// bohr, in the orientation of the file.
    pub(super) turned: Array2<f64>,
    /// In the units of their names.
    pub(super) nuisances: Array2<f64>,
    /// a.u., in the orientation of the file; only where they are asked for.
    pub(super) initial_momenta: Array2<f64>,
    /// Charges of the ions in the state of the row, and probabilities of the states; only where they are inferred.
    pub(super) charges: Array2<f64>,
    pub(super) probabilities: Array2<f64>,
    pub(super) lengths_pm: Array2<f64>,
    pub(super) angles_deg: Array2<f64>,
    /// Those of [`Tables::statistics`].
    pub(super) statistics: Array2<f64>,
}

impl<'a> Rows<'a> {
    fn new<'e: 'a>(tables: &'a Tables<'a>, events: &Events<'e>) -> Self {
        let none = Array2::zeros((0, 0));
        Self {
            tables,
            first: events.first,
            refined: events.refined.unwrap_or_default(),
            law_edge: events.law_edge,
            coincidences: events.coincidences,
            places: Vec::new(),
            positions: none.clone(),
            turned: none.clone(),
            nuisances: none.clone(),
            initial_momenta: none.clone(),
            charges: none.clone(),
            probabilities: none.clone(),
            lengths_pm: none.clone(),
            angles_deg: none.clone(),
            statistics: none,
        }
    }

    /// Of each row, the number of its event among all.
    pub(super) fn events_in_file(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|(event, _)| self.first + event)
    }

    /// Of each row, what its event has.
    pub(super) fn of_event<T>(&self, value: impl Fn(&Tables<'_>, usize) -> T) -> Vec<T> {
        self.events_in_file().map(|event| value(self.tables, event)).collect()
    }

    /// Of each row, what its refined event has.
    pub(super) fn of_refined<T>(&self, value: impl Fn(&RefinedEvent) -> T) -> Vec<T> {
        self.places.iter().filter_map(|&(event, _)| self.refined.get(event).map(&value)).collect()
    }

    /// Of each row, what its mode has.
    pub(super) fn of_mode<T>(&self, value: impl Fn(&PositionMode) -> T) -> Vec<T> {
        self.refined.iter().flat_map(|event| &event.modes).map(value).collect()
    }

    /// Of each row, its number in its event.
    pub(super) fn numbers_in_event(&self) -> Vec<u32> {
        self.places.iter().map(|&(_, number)| number as u32).collect()
    }

    /// Of each row, what is said of the ions of its event.
    pub(super) fn of_coincidence(&self, value: impl Fn(&Coincidence) -> f64) -> Vec<f64> {
        self.places.iter().map(|&(event, _)| value(&self.coincidences[event])).collect()
    }

    /// Of each row, the limits of the geometry law that its event is flagged for.
    pub(super) fn law_edge(&self) -> Vec<Option<String>> {
        self.places.iter().map(|&(event, _)| self.law_edge[event].clone()).collect()
    }
}
