//! New training rows in every epoch: new events from the simulator, or new detector noise, and other ions missing, on the
//! events of a table. They are made on a thread of their own while the previous epoch trains.
//!
//! | rows | seed |
//! | --- | --- |
//! | those of the first epoch, validation and test | `split.seed`: the same for all runs that are compared |
//! | epoch `e` from the second on | `training.seed` and `e` |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use cei_data::Preprocessing;
use cei_model::Team;
use cei_model::random::{Purpose, derived_seed};
use cei_physics::{
    Accuracy, ChargeState, Detector, Events, Exploder, Frame, Mode, Molecule, Simulation,
    measure_in, simulate_range,
};
use cei_train::{EpochRows, EpochRowsError, Rows};
use ndarray::{Array2, s};

use super::event_columns::EventColumns;
use crate::RunError;

/// Events that are simulated and encoded at once.
const CHUNK: usize = 16_384;

/// How the training rows of an epoch are made.
#[derive(Debug, Clone)]
pub enum Recipe {
    /// New events of a simulation.
    Events {
        /// The simulation, with its detector.
        simulation: Box<Simulation>,
        /// Events of an epoch.
        events: usize,
        /// What becomes of them.
        columns: EventColumns,
    },
    /// The same events, measured anew.
    Measured {
        /// Their molecule.
        molecule: Box<Molecule>,
        /// The frame in which they are recorded.
        frame: Box<Frame>,
        /// What measures them.
        detector: Box<Detector>,
        /// The training rows before that.
        events: Box<Events>,
        /// What becomes of them.
        columns: EventColumns,
    },
}

impl Recipe {
    /// The raw training rows of `epoch`, a chunk at a time; of the chunks those that this process of a `team` makes.
    ///
    /// # Errors
    /// Events that cannot be simulated, and what `take` returns.
    fn make(
        &self,
        seed: u64,
        epoch: usize,
        team: &Team,
        mut take: impl FnMut(usize, Array2<f64>, Array2<f64>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let epoch = epoch as u64;
        match self {
            Self::Events { simulation, events, columns } => {
                let simulation = for_training(simulation);
                let seed = derived_seed(seed, Purpose::Events, epoch);
                for (_, start) in chunks(*events).filter(|(chunk, _)| is_made_by(team, *chunk)) {
                    let range = start..(start + CHUNK).min(*events);
                    let made = simulate_range(&simulation, range, seed)?;
                    take(start, columns.x(&made), columns.y(&made))?;
                }
            }
            Self::Measured { molecule, frame, detector, events, columns } => {
                let chunks = chunks(events.positions.nrows());
                for (chunk, start) in chunks.filter(|(chunk, _)| is_made_by(team, *chunk)) {
                    let end = (start + CHUNK).min(events.positions.nrows());
                    let mut noisy = Events {
                        positions: events.positions.slice(s![start..end, ..]).to_owned(),
                        momenta: events.momenta.slice(s![start..end, ..]).to_owned(),
                        initial_momenta: None,
                        nuisances: events.nuisances.slice(s![start..end, ..]).to_owned(),
                        charges: events.charges.slice(s![start..end, ..]).to_owned(),
                    };
                    let seed = derived_seed(seed, Purpose::DetectorNoise, epoch);
                    let seed = seed.wrapping_add(chunk as u64);
                    measure_in(molecule, frame, detector, &mut noisy, seed)?;
                    take(start, columns.x(&noisy), columns.y(&noisy))?;
                }
            }
        }
        Ok(())
    }

    /// Number of training rows.
    fn rows(&self) -> usize {
        match self {
            Self::Events { events, .. } => *events,
            Self::Measured { events, .. } => events.positions.nrows(),
        }
    }
}

/// Numbers and first rows of the chunks of so many rows.
fn chunks(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(CHUNK).enumerate()
}

/// Whether this process makes a chunk: they are dealt to those of the team in turn.
fn is_made_by(team: &Team, chunk: usize) -> bool {
    chunk % team.size() == team.rank()
}

/// The simulation in the fast mode where that was measured (ions that all repel each other: a mean error of
/// 2e-6 of the momentum), otherwise as it is. Only training events are made so.
pub(crate) fn for_training(simulation: &Simulation) -> Simulation {
    let (dynamics, accuracy) = (simulation.dynamics(), &simulation.accuracy);
    let repels = |ChargeState { molecule, .. }: &ChargeState| {
        molecule.charges().iter().all(|charge| *charge > 0.0)
            && Exploder::new(molecule, &dynamics, accuracy)
                .is_ok_and(|exploder| exploder.all_repel())
    };
    let repel = simulation.charge_states().is_ok_and(|states| states.iter().all(repels));
    let precise = simulation.accuracy.mode == Mode::Precise;
    let mode = if repel && precise { Mode::Fast } else { simulation.accuracy.mode };
    Simulation { accuracy: Accuracy { mode, ..simulation.accuracy }, ..simulation.clone() }
}

/// Makes the rows of the next epoch on a thread of its own.
///
/// ```
/// use std::sync::Arc;
///
/// use cei_run::dataset::{Dataset, FreshRows, Origin};
/// use cei_model::Team;
/// use cei_run::{Experiment, presets};
/// use cei_train::EpochRows as _;
///
/// let preset = presets::find(presets::EXPERIMENTS, "wide-spline")?;
/// let few = ["source.events_per_epoch=200".to_owned()];
/// let experiment = Experiment::parse(preset.text, "wide-spline", &few)?;
/// let dataset = Dataset::load(&experiment, &Origin::of(&experiment)?)?;
/// let preprocessing = dataset.fit(&experiment)?;
/// // The preset trains on events of a simulator, other ones in every epoch.
/// let recipe = Arc::new(dataset.recipe.ok_or("a table")?);
/// let mut rows = FreshRows::new(recipe, preprocessing, experiment.training.seed, Team::default());
/// let [second, third] = [2, 3].map(|epoch| rows.take(epoch).map_err(|error| error.to_string()));
/// assert_eq!(second.as_ref().map(|rows| rows.x.nrows()), Ok(200));
/// assert_ne!(second?.x, third?.x);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FreshRows {
    /// Who makes them together.
    team: Team,
    /// None once the thread is told to end.
    orders: Option<Sender<usize>>,
    made: Receiver<(usize, Result<Rows, RunError>)>,
    ordered: Option<usize>,
    stop: Arc<AtomicBool>,
    maker: Option<JoinHandle<()>>,
}

impl FreshRows {
    /// Starts the thread. `seed` is that of the training, and the processes of `team` make the rows together.
    pub fn new(recipe: Arc<Recipe>, preprocessing: Preprocessing, seed: u64, team: Team) -> Self {
        let (orders, ordered) = channel::<usize>();
        let (sender, made) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pool = maker_threads();
        let makers = team.clone();
        let maker = std::thread::spawn(move || {
            for epoch in ordered {
                let rows = || encoded(&recipe, &preprocessing, seed, epoch, &makers, &stopped);
                let rows = match &pool {
                    Ok(pool) => pool.install(rows),
                    // Without threads of its own it uses those of the training.
                    Err(_) => rows(),
                };
                if sender.send((epoch, rows)).is_err() {
                    break;
                }
            }
        });
        Self { team, orders: Some(orders), made, ordered: None, stop, maker: Some(maker) }
    }
}

/// Events by which it is found out how long the rows of an epoch take.
const TIMED: usize = 4_096;

/// Seconds that the rows of an epoch take to make, found out with some of them.
///
/// # Errors
/// Events that cannot be simulated.
pub(crate) fn making_seconds(
    recipe: &Recipe,
    preprocessing: &Preprocessing,
    seed: u64,
) -> Result<f64, RunError> {
    let rows = recipe.rows();
    let some = match recipe {
        Recipe::Events { simulation, events, columns } => Recipe::Events {
            simulation: simulation.clone(),
            events: TIMED.min(*events),
            columns: columns.clone(),
        },
        // Noise is cheap: all of it.
        Recipe::Measured { .. } => recipe.clone(),
    };
    let begun = Instant::now();
    let make = || encoded(&some, preprocessing, seed, 2, &Team::default(), &AtomicBool::new(false));
    let made = match maker_threads() {
        Ok(pool) => pool.install(make),
        Err(_) => make(),
    };
    made?;
    Ok(begun.elapsed().as_secs_f64() * rows as f64 / some.rows() as f64)
}

/// Threads that make rows: half as many as compute, because the training step has the others.
fn maker_threads() -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    let threads = (rayon::current_num_threads() / 2).max(1);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()
}

/// The rows of one epoch as the network sees them, of which other processes make some; fewer where `stop` became true.
fn encoded(
    recipe: &Recipe,
    preprocessing: &Preprocessing,
    seed: u64,
    epoch: usize,
    team: &Team,
    stop: &AtomicBool,
) -> Result<Rows, RunError> {
    let count = recipe.rows();
    let mut rows = Rows {
        x: Array2::zeros((count, preprocessing.x_dim())),
        y: Array2::zeros((count, preprocessing.y_dim())),
    };
    recipe.make(seed, epoch, team, |start, mut x, mut y| {
        if stop.load(Ordering::Relaxed) {
            return Err(RunError::Abandoned);
        }
        if let Some(alike) = preprocessing.alike() {
            alike.order(x.view_mut(), y.view_mut());
        }
        let (x, y) = (x.view(), y.view());
        let range = start..start + x.nrows();
        rows.x.slice_mut(s![range.clone(), ..]).assign(&preprocessing.encode_x(x, y));
        rows.y.slice_mut(s![range, ..]).assign(&preprocessing.encode_y(y));
        Ok(())
    })?;
    Ok(rows)
}

/// Gives each process the rows that others have made.
fn exchange(team: &Team, rows: &mut Rows) {
    for (chunk, start) in chunks(rows.x.nrows()) {
        for matrix in [&mut rows.x, &mut rows.y] {
            let end = (start + CHUNK).min(matrix.nrows());
            if let Some(numbers) = matrix.slice_mut(s![start..end, ..]).as_slice_mut() {
                team.broadcast(chunk % team.size(), numbers);
            }
        }
    }
}

impl EpochRows for FreshRows {
    fn prepare(&mut self, epoch: usize) {
        if let Some(orders) = &self.orders
            && orders.send(epoch).is_ok()
        {
            self.ordered = Some(epoch);
        }
    }

    fn take(&mut self, epoch: usize) -> Result<Rows, EpochRowsError> {
        if self.ordered != Some(epoch) {
            self.prepare(epoch);
        }
        loop {
            let Ok((made, rows)) = self.made.recv() else {
                // The thread has ended before it was told to: it panicked.
                if let Some(Err(panic)) = self.maker.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                return Err(RunError::Abandoned.into());
            };
            // Rows that were prepared, but are not wanted, are passed over.
            if made == epoch {
                let mut rows = rows?;
                exchange(&self.team, &mut rows);
                return Ok(rows);
            }
        }
    }
}

impl Drop for FreshRows {
    /// Ends the thread after the chunk under way.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(maker) = self.maker.take() {
            // A panic while rows were made that nobody took is nobody's loss.
            let _ = maker.join();
        }
    }
}
