//! The sum of the momenta of an event over its ions: which sums are accepted, and the motion of the centre of mass, which
//! has this momentum.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The sums that are accepted, in a.u.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SumGate {
    /// Of at most this length.
    Length(f64),
    /// With components of at most these magnitudes along x, y and z.
    Axes([f64; 3]),
}

impl SumGate {
    /// Whether a sum (a.u.) is accepted; NaN never is.
    #[must_use]
    pub fn accepts(&self, sum: [f64; 3]) -> bool {
        match self {
            Self::Length(most) => sum.iter().map(|p| p * p).sum::<f64>().sqrt() <= *most,
            Self::Axes(most) => sum.iter().zip(most).all(|(p, most)| p.abs() <= *most),
        }
    }
}

impl fmt::Display for SumGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(most) => write!(f, "length of at most {most} a.u."),
            Self::Axes([x, y, z]) => write!(f, "at most {x}, {y} and {z} a.u. along x, y and z"),
        }
    }
}

impl FromStr for SumGate {
    type Err = String;

    /// One number, or three with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |cell: &str| {
            cell.trim().parse::<f64>().ok().filter(|most| *most > 0.0 && most.is_finite())
        };
        let numbers: Option<Vec<f64>> = text.split(',').map(number).collect();
        match numbers.as_deref() {
            Some([most]) => Ok(Self::Length(*most)),
            Some([x, y, z]) => Ok(Self::Axes([*x, *y, *z])),
            _ => Err("expected a number above 0 for the length of the sum, or three for its components, in a.u.\nhint: as `10`, or `5,5,10`".to_owned()),
        }
    }
}

/// What is done about the motion of the centre of mass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CentreOfMass {
    /// It stays in the momenta.
    #[default]
    Kept,
    /// Each ion loses its part of the sum: `p_i - m_i / M sum`.
    Removed,
}

impl FromStr for CentreOfMass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kept" => Ok(Self::Kept),
            "removed" => Ok(Self::Removed),
            _ => Err("expected `kept` or `removed`".to_owned()),
        }
    }
}

/// The sum over the ions of momenta, three an ion.
pub(crate) fn sum_of(momenta: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sum = [0.0; 3];
    momenta.enumerate().for_each(|(place, p)| sum[place % 3] += p);
    sum
}

/// Takes the motion of the centre of mass out of momenta, three an ion; `masses` in any unit.
pub(crate) fn remove_motion<'a>(
    momenta: impl Iterator<Item = &'a mut f64>,
    masses: &[f64],
    sum: [f64; 3],
) {
    let total: f64 = masses.iter().sum();
    for (place, p) in momenta.enumerate().take(3 * masses.len()) {
        *p -= masses[place / 3] / total * sum[place % 3];
    }
}

/// What is made of the momentum sums of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SumOptions {
    /// The sums that are accepted; all by default.
    pub gate: Option<SumGate>,
    /// The motion of the centre of mass.
    pub centre_of_mass: CentreOfMass,
}

impl SumOptions {
    /// Whether they change anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

/// Events that a gate has left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gated {
    /// The gate: a length, or limits along x, y and z, in a.u.
    pub gate_au: SumGate,
    /// Events that were looked at.
    pub events: u64,
    /// Events outside it, which are left out.
    pub dropped: u64,
}

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate_au, events, dropped } = self;
        write!(f, "momentum-sum gate ({gate_au}): {dropped} of {events} events are left out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_and_accept_what_is_within() {
        let length: SumGate = "5".parse().unwrap();
        assert!(length.accepts([3.0, 0.0, 4.0]) && !length.accepts([3.0, 0.1, 4.0]));
        let axes: SumGate = "1, 2,30".parse().unwrap();
        assert!(axes.accepts([1.0, -2.0, 30.0]) && !axes.accepts([1.1, 0.0, 0.0]));
        assert!(!length.accepts([f64::NAN, 0.0, 0.0]) && !axes.accepts([0.0, f64::NAN, 0.0]));
        for wrong in ["", "0", "-1", "nan", "inf", "1,2", "1,2,3,4", "ten"] {
            assert!(wrong.parse::<SumGate>().unwrap_err().contains("hint: "), "{wrong}");
        }
    }

    /// Seen from the centre of mass, the sum is zero and all velocities differ by the same one.
    #[test]
    fn removed_motion_is_one_velocity() {
        let masses = [16.0, 12.0, 32.0];
        let before = [1.0, -2.0, 3.0, 0.5, 0.75, -1.0, 4.0, 0.125, 2.0];
        let mut momenta = before;
        let sum = sum_of(before.iter().copied());
        assert_eq!(sum, [5.5, -1.125, 4.0]);
        remove_motion(momenta.iter_mut(), &masses, sum);
        assert!(sum_of(momenta.iter().copied()).iter().all(|p| p.abs() < 1e-14));
        for axis in 0..3 {
            let velocity =
                |ion: usize| (before[3 * ion + axis] - momenta[3 * ion + axis]) / masses[ion];
            assert!((velocity(0) - velocity(1)).abs() < 1e-15);
            assert!((velocity(0) - velocity(2)).abs() < 1e-15);
        }
    }
}
