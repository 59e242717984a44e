//! How the momenta of a file compare with those of training, and why they differ: as it is told and kept.

use std::fmt;

use cei_metrics::number;
use serde::{Deserialize, Serialize};

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
    /// How the directions of the ions in the laboratory compare with those of the declared orientation; none where they
    /// are not known, do not matter, or the file is far from training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directions: Option<Directions>,
    /// The time of charging that would explain their energy; none where that is as in training, or explained otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charging: Option<ChargingTime>,
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
    /// The charges come in another time than in the simulation, or the molecules are longer or shorter than there.
    Charging,
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

/// The directions of the ions in the file and in the declared simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Directions {
    /// Whether they differ.
    pub differ: bool,
    /// The axis of the laboratory by which they differ most: `x`, `y` or `z`.
    pub axis: String,
    /// By that axis, of each ion.
    pub ions: Vec<IonDirection>,
}

/// The directions of one ion in the file and in the simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IonDirection {
    /// Label of the ion.
    pub ion: String,
    /// In the file.
    pub file: Direction,
    /// In the simulation.
    pub simulation: Direction,
}

/// Means over events of the cosine between a momentum and an axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// Mean of the cosine, 0 where both ends of the axis are alike.
    #[serde(with = "number")]
    pub cos: f64,
    /// Mean of its square, 1/3 for isotropy.
    #[serde(with = "number")]
    pub cos2: f64,
}

impl Directions {
    fn in_words(&self) -> String {
        let Self { axis, ions, .. } = self;
        let mut text = format!(
            "warning: the ions do not fly in the directions of the laboratory that the declared `orientation` gives; by the axis {axis}, the means of cos and cos^2 are"
        );
        for IonDirection { ion, file, simulation } in ions {
            text.push_str(&format!(
                "\n  {ion}: {:.2} and {:.2} in the file, {:.2} and {:.2} in the simulation",
                file.cos, file.cos2, simulation.cos, simulation.cos2
            ));
        }
        text + "\nhint: train on a simulation with the orientation of this measurement (docs/spec.md, Orientation): another one gives posteriors that are too narrow or shifted; directions that the detector or a selection of events has cut are no orientation"
    }
}

/// A time in which the charges come that would give the energy of a file by the simulation's geometries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChargingTime {
    /// Key of `[charging]` that has the time; of kind `exponential` where the simulation has no charging.
    pub key: String,
    /// Whether the simulation has a charging.
    pub declared: bool,
    /// The time (fs) that gives the file's median kinetic energy release; none if no time does.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub time_fs: Option<f64>,
    /// What all distances must be multiplied by to give the same energy from charges that are there at once; none
    /// where the simulation has a charging.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub stretch: Option<f64>,
    /// What the momenta of the single ions fit.
    pub ions: IonsFit,
}

/// What the momenta of the single ions fit where a time and a stretch give the energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IonsFit {
    /// The charging of that time.
    Charging,
    /// The same share of each ion as in training: molecules that are stretched.
    Stretched,
    /// Both alike.
    Both,
    /// Neither.
    Neither,
}

impl ChargingTime {
    fn in_words(&self) -> String {
        let Self { key, declared, time_fs, stretch, ions } = self;
        let Some(time) = time_fs else {
            return format!(
                "no time (`charging.{key}`) of the declared charging gives the energy of the file by the geometries of the training"
            );
        };
        let time = short(*time);
        let text = if *declared {
            format!(
                "`charging.{key}` of about {time} fs for all events would give the energy of the file by the geometries of the training; so would other distances"
            )
        } else {
            format!(
                "exponential charging, `charging.{key}` of about {time} fs instead of charges that are there at once, would give the energy of the file by the geometries of the training; so would molecules stretched by {}, charged at once",
                short(stretch.unwrap_or(1.0))
            )
        };
        let ions = match ions {
            IonsFit::Charging => "the momenta of the single ions are those of the charging rather",
            IonsFit::Stretched => {
                "the momenta of the single ions are those of the stretched molecules rather"
            }
            IonsFit::Both => "the momenta of the single ions fit both",
            IonsFit::Neither => "the momenta of the single ions fit neither alone",
        };
        format!("{text}; {ions}")
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
        if let Some(directions) = self.directions.as_ref().filter(|directions| directions.differ) {
            parts.push(directions.in_words());
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
        if let Some(charging) = &self.charging {
            text.push_str(&format!("\n  charging: {}", charging.in_words()));
        }
        match &self.cause {
            Some(cause) => format!("{text}\n  likely cause: {}", cause.in_words()),
            None => text,
        }
    }
}

impl Cause {
    /// One word, for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unit { .. } => "unit",
            Self::SwappedIons { .. } => "swapped-ions",
            Self::Charges { .. } => "charges",
            Self::Charging => "charging",
            Self::Energy { .. } => "energy",
            Self::Unknown { .. } => "unknown",
        }
    }

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
                    "the charge state: charges {} bring the momenta into line, the model was trained for {}\nhint: train on a simulation with the charges of these ions",
                    list(likely),
                    list(trained)
                )
            }
            Self::Charging => "charging that takes another time than in the simulation, or molecules that are longer or shorter than its geometry law has them\nhint: docs/real-data.md says how the momenta can tell these apart, and where they cannot; a time that is not known is a distribution in `[charging]`, and is inferred if `columns.nuisances` lists it".to_owned(),
            Self::Energy { ratio } => format!(
                "momentum is shared among the ions as in training, but there is {} times the energy: {}",
                short(*ratio),
                if *ratio < 1.0 {
                    "smaller charges than assumed, charges that come more slowly than assumed (bonds stretch meanwhile), or longer bonds than the geometry law has (docs/real-data.md)"
                } else {
                    "greater charges than assumed, charges that come faster, or shorter bonds than the geometry law has"
                }
            ),
            Self::Unknown { ratio: Some(ratio) } => format!(
                "unknown; no unit, order of the ions or charge state brings them into line. There is {} times the energy of training: charges that differ from those assumed or come in another time, false coincidences, or a geometry law that is too narrow (docs/real-data.md)",
                short(*ratio)
            ),
            Self::Unknown { ratio: None } => "unknown".to_owned(),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
