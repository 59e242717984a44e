//! Which trials are ended early: the median rule (Golovin et al. 2017, section 3.2.2) on the validation loss.
//!
//! A trial is ended after epoch `e` if the lowest of its losses until then lies above the median of those of earlier
//! trials at the same epoch. Trials count that were trained so far, or to their end. Trials that run beside it do not: what
//! is ended does not depend on which of them is faster.

/// So many trials make a median.
const LEAST: usize = 4;

/// The validation losses of a trial that has ended, by epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve<'a> {
    pub(super) losses: &'a [f64],
    /// Whether it was trained to its end, after which its lowest loss stays what it is.
    pub(super) complete: bool,
}

/// What losses a trial goes on with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limits {
    /// The largest after each epoch; none where it goes on with any. After the last of them they stay what they are.
    losses: Vec<Option<f64>>,
    max_epochs: usize,
}

impl Limits {
    /// Those that follow from `earlier` trials, for one of `max_epochs` that gets `grace_epochs` in any case.
    pub(super) fn new(earlier: &[Curve<'_>], grace_epochs: usize, max_epochs: usize) -> Self {
        let longest = earlier.iter().map(|curve| curve.losses.len()).max().unwrap_or(0);
        let lowest: Vec<Vec<f64>> =
            earlier.iter().map(|curve| running_minimum(curve.losses)).collect();
        let of_epoch = |epoch: usize| {
            if epoch < grace_epochs {
                return None;
            }
            let reached = earlier.iter().zip(&lowest).filter_map(|(curve, lowest)| {
                let at = lowest.get(epoch - 1);
                at.or(lowest.last().filter(|_| curve.complete)).copied()
            });
            median(reached.collect())
        };
        Self { losses: (1..=longest.max(grace_epochs) + 1).map(of_epoch).collect(), max_epochs }
    }

    /// Those of a trial that always goes on.
    pub(super) fn none() -> Self {
        Self { losses: Vec::new(), max_epochs: 0 }
    }

    /// Whether a trial ends that has this lowest loss after `epoch` epochs. After its last one it ends anyway.
    pub(super) fn end(&self, epoch: usize, lowest: f64) -> bool {
        if epoch == 0 || epoch >= self.max_epochs {
            return false;
        }
        let limit = self.losses.get(epoch - 1).or(self.losses.last()).copied().flatten();
        limit.is_some_and(|limit| lowest > limit)
    }
}

fn running_minimum(losses: &[f64]) -> Vec<f64> {
    let lower = |lowest: &mut f64, loss: &f64| {
        *lowest = lowest.min(*loss);
        Some(*lowest)
    };
    losses.iter().scan(f64::INFINITY, lower).collect()
}

fn median(mut losses: Vec<f64>) -> Option<f64> {
    if losses.len() < LEAST {
        return None;
    }
    losses.sort_by(f64::total_cmp);
    let middle = losses.len() / 2;
    Some(match losses.len() % 2 {
        0 => 0.5 * (losses[middle - 1] + losses[middle]),
        _ => losses[middle],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(losses: &[f64], complete: bool) -> Curve<'_> {
        Curve { losses, complete }
    }

    /// By hand: lowest losses so far after epochs 1 to 4 are
    /// 9 8 8 7 | 9 6 5 5 | 7 7 4 4 | 8 3 (to its end, so 3 from then on) | 6 6 (ended early, so none from then on).
    #[test]
    fn limits_are_medians_of_the_lowest_losses_at_the_same_epoch() {
        let earlier = [
            curve(&[9.0, 8.0, 8.5, 7.0], true),
            curve(&[9.0, 6.0, 5.0, 5.5], true),
            curve(&[7.0, 7.0, 4.0, 4.0], true),
            curve(&[8.0, 3.0], true),
            curve(&[6.0, 6.5], false),
        ];
        // Epoch 2: of 8 6 7 3 6; epoch 3: of 8 5 4 3; epoch 4 and later: of 7 5 4 3.
        let limits = Limits::new(&earlier, 2, 9);
        assert_eq!(limits.losses[..4], [None, Some(6.0), Some(4.5), Some(4.5)]);
        assert!(limits.end(2, 6.1) && !limits.end(2, 6.0));
        assert!(limits.end(8, 4.6) && !limits.end(8, 4.4));
        // Within the grace, and after the last epoch.
        assert!(!limits.end(1, 1e9) && !limits.end(9, 1e9));
        assert!(!Limits::none().end(5, 1e9));
    }

    #[test]
    fn without_four_trials_none_is_ended() {
        let three = [curve(&[1.0, 1.0], true); 3];
        assert!(Limits::new(&three, 1, 9).losses.iter().all(Option::is_none));
        assert!(!Limits::new(&[], 1, 9).end(1, 1e9));
        // Two that were ended early are no longer there when it counts.
        let (long, short) = (curve(&[1.0; 5], true), curve(&[2.0; 2], false));
        let limits = Limits::new(&[long, long, short, short], 2, 9);
        assert!(limits.end(2, 1.6) && !limits.end(2, 1.5) && !limits.end(3, 1e9));
    }
}
