//! Time and peak memory of loading a table of 9 positions and 9 momenta.
//!
//! `cargo run --release -p cei-data --example load_time -- make FILE.{csv,parquet} [ROWS]`, then the same
//! with `load FILE`.

#![allow(clippy::print_stdout, reason = "an example reports to its user")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cei_data::{
    ColumnData, ColumnRef, ColumnType, Preprocessing, PreprocessingConfig, Selection, Source,
    Split, SplitConfig, TableWriter, load,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", file] => make(Path::new(file), 1_000_000),
        ["make", file, rows] => make(Path::new(file), rows.parse()?),
        ["load", file] => time(file),
        _ => Err("usage: load_time make FILE [ROWS] | load_time load FILE".into()),
    }
}

fn make(file: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let columns: Vec<(String, ColumnType)> =
        (0..18).map(|column| (format!("c{column}"), ColumnType::F64)).collect();
    let mut writer = TableWriter::create(file, &columns)?;
    for start in (0..rows).step_by(1 << 17) {
        let rows = start..rows.min(start + (1 << 17));
        let value =
            |row: usize, column: usize| ((row * 31 + column * 17) as f64 * 0.618).sin() * 100.0;
        let batch = (0..18)
            .map(|column| ColumnData::F64(rows.clone().map(|row| value(row, column)).collect()))
            .collect();
        writer.write(batch)?;
    }
    Ok(writer.finish()?)
}

fn time(file: &str) -> Result<(), Box<dyn Error>> {
    let columns: Vec<ColumnRef> = (0..18_usize).map(ColumnRef::from).collect();
    let selection =
        Selection { x: columns[..9].to_vec(), y: columns[9..].to_vec(), ..Selection::default() };
    let start = Instant::now();
    let table = load(&Source::file(file), &selection)?;
    println!("load {} rows: {:.2} s, peak {}", table.rows(), start.elapsed().as_secs_f64(), peak());

    let start = Instant::now();
    let split = Split::new(table.rows(), &SplitConfig::default())?;
    let fitted = Preprocessing::fit(&PreprocessingConfig::default(), None, &table, &split.train)?;
    println!("split and fit: {:.2} s, peak {}", start.elapsed().as_secs_f64(), peak());

    let start = Instant::now();
    let x = fitted.encode_x(table.x.view(), table.y.view());
    let y = fitted.encode_y(table.y.view());
    println!(
        "encode {:?} and {:?}: {:.2} s, peak {}",
        x.dim(),
        y.dim(),
        start.elapsed().as_secs_f64(),
        peak()
    );
    Ok(())
}

/// The process's peak resident memory as the kernel tells it, where it does.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
