//! What is known of training, and momenta judged by it.

use cei_data::{Alike, MomentumUnit};
use cei_metrics::special::binomial_upper_tail;
use cei_physics::detector::is_uneven;
use cei_physics::{Molecule, Simulation, simulate};
use ndarray::{Array2, ArrayView2, Axis};

use super::alignment::directions;
use super::charges::{charge_states, is_multiple};
use super::charging::{charging_time, ions_fit};
use super::quantities::{Quantities, energy_ratio, quantities};
use super::report::{Cause, ChargingTime, Comparison, IonComparison, IonsFit, Plausibility};
use super::support::{Outside, Support};
use super::trial::{Fit, TRIED_EVENTS, Trial, share};
use super::units::nearest_unit;
use crate::TrainedRun;
use crate::dataset::for_training;

/// Share of outside events from which a set is far from training.
const FAR_SHARE: f64 = 0.2;

/// How often so many outside events may be chance.
const FAR_LEVEL: f64 = 0.01;

/// The part of the training's own events that each quantity leaves outside.
const RARE: f64 = 1e-3;

/// Events of a set, and of training, that are compared.
const MOST_EVENTS: usize = 10_000;

/// Momenta wrong by this factor or more are in another unit; charges do not change them so much.
const OTHER_UNIT: f64 = 4.0;

/// Momentum sums smaller than this part of those in training are imposed.
const IMPOSED: f64 = 0.1;

/// What is known of training.
pub struct Training<'a> {
    /// The molecule, if the momenta are three columns an ion.
    pub molecule: Option<&'a Molecule>,
    /// Momenta (rows x columns, a.u.), in any orientation.
    pub momenta: Array2<f64>,
    /// The simulation that made them, if any.
    pub simulation: Option<&'a Simulation>,
    /// a.u. in one unit of the file's momentum columns, as declared.
    pub unit_au: f64,
    /// Whether the network sees the momenta as they stand in the laboratory.
    pub sees_laboratory: bool,
}

impl<'a> Training<'a> {
    /// The training of a run, from the momenta that it has kept, to judge momenta that a file has in `unit`.
    pub(crate) fn of_run(run: &'a TrainedRun, support: &'a Support, unit: &MomentumUnit) -> Self {
        let preprocessing = &run.record.preprocessing;
        let all = support.momenta(preprocessing, MOST_EVENTS);
        Self {
            molecule: support.molecule(),
            momenta: preprocessing.momenta_of(all.view()).to_owned(),
            simulation: run.record.simulation.as_ref(),
            unit_au: unit.factor(),
            sees_laboratory: run.record.preprocessing.config().gauge.keeps_momenta(),
        }
    }

    /// Judges the momenta `y` (rows x columns, a.u.) of a file; `outside` says of each event whether it is outside
    /// the training support for other reasons, where that is known.
    pub fn judge(&self, y: ArrayView2<'_, f64>, outside: Option<&[Outside]>) -> Plausibility {
        let events = y.nrows();
        let others = |event: usize| outside.is_some_and(|events| events[event].any());
        let Some(molecule) = self.molecule else {
            let count = (0..events).filter(|event| others(*event)).count();
            let far = is_far(count, events, RARE);
            return Plausibility {
                events,
                far,
                outside_share: share(count, events),
                kinetic_energy_ev: None,
                momentum_au: Vec::new(),
                momentum_sum_au: None,
                zero_momentum_sum: false,
                cause: far.then_some(Cause::Unknown { ratio: None }),
                charging: None,
                directions: None,
            };
        };
        let training = Quantities::of(molecule, spaced(self.momenta.view(), MOST_EVENTS).view());
        let rows = y.rows().into_iter().enumerate();
        let limits = training.limits(RARE);
        let count = rows
            .filter(|(event, y)| others(*event) || limits.leaves_out(&quantities(molecule, *y)))
            .count();
        let file = Quantities::of(molecule, spaced(y, MOST_EVENTS).view());
        let rare = RARE.max(2.0 / self.momenta.nrows().max(1) as f64);
        let mut far = is_far(count, events, rare * (training.sorted.len() + 1) as f64);
        let tried = Trial { molecule, training: &training, file: spaced(y, TRIED_EVENTS) };
        let (mut cause, mut charging) = (None, None);
        if far && events > 0 {
            let (likely, time) = self.cause(&tried, &file);
            (cause, charging) = (Some(likely), time);
        } else if events > 0 {
            cause = tried.exchanged(&file);
            far = cause.is_some();
        }
        let law = self.simulation.filter(|_| !far);
        let directions = law.and_then(|law| {
            let is_uneven =
                law.detector.standard_deviations(&law.molecule).is_ok_and(|sd| is_uneven(&sd));
            let mut y = spaced(y, MOST_EVENTS);
            let alike = (molecule.exchangeable() == Some(true))
                .then(|| Alike { groups: molecule.alike(), distances: Vec::new() });
            if let Some(alike) = &alike {
                alike.order(Array2::zeros((0, 0)).view_mut(), y.view_mut());
            }
            directions(law, y.view(), alike.as_ref(), self.sees_laboratory || is_uneven)
        });
        let [energy, sum] = [0, 1].map(|quantity| Comparison::of(&file, &training, quantity));
        let ions = molecule.labels().iter().enumerate().filter_map(|(ion, label)| {
            let momentum = Comparison::of(&file, &training, 2 + ion)?;
            Some(IonComparison { ion: label.clone(), momentum })
        });
        Plausibility {
            events,
            far,
            outside_share: share(count, events),
            kinetic_energy_ev: energy,
            momentum_au: ions.collect(),
            momentum_sum_au: sum,
            zero_momentum_sum: sum.is_some_and(|sum| sum.file.q95 < IMPOSED * sum.training.q05)
                && training.has_noise(),
            cause,
            charging,
            directions,
        }
    }

    /// The likely cause of momenta that are far from training, and the time of charging that would explain their energy.
    fn cause(&self, tried: &Trial<'_>, file: &Quantities) -> (Cause, Option<ChargingTime>) {
        let factor = file.factor_to(tried.training);
        let unknown = Cause::Unknown { ratio: energy_ratio(file, tried.training) };
        let Some(factor) = factor else { return (unknown, None) };
        let as_it_is = tried.misfit(tried.training);
        let in_line = |fit: Fit| fit.misfit <= (as_it_is / 3.0).max(0.05);
        if factor.ln().abs() >= OTHER_UNIT.ln() {
            let (unit, au) = nearest_unit(factor * self.unit_au);
            let size = au / self.unit_au;
            let scaled = tried.scaled(size);
            let order = scaled.swapped();
            // Charges and charging together reach a factor of 10; less than that is a unit only if it explains the momenta.
            let is_far = factor.ln().abs() >= 10_f64.ln();
            if is_far || order.is_some() || in_line(scaled.fit(tried.training)) {
                return (Cause::Unit { factor: size, unit, order }, None);
            }
        }
        if let Some(order) = tried.swapped() {
            return (Cause::SwappedIons { order }, None);
        }
        let by_factor = tried.scaled(factor).fit(tried.training);
        let law = self.simulation.filter(|law| law.geometry.is_some());
        let (mut charging, mut by_time) = (None, Fit::NONE);
        if let Some((told, fit)) = law.and_then(|law| charging_time(law, tried, file)) {
            let ions = ions_fit(fit, by_factor, in_line);
            (charging, by_time) = (Some(ChargingTime { ions, ..told }), fit);
        }
        if let Some((likely, by_charges)) = law.and_then(|law| other_charges(law, tried))
            && in_line(by_charges)
            && [by_factor, by_time].into_iter().all(|other| {
                let is_simple = is_multiple(&likely, tried.molecule.charges());
                by_charges.is_better_than(other) || is_simple && !other.is_better_than(by_charges)
            })
        {
            let trained = tried.molecule.charges().to_vec();
            return (Cause::Charges { trained, likely }, charging);
        }
        if charging.as_ref().is_some_and(|charging| charging.ions == IonsFit::Charging) {
            return (Cause::Charging, charging);
        }
        if in_line(by_factor) {
            return (Cause::Energy { ratio: 1.0 / (factor * factor) }, charging);
        }
        (unknown, charging)
    }
}

/// The charges whose explosions are most like the momenta, and how they fit; none if these are those of training.
fn other_charges(law: &Simulation, tried: &Trial<'_>) -> Option<(Vec<f64>, Fit)> {
    if law.has_channels() {
        return None;
    }
    let trained = law.molecule.charges();
    let mut best: Option<(Vec<f64>, Fit)> = None;
    for charges in charge_states(trained) {
        let atoms = law.molecule.atoms().iter().zip(&charges);
        let atoms = atoms.map(|(atom, charge)| {
            let mut atom = atom.clone();
            atom.charge = *charge;
            atom
        });
        let molecule = Molecule::new(atoms.collect()).ok()?;
        let law = Simulation { molecule, ..law.clone() };
        let Ok(events) = simulate(&for_training(&law), TRIED_EVENTS, 0) else { continue };
        let fit = tried.fit(&Quantities::of(tried.molecule, events.momenta.view()));
        if best.as_ref().is_none_or(|(_, least)| fit.apart < least.apart) {
            best = Some((charges, fit));
        }
    }
    best.filter(|(charges, _)| charges != trained)
}

/// Whether `count` of `events` are outside where one is with the probability `rate`, beyond chance and by much.
fn is_far(count: usize, events: usize, rate: f64) -> bool {
    let share = share(count, events);
    let trials = events.min(MOST_EVENTS);
    let successes = (share * trials as f64).round() as usize;
    share >= FAR_SHARE && binomial_upper_tail(trials, rate.min(0.5), successes) <= FAR_LEVEL
}

/// At most `count` rows, evenly spaced.
fn spaced(rows: ArrayView2<'_, f64>, count: usize) -> Array2<f64> {
    let used = rows.nrows().min(count);
    let spaced: Vec<_> = (0..used).map(|i| i * rows.nrows() / used).collect();
    rows.select(Axis(0), &spaced)
}
