//! The figures by which coincidences are shown: kinetic energy release, momentum sums, angles between momenta, Newton,
//! Dalitz and native-frame plots, of one sample of momenta or of two beside each other (docs/reading-figures.md).
//!
//! | in | is |
//! | --- | --- |
//! | `sample` | momenta, ions, and which of these are in plots of a plane |
//! | `coordinates` | what is plotted of one event |
//! | `bins` | counting |
//! | `one_axis`, `maps` | the panels of each figure |

mod bins;
pub(crate) mod coordinates;
mod maps;
mod one_axis;
mod sample;

use std::path::{Path, PathBuf};

use cei_report::{NumberedFigure, count_histograms, count_maps};

use crate::RunError;
use maps::Maps;
use one_axis::Histograms;
pub use sample::{IonsOfEvents, MomentaSample};

/// Pairs of ions whose angles have a panel, at most.
const MOST_PAIRS: usize = 15;
/// Ions that have a panel in a Newton plot, at most.
const MOST_IONS: usize = 10;

/// A figure that was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldFigure {
    /// Its name: `ker`, `momentum_sum`, `angles`, `newton`, `dalitz` or `native_frame`.
    pub figure: &'static str,
    /// Events of each sample in it.
    pub events: Vec<usize>,
    /// The figure.
    pub svg: PathBuf,
    /// The same as pixels.
    pub png: PathBuf,
    /// The numbers: counts in bins.
    pub csv: PathBuf,
}

/// What was written, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldFigures {
    /// The figures.
    pub figures: Vec<FieldFigure>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Writes the figures of one sample, or of two that are compared, into a folder, which is made if it is not there.
/// All events are counted; those in which an ion is missing only where the figure does not need it.
///
/// # Errors
/// No event in which all ions were detected, or files that cannot be written.
pub fn field_figures(
    folder: &Path,
    ions: &IonsOfEvents,
    samples: &[MomentaSample<'_>],
) -> Result<FieldFigures, RunError> {
    for sample in samples {
        if sample.complete().next().is_none() {
            return Err(RunError::NoCompleteEvent { sample: sample.name.to_owned() });
        }
    }
    std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    let mut written = Written { folder, figures: Vec::new(), left_out: Vec::new() };
    written.histograms("ker", "kinetic energy release", one_axis::energy(ions, samples))?;
    written.histograms("momentum_sum", "momentum sum", one_axis::sums(ions, samples))?;
    written.angles(ions, samples)?;
    written.maps(ions, samples)?;
    let Written { figures, mut left_out, .. } = written;
    for sample in samples {
        let (events, complete) = (sample.momenta_au.nrows(), sample.complete().count());
        if complete < events {
            left_out.push(format!(
                "{} of {events} {} events miss an ion: they are in the figures that do not need it",
                events - complete,
                sample.name
            ));
        }
    }
    Ok(FieldFigures { figures, left_out })
}

struct Written<'a> {
    folder: &'a Path,
    figures: Vec<FieldFigure>,
    left_out: Vec<String>,
}

impl Written<'_> {
    fn angles(
        &mut self,
        ions: &IonsOfEvents,
        samples: &[MomentaSample<'_>],
    ) -> Result<(), RunError> {
        let all = (0..ions.len()).flat_map(|a| (a + 1..ions.len()).map(move |b| [a, b]));
        let mut pairs: Vec<[usize; 2]> = all.collect();
        if pairs.len() > MOST_PAIRS {
            self.left_out.push(format!(
                "angles: the first {MOST_PAIRS} of {} pairs of ions are shown",
                pairs.len()
            ));
            pairs.truncate(MOST_PAIRS);
        }
        let angles = one_axis::angles(ions, samples, &pairs);
        self.histograms("angles", "angles between momenta", angles)
    }

    fn maps(&mut self, ions: &IonsOfEvents, samples: &[MomentaSample<'_>]) -> Result<(), RunError> {
        if ions.len() == 2 {
            self.left_out.push("newton, dalitz, native_frame: they need three ions".to_owned());
            return Ok(());
        }
        if ions.len() > MOST_IONS {
            self.left_out.push(format!("newton: {} ions are more than {MOST_IONS}", ions.len()));
        } else {
            let chosen = ions.chosen();
            let [a, b] = [chosen[0], chosen[1]].map(|ion| &ions.labels[ion]);
            let title = format!("Newton plot: {a} to the right, {b} above");
            self.map("newton", &title, maps::newton(ions, samples))?;
        }
        let Some(three) = ions.three() else {
            self.left_out.push(format!(
                "dalitz, native_frame: they are of three ions, and there are {}; choose three with `--figure-ions`",
                ions.len()
            ));
            return Ok(());
        };
        let names = three.map(|ion| ions.labels[ion].as_str()).join(", ");
        if ions.len() > 3 {
            self.left_out.push(format!(
                "dalitz, native_frame: of {names} alone, whose momenta need not add up to nothing"
            ));
        }
        let title = format!("Dalitz plot of {names}");
        self.map("dalitz", &title, maps::dalitz_plot(ions, three, samples))?;
        let title = format!("native frames of {names}");
        self.map("native_frame", &title, maps::native_frames(ions, three, samples))
    }

    fn histograms(
        &mut self,
        figure: &'static str,
        title: &str,
        drawn: Histograms,
    ) -> Result<(), RunError> {
        let Histograms { panels, events } = drawn;
        let files = count_histograms(&self.folder.join(figure), title, &panels)?;
        self.push(figure, events, files);
        Ok(())
    }

    fn map(&mut self, figure: &'static str, title: &str, drawn: Maps) -> Result<(), RunError> {
        let Maps { panels, events } = drawn;
        let files = count_maps(&self.folder.join(figure), title, &panels)?;
        self.push(figure, events, files);
        Ok(())
    }

    fn push(&mut self, figure: &'static str, events: Vec<usize>, files: NumberedFigure) {
        let NumberedFigure { figure: pictures, csv } = files;
        self.figures.push(FieldFigure {
            figure,
            events,
            svg: pictures.svg,
            png: pictures.png,
            csv,
        });
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Momenta of three ions with the energy 1 in all, uniform in phase space: a point on the sphere in the six Jacobi
    /// momenta over the roots of their masses.
    fn phase_space(masses: [f64; 3], events: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let [a, b, c] = masses;
        let (inner, outer) = (b * c / (b + c), a * (b + c) / (a + b + c));
        let mut momenta = Array2::zeros((events, 9));
        for mut row in momenta.rows_mut() {
            let z: [f64; 6] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
            let length = z.iter().map(|z| z * z).sum::<f64>().sqrt();
            for axis in 0..3 {
                let q = (2.0 * inner).sqrt() * z[axis] / length;
                let p = (2.0 * outer).sqrt() * z[3 + axis] / length;
                row[axis] = p;
                row[3 + axis] = -p * b / (b + c) - q;
                row[6 + axis] = -p * c / (b + c) + q;
            }
        }
        momenta
    }

    fn ions(masses: [f64; 3]) -> IonsOfEvents {
        let labels = ["O", "C", "S"].map(str::to_owned).to_vec();
        IonsOfEvents { labels, masses: masses.to_vec(), chosen: None }
    }

    /// Phase space of three bodies is even in the Dalitz plot (R. H. Dalitz, 1953): of equal masses half of the circle's
    /// radius holds a quarter of the events, and each quadrant does. Four standard deviations of 20,000 events: 0.0123.
    #[test]
    fn uniform_phase_space_fills_the_circle_evenly() {
        let momenta = phase_space([1.0; 3], 20_000, 1);
        let sample = MomentaSample { name: "phase space", momenta_au: momenta.view() };
        let maps = maps::dalitz_plot(&ions([1.0; 3]), [0, 2, 1], &[sample]);
        assert_eq!((maps.events, maps.panels[0].outside), (vec![20_000], 0));
        let places: Vec<(f64, f64)> = sample
            .of([0, 2, 1])
            .filter_map(|p| coordinates::dalitz(coordinates::energy_shares(p, [1.0; 3])?))
            .collect();
        let share = |is: &dyn Fn(f64, f64) -> bool| {
            places.iter().filter(|(x, y)| is(*x, *y)).count() as f64 / places.len() as f64
        };
        for part in [
            share(&|x, y| x.hypot(y) < 1.0 / 6.0),
            share(&|x, y| x > 0.0 && y > 0.0),
            share(&|x, y| x > 0.0 && y < 0.0),
        ] {
            assert!((part - 0.25).abs() < 0.0123, "{part}");
        }
        // The bins hold the same events.
        let panel = &maps.panels[0];
        assert_eq!(panel.counts.iter().flatten().sum::<u64>(), 20_000);
    }

    /// Two samples share bins and axes, each with its own events; an ion that is missing takes its event out of what needs it.
    #[test]
    fn two_samples_are_in_one_figure() {
        let folder = tempfile::tempdir().unwrap();
        let masses = [16.0, 12.0, 32.0];
        let mut measured = phase_space(masses, 400, 2);
        for axis in 0..3 {
            measured[[7, axis]] = f64::NAN;
        }
        let again = phase_space(masses, 900, 3);
        let samples = [
            MomentaSample { name: "measured", momenta_au: measured.view() },
            MomentaSample { name: "re-simulated", momenta_au: again.view() },
        ];
        let path = folder.path().join("figures");
        let written = field_figures(&path, &ions(masses), &samples).unwrap();
        let names: Vec<&str> = written.figures.iter().map(|figure| figure.figure).collect();
        assert_eq!(names, ["ker", "momentum_sum", "angles", "newton", "dalitz", "native_frame"]);
        for figure in &written.figures {
            assert_eq!(figure.events, [399, 900], "{}", figure.figure);
            let csv = std::fs::read_to_string(&figure.csv).unwrap();
            for sample in ["measured", "re-simulated"] {
                assert!(csv.contains(sample), "{}", figure.figure);
            }
        }
        assert_eq!(written.left_out.len(), 1, "{:?}", written.left_out);
        let none = [MomentaSample { momenta_au: ndarray::aview2(&[[f64::NAN; 9]]), ..samples[0] }];
        let error = field_figures(&path, &ions(masses), &none).unwrap_err();
        assert!(error.to_string().contains("measured"), "{error}");
    }
}
