//! A sample of the test rows of a run, re-read from its table as an evaluation does, with draws of the network.

use cei_data::Rows as _;
use cei_model::Device;
use cei_report::page::{Block, Section};
use ndarray::{Array2, Array3, Axis, s};

use super::about_events::{chosen_events, sections as about_events};
use super::options::ReportOptions;
use super::sample::{
    CORNER_DRAWS, CornerEvent, DRAWS, MOST_EVENTS, MOST_MOMENTA, Sample, SampledEvent, SampledMode,
};
use super::words::spaced;
use crate::dataset::Dataset;
use crate::plausibility::Support;
use crate::refine::Refiner;
use crate::trained::draws::{DrawStreams, draw_more};
use crate::{RunError, TrainedRun};

/// Test rows that are named where another was asked for.
const MOST_NAMED: usize = 5;

/// The sections about the test rows of a run; a table that is not there any more is told in one.
///
/// # Errors
/// An event that is no test row, damaged files.
pub(super) fn sections(
    run: &TrainedRun,
    options: &ReportOptions,
    device: &Device,
) -> Result<Vec<Section>, RunError> {
    let dataset = match Dataset::of_run(run) {
        Ok(dataset) => dataset,
        Err(error) => {
            let words =
                format!("Nothing is shown of events: the table cannot be read again. {error}");
            let title = "Events".to_owned();
            return Ok(vec![Section { title, blocks: vec![Block::Notice(words)] }]);
        }
    };
    let rows = TestRows::of(run, &dataset);
    let mut sample = rows.sample(run, options.seed)?;
    let chosen: Vec<(usize, String)> = if options.events.is_empty() {
        chosen_events(run, &sample)?
            .into_iter()
            .map(|(place, why)| (rows.drawn[place], why))
            .collect()
    } else {
        rows.asked_for(run, &options.events)?
    };
    let modes = if options.modes {
        modes(run, &rows, &chosen, options.seed, device)?
    } else {
        Err("the page was asked for without them (`--no-modes`)".to_owned())
    };
    sample.no_modes = modes.as_ref().err().cloned();
    let mut modes = modes.unwrap_or_default().into_iter();
    let places: Vec<usize> = chosen.iter().map(|(place, _)| *place).collect();
    let events = rows.events(run, &places, CORNER_DRAWS, options.seed);
    for (event, (_, why)) in events.into_iter().zip(chosen) {
        let (modes, outside) = modes.next().unwrap_or_default();
        let why = if outside.is_empty() { why } else { format!("{why}; the simulator: {outside}") };
        sample.corners.push(CornerEvent { event, why, modes });
    }
    about_events(run, &sample)
}

/// The test rows of a run.
struct TestRows {
    /// Rows of the table.
    numbers: Vec<usize>,
    /// Raw momenta, and charges behind them where the run is conditioned on these.
    y: Array2<f64>,
    /// How many of these columns are momenta.
    momenta: usize,
    /// Positions and nuisances in the frame of the run.
    x: Array2<f64>,
    /// Places of those that get draws.
    drawn: Vec<usize>,
}

impl TestRows {
    fn of(run: &TrainedRun, dataset: &Dataset) -> Self {
        let (raw_x, y) = dataset.table.part(&dataset.split.test);
        let (x, _) = run.record.preprocessing.gauged(raw_x.view(), y.view());
        let number = |&row: &usize| dataset.some.as_ref().map_or(row, |some| some.numbers[row]);
        let numbers: Vec<usize> = dataset.split.test.rows().iter().map(number).collect();
        Self {
            drawn: spaced(numbers.len(), MOST_EVENTS),
            momenta: run.record.preprocessing.momenta(),
            numbers,
            y,
            x,
        }
    }

    /// The events with draws, evenly spaced, and the momenta of more.
    fn sample(&self, run: &TrainedRun, seed: u64) -> Result<Sample, RunError> {
        let of_momenta = spaced(self.numbers.len(), MOST_MOMENTA);
        let momenta = self.y.select(Axis(0), &of_momenta);
        let mut events = self.events(run, &self.drawn, DRAWS, seed);
        if let Some(support) = Support::load(run)? {
            let y = self.y.select(Axis(0), &self.drawn);
            let outside = support.judge(&run.record.preprocessing, y.view())?;
            for (event, outside) in events.iter_mut().zip(outside) {
                event.flags = outside.to_string();
            }
        }
        Ok(Sample {
            what: "test events".to_owned(),
            total: self.numbers.len(),
            momenta,
            events,
            corners: Vec::new(),
            no_modes: None,
        })
    }

    /// Events with so many draws.
    fn events(
        &self,
        run: &TrainedRun,
        places: &[usize],
        draws: usize,
        seed: u64,
    ) -> Vec<SampledEvent> {
        let drawn = self.draws(run, places, draws, seed);
        let events = places.iter().zip(drawn.axis_iter(Axis(0)));
        events
            .map(|(&place, draws)| SampledEvent {
                number: self.numbers[place] as u64,
                y: self.y.slice(s![place, ..self.momenta]).to_vec(),
                charges: self.y.slice(s![place, self.momenta..]).to_vec(),
                truth: Some(self.x.row(place).to_vec()),
                draws: draws.to_owned(),
                flags: String::new(),
            })
            .collect()
    }

    /// Draws of the network (events x draws x columns); each event has a random stream of its own.
    fn draws(&self, run: &TrainedRun, places: &[usize], draws: usize, seed: u64) -> Array3<f64> {
        let mut streams: Vec<DrawStreams> =
            places.iter().map(|&place| DrawStreams::of(run, seed, place)).collect();
        draw_more(run, self.y.select(Axis(0), places).view(), draws, &mut streams)
    }

    /// The places of the test rows that were asked for.
    fn asked_for(
        &self,
        run: &TrainedRun,
        events: &[u64],
    ) -> Result<Vec<(usize, String)>, RunError> {
        let place = |event: &u64| {
            let found = self.numbers.iter().position(|number| *number as u64 == *event);
            found.map(|place| (place, "asked for".to_owned())).ok_or_else(|| {
                let mut known: Vec<u64> = self.numbers.iter().map(|row| *row as u64).collect();
                known.sort_unstable();
                known.truncate(MOST_NAMED);
                let of = format!("the test rows of `{}`", run.path.display());
                RunError::NoSuchEvent { key: "--events", event: *event, of, known }
            })
        };
        events.iter().map(place).collect()
    }
}

/// The modes of each event, and why the simulator doubts it.
type Modes = Vec<(Vec<SampledMode>, String)>;

/// The geometries that the simulator finds for each of the events, or why it cannot.
fn modes(
    run: &TrainedRun,
    rows: &TestRows,
    chosen: &[(usize, String)],
    seed: u64,
    device: &Device,
) -> Result<Result<Modes, String>, RunError> {
    // Weights need draws of the model's density.
    let mut refined = TrainedRun::load(&run.path, device.clone())?;
    refined.draw_from_prior();
    let refiner = match Refiner::new(&refined, CORNER_DRAWS, CORNER_DRAWS, seed, true) {
        Ok(refiner) => refiner,
        Err(RunError::CannotRefine { why, .. }) => return Ok(Err(why)),
        Err(error) => return Err(error),
    };
    let places: Vec<usize> = chosen.iter().map(|(place, _)| *place).collect();
    let y = rows.y.select(Axis(0), &places);
    let draws = rows.draws(&refined, &places, refiner.network_draws(), seed);
    let events = refiner.refine(y.view(), draws.view(), seed, 0)?;
    let found = events.iter().map(|event| (SampledMode::of(event), event.outside.to_string()));
    Ok(Ok(found.collect()))
}
