//! Decay of the step size on a plateau of the validation loss: a pure state machine.
//!
//! ```text
//! rate = schedule * factor^k,  k: how often the loss has not fallen for `patience` epochs in a row
//! ```

use serde::{Deserialize, Serialize};

/// Watches the validation loss of every epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// What a loss must undercut to count as a fall.
    lowest: Option<f64>,
    waited: usize,
    scale: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { lowest: None, waited: 0, scale: 1.0 }
    }
}

impl Plateau {
    /// Takes the loss of an epoch. After `patience` epochs that do not undercut the lowest loss by
    /// `min_delta`, the step size is multiplied by `factor` and the wait begins anew.
    pub fn observe(&mut self, loss: f64, factor: f64, patience: usize, min_delta: f64) {
        if self.lowest.is_none_or(|lowest| loss < lowest - min_delta) {
            self.lowest = Some(loss);
            self.waited = 0;
            return;
        }
        self.waited += 1;
        if self.waited >= patience {
            self.waited = 0;
            self.scale *= factor;
        }
    }

    /// What the step size of the schedule is multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_falls_after_every_wait_in_vain_and_a_fall_begins_it_anew() {
        let mut plateau = Plateau::default();
        let losses = [3.0, 2.0, 2.1, 2.0, 2.05, 1.5, 1.6, 1.6, 1.6, 1.6];
        let scales = losses.map(|loss| {
            plateau.observe(loss, 0.5, 2, 0.0);
            plateau.scale()
        });
        // 2.0 is no fall below 2.0: the second epoch in vain; 2.05 is the first of a new wait.
        assert_eq!(scales, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]);
    }

    #[test]
    fn a_fall_of_less_than_min_delta_is_none() {
        let mut plateau = Plateau::default();
        for loss in [2.0, 1.95, 1.92] {
            plateau.observe(loss, 0.1, 2, 0.1);
        }
        assert_eq!(plateau.scale(), 0.1);
    }
}
