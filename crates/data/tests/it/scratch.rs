//! A table whose rows stay on disk is the table in memory, to the bit.

use cei_data::extremes::screen;
use cei_data::rounding::largest_rounding;
use cei_data::{
    Degenerate, Division, GaugeConfig, Marks, Part, Preprocessing, PreprocessingConfig, Role,
    RowDigests, Rows as _, ScalerKind, ScratchTable, SharedFrame, Source, Split, SplitConfig,
    Spreads, Table, TableRows, fingerprint, load, part_of,
};
use ndarray::Array2;

use crate::{Folder, ocs, select};

/// More rows than in two blocks.
const ROWS: usize = 70_000;
/// Rows with a cell that is no measurement: at the ends, and where a block ends.
const FLAGGED: [usize; 6] = [0, 1, 32_767, 32_768, 50_000, ROWS - 1];

const X: [&str; 9] = ["cx", "cy", "cz", "ox", "oy", "oz", "sx", "sy", "sz"];
const Y: [&str; 9] = ["pcx", "pcy", "pcz", "pox", "poy", "poz", "psx", "psy", "psz"];

/// Positions with their centre of mass at rest but for the digits of the file, and momenta, some of which are flagged.
fn text() -> String {
    let mut text = [X, Y].concat().join(",") + "\n";
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    for row in 0..ROWS {
        let mut cells: Vec<f64> = (0..18).map(|_| uniform()).collect();
        cells[6] = -cells[0] - cells[3];
        if FLAGGED.contains(&row) {
            cells[12] = 1e20;
        }
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:.5}")).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

fn bits(values: &Array2<f32>) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn rows_on_disk_are_those_in_memory() {
    let folder = Folder::new();
    let source = Source { drop_invalid: true, ..folder.write("t.csv", text()) };
    let selection = select(&X, &Y);
    let molecule = ocs();
    let mut table = load(&source, &selection).unwrap();
    let mut scratch = ScratchTable::load(&source, &selection, &folder.path("")).unwrap();
    assert_eq!(folder.names(), ["t.csv"]);
    let both = |table: &Table, scratch: &ScratchTable| {
        assert_eq!(table.rows(), scratch.count());
        assert_eq!(fingerprint(table), fingerprint(scratch));
        assert_eq!(table.dropped, scratch.head().dropped);
        // Any order, some twice.
        let rows = [ROWS - 10, 3, 3, 32_768, 0, 32_767];
        assert_eq!(part_of(table, &rows).unwrap(), table_part(table, &rows));
        assert_eq!(part_of(scratch, &rows).unwrap(), table_part(table, &rows));
    };
    both(&table, &scratch);
    let extreme = screen(&mut table, true, &selection, Some(&molecule)).unwrap();
    assert_eq!(extreme, screen(&mut scratch, true, &selection, Some(&molecule)).unwrap());
    assert_eq!(table.dropped.numbers, FLAGGED.map(|row| row as u64));
    both(&table, &scratch);
    // Rows are left out of those that are left.
    for rows in [vec![0, 40_000], vec![1]] {
        TableRows::leave_out(&mut table, &rows);
        scratch.leave_out(&rows);
        both(&table, &scratch);
    }

    let split = Split::new(table.rows(), &SplitConfig::default()).unwrap();
    let train = split.train.rows();
    let of = |table: &dyn TableRows| {
        let spreads = Spreads::of(Part::listed(table, train), Some(&molecule)).unwrap();
        let digests = RowDigests::fit(Part::listed(table, train), Some(&molecule)).unwrap();
        let rounding = largest_rounding(table, [&|_| 1.0, &|_| 1.0]).unwrap();
        (spreads, digests, rounding)
    };
    assert_eq!(of(&table), of(&scratch));
    let frame = GaugeConfig {
        frame: SharedFrame::Momentum,
        x_axis: Some("S".to_owned()),
        xy_plane: Some("O".to_owned()),
        ..GaugeConfig::default()
    };
    for (gauge, degenerate) in [
        (GaugeConfig::default(), Degenerate::Project),
        (GaugeConfig::default(), Degenerate::Noise),
        (frame, Degenerate::Project),
    ] {
        let config = PreprocessingConfig { gauge, degenerate, ..PreprocessingConfig::default() };
        let fit =
            |table| Preprocessing::fit(&config, Some(&molecule), table, &split.train).unwrap();
        let fitted = fit(&table);
        assert_eq!(fitted, fit(&scratch));
        let ranks =
            |table| fitted.ranks_within(split.training(table).part(), [1e-3, 1e-3]).unwrap();
        assert_eq!(ranks(&table), ranks(&scratch));
        let encoded = |table: &dyn TableRows| {
            let (x, y) = fitted.encode_part(split.test(table)).unwrap();
            [bits(&x), bits(&y)]
        };
        let (x, y) = table_part(&table, split.test.rows());
        let at_once = [fitted.encode_x(x.view(), y.view()), fitted.encode_y(y.view())];
        assert_eq!(encoded(&table), at_once.each_ref().map(bits));
        assert_eq!(encoded(&scratch), at_once.each_ref().map(bits));
    }
}

/// Marks instead of lists of rows: the same parts, in the order of the file, and what is fitted on them block by block is
/// what is fitted on all of them at once, but for round-off.
#[test]
fn parts_that_are_marked_are_those_that_are_listed() {
    let folder = Folder::new();
    let source = Source { drop_invalid: true, ..folder.write("t.csv", text()) };
    let (selection, molecule) = (select(&X, &Y), ocs());
    let mut table = ScratchTable::load(&source, &selection, &folder.path("")).unwrap();
    screen(&mut table, true, &selection, Some(&molecule)).unwrap();
    let config = SplitConfig { seed: 5, ..SplitConfig::default() };
    let split = Split::new(table.count(), &config).unwrap();
    let marks = Marks::new(table.count(), &config).unwrap();
    assert_eq!(split.counts(), marks.counts());
    for row in (0..table.count()).step_by(997) {
        assert_eq!(marks.role(row), split.role(row));
    }
    let mut validation = split.validation.rows().to_vec();
    validation.sort_unstable();
    let (x, y) = marks.validation(&table).whole().unwrap();
    assert_eq!((x, y), part_of(&table, &validation).unwrap());
    let places = [0, 7, 7, validation.len() - 1];
    assert_eq!(marks.validation(&table).numbers(&places), places.map(|place| validation[place]));
    assert!(marks.test(&table).numbers(&[3]).iter().all(|row| marks.role(*row) == Role::Test));

    let training = [split.training(&table), marks.training(&table)];
    let [listed, marked] = training.map(|part| Spreads::of(part.part(), Some(&molecule)).unwrap());
    assert_eq!(listed, marked);
    for scaler in
        [ScalerKind::Standardise, ScalerKind::MinMax, ScalerKind::Robust, ScalerKind::None]
    {
        for degenerate in [Degenerate::Project, Degenerate::Noise] {
            let config = PreprocessingConfig {
                x_scaler: scaler,
                y_scaler: scaler,
                degenerate,
                ..PreprocessingConfig::default()
            };
            let [listed, marked] = training
                .map(|part| Preprocessing::fit_part(&config, Some(&molecule), part).unwrap());
            assert_eq!(listed.d_eff(), marked.d_eff());
            assert_eq!(listed.alive_x(), marked.alive_x());
            let [of_listed, of_marked] =
                [&listed, &marked].map(|fitted| fitted.encode_part(split.test(&table)).unwrap());
            for (a, b) in of_listed.0.iter().zip(&of_marked.0) {
                assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{scaler:?} {a} {b}");
            }
            for (a, b) in of_listed.1.iter().zip(&of_marked.1) {
                assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()), "{scaler:?} {a} {b}");
            }
            let ranks =
                training.map(|part| listed.ranks_within(part.part(), [1e-3, 1e-3]).unwrap());
            assert_eq!(ranks[0], ranks[1]);
        }
    }
}

fn table_part(table: &Table, rows: &[usize]) -> (Array2<f64>, Array2<f64>) {
    (table.x.select(ndarray::Axis(0), rows), table.y.select(ndarray::Axis(0), rows))
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new();
    let source = folder.write("t.csv", "a,p\n1,2\n3,4\n");
    let error = ScratchTable::load(&source, &select(&["a"], &["p"]), &folder.path("missing"));
    let message = error.unwrap_err().to_string();
    assert!(message.contains("missing") && message.contains("hint: "), "{message}");
}
