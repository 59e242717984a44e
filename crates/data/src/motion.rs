//! How atoms of a file move: units of momenta and velocities, and what a command line says about them.

use std::fmt;
use std::str::FromStr;

use cei_physics::units::{
    BOHR_ANGSTROM, BOHR_PM, ELECTRON_MASSES_PER_U, HARTREE_EV, MOMENTUM_AU_SI, TIME_AU_FS,
};

use crate::source::ColumnRef;
use crate::units::{UnitError, split};

/// What moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Mass times velocity.
    Momentum,
    /// Velocity.
    Velocity,
}

/// Unit of the momenta or velocities of a file: `au`, `kg m/s`, `u angstrom/fs`, `sqrt(u eV)` of momenta; `bohr/au`,
/// `bohr/fs`, `angstrom/fs`, `angstrom/ps`, `nm/ps`, `m/s`, `km/s`, `sqrt(eV/u)` of velocities; or a multiple of one.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionUnit {
    text: String,
    quantity: Quantity,
    factor: f64,
}

/// Momenta in the unit in which ASE has them, `sqrt(u eV)`.
const ASE_MOMENTA: &str = "sqrt(u eV)";

impl MotionUnit {
    /// The unit of ASE's momenta.
    pub(crate) fn ase_momenta() -> Self {
        Self::known(ASE_MOMENTA)
    }

    /// Velocities in angstrom/fs.
    pub(crate) fn angstrom_per_fs() -> Self {
        Self::known("angstrom/fs")
    }

    /// Velocities in atomic units.
    pub(crate) fn velocity_au() -> Self {
        Self::known("bohr/au")
    }

    /// Atomic units of momentum.
    pub(crate) fn momentum_au() -> Self {
        Self::known("au")
    }

    /// What it is a unit of.
    #[must_use]
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// The momentum in a.u. of an atom of `mass` (electron masses) for which the file has 1.
    #[must_use]
    pub fn momentum(&self, mass: f64) -> f64 {
        match self.quantity {
            Quantity::Momentum => self.factor,
            Quantity::Velocity => self.factor * mass,
        }
    }

    fn known(text: &str) -> Self {
        match text.parse() {
            Ok(unit) => unit,
            Err(_) => unreachable!("`{text}` is a unit"),
        }
    }
}

impl fmt::Display for MotionUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for MotionUnit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (multiple, name) = split(text)?;
        let velocity_si = BOHR_PM * 1e-12 / (TIME_AU_FS * 1e-15);
        let per_fs = TIME_AU_FS / BOHR_ANGSTROM;
        let (quantity, unit) = match name.replace("amu", "u").replace('å', "angstrom").as_str() {
            "au" | "a.u." => (Quantity::Momentum, 1.0),
            "si" | "kgm/s" | "kgms^-1" | "kgms-1" => (Quantity::Momentum, 1.0 / MOMENTUM_AU_SI),
            "uangstrom/fs" => (Quantity::Momentum, ELECTRON_MASSES_PER_U * per_fs),
            "sqrt(uev)" | "sqrt(evu)" => {
                (Quantity::Momentum, (ELECTRON_MASSES_PER_U / HARTREE_EV).sqrt())
            }
            "bohr/au" | "bohr/a.u." => (Quantity::Velocity, 1.0),
            "bohr/fs" => (Quantity::Velocity, TIME_AU_FS),
            "angstrom/fs" => (Quantity::Velocity, per_fs),
            "angstrom/ps" => (Quantity::Velocity, 1e-3 * per_fs),
            "nm/ps" => (Quantity::Velocity, 1e-2 * per_fs),
            "m/s" => (Quantity::Velocity, 1.0 / velocity_si),
            "km/s" => (Quantity::Velocity, 1e3 / velocity_si),
            "sqrt(ev/u)" => (Quantity::Velocity, 1.0 / (ELECTRON_MASSES_PER_U * HARTREE_EV).sqrt()),
            _ => {
                return Err(UnitError::Unknown {
                    text: text.to_owned(),
                    quantity: "momentum or velocity",
                    known: "of momenta `au`, `kg m/s`, `u angstrom/fs`, `sqrt(u eV)` (ASE); of velocities `bohr/au`, `bohr/fs`, `angstrom/fs`, `angstrom/ps`, `nm/ps`, `m/s`, `km/s`, `sqrt(eV/u)` (ASE)",
                    example: "1e-3 bohr/au",
                });
            }
        };
        let factor = multiple.unwrap_or(1.0) * unit;
        if !factor.is_normal() {
            return Err(UnitError::Factor { text: text.to_owned() });
        }
        Ok(Self { text: text.trim().to_owned(), quantity, factor })
    }
}

/// What is said about the motion in a file of positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MotionOptions {
    /// Columns of a table with the momenta or velocities, three an atom in the order of the molecule.
    pub columns: Vec<ColumnRef>,
    /// Their unit, or that of the velocities or momenta of another file.
    pub unit: Option<MotionUnit>,
    /// Whether the ions start at rest, whatever the file has.
    pub at_rest: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_other_programs() {
        let proton = 1.007_276 * ELECTRON_MASSES_PER_U;
        // 1 km/s is 4.571e-4 of the atomic unit of velocity, 2187.691 km/s (CODATA 2018).
        let cases = [
            ("au", Quantity::Momentum, 1.0),
            ("1e-22 kg m/s", Quantity::Momentum, 1e-22 / MOMENTUM_AU_SI),
            ("bohr/au", Quantity::Velocity, proton),
            ("km/s", Quantity::Velocity, proton / 2_187.691_263_64),
            ("m/s", Quantity::Velocity, proton / 2_187_691.263_64),
            // 1 angstrom/fs = 100 km/s, 1 nm/ps = 1 km/s.
            ("angstrom/fs", Quantity::Velocity, 100.0 * proton / 2_187.691_263_64),
            ("Å/fs", Quantity::Velocity, 100.0 * proton / 2_187.691_263_64),
            ("10 angstrom/ps", Quantity::Velocity, proton / 2_187.691_263_64),
            ("nm/ps", Quantity::Velocity, proton / 2_187.691_263_64),
            ("bohr/fs", Quantity::Velocity, 52.917_721 * proton / 2_187.691_263_64),
        ];
        for (text, quantity, momentum) in cases {
            let unit: MotionUnit = text.parse().unwrap();
            assert_eq!(unit.quantity(), quantity, "{text}");
            assert!((unit.momentum(proton) / momentum - 1.0).abs() < 1e-8, "{text}");
            assert_eq!(unit.to_string(), text);
        }
        // ASE: a time is angstrom sqrt(u / eV), 10.180506 fs; a momentum is u angstrom over that.
        let [ase, plain]: [MotionUnit; 2] =
            ["sqrt(amu eV)", "u angstrom/fs"].map(|text| text.parse().unwrap());
        assert!((plain.momentum(1.0) / ase.momentum(1.0) / 10.180_505_7 - 1.0).abs() < 1e-7);
        let [ase, plain]: [MotionUnit; 2] =
            ["sqrt(eV/u)", "angstrom/fs"].map(|text| text.parse().unwrap());
        assert!((plain.momentum(1.0) / ase.momentum(1.0) / 10.180_505_7 - 1.0).abs() < 1e-7);
        for text in ["", "bohr", "fs", "velocity", "0 m/s"] {
            assert!(text.parse::<MotionUnit>().is_err(), "{text}");
        }
    }
}
