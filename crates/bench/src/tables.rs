//! Loading a table of 9 position and 9 momentum columns, its checks included.

use std::error::Error;
use std::path::Path;

use cei_data::{ColumnRef, Selection, Source, load};

use crate::Clock;

pub(crate) fn time(clock: &Clock, table: &str) -> Result<(), Box<dyn Error>> {
    let columns: Vec<ColumnRef> = (0..18_usize).map(ColumnRef::from).collect();
    let selection =
        Selection { x: columns[..9].to_vec(), y: columns[9..].to_vec(), ..Selection::default() };
    let source = Source::file(table);
    let rows = load(&source, &selection)?.rows();
    let format = Path::new(table).extension().unwrap_or_default().display().to_string();
    clock.time("table loading", &format, rows, || load(&source, &selection));
    Ok(())
}
