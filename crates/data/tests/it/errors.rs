//! Every bad input has its message, with file, row, line and column.

use std::fs;

use cei_data::{
    ColumnData, ColumnRef, LoadError, MotionOptions, PositionUnit, Selection, Source, SplitConfig,
    check_trainable, load, load_positions, read_xyz, write_table,
};

use crate::{Folder, ocs, select};

/// The message without the temporary folder.
fn message(folder: &Folder, source: &Source, selection: &Selection) -> String {
    load(source, selection).unwrap_err().to_string().replace(&folder.text(""), "")
}

#[test]
fn bad_cells_name_file_row_line_and_column() {
    let hint =
        "\nhint: correct it, or leave such rows out with `drop_invalid = true` (`--drop-invalid`)";
    let cases = [
        ("nan", "1,nan,3", "column `pcx`: the cell is NaN"),
        ("infinity", "1,-inf,3", "column `pcx`: the cell is infinite"),
        ("huge", "1,1e999,3", "column `pcx`: the cell is infinite"),
        ("large", "1,-1e31,3", "column `pcx`: `-1e31` is beyond 1e30, so it is no measured number"),
        ("empty", "1,,3", "column `pcx`: the cell is empty"),
        ("blank", "1,  ,3", "column `pcx`: the cell is empty"),
        ("text", "1,12.3eV,3", "column `pcx`: `12.3eV` is not a number"),
        ("comma", "1.0,\"1,5\",3", "column `pcx`: `1,5` is not a number"),
    ];
    for (name, row, expected) in cases {
        let folder = Folder::new();
        let file = format!("{name}.csv");
        let source = folder.write(&file, format!("cx,pcx,other\n1,2,3\n\n{row}\n"));
        assert_eq!(
            message(&folder, &source, &select(&["cx"], &["pcx"])),
            format!("`{file}`, row 2 (line 4), {expected}{hint}")
        );
        // The damaged column does no harm where it is not wanted.
        assert!(load(&source, &select(&["cx"], &["other"])).is_ok(), "{name}");
    }
}

#[test]
fn ragged_rows_name_file_row_and_line() {
    let folder = Folder::new();
    for (name, row, found) in
        [("short.csv", "1,2", 2), ("long.csv", "1,2,3,4", 4), ("tail.csv", "1,2,3,", 4)]
    {
        let source = folder.write(name, format!("cx,pcx,other\n1,2,3\n{row}\n1,2,3\n"));
        assert_eq!(
            message(&folder, &source, &select(&["cx"], &["pcx"])),
            format!(
                "`{name}`, row 2 (line 3): {found} cells where 3 are expected\n\
                 hint: correct it, or leave such rows out with `drop_invalid = true` (`--drop-invalid`)"
            )
        );
    }
}

#[test]
fn bad_cells_of_parquet_name_file_row_and_column() {
    let folder = Folder::new();
    for (value, expected) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "infinite")] {
        let columns = [("cx", vec![1.0, 2.0]), ("pcx", vec![3.0, value])];
        let columns = columns.map(|(name, data)| (name.to_owned(), ColumnData::F32(data)));
        write_table(&folder.path("bad.parquet"), columns.to_vec()).unwrap();
        let source = Source::file(folder.text("bad.parquet"));
        let message = message(&folder, &source, &select(&["cx"], &["pcx"]));
        let start = format!("`bad.parquet`, row 2, column `pcx`: the cell is {expected}\nhint: ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn missing_files_and_globs_are_named() {
    let folder = Folder::new();
    let selection = select(&[], &["p"]);
    let of = |name: &str| message(&folder, &Source::file(folder.text(name)), &selection);
    assert_eq!(
        of("no.csv"),
        "`no.csv` does not exist\nhint: relative paths start at the current folder"
    );
    assert_eq!(
        of("*.parquet"),
        "no file matches `*.parquet`\nhint: relative globs start at the current folder; quote them in a shell"
    );
    assert!(of("[.csv").starts_with("`[.csv` is not a valid glob: "), "{}", of("[.csv"));
    fs::create_dir(folder.path("run")).unwrap();
    assert!(
        of("run").starts_with("`run` is a folder\nhint: name a file, or use a glob"),
        "{}",
        of("run")
    );
    folder.write("t.xlsx", "p\n1\n");
    assert_eq!(
        of("t.xlsx"),
        "`t.xlsx`: unknown file type `.xlsx`\nhint: use .csv, .tsv, .txt or .dat for text (also with .gz), .parquet or .pq for Parquet"
    );
    folder.write("bare", "p\n1\n");
    assert!(of("bare").starts_with("`bare`: unknown file type ``"), "{}", of("bare"));
    let none = load(&Source::default(), &selection).unwrap_err().to_string();
    assert_eq!(none, "no data file is given\nhint: name at least one path or glob in `files`");
    let none =
        load(&folder.write("t.csv", "p\n1\n"), &select(&["p"], &[])).unwrap_err().to_string();
    assert!(none.starts_with("no momentum column is chosen"), "{none}");
}

#[test]
fn empty_files_and_files_without_rows_are_named() {
    let folder = Folder::new();
    let selection = select(&[], &["p"]);
    for (name, content) in [("empty.csv", ""), ("blank.csv", "\n  \n\r\n"), ("empty.parquet", "")] {
        let source = folder.write(name, content);
        let expected = format!(
            "`{name}` is empty\nhint: it holds neither a header nor rows; was it written completely?"
        );
        assert_eq!(message(&folder, &source, &selection), expected);
    }
    let no_rows = "has columns but no rows\nhint: was it written completely?";
    let source = folder.write("header.csv", "p,q\n\n");
    assert_eq!(message(&folder, &source, &selection), format!("`header.csv` {no_rows}"));
    write_table(&folder.path("header.parquet"), vec![("p".to_owned(), ColumnData::F64(vec![]))])
        .unwrap();
    let source = Source::file(folder.text("header.parquet"));
    assert_eq!(message(&folder, &source, &selection), format!("`header.parquet` {no_rows}"));
}

#[test]
fn damaged_parquet_is_named() {
    let folder = Folder::new();
    let columns =
        vec![("p".to_owned(), ColumnData::F64((0..5000).map(f64::from).map(f64::sin).collect()))];
    write_table(&folder.path("good.parquet"), columns).unwrap();
    let good = fs::read(folder.path("good.parquet")).unwrap();
    let mut scrambled = good.clone();
    scrambled[4..good.len() / 2].fill(0x5a);
    for (name, content) in [
        ("text.parquet", b"p,q\n1,2\n".to_vec()),
        ("cut.parquet", good[..good.len() / 2].to_vec()),
        ("scrambled.parquet", scrambled),
    ] {
        let source = folder.write(name, content);
        let message = message(&folder, &source, &select(&[], &["p"]));
        assert!(
            message.starts_with(&format!("`{name}` is not a readable Parquet file: ")),
            "{message}"
        );
        assert!(message.ends_with("hint: it may be cut short or of another format"), "{message}");
    }
}

#[test]
fn wrong_columns_are_named_with_the_nearest() {
    let folder = Folder::new();
    let source = folder.write("t.csv", "cx,pcx,poy,poy\n1,2,3,4\n");
    assert_eq!(
        message(&folder, &source, &select(&["cx"], &["pcX"])),
        "`t.csv` has no column `pcX`; it has `cx`, `pcx`, `poy`, `poy`\n\
         hint: did you mean `pcx`? names are case-sensitive"
    );
    assert!(
        message(&folder, &source, &select(&["cx"], &["energy"]))
            .ends_with("\nhint: name the columns in `x` and `y`, or choose them by 0-based index")
    );
    assert_eq!(
        message(&folder, &source, &select(&["cx"], &["poy"])),
        "`t.csv` has two columns named `poy`, with index 2 and 3\nhint: choose the one you mean by its index"
    );
    // A name that occurs twice does no harm where it is not wanted, and an index settles which.
    let second = Selection { y: vec![ColumnRef::from(3)], ..Selection::default() };
    assert_eq!(load(&source, &second).unwrap().y[[0, 0]], 4.0);
    let beyond = Selection { y: vec![ColumnRef::from(4)], ..Selection::default() };
    assert_eq!(
        message(&folder, &source, &beyond),
        "`t.csv` has no column with index 4; it has 4 columns\nhint: indices run from 0 to 3"
    );
    let twice = Selection { x: vec![ColumnRef::from(1)], ..select(&[], &["pcx"]) };
    assert_eq!(
        message(&folder, &source, &twice),
        "`t.csv`: column `pcx` is chosen twice\nhint: each column may stand once, in `x` or in `y`"
    );
    let bare = folder.write("bare.csv", "1,2\n");
    assert_eq!(
        message(&folder, &bare, &select(&[], &["pcx"])),
        "`bare.csv` has no header, so there is no column `pcx`\n\
         hint: choose columns by 0-based index, or set `header = \"yes\"`"
    );
}

#[test]
fn files_of_different_layouts_are_named() {
    let folder = Folder::new();
    folder.write("a.csv", "p,q\n1,2\n");
    folder.write("b.csv", "q,p\n1,2\n");
    let source = Source { files: vec![folder.text("[ab].csv")], ..Source::default() };
    let by_index = Selection { y: vec![ColumnRef::from(0)], ..Selection::default() };
    assert_eq!(
        message(&folder, &source, &by_index),
        "column 0 is `q` in `b.csv` but `p` in `a.csv`\n\
         hint: choose columns by name, or list files of one layout"
    );
}

#[test]
fn tables_that_cannot_be_trained_on_are_named() {
    let folder = Folder::new();
    let shares = SplitConfig::default();
    let check = |source: &Source| {
        let table = load(source, &select(&["x"], &["p", "q"])).unwrap();
        let error = check_trainable(&table, &shares).unwrap_err();
        error.to_string().replace(&folder.text(""), "")
    };
    assert_eq!(
        check(&folder.write("few.csv", "x,p,q\n1,2,3\n2,3,4\n3,4,5\n")),
        "`few.csv`: 3 rows are too few; the split needs at least 4\n\
         hint: use more events or other split proportions"
    );
    let rows: String = (0..20).map(|row| format!("{row},2,3\n")).collect();
    assert_eq!(
        check(&folder.write("flat.csv", format!("x,p,q\n{rows}"))),
        "`flat.csv`: all of the columns `p`, `q` are constant, so there is nothing to learn from\n\
         hint: choose columns that vary between events"
    );
    let rows: String = (0..20).map(|row| format!("7,{row},3\n")).collect();
    assert_eq!(
        check(&folder.write("flat.csv", format!("x,p,q\n{rows}"))),
        "`flat.csv`: the column `x` is constant, so there is nothing to infer\n\
         hint: choose columns that vary between events"
    );
    let source = Source { drop_invalid: true, ..folder.write("all.csv", "x,p,q\n,1,1\nnan,2,2\n") };
    let message = message(&folder, &source, &select(&["x"], &["p", "q"]));
    assert_eq!(
        message,
        "`all.csv`: all 2 rows are invalid and were dropped; dropped 2 of 2 rows: \
         the cell is empty in column `x` (1), the cell is NaN in column `x` (1)\n\
         hint: check `separator`, `header` and the chosen columns"
    );
}

#[test]
fn unreadable_files_are_io_errors() {
    let folder = Folder::new();
    let source = folder.write("t.csv", "p\n1\n");
    let table = load(&source, &select(&[], &["p"])).unwrap();
    assert_eq!(table.rows(), 1);
    fs::remove_file(folder.path("t.csv")).unwrap();
    let error = load(&source, &select(&[], &["p"])).unwrap_err();
    assert!(matches!(error, LoadError::FileMissing { .. }), "{error}");
}

#[test]
fn xyz_errors_name_frame_and_line() {
    let folder = Folder::new();
    let frame = "3\ncomment\nC 0 0 0\nO 1.1 0 0\nS -1.5 0 0\n";
    let cases = [
        (String::new(), "`t.xyz` holds no frame"),
        ("three\n".to_owned(), "`t.xyz`, frame 1, line 1: `three` is not a number of atoms"),
        (
            format!("{frame}3\n\nC 0 0 0\nO 1.1 0\nS 0 0 0\n"),
            "`t.xyz`, frame 2, line 9: `O 1.1 0` is not `element x y z` with finite numbers",
        ),
        (
            format!("{frame}3\n\nC 0 0 0\nO 1.1 nan 0\nS 0 0 0\n"),
            "`t.xyz`, frame 2, line 9: `O 1.1 nan 0` is not `element x y z` with finite numbers",
        ),
        (
            format!("{frame}3\n\nC 0 0 0\nO 1.1 0 0\n"),
            "`t.xyz`, frame 2: the file ends at line 9, after 2 of 3 atoms\nhint: was it written completely?",
        ),
        (
            format!("{frame}2\n\nC 0 0 0\nO 1.1 0 0\n"),
            "`t.xyz`, frame 2, line 6: the atoms are C O but the first frame has C O S",
        ),
    ];
    for (content, expected) in cases {
        folder.write("t.xyz", content);
        let error = read_xyz(&folder.path("t.xyz"), false).unwrap_err().to_string();
        assert_eq!(error.replace(&folder.text(""), ""), expected);
    }
    // The hint tells another order from another molecule.
    let refused = |content: String| {
        folder.write("t.xyz", content);
        let error = load_positions(
            &Source::file(folder.text("t.xyz")),
            &ocs(),
            &PositionUnit::Bohr,
            &MotionOptions::default(),
        );
        error.unwrap_err().to_string().replace(&folder.text(""), "")
    };
    let other = refused(frame.replace("O 1.1", "N 1.1"));
    assert!(
        other.starts_with("`t.xyz`: the atoms are C N S but the molecule has C O S\n"),
        "{other}"
    );
    assert!(other.contains("hint: the file is of another molecule"), "{other}");
    let turned = refused("3\n\nO 1.1 0 0\nC 0 0 0\nS -1.5 0 0\n".to_owned());
    assert!(turned.contains("hint: they are the same atoms in another order"), "{turned}");
}
