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
    /// A sequential break-up of what cannot break so.
    #[error("`break_up`: a sequential break-up needs {what}")]
    Sequential {
        /// What it needs.
        what: &'static str,
    },
    /// A file is named whose content should stand in its place by now.
    #[error("`{key}`: the file `{file}` has not been read\nhint: give the positions by atom")]
    Unread {
        /// The key in the configuration.
        key: &'static str,
        /// The name of the file.
        file: String,
    },
    /// An entry of a tree of coordinates that does not fit its place.
    #[error(
        "`geometry.tree[{place}]`: `{entry}`: {reason}\nhint: each entry places one atom by earlier ones, as in `[\"O\", \"H1-O\", \"H2-O-H1\"]`: bond length, then angle, then dihedral"
    )]
    Tree {
        /// The entry's place, from 0.
        place: usize,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A law is given for a coordinate that the tree does not have.
    #[error(
        "`{key}`: the tree has no such coordinate as `{name}`\nhint: it has {}; for others write `geometry.tree`", .known.join(", ")
    )]
    UnknownCoordinate {
        /// The key in the configuration.
        key: &'static str,
        /// The name found.
        name: String,
        /// The names of the tree's coordinates of this kind.
        known: Vec<String>,
    },
    /// Two laws are given for one coordinate.
    #[error("`{key}`: `{name}` has a law already, under this or another of its names")]
    RepeatedCoordinate {
        /// The key in the configuration.
        key: &'static str,
        /// The name found.
        name: String,
    },
    /// More channels than can be told apart.
    #[error("`channels` lists {found}, at most {most} are possible")]
    ChannelCount {
        /// The number of channels.
        found: usize,
        /// The greatest number.
        most: usize,
    },
    /// A channel has not one charge for each ion.
    #[error(
        "`channels[{place}].charges` has {found} numbers for {} ions\nhint: one for each of {}, in this order",
        .known.len(), .known.join(", ")
    )]
    ChannelCharges {
        /// The place of the channel, from 0.
        place: usize,
        /// The number of charges.
        found: usize,
        /// The labels of the molecule.
        known: Vec<String>,
    },
    /// Two channels have the same charges.
    #[error(
        "`channels[{second}]` has the charges of `channels[{first}]`\nhint: list them once, with the sum of the weights"
    )]
    RepeatedChannel {
        /// The place of the one, from 0.
        first: usize,
        /// The place of the other.
        second: usize,
    },
    /// The molecule itself has other charges than all channels.
    #[error(
        "`channels`: the molecule's own charges {charges:?} are those of none\nhint: give `molecule.atoms` the charges of one of the channels, the one that momenta are compared with"
    )]
    ChargesOfNoChannel {
        /// The molecule's charges.
        charges: Vec<f64>,
    },
    /// Neither a coordinate nor all of its kind have a law.
    #[error("`{key}` is missing, and `{name}` has no law of its own in `{own}`")]
    NoLaw {
        /// The key of all coordinates of the kind.
        key: &'static str,
        /// The coordinate's name.
        name: String,
        /// The key of single ones.
        own: &'static str,
    },
    /// A change of an angle about 180 degrees that says nothing of its two directions.
    #[error(
        "`geometry.angle_changes_deg`: `{name}` is {degrees:.1} degrees in the reference, in line, where only a normal change of mean 0 is understood (of both bends)\nhint: give it a law of its own, such as `geometry.bends_deg = {{ {name} = {{ distribution = \"weibull\", shape = 2, scale = 20 }} }}`"
    )]
    InLine {
        /// The angle's name.
        name: String,
        /// The angle in the reference.
        degrees: f64,
    },
    /// Atoms of a reference at one point.
    #[error("`{key}`: atoms `{first}` and `{second}` are at one point")]
    SamePlace {
        /// The key in the configuration.
        key: &'static str,
        /// The one atom.
        first: String,
        /// The other atom.
        second: String,
    },
    /// The strength of an alignment is not given, or more than once.
    #[error(
        "`orientation`: give exactly one of `cos2`, `kappa`, `beta` and `weights`, found {found}"
    )]
    ExactlyOneStrength {
        /// How many of them were found.
        found: usize,
    },
    /// Weights that tell the ends of an axis apart that has none.
    #[error(
        "`orientation.weights` to 180 degrees tell the two ends of the molecule's axis apart, and the axis of least inertia has no front\nhint: name two atoms in `molecule_axis`, or end the angles at 90"
    )]
    NoFront,
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
