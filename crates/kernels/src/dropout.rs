//! Dropout (Srivastava et al. 2014): a number is kept with probability `1 - p` and then divided by it.
//!
//! Which are kept follows from a key, the block, the row of the batch and the column alone, so that
//! neither threads nor the tiles of a batch matter, and the backward pass finds them again.

/// The dropout of one layer in one training step.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    key: u64,
    /// A column is dropped where its random number lies below.
    threshold: u32,
    factor: f32,
    first_row: usize,
}

impl Dropout {
    /// Drops a share `probability` (from 0 to below 1); `key` is that of the layer and the step.
    pub fn new(key: u64, probability: f32) -> Self {
        let threshold = (f64::from(probability) * 4_294_967_296.0) as u32;
        Self { key, threshold, factor: 1.0 / (1.0 - probability), first_row: 0 }
    }

    /// For rows of a batch from `first_row` on.
    pub fn from_row(self, first_row: usize) -> Self {
        Self { first_row, ..self }
    }

    /// The dropout of one block of the layer.
    pub fn block(self, block: usize) -> Self {
        Self { key: mix(self.key ^ (block as u64 + 1)), ..self }
    }

    /// Drops out of the `values` of a row.
    pub fn apply(&self, row: usize, values: &mut [f32]) {
        let key = mix(self.key ^ (self.first_row + row) as u64);
        let (low, high) = (key as u32, (key >> 32) as u32);
        for (column, value) in values.iter_mut().enumerate() {
            let mut random = low ^ (column as u32).wrapping_mul(0x9e37_79b9);
            // the finaliser of MurmurHash3, with a word of the key in between
            random = (random ^ (random >> 16)).wrapping_mul(0x85eb_ca6b) ^ high;
            random = (random ^ (random >> 13)).wrapping_mul(0xc2b2_ae35);
            random ^= random >> 16;
            *value = if random < self.threshold { 0.0 } else { *value * self.factor };
        }
    }
}

/// The finaliser of SplitMix64: every bit depends on every bit.
fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}
