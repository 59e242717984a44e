//! Units of table columns, converted to internal units (Hartree atomic units, SPEC 1) on loading.

use cei_physics::units::{BOHR_PM, MOMENTUM_AU_SI};
use serde::{Deserialize, Serialize};

/// Unit of the position columns of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionUnit {
    /// Bohr, the internal unit.
    #[default]
    Bohr,
    /// Angstrom.
    Angstrom,
    /// Picometre.
    Pm,
    /// Nanometre.
    Nm,
    /// No unit: the numbers are taken as they are.
    None,
}

impl PositionUnit {
    /// The factor by which a number of the file is multiplied to become internal.
    #[must_use]
    pub fn factor(self) -> f64 {
        match self {
            Self::Bohr | Self::None => 1.0,
            Self::Angstrom => 100.0 / BOHR_PM,
            Self::Pm => 1.0 / BOHR_PM,
            Self::Nm => 1000.0 / BOHR_PM,
        }
    }

    /// The unit of loaded numbers; none where they have no unit.
    #[must_use]
    pub fn internal(self) -> Option<&'static str> {
        (self != Self::None).then_some("bohr")
    }
}

/// Unit of the momentum columns of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumUnit {
    /// Atomic units of momentum, the internal unit.
    #[default]
    Au,
    /// kg m/s.
    Si,
    /// No unit: the numbers are taken as they are.
    None,
}

impl MomentumUnit {
    /// The factor by which a number of the file is multiplied to become internal.
    #[must_use]
    pub fn factor(self) -> f64 {
        match self {
            Self::Au | Self::None => 1.0,
            Self::Si => 1.0 / MOMENTUM_AU_SI,
        }
    }
}
