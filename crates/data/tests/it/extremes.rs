//! Cells that are no measurements: found by their distance and by standing alone, in whatever unit; round-off, rare values and
//! heavy tails are measurements.

use cei_data::extremes::screen;
use cei_data::{Part, Selection, Spreads, Table};
use cei_physics::{AtomSpec, Molecule};
use ndarray::{Array2, Axis, concatenate};

fn table(rows: usize, cell: impl Fn(usize, f64) -> [f64; 3]) -> Table {
    let uniform = |row: usize| (row as f64 * 0.618_033_988_75).fract() - 0.5;
    let cells: Vec<f64> = (0..rows).flat_map(|row| cell(row, uniform(row))).collect();
    Table {
        x: Array2::zeros((rows, 0)),
        y: Array2::from_shape_vec((rows, 3), cells).unwrap(),
        x_names: Vec::new(),
        y_names: ["pcx", "pcy", "pcz"].map(str::to_owned).to_vec(),
        files: Vec::new(),
        readings: Vec::new(),
        nuisances: 0,
        charges: 0,
        may_miss: Vec::new(),
        alike: None,
        dropped: Default::default(),
    }
}

#[test]
fn absurd_cells_are_left_out_and_counted() {
    for unit in [1e-24, 1.0, 1e22] {
        let mut table = table(200, |row, u| {
            let flag = if row % 50 == 7 { 1e9 } else { 1.0 };
            [unit * u, unit * u * flag, unit * (1.0 + u)]
        });
        let refused = screen(&mut table.clone(), false, &Selection::default(), None).unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("row 8, column `pcy`"), "{message}");
        assert!(message.contains("so are 3 other cells"), "{message}");
        assert!(screen(&mut table, true, &Selection::default(), None).unwrap().is_empty());
        assert_eq!((table.rows(), table.dropped.rows, table.dropped.of), (196, 4, 200));
        assert_eq!(table.dropped.numbers, [7, 57, 107, 157]);
        assert_eq!((table.dropped.number(6), table.dropped.number(7)), (6, 8));
        assert_eq!(table.dropped.number(195), 199);
    }
}

/// What is far, but not that far, is only remarked.
#[test]
fn extreme_cells_are_remarked() {
    let mut table = table(200, |row, u| [u, if row == 150 { 200.0 } else { u }, u]);
    let extreme = screen(&mut table, false, &Selection::default(), None).unwrap();
    assert_eq!(extreme.iter().map(|cell| cell.row).collect::<Vec<_>>(), [150]);
}

/// A coordinate that a rotation has made round-off is compared with the others of its atom, not with its own noise.
#[test]
fn round_off_and_rare_values_are_no_extremes() {
    let mut table = table(400, |row, u| {
        [u, if row % 200 == 9 { 0.3 } else { 0.0 }, if row == 30 { 1e-9 } else { 1e-17 * u }]
    });
    assert!(screen(&mut table, false, &Selection::default(), None).unwrap().is_empty());
    let spreads = Spreads::of(Part::listed(&table, &(0..300).collect::<Vec<_>>()), None).unwrap();
    assert!(spreads.absurd(&table, &Selection::default()).is_empty());
    table.y[[5, 2]] = 1e6;
    let cells = spreads.absurd(&table, &Selection::default());
    assert_eq!(cells.len(), 1);
    assert!(cells[0].to_string().contains("row 6, column `pcz`"), "{}", cells[0]);
}

/// A zero that was rotated once, 1e-16 of the momenta, and one that was rotated twice, 1e-32 of them, are the same: no part of
/// the momenta of a molecule is a unit of its own.
#[test]
fn round_off_of_round_off_is_no_scale() {
    let atoms = ["C", "O"].map(|element| AtomSpec::new(element, 1.0));
    let molecule = Molecule::new(atoms.to_vec()).unwrap();
    let rows: Vec<usize> = (0..400).collect();
    let of = |part: f64| {
        let one = table(400, |_, u| [50.0 * u, part * u, 30.0 * u]);
        let y = concatenate![Axis(1), one.y, one.y.mapv(|component| -component)];
        Table { y, y_names: molecule.momentum_columns(), ..one }
    };
    let trained = Spreads::of(Part::listed(&of(1e-31), &rows), Some(&molecule)).unwrap();
    for part in [1e-31, 1e-15, 50.0] {
        let cells = trained.absurd(&of(part), &Selection::default());
        assert!(cells.is_empty(), "{part}: {}", cells[0]);
    }
    let cells = trained.absurd(&of(1e6), &Selection::default());
    assert!(cells.len() > 300, "{}", cells.len());
    let mut with_one = of(1e-31);
    with_one.y[[7, 1]] = 1e-15;
    let screened = screen(&mut with_one, false, &Selection::default(), Some(&molecule));
    assert!(screened.unwrap().is_empty());
}
