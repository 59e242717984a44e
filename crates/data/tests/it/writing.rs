//! Written tables read back bit for bit, and appear only when complete.

use cei_data::{
    ColumnData, ColumnType, MotionOptions, PositionUnit, Source, TableWriter, load, load_positions,
    write_table,
};

use polars::prelude::{
    CompatLevel, DataType, Field, ParquetReader, Schema, SchemaExt as _, SerReader as _,
};
use polars_parquet::write::schema_to_metadata_key;

use crate::{Folder, ocs, select};

#[test]
fn both_formats_round_trip_bit_for_bit() {
    let folder = Folder::new();
    let values = vec![0.1, -1.0 / 3.0, 1e-300, 6.02e23, f64::MIN_POSITIVE, -0.0];
    for name in ["t.csv", "t.parquet"] {
        let columns = vec![
            ("x".to_owned(), ColumnData::F64(values.clone())),
            ("p".to_owned(), ColumnData::U64((0..6).collect())),
        ];
        write_table(&folder.path(name), columns).unwrap();
        let table = load(&Source::file(folder.text(name)), &select(&["x"], &["p"])).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(table.x.as_slice().unwrap()), bits(&values), "{name}");
        assert_eq!(table.y.as_slice().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
    assert_eq!(folder.names(), ["t.csv", "t.parquet"]);
}

#[test]
fn draws_are_appended_in_batches() {
    let folder = Folder::new();
    let columns = [
        ("event", ColumnType::U64),
        ("draw", ColumnType::U32),
        ("cx", ColumnType::F64),
        ("cy", ColumnType::F64),
    ]
    .map(|(name, kind)| (name.to_owned(), kind));
    for name in ["draws.csv", "draws.parquet"] {
        let path = folder.path(name);
        let mut writer = TableWriter::create(&path, &columns).unwrap();
        for event in 0..3_u64 {
            let batch = vec![
                ColumnData::U64(vec![event; 2]),
                ColumnData::U32(vec![0, 1]),
                ColumnData::F64(vec![0.5 * event as f64, 1.5]),
                ColumnData::F64(vec![0.1, event as f64]),
            ];
            writer.write(batch).unwrap();
        }
        assert!(!path.exists(), "{name} appeared before it was complete");
        writer.finish().unwrap();
        let table =
            load(&Source::file(folder.text(name)), &select(&["cx", "cy"], &["event", "draw"]))
                .unwrap();
        assert_eq!(table.x.column(0).to_vec(), [0.0, 1.5, 0.5, 1.5, 1.0, 1.5]);
        assert_eq!(table.x.column(1).to_vec(), [0.1, 0.0, 0.1, 1.0, 0.1, 2.0]);
        assert_eq!(table.y.column(0).to_vec(), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(table.y.column(1).to_vec(), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    }
}

/// What a file says of its row groups stays in memory until it is complete.
#[test]
fn small_batches_become_large_row_groups() {
    let folder = Folder::new();
    let path = folder.path("t.parquet");
    let mut writer = TableWriter::create(&path, &[("x".to_owned(), ColumnType::F64)]).unwrap();
    let rows = 400_000;
    for start in (0..rows).step_by(1000) {
        let batch = (start..start + 1000).map(f64::from).collect();
        writer.write(vec![ColumnData::F64(batch)]).unwrap();
    }
    writer.finish().unwrap();
    let mut reader = ParquetReader::new(std::fs::File::open(&path).unwrap());
    assert_eq!(reader.get_metadata().unwrap().row_groups.len(), 2);
    let table = reader.finish().unwrap();
    let read: Vec<f64> = table.column("x").unwrap().f64().unwrap().into_no_null_iter().collect();
    assert_eq!(read, (0..rows).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn the_csv_has_a_plain_header() {
    let folder = Folder::new();
    let columns = vec![
        ("a".to_owned(), ColumnData::F64(vec![0.5])),
        ("b".to_owned(), ColumnData::U32(vec![3])),
    ];
    write_table(&folder.path("t.csv"), columns).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path("t.csv")).unwrap(), "a,b\n0.5,3\n");
}

/// What is not known is nothing, and no number: it does not count in a mean, and it is not larger than all.
/// Infinities are numbers.
#[test]
fn nan_is_written_as_nothing_and_infinities_as_themselves() {
    let folder = Folder::new();
    let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5];
    let columns = || {
        vec![
            ("k".to_owned(), ColumnData::F64(values.clone())),
            ("b".to_owned(), ColumnData::U32(vec![1, 2, 3, 4])),
        ]
    };
    write_table(&folder.path("t.csv"), columns()).unwrap();
    let text = std::fs::read_to_string(folder.path("t.csv")).unwrap();
    assert_eq!(text, "k,b\n,1\ninf,2\n-inf,3\n0.5,4\n");
    write_table(&folder.path("t.parquet"), columns()).unwrap();
    let file = std::fs::File::open(folder.path("t.parquet")).unwrap();
    let frame = ParquetReader::new(file).finish().unwrap();
    let k: Vec<Option<f64>> = frame.column("k").unwrap().f64().unwrap().iter().collect();
    assert_eq!(k, [None, Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(0.5)]);
}

/// The Arrow schema that a file declares has no view types: other readers cannot filter them, or not open them.
#[test]
fn text_is_declared_as_plain_text() {
    let folder = Folder::new();
    let text = vec![Some("distance".to_owned()), None];
    let columns = vec![
        ("event".to_owned(), ColumnData::U64(vec![0, 1])),
        ("outside".to_owned(), ColumnData::Text(text)),
    ];
    write_table(&folder.path("t.parquet"), columns).unwrap();
    let file = std::fs::File::open(folder.path("t.parquet")).unwrap();
    let mut reader = ParquetReader::new(file);
    let declared = reader.get_metadata().unwrap().key_value_metadata.clone().unwrap();
    let fields = [("event", DataType::UInt64), ("outside", DataType::String)];
    let schema: Schema =
        fields.into_iter().map(|(name, kind)| Field::new(name.into(), kind)).collect();
    let [plain, view] = [CompatLevel::oldest(), CompatLevel::newest()]
        .map(|level| schema_to_metadata_key(&schema.to_arrow(level)));
    assert!(declared.contains(&plain) && !declared.contains(&view), "{declared:?}");
}

#[test]
fn unfinished_and_wrong_tables_leave_nothing_behind() {
    let folder = Folder::new();
    let columns = [("a".to_owned(), ColumnType::F64), ("b".to_owned(), ColumnType::U32)];
    let mut writer = TableWriter::create(&folder.path("t.parquet"), &columns).unwrap();
    let narrow = writer.write(vec![ColumnData::F64(vec![1.0])]).unwrap_err().to_string();
    assert!(narrow.ends_with("`: a batch has 1 columns but the table has 2"), "{narrow}");
    let wrong = writer
        .write(vec![ColumnData::F64(vec![1.0]), ColumnData::F64(vec![1.0])])
        .unwrap_err()
        .to_string();
    assert!(wrong.ends_with("`: column `b` was declared U32 but the batch holds F64"), "{wrong}");
    assert!(writer.write(vec![ColumnData::F64(vec![1.0]), ColumnData::U32(vec![1, 2])]).is_err());
    drop(writer);
    assert_eq!(folder.names(), [] as [&str; 0]);

    let unknown = write_table(&folder.path("t.xls"), Vec::new()).unwrap_err().to_string();
    assert!(
        unknown.ends_with("t.xls`: unknown file type\nhint: use .csv, .tsv or .parquet"),
        "{unknown}"
    );
    let nowhere = write_table(&folder.path("no/t.csv"), Vec::new()).unwrap_err().to_string();
    assert!(nowhere.contains("no/t.csv` cannot be written: "), "{nowhere}");
}

#[test]
fn positions_come_from_xyz_and_from_columns() {
    let folder = Folder::new();
    let angstrom = 1.889_726_124_6;
    folder.write(
        "t.xyz",
        "3\n first\nC 0 0 0\nO 1 0.5 0 extra\nS -1.5 0 2e-1\n\n3\nsecond\n C 1 0 0\nO 0 0 0\nS 0 0 -1\n",
    );
    let xyz = load_positions(
        &Source::file(folder.text("t.xyz")),
        &ocs(),
        &PositionUnit::Bohr,
        &MotionOptions::default(),
    )
    .unwrap();
    let expected = [
        [0.0, 0.0, 0.0, 1.0, 0.5, 0.0, -1.5, 0.0, 0.2],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0],
    ];
    assert_eq!(xyz.positions.dim(), (2, 9));
    for (row, expected) in xyz.positions.rows().into_iter().zip(expected) {
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b * angstrom).abs() < 1e-9), "{row}");
    }
    folder.write("t.csv", "sx,sy,sz,ox,oy,oz,cx,cy,cz\n7,8,9,4,5,6,1,2,3\n");
    let columns = load_positions(
        &Source::file(folder.text("t.csv")),
        &ocs(),
        &PositionUnit::Angstrom,
        &MotionOptions::default(),
    )
    .unwrap();
    for (column, value) in columns.positions.iter().enumerate() {
        assert!((value - (column + 1) as f64 * angstrom).abs() < 1e-8, "{value}");
    }
}
