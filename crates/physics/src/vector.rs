//! Three-dimensional vector arithmetic on `[f64; 3]`.

pub(crate) type Vector = [f64; 3];

/// The vector of atom `index` in a row of `(x, y, z)` per atom.
pub(crate) fn of_atom(row: &[f64], index: usize) -> Vector {
    [row[3 * index], row[3 * index + 1], row[3 * index + 2]]
}

pub(crate) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn norm(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn scaled(a: Vector, factor: f64) -> Vector {
    a.map(|component| component * factor)
}

pub(crate) fn difference(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Takes from each momentum its atom's share of the motion of the centre of mass.
pub(crate) fn bring_to_rest(momenta: &mut [f64], masses: &[f64]) {
    let total_mass: f64 = masses.iter().sum();
    for axis in 0..3 {
        let total: f64 = momenta[axis..].iter().step_by(3).sum();
        for (momentum, mass) in momenta[axis..].iter_mut().step_by(3).zip(masses) {
            *momentum -= total * mass / total_mass;
        }
    }
}
