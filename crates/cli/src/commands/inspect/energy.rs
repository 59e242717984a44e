//! The kinetic energy release of a table, beside the energy of point charges.

use std::path::PathBuf;

use cei_data::inspect::{EnergySummary, InspectOptions, Inspection};
use cei_run::point_charges::{PointCharges, common_distance_angstrom};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::output::number;

/// Lines of a histogram at most, and the width of its longest bar.
const MOST_BINS: f64 = 14.0;
const BAR: usize = 40;

/// Energies beside those of point charges.
#[derive(Debug, Serialize)]
pub(super) struct Charged {
    charges: Vec<f64>,
    /// The distance at which all pairs together have the median energy of the file, if all are as far apart.
    common_distance_angstrom: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    geometry: Option<InGeometry>,
}

/// Point charges in a given geometry.
#[derive(Debug, Serialize)]
struct InGeometry {
    file: PathBuf,
    energy_ev: f64,
    /// The median energy of the file over it.
    median_ratio: f64,
    /// The part of the events with more energy.
    share_above: f64,
}

/// What can be said where charges are given.
pub(super) fn charged(
    args: &InspectArgs,
    options: &InspectOptions,
    inspection: &Inspection,
) -> anyhow::Result<Option<Charged>> {
    let Some(molecule) = options.molecule.as_ref().filter(|_| !args.charges.is_empty()) else {
        return Ok(None);
    };
    let in_geometry = |path: &PathBuf| Ok((path.clone(), PointCharges::read(path, molecule)?));
    let reference: anyhow::Result<_> = args.geometry.as_ref().map(in_geometry).transpose();
    let reference = reference?;
    let Some(energy) = &inspection.kinetic_energy_release else { return Ok(None) };
    let Some(median) = energy.at(0.5) else { return Ok(None) };
    let geometry = reference.map(|(file, PointCharges { energy_ev, .. })| InGeometry {
        file,
        energy_ev,
        median_ratio: median / energy_ev,
        share_above: energy.share_above(energy_ev),
    });
    Ok(Some(Charged {
        charges: molecule.charges().to_vec(),
        common_distance_angstrom: common_distance_angstrom(molecule, median),
        geometry,
    }))
}

/// Lines about energies, with a histogram where there are charges to compare with.
pub(super) fn describe_energy(
    energy: &EnergySummary,
    removed: bool,
    charged: Option<&Charged>,
) -> Vec<String> {
    let quantiles: Vec<String> = energy
        .quantiles_ev
        .iter()
        .map(|(level, value)| format!("{} at {:.0} %", number(*value, 4), 100.0 * level))
        .collect();
    let mut lines = vec![format!(
        "kinetic energy release{} {} ± {} eV ({}); quantiles: {}",
        if removed { " without the motion of the centre of mass" } else { "" },
        number(energy.mean_ev, 4),
        number(energy.sd_ev, 3),
        energy.masses,
        quantiles.join(", ")
    )];
    let Some(Charged { charges, common_distance_angstrom, geometry }) = charged else {
        return lines;
    };
    let charges: Vec<String> = charges.iter().map(ToString::to_string).collect();
    let charges = charges.join(", ");
    lines.push(match geometry {
        Some(InGeometry { file, energy_ev, median_ratio, share_above }) => format!(
            "point charges {charges} in `{}`: {} eV; the median of the file is {} of it, {:.1} % of the events have more",
            file.display(),
            number(*energy_ev, 4),
            number(*median_ratio, 3),
            100.0 * share_above
        ),
        None => format!(
            "point charges {charges} have the median energy where all are {} angstrom apart (in the mean of 1 / r); `--geometry FILE.xyz` compares with a geometry",
            number(*common_distance_angstrom, 3)
        ),
    });
    lines.extend(histogram(&energy.sorted_ev, geometry.as_ref().map(|it| it.energy_ev)));
    lines
}

/// Events by energy, between the 0.5 and 99.5 % quantiles in bins of round width; the first and last line have those beyond. The
/// bin of `marked` says so.
fn histogram(sorted: &[f64], marked: Option<f64>) -> Vec<String> {
    let at = |level: f64| sorted[(level * (sorted.len() - 1) as f64).round() as usize];
    let (low, high) = (at(0.005), at(0.995));
    if sorted.len() < 2 || high <= low {
        return Vec::new();
    }
    let width = round_up((high - low) / MOST_BINS);
    let first = (low / width).floor();
    let bins = ((high / width).floor() - first) as usize + 1;
    let edge = |bin: usize| (first + bin as f64) * width;
    let place =
        |energy: f64| ((energy / width).floor() - first).clamp(0.0, (bins - 1) as f64) as usize;
    let mut counts = vec![0_usize; bins];
    sorted.iter().for_each(|energy| counts[place(*energy)] += 1);
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let decimals = (-width.log10().floor()).max(0.0) as usize;
    let line = |(bin, count): (usize, &usize)| {
        let bar = "█".repeat((count * BAR).div_ceil(most));
        let mark = match marked {
            Some(energy) if place(energy) == bin => "  < point charges",
            _ => "",
        };
        let (from, to) = (edge(bin), edge(bin + 1));
        let range = match bin {
            0 => format!("below {to:.decimals$}"),
            _ if bin + 1 == bins => format!("from {from:.decimals$}"),
            _ => format!("{from:.decimals$} to {to:.decimals$}"),
        };
        format!("{range:>20} eV {count:>9} {bar}{mark}")
    };
    counts.iter().enumerate().map(line).collect()
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(width: f64) -> f64 {
    let power = 10_f64.powf(width.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= width * (1.0 - 1e-12)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::{histogram, round_up};

    #[test]
    fn every_event_is_in_a_bin_and_the_mark_in_its_own() {
        let energies: Vec<f64> = (0..1000).map(|event| 5.0 + 0.02 * f64::from(event)).collect();
        let lines = histogram(&energies, Some(15.5));
        let counts = lines.iter().map(|line| line.split("eV").nth(1).unwrap_or_default());
        let counts =
            counts.filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
        assert_eq!(counts.sum::<usize>(), 1000, "{lines:?}");
        let marked: Vec<&String> = lines.iter().filter(|line| line.contains("< point")).collect();
        assert!(marked.len() == 1 && marked[0].contains("14 to 16 eV"), "{lines:?}");
        assert!(histogram(&[1.0], None).is_empty() && histogram(&[2.0, 2.0], None).is_empty());
    }

    #[test]
    fn widths_are_round() {
        let cases = [(1.3, 2.0), (2.0, 2.0), (0.011, 0.02), (7.0, 10.0), (50.0, 50.0)];
        assert!(cases.iter().all(|(width, round)| (round_up(*width) / round - 1.0).abs() < 1e-9));
    }
}
