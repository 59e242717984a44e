//! Ranks of several chunks of events, or of several quantities, as one.

use cei_metrics::Ranks;
use ndarray::{Array2, Axis, concatenate};

/// The ranks of all chunks of events.
pub(super) fn joined(parts: Vec<Ranks>) -> Ranks {
    joined_along(Axis(0), &parts)
}

/// The ranks of some of the events.
pub(super) fn of_events(ranks: &Ranks, events: &[usize]) -> Ranks {
    let of = |rows: &Array2<usize>| rows.select(Axis(0), events);
    Ranks { below: of(&ranks.below), equal: of(&ranks.equal), draws: ranks.draws }
}

/// The same along either axis: events, or quantities.
pub(super) fn joined_along(axis: Axis, parts: &[Ranks]) -> Ranks {
    let join = |pick: fn(&Ranks) -> &Array2<usize>| {
        let views: Vec<_> = parts.iter().map(|part| pick(part).view()).collect();
        match concatenate(axis, &views) {
            Ok(joined) => joined,
            Err(_) => unreachable!("the parts have the same events or the same quantities"),
        }
    };
    Ranks {
        below: join(|ranks| &ranks.below),
        equal: join(|ranks| &ranks.equal),
        draws: parts.first().map_or(0, |part| part.draws),
    }
}
