//! Whether the ions of a file fly in those directions of the laboratory in which the declared orientation sends them.
//!
//! Compared are the cosines of the angles between each ion's momentum and the three axes, as distributions, with those of
//! simulated events (Kolmogorov and Smirnov's test of two samples; p-values of Holm). Energies, which the rest of the
//! judgement is about, know nothing of them.

use cei_metrics::holm;
use cei_metrics::special::kolmogorov_survival;
use cei_physics::{Frame, Orientation, Simulation, simulate};
use ndarray::{Array2, ArrayView2};

use super::quantities::{TOLD_APART, distance};
use super::report::{Direction, Directions, IonDirection};
use super::trial::ALIKE;
use crate::dataset::for_training;

/// Simulated events that are compared with.
const EVENTS: usize = 4000;

/// How the directions of the momenta `y` (rows x columns) compare with those of `law`. None where they cannot be compared
/// (its events are not recorded in the laboratory, or cannot be drawn), and where they do not matter: for molecules that
/// are turned at random, unless `matters_at_random`.
pub(super) fn directions(
    law: &Simulation,
    y: ArrayView2<'_, f64>,
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
    let simulated = simulate(&for_training(law), EVENTS, 0).ok()?.momenta;
    if simulated.ncols() != y.ncols() {
        return None;
    }
    let (file, training) = (cosines(y), cosines(simulated.view()));
    let (n, m) = (y.nrows() as f64, EVENTS as f64);
    let effective = (n * m / (n + m)).round() as usize;
    let distances: Vec<f64> =
        file.iter().zip(&training).map(|(file, training)| distance(file, training)).collect();
    let p: Vec<f64> = distances.iter().map(|d| kolmogorov_survival(effective, *d)).collect();
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
            cosines[component] = if length > 0.0 { row[component] / length } else { 0.0 };
        }
    }
    let sorted = cosines.columns().into_iter().map(|column| {
        let mut column = column.to_vec();
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
