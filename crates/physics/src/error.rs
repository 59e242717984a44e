//! What can be wrong with a simulation's configuration; every variant names the key.

use crate::modes::ModesError;

/// A configuration that cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulationConfigError {
    /// A number lies outside its allowed range.
    #[error("`{key}`: `{value}` is out of range, expected {expected}")]
    OutOfRange {
        /// The key in the configuration, for example `geometry.bonds[0].length_angstrom.sd`.
        key: String,
        /// The value found.
        value: f64,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// An atom is named that the molecule does not have.
    #[error("`{key}`: the molecule has no atom `{label}`\nhint: its atoms are {}", .known.join(", "))]
    UnknownAtom {
        /// The key in the configuration.
        key: String,
        /// The label found.
        label: String,
        /// The labels of the molecule.
        known: Vec<String>,
    },
    /// One atom is named twice where two different ones are needed.
    #[error("`{key}`: atom `{label}` is named twice")]
    RepeatedAtom {
        /// The key in the configuration.
        key: String,
        /// The label found twice.
        label: String,
    },
    /// A table that must name every atom leaves one out.
    #[error("`{key}`: no entry for atom `{label}`")]
    MissingAtom {
        /// The key in the configuration.
        key: String,
        /// The atom without an entry.
        label: String,
    },
    /// The law does not fit the number of atoms.
    #[error("`geometry.law`: `{law}` needs {needed} atoms, the molecule has {found}")]
    AtomCount {
        /// The law's name.
        law: &'static str,
        /// The number of atoms it is made for.
        needed: usize,
        /// The number of atoms of the molecule.
        found: usize,
    },
    /// Exactly one of two keys must be given.
    #[error("give exactly one of `{first}` and `{second}`, found {found}")]
    ExactlyOne {
        /// The one key.
        first: &'static str,
        /// The other key.
        second: &'static str,
        /// How many of them were found.
        found: usize,
    },
    /// Geometries are to be drawn, and no law is configured.
    #[error("`geometry` is missing\nhint: configure a geometry law, or give positions")]
    NoGeometry,
    /// Normal modes that describe no vibrating molecule.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// Ions that would get momenta twice.
    #[error(
        "`temperature_k` gives the ions momenta, and {other} does too\nhint: set `temperature_k = 0`"
    )]
    MomentaTwice {
        /// What else does.
        other: &'static str,
    },
    /// Momenta of a file are declared, and there is no file.
    #[error(
        "`initial_momenta` is `given`: the ions started with momenta of a file, which new events do not have\nhint: explode positions and momenta of a file with `cei simulate --positions`, or remove the key"
    )]
    MomentaNotGiven,
    /// Noise along laboratory axes that the recorded events do not know any more.
    #[error(
        "`detector.momentum_noise_au` differs between the laboratory's axes, which events in another frame do not know any more\nhint: record the events with `frame = {{ kind = \"laboratory\" }}`, or declare one number for each ion"
    )]
    UnevenNoise,
}

/// Checks that `value` is finite and satisfies `valid`, else an error that names `key`.
pub(crate) fn require(
    key: impl Into<String>,
    value: f64,
    expected: &'static str,
    valid: impl Fn(f64) -> bool,
) -> Result<(), SimulationConfigError> {
    if value.is_finite() && valid(value) {
        Ok(())
    } else {
        Err(SimulationConfigError::OutOfRange { key: key.into(), value, expected })
    }
}
