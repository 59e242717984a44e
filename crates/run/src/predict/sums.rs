//! The momentum sums of the events of a file: a gate on them, and the motion of the centre of mass.

use cei_data::{
    CentreOfMass, Gated, LoadError, MomentumUnit, Selection, SumOptions, Table, apply_sums,
    is_incomplete,
};
use cei_physics::Molecule;

use crate::{RunError, TrainedRun};

/// Applies the gate and takes the motion out, as asked; gives what the gate has left out, and remarks.
///
/// # Errors
/// A run whose momenta are not those of the ions of a molecule, momenta without a unit, a gate that no event passes.
pub(super) fn apply(
    options: &SumOptions,
    run: &TrainedRun,
    table: &mut Table,
    selection: &Selection,
) -> Result<(Option<Gated>, Vec<String>), RunError> {
    if !options.is_any() {
        return Ok((None, Vec::new()));
    }
    let file = table.files.first().cloned().unwrap_or_default();
    let without = |missing, hint| LoadError::NoSums { file, missing, hint };
    let momenta = run.record.preprocessing.momenta();
    let Some(molecule) =
        run.record.molecule.as_ref().filter(|molecule| 3 * molecule.atom_count() == momenta)
    else {
        return Err(without(
            "the run does not know which momenta are those of which ions",
            "train with a `[molecule]`, three momentum columns for each atom",
        )
        .into());
    };
    if selection.y_unit == MomentumUnit::None {
        return Err(without(
            "its momenta have no unit",
            "say it with `--set columns.y_unit=au`, or leave out `--sum-gate` and `--centre-of-mass`",
        )
        .into());
    }
    let gated = apply_sums(options, table, molecule.masses())?;
    let without_sum = table.momenta().rows().into_iter().filter(|row| is_incomplete(*row)).count();
    let kept = (gated.is_some() && without_sum > 0).then(|| {
        format!(
            "{without_sum} of the events that the gate has kept have missing ions, and with them no momentum sum"
        )
    });
    let noisy = run.record.noise().is_some_and(|noise| noise.iter().any(|sd| *sd > 0.0));
    let remark = (noisy && options.centre_of_mass == CentreOfMass::Removed).then(|| {
        format!(
            "warning: without the motion of the centre of mass the errors of the ions depend on one another, which the noise that the run was trained with does not; as far as the momentum sum is noise and no motion, true errors are up to {:.0} % larger than posteriors say\nhint: keep the motion where the sum is noise",
            100.0 * (widening(molecule) - 1.0)
        )
    });
    Ok((gated, remark.into_iter().chain(kept).collect()))
}

/// How many times as large as a posterior says true errors are at most, where noise, the same and independent for
/// every ion, was taken for motion of the centre of mass.
///
/// The residuals are `e_i - w_i S` with `w_i = m_i / M` and `S = sum e`. Geometries change momenta within the
/// `N - 1` directions in which these add up to zero, where the `e` do not correlate with `S`: along a unit vector `u` of
/// them the variance is `1 + N (u . w)^2`, and `u . w` is at most `|w - 1/N|`.
fn widening(molecule: &Molecule) -> f64 {
    let masses = molecule.masses();
    let (total, ions) = (masses.iter().sum::<f64>(), masses.len() as f64);
    let uneven: f64 = masses.iter().map(|mass| (mass / total - 1.0 / ions).powi(2)).sum();
    (1.0 + ions * uneven).sqrt()
}

#[cfg(test)]
mod tests {
    use cei_physics::AtomSpec;

    use super::*;

    /// Equal masses lose nothing: noise of the sum says nothing of the geometry. Two ions, one without mass: all of its
    /// error is then that of the other too, `sqrt(2)`.
    #[test]
    fn the_widening_is_that_of_simple_molecules() -> Result<(), Box<dyn std::error::Error>> {
        let ion = |mass| AtomSpec { mass_u: Some(mass), ..AtomSpec::new("X", 1.0) };
        let equal = Molecule::new(vec![ion(10.0), ion(10.0), ion(10.0)])?;
        assert!((widening(&equal) - 1.0).abs() < 1e-12);
        let uneven = Molecule::new(vec![ion(1e9), ion(1e-9)])?;
        assert!((widening(&uneven) - 2.0_f64.sqrt()).abs() < 1e-9);
        Ok(())
    }
}
