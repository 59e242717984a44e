//! The density of momenta of false coincidences: ions of two molecules that are taken for those of one.
//!
//! ```text
//! b(y)   = mean over the divisions (A, B) of the ions of  p_A(y_A) p_B(y_B)
//! p_A(y) = f(u) / (4 pi |p_1|^3 2 pi q_2^2)
//! u      = (ln |p_1|; ln q_2, p_2 along p_1; the others in this frame)       q_2 = p_2 across p_1
//! ```
//! Directions are at random, so that the density of the momenta of some of the ions of a molecule depends on `u` alone: what
//! they are in the frame of the first two. `f` is a kernel estimate of it from measured events.

use std::f64::consts::{PI, TAU};

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::PosteriorError;
use crate::linear::Cholesky;
use crate::pareto::log_sum_exp;

/// Events that kernels stand on, at most.
const MOST_EVENTS: usize = 2_000;
/// Ions up to which every division in two is considered; of more ions only one comes from another molecule.
const MOST_DIVIDED: usize = 5;
/// The part of the mean momentum below which one counts as this: logarithms need a least.
const LEAST_PART: f64 = 1e-6;

/// The density of momenta whose ions come from two molecules, made of measured events by mixing their ions.
///
/// ```
/// use cei_posterior::Background;
/// use ndarray::Array2;
///
/// // Two ions that fly apart back to back, each with some 100 a.u., in directions all around.
/// let events = Array2::from_shape_fn((500, 6), |(event, column)| {
///     let (angle, size) = (event as f64, 100.0 + (event % 7) as f64);
///     let p = [angle.cos(), angle.sin() * (3.0 * angle).cos(), angle.sin() * (3.0 * angle).sin()];
///     if column < 3 { size * p[column] } else { -size * p[column - 3] }
/// });
/// let background = Background::mixed(events.view())?;
/// // At a right angle they are of two molecules, as likely as back to back; and no ion has ten times the momentum.
/// let right = background.log_density(&[100.0, 0.0, 0.0, 0.0, 100.0, 0.0], None);
/// let back_to_back = background.log_density(&[100.0, 0.0, 0.0, -100.0, 0.0, 0.0], None);
/// let fast = background.log_density(&[1000.0, 0.0, 0.0, 0.0, 100.0, 0.0], None);
/// assert!((right - back_to_back).abs() < 1e-9 && fast < right - 20.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Background {
    ions: usize,
    /// The two parts of every division.
    divisions: Vec<[Kernels; 2]>,
    /// The momenta that are mixed (events, 3N).
    mixed: Array2<f64>,
}

impl Background {
    /// Events that kernels need at least.
    pub const LEAST_EVENTS: usize = 20;

    /// Mixes the ions of `momenta` (events, 3N; a.u., three components an ion). Of very many events evenly spaced ones
    /// stand for all; those with a number that is not finite are left out.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] for columns that are not those of two ions or more, and for fewer than 20 events;
    /// [`PosteriorError::Value`] for ions whose momenta are all zero, or of which those of two are always the same.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn mixed(momenta: ArrayView2<'_, f64>) -> Result<Self, PosteriorError> {
        let (columns, ions) = (momenta.ncols(), momenta.ncols() / 3);
        if ions < 2 || columns != 3 * ions {
            let expected = 3 * ions.max(2);
            return Err(PosteriorError::Size { what: "momenta", found: columns, expected });
        }
        let is_finite = |row: &usize| momenta.row(*row).iter().all(|p| p.is_finite());
        let sound: Vec<usize> = (0..momenta.nrows()).filter(is_finite).collect();
        let count = sound.len();
        if count < Self::LEAST_EVENTS {
            let what = "events that a background is mixed of";
            return Err(PosteriorError::Size { what, found: count, expected: Self::LEAST_EVENTS });
        }
        let used = count.min(MOST_EVENTS);
        let events: Vec<usize> = (0..used).map(|place| sound[place * count / used]).collect();
        let chosen = momenta.select(Axis(0), &events);
        let divisions = divisions(ions).into_iter().map(|parts| {
            let [first, second] = parts.map(|part| Kernels::on(chosen.view(), &events, part));
            Ok([first?, second?])
        });
        let divisions = divisions.collect::<Result<_, PosteriorError>>()?;
        Ok(Self { ions, divisions, mixed: chosen })
    }

    /// 3N.
    #[must_use]
    pub fn components(&self) -> usize {
        3 * self.ions
    }

    /// The logarithm of the density of momenta (3N, a.u.), in nats per unit volume of all components. Of one of the events that
    /// the background was mixed of, `own` is its row there: it does not vouch for itself.
    ///
    /// # Panics
    /// If there are not three momenta an ion.
    #[must_use]
    pub fn log_density(&self, momenta: &[f64], own: Option<usize>) -> f64 {
        assert_eq!(momenta.len(), 3 * self.ions, "three momenta an ion");
        let of_division = |parts: &[Kernels; 2]| -> f64 {
            parts.iter().map(|part| part.log_density(momenta, own)).sum()
        };
        let all: Vec<f64> = self.divisions.iter().map(of_division).collect();
        log_sum_exp(&all) - (all.len() as f64).ln()
    }

    /// The part of mixed events whose momentum sum (a.u.) a gate accepts, from all pairs of events; at least that of one
    /// pair.
    #[must_use]
    pub fn accepted(&self, accepts: impl Fn([f64; 3]) -> bool) -> f64 {
        let events = self.mixed.nrows();
        let sums = |ions: &[usize]| -> Vec<[f64; 3]> {
            let rows = self.mixed.rows().into_iter().map(|row| row.to_vec());
            rows.map(|row| ions.iter().fold([0.0; 3], |sum, ion| add(sum, vector(&row, *ion))))
                .collect()
        };
        let (mut accepted, mut pairs) = (0_usize, 0_usize);
        for parts in &self.divisions {
            let [first, second] = [0, 1].map(|part| sums(&parts[part].ions));
            for (place, a) in first.iter().enumerate() {
                let others = second.iter().enumerate().filter(|(other, _)| *other != place);
                accepted += others.filter(|(_, b)| accepts(add(*a, **b))).count();
            }
            pairs += events * (events - 1);
        }
        accepted.max(1) as f64 / pairs as f64
    }
}

/// All divisions of the ions in two parts, neither of them empty; of many ions those with one in a part.
fn divisions(ions: usize) -> Vec<[Vec<usize>; 2]> {
    // The last ion is never in the first part, so that no division comes twice.
    let masks: Vec<u64> = if ions <= MOST_DIVIDED {
        (1..1 << (ions - 1)).collect()
    } else {
        (0..ions).map(|ion| 1 << ion).collect()
    };
    let of_mask = |mask: u64| {
        [1, 0].map(|side| (0..ions).filter(|ion| mask >> ion & 1 == side).collect::<Vec<usize>>())
    };
    masks.into_iter().map(of_mask).collect()
}

/// A kernel estimate of the density of the momenta of some ions of one molecule.
#[derive(Debug, Clone)]
struct Kernels {
    ions: Vec<usize>,
    /// The least momentum of a logarithm, a.u.
    least: f64,
    /// Rows of the table that the kernels stand on.
    rows: Vec<usize>,
    /// Their coordinates, whitened by the covariance of a kernel, one after another.
    centres: Vec<f64>,
    /// The covariance of a kernel.
    kernel: Cholesky,
}

impl Kernels {
    fn on(
        momenta: ArrayView2<'_, f64>,
        rows: &[usize],
        ions: Vec<usize>,
    ) -> Result<Self, PosteriorError> {
        let value = |index: usize, value: f64, expected| {
            Err(PosteriorError::Value { what: "momentum of ion", index, value, expected })
        };
        let (events, width) =
            (momenta.nrows(), 3 * ions.len() - if ions.len() > 1 { 3 } else { 2 });
        let of_ion = |ion: usize| {
            momenta.rows().into_iter().map(move |row| length(vector(&row.to_vec(), ion)))
        };
        let mean = of_ion(ions[0]).sum::<f64>() / events as f64;
        if mean == 0.0 {
            return value(ions[0], mean, "momenta that are not all zero");
        }
        let least = LEAST_PART * mean;
        let mut centres: Vec<f64> = momenta
            .rows()
            .into_iter()
            .flat_map(|row| in_own_frame(&row.to_vec(), &ions, least).0)
            .collect();
        let covariance = covariance(&centres, width);
        // Silverman's rule.
        let n = events as f64;
        let bandwidth = (4.0 / ((width as f64 + 2.0) * n)).powf(1.0 / (width as f64 + 4.0));
        let kernel: Vec<f64> = covariance.iter().map(|c| c * bandwidth * bandwidth).collect();
        let Some(kernel) = Cholesky::new(&kernel, width) else {
            return value(ions[0], mean, "momenta of the ions that vary, each in its own way");
        };
        centres.chunks_exact_mut(width).for_each(|centre| kernel.solve_lower(centre));
        Ok(Self { ions, least, rows: rows.to_vec(), centres, kernel })
    }

    fn log_density(&self, momenta: &[f64], own: Option<usize>) -> f64 {
        let (mut at, log_volume) = in_own_frame(momenta, &self.ions, self.least);
        self.kernel.solve_lower(&mut at);
        let width = at.len();
        let (mut logs, mut others) = (Vec::with_capacity(self.rows.len()), 0_usize);
        for (row, centre) in self.rows.iter().zip(self.centres.chunks_exact(width)) {
            if Some(*row) == own {
                continue;
            }
            others += 1;
            let square: f64 = at.iter().zip(centre).map(|(a, c)| (a - c) * (a - c)).sum();
            logs.push(-0.5 * square);
        }
        let normal = 0.5 * (width as f64 * TAU.ln() + self.kernel.log_determinant());
        log_sum_exp(&logs) - (others as f64).ln() - normal - log_volume
    }
}

/// Coordinates of the momenta of some ions that do not depend on how they are turned, and the logarithm of the volume of
/// momenta per unit volume of these.
fn in_own_frame(momenta: &[f64], ions: &[usize], least: f64) -> (Vec<f64>, f64) {
    let first = vector(momenta, ions[0]);
    let size = length(first).max(least);
    let x = first.map(|p| p / size);
    let mut coordinates = vec![size.ln()];
    let mut log_volume = (4.0 * PI).ln() + 3.0 * size.ln();
    let Some(second) = ions.get(1).map(|ion| vector(momenta, *ion)) else {
        return (coordinates, log_volume);
    };
    let along = dot(second, x);
    let across: [f64; 3] = std::array::from_fn(|axis| second[axis] - along * x[axis]);
    let q = length(across).max(least);
    let y = across.map(|p| p / q);
    let z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    coordinates.extend([q.ln(), along]);
    log_volume += TAU.ln() + 2.0 * q.ln();
    for ion in &ions[2..] {
        let p = vector(momenta, *ion);
        coordinates.extend([x, y, z].map(|axis| dot(p, axis)));
    }
    (coordinates, log_volume)
}

fn covariance(rows: &[f64], width: usize) -> Vec<f64> {
    let n = (rows.len() / width) as f64;
    let mut mean = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n);
    });
    let mut covariance = vec![0.0; width * width];
    for row in rows.chunks_exact(width) {
        for i in 0..width {
            for j in 0..width {
                covariance[i * width + j] += (row[i] - mean[i]) * (row[j] - mean[j]) / n;
            }
        }
    }
    covariance
}

fn vector(momenta: &[f64], ion: usize) -> [f64; 3] {
    std::array::from_fn(|axis| momenta[3 * ion + axis])
}

fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|axis| a[axis] + b[axis])
}

fn length(p: [f64; 3]) -> f64 {
    dot(p, p).sqrt()
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Momenta whose components are all independent and normal, with another standard deviation for each ion.
    fn independent(events: usize, sds: &[f64], seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_fn((events, 3 * sds.len()), |(_, column)| {
            let z: f64 = StandardNormal.sample(&mut rng);
            sds[column / 3] * z
        })
    }

    /// Independent ions are their own background, whose density is known; kernels give it but for their bias.
    #[test]
    fn the_density_of_independent_ions_is_found() -> Result<(), PosteriorError> {
        for sds in [vec![3.0, 40.0], vec![20.0, 30.0, 50.0], vec![5.0, 6.0, 7.0, 8.0]] {
            let background = Background::mixed(independent(2_000, &sds, 1).view())?;
            let mut errors = Vec::new();
            for row in independent(400, &sds, 2).rows() {
                let exact: f64 = row
                    .iter()
                    .enumerate()
                    .map(|(column, p)| {
                        let sd = sds[column / 3];
                        -0.5 * (p / sd).powi(2) - sd.ln() - 0.5 * TAU.ln()
                    })
                    .sum();
                errors.push(background.log_density(&row.to_vec(), None) - exact);
            }
            errors.sort_by(f64::total_cmp);
            let (median, low, high) = (errors[200], errors[40], errors[360]);
            assert!(median.abs() < 0.3 && low > -1.5 && high < 1.5, "{median} {low} {high}");
        }
        Ok(())
    }

    /// An event that kernels stand on is no better explained than one that they do not.
    #[test]
    fn no_event_vouches_for_itself() -> Result<(), PosteriorError> {
        let sds = [20.0, 30.0, 50.0];
        let mut sums = [0.0; 3];
        for seed in 0..100 {
            let own = independent(40, &sds, 2 * seed);
            let background = Background::mixed(own.view())?;
            let others = independent(40, &sds, 2 * seed + 1);
            for (row, (own, other)) in own.rows().into_iter().zip(others.rows()).enumerate() {
                let (own, other) = (own.to_vec(), other.to_vec());
                sums[0] += background.log_density(&own, Some(row)) / 4000.0;
                sums[1] += background.log_density(&other, None) / 4000.0;
                sums[2] += background.log_density(&own, None) / 4000.0;
            }
        }
        // The width of the kernels still knows an event that is left out: a tenth of a nat with 40 events.
        let [left_out, others, itself] = sums;
        assert!((left_out - others).abs() < 0.2 && itself > left_out + 0.5, "{sums:?}");
        Ok(())
    }

    #[test]
    fn turned_momenta_are_as_probable() -> Result<(), PosteriorError> {
        let background = Background::mixed(independent(200, &[2.0, 3.0, 5.0], 5).view())?;
        let y = [1.0, -2.0, 0.5, 3.0, 0.2, -1.0, 0.7, 4.0, 2.0];
        let turned: Vec<f64> = y.chunks(3).flat_map(|p| [-p[1], p[0], p[2]]).collect();
        let apart = background.log_density(&y, None) - background.log_density(&turned, None);
        assert!(apart.abs() < 1e-9, "{apart}");
        Ok(())
    }

    /// The sum of independent normal momenta is normal: how often it is short is a Maxwell distribution.
    #[test]
    fn a_gate_accepts_what_it_must() -> Result<(), PosteriorError> {
        let background = Background::mixed(independent(1_000, &[3.0, 4.0, 12.0], 6).view())?;
        // At one and two standard deviations, 13 a.u.
        for (size, expected) in [(13.0, 0.198_748), (26.0, 0.738_536)] {
            let part = background.accepted(|sum| length(sum) <= size);
            assert!((part - expected).abs() < 0.02, "{part} {expected}");
        }
        assert!(background.accepted(|_| false) > 0.0);
        Ok(())
    }

    #[test]
    fn every_division_comes_once() {
        assert_eq!(divisions(2), [[vec![0], vec![1]]]);
        assert_eq!(divisions(3).len(), 3);
        assert_eq!(divisions(5).len(), 15);
        assert_eq!(divisions(7).len(), 7);
        assert!(divisions(4).iter().all(|parts| parts[0].len() + parts[1].len() == 4));
    }

    #[test]
    fn events_that_are_too_few_or_alike_are_told() {
        let few = Background::mixed(independent(5, &[1.0, 1.0], 1).view());
        assert!(matches!(few, Err(PosteriorError::Size { found: 5, .. })));
        let still = Background::mixed(Array2::zeros((50, 6)).view());
        assert!(matches!(still, Err(PosteriorError::Value { .. })));
        assert!(Background::mixed(Array2::ones((50, 3)).view()).is_err());
    }
}
