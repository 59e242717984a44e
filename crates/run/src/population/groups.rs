//! Events of the same value of a column, and how often each event counts.

use cei_data::{ColumnData, nearest};

use super::options::PopulationOptions;
use crate::RunError;
use crate::error::SampleError;

/// Different numbers of a column that are groups of their own; of more, bins of equally many events are made.
const MOST_VALUES: usize = 30;
const BINS: usize = 10;

/// Which event is in which group.
pub(super) struct Groups {
    /// Their names; one without a name if events are not parted.
    pub(super) labels: Vec<String>,
    /// Of each event its group; none where the column has nothing.
    of_events: Vec<Option<usize>>,
    /// How often each event counts.
    pub(super) counts: Vec<f64>,
}

impl Groups {
    /// The groups that the options ask for.
    ///
    /// # Errors
    /// A column that is not there; an efficiency that is no number above 0 up to 1.
    pub(super) fn of(
        further: &[(String, ColumnData)],
        options: &PopulationOptions,
        events: usize,
    ) -> Result<Self, RunError> {
        let (labels, of_events) = match &options.by {
            None => (vec![String::new()], vec![Some(0); events]),
            Some(name) => parted(&texts(find(further, name, "--by")?)),
        };
        let counts = match &options.efficiency {
            None => vec![1.0; events],
            Some(name) => {
                let cells = texts(find(further, name, "--efficiency")?);
                let of_cell = |(event, cell): (usize, &Option<String>)| {
                    let number = cell.as_ref().and_then(|cell| cell.parse::<f64>().ok());
                    let valid = number.filter(|number| *number > 0.0 && *number <= 1.0);
                    valid.map(|number| 1.0 / number).ok_or_else(|| SampleError::Efficiency {
                        column: name.clone(),
                        event,
                        cell: cell.clone().unwrap_or_default(),
                    })
                };
                cells.iter().enumerate().map(of_cell).collect::<Result<_, SampleError>>()?
            }
        };
        Ok(Self { labels, of_events, counts })
    }

    /// How many events are in a group.
    pub(super) fn count(&self, group: usize) -> usize {
        self.of_events.iter().filter(|own| **own == Some(group)).count()
    }

    pub(super) fn of_event(&self, event: usize) -> Option<usize> {
        self.of_events[event]
    }
}

fn find<'a>(
    further: &'a [(String, ColumnData)],
    name: &str,
    key: &'static str,
) -> Result<&'a ColumnData, RunError> {
    let names: Vec<&str> = further.iter().map(|(name, _)| name.as_str()).collect();
    match further.iter().find(|(own, _)| own == name) {
        Some((_, data)) => Ok(data),
        None => Err(SampleError::NoSuchColumn {
            key,
            name: name.to_owned(),
            nearest: nearest(name, names.iter().copied()).map(str::to_owned),
            known: names.join(", "),
        }
        .into()),
    }
}

/// Cells as text; none of an empty one.
fn texts(data: &ColumnData) -> Vec<Option<String>> {
    match data {
        ColumnData::F64(values) => {
            values.iter().map(|v| (!v.is_nan()).then(|| v.to_string())).collect()
        }
        ColumnData::F32(values) => {
            values.iter().map(|v| (!v.is_nan()).then(|| v.to_string())).collect()
        }
        ColumnData::I64(values) => values.iter().map(|v| v.map(|v| v.to_string())).collect(),
        ColumnData::U64(values) => values.iter().map(|v| Some(v.to_string())).collect(),
        ColumnData::U32(values) => values.iter().map(|v| Some(v.to_string())).collect(),
        ColumnData::Text(values) => values.clone(),
    }
}

/// Groups of equal cells, in the order of numbers, or of letters; of many numbers, bins.
fn parted(cells: &[Option<String>]) -> (Vec<String>, Vec<Option<usize>>) {
    let mut known: Vec<String> = cells.iter().flatten().cloned().collect();
    known.sort();
    known.dedup();
    let numbers: Option<Vec<f64>> = known.iter().map(|cell| cell.parse().ok()).collect();
    if let Some(mut numbers) = numbers {
        known.sort_by(|a, b| {
            let [a, b] = [a, b].map(|cell| cell.parse().unwrap_or(f64::NAN));
            f64::total_cmp(&a, &b)
        });
        if numbers.len() > MOST_VALUES {
            numbers = cells.iter().flatten().filter_map(|cell| cell.parse().ok()).collect();
            numbers.sort_by(f64::total_cmp);
            return binned(cells, &numbers);
        }
    }
    let place = |cell: &Option<String>| known.iter().position(|own| Some(own) == cell.as_ref());
    let of_events = cells.iter().map(place).collect();
    (known, of_events)
}

/// Bins of equally many events, which are called by their ends.
fn binned(cells: &[Option<String>], sorted: &[f64]) -> (Vec<String>, Vec<Option<usize>>) {
    let n = sorted.len();
    let mut lows: Vec<f64> = (0..BINS).map(|bin| sorted[bin * n / BINS]).collect();
    lows.dedup();
    let end = |bin: usize| lows.get(bin + 1).copied().unwrap_or(sorted[n - 1]);
    let labels = (0..lows.len()).map(|bin| format!("{} to {}", lows[bin], end(bin))).collect();
    let of_cell = |cell: &Option<String>| {
        let value: f64 = cell.as_ref()?.parse().ok()?;
        Some(lows.partition_point(|low| *low <= value).saturating_sub(1))
    };
    (labels, cells.iter().map(of_cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_order_and_many_are_binned() {
        let cell = |text: &str| Some(text.to_owned());
        let (labels, of) = parted(&[cell("10"), cell("9"), None, cell("10")]);
        assert_eq!(
            (labels, of),
            (vec!["9".into(), "10".into()], vec![Some(1), Some(0), None, Some(1)])
        );
        let many: Vec<_> = (0..100).map(|i| cell(&i.to_string())).collect();
        let (labels, of) = parted(&many);
        assert_eq!(
            (labels.len(), labels[0].as_str(), labels[9].as_str()),
            (10, "0 to 10", "90 to 99")
        );
        assert!((0..10).all(|bin| of.iter().filter(|own| **own == Some(bin)).count() == 10));
    }
}
