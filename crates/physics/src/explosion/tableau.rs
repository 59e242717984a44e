//! The coefficients of DOP853, the explicit Runge-Kutta pair of Dormand and Prince of order 8 with error
//! estimators of orders 5 and 3.
//!
//! Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 2nd edition, II.5 and
//! II.10 (coefficients of the authors' program DOP853).

/// Evaluations of a step; the first one is shared with the end of the step before.
pub(super) const STAGES: usize = 12;

/// One row of a Butcher table: (stage, coefficient), zeros left out.
pub(super) type Row = &'static [(usize, f64)];

/// `a_ij`: row r gives the argument of stage r + 1 (stages from 0).
#[rustfmt::skip]
pub(super) const A: [Row; STAGES - 1] = [
    &[(0, 5.260_015_195_876_773E-2)],
    &[(0, 1.972_505_698_453_79E-2), (1, 5.917_517_095_361_37E-2)],
    &[(0, 2.958_758_547_680_685E-2), (2, 8.876_275_643_042_055E-2)],
    &[(0, 2.413_651_341_592_667E-1), (2, -8.845_494_793_282_861E-1), (3, 9.248_340_032_617_92E-1)],
    &[(0, 3.703_703_703_703_703_5E-2), (3, 1.708_286_087_294_738_6E-1), (4, 1.254_676_875_668_224_2E-1)],
    &[(0, 3.710_937_5E-2), (3, 1.702_522_110_195_440_5E-1), (4, 6.021_653_898_045_596E-2), (5, -1.757_812_5E-2)],
    &[(0, 3.709_200_011_850_479E-2), (3, 1.703_839_257_122_399_8E-1), (4, 1.072_620_304_463_732_8E-1),
      (5, -1.531_943_774_862_440_2E-2), (6, 8.273_789_163_814_023E-3)],
    &[(0, 6.241_109_587_160_757E-1), (3, -3.360_892_629_446_941_4), (4, -8.682_193_468_417_26E-1),
      (5, 2.759_209_969_944_671E1), (6, 2.015_406_755_047_789_4E1), (7, -4.348_988_418_106_996E1)],
    &[(0, 4.776_625_364_382_643_4E-1), (3, -2.488_114_619_971_667_7), (4, -5.902_908_268_368_43E-1),
      (5, 2.123_005_144_818_119_3E1), (6, 1.527_923_363_288_242_3E1), (7, -3.328_821_096_898_486E1),
      (8, -2.033_120_170_850_862_7E-2)],
    &[(0, -9.371_424_300_859_873E-1), (3, 5.186_372_428_844_064), (4, 1.091_437_348_996_729_5),
      (5, -8.149_787_010_746_927), (6, -1.852_006_565_999_696E1), (7, 2.273_948_709_935_050_5E1),
      (8, 2.493_605_552_679_652_3), (9, -3.046_764_471_898_219_6)],
    &[(0, 2.273_310_147_516_538), (3, -1.053_449_546_673_725E1), (4, -2.000_872_058_224_862_5),
      (5, -1.795_893_186_311_88E1), (6, 2.794_888_452_941_996E1), (7, -2.858_998_277_135_023_5),
      (8, -8.872_856_933_530_63), (9, 1.236_056_717_579_430_3E1), (10, 6.433_927_460_157_636E-1)],
];

/// `c_i` of the stages from 1 on: `0.118...` and `0.281...` are `(6 -+ sqrt 6) / 30`, and the first two are 4/9 and 2/3
/// of the former.
#[rustfmt::skip]
pub(super) const NODES: [f64; STAGES - 1] = [
    5.260_015_195_876_773E-2, 7.890_022_793_815_16E-2, 1.183_503_419_072_274E-1, 2.816_496_580_927_726E-1,
    1.0 / 3.0, 0.25, 4.0 / 13.0, 127.0 / 195.0, 0.6, 6.0 / 7.0, 1.0,
];

/// `b_i`: the step of order 8.
#[rustfmt::skip]
pub(super) const B: Row = &[
    (0, 5.429_373_411_656_876_5E-2), (5, 4.450_312_892_752_409), (6, 1.891_517_899_314_500_3),
    (7, -5.801_203_960_010_585), (8, 3.111_643_669_578_199E-1), (9, -1.521_609_496_625_161E-1),
    (10, 2.013_654_008_040_303_4E-1), (11, 4.471_061_572_777_259E-2),
];

/// Step of order 8 minus the embedded step of order 5.
#[rustfmt::skip]
pub(super) const ERROR_5: Row = &[
    (0, 1.312_004_499_419_488E-2), (5, -1.225_156_446_376_204_4), (6, -4.957_589_496_572_502E-1),
    (7, 1.664_377_182_454_986_4), (8, -3.503_288_487_499_736_6E-1), (9, 3.341_791_187_130_175E-1),
    (10, 8.192_320_648_511_571E-2), (11, -2.235_530_786_388_629_4E-2),
];

/// The embedded step of order 3.
#[rustfmt::skip]
pub(super) const B_3: Row = &[
    (0, 2.440_944_881_889_764E-1), (8, 7.338_466_882_816_118E-1), (11, 2.205_882_352_941_176_6E-2),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `c_i = sum_j a_ij`, the nodes as published.
    #[test]
    fn rows_sum_to_the_nodes() {
        let sqrt6 = 6.0_f64.sqrt();
        let nodes = [
            (12.0 - 2.0 * sqrt6) / 135.0,
            (6.0 - sqrt6) / 45.0,
            (6.0 - sqrt6) / 30.0,
            (6.0 + sqrt6) / 30.0,
            1.0 / 3.0,
            1.0 / 4.0,
            4.0 / 13.0,
            127.0 / 195.0,
            3.0 / 5.0,
            6.0 / 7.0,
            1.0,
        ];
        for ((row, node), stated) in A.iter().zip(nodes).zip(NODES) {
            let sum: f64 = row.iter().map(|(_, a)| a).sum();
            approx::assert_abs_diff_eq!(sum, node, epsilon = 2e-14);
            approx::assert_abs_diff_eq!(stated, node, epsilon = 1e-15);
        }
    }

    /// Quadrature conditions `sum b_i c_i^(k-1) = 1/k` up to each formula's order.
    #[test]
    fn weights_integrate_polynomials_up_to_their_order() {
        let node = |stage: usize| match stage {
            0 => 0.0,
            _ => A[stage - 1].iter().map(|(_, a)| a).sum::<f64>(),
        };
        let moment = |row: Row, power: i32| -> f64 {
            row.iter().map(|&(stage, weight)| weight * node(stage).powi(power)).sum()
        };
        for k in 1..=8 {
            approx::assert_abs_diff_eq!(moment(B, k - 1), 1.0 / f64::from(k), epsilon = 1e-14);
        }
        for k in 1..=3 {
            approx::assert_abs_diff_eq!(moment(B_3, k - 1), 1.0 / f64::from(k), epsilon = 1e-14);
        }
        for k in 1..=5 {
            approx::assert_abs_diff_eq!(moment(ERROR_5, k - 1), 0.0, epsilon = 1e-14);
        }
    }
}
