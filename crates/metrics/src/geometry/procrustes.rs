//! Displacement of atoms after the best rigid motion (W. Kabsch, Acta Cryst. A32, 922 (1976)).
//!
//! Both point sets are moved to their centroid (every atom counts the same: the centroid is the
//! origin about which the unweighted rotation is optimal). With H = sum_a m_a f_a^T over the atoms
//! of the moving and the fixed set and H = U S V^T, the proper rotation of least sum of squares is
//! R = V diag(1, 1, det(V U^T)) U^T: a mirror image is NOT aligned away.

use nalgebra::{Matrix3, Matrix4, Quaternion, Rotation3, UnitQuaternion, Vector3};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3};
use rayon::prelude::*;

use crate::matrix::{check_finite_draws, check_matrix, check_pair, rows_in_parallel};
use crate::{Error, Result};

/// Passes of the generalised Procrustes mean: align to the first draw, then to the mean so far. The
/// mean of draws with one mode has converged after two.
const MEAN_PASSES: usize = 3;

/// Mean over atoms of the distance between true and estimated position, per event, in the unit of
/// the positions, after centring both on their centroids and rotating the estimate onto the truth.
///
/// # Errors
/// Columns that are not three for each atom, shapes that do not fit, values that are not finite.
pub fn displacements(
    truth: ArrayView2<'_, f64>,
    estimate: ArrayView2<'_, f64>,
) -> Result<Vec<f64>> {
    check_pair(truth, "the estimate", estimate)?;
    check_positions(truth.ncols())?;
    Ok((0..truth.nrows())
        .into_par_iter()
        .map(|event| {
            let fixed = centred(truth.row(event));
            let moved = align(&centred(estimate.row(event)), &fixed);
            let distances = fixed.iter().zip(&moved).map(|(f, m)| (f - m).norm());
            distances.sum::<f64>() / fixed.len() as f64
        })
        .collect())
}

/// The mean shape of the draws (`n x 3 atoms` from `n x K x 3 atoms`), centred on its centroid: the
/// draws are rotated onto the first one, averaged, and rotated again onto their mean (generalised
/// Procrustes analysis, J. C. Gower, Psychometrika 40, 33 (1975), without scaling). A plain mean of
/// draws in different frames would shrink.
///
/// # Errors
/// No draws, columns that are not three for each atom, values that are not finite.
pub fn aligned_mean(draws: ArrayView3<'_, f64>) -> Result<Array2<f64>> {
    let (n, count, d) = draws.dim();
    check_positions(d)?;
    check_finite_draws(draws)?;
    if count == 0 {
        return Err(Error::TooFewDraws { needed: 1, found: 0 });
    }
    let mean = rows_in_parallel(n, d, |event, row| {
        let shapes: Vec<Vec<Vector3<f64>>> =
            (0..count).map(|k| centred(draws.slice(ndarray::s![event, k, ..]))).collect();
        let mut mean = shapes[0].clone();
        for _ in 0..MEAN_PASSES {
            let mut sum = vec![Vector3::zeros(); d / 3];
            for shape in &shapes {
                for (total, position) in sum.iter_mut().zip(align(shape, &mean)) {
                    *total += position;
                }
            }
            mean = sum.into_iter().map(|total| total / count as f64).collect();
        }
        for (place, position) in row.chunks_exact_mut(3).zip(&mean) {
            place.copy_from_slice(position.as_slice());
        }
    });
    check_matrix("the aligned mean", mean.view())?;
    Ok(mean)
}

fn check_positions(columns: usize) -> Result<()> {
    if columns == 0 || !columns.is_multiple_of(3) {
        return Err(Error::NotPositions { columns });
    }
    Ok(())
}

fn centred(row: ArrayView1<'_, f64>) -> Vec<Vector3<f64>> {
    let atoms = row.len() / 3;
    let mut positions: Vec<Vector3<f64>> = (0..atoms)
        .map(|atom| Vector3::new(row[3 * atom], row[3 * atom + 1], row[3 * atom + 2]))
        .collect();
    let centroid = positions.iter().sum::<Vector3<f64>>() / atoms as f64;
    positions.iter_mut().for_each(|position| *position -= centroid);
    positions
}

/// Rotates the centred `moving` onto the centred `fixed`.
fn align(moving: &[Vector3<f64>], fixed: &[Vector3<f64>]) -> Vec<Vector3<f64>> {
    let rotation = best_rotation(moving, fixed);
    moving.iter().map(|position| rotation * position).collect()
}

/// By the unit quaternion of largest eigenvalue (B. K. P. Horn, J. Opt. Soc. Am. A 4, 629 (1987)). The singular values
/// of a 3 x 3 matrix come from its square in `nalgebra`, with half of the digits: too few for nearly linear molecules.
fn best_rotation(moving: &[Vector3<f64>], fixed: &[Vector3<f64>]) -> Rotation3<f64> {
    let mut s = Matrix3::zeros();
    for (m, f) in moving.iter().zip(fixed) {
        s += m * f.transpose();
    }
    let twist = Vector3::new(s[(1, 2)] - s[(2, 1)], s[(2, 0)] - s[(0, 2)], s[(0, 1)] - s[(1, 0)]);
    let mut horn = Matrix4::zeros();
    horn[(0, 0)] = s.trace();
    horn.fixed_view_mut::<3, 1>(1, 0).copy_from(&twist);
    horn.fixed_view_mut::<1, 3>(0, 1).copy_from(&twist.transpose());
    let rest = s + s.transpose() - Matrix3::from_diagonal_element(s.trace());
    horn.fixed_view_mut::<3, 3>(1, 1).copy_from(&rest);
    let eigen = horn.symmetric_eigen();
    let quaternion = eigen.eigenvectors.column(eigen.eigenvalues.imax());
    let [w, i, j, k] = [0, 1, 2, 3].map(|index| quaternion[index]);
    UnitQuaternion::from_quaternion(Quaternion::new(w, i, j, k)).to_rotation_matrix()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    use ndarray::array;
    use proptest::prelude::*;

    /// Rotates and shifts a row of positions.
    fn rigid(row: &[f64], angles: [f64; 3], shift: [f64; 3]) -> Vec<f64> {
        let rotation = Rotation3::from_euler_angles(angles[0], angles[1], angles[2]);
        row.chunks_exact(3)
            .flat_map(|r| {
                let moved = rotation * Vector3::from_column_slice(r) + Vector3::from(shift);
                [moved.x, moved.y, moved.z]
            })
            .collect()
    }

    fn matrix(row: Vec<f64>) -> Array2<f64> {
        Array2::from_shape_vec((1, row.len()), row).unwrap()
    }

    #[test]
    fn a_stretched_diatomic_is_off_by_half_the_stretch() {
        // Lengths 2 and 3 along different axes: centred and aligned, atoms at -1, 1 and -1.5, 1.5.
        let truth = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]];
        let estimate = array![[5.0, 5.0, 5.0, 5.0, 8.0, 5.0]];
        let displacement = displacements(truth.view(), estimate.view()).unwrap();
        assert_relative_eq!(displacement[0], 0.5, epsilon = 1e-12);
    }

    #[test]
    fn a_stretched_collinear_triatomic() {
        // -1, 0, 1 against -2, 0, 2 along another axis: displacements 1, 0, 1, mean 2/3
        let truth = array![[-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]];
        let estimate = array![[0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]];
        let displacement = displacements(truth.view(), estimate.view()).unwrap();
        assert_relative_eq!(displacement[0], 2.0 / 3.0, epsilon = 1e-12);
    }

    #[test]
    fn atoms_in_one_point_are_no_trouble() {
        // the truth is 2 long, the estimate a point: each atom is off by 1
        let truth = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]];
        let displacement = displacements(truth.view(), Array2::zeros((1, 6)).view()).unwrap();
        assert_relative_eq!(displacement[0], 1.0, epsilon = 1e-12);
    }

    #[test]
    fn a_mirror_image_of_a_chiral_molecule_is_not_aligned_away() {
        let chiral = vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0];
        let mirror: Vec<f64> =
            chiral.iter().enumerate().map(|(i, &r)| if i % 3 == 2 { -r } else { r }).collect();
        let displacement = displacements(matrix(chiral).view(), matrix(mirror).view()).unwrap();
        assert!(displacement[0] > 0.1, "{}", displacement[0]);
    }

    #[test]
    fn a_planar_molecule_equals_its_mirror_image() {
        let planar = vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -0.3, 2.0, 0.0];
        let mirror = vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -0.3, -2.0, 0.0];
        let displacement = displacements(matrix(planar).view(), matrix(mirror).view()).unwrap();
        assert!(displacement[0] < 1e-12, "{}", displacement[0]);
    }

    #[test]
    fn the_aligned_mean_of_two_diatomics_has_the_mean_length() {
        // lengths 2 and 4 at right angles: aligned, the mean is 3 long; the plain mean would be
        // |(2, 4)| / 2 = 2.24
        let draws = array![[[0.0, 0.0, 0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 4.0, 0.0],]];
        let mean = aligned_mean(draws.view()).unwrap();
        let length =
            (0..3).map(|axis| (mean[[0, 3 + axis]] - mean[[0, axis]]).powi(2)).sum::<f64>();
        assert_relative_eq!(length.sqrt(), 3.0, epsilon = 1e-12);
    }

    #[test]
    fn unfit_inputs_are_named() {
        let four = Array2::zeros((1, 4));
        assert_eq!(
            displacements(four.view(), four.view()),
            Err(Error::NotPositions { columns: 4 })
        );
        assert!(aligned_mean(ndarray::Array3::zeros((1, 0, 3)).view()).is_err());
    }

    #[test]
    fn a_nearly_linear_molecule_lies_on_itself() {
        for bend in [1e-2, 1e-4, 0.0] {
            let row = matrix(rigid(
                &[-2.2, 0.0, 0.0, 0.0, bend, 0.0, 2.9, 0.0, 0.0],
                [0.3, 1.1, -0.7],
                [1.0, -2.0, 0.5],
            ));
            let displacement = displacements(row.view(), row.view()).unwrap()[0];
            assert!(displacement < 1e-10, "{bend}: {displacement}");
        }
    }

    proptest! {
        #[test]
        fn a_rigid_motion_of_the_estimate_changes_nothing(
            truth in prop::collection::vec(-3.0_f64..3.0, 12),
            estimate in prop::collection::vec(-3.0_f64..3.0, 12),
            angles in prop::array::uniform3(-3.0_f64..3.0),
            shift in prop::array::uniform3(-5.0_f64..5.0),
        ) {
            let moved = matrix(rigid(&estimate, angles, shift));
            let (truth, estimate) = (matrix(truth), matrix(estimate));
            let before = displacements(truth.view(), estimate.view()).unwrap()[0];
            let after = displacements(truth.view(), moved.view()).unwrap()[0];
            prop_assert!((before - after).abs() < 1e-6, "{before} {after}");
        }

        #[test]
        fn a_rigid_motion_of_the_truth_is_undone(
            truth in prop::collection::vec(-3.0_f64..3.0, 9),
            angles in prop::array::uniform3(-3.0_f64..3.0),
            shift in prop::array::uniform3(-5.0_f64..5.0),
        ) {
            let moved = matrix(rigid(&truth, angles, shift));
            let displacement = displacements(matrix(truth).view(), moved.view()).unwrap()[0];
            prop_assert!(displacement < 1e-10, "{displacement}");
        }
    }
}
