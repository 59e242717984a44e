//! The rows that a training sees, and how mini-batches are cut from them.

use cei_model::Batch;
use ndarray::{Array2, s};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Scaled rows of `x` (`n` x d) and `y` (`n` x width).
#[derive(Debug, Clone)]
pub struct Rows {
    /// What is inferred.
    pub x: Array2<f32>,
    /// What it is conditioned on.
    pub y: Array2<f32>,
}

/// Makes new training rows for every epoch after the first, beside the training. The same epoch must
/// always get the same rows, or a resumed training would not end in the same weights.
pub trait EpochRows: Send {
    /// Begins to make the rows of `epoch` and returns at once.
    fn prepare(&mut self, epoch: usize);

    /// The rows of `epoch`, as many as there were in the first one; waits for them, or makes them
    /// where they were not prepared.
    ///
    /// # Errors
    /// Rows that cannot be made.
    fn take(&mut self, epoch: usize) -> Result<Rows, EpochRowsError>;
}

/// Why rows cannot be made.
pub type EpochRowsError = Box<dyn std::error::Error + Send + Sync>;

/// Noise along directions of `x` in which the data do not vary, so that a density exists there
/// (`noise` of `docs/spec.md#degenerate-directions`).
#[derive(Debug, Clone)]
pub struct DegenerateNoise {
    /// Orthonormal directions, one a row (k x d), in scaled units.
    pub directions: Array2<f32>,
    /// Standard deviation along each, in scaled units.
    pub sd: f32,
}

impl DegenerateNoise {
    /// Adds noise to every row of `x`.
    pub fn add(&self, x: &mut Array2<f32>, rng: &mut ChaCha8Rng) {
        for mut row in x.rows_mut() {
            for direction in self.directions.rows() {
                let noise: f32 = StandardNormal.sample(rng);
                row.scaled_add(self.sd * noise, &direction);
            }
        }
    }
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn batch(&self) -> Batch<'_> {
        Batch { x: self.x.view(), y: self.y.view() }
    }
}

/// The order in which an epoch goes through `n` rows.
pub(crate) fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(rng);
    order
}

/// Buffers that hold one mini-batch.
pub(crate) struct Gathered {
    x: Array2<f32>,
    y: Array2<f32>,
    rows: usize,
}

impl Gathered {
    /// For rows of so many columns, `capacity` at most.
    pub(crate) fn new([x, y]: [usize; 2], capacity: usize) -> Self {
        Self { x: Array2::zeros((capacity, x)), y: Array2::zeros((capacity, y)), rows: 0 }
    }

    /// Copies the rows named by `order` (at most the batch size) into the buffers.
    pub(crate) fn gather(
        &mut self,
        rows: &Rows,
        order: &[u32],
        noise: Option<(&DegenerateNoise, &mut ChaCha8Rng)>,
    ) {
        self.rows = order.len();
        copy_rows(&rows.x, order, &mut self.x);
        copy_rows(&rows.y, order, &mut self.y);
        if let Some((noise, rng)) = noise {
            noise.add(&mut self.x, rng);
        }
    }

    /// Rows gathered.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { x: self.x.slice(s![..self.rows, ..]), y: self.y.slice(s![..self.rows, ..]) }
    }
}

fn copy_rows(from: &Array2<f32>, order: &[u32], to: &mut Array2<f32>) {
    let width = from.ncols();
    match (from.as_slice(), to.as_slice_mut()) {
        (Some(from), Some(to)) if width > 0 => {
            for (&index, target) in order.iter().zip(to.chunks_exact_mut(width)) {
                target.copy_from_slice(&from[index as usize * width..][..width]);
            }
        }
        _ => {
            for (&index, mut target) in order.iter().zip(to.rows_mut()) {
                target.assign(&from.row(index as usize));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cei_model::random::{Purpose, stream};
    use ndarray::array;

    #[test]
    fn an_epoch_sees_every_row_once() {
        let mut order = shuffled(1000, &mut stream(3, Purpose::Shuffle, 1));
        assert_ne!(order[..10], (0..10).collect::<Vec<u32>>()[..]);
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn a_batch_holds_the_rows_it_names() {
        let rows = Rows { x: array![[1.0], [2.0], [3.0]], y: array![[10.0], [20.0], [30.0]] };
        let mut gathered = Gathered::new([1, 1], 2);
        gathered.gather(&rows, &[2, 0], None);
        assert_eq!(gathered.batch().x, array![[3.0], [1.0]]);
        gathered.gather(&rows, &[1], None);
        assert_eq!(gathered.batch().y, array![[20.0]]);
    }

    #[test]
    fn degenerate_noise_stays_in_its_directions() {
        let noise = DegenerateNoise { directions: array![[0.6, 0.8, 0.0]], sd: 0.5 };
        let mut x = Array2::zeros((4000, 3));
        noise.add(&mut x, &mut stream(3, Purpose::Degenerate, 1));
        // Orthogonal directions are untouched, and along its own the sd is 0.5 (4000 draws: standard
        // error 1.1 %, five of them allowed).
        assert!(x.dot(&array![0.8, -0.6, 0.0]).iter().all(|v: &f32| v.abs() < 1e-6));
        assert!(x.column(2).iter().all(|v| *v == 0.0));
        let along = x.dot(&array![0.6, 0.8, 0.0]).mapv(f64::from);
        assert!((along.std(0.0) - 0.5).abs() < 0.028);
    }
}
