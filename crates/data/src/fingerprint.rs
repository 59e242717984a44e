//! A fingerprint of a loaded table, to tell later whether a run saw the same data.

use sha2::{Digest, Sha256};

use crate::error::ScratchError;
use crate::table_rows::TableRows;

/// SHA-256 over column names, shape and the bit patterns of all values, in lower-case hexadecimal.
///
/// # Errors
/// Rows that cannot be read again.
pub fn fingerprint(table: &dyn TableRows) -> Result<String, ScratchError> {
    let mut hash = Sha256::new();
    let head = table.head();
    let mut bytes = Vec::new();
    for (names, is_x) in [(&head.x_names, true), (&head.y_names, false)] {
        hash.update((names.len() as u64).to_le_bytes());
        for name in names {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
        }
        hash.update((table.count() as u64).to_le_bytes());
        table.each_block(&mut |_, x, y| {
            bytes.clear();
            for value in if is_x { &x } else { &y } {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            hash.update(&bytes);
        })?;
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
