//! Means of losses over rows, from those of batches.

use cei_model::Loss;

/// Adds the loss of a batch of so many rows to the sums over rows.
pub(crate) fn add(total: &mut f64, terms: &mut [f64], loss: &Loss, rows: usize) {
    *total += loss.total * rows as f64;
    for (sum, term) in terms.iter_mut().zip(&loss.terms) {
        *sum += term * rows as f64;
    }
}

/// The mean over so many rows of sums over them.
pub(crate) fn mean(total: f64, terms: &[f64], rows: usize) -> Loss {
    let rows = rows as f64;
    Loss { total: total / rows, terms: terms.iter().map(|term| term / rows).collect() }
}
