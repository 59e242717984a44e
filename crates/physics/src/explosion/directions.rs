//! Orthonormal directions in which positions are varied, and what symmetry says about them ([`super::jacobian`]).

use crate::vector::cross;

/// The least part of the molecule's size that a unit rotation must move it by for the rotation to be used.
const LEAST_TURN: f64 = 0.02;

/// Rows whose directions are made orthonormal side by side: the sums of one wait for their own terms.
const SIDE: usize = 4;

/// A number of each row.
type Wide = [f64; SIDE];

/// Orthonormal directions of one row; the first ones have changes of momenta that symmetry gives.
pub(super) struct Directions {
    /// Directions one after the other, each of 3N numbers, and as many changes.
    known: Vec<f64>,
    changes: Vec<f64>,
    /// Directions whose changes must be integrated.
    pub(super) unknown: Vec<f64>,
    /// Numbers of the symmetries behind the known ones, see [`symmetry`].
    symmetries: Vec<usize>,
    pub(super) uses_rotations: bool,
}

/// Numbers of the symmetries that are used.
pub(super) fn symmetries(stretch: bool, rotations: bool) -> impl Iterator<Item = usize> {
    (0..7).filter(move |number| match number {
        0..3 => true,
        3 => stretch,
        _ => rotations,
    })
}

impl Directions {
    /// The directions at each of `rows`; the changes are filled in by [`Self::change`].
    pub(super) fn of_rows(rows: &[&[f64]], stretch: bool) -> Vec<Self> {
        let of_group = |group: &[&[f64]]| {
            let rows = std::array::from_fn(|lane| group[lane.min(group.len() - 1)]);
            let found = Self::orthonormal(rows, stretch, true).into_iter().zip(rows);
            let found = found.take(group.len()).map(|(with, row)| {
                // Without rotations nothing is small.
                let [without, ..] = match with {
                    Some(with) => return with,
                    None => Self::orthonormal([row; SIDE], stretch, false),
                };
                without.unwrap_or_else(|| Self::none(false))
            });
            found.collect::<Vec<_>>()
        };
        rows.chunks(SIDE).flat_map(of_group).collect()
    }

    pub(super) fn none(uses_rotations: bool) -> Self {
        Self {
            known: Vec::new(),
            changes: Vec::new(),
            unknown: Vec::new(),
            symmetries: Vec::new(),
            uses_rotations,
        }
    }

    /// `J = sum_k (dp / dq_k) q_k^T`, from the changes along the unknown directions, into lines of a `width` of 3N or more.
    pub(super) fn jacobian(&self, changes: &[f64], width: usize, jacobian: &mut [f64]) {
        let columns = jacobian.len() / width;
        jacobian.fill(0.0);
        let known = self.known.chunks_exact(columns).zip(self.changes.chunks_exact(columns));
        let unknown = self.unknown.chunks_exact(columns).zip(changes.chunks_exact(columns));
        for (q, change) in known.chain(unknown) {
            for (line, dp) in jacobian.chunks_exact_mut(width).zip(change) {
                for (entry, q) in line.iter_mut().zip(q) {
                    *entry += dp * q;
                }
            }
        }
    }

    /// `None` where a rotation hardly moves the molecule.
    fn orthonormal(rows: [&[f64]; SIDE], stretch: bool, rotations: bool) -> [Option<Self>; SIDE] {
        let columns = rows[0].len();
        let size = rows.map(|row| {
            let shape = symmetry(row, 3);
            shape.iter().map(|x| x * x).sum::<f64>().sqrt()
        });
        let mut basis: Vec<Wide> = Vec::with_capacity(columns * columns);
        let mut moves = [true; SIDE];
        let symmetries: Vec<usize> = symmetries(stretch, rotations).collect();
        for &number in &symmetries {
            let each = rows.map(|row| symmetry(row, number));
            let mut vector: Vec<Wide> =
                (0..columns).map(|c| each.each_ref().map(|of_row| of_row[c])).collect();
            let length = orthogonalise(&mut vector, &basis);
            for lane in 0..SIDE {
                moves[lane] &= number <= 3 || length[lane] >= LEAST_TURN * size[lane];
            }
            basis.extend(vector.iter().map(|v| by_lane(v, &length, |v, length| v / length)));
        }
        let known = basis.len();
        let mut room: Vec<Wide> = (0..columns)
            .map(|c| {
                let taken = basis[c..]
                    .iter()
                    .step_by(columns)
                    .fold(NOTHING, |sum, q| by_lane(&sum, q, |sum, q| sum + q * q));
                taken.map(|taken| 1.0 - taken)
            })
            .collect();
        while basis.len() < columns * columns {
            let mut vector = vec![[0.0; SIDE]; columns];
            for lane in 0..SIDE {
                let more = |best: usize, c: usize| {
                    if room[c][lane] > room[best][lane] { c } else { best }
                };
                vector[(0..columns).fold(0, more)][lane] = 1.0;
            }
            let length = orthogonalise(&mut vector, &basis);
            for v in &mut vector {
                *v = by_lane(v, &length, |v, length| v / length);
            }
            for (room, v) in room.iter_mut().zip(&vector) {
                *room = by_lane(room, v, |room, v| room - v.powi(2));
            }
            basis.extend(vector);
        }
        let (of_known, of_unknown) = basis.split_at(known);
        std::array::from_fn(|lane| {
            let of_lane = |all: &[Wide]| all.iter().map(|each| each[lane]).collect();
            moves[lane].then(|| Self {
                known: of_lane(of_known),
                changes: Vec::new(),
                unknown: of_lane(of_unknown),
                symmetries: symmetries.clone(),
                uses_rotations: rotations,
            })
        })
    }

    /// Fills in the changes of the known directions by the same elimination that made them orthonormal. `of_kicks` are
    /// the changes of momenta along balanced kicks, which serve ions that move at the start: turning the positions alone
    /// is turning all, less turning the momenta at the start.
    pub(super) fn change(
        &mut self,
        (positions, initial): (&[f64], &[f64]),
        momenta: &[f64],
        of_kicks: &[f64],
    ) {
        let columns = positions.len();
        for (place, &number) in self.symmetries.iter().enumerate() {
            let vector = symmetry(positions, number);
            let mut change = change_by_symmetry(momenta, number);
            if !of_kicks.is_empty() {
                let at_start = change_by_symmetry(initial, number);
                for (kick, size) in of_kicks.chunks_exact(columns).zip(&at_start) {
                    for (change, kick) in change.iter_mut().zip(kick) {
                        *change -= size * kick;
                    }
                }
            }
            let along = |k: usize| {
                let q = &self.known[k * columns..(k + 1) * columns];
                q.iter().zip(&vector).map(|(q, v)| q * v).sum::<f64>()
            };
            for k in 0..place {
                let part = along(k);
                let before = &self.changes[k * columns..(k + 1) * columns];
                for (c, b) in change.iter_mut().zip(before) {
                    *c -= part * b;
                }
            }
            let length = along(place);
            self.changes.extend(change.iter().map(|c| c / length));
        }
    }
}

/// An empty sum.
const NOTHING: Wide = [-0.0; SIDE];

fn by_lane(a: &Wide, b: &Wide, work: impl Fn(f64, f64) -> f64) -> Wide {
    std::array::from_fn(|lane| work(a[lane], b[lane]))
}

fn dot(a: &[Wide], b: &[Wide]) -> Wide {
    let terms = a.iter().zip(b).map(|(a, b)| by_lane(a, b, |a, b| a * b));
    terms.fold(NOTHING, |sum, term| by_lane(&sum, &term, |sum, term| sum + term))
}

/// Subtracts the parts of `vector` along the orthonormal `basis`, twice because once leaves round-off, and
/// returns the length of what is left.
fn orthogonalise(vector: &mut [Wide], basis: &[Wide]) -> Wide {
    for _ in 0..2 {
        for q in basis.chunks_exact(vector.len()) {
            let part = dot(q, vector);
            for (v, q) in vector.iter_mut().zip(q) {
                let along = by_lane(&part, q, |part, q| part * q);
                *v = by_lane(v, &along, |v, along| v - along);
            }
        }
    }
    dot(vector, vector).map(f64::sqrt)
}

/// Change of positions under a translation along axis 0 to 2, a stretch (3), a rotation about axis 0 to 2 (4 to
/// 6), the latter about the centroid.
fn symmetry(positions: &[f64], number: usize) -> Vec<f64> {
    let atoms = (positions.len() / 3) as f64;
    if number < 3 {
        return (0..positions.len()).map(|c| if c % 3 == number { 1.0 } else { 0.0 }).collect();
    }
    let centroid: [f64; 3] =
        std::array::from_fn(|axis| positions[axis..].iter().step_by(3).sum::<f64>() / atoms);
    let centred = positions.iter().enumerate().map(|(c, x)| x - centroid[c % 3]);
    if number == 3 { centred.collect() } else { turned(&centred.collect::<Vec<_>>(), number - 4) }
}

/// What the same does to the momenta.
fn change_by_symmetry(momenta: &[f64], number: usize) -> Vec<f64> {
    match number {
        0..3 => vec![0.0; momenta.len()],
        3 => momenta.iter().map(|p| -0.5 * p).collect(),
        _ => turned(momenta, number - 4),
    }
}

/// `e_axis x v` for every vector of a row.
fn turned(row: &[f64], axis: usize) -> Vec<f64> {
    let mut omega = [0.0; 3];
    omega[axis] = 1.0;
    row.chunks_exact(3).flat_map(|v| cross(omega, [v[0], v[1], v[2]])).collect()
}
