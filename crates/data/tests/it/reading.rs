//! What laboratories write is read as what it means, or refused with the cause; no line is lost, and no cell
//! becomes another number.

use std::io::Write;

use cei_data::{
    ColumnRef, Comment, Decimal, Header, InspectOptions, MomentumUnit, MotionOptions, PositionUnit,
    Selection, Separator, Source, column_names, inspect, load, load_positions, read_xyz, remarks,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::array;

use crate::{Folder, ocs, select};

fn by_index(indices: &[usize]) -> Selection {
    Selection { y: indices.iter().copied().map(ColumnRef::from).collect(), ..Selection::default() }
}

fn utf16(text: &str, mark: bool, little: bool) -> Vec<u8> {
    let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    let pairs = text.encode_utf16();
    pairs.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

/// Each file holds (2.5, -0.3) and (5, 6) in its columns 1 and 2; the sentence says how it was read.
#[test]
fn two_rows_in_every_dress() {
    let plain = "a,b,p\n1,2.5,-3e-1\n4,5,6\n";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "savetxt.txt",
            b"# a b p\n1.0e0 2.5e0 -3e-1\n4 5.0 6.0\n".into(),
            "header in a comment line; white space; 2 rows; 1 comment line (`#`)",
        ),
        (
            "commas.txt",
            b"# run 5\n#a, b, p\n1.5,2.5,-.3\n4,5,6\n".into(),
            "header in a comment line; comma; 2 rows; 2 comment lines (`#`)",
        ),
        (
            "matlab.dat",
            b"% a b p\n1 2.5 -0.3\n4 5 6\n".into(),
            "header in a comment line; white space; 2 rows; 1 comment line (`%`)",
        ),
        (
            "comments.csv",
            b"# at the start\na,b,p\n1,2.5,-.3\n# in the middle, 1, 2\n\n4,5,6\n# end\n".into(),
            "header; comma; 2 rows; 3 comment lines (`#`)",
        ),
        (
            "excel.csv",
            b"sep=;\r\na;b;p\r\n1;2.5;-0.3\r\n4;5;6\r\n".into(),
            "header; semicolon; 2 rows",
        ),
        ("cr.csv", plain.replace('\n', "\r").into(), ""),
        ("crlf.csv", plain.replace('\n', "\r\n").into(), ""),
        (
            "german.csv",
            b"a;b;p\n1,0;2,5;-0,3\n4,25;5,0;6\n".into(),
            "header; semicolon; decimal comma; 2 rows",
        ),
        (
            "german.tsv",
            b"a\tb\tp\n1,0\t2,5\t-3,0e-1\n4\t5,0\t6\n".into(),
            "header; tab; decimal comma; 2 rows",
        ),
        (
            "german.dat",
            b"1,0  2,5 -0,3\n4,0  5,0  6,0\n".into(),
            "no header; white space; decimal comma; 2 rows",
        ),
        (
            "quoted.csv",
            b"a,b,p\n\"1,0\",\"2,5\",\"-0,3\"\n\"4,0\",\"5,0\",\"6,0\"\n".into(),
            "header; comma; decimal comma; 2 rows",
        ),
        (
            "trailing.csv",
            b"a,b,p,\n1,2.5,-0.3,\n4,5,6,\n".into(),
            "header; comma; one more at the end of lines; 2 rows",
        ),
        (
            "rows_trail.csv",
            b"a,b,p\n1,2.5,-0.3,\n4,5,6,\n".into(),
            "header; comma; one more at the end of lines; 2 rows",
        ),
        (
            "units.csv",
            b"a,b,p\n[pm],(pm),a.u.\n1,2.5,-0.3\n4,5,6\n".into(),
            "header; units below it, not used: [pm], (pm), a.u.; comma; 2 rows",
        ),
        (
            "fortran.dat",
            b" 0.1D+01 0.25D+01 -0.3D+00\n 0.4d1  5.0  0.6D1\n".into(),
            "no header; white space; 2 rows",
        ),
        (
            "numbers.csv",
            b"0,1,2\n1.5,2.5,-0.3\n4.5,5,6.0\n".into(),
            "the first line, of numbers, taken as header; comma; 2 rows",
        ),
        ("mark.csv", format!("\u{feff}{plain}").into(), ""),
        ("utf16le.csv", utf16(plain, true, true), "header; comma; UTF-16; 2 rows"),
        ("utf16be.csv", utf16(plain, true, false), "header; comma; UTF-16; 2 rows"),
        ("no_mark_le.csv", utf16(plain, false, true), "header; comma; UTF-16; 2 rows"),
        ("no_mark_be.csv", utf16(plain, false, false), "header; comma; UTF-16; 2 rows"),
        ("latin1.csv", b"a (\xb5s),b (\xc5),p\n1,2.5,-0.3\n4,5,6\n".into(), ""),
        (
            "latin1.txt",
            b"# gemessen f\xfcr 5 \xb5s\na,b,p\n1,2.5,-0.3\n4,5,6\n".into(),
            "header; comma; 2 rows; 1 comment line (`#`)",
        ),
        ("packed.csv.gz", gzip(plain.as_bytes()), "header; comma; gzip; 2 rows"),
        ("packed.csv", gzip(plain.as_bytes()), "header; comma; gzip; 2 rows"),
        (
            "members.csv.gz",
            [gzip(b"a,b,p\n1,2.5,-0.3\n4,"), gzip(b"5,6\n")].concat(),
            "header; comma; gzip; 2 rows",
        ),
        ("text.csv", b"id,b,p\n\"C, then O\",2.5,-0.3\n\"say \"\"x\"\"\",5,6\n".into(), ""),
        (
            "r.txt",
            b"\"a\" \"b\" \"p\"\n\"row 1\" 2.5 -0.3\n\"row 2\" 5 6\n".into(),
            "header; white space; 2 rows",
        ),
        ("minus.csv", "a,b,p\n1,2.5,\u{2212}0.3\n4,5,6\n".into(), ""),
        ("empty.tsv", b"a\tb\tp\n\t2.5\t-0.3\n\t5\t6\n".into(), "header; tab; 2 rows"),
        (
            "aligned.txt",
            b"   a \t b    p\n   1 \t 2.5  -0.3\n   4 \t 5    6\n".into(),
            "header; white space; 2 rows",
        ),
        ("bare.csv", b"1.5,2.5,-0.3\n4,5,6".into(), "no header; comma; 2 rows"),
    ];
    for (name, content, said) in cases {
        let folder = Folder::new();
        let table = load(&folder.write(name, content), &by_index(&[1, 2]))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(table.y, array![[2.5, -0.3], [5.0, 6.0]], "{name}");
        let said = if said.is_empty() { Vec::new() } else { vec![format!("`{name}`: {said}")] };
        let path = folder.text("");
        let found: Vec<String> =
            remarks(&table.readings).iter().map(|r| r.replace(&path, "")).collect();
        assert_eq!(found, said);
        let text = table.readings[0].text.as_ref().unwrap();
        let accounted = 2 + text.header_lines + text.comment_lines + text.blank_lines;
        assert_eq!(text.lines, accounted, "{name}");
    }
}

#[test]
fn names_are_found_where_they_stand() {
    let folder = Folder::new();
    let names = [
        ("savetxt.txt", "# ax ay\n1 2\n3 4.5\n", ["ax", "ay"]),
        ("numbers.csv", ",0,1,2\n0,1.5,2.5,3.5\n1,2.5,3.5,4.5\n", ["", "0"]),
        ("nan.csv", "nan,-nan(ind)\n1,2\n3,4\n", ["column 0", "column 1"]),
        ("failed.csv", "failed,--\n1,2\n3,4\n", ["column 0", "column 1"]),
        ("mixed.csv", "0.5,oops\n1.5,2.5\n3.5,4.5\n", ["column 0", "column 1"]),
        ("sodium.csv", "NA,k\n1,2\n3,4\n", ["NA", "k"]),
        ("error.csv", "#DIV/0!,2.5\n1,2\n3,4\n", ["column 0", "column 1"]),
        ("latin1.csv", "a µs,b Å\n1,2\n", ["a µs", "b Å"]),
        (
            "touching.dat",
            "-12.81-14.94 -6.63\n -2.05 -3.05 -6.63\n -2.05 -3.05 -6.63\n -2.05 -3.05 -6.63\n",
            ["column 0", "column 1"],
        ),
        ("percent.csv", "1.5%,2.5%\n1,2\n3,4\n", ["column 0", "column 1"]),
        ("escaped.csv", "\"p \"\"x\"\"\",\"p,y\"\n1.5,2.5\n3.5,4.5\n", ["p \"x\"", "p,y"]),
        ("years.csv", "2019,2020\n1,2\n3,4\n", ["column 0", "column 1"]),
    ];
    for (name, content, expected) in names {
        let bytes: Vec<u8> = match name {
            "latin1.csv" => content.chars().map(|c| c as u8).collect(),
            _ => content.into(),
        };
        let found = column_names(&folder.write(name, bytes)).unwrap();
        assert_eq!(found[..2], expected, "{name}");
    }
}

#[test]
fn a_first_row_that_failed_is_row_zero() {
    let folder = Folder::new();
    for first in [
        "nan,nan",
        "-nan(ind),-nan(ind)",
        "NA,N/A",
        "null,#N/A",
        "1.#QNAN,-1.#IND",
        ",",
        "failed,failed",
        "inf,1",
    ] {
        let source = folder.write("t.csv", format!("{first}\n1.5,2.5\n3.5,4.5\n"));
        let table =
            load(&Source { drop_invalid: true, ..source.clone() }, &by_index(&[0, 1])).unwrap();
        assert_eq!(table.dropped.numbers, [0], "{first}");
        assert_eq!(table.dropped.kept(table.rows()), [1, 2], "{first}");
        let error = load(&source, &by_index(&[0, 1])).unwrap_err().to_string();
        assert!(error.contains("row 1 (line 1)"), "{error}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_until_it_is_said() {
    let folder = Folder::new();
    for text in [
        "0,1,2\n3,4,5\n6,7,8\n",
        "10,20\n1.5,2.5\n2.5,3.5\n",
        "oops,oops\n1.5,2.5\n2.5,3.5\n",
        "a,7\n1.5,2.5\n2.5,3.5\n",
        "0.0,1.0\n1.50,2.50\n2.50,3.50\n3.50,4.50\n",
    ] {
        let source = folder.write("t.csv", text);
        let error = load(&source, &by_index(&[0])).unwrap_err().to_string();
        assert!(
            error.contains(
                "may be names of columns or the first row\nhint: say which with `header = "
            ),
            "{error}"
        );
        let read = |header| {
            let source = Source { header, drop_invalid: true, ..source.clone() };
            load(&source, &by_index(&[1])).unwrap().dropped.of
        };
        let lines = text.lines().count() as u64;
        assert_eq!((read(Header::Yes), read(Header::No)), (lines - 1, lines));
    }
    for text in ["1,234;2,345\n3,456;4,567\n", "1,288185,1,449446\n0,031335,-1,022103\n"] {
        let error = load(&folder.write("t.csv", text), &by_index(&[0])).unwrap_err().to_string();
        assert!(
            error.contains("the commas may be decimal commas or not\nhint: say `decimal = "),
            "{error}"
        );
    }
    let source =
        Source { decimal: Decimal::Comma, ..folder.write("t.csv", "1,234;2,345\n3,456;4,567\n") };
    assert_eq!(load(&source, &by_index(&[0])).unwrap().y, array![[1.234], [3.456]]);
    let text = "a;b\n1.234,5;2\n";
    let error = load(&folder.write("t.csv", text), &by_index(&[0])).unwrap_err().to_string();
    assert!(error.contains("`1.234,5` is not a number"), "{error}");
}

/// The blocks of Polars drop a cell too many without a word.
#[test]
fn a_cell_too_many_is_refused_whichever_columns_are_wanted() {
    let folder = Folder::new();
    let rows = [
        ("3,14,1,2", 4),
        ("1,234,0.5,0.5", 4),
        ("1,2", 2),
        ("1,2,3,", 4),
        ("1,2,3,,", 5),
        ("1,\"2", 0),
    ];
    for (row, found) in rows {
        for wanted in [vec![0], vec![1], vec![2], vec![0, 1, 2]] {
            for (before, after) in [(1, 1), (1, 0), (40, 40)] {
                let text = [
                    "a,b,c\n",
                    &"1.5,2.5,3.5\n".repeat(before),
                    row,
                    "\n",
                    &"4,5,6\n".repeat(after),
                ]
                .concat();
                let source = folder.write("t.csv", text);
                let error = load(&source, &by_index(&wanted)).unwrap_err().to_string();
                let place = format!("row {} (line {}): ", before + 1, before + 2);
                let cause = match found {
                    0 => "a quoted cell does not end on its line".to_owned(),
                    _ => format!("{found} cells where 3 are expected"),
                };
                assert!(error.contains(&format!("{place}{cause}")), "{error}");
            }
        }
    }
    // One cell too many and one too few are as many separators as two full rows.
    let source = folder.write("t.csv", "a,b,c\n1,2,3\n1,2,3,4\n1,2\n");
    assert!(load(&source, &by_index(&[0])).unwrap_err().to_string().contains("row 2 (line 3)"));
    let source = folder.write("t.csv", "a,b\n1,5,2,5\n2,5,3,5\n");
    let error = load(&source, &by_index(&[0])).unwrap_err().to_string();
    assert!(
        error.contains("the header has 2 names but the rows from line 2 on have 4 cells"),
        "{error}"
    );
    for text in
        ["a b c\n1 2 3\n1 2 3 4\n", "a\tb\tc\n1\t2\t3\n1\t2\t3\t4\n", "1;2;3\n1;2;3;4\n4;5;6\n"]
    {
        let error = load(&folder.write("t.dat", text), &by_index(&[0])).unwrap_err().to_string();
        assert!(error.contains("row 2 (line ") && error.contains("4 cells"), "{error}");
    }
}

#[test]
fn what_is_no_table_is_refused_by_name() {
    let folder = Folder::new();
    let cases: Vec<(&[u8], &str)> = vec![
        (b"PK\x03\x04....", "ZIP (also .xlsx"),
        (b"\x28\xb5\x2f\xfd....", "Zstandard"),
        (b"BZh91AY", "bzip2"),
        (b"\x89HDF\r\n\x1a\n..", "HDF5"),
        (b"root\x00\x00\xf2", "ROOT"),
        (b"PAR1....", "Parquet"),
        (b"\x93NUMPY\x01", "NumPy"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "AppleDouble"),
        (b"1,2\n3,\x004\n", "binary data"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"[{\"px\":1.5,\"py\":2.5}]", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ];
    for (content, format) in cases {
        let error = load(&folder.write("t.csv", content), &by_index(&[0])).unwrap_err().to_string();
        assert!(error.contains(&format!("`{}` holds {format}", folder.text("t.csv"))), "{error}");
    }
    let packed = gzip(b"a,b\n1,2\n3,4\n");
    let cut = folder.write("cut.csv.gz", &packed[..packed.len() - 9]);
    assert!(load(&cut, &by_index(&[0])).unwrap_err().to_string().contains("cannot be read"));
    let error =
        load(&folder.write("t.csv", "# a\n# b\n"), &by_index(&[0])).unwrap_err().to_string();
    assert!(error.contains("has no rows: every line begins with `#`"), "{error}");
    let error = load(&folder.write("t.csv", vec![b'1'; 40 << 20]), &by_index(&[0]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 1: it is longer than 16 MiB"), "{error}");
    let error = load(&folder.write("t.csv", "1,".repeat(200_000)), &by_index(&[0]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("columns, which is no table of events"), "{error}");
    let error =
        load(&folder.write("t.csv", "sep=|\na|b\n1|2\n"), &by_index(&[0])).unwrap_err().to_string();
    assert!(error.contains("says `sep=|`"), "{error}");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_waited_for() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.csv")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.parquet")).unwrap();
    for name in ["zero.csv", "zero.parquet"] {
        let error =
            load(&Source::file(folder.text(name)), &by_index(&[0])).unwrap_err().to_string();
        assert!(error.contains("is a pipe or a device"), "{error}");
    }
}

#[test]
fn limits_hold_after_conversion() {
    let folder = Folder::new();
    let si = Selection { y_unit: MomentumUnit::Si, ..select(&[], &["p"]) };
    // 1 a.u. of momentum is 1.99e-24 kg m/s: 1e10 kg m/s is 5e33 a.u.
    let error = load(&folder.write("t.csv", "p\n1e-22\n1e10\n"), &si).unwrap_err().to_string();
    assert!(error.contains("row 2 (line 3), column `p`: `1e10` is beyond"), "{error}");
    assert!(error.contains("which is 1e30 in atomic units"), "{error}");
    let table = load(&folder.write("t.csv", "p\n1e-22\n1e5\n"), &si).unwrap();
    assert!((table.y[[0, 0]] - 50.179).abs() < 1e-3, "{}", table.y[[0, 0]]);
}

#[test]
fn integers_are_exact_or_refused() {
    let folder = Folder::new();
    let read = |text: &str| load(&folder.write("t.csv", text), &select(&[], &["n"]));
    assert_eq!(
        read("n\n9007199254740992\n-9007199254740994\n").unwrap().y[[1, 0]],
        -9_007_199_254_740_994.0
    );
    let error = read("n\n1\n9007199254740993\n").unwrap_err().to_string();
    assert!(
        error.contains("row 2 (line 3), column `n`: `9007199254740993` is an integer beyond 2^53"),
        "{error}"
    );
}

#[test]
fn a_source_as_it_was_read_reads_the_next_file_alike() {
    let folder = Folder::new();
    let first = folder.write("a.csv", "% x;y\n1,5;2,5\n3,5;4,5\n");
    let table = load(&first, &by_index(&[0, 1])).unwrap();
    let source = first.as_read(&table.readings);
    assert_eq!(
        (source.header, source.separator, source.decimal, source.comment.clone()),
        (Header::Commented, Separator::Semicolon, Decimal::Comma, Comment::Sign("%".to_owned()))
    );
    // Alone it would be refused: thousands or decimals.
    folder.write("b.csv", "% x;y\n1,234;2,345\n");
    let next = Source { files: vec![folder.text("b.csv")], ..source };
    assert_eq!(load(&next, &by_index(&[0, 1])).unwrap().y, array![[1.234, 2.345]]);

    let text = toml::to_string(&next).unwrap();
    assert_eq!(toml::from_str::<Source>(&text).unwrap(), next);
    assert!(!toml::to_string(&Source::default()).unwrap().contains("comment"));
    // `header = "yes"` for a file of numpy does not cost its first row.
    let file = folder.write("n.txt", "# x y\n1.5 2.5\n3.5 4.5\n");
    let table = load(&Source { header: Header::Yes, ..file }, &select(&[], &["x", "y"])).unwrap();
    assert_eq!(table.y, array![[1.5, 2.5], [3.5, 4.5]]);
}

#[test]
fn globs_leave_hidden_files_out() {
    let folder = Folder::new();
    folder.write("run.csv", "p\n1\n");
    folder.write("._run.csv", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X");
    folder.write(".run_autosave.csv", "p\n1\n");
    for glob in ["*.csv", "*run*"] {
        let table = load(&Source::file(folder.text(glob)), &select(&[], &["p"])).unwrap();
        assert_eq!(table.files, [folder.path("run.csv")]);
    }
}

#[test]
fn files_without_names_need_equally_many_columns() {
    let folder = Folder::new();
    folder.write("a.csv", "1.5,2.5\n");
    folder.write("b.csv", "1.5,2.5,3.5\n");
    let source = Source { files: vec![folder.text("[ab].csv")], ..Source::default() };
    let error = load(&source, &by_index(&[0])).unwrap_err().to_string();
    assert!(error.contains("has 3 columns but"), "{error}");
}

#[test]
fn inspect_says_how_it_read() {
    let folder = Folder::new();
    let source = folder.write("t.txt", "# px py pz\n1 2 3.5\n4 5 6.5\n");
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!((found.rows, found.columns[0].name.as_str()), (2, "px"));
    assert_eq!(remarks(&found.readings).len(), 1);
}

/// Each frame has O at 1.16 and S at -1.56 angstrom on the x axis.
#[test]
fn positions_of_xyz_are_where_the_comment_says() {
    let plain = "3\n\nC 0 0 0\nO 1.16 0 0\nS -1.56 0 0\n";
    let cases: Vec<(&str, Vec<u8>, usize)> = vec![
        ("blank comment", plain.into(), 0),
        ("mark", format!("\u{feff}{plain}").into(), 0),
        ("cr", plain.replace('\n', "\r").into(), 0),
        ("crlf", plain.replace('\n', "\r\n").into(), 0),
        ("utf16", utf16(plain, true, true), 0),
        ("gzip", gzip(plain.as_bytes()), 0),
        ("latin1", b"3\n\xc5ngstr\xf6m\nC 0 0 0\nO 1.16 0 0\nS -1.56 0 0\n".into(), 0),
        ("fortran", plain.replace("1.16", "0.116D+01").replace("1.56", ".156d1").into(), 0),
        ("labels", plain.replace("O ", "O1 ").replace("S ", "s_3 ").into(), 0),
        ("velocities behind", plain.replace(" 0 0\n", " 0 0 9 8 7\n").into(), 1),
        ("order", b"3\nLattice=\"9 0 0 0 9 0 0 0 9\" Properties=species:S:1:velo:R:3:pos:R:3 pbc=\"F F F\"\nC 1 2 3 0 0 0\nO 4 5 6 1.16 0 0\nS 7 8 9 -1.56 0 0\n".into(), 1),
        ("species last", b"3\nproperties=\"id:I:1:pos:R:3:species:S:1\"\n1 0 0 0 C\n2 1.16 0 0 O\n3 -1.56 0 0 S\n".into(), 0),
        ("frames differ in order", b"3\nProperties=species:S:1:pos:R:3:forces:R:3\nC 0 0 0 1 1 1\nO 1.16 0 0 1 1 1\nS -1.56 0 0 1 1 1\n\n\n3\nProperties=pos:R:3:species:S:1\n0 0 0 C\n1.16 0 0 O\n-1.56 0 0 S\n".into(), 0),
    ];
    let angstrom = 1.889_726_124_6;
    for (name, content, remarks) in cases {
        let folder = Folder::new();
        folder.write("t.xyz", content);
        let loaded = load_positions(
            &Source::file(folder.text("t.xyz")),
            &ocs(),
            &PositionUnit::Bohr,
            &MotionOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{name}: {error}"));
        for row in loaded.positions.rows() {
            assert!(
                (row[3] - 1.16 * angstrom).abs() < 1e-9 && (row[6] + 1.56 * angstrom).abs() < 1e-9,
                "{name}: {row}"
            );
            assert_eq!([row[0], row[4], row[5], row[7]], [0.0; 4], "{name}");
        }
        assert_eq!(loaded.remarks.len(), remarks, "{name}: {:?}", loaded.remarks);
    }
}

#[test]
fn xyz_that_says_something_else_is_refused() {
    let folder = Folder::new();
    let cases = [
        ("99999999999999\n\nC 0 0 0\n", "after 1 of 99999999999999 atoms"),
        ("18446744073709551616\n\nC 0 0 0\n", "is not a number of atoms"),
        ("-3\n\nC 0 0 0\n", "`-3` is not a number of atoms"),
        (
            "1\nProperties=species:S:1:velo:R:3\nC 0 0 0\n",
            "does not say where element and position stand",
        ),
        ("1\nProperties=species:S:1:pos:R\nC 0 0 0\n", "does not say where"),
        (
            "1\nProperties=species:S:1:pos:R:3:q:R:1\nC 0 0 0\n",
            "4 cells where `Properties` declares 5",
        ),
        ("1\n\nC 0 0 1e31\n", "is not `element x y z` with finite numbers"),
        ("1\n\nC 0 0 *****\n", "is not `element x y z` with finite numbers"),
        ("1\n\nC 0 0 0\nrubbish\n", "frame 2, line 4: `rubbish` is not a number of atoms"),
        ("1\n\nC 0 0 0\n1\n\nN 0 0 0\n", "the atoms are N but the first frame has C"),
        ("1\n", "the file ends at line 1, after 0 of 1 atoms"),
        ("PK\u{3}\u{4}", "holds ZIP"),
    ];
    for (content, expected) in cases {
        folder.write("t.xyz", content);
        let error = read_xyz(&folder.path("t.xyz"), false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// `tests/files/types.parquet` was written by pyarrow: two rows of every type, and pandas' note that `run` and
/// `__index_level_0__` are its index.
#[test]
fn parquet_of_others_is_read_or_refused_by_type() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/types.parquet");
    let source = Source::file(file);
    let table = load(&source, &select(&["single", "byte"], &["p", "text"])).unwrap();
    assert_eq!(table.x, array![[0.5, 1.0], [0.25, -2.0]]);
    assert_eq!(table.y, array![[1.5, 1.5], [-2.5, 2.5]]);
    let types = [
        ("decimal", "decimal"),
        ("time", "timestamp"),
        ("day", "timestamp"),
        ("span", "time"),
        ("struct", "struct"),
        ("list", "list"),
        ("half", "half-precision float"),
        ("category", "dictionary (categorical)"),
        ("binary", "binary"),
        ("flag", "boolean"),
    ];
    for (name, kind) in types {
        let error = load(&source, &select(&[], &[name])).unwrap_err().to_string();
        assert!(
            error.contains(&format!("column `{name}` is of type {kind}, which is not read")),
            "{error}"
        );
    }
    let error = load(&source, &select(&[], &["event"])).unwrap_err().to_string();
    assert!(
        error.contains("row 1, column `event`: `9007199254740993` is an integer beyond 2^53"),
        "{error}"
    );
    let error = load(&source, &select(&[], &["null"])).unwrap_err().to_string();
    assert!(error.contains("row 1, column `null`: the cell is empty"), "{error}");
    // The index can be asked for, but is not offered.
    assert_eq!(load(&source, &select(&[], &["run"])).unwrap().y, array![[5.0], [6.0]]);
    let names = column_names(&source).unwrap();
    assert!(names.contains(&"p".to_owned()) && !names.contains(&"run".to_owned()), "{names:?}");
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    let columns: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["p", "single", "byte", "event", "text", "null"]);
    let said = remarks(&found.readings).concat();
    assert!(
        said.contains("index of pandas: `run`, `__index_level_0__`; not read: `decimal (decimal)`"),
        "{said}"
    );
}

#[test]
fn hydrogen_has_one_name_in_every_spelling() {
    use cei_physics::{AtomSpec, Molecule};
    let folder = Folder::new();
    let molecule = |element: &str| {
        Molecule::new(vec![AtomSpec::new("O", 1.0), AtomSpec::new(element, 1.0)]).unwrap()
    };
    let fits = |element: &str, found: &str| {
        folder.write("t.xyz", format!("2\n\nO 0 0 0\n{found} 1 0 0\n"));
        load_positions(
            &Source::file(folder.text("t.xyz")),
            &molecule(element),
            &PositionUnit::Bohr,
            &MotionOptions::default(),
        )
        .is_ok()
    };
    for (element, spellings) in [
        ("H", ["H", "1H", "H1", "1"]),
        ("D", ["D", "2H", "H", "1"]),
        ("2H", ["d", "2H", "D_1", "1"]),
    ] {
        for found in spellings {
            assert!(fits(element, found), "{element} {found}");
        }
    }
    assert!(!fits("H", "D") && !fits("H", "2H") && !fits("D", "T") && !fits("H", "He"));
    // A number alone is that of the element.
    assert!(fits("Br", "35") && !fits("H", "2") && !fits("H", "0") && !fits("H", "93"));
}

#[test]
fn like_atoms_may_be_numbered_in_any_way_that_keeps_their_order() {
    use cei_physics::{AtomSpec, Molecule};
    let folder = Folder::new();
    let atoms = ["C", "O", "O"].map(|element| AtomSpec::new(element, 1.0));
    let molecule = Molecule::new(atoms.to_vec()).unwrap();
    assert_eq!(molecule.labels(), ["C", "O1", "O2"]);
    let fits = |[a, b, c]: [&str; 3]| {
        folder.write("t.xyz", format!("3\n\n{a} 0 0 0\n{b} 1 0 0\n{c} 2 0 0\n"));
        load_positions(
            &Source::file(folder.text("t.xyz")),
            &molecule,
            &PositionUnit::Bohr,
            &MotionOptions::default(),
        )
        .is_ok()
    };
    for names in [["C", "O", "O"], ["C", "O1", "O2"], ["C1", "O2", "O3"], ["C", "O_1", "o_2"]] {
        assert!(fits(names), "{names:?}");
    }
    for names in [["C", "O2", "O1"], ["O1", "C", "O2"], ["C", "O1", "O1"]] {
        assert!(!fits(names), "{names:?}");
    }
}

/// Whatever the parser of a block takes for a number, the rule is that of one cell.
#[test]
fn what_is_no_number_is_never_read_as_one() {
    let folder = Folder::new();
    let cells = [
        "1e",
        "e5",
        "1e+",
        "--5",
        "+-5",
        "1..5",
        "1.5.",
        "5 6",
        "0x1A",
        "1_000",
        "\u{663}",
        "\u{bd}",
        "1e5e5",
        "1f",
        "1.5f32",
        "0b1",
        "1'0",
        ".",
        "+",
        "-",
        "5-",
        "1e5.0",
        "1 .5",
        "true",
        "$5",
        "5\u{b0}",
        "\u{ff15}",
        "1e1000000000000",
        "1\u{0}",
    ];
    for cell in cells {
        let source = folder.write("t.csv", format!("p,q\n1.5,2.5\n{cell},2.5\n3.5,4.5\n"));
        let error = load(&source, &by_index(&[0])).map(|table| table.y).unwrap_err().to_string();
        assert!(
            error.contains("row 2 (line 3)") || error.contains("zero bytes"),
            "{cell}: {error}"
        );
        assert_eq!(
            load(&source, &by_index(&[1])).map(|table| table.rows()).unwrap_or(3),
            3,
            "{cell}"
        );
    }
}
