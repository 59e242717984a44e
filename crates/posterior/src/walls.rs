//! Steps that end where the prior does: along its walls, as a ball rolls that cannot pass.
//!
//! ```text
//! t(s)                   how far one comes along s before the prior ends, in lengths of s
//! 1 / t(s) = n.s         for a flat wall at n.u = 1, u from where the step begins: linear in s, so that d + 1 ways tell n
//! N s = -g - sum_j m_j n_j,   n_j.s = c_j        the damped step that ends at the walls it meets
//! ```
//! Priors tell where they end only by being zero there. Distances to a wall come by halving.

use crate::linear::Cholesky;

/// A step comes so close to a wall, bohr or the unit of a nuisance.
const CLOSE: f64 = 1e-6;
/// How often the way to a wall is halved.
const HALVINGS: usize = 50;
/// Ways beside that of the step differ from it by this part of its length.
const BESIDE: f64 = 0.01;
/// A bent wall takes a step back by this part of its length at most.
const LITTLE: f64 = 0.3;
/// Where there is no wall a step ends at this part of the way that is inside.
const SHORT: f64 = 0.9;

/// A wall `n.s = c`, as seen from where a step begins.
struct Wall {
    normal: Vec<f64>,
    distance: f64,
}

/// A step of a search, changed so that it ends inside, at the walls that it meets. `factor` is that of the normal matrix.
pub(crate) fn within(
    is_inside: &dyn Fn(&[f64]) -> bool,
    mut step: Vec<f64>,
    factor: &Cholesky,
) -> Vec<f64> {
    let free = step.clone();
    let mut walls = Vec::new();
    while !is_inside(&step) {
        let met = if walls.len() < step.len() { ahead(is_inside, &step) } else { None };
        let corrected = met.and_then(|wall| {
            walls.push(wall);
            along(&walls, &free, factor)
        });
        let Some(corrected) = corrected else {
            // No wall, but a corner or a hole.
            let part = SHORT * way(is_inside, &step);
            return step.iter().map(|s| part * s).collect();
        };
        step = back_inside(is_inside, &walls, &corrected).unwrap_or(corrected);
    }
    step
}

/// The wall that a step meets.
fn ahead(is_inside: &dyn Fn(&[f64]) -> bool, step: &[f64]) -> Option<Wall> {
    let here = 1.0 / way(is_inside, step);
    let beside = BESIDE * norm(step);
    let mut there = step.to_vec();
    let mut normal = Vec::with_capacity(step.len());
    for i in 0..step.len() {
        // Along one of two ways the wall is nearer.
        let slope = [beside, -beside].into_iter().find_map(|beside| {
            there[i] = step[i] + beside;
            let slope = (1.0 / way(is_inside, &there) - here) / beside;
            (slope * beside > -here).then_some(slope)
        });
        there[i] = step[i];
        normal.push(slope?);
    }
    // From here the wall is 1 / |n| away.
    let distance = (1.0 - CLOSE * norm(&normal)).max(0.0);
    (distance.is_finite() && dot(&normal, step) > distance).then_some(Wall { normal, distance })
}

/// A step, corrected so that it ends at these walls.
fn along(walls: &[Wall], step: &[f64], factor: &Cholesky) -> Option<Vec<f64>> {
    let n = walls.len();
    let mut solved = Vec::with_capacity(n);
    for wall in walls {
        let mut column = wall.normal.clone();
        factor.solve(&mut column);
        solved.push(column);
    }
    let mut matrix = vec![0.0; n * n];
    let mut push: Vec<f64> = Vec::with_capacity(n);
    for (i, wall) in walls.iter().enumerate() {
        for (k, column) in solved.iter().enumerate() {
            matrix[i * n + k] = dot(&wall.normal, column);
        }
        push.push(dot(&wall.normal, step) - wall.distance);
    }
    Cholesky::new(&matrix, n)?.solve(&mut push);
    let mut along = step.to_vec();
    for (push, column) in push.iter().zip(&solved) {
        along.iter_mut().zip(column).for_each(|(s, c)| *s -= push * c);
    }
    Some(along)
}

/// A step that ends a little beyond these walls, because they are bent, taken back to inside.
fn back_inside(
    is_inside: &dyn Fn(&[f64]) -> bool,
    walls: &[Wall],
    step: &[f64],
) -> Option<Vec<f64>> {
    let mut inwards = vec![0.0; step.len()];
    for Wall { normal, .. } in walls {
        let steep = norm(normal);
        inwards.iter_mut().zip(normal).for_each(|(s, n)| *s -= n / steep);
    }
    let back = |part: f64| -> Vec<f64> {
        step.iter().zip(&inwards).map(|(s, inwards)| s + part * inwards).collect()
    };
    let (mut outside, mut inside) = (0.0, LITTLE * norm(step));
    if is_inside(step) || !is_inside(&back(inside)) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (outside + inside);
        *(if is_inside(&back(middle)) { &mut inside } else { &mut outside }) = middle;
    }
    Some(back(inside))
}

/// How far one comes along a step, in lengths of it; infinite beyond its end.
fn way(is_inside: &dyn Fn(&[f64]) -> bool, step: &[f64]) -> f64 {
    let at = |part: f64| -> Vec<f64> { step.iter().map(|s| part * s).collect() };
    let (mut inside, mut outside) = (0.0, 1.0);
    if is_inside(&at(outside)) {
        return f64::INFINITY;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (inside + outside);
        *(if is_inside(&at(middle)) { &mut inside } else { &mut outside }) = middle;
    }
    0.5 * (inside + outside)
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
