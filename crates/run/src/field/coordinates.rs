//! What is plotted of one event, from the momenta of its ions.
//!
//! With the momenta `p`, masses `m` and kinetic energies `E = p^2 / 2m` of three ions a, b, c:
//! ```text
//! Dalitz         X = (e_a - e_b) / sqrt(3),  Y = e_c - 1/3,  e = E / (E_a + E_b + E_c)
//! Newton         p along a's momentum, and across it in the plane of a and b, b on the side of positive values
//! native frame   q = (m_b p_c - m_c p_b) / (m_b + m_c)                   second step, in the frame of b and c
//!                P = ((m_b + m_c) p_a - m_a (p_b + p_c)) / M             first step, in that of all three
//!                KER = q^2 / (2 mu_bc),  theta = angle between q and P
//! ```
//! The native frame is that of J. Rajput et al., Phys. Rev. Lett. 120, 103001 (2018).

/// A momentum.
pub(crate) type Momentum = [f64; 3];

pub(crate) fn dot(a: Momentum, b: Momentum) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `sum of p^2 / 2m`, in the unit of `p^2 / m`.
pub(super) fn kinetic_energy(momenta: impl Iterator<Item = Momentum>, masses: &[f64]) -> f64 {
    momenta.zip(masses).map(|(p, mass)| dot(p, p) / (2.0 * mass)).sum()
}

/// Angle between two momenta in degrees; none where one is zero.
pub(super) fn angle_degrees(a: Momentum, b: Momentum) -> Option<f64> {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (lengths > 0.0).then(|| (dot(a, b) / lengths).clamp(-1.0, 1.0).acos().to_degrees())
}

/// The shares of three ions' kinetic energy; none without any.
pub(crate) fn energy_shares(momenta: [Momentum; 3], masses: [f64; 3]) -> Option<[f64; 3]> {
    let mut energies = [0.0; 3];
    for ((energy, p), mass) in energies.iter_mut().zip(momenta).zip(masses) {
        *energy = dot(p, p) / (2.0 * mass);
    }
    let all: f64 = energies.iter().sum();
    (all > 0.0).then(|| energies.map(|energy| energy / all))
}

/// Place in the Dalitz plot of the shares of the first, the second and the middle ion.
pub(crate) fn dalitz([a, b, middle]: [f64; 3]) -> Option<(f64, f64)> {
    let place = ((a - b) / 3f64.sqrt(), middle - 1.0 / 3.0);
    (place.0.is_finite() && place.1.is_finite()).then_some(place)
}

/// Where momenta of these masses lie in the Dalitz plot that add up to nothing along one line.
pub(crate) fn dalitz_boundary(masses: [f64; 3]) -> Vec<(f64, f64)> {
    /// Points of the curve.
    const POINTS: usize = 180;
    let at = |point: usize| {
        let (sin, cos) = (std::f64::consts::PI * point as f64 / POINTS as f64).sin_cos();
        dalitz(energy_shares([[cos, 0.0, 0.0], [sin, 0.0, 0.0], [-cos - sin, 0.0, 0.0]], masses)?)
    };
    (0..=POINTS).filter_map(at).collect()
}

/// The corners of the Dalitz plot, the first one again at the end: where one of the three has no energy, if their momenta
/// need not add up to nothing.
pub(crate) fn dalitz_triangle() -> Vec<(f64, f64)> {
    let corners = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]];
    corners.into_iter().filter_map(dalitz).collect()
}

/// The axes of a Newton plot.
#[derive(Clone, Copy)]
pub(super) struct NewtonFrame {
    along: Momentum,
    across: Momentum,
    length: f64,
}

impl NewtonFrame {
    /// None where the momenta of the two reference ions are parallel, or one is zero.
    pub(super) fn new(first: Momentum, second: Momentum) -> Option<Self> {
        let length = dot(first, first).sqrt();
        let along = first.map(|p| p / length);
        let part = dot(second, along);
        let rest = [0, 1, 2].map(|axis| second[axis] - part * along[axis]);
        let width = dot(rest, rest).sqrt();
        (length > 0.0 && width > 0.0).then(|| Self {
            along,
            across: rest.map(|p| p / width),
            length,
        })
    }

    /// A momentum along the first ion's and across it, in units of the length of the first ion's.
    pub(super) fn place(&self, p: Momentum) -> (f64, f64) {
        (dot(p, self.along) / self.length, dot(p, self.across) / self.length)
    }
}

/// Angle between the two steps in degrees, and kinetic energy of the second one, where the first ion leaves first;
/// `q` points from the second ion to the third. None where a step has no momentum.
pub(super) fn native_frame(p: [Momentum; 3], [a, b, c]: [f64; 3]) -> Option<(f64, f64)> {
    let second = [0, 1, 2].map(|axis| (b * p[2][axis] - c * p[1][axis]) / (b + c));
    let all = a + b + c;
    let first = [0, 1, 2].map(|axis| ((b + c) * p[0][axis] - a * (p[1][axis] + p[2][axis])) / all);
    let energy = dot(second, second) * (b + c) / (2.0 * b * c);
    Some((angle_degrees(second, first)?, energy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dalitz_place_by_hand() {
        // Energies of O 3, S 2 and C in the middle 1, of the same sum: p^2 = 2 m e.
        let p = |mass: f64, energy: f64| [(2.0 * mass * energy).sqrt(), 0.0, 0.0];
        let momenta = [p(16.0, 3.0), p(32.0, 2.0), p(12.0, 1.0)];
        let (x, y) = dalitz(energy_shares(momenta, [16.0, 32.0, 12.0]).unwrap()).unwrap();
        assert!((x - (3.0 - 2.0) / 6.0 / 3f64.sqrt()).abs() < 1e-12);
        assert!((y - (1.0 / 6.0 - 1.0 / 3.0)).abs() < 1e-12);
    }

    /// Three equal masses: the curve is the circle of radius 1/3, as in every textbook.
    #[test]
    fn the_curve_of_equal_masses_is_a_circle() {
        let boundary = dalitz_boundary([1.0; 3]);
        assert_eq!(boundary.len(), 181);
        for (x, y) in boundary {
            assert!((x.hypot(y) - 1.0 / 3.0).abs() < 1e-12, "{x} {y}");
        }
    }

    /// Momenta that add up to nothing lie within the curve: seen from the middle of the plot of any event, no point of it is
    /// further than the curve in its direction.
    #[test]
    fn no_event_lies_outside_of_the_curve() {
        let masses = [16.0, 32.0, 12.0];
        let boundary = dalitz_boundary(masses);
        let winding = |(x, y): (f64, f64)| -> f64 {
            let turns = boundary.windows(2).map(|ends| {
                let angle = |end: (f64, f64)| (end.1 - y).atan2(end.0 - x);
                let turn = angle(ends[1]) - angle(ends[0]);
                (turn + 3.0 * std::f64::consts::PI).rem_euclid(2.0 * std::f64::consts::PI)
                    - std::f64::consts::PI
            });
            turns.sum::<f64>().abs() / (2.0 * std::f64::consts::PI)
        };
        for event in 1..500 {
            let at = |k: f64| (f64::from(event) * k).sin();
            let (o, s) = ([at(0.37), at(1.31), at(2.17)], [at(0.73), at(1.91), at(2.71)]);
            let c = [0, 1, 2].map(|axis| -o[axis] - s[axis]);
            let inside = dalitz(energy_shares([o, s, c], masses).unwrap()).unwrap();
            assert!((winding(inside) - 1.0).abs() < 1e-6, "{inside:?}");
        }
        assert!(winding((0.9, 0.9)) < 1e-6);
    }

    #[test]
    fn a_newton_plot_by_hand() {
        // O along z, S opposite with 0.8 of its momentum and 0.3 across, C with the rest.
        let (o, s, c) = ([0.0, 0.0, 2.0], [0.0, 0.6, -1.6], [0.0, -0.6, -0.4]);
        let frame = NewtonFrame::new(o, s).unwrap();
        let near = |(x, y): (f64, f64), (u, v): (f64, f64)| {
            assert!((x - u).abs() < 1e-12 && (y - v).abs() < 1e-12, "{x} {y}");
        };
        near(frame.place(o), (1.0, 0.0));
        near(frame.place(s), (-0.8, 0.3));
        near(frame.place(c), (-0.2, -0.3));
        assert!(NewtonFrame::new(o, o).is_none() && NewtonFrame::new([0.0; 3], o).is_none());
    }

    /// Momenta made of two steps are taken apart again: O leaves with P along z, CO's... here C and S leave each other with
    /// q at 40 degrees from it, in a frame that moves with their common velocity; the motion of all three is not seen.
    #[test]
    fn a_native_frame_gives_back_the_steps() {
        let (masses, [o, c, s]) = ([16.0, 12.0, 32.0], [16.0, 12.0, 32.0]);
        let (first, second, angle) = (20.0, 7.0, 40f64.to_radians());
        let q = [second * angle.sin(), 0.0, second * angle.cos()];
        let drift = [0.3, -0.1, 0.2];
        let at = |axis: usize| if axis == 2 { first } else { 0.0 };
        let p_o = [0, 1, 2].map(|axis| at(axis) + o * drift[axis]);
        let p_c = [0, 1, 2].map(|axis| -at(axis) * c / (c + s) - q[axis] + c * drift[axis]);
        let p_s = [0, 1, 2].map(|axis| -at(axis) * s / (c + s) + q[axis] + s * drift[axis]);
        let (theta, energy) = native_frame([p_o, p_c, p_s], masses).unwrap();
        assert!((theta - 40.0).abs() < 1e-10, "{theta}");
        assert!((energy - second * second * (c + s) / (2.0 * c * s)).abs() < 1e-10, "{energy}");
    }

    #[test]
    fn angles_of_right_and_opposite_momenta() {
        assert_eq!(angle_degrees([1.0, 0.0, 0.0], [0.0, 2.0, 0.0]), Some(90.0));
        assert_eq!(angle_degrees([1.0, 0.0, 0.0], [-3.0, 0.0, 0.0]), Some(180.0));
        assert_eq!(angle_degrees([0.0; 3], [1.0, 0.0, 0.0]), None);
    }
}
