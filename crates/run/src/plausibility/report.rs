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
