//! What can be wrong with normal modes; every variant names the key. Modes count from 0, as in the configuration.

/// Normal modes that describe no vibrating molecule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModesError {
    /// There are none.
    #[error(
        "`geometry.modes` is missing\nhint: list the modes as `[[geometry.modes]]`, or name a Molden file that holds them, with their reference positions, by `geometry.molden`"
    )]
    Missing,
    /// A file that whoever reads files has not read.
    #[error("`geometry.molden`: the modes of `{path}` have not been read")]
    NotRead {
        /// The file.
        path: String,
    },
    /// Both a file and what it would give.
    #[error(
        "`geometry.molden` names a file of positions and modes, but `geometry.{key}` is given too\nhint: leave one of them out"
    )]
    Twice {
        /// The other key.
        key: &'static str,
    },
    /// No vibration is left.
    #[error("`geometry.modes`: none of the {found} modes is a vibration that can be drawn")]
    NoVibration {
        /// Modes given.
        found: usize,
    },
    /// A mode without displacements.
    #[error("`geometry.modes[{mode}]` ({frequency} cm^-1): all displacements are zero")]
    Still {
        /// The mode.
        mode: usize,
        /// Its frequency in cm^-1.
        frequency: f64,
    },
    /// A negative frequency, which stands for an imaginary one.
    #[error(
        "`geometry.modes[{mode}].frequency_cm1`: `{frequency}` is imaginary: the reference is no minimum along this mode, which has no harmonic distribution\nhint: give the modes of a minimum, or leave such modes out by `geometry.imaginary = \"leave-out\"`"
    )]
    Imaginary {
        /// The mode.
        mode: usize,
        /// Its frequency in cm^-1.
        frequency: f64,
    },
    /// A vibration so slow that its amplitude has no limit.
    #[error(
        "`geometry.modes[{mode}].frequency_cm1`: `{frequency}` is out of range for a vibration, expected at least 1 cm^-1\nhint: the mode is no translation or rotation of the reference; leave it out where it is free"
    )]
    Slow {
        /// The mode.
        mode: usize,
        /// Its frequency in cm^-1.
        frequency: f64,
    },
    /// A mode that moves or turns the molecule as a whole.
    #[error(
        "`geometry.modes[{mode}]` ({frequency} cm^-1) moves or turns the molecule as a whole: {percent:.1} % of its mass-weighted vector\nhint: {hint}"
    )]
    Moves {
        /// The mode.
        mode: usize,
        /// Its frequency in cm^-1.
        frequency: f64,
        /// Length of that part of the unit vector in percent.
        percent: f64,
        /// What may be wrong.
        hint: &'static str,
    },
    /// Two modes that are not orthogonal.
    #[error(
        "`geometry.modes[{first}]` and `geometry.modes[{second}]` are not orthogonal: their mass-weighted vectors overlap by {percent:.1} %\nhint: {hint}"
    )]
    Mixed {
        /// The one mode.
        first: usize,
        /// The other mode.
        second: usize,
        /// The overlap of the unit vectors in percent.
        percent: f64,
        /// What may be wrong.
        hint: &'static str,
    },
    /// More vibrations than the molecule has.
    #[error("`geometry.modes`: {found} vibrations, the molecule has {most}")]
    TooMany {
        /// Vibrations given.
        found: usize,
        /// Vibrations that there are.
        most: usize,
    },
}
