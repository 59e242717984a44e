//! Ions alike: whether a run tells them apart, and what they are called if it does not.

use cei_data::{Alike, MomentumGauge, Rows as _, SharedFrame, Split, Table};
use cei_physics::alike::Relabelling;
use cei_physics::{Charging, Frame, Molecule};
use ndarray::{Axis, s};

use crate::folder::Origin;
use crate::{Experiment, RunError};

/// Training rows by which the distances of atoms alike are found.
const REFERENCE_ROWS: usize = 2000;

/// Calls the ions that are alike by their momenta, where the experiment exchanges them at will.
///
/// # Errors
/// No ions alike where that is asked for, something that tells them apart.
pub(super) fn order(
    experiment: &Experiment,
    origin: &Origin,
    split: &Split,
    table: &mut Table,
) -> Result<(), RunError> {
    let molecule = experiment.molecule.as_ref();
    let Some(molecule) = molecule.filter(|molecule| molecule.exchangeable() == Some(true)) else {
        return Ok(());
    };
    let groups = exchanged(experiment, origin, molecule)?;
    let atoms = molecule.atom_count();
    let (positions, momenta) = (table.x.ncols() - table.nuisances, table.y.ncols() - table.charges);
    if positions != 3 * atoms || momenta != 3 * atoms {
        return Err(RunError::OtherColumns { key: "molecule.exchangeable", count: 3 * atoms });
    }
    let rows = split.train.rows();
    let used = rows.len().min(REFERENCE_ROWS);
    let spaced: Vec<usize> = (0..used).map(|place| rows[place * rows.len() / used]).collect();
    let shapes = table.x.slice(s![.., ..positions]).select(Axis(0), &spaced);
    if let Some(reference) = Relabelling::fit(&groups, shapes.view()) {
        table.order_alike(Alike { groups, distances: reference.distances().to_vec() });
    }
    Ok(())
}

/// The ions alike of a molecule that are exchanged at will.
///
/// # Errors
/// As [`order`].
fn exchanged(
    experiment: &Experiment,
    origin: &Origin,
    molecule: &Molecule,
) -> Result<Vec<Vec<usize>>, RunError> {
    let groups = molecule.alike();
    let labels = |group: &[usize]| {
        group.iter().map(|ion| molecule.labels()[*ion].as_str()).collect::<Vec<_>>().join(", ")
    };
    let not = |why: String| Err(RunError::NotExchangeable { why });
    if groups.is_empty() {
        return not("no two atoms of `[molecule]` have one element, mass and charge".to_owned());
    }
    for group in &groups {
        if let Some(what) = told_apart_by(origin, molecule, group) {
            return not(format!("{what} tells {} apart", labels(group)));
        }
    }
    let gauge = &experiment.preprocessing.gauge;
    let fixed = gauge.frame == SharedFrame::Momentum || gauge.momenta == MomentumGauge::BodyFrame;
    let frame = origin.simulation.as_ref().map(|simulation| &simulation.frame);
    if let Some(Frame::Momentum { x_axis, xy_plane } | Frame::Separate { x_axis, xy_plane }) = frame
        && !fixed
    {
        let is_alike = |label: &String| {
            let place = molecule.index_of(label);
            groups.iter().any(|group| place.is_some_and(|place| group.contains(&place)))
        };
        if let Some(label) = [x_axis, xy_plane].into_iter().find(|label| is_alike(label)) {
            return not(format!(
                "the frame of its events lies by `{label}`, which tells it from the others, unless `preprocessing.gauge.frame = \"momentum\"` fixes another one"
            ));
        }
    }
    Ok(groups)
}

/// What tells the ions of a group apart; none if nothing does.
fn told_apart_by(origin: &Origin, molecule: &Molecule, group: &[usize]) -> Option<&'static str> {
    let differ = |values: &[f64]| group.iter().any(|ion| values[*ion] != values[group[0]]);
    if let Some(detector) = &origin.detector {
        // Whoever declares a detector has checked that it fits.
        let noise = detector.standard_deviations(molecule).unwrap_or_default();
        let of_axis = |axis: usize| noise.iter().skip(axis).step_by(3).copied().collect::<Vec<_>>();
        if !noise.is_empty() && (0..3).any(|axis| differ(&of_axis(axis))) {
            return Some("`detector.momentum_noise_au`");
        }
        let detection = detector.detection(molecule).ok().flatten();
        if detection.is_some_and(|detection| differ(detection.efficiencies())) {
            return Some("`detector.efficiency`");
        }
    }
    let simulation = origin.simulation.as_ref()?;
    let states = simulation.charge_states().unwrap_or_default();
    if states.iter().any(|state| differ(state.molecule.charges())) {
        return Some("a channel of `[[channels]]`");
    }
    let leaves_first = simulation.break_up.first().and_then(|first| molecule.index_of(first));
    if leaves_first.is_some_and(|first| group.contains(&first)) {
        return Some("`break_up.first`");
    }
    match &simulation.charging {
        Charging::Transfer { .. } => Some("`charging.kind = \"transfer\"`"),
        charging if charging.initial_charges().is_some_and(|charges| !charges.is_empty()) => {
            Some("`charging.initial_charges`")
        }
        _ => None,
    }
}
