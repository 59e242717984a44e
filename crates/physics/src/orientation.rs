//! How molecules are turned in the laboratory: as drawn, at random, or aligned with an axis of the laboratory.
//!
//! Let `theta` be the angle from an axis of the laboratory to one of the molecule, and `f(c)` the density of
//! `c = cos theta` on -1 to 1. The azimuth about the laboratory's axis and the turn about the molecule's are uniform.
//! Under the uniform law of rotations `c` is uniform, `f = 1/2`; so the rotations have the density `2 f(c)` relative
//! to that law. A molecule's turn is independent of its shape, hence
//! ```text
//! p(x) = p_random(x) 2 f(c(x))        2 f(c) = exp(kappa c^2) / int_0^1 exp(kappa c^2) dc
//!                                            = 1 + beta P_2(c)
//!                                            = w(theta) / (1/2 int_0^pi w sin(theta) dtheta)
//! ```
//! exactly. `<c^2>` of the first grows from 0 to 1 with `kappa` and is 1/3 at 0; that of the second is
//! `1/3 + 2 beta / 15`. It is the number by which alignment is quoted, `<cos^2 theta>`.

use std::fmt;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::frame::Rotation;
use crate::molecule::Molecule;
use crate::symmetric::eigen;
use crate::vector::{Vector, cross, difference, dot, norm, of_atom, scaled};

/// Largest `|kappa|`; `<cos^2 theta>` is 0.001 and 0.998 there.
const MOST_KAPPA: f64 = 500.0;
/// A law that is this much denser than isotropy somewhere is narrower than cosines are drawn.
const MOST_PEAKED: f64 = 1e4;

/// The molecule's orientation in the laboratory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// As the geometry law draws it, or as the positions are given.
    #[default]
    AsDrawn,
    /// Turned about the origin by a rotation uniform on SO(3).
    Random,
    /// Aligned with an axis of the laboratory.
    #[serde(untagged)]
    Turned(Turned),
}

/// A law of the orientation that has parameters.
///
/// ```toml
/// [orientation]
/// kind = "aligned"
/// molecule_axis = ["O", "S"]
/// laboratory_axis = "z"
/// cos2 = 0.65
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Turned {
    /// An axis of the molecule follows a law of its angle `theta` to an axis of the laboratory, that of the laser's
    /// polarisation for example; the azimuth about the laboratory's axis and the turn about the molecule's are uniform.
    ///
    /// The law is given by exactly one of `cos2`, `kappa`, `beta` and `weights`.
    Aligned(Aligned),
}

/// Alignment with an axis of the laboratory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// The axis of the laboratory.
    pub laboratory_axis: LaboratoryAxis,
    /// The molecule's axis, from one atom to another; by default the principal axis of least inertia, of which either
    /// end may be the front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub molecule_axis: Option<[String; 2]>,
    /// The mean of `cos^2 theta`, 1/3 without alignment: the density per solid angle is proportional to
    /// `exp(kappa cos^2 theta)`, with the `kappa` that has this mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.002, max = 0.997))]
    pub cos2: Option<f64>,
    /// The same law by its `kappa`: above 0 along the axis, below 0 across it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -500.0, max = 500.0))]
    pub kappa: Option<f64>,
    /// A density per solid angle proportional to `1 + beta P_2(cos theta)`, as one photon selects: 2 is `cos^2 theta`,
    /// -1 is `sin^2 theta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1.0, max = 2.0))]
    pub beta: Option<f64>,
    /// Weights per solid angle, `[angle in degrees, weight]`, linear in the angle between them; they need not be
    /// normalised. Angles ascend from 0 to 90, where the law is the same for both ends of the axis, or to 180.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("allowed" = "angles ascending, weights at least 0"))]
    pub weights: Option<Vec<[f64; 2]>>,
}

/// An axis of the laboratory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LaboratoryAxis {
    /// The first component of positions and momenta.
    X,
    /// The second.
    Y,
    /// The third.
    Z,
}

impl Orientation {
    /// Checks it and finds its atoms.
    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<ResolvedOrientation, SimulationConfigError> {
        Ok(match self {
            Self::AsDrawn => ResolvedOrientation::AsDrawn,
            Self::Random => ResolvedOrientation::Random,
            Self::Turned(Turned::Aligned(aligned)) => {
                ResolvedOrientation::Aligned(aligned.resolve(molecule)?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Orientation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable)
    }
}

/// Reads a word or a table; an untagged enum would not say what is wrong with the table.
struct WordOrTable;

impl<'de> Visitor<'de> for WordOrTable {
    type Value = Orientation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"as-drawn\", \"random\" or a table with `kind = \"aligned\"`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Orientation, E> {
        match word {
            "as-drawn" => Ok(Orientation::AsDrawn),
            "random" => Ok(Orientation::Random),
            _ => Err(E::unknown_variant(word, &["as-drawn", "random"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Orientation, A::Error> {
        Turned::deserialize(MapAccessDeserializer::new(table)).map(Orientation::Turned)
    }
}

/// An [`Orientation`] whose atoms are found.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedOrientation {
    AsDrawn,
    Random,
    Aligned(Alignment),
}

impl ResolvedOrientation {
    /// Turns the positions about the origin, and momenta (or none) with them.
    pub(crate) fn apply(&self, rng: &mut impl Rng, positions: &mut [f64], momenta: &mut [f64]) {
        if matches!(self, Self::AsDrawn) {
            return;
        }
        let turn = Rotation::from_quaternion([0; 4].map(|_| rng.sample(StandardNormal)));
        turn.apply(positions);
        turn.apply(momenta);
        if let Self::Aligned(alignment) = self
            && let Some(tilt) = alignment.tilt(rng, positions)
        {
            tilt.apply(positions);
            tilt.apply(momenta);
        }
    }
}

/// An [`Aligned`] that is checked.
#[derive(Debug, Clone)]
pub(crate) struct Alignment {
    molecule_axis: MoleculeAxis,
    /// Of a position's components.
    laboratory_axis: usize,
    law: AngleLaw,
    /// Log of the largest density relative to isotropy.
    log_peak: f64,
}

#[derive(Debug, Clone)]
enum MoleculeAxis {
    /// From one atom to another.
    Atoms([usize; 2]),
    /// The principal axis of least inertia of atoms of these masses.
    LeastInertia(Vec<f64>),
}

/// The law of the cosine.
#[derive(Debug, Clone)]
enum AngleLaw {
    Exponential {
        kappa: f64,
        /// `ln int_0^1 exp(kappa c^2) dc`.
        log_mean: f64,
    },
    Legendre {
        beta: f64,
    },
    Table {
        /// Angles in radians with the density relative to isotropy.
        points: Vec<[f64; 2]>,
        /// Whether the angles end at 90 degrees and both ends of the axis are alike.
        mirrored: bool,
    },
}

impl Aligned {
    fn resolve(&self, molecule: &Molecule) -> Result<Alignment, SimulationConfigError> {
        let molecule_axis = match &self.molecule_axis {
            None => MoleculeAxis::LeastInertia(molecule.masses().to_vec()),
            Some([from, to]) => {
                let key = "orientation.molecule_axis";
                let atoms = [molecule.require_index(key, from)?, molecule.require_index(key, to)?];
                if atoms[0] == atoms[1] {
                    let (key, label) = (key.to_owned(), to.clone());
                    return Err(SimulationConfigError::RepeatedAtom { key, label });
                }
                MoleculeAxis::Atoms(atoms)
            }
        };
        let law = self.law()?;
        if let (AngleLaw::Table { mirrored: false, .. }, None) = (&law, &self.molecule_axis) {
            return Err(SimulationConfigError::NoFront);
        }
        let log_peak = law.log_peak();
        require(
            "orientation.weights",
            log_peak.exp(),
            "a law at most 10,000 times as dense as isotropy",
            |peak| peak <= MOST_PEAKED,
        )?;
        let laboratory_axis = self.laboratory_axis as usize;
        Ok(Alignment { molecule_axis, laboratory_axis, law, log_peak })
    }

    fn law(&self) -> Result<AngleLaw, SimulationConfigError> {
        let within = |name: &str, value: f64, least: f64, most: f64, words| {
            require(format!("orientation.{name}"), value, words, |v| (least..=most).contains(&v))
        };
        match (self.cos2, self.kappa, self.beta, &self.weights) {
            (Some(cos2), None, None, None) => {
                within("cos2", cos2, 0.002, 0.997, "0.002 to 0.997")?;
                Ok(AngleLaw::exponential(kappa_of(cos2)))
            }
            (None, Some(kappa), None, None) => {
                within("kappa", kappa, -MOST_KAPPA, MOST_KAPPA, "-500 to 500")?;
                Ok(AngleLaw::exponential(kappa))
            }
            (None, None, Some(beta), None) => {
                within("beta", beta, -1.0, 2.0, "-1 to 2")?;
                Ok(AngleLaw::Legendre { beta })
            }
            (None, None, None, Some(weights)) => AngleLaw::table(weights),
            _ => {
                let given = [self.cos2, self.kappa, self.beta].iter().flatten().count();
                let found = given + usize::from(self.weights.is_some());
                Err(SimulationConfigError::ExactlyOneStrength { found })
            }
        }
    }
}

impl Alignment {
    /// Log density of the positions' orientation relative to the uniform law of rotations, `ln 2 f(c)`. Positions without
    /// the molecule's axis (its atoms coincide) are not aligned: 0.
    pub(crate) fn log_density(&self, positions: &[f64]) -> f64 {
        self.axis(positions).map_or(0.0, |axis| self.law.log_density(axis[self.laboratory_axis]))
    }

    /// The rotation of positions that are turned at random after which the angle has its law, and the azimuth stays.
    fn tilt(&self, rng: &mut impl Rng, positions: &[f64]) -> Option<Rotation> {
        let cosine = self.draw_cosine(rng);
        let axis = self.axis(positions)?;
        let mut across = axis;
        across[self.laboratory_axis] = 0.0;
        let length = norm(across);
        if length == 0.0 {
            return None;
        }
        let mut wanted = scaled(across, (1.0 - cosine * cosine).sqrt() / length);
        wanted[self.laboratory_axis] = cosine;
        let [x, y, z] = cross(axis, wanted);
        Some(Rotation::from_quaternion([1.0 + dot(axis, wanted), x, y, z]))
    }

    /// By rejection from the uniform law.
    fn draw_cosine(&self, rng: &mut impl Rng) -> f64 {
        loop {
            let cosine = 2.0 * rng.random::<f64>() - 1.0;
            if rng.random::<f64>().ln() < self.law.log_density(cosine) - self.log_peak {
                return cosine;
            }
        }
    }

    /// The molecule's axis, of length 1.
    fn axis(&self, positions: &[f64]) -> Option<Vector> {
        let along = match &self.molecule_axis {
            MoleculeAxis::Atoms([from, to]) => {
                difference(of_atom(positions, *to), of_atom(positions, *from))
            }
            MoleculeAxis::LeastInertia(masses) => longest_axis(masses, positions),
        };
        let length = norm(along);
        (length > 0.0).then(|| scaled(along, 1.0 / length))
    }
}

impl AngleLaw {
    fn exponential(kappa: f64) -> Self {
        Self::Exponential { kappa, log_mean: log_moment(kappa, 0) }
    }

    /// Checks and normalises weights: `int w sin = [s sin - w cos]` over a piece where `w` has the slope `s`.
    fn table(weights: &[[f64; 2]]) -> Result<Self, SimulationConfigError> {
        let mut before = f64::NEG_INFINITY;
        for (row, [angle, weight]) in weights.iter().enumerate() {
            let key = format!("orientation.weights[{row}]");
            require(&key, *weight, "a weight of at least 0", |weight| weight >= 0.0)?;
            let least = before;
            require(key, *angle, "angles that ascend from 0", |angle| {
                angle > least && (row > 0 || angle == 0.0)
            })?;
            before = *angle;
        }
        let mirrored = before == 90.0;
        let last = format!("orientation.weights[{}]", weights.len().saturating_sub(1));
        require(last, before.max(0.0), "90 or 180 as the last angle", |angle| {
            angle == 90.0 || angle == 180.0
        })?;
        let mut points: Vec<[f64; 2]> =
            weights.iter().map(|[angle, weight]| [angle.to_radians(), *weight]).collect();
        let pieces = points.windows(2).map(|ends| {
            let [[a, w_a], [b, w_b]] = [ends[0], ends[1]];
            let slope = (w_b - w_a) / (b - a);
            w_a * a.cos() - w_b * b.cos() + slope * (b.sin() - a.sin())
        });
        let mean = pieces.sum::<f64>() * if mirrored { 1.0 } else { 0.5 };
        require("orientation.weights", mean, "some weight above 0", |mean| mean > 0.0)?;
        points.iter_mut().for_each(|[_, weight]| *weight /= mean);
        Ok(Self::Table { points, mirrored })
    }

    /// `ln 2 f(c)`.
    fn log_density(&self, cosine: f64) -> f64 {
        match self {
            Self::Exponential { kappa, log_mean } => kappa * cosine * cosine - log_mean,
            Self::Legendre { beta } => (1.0 + beta * (1.5 * cosine * cosine - 0.5)).max(0.0).ln(),
            Self::Table { points, mirrored } => {
                let cosine = if *mirrored { cosine.abs() } else { cosine };
                let angle = cosine.clamp(-1.0, 1.0).acos();
                let next = points.partition_point(|[at, _]| *at <= angle);
                let next = next.clamp(1, points.len() - 1);
                let [[a, w_a], [b, w_b]] = [points[next - 1], points[next]];
                let part = ((angle - a) / (b - a)).min(1.0);
                (w_a + part * (w_b - w_a)).ln()
            }
        }
    }

    fn log_peak(&self) -> f64 {
        match self {
            Self::Exponential { .. } | Self::Legendre { .. } => {
                self.log_density(0.0).max(self.log_density(1.0))
            }
            Self::Table { points, .. } => {
                points.iter().map(|[_, density]| density.ln()).fold(f64::NEG_INFINITY, f64::max)
            }
        }
    }
}

/// `ln int_0^1 c^(2m) exp(kappa c^2) dc`, by series of positive terms: for `kappa` of at least 0 that of the exponential,
/// `sum kappa^n / (n! (2n + 2m + 1))`; below, with `k = -kappa`, `exp(-k) / (2m + 1) sum k^n / (m + 3/2)_n`.
fn log_moment(kappa: f64, m: u32) -> f64 {
    let power = f64::from(2 * m + 1);
    let (mut term, mut sum, mut n) = (1.0, 0.0, 0.0);
    loop {
        let added = if kappa < 0.0 { term } else { term / (power + 2.0 * n) };
        sum += added;
        n += 1.0;
        if n > kappa.abs() && added < 1e-17 * sum {
            break;
        }
        term *= if kappa < 0.0 { -2.0 * kappa / (power + 2.0 * n) } else { kappa / n };
    }
    if kappa < 0.0 { kappa + (sum / power).ln() } else { sum.ln() }
}

/// `<cos^2 theta>` of the exponential law.
fn cos2_of(kappa: f64) -> f64 {
    (log_moment(kappa, 1) - log_moment(kappa, 0)).exp()
}

/// The `kappa` of a `<cos^2 theta>`, with which it grows, by bisection.
fn kappa_of(cos2: f64) -> f64 {
    let (mut low, mut high) = (-MOST_KAPPA, MOST_KAPPA);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if cos2_of(middle) < cos2 {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The direction in which the masses are most spread, that of least inertia.
fn longest_axis(masses: &[f64], positions: &[f64]) -> Vector {
    let total: f64 = masses.iter().sum();
    let atoms = || positions.chunks_exact(3).zip(masses);
    let mut centre = [0.0; 3];
    for (atom, mass) in atoms() {
        (0..3).for_each(|axis| centre[axis] += mass / total * atom[axis]);
    }
    let mut moments = [[0.0; 3]; 3];
    for (atom, mass) in atoms() {
        let from_centre = difference([atom[0], atom[1], atom[2]], centre);
        for (row, a) in moments.iter_mut().zip(from_centre) {
            (0..3).for_each(|column| row[column] += mass * a * from_centre[column]);
        }
    }
    let (values, vectors) = eigen(moments);
    let largest = (0..3).max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
    if values[largest] > 0.0 { vectors[largest] } else { [0.0; 3] }
}

#[cfg(test)]
mod tests;
