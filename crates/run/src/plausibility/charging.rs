//! The time of charging that would explain the energy of a file, by the geometries of the simulation.
//!
//! The longer charges take, the less energy there is: the time of a given median kinetic energy release is found by
//! bisection, every trial a simulation of the same events.

use cei_metrics::quantile;
use cei_physics::{Simulation, simulate};

use super::quantities::{Quantities, energy_ratio};
use super::report::{ChargingTime, IonsFit};
use super::trial::{Fit, TRIED_EVENTS, Trial};
use crate::dataset::for_training;

/// Median energies that differ by a smaller part say nothing of a time.
const OTHER_ENERGY: f64 = 0.03;

/// Times between which one is looked for, in fs.
const TIMES_FS: [f64; 2] = [0.05, 5000.0];

/// How often the interval of times is halved: to 1 % of the time.
const HALVINGS: usize = 10;

/// The time of charging by which events of `law` have the energy of the file, and how well they fit; none where the energy
/// is that of training, and for a law without a charging where it is more. What the single ions fit is left to [`ions_fit`].
pub(super) fn charging_time(
    law: &Simulation,
    tried: &Trial<'_>,
    file: &Quantities,
) -> Option<(ChargingTime, Fit)> {
    if !law.break_up.is_concerted() {
        // Its charges are there at once.
        return None;
    }
    let declared = !law.charging.is_instantaneous();
    let ratio = energy_ratio(file, tried.training)?;
    let (less, more) = (1.0 - OTHER_ENERGY, 1.0 / (1.0 - OTHER_ENERGY));
    if ratio > less && !(declared && ratio > more) {
        return None;
    }
    let simulated = |fs: f64| {
        let law = Simulation { charging: law.charging.with_time(fs), ..law.clone() };
        let events = simulate(&for_training(&law), TRIED_EVENTS, 0).ok()?;
        Some(Quantities::of(tried.molecule, events.momenta.view()))
    };
    let energy = median_energy(file)?;
    let has_more = |fs: f64| Some(median_energy(&simulated(fs)?)? > energy);
    let mut told = ChargingTime {
        key: law.charging.time_key().to_owned(),
        declared,
        time_fs: None,
        stretch: (!declared).then_some(1.0 / ratio),
        ions: IonsFit::Neither,
    };
    let [mut short, mut long] = TIMES_FS;
    if !has_more(short)? || has_more(long)? {
        return declared.then_some((told, Fit::NONE));
    }
    for _ in 0..HALVINGS {
        let middle = (short * long).sqrt();
        if has_more(middle)? {
            short = middle;
        } else {
            long = middle;
        }
    }
    let time = (short * long).sqrt();
    told.time_fs = Some(time);
    Some((told, tried.fit(&simulated(time)?)))
}

/// What the momenta of the single ions fit, by the fits of a time and of one factor for all momenta, and by which of
/// these are in line.
pub(super) fn ions_fit(time: Fit, factor: Fit, in_line: impl Fn(Fit) -> bool) -> IonsFit {
    match (in_line(time), in_line(factor)) {
        (true, true) if time.is_better_than(factor) => IonsFit::Charging,
        (true, true) if factor.is_better_than(time) => IonsFit::Stretched,
        (true, true) => IonsFit::Both,
        (true, false) => IonsFit::Charging,
        (false, true) => IonsFit::Stretched,
        (false, false) => IonsFit::Neither,
    }
}

fn median_energy(set: &Quantities) -> Option<f64> {
    quantile(&set.sorted[0], 0.5)
}
