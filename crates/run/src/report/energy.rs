//! The kinetic energy release of sets of momenta.

use cei_physics::Molecule;
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use cei_report::page::{Drawing, Figure};
use ndarray::Array2;

use super::histogram::{Series, histogram};
use super::sets::Momenta;
use super::words::{number, percent, spread};

/// The histogram of the kinetic energy release of each set; `bounds` are those of the training support (eV).
pub(super) fn figure(molecule: &Molecule, sets: &[Momenta], bounds: Option<[f64; 2]>) -> Figure {
    let energies: Vec<Vec<f64>> = sets.iter().map(|set| energies_ev(molecule, &set.rows)).collect();
    let series: Vec<Series<'_>> = sets
        .iter()
        .zip(&energies)
        .map(|(set, energies)| Series {
            name: &set.name,
            style: set.style,
            values: energies.clone(),
        })
        .collect();
    let panel = histogram("", "kinetic energy release (eV)".to_owned(), &series);
    Figure {
        name: "energy".to_owned(),
        title: "Kinetic energy release".to_owned(),
        reading: in_words(sets, &energies, bounds),
        drawing: Drawing::Panels(vec![panel]),
    }
}

fn energies_ev(molecule: &Molecule, momenta: &Array2<f64>) -> Vec<f64> {
    let energy = |row: Vec<f64>| kinetic_energy_release(molecule, &row) * HARTREE_EV;
    momenta.rows().into_iter().map(|row| energy(row.to_vec())).collect()
}

fn in_words(sets: &[Momenta], energies: &[Vec<f64>], bounds: Option<[f64; 2]>) -> String {
    let mut parts = Vec::new();
    for (set, energies) in sets.iter().zip(energies) {
        if let Some([low, median, high]) = spread(energies.iter().copied()) {
            let (low, median, high) = (number(low), number(median), number(high));
            parts.push(format!("{median} eV ({low} to {high}) in the {}", set.name));
        }
    }
    let outside = bounds.zip(energies.first()).map(|([low, high], energies)| {
        let outside = energies.iter().filter(|energy| !(low..=high).contains(*energy)).count();
        format!(
            "; {} of the {} lie outside of {} to {} eV, which holds 99.9 % of training",
            percent(outside as f64 / energies.len().max(1) as f64),
            sets[0].name,
            number(low),
            number(high)
        )
    });
    format!("Median and central 90 %: {}{}.", parts.join(", "), outside.unwrap_or_default())
}
