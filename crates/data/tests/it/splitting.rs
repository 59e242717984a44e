//! Splits and scalers.

use cei_data::{Rows, Scaler, ScalerKind, Split, SplitConfig, SplitError};
use ndarray::{Array2, array};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_split_has_every_row_once(rows in 4_usize..3000, seed: u64, train in 0.1..0.8_f64, share in 0.2..0.8_f64) {
        let validation = (1.0 - train) * share;
        let config = SplitConfig { seed, train, validation, test: 1.0 - train - validation };
        match Split::new(rows, &config) {
            Ok(split) => {
                let parts = [split.train.rows(), split.validation.rows(), split.test.rows()];
                let mut all = parts.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
                for (part, share) in parts.iter().zip([train, validation, config.test]) {
                    prop_assert!((part.len() as f64 - share * rows as f64).abs() <= 1.0 + 1e-9);
                }
                prop_assert_eq!(&split, &Split::new(rows, &config).unwrap());
            }
            Err(error) => prop_assert!(rows < 31, "{rows} rows: {error}"),
        }
    }

    #[test]
    fn the_least_table_is_enough_and_one_row_less_is_not(train in 0.1..0.8_f64, share in 0.1..0.9_f64) {
        let validation = (1.0 - train) * share;
        let config = SplitConfig { seed: 0, train, validation, test: 1.0 - train - validation };
        let least = config.least_rows();
        prop_assert!(Split::new(least, &config).is_ok());
        prop_assert_eq!(
            Split::new(least - 1, &config),
            Err(SplitError::TooFewRows { rows: least - 1, needed: least })
        );
    }

    #[test]
    fn scalers_invert(values in prop::collection::vec(-1e6..1e6_f64, 2..60), which in 0_usize..4) {
        let kind = [ScalerKind::Standardise, ScalerKind::MinMax, ScalerKind::Robust, ScalerKind::None][which];
        let matrix = Array2::from_shape_vec((values.len(), 1), values.clone()).unwrap();
        let scaler = Scaler::fit(kind, matrix.view());
        prop_assert!(scaler.scales()[0] > 0.0);
        for value in values {
            let back = scaler.inverse(0, scaler.transform(0, value));
            prop_assert!((back - value).abs() <= 1e-9 * (1.0 + value.abs()), "{value} came back as {back}");
        }
    }
}

#[test]
fn another_seed_gives_another_split_of_the_same_sizes() {
    let sizes = |split: &Split| {
        [split.train.rows().len(), split.validation.rows().len(), split.test.rows().len()]
    };
    let [first, second] = [1, 2]
        .map(|seed| Split::new(10_000, &SplitConfig { seed, ..SplitConfig::default() }).unwrap());
    assert_eq!(sizes(&first), [7000, 1500, 1500]);
    assert_eq!(sizes(&second), [7000, 1500, 1500]);
    assert_ne!(first.test, second.test);
    // A shuffle, not a cut: the expected mean index of 1500 of 10,000 rows is 5000 with sd 69.
    let mean = first.test.rows().iter().sum::<usize>() as f64 / 1500.0;
    assert!((mean - 5000.0).abs() < 350.0, "{mean}");
}

#[test]
fn wrong_proportions_are_named() {
    let of = |train, validation, test| {
        Split::new(100, &SplitConfig { seed: 0, train, validation, test }).unwrap_err().to_string()
    };
    assert_eq!(of(0.0, 0.5, 0.5), "`split.train` is `0` but must lie strictly between 0 and 1");
    assert_eq!(
        of(0.5, 1.5, -1.0),
        "`split.validation` is `1.5` but must lie strictly between 0 and 1"
    );
    assert_eq!(
        of(0.5, 0.25, f64::NAN),
        "`split.test` is `NaN` but must lie strictly between 0 and 1"
    );
    assert_eq!(
        of(0.5, 0.25, 0.125),
        "`split.train`, `split.validation` and `split.test` add up to `0.875` but must add up to 1"
    );
    let few = Split::new(3, &SplitConfig::default()).unwrap_err().to_string();
    assert!(few.starts_with("3 rows are too few for the split; it needs at least 4"), "{few}");
}

#[test]
fn offsets_and_scales_of_every_kind() {
    // 0, 1, 2, 3, 14: mean 4, mean square 42, variance 26; quartiles 1, 2, 3. The second column is constant.
    let matrix = array![[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [14.0, 5.0]];
    let of = |kind| {
        let scaler = Scaler::fit(kind, matrix.view());
        (scaler.offsets().to_vec(), scaler.scales().to_vec(), scaler.log_abs_det())
    };
    assert_eq!(
        of(ScalerKind::Standardise),
        (vec![4.0, 5.0], vec![26.0_f64.sqrt(), 1.0], 26.0_f64.sqrt().ln())
    );
    assert_eq!(of(ScalerKind::MinMax), (vec![0.0, 5.0], vec![14.0, 1.0], 14.0_f64.ln()));
    assert_eq!(of(ScalerKind::Robust), (vec![2.0, 5.0], vec![2.0, 1.0], 2.0_f64.ln()));
    assert_eq!(of(ScalerKind::None), (vec![0.0, 0.0], vec![1.0, 1.0], 0.0));
}

/// A component that the frame makes zero wherever few ions are detected: its quartiles are round-off, not its values.
#[test]
fn quartiles_of_round_off_are_no_scale() {
    let of = |zero: f64| {
        let cell =
            |row: usize| if row.is_multiple_of(10) { row as f64 - 45.0 } else { zero * row as f64 };
        let matrix = ndarray::Array2::from_shape_fn((100, 1), |(row, _)| cell(row));
        Scaler::fit(ScalerKind::Robust, matrix.view()).scales()[0]
    };
    // Of -45, -35, ..., 45 in every tenth row: variance 825 / 10.
    for zero in [0.0, 1e-31, 1e-15] {
        assert!((of(zero) - 82.5_f64.sqrt()).abs() < 1e-9, "{zero}: {}", of(zero));
    }
}
