//! Histograms along one axis: kinetic energy release, momentum sums, angles between momenta.

use cei_physics::units::HARTREE_EV;
use cei_report::CountPanel;

use super::bins::{Bins, TAIL, bulk, counts};
use super::coordinates::{Momentum, angle_degrees, dot, kinetic_energy};
use super::sample::{IonsOfEvents, MomentaSample};

/// Panels of a figure, and how many events of each sample are in it.
pub(super) struct Histograms {
    pub(super) panels: Vec<CountPanel>,
    pub(super) events: Vec<usize>,
}

/// `sum of p^2 / 2m` of the events in which all ions were detected, in eV.
pub(super) fn energy(ions: &IonsOfEvents, samples: &[MomentaSample<'_>]) -> Histograms {
    let value = |sample: &MomentaSample<'_>, event: usize| {
        let momenta = (0..ions.len()).filter_map(|ion| sample.momentum(event, ion));
        kinetic_energy(momenta, &ions.masses) * HARTREE_EV
    };
    let values = of_complete(samples, value);
    let events = values.iter().map(Vec::len).collect();
    let label = "kinetic energy release (eV)".to_owned();
    let title = format!("all {} ions", ions.len());
    Histograms { panels: vec![panel(title, label, samples, values)], events }
}

/// Components and length of the sum over all ions.
pub(super) fn sums(ions: &IonsOfEvents, samples: &[MomentaSample<'_>]) -> Histograms {
    let sum = |sample: &MomentaSample<'_>, event: usize| -> Momentum {
        let mut sum = [0.0; 3];
        for p in (0..ions.len()).filter_map(|ion| sample.momentum(event, ion)) {
            sum.iter_mut().zip(p).for_each(|(sum, p)| *sum += p);
        }
        sum
    };
    let of_axis = |axis: usize| {
        let values = of_complete(samples, |sample, event| sum(sample, event)[axis]);
        let name = ["x", "y", "z"][axis];
        panel(name.to_owned(), format!("momentum sum along {name} (a.u.)"), samples, values)
    };
    let mut panels: Vec<CountPanel> = (0..3).map(of_axis).collect();
    let lengths = of_complete(samples, |sample, event| {
        let sum = sum(sample, event);
        dot(sum, sum).sqrt()
    });
    let events = lengths.iter().map(Vec::len).collect();
    let label = "length of the momentum sum (a.u.)".to_owned();
    panels.push(panel("length".to_owned(), label, samples, lengths));
    Histograms { panels, events }
}

/// The angle between the momenta of each pair of ions, beside that of directions that know nothing of each other. Events
/// are those in which the pair was detected, of the pair that has the fewest.
pub(super) fn angles(
    ions: &IonsOfEvents,
    samples: &[MomentaSample<'_>],
    pairs: &[[usize; 2]],
) -> Histograms {
    let mut fewest: Vec<usize> = samples.iter().map(|sample| sample.momenta_au.nrows()).collect();
    let panels = pairs.iter().map(|pair| {
        let values: Vec<Vec<f64>> = samples
            .iter()
            .map(|sample| sample.of(*pair).filter_map(|[a, b]| angle_degrees(a, b)).collect())
            .collect();
        for (fewest, values) in fewest.iter_mut().zip(&values) {
            *fewest = (*fewest).min(values.len());
        }
        let bins = Bins::between(0.0, 180.0, values.first().map_or(0, Vec::len));
        let edges = bins.edges();
        let isotropic = edges
            .windows(2)
            .map(|ends| 0.5 * (ends[0].to_radians().cos() - ends[1].to_radians().cos()));
        let [a, b] = pair.map(|ion| &ions.labels[ion]);
        CountPanel {
            title: format!("{a} and {b}"),
            x_label: "angle between the momenta (degrees)".to_owned(),
            guide: isotropic.collect(),
            edges,
            samples: counted(samples, bins, values),
        }
    });
    let panels = panels.collect();
    Histograms { panels, events: fewest }
}

fn of_complete(
    samples: &[MomentaSample<'_>],
    value: impl Fn(&MomentaSample<'_>, usize) -> f64,
) -> Vec<Vec<f64>> {
    let of = |sample: &MomentaSample<'_>| {
        sample.complete().map(|event| value(sample, event)).filter(|v| v.is_finite()).collect()
    };
    samples.iter().map(of).collect()
}

fn panel(
    title: String,
    x_label: String,
    samples: &[MomentaSample<'_>],
    mut values: Vec<Vec<f64>>,
) -> CountPanel {
    let (low, high) = bulk(&mut values, TAIL);
    let bins = Bins::between(low, high, values.first().map_or(0, Vec::len));
    let samples = counted(samples, bins, values);
    CountPanel { title, x_label, edges: bins.edges(), samples, guide: Vec::new() }
}

fn counted(
    samples: &[MomentaSample<'_>],
    bins: Bins,
    values: Vec<Vec<f64>>,
) -> Vec<cei_report::BinCounts> {
    samples
        .iter()
        .zip(values)
        .map(|(sample, values)| counts(sample.name, bins, values.into_iter()))
        .collect()
}
