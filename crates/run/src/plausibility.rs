//! Whether the momenta of a file, as a set, are of the kind that a model was trained on; if not, the likely cause.
//!
//! Compared are the kinetic energy release, `|p|` of every ion, and `|sum p|`. A set is far from training
//! - where at least `FAR_SHARE` of its events have one of these beyond what one in a thousand training events are
//!   beyond, or are otherwise outside the training support, and so many are there by chance in fewer than 1 of 100
//!   files of the training's own kind (binomial law);
//! - or where its distributions are told from those of training (Kolmogorov and Smirnov's test of two samples, in
//!   fewer than 1 of 1,000 files of that kind), but not any more once ions are exchanged.
//!
//! So a large file of a slightly different law, or one that fills a part of a wide law, is not far. Causes are found by
//! trying: units, orders of the ions, other charges of the simulation, one factor for all momenta.

pub mod law_edge;
pub mod support;

use cei_data::{ColumnRef, MomentumUnit, Source, load_sample};
use cei_metrics::special::{binomial_upper_tail, kolmogorov_survival};
use cei_metrics::{holm, number, quantile};
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::{HARTREE_EV, MOMENTUM_AU_SI};
use cei_physics::{Molecule, Simulation, simulate};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::fresh::for_training;
use crate::presets::simulation_or_file;
use crate::simulate::simulation_beside;
use crate::support::{Outside, Support};
use crate::{Experiment, RunError, TrainedRun};

/// Share of outside events from which a set is far from training.
const FAR_SHARE: f64 = 0.2;
/// How often so many outside events may be chance.
const FAR_LEVEL: f64 = 0.01;
/// The part of the training's own events that each quantity leaves outside.
const RARE: f64 = 1e-3;
/// How often distributions of one kind may be told apart.
const TOLD_APART: f64 = 1e-3;
/// Distributions that differ by less are alike, however surely they differ.
const ALIKE: f64 = 0.05;
/// Events of a set, and of training, that are compared.
const MOST_EVENTS: usize = 10_000;
/// Events with which causes are tried.
const TRIED_EVENTS: usize = 500;
/// Momenta wrong by this factor or more are in another unit; charges do not change them so much.
const OTHER_UNIT: f64 = 4.0;
/// By how much, in the logarithm, a power of ten of an atomic unit must be nearer than other units.
const SELDOM: f64 = 0.4;
/// Distributions explain momenta alike if these are not further apart from the one than from the other by more than this
/// (a sum over energy and ions; samples of [`TRIED_EVENTS`] have half of it by chance).
const AS_GOOD: f64 = 0.3;
/// Ions of which all orders are tried.
const MOST_PERMUTED: usize = 6;
/// Ions of which all charge states are tried, and the highest charge.
const MOST_CHARGED: usize = 3;
const HIGHEST_CHARGE: u32 = 4;
/// Events of a simulator that stand for training.
const SIMULATED_EVENTS: usize = 4000;
/// Momentum sums smaller than this part of those in training are imposed.
const IMPOSED: f64 = 0.1;

/// How the momenta of a file compare with those of training, as a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plausibility {
    /// Events of the file that were looked at: all of them, unless there are millions.
    pub events: usize,
    /// Whether they are far from those of training.
    pub far: bool,
    /// Share of them outside the training support.
    #[serde(with = "number")]
    pub outside_share: f64,
    /// Kinetic energy release in eV; none where the table is no molecule, as all that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinetic_energy_ev: Option<Comparison>,
    /// `|p|` of every ion in a.u.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub momentum_au: Vec<IonComparison>,
    /// `|sum p|` in a.u.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum_sum_au: Option<Comparison>,
    /// Whether the momenta of every event add up to (almost) nothing, unlike those of training: an analysis has
    /// imposed it, and the declared noise does not describe them.
    pub zero_momentum_sum: bool,
    /// Why they are far, as far as trying told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// One quantity in the file and in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// In the file.
    pub file: Spread,
    /// In training.
    pub training: Spread,
}

/// One ion's `|p|` in the file and in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IonComparison {
    /// Label of the ion.
    pub ion: String,
    /// Its momenta.
    #[serde(flatten)]
    pub momentum: Comparison,
}

/// Quantiles of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// 5 %.
    #[serde(with = "number")]
    pub q05: f64,
    /// 50 %.
    #[serde(with = "number")]
    pub median: f64,
    /// 95 %.
    #[serde(with = "number")]
    pub q95: f64,
}

/// What may be wrong with a set of momenta.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// The momenta are in another unit than was declared.
    Unit {
        /// The momenta are this many times too small.
        #[serde(with = "number")]
        factor: f64,
        /// The unit that they seem to be in, as it is written in a configuration.
        unit: String,
        /// The ions, in the order that the file seems to have, where that is not the declared one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<Vec<String>>,
    },
    /// The ions are in another order than was declared.
    SwappedIons {
        /// The ions, in the order that the file seems to have.
        order: Vec<String>,
    },
    /// The ions have other charges than those of the simulation.
    Charges {
        /// Charges of the simulation.
        #[serde(with = "number")]
        trained: Vec<f64>,
        /// Charges that bring the momenta into line.
        #[serde(with = "number")]
        likely: Vec<f64>,
    },
    /// Momentum is shared among the ions as in training, but there is more or less energy.
    Energy {
        /// Median kinetic energy release in the file over that in training.
        #[serde(with = "number")]
        ratio: f64,
    },
    /// Nothing that was tried brings the momenta into line.
    Unknown {
        /// Median kinetic energy release in the file over that in training; none where the table is no molecule.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
        ratio: Option<f64>,
    },
}

impl Cause {
    /// One word, for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unit { .. } => "unit",
            Self::SwappedIons { .. } => "swapped-ions",
            Self::Charges { .. } => "charges",
            Self::Energy { .. } => "energy",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// How the momenta of files, their columns `momenta` in `unit`, compare as a set with those that an experiment trains on:
/// events of its simulator, or its table. None where there is neither, or these are the files themselves. Of very many
/// rows evenly spaced ones stand for all.
///
/// # Errors
/// A simulator that cannot be read or run; a table of either that cannot be read, or lacks the momenta.
pub fn judge_files(
    experiment: &Experiment,
    files: &Source,
    momenta: &[ColumnRef],
    unit: &MomentumUnit,
) -> Result<Option<Plausibility>, RunError> {
    let columns = &experiment.columns;
    let source = &experiment.source;
    let (trained, simulation) = if let Some(name) = &source.simulator {
        let mut simulation = simulation_or_file(name)?;
        simulation.detector = experiment.detector.clone().unwrap_or(simulation.detector);
        let events = simulate(&for_training(&simulation), SIMULATED_EVENTS, 0)?;
        (events.momenta, Some(simulation))
    } else {
        if source.files.is_empty() {
            return Ok(None);
        }
        let (trained, inspected) = (source.resolve()?, files.resolve()?);
        if trained.iter().any(|path| inspected.contains(path)) {
            return Ok(None);
        }
        let simulation = match &trained[..] {
            [file] => simulation_beside(file)?,
            _ => None,
        };
        (load_sample(source, &columns.y, columns.y_unit.factor())?, simulation)
    };
    let y = load_sample(files, momenta, unit.factor())?;
    let (found, width) = (y.ncols(), trained.ncols());
    if found != width {
        return Err(RunError::OtherMomenta { found, width });
    }
    let training = Training {
        molecule: experiment.molecule.as_ref().filter(|m| 3 * m.atom_count() == width),
        momenta: trained,
        simulation: simulation.as_ref(),
        unit_au: unit.factor(),
    };
    Ok(Some(training.judge(y.view(), None)))
}

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
}

impl<'a> Training<'a> {
    /// The training of a run, from the momenta that it has kept.
    pub fn of_run(run: &'a TrainedRun, support: &'a Support) -> Self {
        Self {
            molecule: support.molecule(),
            momenta: support.momenta(&run.record.preprocessing, MOST_EVENTS),
            simulation: run.record.simulation.as_ref(),
            unit_au: run.experiment.columns.y_unit.factor(),
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
        let mut cause = None;
        if events > 0 {
            cause = if far { Some(self.cause(&tried, &file)) } else { tried.exchanged(&file) };
            far |= cause.is_some();
        }
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
        }
    }

    /// The likely cause of momenta that are far from training.
    fn cause(&self, tried: &Trial<'_>, file: &Quantities) -> Cause {
        let factor = file.factor_to(tried.training);
        let unknown = Cause::Unknown { ratio: energy_ratio(file, tried.training) };
        let Some(factor) = factor else { return unknown };
        if factor.ln().abs() >= OTHER_UNIT.ln() {
            let (unit, au) = nearest_unit(factor * self.unit_au);
            let factor = au / self.unit_au;
            let order = tried.scaled(factor).swapped();
            return Cause::Unit { factor, unit, order };
        }
        if let Some(order) = tried.swapped() {
            return Cause::SwappedIons { order };
        }
        let as_it_is = tried.misfit(tried.training, 1.0);
        let in_line = |misfit: f64| misfit <= (as_it_is / 3.0).max(0.05);
        let scaled = Quantities::of(tried.molecule, tried.scaled(factor).file.view());
        let by_factor = tried.training.apart(&scaled);
        if let Some((likely, misfit, apart)) = self.other_charges(tried)
            && in_line(misfit)
            && (is_multiple(&likely, tried.molecule.charges()) && apart <= by_factor + AS_GOOD
                || apart + AS_GOOD <= by_factor)
        {
            return Cause::Charges { trained: tried.molecule.charges().to_vec(), likely };
        }
        if in_line(tried.misfit(tried.training, factor)) {
            return Cause::Energy { ratio: 1.0 / (factor * factor) };
        }
        unknown
    }

    /// The charges whose explosions are most like the momenta, what share of these they leave out, and how far apart
    /// the distributions are; none if it is those of training.
    fn other_charges(&self, tried: &Trial<'_>) -> Option<(Vec<f64>, f64, f64)> {
        let simulation = self.simulation.filter(|law| law.geometry.is_some())?;
        let trained = simulation.molecule.charges();
        let states = charge_states(trained);
        let mut best: Option<(Vec<f64>, f64, f64)> = None;
        for charges in states {
            let atoms = simulation.molecule.atoms().iter().zip(&charges);
            let atoms = atoms.map(|(atom, charge)| {
                let mut atom = atom.clone();
                atom.charge = *charge;
                atom
            });
            let molecule = Molecule::new(atoms.collect()).ok()?;
            let law = Simulation { molecule, ..simulation.clone() };
            let Ok(events) = simulate(&for_training(&law), TRIED_EVENTS, 0) else { continue };
            let training = Quantities::of(tried.molecule, events.momenta.view());
            let apart = training.apart(&Quantities::of(tried.molecule, tried.file.view()));
            if best.as_ref().is_none_or(|(_, _, least)| apart < *least) {
                best = Some((charges, tried.misfit(&training, 1.0), apart));
            }
        }
        best.filter(|(charges, ..)| charges != trained)
    }
}

impl Plausibility {
    /// The warning about the set, several lines without an end; none if there is nothing to warn of.
    pub fn warning(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.far {
            parts.push(self.far_in_words());
        }
        if self.zero_momentum_sum
            && let Some(sum) = self.momentum_sum_au
        {
            parts.push(format!(
                "warning: the momenta of the file's events add up to nothing (|sum p| {} a.u. in the median, {} in training): an analysis has imposed it\nhint: noise that is independent for each ion does not describe such momenta; posteriors of them are too narrow or wrong",
                short(sum.file.median), short(sum.training.median)
            ));
        }
        (!parts.is_empty()).then(|| parts.join("\n"))
    }

    fn far_in_words(&self) -> String {
        let mut text = format!(
            "warning: as a set, these momenta are not what the model was trained on: {:.0} % of {} events lie outside the training momenta",
            100.0 * self.outside_share,
            self.events
        );
        if let Some(energy) = self.kinetic_energy_ev {
            text.push_str(&format!(
                "\n  kinetic energy release (eV): {} in the file, {} in training (median, 5 to 95 %)",
                energy.file, energy.training
            ));
        }
        for IonComparison { ion, momentum } in &self.momentum_au {
            text.push_str(&format!(
                "\n  |p| of {ion} (a.u.): {} in the file, {} in training",
                momentum.file, momentum.training
            ));
        }
        match &self.cause {
            Some(cause) => format!("{text}\n  likely cause: {}", cause.in_words()),
            None => text,
        }
    }
}

impl Cause {
    /// In words, most with a hint in a line of its own.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Unit { factor, unit, order } => {
                let order = order.as_ref().map_or_else(String::new, |order| {
                    format!("; the ions then seem to be in the order {}", order.join(", "))
                });
                format!(
                    "the unit: momenta {} times as large would be in line, as if the file were in {unit}{order}\nhint: declare the unit of the file, `columns.y_unit = \"{unit}\"`",
                    short(*factor)
                )
            }
            Self::SwappedIons { order } => format!(
                "swapped ions: the momenta are in line if the ions are in the order {}\nhint: name the columns in the order of `[molecule]`",
                order.join(", ")
            ),
            Self::Charges { trained, likely } => {
                let list = |charges: &[f64]| {
                    let charges: Vec<_> = charges.iter().map(f64::to_string).collect();
                    charges.join(", ")
                };
                format!(
                    "the charge state: charges {} bring the momenta into line, the model was trained for {}; or the explosion was not instantaneous (charging up takes time, bonds stretch), which lowers the energy too\nhint: train on a simulation with the charges of these ions",
                    list(likely),
                    list(trained)
                )
            }
            Self::Energy { ratio } => format!(
                "momentum is shared among the ions as in training, but there is {} times the energy: {}",
                short(*ratio),
                if *ratio < 1.0 {
                    "smaller charges than assumed, an explosion that was not instantaneous (bonds stretch while the molecule charges up), or longer bonds than the geometry law has"
                } else {
                    "greater charges than assumed, or shorter bonds than the geometry law has"
                }
            ),
            Self::Unknown { ratio: Some(ratio) } => format!(
                "unknown; no unit, order of the ions or charge state brings them into line. There is {} times the energy of training: charges that differ from those assumed, an explosion that was not instantaneous, false coincidences, or a geometry law that is too narrow",
                short(*ratio)
            ),
            Self::Unknown { ratio: None } => "unknown".to_owned(),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} to {}", short(self.median), short(self.q05), short(self.q95))
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&magnitude) {
        format!("{value:.2e}")
    } else {
        let decimals = (2 - magnitude.log10().floor() as i64).max(0) as usize;
        format!("{value:.decimals$}")
    }
}

fn share(count: usize, events: usize) -> f64 {
    if events == 0 { 0.0 } else { count as f64 / events as f64 }
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

/// Kinetic energy release (eV), `|sum p|` and `|p|` of every ion (a.u.).
fn quantities(molecule: &Molecule, y: ArrayView1<'_, f64>) -> Vec<f64> {
    let y = y.to_vec();
    let norm = |p: [f64; 3]| p.iter().map(|p| p * p).sum::<f64>().sqrt();
    let sum = [0, 1, 2].map(|axis| y.iter().skip(axis).step_by(3).sum::<f64>());
    let ions = y.chunks_exact(3).map(|p| norm([p[0], p[1], p[2]]));
    [kinetic_energy_release(molecule, &y) * HARTREE_EV, norm(sum)].into_iter().chain(ions).collect()
}

/// The quantities of many events, each sorted.
struct Quantities {
    sorted: Vec<Vec<f64>>,
}

/// What all but a few events of a set are within: one interval a quantity.
struct Limits(Vec<[f64; 2]>);

impl Limits {
    fn leaves_out(&self, quantities: &[f64]) -> bool {
        quantities.iter().zip(&self.0).any(|(value, [low, high])| !(low..=high).contains(&value))
    }
}

impl Quantities {
    fn of(molecule: &Molecule, momenta: ArrayView2<'_, f64>) -> Self {
        let mut sorted = vec![Vec::with_capacity(momenta.nrows()); 2 + molecule.atom_count()];
        for row in momenta.rows() {
            for (values, value) in sorted.iter_mut().zip(quantities(molecule, row)) {
                values.push(value);
            }
        }
        sorted.iter_mut().for_each(|values| values.sort_by(f64::total_cmp));
        Self { sorted }
    }

    fn spread(&self, quantity: usize) -> Option<Spread> {
        let at = |level| quantile(&self.sorted[quantity], level);
        Some(Spread { q05: at(0.05)?, median: at(0.5)?, q95: at(0.95)? })
    }

    /// The intervals outside which `rare` of the events are; a momentum sum is never too small, and round-off is none.
    fn limits(&self, rare: f64) -> Limits {
        let largest = self.sorted[2..].iter().filter_map(|values| values.last());
        let round_off = 1e-4 * largest.copied().fold(0.0, f64::max);
        let limits = self.sorted.iter().enumerate().map(|(quantity, values)| {
            let at = |level| quantile(values, level).unwrap_or(f64::NAN);
            match quantity {
                1 => [0.0, at(1.0 - rare).max(round_off)],
                _ => [at(0.5 * rare), at(1.0 - 0.5 * rare)],
            }
        });
        Limits(limits.collect())
    }

    /// Whether the momentum sums are more than round-off.
    fn has_noise(&self) -> bool {
        let median = |quantity: usize| quantile(&self.sorted[quantity], 0.5).unwrap_or(0.0);
        median(1) > 1e-4 * (2..self.sorted.len()).map(median).fold(0.0, f64::max)
    }

    /// The factor that brings the median momenta of the ions to those of `training`: the geometric mean over ions.
    fn factor_to(&self, training: &Self) -> Option<f64> {
        let median = |values: &Vec<f64>| quantile(values, 0.5).filter(|median| *median > 0.0);
        let ions = self.sorted[2..].iter().zip(&training.sorted[2..]);
        let logs: Vec<f64> = ions
            .filter_map(|(file, training)| Some((median(training)? / median(file)?).ln()))
            .collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }

    /// Sum over energy and ions of the greatest distance between the two distribution functions.
    fn apart(&self, other: &Self) -> f64 {
        self.distances(other).iter().sum()
    }

    /// The greatest distance between the two distribution functions of the energy and of each ion.
    fn distances(&self, other: &Self) -> Vec<f64> {
        let used = (0..self.sorted.len()).filter(|quantity| *quantity != 1);
        used.map(|quantity| distance(&self.sorted[quantity], &other.sorted[quantity])).collect()
    }

    /// Whether the distributions are told apart (p-values of Holm), and by how much they differ at most.
    fn told_apart(&self, other: &Self) -> (bool, f64) {
        let (n, m) = (self.sorted[0].len() as f64, other.sorted[0].len() as f64);
        let effective = (n * m / (n + m)).round() as usize;
        let distances = self.distances(other);
        let p: Vec<f64> = distances.iter().map(|d| kolmogorov_survival(effective, *d)).collect();
        let least = holm(&p).into_iter().fold(1.0, f64::min);
        (least < TOLD_APART, distances.into_iter().fold(0.0, f64::max))
    }
}

impl Comparison {
    fn of(file: &Quantities, training: &Quantities, quantity: usize) -> Option<Self> {
        Some(Self { file: file.spread(quantity)?, training: training.spread(quantity)? })
    }
}

fn energy_ratio(file: &Quantities, training: &Quantities) -> Option<f64> {
    let median = |set: &Quantities| quantile(&set.sorted[0], 0.5);
    median(file).zip(median(training)).map(|(file, training)| file / training)
}

/// Largest distance between the empirical distribution functions of two sorted samples.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        i += a[i..].iter().take_while(|x| **x <= value).count();
        j += b[j..].iter().take_while(|x| **x <= value).count();
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

/// A few momenta of the file, to be changed and compared with training again.
struct Trial<'a> {
    molecule: &'a Molecule,
    training: &'a Quantities,
    file: Array2<f64>,
}

impl<'a> Trial<'a> {
    fn scaled(&self, factor: f64) -> Self {
        Self { file: &self.file * factor, ..*self }
    }

    /// The momenta with those of the ion `order[i]` of the molecule in the place of ion `order[i]`: the columns of
    /// the file hold the ions in that order.
    fn reordered(&self, order: &[usize]) -> Self {
        let mut file = self.file.clone();
        for (place, ion) in order.iter().enumerate() {
            for axis in 0..3 {
                file.column_mut(3 * ion + axis).assign(&self.file.column(3 * place + axis));
            }
        }
        Self { file, ..*self }
    }

    /// Share of the events, their momenta times `factor`, that energy and ions of all but 1 % of `training` leave out.
    fn misfit(&self, training: &Quantities, factor: f64) -> f64 {
        let mut limits = training.limits(0.01);
        limits.0[1] = [0.0, f64::INFINITY];
        let rows = self.file.rows().into_iter();
        let left_out =
            rows.filter(|y| limits.leaves_out(&quantities(self.molecule, (y * factor).view())));
        share(left_out.count(), self.file.nrows())
    }

    /// The order of the ions that brings the momenta nearest to training, with that distance; not the declared one.
    fn best_order(&self) -> Option<(Vec<usize>, f64)> {
        let ions = self.molecule.atom_count();
        if ions > MOST_PERMUTED {
            return None;
        }
        let apart = |order: &Vec<usize>| {
            let file = self.reordered(order).file;
            self.training.apart(&Quantities::of(self.molecule, file.view()))
        };
        let orders = permutations(ions).into_iter().skip(1);
        orders
            .map(|order| (apart(&order), order))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(apart, order)| (order, apart))
    }

    /// The order of the ions in the file, if another than the declared one leaves far fewer events out.
    fn swapped(&self) -> Option<Vec<String>> {
        let (order, apart) = self.best_order()?;
        let reordered = self.reordered(&order);
        let as_it_is = self.misfit(self.training, 1.0);
        let better = reordered.misfit(self.training, 1.0) <= as_it_is / 3.0
            && apart < 0.8 * self.training.apart(&Quantities::of(self.molecule, self.file.view()));
        (better && as_it_is > 0.0).then(|| self.names(&order))
    }

    /// The order of the ions in the file, if momenta that are told from those of training are not told from them any
    /// more in another one.
    fn exchanged(&self, file: &Quantities) -> Option<Cause> {
        let (is_told, differ) = file.told_apart(self.training);
        if !is_told || differ <= ALIKE {
            return None;
        }
        let (order, _) = self.best_order()?;
        let reordered = Quantities::of(self.molecule, self.reordered(&order).file.view());
        let (still_told, still_differ) = reordered.told_apart(self.training);
        let in_line = !still_told && still_differ <= (differ / 2.0).max(ALIKE);
        in_line.then(|| Cause::SwappedIons { order: self.names(&order) })
    }

    fn names(&self, order: &[usize]) -> Vec<String> {
        order.iter().map(|ion| self.molecule.labels()[*ion].clone()).collect()
    }
}

/// Whether all charges are the same multiple of the others: the momenta then are too.
fn is_multiple(charges: &[f64], of: &[f64]) -> bool {
    let mut ratios = charges.iter().zip(of).map(|(charge, of)| charge / of);
    let first = ratios.next();
    first.is_some_and(|first| ratios.all(|ratio| (ratio / first - 1.0).abs() < 1e-9))
}

/// All orders of `count` things, the given one first.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|begun| {
                let rest: Vec<usize> = (0..count).filter(|i| !begun.contains(i)).collect();
                rest.into_iter().map(move |next| [begun.clone(), vec![next]].concat())
            })
            .collect();
    }
    all
}

/// Charges to be tried, those of training among them: of few ions all states of up to [`HIGHEST_CHARGE`], of many
/// the same multiple for all.
fn charge_states(trained: &[f64]) -> Vec<Vec<f64>> {
    let mut states = vec![trained.to_vec()];
    if trained.len() > MOST_CHARGED {
        let multiples = [0.25, 1.0 / 3.0, 0.5, 2.0 / 3.0, 1.5, 2.0, 3.0, 4.0];
        let multiplied = multiples.map(|m| trained.iter().map(|charge| m * charge).collect());
        let whole = |charges: &Vec<f64>| charges.iter().all(|c| (c - c.round()).abs() < 1e-9);
        states.extend(multiplied.into_iter().filter(whole));
        return states;
    }
    let mut all = vec![Vec::new()];
    for _ in trained {
        let one_more = |begun: Vec<f64>| {
            (1..=HIGHEST_CHARGE).map(move |q| [begun.clone(), vec![f64::from(q)]].concat())
        };
        all = all.into_iter().flat_map(one_more).collect();
    }
    states.extend(all);
    states
}

/// The unit, of those that momenta are written in, that is nearest to `au` atomic units, and its size in a.u. Powers of ten
/// of an atomic unit are seldom meant: they must be nearer by [`SELDOM`].
fn nearest_unit(au: f64) -> (String, f64) {
    let si = 1.0 / MOMENTUM_AU_SI;
    let mut units: Vec<(String, f64)> = vec![("au".to_owned(), 1.0), ("si".to_owned(), si)];
    for exponent in -30..=-1 {
        units.push((format!("1e{exponent} kg m/s"), si * 10f64.powi(exponent)));
    }
    for exponent in (-12..=12).filter(|exponent| *exponent != 0) {
        units.push((format!("1e{exponent} au"), 10f64.powi(exponent)));
    }
    let off = |(name, size): &(String, f64)| {
        let seldom = if name.ends_with(" au") { SELDOM } else { 0.0 };
        (size / au).ln().abs() + seldom
    };
    let nearest = units.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    nearest.unwrap_or_else(|| ("au".to_owned(), 1.0))
}

#[cfg(test)]
mod tests {
    use super::{Cause, MomentumUnit, distance, nearest_unit, permutations};
    use cei_physics::units::MOMENTUM_AU_SI;

    /// What is named can be declared, and is the size that was meant, whatever unit was declared by mistake.
    #[test]
    fn every_unit_that_is_named_is_one() {
        for exponent in -300..=400 {
            let (name, size) = nearest_unit(10_f64.powf(f64::from(exponent) / 10.0));
            let unit: MomentumUnit = name.parse().unwrap();
            assert!((unit.factor() / size - 1.0).abs() < 1e-12, "{name}: {size}");
            let said = Cause::Unit { factor: size, unit: name, order: None }.in_words();
            let hint = said.split_once("\nhint: ").unwrap().1;
            let declared = hint.split('"').nth(1).unwrap();
            assert_eq!(declared.parse::<MomentumUnit>().unwrap(), unit);
        }
    }

    /// The momenta of other charges and bonds, a factor of two away, are still in the unit that laboratories write.
    #[test]
    fn powers_of_ten_of_kilogram_metre_per_second_come_first() {
        for exponent in [-23, -22, -20] {
            let size = 10_f64.powi(exponent) / MOMENTUM_AU_SI;
            for factor in [0.6, 1.0, 1.6] {
                let (name, _) = nearest_unit(factor * size);
                assert_eq!(name, format!("1e{exponent} kg m/s"), "{factor}");
            }
        }
        assert_eq!(nearest_unit(0.9).0, "au");
        assert_eq!(nearest_unit(1.0 / MOMENTUM_AU_SI).0, "si");
        assert_eq!(nearest_unit(1e-3).0, "1e-3 au");
    }

    #[test]
    fn distances_of_samples_by_hand() {
        assert_eq!(distance(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
        assert_eq!(distance(&[1.0, 2.0, 3.0, 4.0], &[2.0, 3.0]), 0.25);
        assert_eq!(distance(&[1.0, 1.0], &[1.0]), 0.0);
    }

    #[test]
    fn the_first_order_is_the_given_one() {
        let orders = permutations(3);
        assert_eq!((orders.len(), &orders[0][..]), (6, &[0, 1, 2][..]));
    }
}
