//! Newton and Dalitz plots of three ions.
//!
//! The Dalitz plot of the ions a, b and the middle one c has, with the shares `e` of the three's kinetic energy,
//! ```text
//! X = (e_a - e_b) / sqrt(3)        Y = e_c - 1/3
//! ```
//! Where the momenta of the three add up to nothing, it lies within the curve of those that fly along one line.
//! The Newton plot turns every event so that the momentum of one ion is 1 along x.

use cei_physics::Molecule;
use cei_report::page::{Aspect, Axis, Drawing, Figure, Mark, Panel, Style};
use ndarray::{Array2, ArrayView1};

use super::sets::Momenta;
use super::words::{list, number, percent, spaced, spread};
use crate::TrainedRun;
use crate::field::coordinates::{dalitz, dalitz_boundary, dalitz_triangle, dot, energy_shares};

/// Events of a set that are drawn.
const MOST_EVENTS: usize = 1000;
/// Events on either side of a Newton plot that may lie outside of it.
const TAIL: f64 = 0.01;
/// A difference of shares of energy below this is called none.
const EVEN: f64 = 0.01;

/// The ions of the plots.
pub(super) struct ThreeIons {
    /// The first, the second and the middle one.
    ions: [usize; 3],
    labels: [String; 3],
    masses: [f64; 3],
    /// Atoms of the molecule.
    of: usize,
}

impl ThreeIons {
    /// The middle ion is the one at the vertex of the bond angles; the others are the first two beside it.
    pub(super) fn of(run: &TrainedRun, molecule: &Molecule) -> Result<Self, String> {
        let of = molecule.atom_count();
        if of < 3 {
            return Err("Newton and Dalitz plots need three ions, and this molecule has two: their momenta are opposite, so that the kinetic energy release says it all.".to_owned());
        }
        let vertex = run.experiment.evaluation.vertex.as_ref();
        let middle = vertex.and_then(|label| molecule.index_of(label)).unwrap_or(0);
        let mut others = (0..of).filter(|ion| *ion != middle);
        let ions = [others.next().unwrap_or(0), others.next().unwrap_or(0), middle];
        let labels = ions.map(|ion| molecule.labels()[ion].clone());
        Ok(Self { ions, labels, masses: ions.map(|ion| molecule.masses()[ion]), of })
    }

    /// Which of the ions these are, where there are more.
    pub(super) fn words(&self) -> Option<String> {
        let [a, b, middle] = &self.labels;
        (self.of > 3).then(|| {
            format!(
                "Newton and Dalitz plots are of {a}, {b} and {middle}; the other {} ions are left out of them, so that the three momenta need not add up to nothing.",
                self.of - 3
            )
        })
    }

    /// Momenta of the three ions in an event.
    fn momenta(&self, row: ArrayView1<'_, f64>) -> [[f64; 3]; 3] {
        self.ions.map(|ion| [0, 1, 2].map(|axis| row[3 * ion + axis]))
    }

    /// The Newton plot: of each event, momenta of the second and of the middle ion beside that of the first.
    pub(super) fn newton(&self, sets: &[Momenta]) -> Figure {
        let [a, b, middle] = &self.labels;
        let plots: Vec<[Vec<(f64, f64)>; 2]> =
            sets.iter().map(|set| self.turned(&set.rows)).collect();
        let ranges = newton_ranges(&plots);
        let panel = |(set, plot): (&Momenta, &[Vec<(f64, f64)>; 2])| Panel {
            title: set.name.clone(),
            x: Axis::new(format!("momentum along that of {a} (|p({a})|)"))
                .from_to(ranges[0].0, ranges[0].1),
            y: Axis::new(format!("momentum across (|p({a})|); {b} above, {middle} below"))
                .from_to(ranges[1].0, ranges[1].1),
            marks: vec![
                Mark::points(b.as_str(), Style::First, plot[0].clone()),
                Mark::points(middle.as_str(), Style::Second, plot[1].clone()),
                Mark::markers(a.as_str(), Style::Truth, vec![(1.0, 0.0)]),
                Mark::guide("", vec![(0.0, 0.0), (1.0, 0.0)]),
            ],
            aspect: Aspect::Equal,
        };
        Figure {
            name: "newton".to_owned(),
            title: format!("Newton plot of {a}, {b} and {middle}"),
            reading: self.newton_in_words(&sets[0], &plots[0]),
            drawing: Drawing::Panels(sets.iter().zip(&plots).map(panel).collect()),
        }
    }

    /// Momenta of the second ion (upwards) and of the middle one (downwards), along and across that of the first, in units
    /// of its length.
    fn turned(&self, rows: &Array2<f64>) -> [Vec<(f64, f64)>; 2] {
        let mut points = [Vec::new(), Vec::new()];
        for row in spaced(rows.nrows(), MOST_EVENTS) {
            let [a, b, middle] = self.momenta(rows.row(row));
            let length = dot(a, a).sqrt();
            if length > 0.0 {
                for (points, (p, sign)) in points.iter_mut().zip([(b, 1.0), (middle, -1.0)]) {
                    let along = dot(p, a) / (length * length);
                    let across = (dot(p, p) / (length * length) - along * along).max(0.0).sqrt();
                    points.push((along, sign * across));
                }
            }
        }
        points
    }

    fn newton_in_words(&self, set: &Momenta, plot: &[Vec<(f64, f64)>; 2]) -> String {
        let parts: Vec<String> = plot
            .iter()
            .zip(&self.labels[1..])
            .map(|(points, label)| {
                let angle = points.iter().map(|(x, y)| y.abs().atan2(*x).to_degrees());
                let length = points.iter().map(|(x, y)| x.hypot(*y));
                let [low, median, high] = spread(angle).unwrap_or([f64::NAN; 3]);
                let [_, length, _] = spread(length).unwrap_or([f64::NAN; 3]);
                format!(
                    "{label} flies at {} degrees ({} to {}) with {} of its momentum",
                    number(median),
                    number(low),
                    number(high),
                    number(length)
                )
            })
            .collect();
        format!(
            "Beside {}, in the median (central 90 %) of the {}, {}.",
            self.labels[0],
            set.name,
            list(&parts)
        )
    }

    /// The Dalitz plot.
    pub(super) fn dalitz_plot(&self, sets: &[Momenta]) -> Figure {
        let [a, b, middle] = &self.labels;
        let plots: Vec<Vec<(f64, f64)>> = sets
            .iter()
            .map(|set| {
                let rows = spaced(set.rows.nrows(), MOST_EVENTS).into_iter();
                rows.filter_map(|row| {
                    dalitz(energy_shares(self.momenta(set.rows.row(row)), self.masses)?)
                })
                .collect()
            })
            .collect();
        let guide = if self.of == 3 {
            Mark::guide("momenta along one line", dalitz_boundary(self.masses))
        } else {
            Mark::guide("no energy for one of them", dalitz_triangle())
        };
        let panel = |(set, points): (&Momenta, &Vec<(f64, f64)>)| Panel {
            title: set.name.clone(),
            x: Axis::new(format!("X = (e({a}) \u{2212} e({b})) / \u{221a}3")).from_to(-0.62, 0.62),
            y: Axis::new(format!("Y = e({middle}) \u{2212} 1/3")).from_to(-0.4, 0.72),
            marks: vec![guide.clone(), Mark::points(set.name.as_str(), set.style, points.clone())],
            aspect: Aspect::Equal,
        };
        Figure {
            name: "dalitz".to_owned(),
            title: format!(
                "Dalitz plot of {a}, {b} and {middle} (e: shares of their kinetic energy)"
            ),
            reading: self.dalitz_in_words(sets, &plots),
            drawing: Drawing::Panels(sets.iter().zip(&plots).map(panel).collect()),
        }
    }

    fn dalitz_in_words(&self, sets: &[Momenta], plots: &[Vec<(f64, f64)>]) -> String {
        let median = |points: &[(f64, f64)]| -> Option<[f64; 2]> {
            let [_, x, _] = spread(points.iter().map(|point| point.0))?;
            let [_, y, _] = spread(points.iter().map(|point| point.1))?;
            Some([x, y])
        };
        let [a, b, middle] = &self.labels;
        let Some([x, y]) = plots.first().and_then(|points| median(points)) else {
            return "There are no momenta to show.".to_owned();
        };
        let uneven = 3f64.sqrt() * x;
        let balance = if uneven.abs() < EVEN {
            format!("{a} and {b} get equal shares of the energy")
        } else {
            let (more, less) = if uneven > 0.0 { (a, b) } else { (b, a) };
            format!("{more} gets {} of the energy more than {less}", percent(uneven.abs()))
        };
        let others = sets.iter().zip(plots).skip(1).filter_map(|(set, points)| {
            let [other_x, other_y] = median(points)?;
            let distance = (other_x - x).hypot(other_y - y);
            Some(format!("; the middle of the {} lies {} away", set.name, number(distance)))
        });
        format!(
            "In the median of the {}, X = {} and Y = {}: {balance}, and {middle} has {} of it{}.",
            sets[0].name,
            number(x),
            number(y),
            percent(y + 1.0 / 3.0),
            others.collect::<String>()
        )
    }
}

/// Axes that hold the bulk of all plots, the origin and the unit.
fn newton_ranges(plots: &[[Vec<(f64, f64)>; 2]]) -> [(f64, f64); 2] {
    let all = || plots.iter().flatten().flatten();
    let range = |values: Vec<f64>, known: [f64; 2]| {
        let mut sorted = values;
        sorted.retain(|value| value.is_finite());
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        let at = |level: f64| sorted.get((level * last).round() as usize).copied();
        let low = at(TAIL).unwrap_or(0.0).min(known[0]);
        let high = at(1.0 - TAIL).unwrap_or(1.0).max(known[1]);
        let room = 0.08 * (high - low);
        (low - room, high + room)
    };
    [
        range(all().map(|point| point.0).collect(), [0.0, 1.0]),
        range(all().map(|point| point.1).collect(), [-0.1, 0.1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn ocs() -> ThreeIons {
        // O, S and C in the middle, in the order C, O, S; masses in any unit.
        let labels = ["O", "S", "C"].map(str::to_owned);
        ThreeIons { ions: [1, 2, 0], labels, masses: [16.0, 32.0, 12.0], of: 3 }
    }

    #[test]
    fn a_newton_plot_by_hand() {
        // O along z, S opposite with 0.8 of its momentum and 0.3 across, C with the rest.
        let rows = array![[0.0, -0.6, -0.4, 0.0, 0.0, 2.0, 0.0, 0.6, -1.6]];
        let [s, c] = ocs().turned(&rows);
        assert!((s[0].0 + 0.8).abs() < 1e-12 && (s[0].1 - 0.3).abs() < 1e-12, "{s:?}");
        assert!((c[0].0 + 0.2).abs() < 1e-12 && (c[0].1 + 0.3).abs() < 1e-12, "{c:?}");
    }
}
