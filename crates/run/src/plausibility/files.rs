//! Files judged before there is a run: by the simulator or the table that an experiment trains on.

use cei_data::{ColumnRef, MomentumUnit, Source, load_sample};
use cei_physics::{Simulation, simulate};

use super::report::Plausibility;
use super::training::Training;
use crate::config::simulation_by_name;
use crate::dataset::{for_training, simulation_beside};
use crate::folder::Origin;
use crate::{Experiment, RunError};

/// Events of a simulator that stand for training.
const SIMULATED_EVENTS: usize = 4000;

/// How the momenta of files, their columns `momenta` in `unit`, compare as a set with those that an experiment trains on:
/// events of its simulator, or its table. None where there is neither, or these are the files themselves. Of very many
/// rows evenly spaced ones stand for all.
///
/// # Errors
/// A simulator that cannot be read or run; a table of either that cannot be read, or lacks the momenta.
///
/// ```
/// use cei_data::{MomentumUnit, Source};
/// use cei_run::plausibility::judge_files;
/// use cei_run::{Experiment, presets};
///
/// let preset = presets::find(presets::EXPERIMENTS, "wide-cinn")?;
/// let trains_on_events = ["source.files=[]", "source.simulator=ocs-wide", "source.events_per_epoch=100"];
/// let experiment = Experiment::parse(preset.text, "wide-cinn", &trains_on_events.map(str::to_owned))?;
///
/// // Ions at rest are no Coulomb explosion.
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("rest.csv");
/// std::fs::write(&file, "a,b,c,d,e,f,g,h,i\n".to_owned() + &"1,0,0,-1,0,0,0,0,0\n".repeat(20))?;
/// let files = Source { files: vec![file.display().to_string()], ..Source::default() };
/// let columns: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(Into::into).into();
/// let judged = judge_files(&experiment, &files, &columns, &MomentumUnit::default())?;
/// assert!(judged.is_some_and(|plausibility| plausibility.far));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn judge_files(
    experiment: &Experiment,
    files: &Source,
    momenta: &[ColumnRef],
    unit: &MomentumUnit,
) -> Result<Option<Plausibility>, RunError> {
    let columns = &experiment.columns;
    let source = &experiment.source;
    let (trained, simulation) = if let Some(name) = &source.simulator {
        let mut simulation = simulation_by_name(name)?;
        if let Some(declared) = &experiment.detector {
            simulation.detector = declared.over(Some(&simulation.detector));
        }
        let events = simulate(&for_training(&simulation), SIMULATED_EVENTS, 0)?;
        (events.momenta, Some(simulation))
    } else {
        if source.files.is_empty() {
            return Ok(None);
        }
        let (trained, inspected) = (source.resolve()?, files.resolve()?);
        if trained.iter().any(|path| inspected.contains(path)) {
            return Ok(None);
        }
        let simulation = match &trained[..] {
            [file] => simulation_beside(file)?,
            _ => None,
        };
        let may_miss = may_miss(experiment, simulation.as_ref());
        (load_sample(source, &columns.y, columns.y_unit.factor(), &may_miss)?, simulation)
    };
    let may_miss = may_miss(experiment, simulation.as_ref());
    let y = load_sample(files, momenta, unit.factor(), &may_miss)?;
    let (found, width) = (y.ncols(), trained.ncols());
    if found != width {
        return Err(RunError::OtherMomenta { found, width });
    }
    let training = Training {
        molecule: experiment.molecule.as_ref().filter(|m| 3 * m.atom_count() == width),
        momenta: trained,
        simulation: simulation.as_ref(),
        unit_au: unit.factor(),
        sees_laboratory: experiment.preprocessing.gauge.keeps_momenta(),
    };
    Ok(Some(training.judge(y.view(), None)))
}

/// Of each ion, whether an experiment on events of a simulation, or on others, allows it to be missing.
fn may_miss(experiment: &Experiment, simulation: Option<&Simulation>) -> Vec<bool> {
    let simulated = simulation.map(|simulation| &simulation.detector);
    let declared = experiment.detector.as_ref().map(|declared| declared.over(simulated));
    let detector = declared.or_else(|| simulated.cloned());
    let origin = Origin { simulation: None, detector };
    origin.may_miss(experiment.molecule.as_ref())
}
