//! Loading: the chosen columns of all files of a source, checked and in internal units.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cei_physics::Molecule;
use ndarray::{Array2, ArrayView2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alike::Alike;
use crate::block::{Block, Wanted};
use crate::columns::Columns;
use crate::error::{LARGEST, LoadError, Location, Reason};
use crate::missing::{MayMiss, is_incomplete};
use crate::number::limit;
use crate::reading::Reading;
use crate::source::{ColumnRef, Source};
use crate::split::Rows;
use crate::table_file::TableFile;
use crate::units::{MomentumUnit, PositionUnit};

/// Which columns of the files make a table, and their units.
///
/// ```toml
/// [columns]
/// y = ["pcx", "pcy", "pcz", "pox", "poy", "poz", "psx", "psy", "psz"]
/// x_unit = "angstrom"
/// y_unit = "1e-22 kg m/s"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// What is inferred: by default the positions of the molecule.
    ///
    /// Empty where only the condition is known.
    pub x: Vec<ColumnRef>,
    /// What it is conditioned on: by default the momenta of the molecule.
    pub y: Vec<ColumnRef>,
    /// What is inferred beside the positions of a molecule: numbers that its simulation draws for each event, such as
    /// `charging_tau_fs`. They stand behind the positions and are not converted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nuisances: Vec<ColumnRef>,
    /// Charges of the ions of each event, one column an atom of the molecule, where they differ between events: the model is
    /// conditioned on them too. Simulations with `channels` write `charge_c` and so on. They stand behind the momenta.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<ColumnRef>,
    /// Unit of the `x` columns.
    pub x_unit: PositionUnit,
    /// Unit of the `y` columns.
    pub y_unit: MomentumUnit,
    /// Of each ion, three columns of `y` each, whether it may be missing: not detected, its cells empty. None may where
    /// this is empty. It follows from `detector.efficiency`.
    #[serde(skip)]
    pub may_miss: Vec<bool>,
}

impl Selection {
    /// All columns that are inferred: positions, then nuisances.
    pub fn inferred(&self) -> impl Iterator<Item = &ColumnRef> {
        self.x.iter().chain(&self.nuisances)
    }

    /// All columns that the model is conditioned on: momenta, then charges.
    pub fn condition(&self) -> impl Iterator<Item = &ColumnRef> {
        self.y.iter().chain(&self.charges)
    }

    /// The same selection without what is inferred.
    #[must_use]
    pub fn of_condition(self) -> Self {
        Self { x: Vec::new(), nuisances: Vec::new(), ..self }
    }

    /// What a number of an inferred column is multiplied by on loading.
    #[must_use]
    pub fn x_factor(&self, column: usize) -> f64 {
        if column < self.x.len() { self.x_unit.factor() } else { 1.0 }
    }

    /// What a number of a column of the condition is multiplied by on loading.
    #[must_use]
    pub fn y_factor(&self, column: usize) -> f64 {
        if column < self.y.len() { self.y_unit.factor() } else { 1.0 }
    }
}

/// A loaded table: every value is finite and in internal units, but for momenta of ions that were not detected, which are NaN.
#[derive(Clone, Debug)]
pub struct Table {
    /// `rows x x columns`, nuisances last; no columns where only the condition was loaded.
    pub x: Array2<f64>,
    /// `rows x y columns`, charges last.
    pub y: Array2<f64>,
    /// Names of the x columns; `column 3` (0-based) in files without a header.
    pub x_names: Vec<String>,
    /// Names of the y columns.
    pub y_names: Vec<String>,
    /// How many of the x columns, the last ones, are nuisances.
    pub nuisances: usize,
    /// How many of the y columns, the last ones, are charges.
    pub charges: usize,
    /// Of each ion, three columns of `y` each, whether its momentum may be missing, NaN; empty where none may.
    pub may_miss: Vec<bool>,
    /// Which ions are alike and called by their momenta, which need not be the columns of the files.
    pub alike: Option<Alike>,
    /// The files, in row order.
    pub files: Vec<PathBuf>,
    /// How each file was read, in the same order.
    pub readings: Vec<Reading>,
    /// What `drop_invalid` left out.
    pub dropped: DroppedRows,
}

impl Table {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.y.nrows()
    }

    /// Where a row (from 0) came from, and its column; without a file for a table that has none.
    #[must_use]
    pub fn location(&self, row: usize, column: Option<&str>) -> Location {
        locate(&self.readings, self.dropped.number(row), column)
    }

    /// The momenta (rows x columns), without charges.
    #[must_use]
    pub fn momenta(&self) -> ArrayView2<'_, f64> {
        self.y.slice(s![.., ..self.y.ncols() - self.charges])
    }

    /// How many columns of `x`, and of `y`, the first ones, are the components of the atoms of a molecule: none of a side
    /// where that is not known.
    #[must_use]
    pub fn components(&self, molecule: Option<&Molecule>) -> [usize; 2] {
        let all = molecule.map_or(0, |molecule| 3 * molecule.atom_count());
        let widths = [self.x.ncols() - self.nuisances, self.y.ncols() - self.charges];
        widths.map(|columns| if columns == all { all } else { 0 })
    }

    /// Whether ions are missing in any row.
    #[must_use]
    pub fn has_missing_ions(&self) -> bool {
        self.momenta().rows().into_iter().any(is_incomplete)
    }

    /// Calls ions alike by their momenta from now on.
    pub fn order_alike(&mut self, alike: Alike) {
        alike.order(self.x.view_mut(), self.y.view_mut());
        self.alike = Some(alike);
    }

    /// Leaves out rows (rising), and keeps the numbers of the others; what they are left out for is not noted.
    pub(crate) fn leave_out(&mut self, rows: &[usize]) {
        if rows.is_empty() {
            return;
        }
        let kept: Vec<usize> =
            (0..self.rows()).filter(|row| rows.binary_search(row).is_err()).collect();
        self.dropped.leave_out(rows, self.rows());
        self.x = self.x.select(Axis(0), &kept);
        self.y = self.y.select(Axis(0), &kept);
    }

    /// The rows of one part of a split, as `(x, y)` copies.
    #[must_use]
    pub fn part(&self, part: &impl Rows) -> (Array2<f64>, Array2<f64>) {
        let rows = part.rows();
        (self.x.select(Axis(0), rows), self.y.select(Axis(0), rows))
    }
}

/// Where the row of this number, from 0 over all files, is.
pub(crate) fn locate(readings: &[Reading], number: u64, column: Option<&str>) -> Location {
    let column = column.map(str::to_owned);
    let mut left = number;
    for Reading { file, rows, .. } in readings {
        if left < *rows {
            return Location { file: file.clone(), row: left + 1, line: None, column };
        }
        left -= rows;
    }
    Location { file: "the table".into(), row: number + 1, line: None, column }
}

/// Rows that were left out because of invalid cells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DroppedRows {
    /// Rows left out.
    pub rows: u64,
    /// Rows read.
    pub of: u64,
    /// Invalid cells by reason and column; a row with two invalid cells counts in both.
    pub causes: Vec<DropCause>,
    /// Numbers of the rows left out, from 0 over all files, rising.
    #[serde(skip)]
    pub numbers: Vec<u64>,
}

impl DroppedRows {
    /// Counts rows (rising) of the `of` of the table as left out too.
    pub(crate) fn leave_out(&mut self, rows: &[usize], of: usize) {
        let numbers = self.kept(of);
        self.of = self.of.max(numbers.len() as u64);
        self.rows += rows.len() as u64;
        self.numbers.extend(rows.iter().map(|&row| numbers[row]));
        self.numbers.sort_unstable();
    }

    /// Number of the row that was kept as this one, from 0 over all files.
    #[must_use]
    pub fn number(&self, row: usize) -> u64 {
        // `numbers[i] - i` rows were kept before the one that is left out as the `i`-th.
        let mut before = 0..self.numbers.len();
        while !before.is_empty() {
            let middle = before.start + before.len() / 2;
            if self.numbers[middle] - middle as u64 <= row as u64 {
                before.start = middle + 1;
            } else {
                before.end = middle;
            }
        }
        row as u64 + before.start as u64
    }

    /// Numbers of the rows that were kept, from 0 over all files: row `i` of the table is row `[i]` there.
    #[must_use]
    pub fn kept(&self, rows: usize) -> Vec<u64> {
        let mut left_out = self.numbers.iter().peekable();
        (0..rows as u64 + self.rows)
            .filter(|number| left_out.next_if_eq(&number).is_none())
            .collect()
    }
}

/// One reason for which cells of one column were invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DropCause {
    /// What was wrong.
    pub reason: Reason,
    /// The column; absent when the row as a whole was wrong.
    pub column: Option<String>,
    /// How many cells or rows.
    pub count: u64,
}

impl fmt::Display for DroppedRows {
    /// One line such as ``dropped 2 of 10 rows: the cell is NaN in column `pcx` (1)``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropped {} of {} rows", self.rows, self.of)?;
        for (index, cause) in self.causes.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { ", " })?;
            write!(f, "{}", cause.reason)?;
            if let Some(column) = &cause.column {
                write!(f, " in column `{column}`")?;
            }
            write!(f, " ({})", cause.count)?;
        }
        Ok(())
    }
}

/// Loads the chosen columns of all files (`docs/spec.md#loading`). With an empty `x` the files need no x columns.
///
/// # Errors
/// See [`LoadError`]; with `drop_invalid`, invalid rows are counted in [`Table::dropped`] instead.
///
/// ```
/// use cei_data::{PositionUnit, Selection, Source, load};
///
/// let file = std::env::temp_dir().join(format!("cei-load-{}.csv", std::process::id()));
/// std::fs::write(&file, "r;p\n100;1.5\n200;2.5\n")?;
/// let selection = Selection {
///     x: vec!["r".into()],
///     y: vec!["p".into()],
///     x_unit: PositionUnit::Pm,
///     ..Selection::default()
/// };
/// let table = load(&Source::file(file.to_string_lossy()), &selection)?;
/// // 1 bohr is 52.9177 pm; momenta are in atomic units already.
/// assert!((table.x[[0, 0]] - 100.0 / 52.9177).abs() < 1e-5);
/// assert_eq!(table.y[[1, 0]], 2.5);
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load(source: &Source, selection: &Selection) -> Result<Table, LoadError> {
    load_scaled(source, selection, (selection.x_unit.factor(), selection.y_unit.factor()))
}

/// The same with these factors in the place of those of the units: what is beyond the limits of internal numbers after
/// the conversion is no measurement.
pub(crate) fn load_scaled(
    source: &Source,
    selection: &Selection,
    factors: (f64, f64),
) -> Result<Table, LoadError> {
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let head = each_part(source, selection, factors, &mut |rows_hint, part_x, part_y| {
        x.reserve(rows_hint * part_x.ncols());
        y.reserve(rows_hint * part_y.ncols());
        x.extend(part_x);
        y.extend(part_y);
        Ok(())
    })?;
    let (x_width, y_width) = (head.x.ncols(), head.y.ncols());
    let rows = y.len() / y_width;
    Ok(Table { x: matrix(rows, x_width, x), y: matrix(rows, y_width, y), ..head })
}

/// Takes a number of rows that will come at least, 0 where that was said, and some of them: what is inferred and the condition.
type TakePart<'a> = dyn FnMut(usize, Array2<f64>, Array2<f64>) -> Result<(), LoadError> + 'a;

/// Hands over the valid rows in parts, and gives the table without them.
pub(crate) fn each_part(
    source: &Source,
    selection: &Selection,
    factors: (f64, f64),
    take: &mut TakePart<'_>,
) -> Result<Table, LoadError> {
    if selection.y.is_empty() {
        return Err(LoadError::NoColumns);
    }
    let wanted: Vec<ColumnRef> =
        selection.inferred().chain(selection.condition()).cloned().collect();
    let x_width = selection.inferred().count();
    let y_width = selection.condition().count();
    let factors: Vec<f64> = [
        vec![factors.0; selection.x.len()],
        vec![1.0; selection.nuisances.len()],
        vec![factors.1; selection.y.len()],
        vec![1.0; selection.charges.len()],
    ]
    .concat();
    let (x_factors, y_factors) = factors.split_at(x_width);
    let limits: Vec<f64> = factors.iter().map(|factor| limit(*factor)).collect();
    let mut rows = 0;
    let mut dropped = DropCounter::default();
    let momenta: Vec<usize> = (x_width..x_width + selection.y.len()).collect();
    let may_miss = MayMiss::new(&momenta, &selection.may_miss);
    let Scanned { files, mut names, readings } =
        scan(source, Some(&wanted), &limits, &mut |mut part| {
            may_miss.resolve(&mut part.block);
            let block = &part.block;
            let valid = block.valid_rows();
            if source.drop_invalid {
                dropped.add(block, &valid, part.names);
            } else if let Some(first) = block.faults.first() {
                return Err(LoadError::Invalid {
                    at: Location {
                        file: part.file.to_path_buf(),
                        row: part.rows_before + first.row as u64 + 1,
                        line: first.line,
                        column: first.cell.map(|cell| part.names[cell].clone()),
                    },
                    fault: first.fault.clone(),
                });
            }
            let kept = valid.iter().filter(|valid| **valid).count();
            let (mut x, mut y) =
                (Vec::with_capacity(kept * x_width), Vec::with_capacity(kept * y_width));
            for (row, _) in
                block.values.chunks_exact(wanted.len()).zip(&valid).filter(|(_, valid)| **valid)
            {
                x.extend(
                    row[..x_width].iter().zip(x_factors).map(|(value, factor)| value * factor),
                );
                y.extend(
                    row[x_width..].iter().zip(y_factors).map(|(value, factor)| value * factor),
                );
            }
            rows += kept;
            let rows_hint = if part.rows_before == 0 { part.rows_hint } else { 0 };
            drop(part);
            take(rows_hint, matrix(kept, x_width, x), matrix(kept, y_width, y))
        })?;
    let dropped = dropped.finish();
    if rows == 0 {
        return Err(LoadError::AllDropped {
            files,
            rows: dropped.of,
            dropped: dropped.to_string(),
        });
    }
    let y_names = names.split_off(x_width);
    Ok(Table {
        x: Array2::zeros((0, x_width)),
        y: Array2::zeros((0, y_width)),
        x_names: names,
        y_names,
        nuisances: selection.nuisances.len(),
        charges: selection.charges.len(),
        may_miss: selection.may_miss.clone(),
        alike: None,
        files,
        readings,
        dropped,
    })
}

/// The names of all columns of a source but pandas' index, in file order; `column 3` (0-based) without a header.
///
/// # Errors
/// No file, or a first file that cannot be opened.
pub fn column_names(source: &Source) -> Result<Vec<String>, LoadError> {
    let files = source.resolve()?;
    let Some(first) = files.first() else { return Err(LoadError::NoFiles) };
    let file = TableFile::open(first.clone(), source)?;
    Ok(file.columns().data().map(|index| file.columns().label(index)).collect())
}

/// One block of one file, on its way through [`scan`].
pub(crate) struct Part<'a> {
    /// The file.
    pub(crate) file: &'a Path,
    /// Names of the selected columns.
    pub(crate) names: &'a [String],
    /// Rows of this file in earlier blocks.
    pub(crate) rows_before: u64,
    /// Rows of this file, estimated for text.
    pub(crate) rows_hint: usize,
    /// The rows.
    pub(crate) block: Block,
}

/// The files of a source and the names of the selected columns.
pub(crate) struct Scanned {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) names: Vec<String>,
    pub(crate) readings: Vec<Reading>,
}

/// Hands over the wanted columns (none: all) of all files in blocks, valid or not. `limits` are the largest
/// magnitudes of the wanted columns, in the file's unit; by default those of internal units.
pub(crate) fn scan(
    source: &Source,
    wanted: Option<&[ColumnRef]>,
    limits: &[f64],
    take: &mut dyn FnMut(Part<'_>) -> Result<(), LoadError>,
) -> Result<Scanned, LoadError> {
    let wanted_all = wanted.is_none();
    let files = source.resolve()?;
    let mut names: Vec<String> = Vec::new();
    let mut readings = Vec::new();
    let mut first_columns = None;
    for path in &files {
        let file = TableFile::open(path.clone(), source)?;
        let columns = file.columns();
        let selected = match wanted {
            Some(wanted) => select(path, columns, wanted)?,
            None => columns.data().filter(|&index| columns.unreadable(index).is_none()).collect(),
        };
        let labels: Vec<String> =
            selected.iter().map(|&index| file.columns().label(index)).collect();
        if names.is_empty() {
            names = labels;
        } else {
            check_same(path, &labels, &files[0], &names, &selected)?;
        }
        let first_columns = *first_columns.get_or_insert(columns.count);
        if columns.names.is_none() && columns.count != first_columns {
            let (file, first_file, columns) = (path.clone(), files[0].clone(), columns.count);
            return Err(LoadError::CountsDiffer { file, columns, first_file, first_columns });
        }
        let wanted: Vec<Wanted> = selected
            .iter()
            .enumerate()
            .map(|(place, &index)| Wanted {
                index,
                limit: limits.get(place).copied().unwrap_or(LARGEST),
            })
            .collect();
        let mut rows_before = 0;
        let text = file.read(&wanted, &mut |block| {
            let rows = block.rows as u64;
            let rows_hint = file.rows_hint();
            take(Part { file: path, names: &names, rows_before, rows_hint, block })?;
            rows_before += rows;
            Ok(())
        })?;
        if rows_before == 0 {
            return Err(LoadError::NoRows { file: path.clone() });
        }
        let left_aside = (0..columns.count).filter(|index| !selected.contains(index));
        let index_columns =
            left_aside.clone().filter(|&index| columns.index.get(index) == Some(&true));
        let skipped = left_aside.filter_map(|index| {
            Some(format!("{} ({})", columns.label(index), columns.unreadable(index)?))
        });
        readings.push(Reading {
            file: path.clone(),
            rows: rows_before,
            text,
            index_columns: index_columns.map(|index| columns.label(index)).collect(),
            skipped: if wanted_all { skipped.collect() } else { Vec::new() },
        });
    }
    Ok(Scanned { files, names, readings })
}

fn check_same(
    file: &Path,
    names: &[String],
    first_file: &Path,
    first_names: &[String],
    selected: &[usize],
) -> Result<(), LoadError> {
    let longest = names.len().max(first_names.len());
    let Some(at) = (0..longest).find(|&at| names.get(at) != first_names.get(at)) else {
        return Ok(());
    };
    let name = |names: &[String]| names.get(at).cloned().unwrap_or_else(|| "absent".to_owned());
    Err(LoadError::ColumnsDiffer {
        file: file.to_path_buf(),
        index: selected.get(at).copied().unwrap_or(at),
        name: name(names),
        first_file: first_file.to_path_buf(),
        first_name: name(first_names),
    })
}

/// The file's indices of the wanted columns, each at most once.
fn select(file: &Path, columns: &Columns, wanted: &[ColumnRef]) -> Result<Vec<usize>, LoadError> {
    let mut selected = Vec::with_capacity(wanted.len());
    for column in wanted {
        let index = columns.find(file, column)?;
        if selected.contains(&index) {
            return Err(LoadError::ChosenTwice {
                file: file.to_path_buf(),
                name: columns.label(index),
            });
        }
        if let Some(kind) = columns.unreadable(index) {
            return Err(LoadError::ColumnType {
                file: file.to_path_buf(),
                name: columns.label(index),
                kind: kind.to_owned(),
            });
        }
        selected.push(index);
    }
    Ok(selected)
}

fn matrix(rows: usize, columns: usize, mut values: Vec<f64>) -> Array2<f64> {
    values.shrink_to_fit();
    // The lengths agree: every kept row appended exactly `columns` values.
    Array2::from_shape_vec((rows, columns), values)
        .unwrap_or_else(|_| Array2::zeros((rows, columns)))
}

/// Counts what is dropped, by reason and column.
#[derive(Default)]
pub(crate) struct DropCounter {
    rows: u64,
    of: u64,
    numbers: Vec<u64>,
    without_numbers: bool,
    causes: BTreeMap<(Option<usize>, Reason), (Option<String>, u64)>,
}

impl DropCounter {
    /// One that does not remember which rows it has counted, for tables of any length.
    pub(crate) fn without_numbers() -> Self {
        Self { without_numbers: true, ..Self::default() }
    }

    pub(crate) fn add(&mut self, block: &Block, valid: &[bool], names: &[String]) {
        if !self.without_numbers {
            let invalid = (self.of..).zip(valid).filter(|(_, valid)| !**valid);
            self.numbers.extend(invalid.map(|(number, _)| number));
        }
        self.of += block.rows as u64;
        self.rows += valid.iter().filter(|valid| !**valid).count() as u64;
        for fault in &block.faults {
            let name = fault.cell.map(|cell| names[cell].clone());
            let entry = self.causes.entry((fault.cell, fault.fault.reason())).or_insert((name, 0));
            entry.1 += 1;
        }
    }

    pub(crate) fn finish(self) -> DroppedRows {
        let causes = self
            .causes
            .into_iter()
            .map(|((_, reason), (column, count))| DropCause { reason, column, count })
            .collect();
        DroppedRows { rows: self.rows, of: self.of, causes, numbers: self.numbers }
    }
}
