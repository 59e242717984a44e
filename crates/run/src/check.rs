//! Whether the declared simulation describes a whole file of momenta: `cei check`.
//!
//! A posterior answers for any momenta, and a population is inferred from any events, also where neither charges nor break-up are those
//! that were declared. So the events are parted: from one half the population is inferred, and simulated by the run's own
//! explosions and noise; with what comes out the other half is compared, which nothing was fitted to.
//!
//! | in | is |
//! | --- | --- |
//! | `options` | what is asked for |
//! | `reference` | the population of the first half, and new momenta from it |
//! | `judged` | the tests |
//! | `figures` | one for each test |
//! | `report` | what is told in the end |

mod figures;
mod judged;
mod options;
mod reference;
mod report;

use std::path::Path;

use cei_data::is_incomplete;
use cei_model::Device;
use cei_model::random::{Purpose, stream};
use rand::seq::SliceRandom as _;

use self::judged::{Events, judge};
pub use self::options::CheckOptions;
use self::options::LEAST_EVENTS;
use self::reference::{Described, Weights, simulated};
pub use self::report::{CheckReport, CheckTest, CheckedPopulation, Verdict};
use crate::error::SampleError;
use crate::field::IonsOfEvents;
use crate::folder::layout::{CHECK, FIGURES};
use crate::folder::sealed::write_json;
use crate::population::Quantities;
use crate::posterior::{Measured, Posterior, refine_each};
use crate::refine::Refiner;
use crate::{RunError, TrainedRun};

/// Checks the momenta of a table; `progress` is told how many events of all are refined.
///
/// # Errors
/// No trained model, momenta that cannot be loaded, a run whose draws cannot be refined or whose momenta have no noise, a law whose
/// shapes have no density, too few events in which all ions were detected.
pub fn check_momenta(
    path: &Path,
    options: &CheckOptions,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<CheckReport, RunError> {
    options.check()?;
    let posterior = Posterior::load(path, device.clone())?;
    let all = posterior.measured_in(&options.momenta)?;
    let mut run = TrainedRun::load(path, device)?;
    run.draw_from_prior();
    let refiner =
        Refiner::new(&run, options.draws, options.draws, options.seed, all.charges_known())?;
    let quantities = Quantities::of(&run, refiner.has_noise())?;
    let states: Vec<Vec<f64>> = (refiner.unknown_states().unwrap_or_default().iter())
        .map(|state| state.molecule.charges().to_vec())
        .collect();
    let (Some(molecule), Some(simulation)) = (run.molecule(), &run.record.simulation) else {
        unreachable!("quantities are of a molecule with a simulation")
    };
    let preprocessing = &run.record.preprocessing;
    let sound: Vec<usize> = (0..all.numbers.len())
        .filter(|event| {
            let y = all.condition();
            !all.is_far_out(*event) && !is_incomplete(y.row(*event))
        })
        .collect();
    let [first, second] = halves(&sound, options)?;
    let of = |rows: &[usize]| all.only(rows);
    let (first, second) = (of(&first), of(&second));
    let total = 2 * first.numbers.len() + second.numbers.len();
    let mut done = 0;
    let mut refined = |events: &Measured, part: u64, with_draws: bool| {
        let mut found = Vec::with_capacity(events.numbers.len());
        let take = |event| found.push(Described::of(event, &quantities, &states, with_draws));
        let seed = cei_model::random::derived_seed(options.seed, Purpose::Check, 1 + part);
        refine_each(&run, &refiner, events, seed, take, |now, _| progress(done + now, total))?;
        done += found.len();
        Ok::<_, RunError>(found)
    };
    let fitted = refined(&first, 0, true)?;
    let weights = Weights::of(&fitted, &quantities, options.seed)?;
    let y = simulated(
        &run,
        simulation,
        &fitted,
        first.condition(),
        &weights,
        &quantities,
        options.seed,
    )?;
    let not_described = fitted.iter().filter(|event| !event.is_described()).count();
    drop(fitted);
    let made = Measured::simulated(y, all.charges_known());
    let mut events_of = |events: &Measured, part: u64| {
        let found = refined(events, part, false)?;
        Ok::<_, RunError>(Events {
            momenta: preprocessing.momenta_of(events.condition()).to_owned(),
            log_evidence: found.iter().map(|own| weights.log_evidence(own, &quantities)).collect(),
        })
    };
    let (own, made) = (events_of(&second, 1)?, events_of(&made, 2)?);
    let judged = judge(molecule, &own, &made, weights.inferred(), options.level, options.seed)?;
    let pass = judged.tests.iter().all(|test| test.pass);
    let report = CheckReport {
        verdict: if pass { Verdict::Pass } else { Verdict::Fail },
        tests: judged.tests.clone(),
        events: all.numbers.len(),
        fitted: first.numbers.len(),
        not_described,
        tested: second.numbers.len(),
        simulated: made.momenta.nrows(),
        left_out: all.numbers.len() - sound.len(),
        population: weights.kind,
        draws: options.draws,
        level: options.level,
        seed: options.seed,
        warnings: all.warnings.clone(),
    };
    if let Some(folder) = &options.folder {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        write_json(&folder.join(CHECK), &report)?;
        let labels = molecule.labels().to_vec();
        let ions = IonsOfEvents { labels, masses: molecule.masses().to_vec(), chosen: None };
        let title =
            format!("{}: {}", molecule.labels().join(", "), if pass { "pass" } else { "fail" });
        figures::draw(&folder.join(FIGURES), &title, &ions, [&own, &made], &judged, &report)?;
    }
    Ok(report)
}

/// Events for the population, and others to be tested, chosen at random.
fn halves(sound: &[usize], options: &CheckOptions) -> Result<[Vec<usize>; 2], RunError> {
    if sound.len() < LEAST_EVENTS {
        let (found, least) = (sound.len(), LEAST_EVENTS);
        return Err(SampleError::TooFewToCheck { found, least }.into());
    }
    let mut order = sound.to_vec();
    order.shuffle(&mut stream(options.seed, Purpose::Check, 0));
    order.truncate(options.events);
    let second = order.split_off(order.len() / 2);
    let halves = [order, second].map(|mut half| {
        half.sort_unstable();
        half
    });
    Ok(halves)
}
