//! Whether the ions of a file fly in those directions of the laboratory in which the declared orientation sends them.
//!
//! Compared are the cosines of the angles between each ion's momentum and the three axes, as distributions, with those of
//! simulated events (Kolmogorov and Smirnov's test of two samples; p-values of Holm). Energies, which the rest of the
//! judgement is about, know nothing of them.

use cei_data::Alike;
use cei_metrics::holm;
use cei_physics::{Frame, Orientation, Simulation, simulate};
use ndarray::{Array2, ArrayView2};

use super::quantities::{TOLD_APART, distance, survival};
use super::report::{Direction, Directions, IonDirection};
use super::trial::ALIKE;
use crate::dataset::for_training;

/// Simulated events that are compared with.
const EVENTS: usize = 4000;

/// How the directions of the momenta `y` (rows x columns) compare with those of `law`. None where they cannot be compared
/// (its events are not recorded in the laboratory, or cannot be drawn), and where they do not matter: for molecules that
/// are turned at random, unless `matters_at_random`. Ions `alike` are called by their momenta in `y`.
pub(super) fn directions(
    law: &Simulation,
    y: ArrayView2<'_, f64>,
    alike: Option<&Alike>,
    matters_at_random: bool,
) -> Option<Directions> {
    let matters = match &law.orientation {
        Orientation::AsDrawn => false,
        Orientation::Random => matters_at_random,
        Orientation::Turned(_) => true,
    };
    if !matters || law.frame != Frame::default() || y.nrows() == 0 {
        return None;
    }
    let mut simulated = simulate(&for_training(law), EVENTS, 0).ok()?.momenta;
    if let Some(alike) = alike {
        alike.order(Array2::zeros((0, 0)).view_mut(), simulated.view_mut());
    }
    if simulated.ncols() != y.ncols() {
        return None;
    }
    let (file, training) = (cosines(y), cosines(simulated.view()));
    let pairs = || file.iter().zip(&training);
    let distances: Vec<f64> = pairs().map(|(file, training)| distance(file, training)).collect();
    let sizes = pairs().map(|(file, training)| {
        let (n, m) = (file.len() as f64, training.len() as f64);
        (n * m / (n + m)).round() as usize
    });
    let p: Vec<f64> = sizes.zip(&distances).map(|(n, d)| survival(n, *d)).collect();
    let (place, most) = distances.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let axis = place % 3;
    let is_told = holm(&p).into_iter().fold(1.0, f64::min) < TOLD_APART;
    let ions = law.molecule.labels().iter().enumerate().map(|(ion, label)| IonDirection {
        ion: label.clone(),
        file: direction(&file[3 * ion + axis]),
        simulation: direction(&training[3 * ion + axis]),
    });
    Some(Directions {
        differ: is_told && most > ALIKE,
        axis: ["x", "y", "z"][axis].to_owned(),
        ions: ions.collect(),
    })
}

/// The cosines of the angle to the axis, sorted, of each component of the momenta.
fn cosines(y: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
    let mut cosines = Array2::zeros(y.dim());
    for (row, mut cosines) in y.rows().into_iter().zip(cosines.rows_mut()) {
        for component in 0..row.len() {
            let ion = 3 * (component / 3);
            let length = (0..3).map(|axis| row[ion + axis] * row[ion + axis]).sum::<f64>().sqrt();
            // NaN of an ion that is missing.
            cosines[component] = if length == 0.0 { 0.0 } else { row[component] / length };
        }
    }
    let sorted = cosines.columns().into_iter().map(|column| {
        let mut column: Vec<f64> = column.iter().copied().filter(|c| !c.is_nan()).collect();
        column.sort_by(f64::total_cmp);
        column
    });
    sorted.collect()
}

fn direction(cosines: &[f64]) -> Direction {
    let mean =
        |power: i32| cosines.iter().map(|c| c.powi(power)).sum::<f64>() / cosines.len() as f64;
    Direction { cos: mean(1), cos2: mean(2) }
}
