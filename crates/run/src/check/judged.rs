//! Measured events against simulated ones, test by test.
//!
//! Distributions are compared by the greatest distance between their functions (Kolmogorov and Smirnov's test of two
//! samples), all quantities together by a classifier. With `n` measured and `m` simulated events both are as exact as
//! ```text
//! n' = 1 / (1 / n + 1 / m),  of an inferred population  1 / (1 / n + 2 / m)
//! ```
//! events: what was inferred moves with the events of the first half, from which the simulated ones come, by no more than these
//! are off themselves.

use cei_metrics::special::{binomial_upper_tail, kolmogorov_survival};
use cei_metrics::{c2st, holm};
use cei_physics::Molecule;
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use ndarray::{Array2, ArrayView2};

use super::report::CheckTest;
use crate::RunError;
use crate::plausibility::distance;

/// Parts of a standard deviation, or of a width, below which there is nothing to say about a direction.
const LITTLE: f64 = 0.02;

/// Measured or simulated events.
pub(super) struct Events {
    /// Momenta (rows x 3N, a.u.).
    pub(super) momenta: Array2<f64>,
    /// Log-evidence of each under the population, nats; minus infinity of one that it does not explain at all.
    pub(super) log_evidence: Vec<f64>,
}

/// The outcome of all tests, and what the figures need.
pub(super) struct Judged {
    pub(super) tests: Vec<CheckTest>,
    /// Accuracy of the classifier on each fold.
    pub(super) folds: Vec<f64>,
    /// Events of a fold that its accuracy is as exact as.
    pub(super) rows_of_fold: usize,
}

/// Compares `measured` events with `simulated` ones.
pub(super) fn judge(
    molecule: &Molecule,
    measured: &Events,
    simulated: &Events,
    inferred: bool,
    level: f64,
    seed: u64,
) -> Result<Judged, RunError> {
    let (n, m) = (measured.momenta.nrows() as f64, simulated.momenta.nrows() as f64);
    let size = 1.0 / (1.0 / n + if inferred { 2.0 } else { 1.0 } / m);
    let compare = |a: Vec<f64>, b: Vec<f64>| Compared::of(a, b, size);
    let evidence = compare(measured.log_evidence.clone(), simulated.log_evidence.clone());
    let energies = [measured, simulated].map(|of| energies(molecule, of.momenta.view()));
    let [a, b] = energies;
    let energy = compare(a, b);
    let pairs = pairs(molecule.atom_count());
    let angles: Vec<Compared> = pairs
        .iter()
        .map(|[i, j]| {
            let of = |events: &Events| angles(events.momenta.view(), *i, *j);
            compare(of(measured), of(simulated))
        })
        .collect();
    let of_angles: Vec<f64> = holm(&angles.iter().map(|own| own.p).collect::<Vec<_>>());
    let worst = (0..pairs.len()).min_by(|a, b| of_angles[*a].total_cmp(&of_angles[*b]));
    let labels = molecule.labels();
    let mut tests = vec![
        test("log_evidence", evidence.distance, evidence.p, in_words_of_evidence(&evidence)),
        test("kinetic_energy", energy.distance, energy.p, {
            energy.in_words("kinetic energies are", "above", "below", Unit::Part)
        }),
    ];
    if let Some(worst) = worst {
        let [i, j] = pairs[worst];
        let subject = format!("angles between the momenta of {} and {} are", labels[i], labels[j]);
        let words = angles[worst].in_words(&subject, "above", "below", Unit::Degrees);
        tests.push(test("angles", angles[worst].distance, of_angles[worst], words));
    }
    let (names, features) = (names(labels), [measured, simulated].map(|of| features(&of.momenta)));
    let [own, other] = &features;
    let found = c2st(own.view(), other.view(), seed)
        .map_err(|source| RunError::C2st { event: None, source })?;
    // The classifier takes as many rows of either; two over their number is its error.
    let share = size / (0.5 * n.min(m));
    let rows = (share.min(1.0) * found.independent_rows() as f64).round() as usize;
    let p = binomial_upper_tail(rows, 0.5, (found.accuracy * rows as f64).round() as usize);
    let clearest = (0..names.len())
        .map(|column| compare(own.column(column).to_vec(), other.column(column).to_vec()));
    let clearest = clearest.zip(&names).max_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
    let mut words = format!(
        "a classifier tells {:.1} % of the events right, of 50 % by guessing",
        100.0 * found.accuracy
    );
    if let Some((compared, name)) = clearest {
        let unit = if name.starts_with("the cosine") { Unit::Plain } else { Unit::Part };
        words += &format!("; most of all, {}", compared.in_words(name, "above", "below", unit));
    }
    tests.push(test("classifier", found.accuracy, p, words));
    let adjusted = holm(&tests.iter().map(|test| test.p_value_alone).collect::<Vec<_>>());
    for (test, p) in tests.iter_mut().zip(adjusted) {
        (test.p_value, test.pass) = (p, p >= level);
    }
    let rows_of_fold = (rows / found.folds.len().max(1)).max(1);
    Ok(Judged { tests, folds: found.folds, rows_of_fold })
}

fn test(name: &'static str, statistic: f64, p: f64, direction: String) -> CheckTest {
    CheckTest { name, statistic, p_value: p, p_value_alone: p, pass: true, direction }
}

/// In what a difference is told.
#[derive(Clone, Copy)]
enum Unit {
    Part,
    Degrees,
    Plain,
}

/// Two samples of one quantity.
struct Compared {
    measured: Vec<f64>,
    simulated: Vec<f64>,
    distance: f64,
    p: f64,
}

impl Compared {
    fn of(mut measured: Vec<f64>, mut simulated: Vec<f64>, size: f64) -> Self {
        measured.sort_by(f64::total_cmp);
        simulated.sort_by(f64::total_cmp);
        let distance = distance(&measured, &simulated);
        let p = kolmogorov_survival(size.floor().max(1.0) as usize, distance);
        Self { measured, simulated, distance, p }
    }

    /// Where measured ones are, in words: by the medians, or, where these differ less, by the widths.
    fn in_words(&self, subject: &str, above: &str, below: &str, unit: Unit) -> String {
        let [own, other] = [&self.measured, &self.simulated].map(|sorted| Spread::of(sorted));
        let shift = own.median - other.median;
        let wider = own.width / other.width;
        let (of_shift, of_width) = (shift.abs() / other.width, wider.ln().abs());
        if of_shift.max(of_width) < LITTLE {
            return format!("{subject} as in the simulation");
        }
        if of_shift >= 0.5 * of_width {
            let by = match unit {
                Unit::Part => format!("{:.2} %", 100.0 * shift.abs() / other.median.abs()),
                Unit::Degrees => format!("{:.2} degrees", shift.abs()),
                Unit::Plain => format!("{:.3}", shift.abs()),
            };
            let side = if shift > 0.0 { above } else { below };
            return format!("{subject} {by} {side} those of the simulation, in the median");
        }
        format!("{subject} spread over {wider:.2} times the width of those of the simulation")
    }
}

/// Median and half the central 68 % of sorted values.
struct Spread {
    median: f64,
    width: f64,
}

impl Spread {
    fn of(sorted: &[f64]) -> Self {
        let finite: Vec<f64> = sorted.iter().copied().filter(|value| value.is_finite()).collect();
        let at = |part| cei_metrics::quantile(&finite, part).unwrap_or(f64::NAN);
        Self { median: at(0.5), width: 0.5 * (at(0.84) - at(0.16)) }
    }
}

fn in_words_of_evidence(compared: &Compared) -> String {
    let none = |of: &[f64]| {
        100.0 * of.iter().filter(|log| !log.is_finite()).count() as f64 / of.len() as f64
    };
    let (own, other) = (none(&compared.measured), none(&compared.simulated));
    let shift = Spread::of(&compared.measured).median - Spread::of(&compared.simulated).median;
    let than = if shift < 0.0 { "less" } else { "more" };
    let words = format!(
        "events are {than} probable than simulated ones, by {:.2} nats in the median",
        shift.abs()
    );
    if own + other == 0.0 {
        return words;
    }
    format!(
        "{words}; {own:.1} % of them are not explained at all, and {other:.1} % of simulated ones"
    )
}

/// Kinetic energy release, eV.
fn energies(molecule: &Molecule, momenta: ArrayView2<'_, f64>) -> Vec<f64> {
    let rows = momenta.rows().into_iter();
    rows.map(|row| HARTREE_EV * kinetic_energy_release(molecule, &row.to_vec())).collect()
}

fn pairs(ions: usize) -> Vec<[usize; 2]> {
    (0..ions).flat_map(|i| (i + 1..ions).map(move |j| [i, j])).collect()
}

/// Cosine of the angle between two momenta, 0 where one is zero.
fn cosine(row: &[f64], i: usize, j: usize) -> f64 {
    let dot =
        |a: usize, b: usize| (0..3).map(|axis| row[3 * a + axis] * row[3 * b + axis]).sum::<f64>();
    let length = (dot(i, i) * dot(j, j)).sqrt();
    if length > 0.0 { (dot(i, j) / length).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Angles between the momenta of two ions, degrees.
fn angles(momenta: ArrayView2<'_, f64>, i: usize, j: usize) -> Vec<f64> {
    let rows = momenta.rows().into_iter();
    rows.map(|row| cosine(&row.to_vec(), i, j).acos().to_degrees()).collect()
}

/// What the classifier sees, which does not depend on how an event is turned: momenta of all ions, their sum, cosines of their angles.
fn features(momenta: &Array2<f64>) -> Array2<f64> {
    let ions = momenta.ncols() / 3;
    let pairs = pairs(ions);
    let mut features = Array2::zeros((momenta.nrows(), ions + 1 + pairs.len()));
    for (row, mut own) in momenta.rows().into_iter().zip(features.rows_mut()) {
        let row = row.to_vec();
        let length = |p: [f64; 3]| p.iter().map(|p| p * p).sum::<f64>().sqrt();
        let mut sum = [0.0; 3];
        for (ion, p) in row.chunks_exact(3).enumerate() {
            own[ion] = length([p[0], p[1], p[2]]);
            sum.iter_mut().zip(p).for_each(|(sum, p)| *sum += p);
        }
        own[ions] = length(sum);
        for (place, [i, j]) in pairs.iter().enumerate() {
            own[ions + 1 + place] = cosine(&row, *i, *j);
        }
    }
    features
}

fn names(labels: &[String]) -> Vec<String> {
    let ions = labels.iter().map(|label| format!("momenta of {label} are"));
    let cosines = pairs(labels.len()).into_iter().map(|[i, j]| {
        format!("the cosines between the momenta of {} and {} are", labels[i], labels[j])
    });
    ions.chain(["momentum sums are".to_owned()]).chain(cosines).collect()
}
