//! A fingerprint of a loaded table, to tell later whether a run saw the same data.

use sha2::{Digest, Sha256};

use crate::load::Table;

/// SHA-256 over column names, shape and the bit patterns of all values, in lower-case hexadecimal.
#[must_use]
pub fn fingerprint(table: &Table) -> String {
    let mut hash = Sha256::new();
    for (names, values) in [(&table.x_names, &table.x), (&table.y_names, &table.y)] {
        hash.update((names.len() as u64).to_le_bytes());
        for name in names {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
        }
        hash.update((values.nrows() as u64).to_le_bytes());
        let mut bytes = Vec::new();
        for row in values.rows() {
            bytes.clear();
            row.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            hash.update(&bytes);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
