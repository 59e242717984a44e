//! Maps over two axes: Newton, Dalitz and native-frame plots.

use cei_physics::units::HARTREE_EV;
use cei_report::MapPanel;

use super::bins::{Bins, TAIL, bulk};
use super::coordinates::{
    NewtonFrame, dalitz, dalitz_boundary, dalitz_triangle, energy_shares, native_frame,
};
use super::sample::{IonsOfEvents, MomentaSample};

/// Share of the points of a Newton plot, on either side, that may lie outside of an axis: where the first ion has little
/// momentum the others are far.
const NEWTON_TAIL: f64 = 0.02;

/// Panels of a figure, and how many events of each sample are in it.
pub(super) struct Maps {
    pub(super) panels: Vec<MapPanel>,
    pub(super) events: Vec<usize>,
}

/// Points of each sample in one kind of plot.
struct Points<'a, 'b> {
    title: String,
    x_label: String,
    y_label: String,
    samples: &'a [MomentaSample<'b>],
    points: Vec<Vec<(f64, f64)>>,
    guide: Vec<(f64, f64)>,
}

/// Momenta of all other ions along that of the first chosen one and across it, the second one above. Three ions share a
/// panel; of more, each has one of its own.
pub(super) fn newton(ions: &IonsOfEvents, samples: &[MomentaSample<'_>]) -> Maps {
    let chosen = ions.chosen();
    let (first, second) = (chosen[0], chosen[1]);
    let [a, b] = [first, second].map(|ion| ions.labels[ion].as_str());
    let others: Vec<usize> = (0..ions.len()).filter(|ion| *ion != first).collect();
    let groups: Vec<Vec<usize>> = match ions.len() {
        3 => vec![others],
        _ => others.into_iter().map(|ion| vec![ion]).collect(),
    };
    let mut maps = Maps { panels: Vec::new(), events: Vec::new() };
    for group in groups {
        let of = |sample: &MomentaSample<'_>| -> Vec<(f64, f64)> {
            let event = |event: usize| {
                let frame = NewtonFrame::new(
                    sample.momentum(event, first)?,
                    sample.momentum(event, second)?,
                )?;
                Some(group.iter().map(move |ion| (frame, sample.momentum(event, *ion))))
            };
            let places = sample.complete().filter_map(event).flatten();
            places.filter_map(|(frame, p)| Some(frame.place(p?))).collect()
        };
        let points: Vec<Vec<(f64, f64)>> = samples.iter().map(of).collect();
        maps.events = points.iter().map(|points| points.len() / group.len()).collect();
        let names: Vec<&str> = group.iter().map(|ion| ions.labels[*ion].as_str()).collect();
        let where_b = if group.contains(&second) { String::new() } else { format!(", {b} above") };
        let points = Points {
            title: names.join(" and "),
            x_label: format!("momentum along that of {a} (units of it)"),
            y_label: format!("momentum across it{where_b}"),
            samples,
            points,
            guide: vec![(0.0, 0.0), (1.0, 0.0)],
        };
        maps.panels.extend(points.panels(None, true));
    }
    maps
}

/// The shares of the kinetic energy of three ions.
pub(super) fn dalitz_plot(
    ions: &IonsOfEvents,
    three: [usize; 3],
    samples: &[MomentaSample<'_>],
) -> Maps {
    let masses = three.map(|ion| ions.masses[ion]);
    let of = |sample: &MomentaSample<'_>| -> Vec<(f64, f64)> {
        sample.of(three).filter_map(|p| dalitz(energy_shares(p, masses)?)).collect()
    };
    let points: Vec<Vec<(f64, f64)>> = samples.iter().map(of).collect();
    let events = points.iter().map(Vec::len).collect();
    let [a, b, middle] = three.map(|ion| ions.labels[ion].as_str());
    let guide = if ions.len() == 3 { dalitz_boundary(masses) } else { dalitz_triangle() };
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let low = guide.iter().map(of).fold(f64::INFINITY, f64::min);
        let high = guide.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low - 0.06 * (high - low), high + 0.06 * (high - low))
    };
    let ranges = (ends(|point| point.0), ends(|point| point.1));
    let points = Points {
        title: String::new(),
        x_label: format!("(e({a}) \u{2212} e({b})) / \u{221a}3"),
        y_label: format!("e({middle}) \u{2212} 1/3"),
        samples,
        points,
        guide: guide.clone(),
    };
    Maps { panels: points.panels(Some(ranges), true), events }
}

/// Angle and energy of the second step, for each of the three ions that may have left first.
pub(super) fn native_frames(
    ions: &IonsOfEvents,
    three: [usize; 3],
    samples: &[MomentaSample<'_>],
) -> Maps {
    let [a, b, middle] = three;
    let mut maps = Maps { panels: Vec::new(), events: Vec::new() };
    for order in [[a, middle, b], [b, middle, a], [middle, a, b]] {
        let masses = order.map(|ion| ions.masses[ion]);
        let of = |sample: &MomentaSample<'_>| -> Vec<(f64, f64)> {
            let places = sample.of(order).filter_map(|p| native_frame(p, masses));
            places.map(|(angle, energy)| (angle, energy * HARTREE_EV)).collect()
        };
        let points: Vec<Vec<(f64, f64)>> = samples.iter().map(of).collect();
        maps.events = points.iter().map(Vec::len).collect();
        let mut energies: Vec<Vec<f64>> =
            points.iter().map(|points| points.iter().map(|point| point.1).collect()).collect();
        let (_, highest) = bulk(&mut energies, TAIL);
        let [first, left, right] = order.map(|ion| ions.labels[ion].as_str());
        let points = Points {
            title: format!("{first} first"),
            x_label: format!("angle of {left} to {right} against the first step (degrees)"),
            y_label: format!("energy between {left} and {right} (eV)"),
            samples,
            points,
            guide: Vec::new(),
        };
        maps.panels.extend(points.panels(Some(((0.0, 180.0), (0.0, highest))), false));
    }
    maps
}

impl Points<'_, '_> {
    /// One panel a sample, on common bins.
    fn panels(self, ranges: Option<((f64, f64), (f64, f64))>, equal: bool) -> Vec<MapPanel> {
        let Self { title, x_label, y_label, samples, points, guide } = self;
        let (x, y) = ranges.unwrap_or_else(|| around(&points));
        let largest = points.iter().map(Vec::len).max().unwrap_or(0);
        let (across, up) = (Bins::of_map(x.0, x.1, largest), Bins::of_map(y.0, y.1, largest));
        let panel = |(sample, points): (&MomentaSample<'_>, Vec<(f64, f64)>)| {
            let mut counts = vec![vec![0; across.count]; up.count];
            let mut outside = 0;
            for (x, y) in points {
                match (across.of(x), up.of(y)) {
                    (Some(column), Some(row)) => counts[row][column] += 1,
                    _ => outside += 1,
                }
            }
            let whose = if samples.len() > 1 { sample.name } else { "" };
            let separator = if title.is_empty() || whose.is_empty() { "" } else { ": " };
            MapPanel {
                title: format!("{title}{separator}{whose}"),
                sample: sample.name.to_owned(),
                x_label: x_label.clone(),
                y_label: y_label.clone(),
                x_range: x,
                y_range: y,
                counts,
                outside,
                guide: guide.clone(),
                equal,
            }
        };
        samples.iter().zip(points).map(panel).collect()
    }
}

/// Axes that hold the bulk of all points, the origin and the unit.
fn around(points: &[Vec<(f64, f64)>]) -> ((f64, f64), (f64, f64)) {
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let values = points.iter().map(|points| points.iter().map(of).collect());
        bulk(&mut values.collect::<Vec<_>>(), NEWTON_TAIL)
    };
    let ((left, right), (low, high)) = (ends(|point| point.0), ends(|point| point.1));
    ((left.min(-0.1), right.max(1.1)), (low.min(-0.1), high.max(0.1)))
}
