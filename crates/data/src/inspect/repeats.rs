//! Rows that repeat an earlier one, in a table of any length: rows are remembered by digests, all of them while there is room.
//! Then only those stay whose digests are multiples of 2, later of 4, 8, ...: a row and its repetitions have the same digest, so
//! that `k` times the repetitions among one in `k` of the rows estimate those of all.

use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::slice::ParallelSliceMut;

/// Digests that are held at most (64 MB).
const MOST_HELD: usize = 8_000_000;

/// Rows that repeat an earlier one bit for bit, by 64-bit digests of them.
pub(super) struct Repeats {
    most: usize,
    digests: Vec<u64>,
    /// Of how many digests one is held: a power of two.
    one_in: u64,
    found: u64,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::holding(MOST_HELD)
    }
}

impl Repeats {
    fn holding(most: usize) -> Self {
        Self { most, digests: Vec::new(), one_in: 1, found: 0 }
    }

    pub(super) fn add(&mut self, table: &[f64], width: usize) {
        for row in table.chunks_exact(width) {
            let mut hasher = DefaultHasher::new();
            row.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            let digest = hasher.finish();
            if !digest.is_multiple_of(self.one_in) {
                continue;
            }
            if self.digests.len() == self.most {
                self.make_room();
            }
            if digest.is_multiple_of(self.one_in) {
                self.digests.push(digest);
            }
        }
    }

    fn make_room(&mut self) {
        self.count();
        while self.digests.len() > self.most / 2 {
            self.one_in *= 2;
            self.digests.retain(|digest| digest.is_multiple_of(self.one_in));
        }
    }

    /// Counts the repetitions among the digests, each of which then is there once.
    fn count(&mut self) {
        let before = self.digests.len();
        self.digests.par_sort_unstable();
        self.digests.dedup();
        self.found += (before - self.digests.len()) as u64 * self.one_in;
    }

    /// How many rows repeat an earlier one, and of how many rows one was looked at: beyond one the number is an estimate.
    pub(super) fn finish(mut self) -> (u64, u64) {
        self.count();
        (self.found, self.one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 60,000 rows in blocks; every third repeats the one 3000 rows before it, if there is one.
    fn found(most: usize) -> (u64, u64) {
        let mut repeats = Repeats::holding(most);
        let value =
            |row: usize| if row.is_multiple_of(3) { (row % 3000) as f64 } else { row as f64 + 0.5 };
        let rows: Vec<f64> = (0..60_000).flat_map(|row| [value(row), 1.0]).collect();
        rows.chunks(2 * 700).for_each(|block| {
            repeats.add(block, 2);
            assert!(repeats.digests.len() <= most);
        });
        repeats.finish()
    }

    /// 20,000 rows are multiples of 3, of 1000 values. Of these values, one in `k` is held, each with 19 repetitions: the
    /// estimate has the standard error `19 sqrt(1000 (k - 1))` at most, of which 4 are exceeded by 1 of 16,000 digests.
    #[test]
    fn repetitions_beyond_the_room_are_estimated() {
        assert_eq!(found(60_000), (19_000, 1));
        for most in [30_000, 8000] {
            let (estimate, one_in) = found(most);
            let error = 19.0 * (1000.0 * (one_in - 1) as f64).sqrt();
            assert!(one_in > 1, "{most}");
            assert!((estimate as f64 - 19_000.0).abs() < 4.0 * error, "{most}: {estimate}");
        }
    }

    /// Rows that are all alike need no room, and are counted.
    #[test]
    fn rows_all_alike_are_counted_exactly() {
        let mut repeats = Repeats::holding(100);
        repeats.add(&[1.0; 10_000], 1);
        assert_eq!(repeats.finish(), (9999, 1));
    }
}
