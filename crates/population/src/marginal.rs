//! The distribution of one quantity in a population, with bands of the bootstrap at each place.

use crate::fit::Population;
use crate::laws::NormalLaw;

/// Standard deviations beyond the outermost law that moments are added up to.
const TAIL: f64 = 8.0;
/// Standard normal deviate exceeded once in twenty times.
const ONE_IN_TWENTY: f64 = 1.645;
/// Places of the quadrature of moments of folded laws.
const PLACES: usize = 4000;

/// A distribution in the population.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginal {
    /// Places, rising.
    pub values: Vec<f64>,
    /// Density there, one over the unit of the quantity.
    pub density: Vec<f64>,
    /// Lower ends of the bands.
    pub lower: Vec<f64>,
    /// Upper ends of the bands.
    pub upper: Vec<f64>,
    /// Mean.
    pub mean: Interval,
    /// Standard deviation.
    pub sd: Interval,
    /// The standard deviation below which that of the population cannot be told from none (at 95 %), by the errors of its
    /// square over the bootstrap.
    pub resolution: f64,
}

/// A peak whose width cannot be told from none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HiddenPeak {
    /// The law.
    pub law: usize,
    /// The quantity.
    pub quantity: usize,
    /// The standard deviation below which it may have any.
    pub width: f64,
}

/// A number about the population with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Of the sample.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Population {
    /// The distribution of a quantity at some places; bands and intervals hold the part `level` of the bootstrap.
    pub fn marginal(&self, quantity: usize, values: &[f64], level: f64) -> Marginal {
        let limits = self.limits[quantity];
        let of = |laws: &[NormalLaw]| Mixture::new(laws, quantity, limits);
        let own = of(&self.laws);
        let drawn: Vec<Mixture> = self.bootstraps.iter().map(|laws| of(laws)).collect();
        let interval = |value: f64, of: &dyn Fn(&Mixture) -> f64| {
            let (lower, upper) = central(drawn.iter().map(of).collect(), level);
            Interval { value, lower, upper }
        };
        let at: Vec<Interval> =
            values.iter().map(|q| interval(own.density(*q), &|law| law.density(*q))).collect();
        let moments: Vec<[f64; 2]> = drawn.iter().map(Mixture::moments).collect();
        let [mean, sd] = own.moments();
        let of_moment = |place: usize, value: f64| {
            let (lower, upper) = central(moments.iter().map(|m| m[place]).collect(), level);
            Interval { value, lower, upper }
        };
        Marginal {
            values: values.to_vec(),
            density: at.iter().map(|band| band.value).collect(),
            lower: at.iter().map(|band| band.lower).collect(),
            upper: at.iter().map(|band| band.upper).collect(),
            mean: of_moment(0, mean),
            sd: of_moment(1, sd),
            resolution: hidden_below(moments.iter().map(|moments| moments[1] * moments[1])),
        }
    }

    /// Peaks whose width cannot be told from none, by how that of each law varies over the bootstrap.
    pub fn hidden_peaks(&self) -> Vec<HiddenPeak> {
        let mut hidden = Vec::new();
        for (number, law) in self.laws.iter().enumerate() {
            for quantity in 0..law.mean.len() {
                let at = [quantity, quantity];
                let width =
                    hidden_below(self.bootstraps.iter().map(|laws| laws[number].covariance[at]));
                if law.covariance[at].sqrt() < width {
                    hidden.push(HiddenPeak { law: number, quantity, width });
                }
            }
        }
        hidden
    }

    /// Where the distribution of a quantity is: from where to where its laws reach within `deviations`.
    pub fn range(&self, quantity: usize, deviations: f64) -> [f64; 2] {
        Mixture::new(&self.laws, quantity, self.limits[quantity]).range(deviations)
    }
}

/// Normal laws of one quantity.
struct Mixture {
    /// Weight, mean, standard deviation.
    laws: Vec<[f64; 3]>,
    limits: Option<[f64; 2]>,
}

impl Mixture {
    fn new(laws: &[NormalLaw], quantity: usize, limits: Option<[f64; 2]>) -> Self {
        let of_law = |law: &NormalLaw| {
            [law.weight, law.mean[quantity], law.covariance[[quantity, quantity]].sqrt()]
        };
        Self { laws: laws.iter().map(of_law).collect(), limits }
    }

    fn density(&self, q: f64) -> f64 {
        let free = |q: f64| -> f64 {
            let of_law = |[weight, mean, sd]: &[f64; 3]| {
                weight * (-0.5 * ((q - mean) / sd).powi(2)).exp()
                    / (sd * std::f64::consts::TAU.sqrt())
            };
            self.laws.iter().map(of_law).sum()
        };
        match self.limits {
            None => free(q),
            Some([low, high]) if (low..=high).contains(&q) => {
                free(q) + free(2.0 * low - q) + free(2.0 * high - q)
            }
            Some(_) => 0.0,
        }
    }

    fn range(&self, deviations: f64) -> [f64; 2] {
        let ends =
            |sign: f64| self.laws.iter().map(move |[_, mean, sd]| mean + sign * deviations * sd);
        let low = ends(-1.0).fold(f64::INFINITY, f64::min);
        let high = ends(1.0).fold(f64::NEG_INFINITY, f64::max);
        self.limits.map_or([low, high], |[least, most]| [low.max(least), high.min(most)])
    }

    /// Mean and standard deviation.
    fn moments(&self) -> [f64; 2] {
        let [low, high] = self.range(TAIL);
        let folds = self.limits.is_some_and(|[least, most]| low <= least || high >= most);
        let [mass, first, second] = if folds {
            let step = (high - low) / PLACES as f64;
            let places = (0..PLACES).map(|place| low + (place as f64 + 0.5) * step);
            places.fold([0.0; 3], |[mass, first, second], q| {
                let d = self.density(q);
                [mass + d, first + d * q, second + d * q * q]
            })
        } else {
            self.laws.iter().fold([0.0; 3], |[mass, first, second], [weight, mean, sd]| {
                [mass + weight, first + weight * mean, second + weight * (mean * mean + sd * sd)]
            })
        };
        let mean = first / mass;
        [mean, (second / mass - mean * mean).max(0.0).sqrt()]
    }
}

/// The width whose square is not told from zero, of squares over the bootstrap; NaN of none.
fn hidden_below(squares: impl Iterator<Item = f64>) -> f64 {
    let squares: Vec<f64> = squares.collect();
    let count = squares.len() as f64;
    let mean = squares.iter().sum::<f64>() / count;
    let variance = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
    (ONE_IN_TWENTY * variance.sqrt()).sqrt()
}

/// The density of all draws of all events, one upon another, in bins between `edges`: broader than the population.
pub fn stacked(values: impl Iterator<Item = f64>, edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len().saturating_sub(1)];
    let mut all = 0.0;
    for value in values {
        all += 1.0;
        if let Some(bin) = bin_of(edges, value) {
            counts[bin] += 1.0;
        }
    }
    let widths = edges.windows(2).map(|edges| edges[1] - edges[0]);
    counts.iter().zip(widths).map(|(count, width)| count / (all * width)).collect()
}

/// The bin of a value; the last one includes its end.
fn bin_of(edges: &[f64], value: f64) -> Option<usize> {
    let (first, last) = (*edges.first()?, *edges.last()?);
    if !(first..=last).contains(&value) {
        return None;
    }
    Some(edges.partition_point(|edge| *edge <= value).saturating_sub(1).min(edges.len() - 2))
}

/// The central interval that holds the part `level` of values; NaN of none.
fn central(values: Vec<f64>, level: f64) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = part * (sorted.len() - 1) as f64;
        let (low, rest) = (place.floor() as usize, place.fract());
        let high = (low + 1).min(sorted.len() - 1);
        sorted[low] + rest * (sorted[high] - sorted[low])
    };
    (at(0.5 - 0.5 * level), at(0.5 + 0.5 * level))
}
