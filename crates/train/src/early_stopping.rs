//! Early stopping on the validation loss: a pure state machine.

use serde::{Deserialize, Serialize};

/// What a validation loss means for the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lowest so far: keep these parameters.
    Improved,
    /// Not the lowest; training goes on.
    Waiting,
    /// Patience has run out.
    Stop,
}

/// Watches the validation loss of every epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    best: Option<(usize, f64)>,
    /// What a loss must undercut by the min-delta for the patience to start anew.
    reference: Option<f64>,
    waited: usize,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self::new()
    }
}

impl EarlyStopping {
    /// Has seen nothing yet.
    pub fn new() -> Self {
        Self { best: None, reference: None, waited: 0 }
    }

    /// Takes the loss of an epoch. Patience counts epochs that do not undercut the reference by
    /// `min_delta`; the lowest loss of all is the best, by however little.
    pub fn observe(&mut self, epoch: usize, loss: f64, patience: usize, min_delta: f64) -> Verdict {
        if self.reference.is_none_or(|reference| loss < reference - min_delta) {
            self.reference = Some(loss);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        let improved = self.best.is_none_or(|(_, best)| loss < best);
        if improved {
            self.best = Some((epoch, loss));
        }
        match (self.waited >= patience, improved) {
            (true, _) => Verdict::Stop,
            (false, true) => Verdict::Improved,
            (false, false) => Verdict::Waiting,
        }
    }

    /// Epoch and value of the lowest loss.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// How many more epochs without improvement are allowed.
    pub fn patience_left(&self, patience: usize) -> usize {
        patience.saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(losses: &[f64], patience: usize, min_delta: f64) -> (Vec<Verdict>, EarlyStopping) {
        let mut state = EarlyStopping::new();
        let verdicts = losses
            .iter()
            .enumerate()
            .map(|(epoch, &loss)| state.observe(epoch + 1, loss, patience, min_delta))
            .collect();
        (verdicts, state)
    }

    #[test]
    fn stops_when_patience_runs_out_and_remembers_the_best() {
        use Verdict::{Improved, Stop, Waiting};
        let (verdicts, state) = verdicts(&[3.0, 2.0, 2.5, 2.0, 2.1], 3, 0.0);
        assert_eq!(verdicts, [Improved, Improved, Waiting, Waiting, Stop]);
        assert_eq!(state.best(), Some((2, 2.0)));
    }

    #[test]
    fn improvement_starts_patience_anew() {
        let (verdicts, state) = verdicts(&[3.0, 3.1, 2.9, 3.1, 3.1], 3, 0.0);
        assert!(!verdicts.contains(&Verdict::Stop));
        assert_eq!(state.patience_left(3), 1);
    }

    #[test]
    fn small_gains_are_kept_but_do_not_feed_patience() {
        let (verdicts, state) = verdicts(&[3.0, 2.95, 2.92], 2, 0.1);
        assert_eq!(verdicts, [Verdict::Improved, Verdict::Improved, Verdict::Stop]);
        assert_eq!(state.best(), Some((3, 2.92)));
    }
}
