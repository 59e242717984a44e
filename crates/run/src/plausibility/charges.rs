//! Charge states that are tried in the place of those of training.

/// Ions of which all charge states are tried.
const MOST_CHARGED: usize = 3;

/// The highest charge that is tried.
const HIGHEST_CHARGE: u32 = 4;

/// Charges to be tried, those of training among them: of few ions all states of up to [`HIGHEST_CHARGE`], of many
/// the same multiple for all.
pub(super) fn charge_states(trained: &[f64]) -> Vec<Vec<f64>> {
    let mut states = vec![trained.to_vec()];
    if trained.len() > MOST_CHARGED {
        let multiples = [0.25, 1.0 / 3.0, 0.5, 2.0 / 3.0, 1.5, 2.0, 3.0, 4.0];
        let multiplied = multiples.map(|m| trained.iter().map(|charge| m * charge).collect());
        let whole = |charges: &Vec<f64>| charges.iter().all(|c| (c - c.round()).abs() < 1e-9);
        states.extend(multiplied.into_iter().filter(whole));
        return states;
    }
    let mut all = vec![Vec::new()];
    for _ in trained {
        let one_more = |begun: Vec<f64>| {
            (1..=HIGHEST_CHARGE).map(move |q| [begun.clone(), vec![f64::from(q)]].concat())
        };
        all = all.into_iter().flat_map(one_more).collect();
    }
    states.extend(all);
    states
}

/// Whether all charges are the same multiple of the others: the momenta then are too.
pub(super) fn is_multiple(charges: &[f64], of: &[f64]) -> bool {
    let mut ratios = charges.iter().zip(of).map(|(charge, of)| charge / of);
    let first = ratios.next();
    first.is_some_and(|first| ratios.all(|ratio| (ratio / first - 1.0).abs() < 1e-9))
}
