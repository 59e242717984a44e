//! Every kind of file gives the same table.

use cei_data::{
    ColumnData, ColumnRef, Header, MomentumUnit, PositionUnit, Selection, Separator, Source,
    fingerprint, load, write_table,
};
use ndarray::array;

use crate::{Folder, select};

#[test]
fn every_separator_and_blank_space_is_understood() {
    let kinds = [
        ("comma.csv", "a,b,p\n1,2.5,-3e-1\n4,5,6\n"),
        ("semicolon.csv", "a;b;p\n1;2.5;-3e-1\n4;5;6"),
        ("tab.tsv", "a\tb\tp\n1\t2.5\t-3e-1\n4\t5\t6\n"),
        ("white.dat", "  a   b\t p \n  1  2.5    -3e-1\n\t4 5   6  \n"),
        ("blanks.csv", " a , b ,p \r\n 1, 2.5 ,-3e-1\r\n\r\n4 ,5, 6\r\n\r\n"),
        ("quotes.csv", "\"a\",\"b\",\"p\"\n\"1\",\"2.5\",\"-3e-1\"\n4,5,6\n"),
        ("mark.txt", "\u{feff}a,b,p\n1,2.5,-3e-1\n4,5,6\n"),
        ("late.csv", "\n\n a,b,p\n1,2.5,-3e-1\n4,5,6\n\n"),
    ];
    let folder = Folder::new();
    for (name, content) in kinds {
        let source = folder.write(name, content);
        let table = load(&source, &select(&["b", "a"], &["p"])).unwrap();
        assert_eq!(table.x, array![[2.5, 1.0], [5.0, 4.0]], "{name}");
        assert_eq!(table.y, array![[-0.3], [6.0]], "{name}");
        assert_eq!(
            (table.x_names.as_slice(), table.y_names.as_slice()),
            (&["b".to_owned(), "a".to_owned()][..], &["p".to_owned()][..])
        );
        assert_eq!(table.dropped.rows, 0);
    }
}

#[test]
fn columns_are_chosen_by_index_with_and_without_a_header() {
    let folder = Folder::new();
    let by_index = Selection {
        x: vec![ColumnRef::from(2)],
        y: vec![ColumnRef::from(1), ColumnRef::from(3)],
        ..Selection::default()
    };
    // The text column 0 is not selected, so it does no harm.
    let bare = load(&folder.write("bare.csv", "O,1,2,3\nC,4,5,6\n"), &by_index).unwrap();
    let named =
        load(&folder.write("named.csv", "atom,p,x,q\nO,1,2,3\nC,4,5,6\n"), &by_index).unwrap();
    assert_eq!(bare.x, array![[2.0], [5.0]]);
    assert_eq!(bare.y, array![[1.0, 3.0], [4.0, 6.0]]);
    assert_eq!((&bare.x, &bare.y), (&named.x, &named.y));
    assert_eq!(bare.y_names, ["column 1", "column 3"]);
    assert_eq!(named.y_names, ["p", "q"]);
}

#[test]
fn separator_and_header_can_be_forced() {
    let folder = Folder::new();
    let years = folder.write("years.csv", "2019,2020\n1,2\n3,4\n");
    let with_header = Source { header: Header::Yes, ..years.clone() };
    assert_eq!(load(&with_header, &select(&[], &["2020"])).unwrap().y, array![[2.0], [4.0]]);
    let all = Selection { y: vec![ColumnRef::from(1)], ..Selection::default() };
    assert_eq!(load(&years, &all).unwrap().y, array![[2020.0], [2.0], [4.0]]);

    let mixed = folder.write("mixed.txt", "a b;c d\n1 2;3 4\n");
    let white = Source { separator: Separator::Whitespace, header: Header::No, ..mixed };
    let last = Selection { y: vec![ColumnRef::from(2)], ..Selection::default() };
    let error = load(&white, &last).unwrap_err().to_string();
    assert!(error.contains("row 1 (line 1), column `column 2`: `d` is not a number"), "{error}");
}

#[test]
fn positions_are_not_needed_to_predict() {
    let folder = Folder::new();
    let table =
        load(&folder.write("p.csv", "pcx,pcy\n1,2\n"), &select(&[], &["pcx", "pcy"])).unwrap();
    assert_eq!(table.x.dim(), (1, 0));
    assert_eq!(table.y, array![[1.0, 2.0]]);
}

#[test]
fn parquet_of_every_number_type_is_read() {
    let folder = Folder::new();
    write_table(
        &folder.path("t.parquet"),
        vec![
            (" a ".to_owned(), ColumnData::F32(vec![0.5, -0.25])),
            ("b".to_owned(), ColumnData::F64(vec![0.1, 1e30])),
            ("n".to_owned(), ColumnData::U64(vec![7, 9])),
            ("m".to_owned(), ColumnData::U32(vec![1, 2])),
        ],
    )
    .unwrap();
    let table =
        load(&Source::file(folder.text("t.parquet")), &select(&["n", "a"], &["m", "b"])).unwrap();
    assert_eq!(table.x, array![[7.0, 0.5], [9.0, -0.25]]);
    assert_eq!(table.y, array![[1.0, 0.1], [2.0, 1e30]]);
}

#[test]
fn globs_and_lists_are_concatenated_in_order() {
    let folder = Folder::new();
    // Columns are found by name in each file, whatever their order there.
    folder.write("part-1.csv", "a,p\n1,10\n");
    folder.write("part-2.csv", "p,a\n20,2\n");
    folder.write("first.csv", "a,p\n0,0\n");
    write_table(
        &folder.path("part-3.parquet"),
        vec![
            ("p".to_owned(), ColumnData::F64(vec![30.0])),
            ("a".to_owned(), ColumnData::F64(vec![3.0])),
        ],
    )
    .unwrap();
    let source = Source {
        files: vec![folder.text("first.csv"), folder.text("part-*")],
        ..Source::default()
    };
    let table = load(&source, &select(&["a"], &["p"])).unwrap();
    assert_eq!(table.x.column(0).to_vec(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(table.y.column(0).to_vec(), [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(table.files.len(), 4);
}

#[test]
fn units_become_internal() {
    let folder = Folder::new();
    let source = folder.write("u.csv", "x,p\n1,1.99285191410e-24\n");
    // 1 bohr = 0.529177210903 angstrom, so 1 angstrom = 1.8897261246 bohr.
    let bohr = [
        (PositionUnit::Bohr, 1.0),
        (PositionUnit::None, 1.0),
        (PositionUnit::Angstrom, 1.889_726_124_6),
        (PositionUnit::Pm, 0.018_897_261_246),
        (PositionUnit::Nm, 18.897_261_246),
    ];
    for (x_unit, expected) in bohr {
        let selection = Selection {
            x_unit: x_unit.clone(),
            y_unit: MomentumUnit::Si,
            ..select(&["x"], &["p"])
        };
        let table = load(&source, &selection).unwrap();
        assert!(
            (table.x[[0, 0]] / expected - 1.0).abs() < 1e-10,
            "{x_unit:?}: {}",
            table.x[[0, 0]]
        );
        assert!((table.y[[0, 0]] - 1.0).abs() < 1e-14, "{}", table.y[[0, 0]]);
    }
}

#[test]
fn invalid_rows_are_dropped_and_counted_on_request() {
    let folder = Folder::new();
    let source = Source {
        drop_invalid: true,
        ..folder.write("d.csv", "a,b,p\n1,2,3\nnan,2,3\n1,,3\n1,x,inf\n1,2\n4,5,6\nNaN,8,9\n")
    };
    let table = load(&source, &select(&["a", "b"], &["p"])).unwrap();
    assert_eq!(table.x, array![[1.0, 2.0], [4.0, 5.0]]);
    assert_eq!(table.y, array![[3.0], [6.0]]);
    assert_eq!(
        table.dropped.to_string(),
        "dropped 5 of 7 rows: the row has a wrong number of cells (1), the cell is NaN in column `a` (2), \
         the cell is empty in column `b` (1), the cell is not a number in column `b` (1), \
         the cell is infinite in column `p` (1)"
    );
}

#[test]
fn a_file_of_several_blocks_keeps_rows_and_line_numbers() {
    let folder = Folder::new();
    // 1.2 million lines of 17 bytes: more than one block of 16 MiB.
    let rows = 1_200_000;
    let mut text = String::from("a,p\n");
    for row in 0..rows {
        text.push_str(&format!("{row:7},{:8}\n", 2 * row));
    }
    let source = folder.write("long.csv", &text);
    let table = load(&source, &select(&["a"], &["p"])).unwrap();
    assert_eq!(table.rows(), rows);
    let expected = |row: usize| row as f64;
    assert!((0..rows).all(|row| table.x[[row, 0]] == expected(row) && table.y[[row, 0]] == expected(2 * row)));

    let damaged = text.replace("1150000, 2300000", "1150000,  oops  ");
    let error = load(&folder.write("long.csv", damaged), &select(&["a"], &["p"])).unwrap_err();
    assert!(
        error.to_string().contains("row 1150001 (line 1150002), column `p`: `oops`"),
        "{error}"
    );
}

#[test]
fn the_fingerprint_depends_on_names_and_bits() {
    let folder = Folder::new();
    let selection = select(&["a"], &["p"]);
    let of = |name: &str, text: &str| {
        fingerprint(&load(&folder.write(name, text), &selection).unwrap()).unwrap()
    };
    let original = of("a.csv", "a,p\n1,2\n3,4\n");
    assert_eq!(original.len(), 64);
    assert_eq!(original, of("b.csv", "a;p\n1.0;2\n3;4.00\n"));
    assert_ne!(original, of("c.csv", "a,p\n1,2\n3,4.0000000000000010\n"));
    assert_ne!(of("d.csv", "a,p\n0,2\n"), of("e.csv", "a,p\n-0,2\n"));
    let table = load(&folder.write("f.csv", "a,p\n1,2\n"), &select(&["p"], &["a"])).unwrap();
    assert_ne!(fingerprint(&table).unwrap(), of("f.csv", "a,p\n2,1\n"));
}
