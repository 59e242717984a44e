//! Momenta: re-simulated against measured ones, Newton and Dalitz plots, the kinetic energy release.

use cei_data::is_incomplete;
use cei_physics::Molecule;
use cei_report::page::{Aspect, Axis, Block, Drawing, Figure, Mark, Panel, Section, Style};
use ndarray::{Array2, s};

use super::energy;
use super::sample::{Sample, SampledEvent, stacked};
use super::sets::Momenta;
use super::three_ions::ThreeIons;
use super::words::{count, number, percent, spaced, spread};
use crate::plausibility::Support;
use crate::trained::Resimulator;
use crate::{RunError, TrainedRun};

/// Events that are exploded again, one draw of each.
const RESIMULATED: usize = 600;
/// Panels of ions at most.
const MOST_IONS: usize = 6;
/// Training momenta that others are compared with.
const TRAINING: usize = 10_000;

/// The section about momenta.
///
/// # Errors
/// A run whose files are damaged, draws that do not fit it.
pub(super) fn section(run: &TrainedRun, sample: &Sample) -> Result<Section, RunError> {
    let title = "Momenta".to_owned();
    let columns = run.record.preprocessing.momenta();
    let molecule = run.molecule().filter(|m| 3 * m.atom_count() == columns && m.atom_count() > 1);
    let Some(molecule) = molecule else {
        let why = "The run has no molecule with three momenta an ion, so nothing is exploded again, and there are no Newton and Dalitz plots and no kinetic energy release.";
        return Ok(Section { title, blocks: vec![Block::Notice(why.to_owned())] });
    };
    let mut blocks = Vec::new();
    let rows = momenta_of(&sample.momenta, columns);
    let left_out = sample.momenta.nrows() - rows.nrows();
    if left_out > 0 {
        blocks.push(Block::Notice(format!(
            "Figures of momenta are of events of which all ions were detected: {} of {} {} are left out.",
            left_out,
            sample.momenta.nrows(),
            sample.what
        )));
    }
    if rows.nrows() == 0 {
        return Ok(Section { title, blocks });
    }
    let mut sets = vec![Momenta { name: sample.what.clone(), rows, style: Style::First }];
    let resimulator = Resimulator::new(run, molecule, run.experiment.training.seed);
    match Resimulated::of(run, &resimulator, sample)? {
        Ok(resimulated) => {
            if run.record.simulation.as_ref().is_some_and(|law| !law.starts_at_rest()) {
                blocks.push(Block::Words(
                    match resimulator.draws_initial_momenta() {
                        true => "The ions move before they fly apart: each draw starts with momenta drawn anew from their law, and differs by that, too.",
                        false => "The ions of the simulation move before they fly apart, but the law of their momenta is not known: they are re-simulated from rest, and differ by that, too.",
                    }.to_owned(),
                ));
            }
            blocks.push(Block::Figure(resimulated.figure(run, molecule)));
            sets.push(Momenta {
                name: "re-simulated draws".to_owned(),
                rows: resimulated.drawn,
                style: Style::Second,
            });
        }
        Err(why) => blocks.push(Block::Notice(format!("Nothing is exploded again: {why}."))),
    }
    match ThreeIons::of(run, molecule) {
        Ok(ions) => {
            blocks.extend(ions.words().map(Block::Words));
            blocks.push(Block::Figure(ions.newton(&sets)));
            blocks.push(Block::Figure(ions.dalitz_plot(&sets)));
        }
        Err(why) => blocks.push(Block::Notice(why)),
    }
    if let Some(support) = Support::load(run)? {
        sets.push(Momenta {
            name: "training".to_owned(),
            rows: momenta_of(&support.momenta(&run.record.preprocessing, TRAINING), columns),
            style: Style::Third,
        });
    }
    let bounds = run.record.support.as_ref().and_then(|bounds| bounds.kinetic_energy_ev);
    blocks.push(Block::Figure(energy::figure(molecule, &sets, bounds)));
    Ok(Section { title, blocks })
}

/// The momenta of rows that may have charges behind them, of events of which all ions were detected.
fn momenta_of(rows: &Array2<f64>, columns: usize) -> Array2<f64> {
    let momenta = rows.slice(s![.., ..columns]);
    let is_complete = |row: &usize| !is_incomplete(momenta.row(*row));
    let complete: Vec<usize> = (0..rows.nrows()).filter(is_complete).collect();
    momenta.select(ndarray::Axis(0), &complete)
}

/// Measured momenta, and those of one draw of the same events, in one frame.
struct Resimulated {
    measured: Array2<f64>,
    drawn: Array2<f64>,
    failed: usize,
}

impl Resimulated {
    /// What of the sample can be exploded again, or why nothing can.
    fn of(
        run: &TrainedRun,
        resimulator: &Resimulator,
        sample: &Sample,
    ) -> Result<Result<Self, String>, RunError> {
        let is_shown = |event: &&SampledEvent| {
            event.draws.nrows() > 0 && !event.y.iter().any(|momentum| momentum.is_nan())
        };
        let with_draws: Vec<_> = sample.events.iter().filter(is_shown).collect();
        let events = spaced(with_draws.len(), RESIMULATED).into_iter().map(|at| with_draws[at]);
        let draws: Vec<Vec<f64>> =
            events.clone().map(|event| event.draws.row(0).to_vec()).collect();
        let charges: Vec<Vec<f64>> = events.clone().map(|event| event.charges.clone()).collect();
        let numbers: Vec<u64> = events.clone().map(|event| event.number).collect();
        if run.averages_charges() && charges.iter().any(Vec::is_empty) {
            return Ok(Err(
                "its events have several charge states, about which the network is not told"
                    .to_owned(),
            ));
        }
        let measured: Vec<&[f64]> = events.map(|event| event.y.as_slice()).collect();
        let draws = stacked(draws.iter().map(Vec::as_slice).collect());
        let (Some(draws), Some(measured)) = (draws, stacked(measured)) else {
            return Ok(Err(format!("none of the {} has draws", sample.what)));
        };
        let Some(drawn) = resimulator.momenta(draws.view(), &charges, &numbers)? else {
            return Ok(Err(
                "the run does not infer all that the simulation begins with (`columns.nuisances`)"
                    .to_owned(),
            ));
        };
        let measured = resimulator.in_one_frame(measured);
        let sound: Vec<usize> = (0..drawn.nrows())
            .filter(|row| drawn.row(*row).iter().all(|p| p.is_finite()))
            .collect();
        if sound.is_empty() {
            return Ok(Err("no draw could be exploded".to_owned()));
        }
        let failed = drawn.nrows() - sound.len();
        let kept = |rows: &Array2<f64>| rows.select(ndarray::Axis(0), &sound);
        Ok(Ok(Self { measured: kept(&measured), drawn: kept(&drawn), failed }))
    }

    fn figure(&self, run: &TrainedRun, molecule: &Molecule) -> Figure {
        let ions = spaced(molecule.atom_count(), MOST_IONS);
        let panel = |&ion: &usize| {
            let marks = ["x", "y", "z"].iter().enumerate().map(|(axis, name)| {
                let column = 3 * ion + axis;
                let points = self.measured.column(column).to_vec();
                let points = points.into_iter().zip(self.drawn.column(column).to_vec()).collect();
                Mark::points(*name, Style::of_series(axis), points)
            });
            let all = || {
                (0..3).flat_map(|axis| {
                    let column = 3 * ion + axis;
                    self.measured
                        .column(column)
                        .to_vec()
                        .into_iter()
                        .chain(self.drawn.column(column).to_vec())
                })
            };
            let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| {
                (low.min(p), high.max(p))
            });
            let room = 0.05 * (high - low).max(1e-12);
            let (low, high) = (low - room, high + room);
            let label = &molecule.labels()[ion];
            let mut marks: Vec<Mark> = marks.collect();
            marks.push(Mark::guide("equal", vec![(low, low), (high, high)]));
            Panel {
                title: label.clone(),
                x: Axis::new(format!("measured momentum of {label} (a.u.)")).from_to(low, high),
                y: Axis::new(format!("re-simulated momentum of {label} (a.u.)")).from_to(low, high),
                marks,
                aspect: Aspect::Square,
            }
        };
        Figure {
            name: "resimulated".to_owned(),
            title: format!(
                "Re-simulated against measured momenta, one draw of each of {}, in the frame of the last two ions",
                count(self.drawn.nrows(), "event")
            ),
            reading: self.in_words(run, molecule.atom_count() - ions.len()),
            drawing: Drawing::Panels(ions.iter().map(panel).collect()),
        }
    }

    fn in_words(&self, run: &TrainedRun, left: usize) -> String {
        let differences = self.drawn.iter().zip(&self.measured).map(|(a, b)| (a - b).abs());
        let [_, median, most] = spread(differences).unwrap_or([f64::NAN; 3]);
        let sizes = self.measured.iter().map(|p| p.abs());
        let [_, size, _] = spread(sizes).unwrap_or([f64::NAN; 3]);
        let noise = run.record.noise().filter(|noise| noise.iter().any(|sd| *sd > 0.0));
        let noise = noise
            .map(|noise| (noise.iter().map(|sd| sd * sd).sum::<f64>() / noise.len() as f64).sqrt());
        let beside = match noise {
            // The median of the absolute value of a normal number is 0.6745 of its standard deviation.
            Some(noise) => format!(
                "; noise of {} a.u. alone would make it {}",
                number(noise),
                number(0.6745 * noise)
            ),
            None => format!(
                ", {} of a typical component of {} a.u.",
                percent(median / size),
                number(size)
            ),
        };
        let left = if left > 0 {
            format!(" ({} not drawn)", count(left, "more ion"))
        } else {
            String::new()
        };
        let failed = match self.failed {
            0 => String::new(),
            failed => format!("; {} could not be exploded", count(failed, "draw")),
        };
        format!(
            "Half of the components differ by less than {} a.u. and 95 % by less than {}{beside}{failed}{left}.",
            number(median),
            number(most)
        )
    }
}
