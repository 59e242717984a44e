//! `cei inspect`: what a table holds.

mod energy;
mod figures;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use cei_data::inspect::{Directions, InspectOptions, Inspection, Role, SideSummary};
use cei_data::{CentreOfMass, MomentumUnit, PositionUnit, Source, inspect};
use cei_physics::{AtomSpec, Molecule, Simulation};
use cei_run::dataset::{Origin, check_digest, claimed_simulation_of};
use cei_run::plausibility::{Plausibility, judge_files};
use cei_run::point_charges::molecule_of_ions;
use cei_run::{Experiment, RunError};
use serde::Serialize;

use crate::args::{InspectArgs, column_refs};
use crate::error::Usage;
use crate::output::{self, number, say_how_read, to_stderr, to_stdout};
use cei_run::field::FieldFigures;
use energy::{Charged, charged, describe_energy};
use figures::{describe_figures, figures};

/// Columns, names in a list and lines about invalid cells that are printed at most.
const MOST_COLUMNS: usize = 60;
const MOST_NAMES: usize = 20;
/// Characters of a name that are printed at most.
const MOST_CHARACTERS: usize = 40;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// The kinetic energy release beside that of point charges.
    #[serde(skip_serializing_if = "Option::is_none")]
    point_charges: Option<&'a Charged>,
    /// How the momenta compare, as a set, with those that the configuration trains on.
    #[serde(skip_serializing_if = "Option::is_none")]
    plausibility: Option<&'a Plausibility>,
    /// What `--figures` has written.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    figures: Option<&'a FieldFigures>,
}

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let experiment = args.config.as_ref().map(|path| Experiment::read(path, &[])).transpose()?;
    let (mut source, options, mut unit_origin) = match experiment.clone() {
        None => (Source::default(), InspectOptions::default(), "as given"),
        Some(experiment) => {
            let options = InspectOptions {
                may_miss: may_miss(&experiment),
                x: experiment.columns.x,
                y: experiment.columns.y,
                either_side: true,
                molecule: experiment.molecule,
                x_unit: Some(experiment.columns.x_unit),
                y_unit: Some(experiment.columns.y_unit),
                ..InspectOptions::default()
            };
            (experiment.source, options, "of the configuration")
        }
    };
    source.files = args.files.clone();
    source = args.reading.options(false).apply(source);
    let simulated = args.config.is_none().then(|| Simulated::beside(&source)).flatten();
    let as_simulated = match simulated {
        Some(simulated) => simulated.inspected(args, &source)?,
        None => None,
    };
    let (options, inspection) = match as_simulated {
        Some(inspected) => {
            unit_origin = "of the simulation that stands beside the table";
            inspected
        }
        None => inspected(args, &source, options)?,
    };
    if args.unit.is_some() || args.position_unit.is_some() {
        unit_origin = "as given";
    }
    check_ions(args, &inspection)?;
    let charged = charged(args, &options, &inspection)?;
    let figures = figures(args, &inspection)?;
    let judged = experiment.and_then(|experiment| judged(&experiment, &source, &options));
    if let Some(warning) = judged.as_ref().and_then(Plausibility::warning) {
        to_stderr(&warning);
    }
    say_how_read(&inspection.readings);
    if let Some(gate) = &inspection.gate {
        to_stderr(&gate.to_string());
    }
    if args.format.json {
        output::json(&Report {
            inspection: &inspection,
            point_charges: charged.as_ref(),
            plausibility: judged.as_ref(),
            figures: figures.as_ref(),
        })?;
    } else {
        to_stdout(&describe(&inspection, charged.as_ref(), unit_origin));
        figures.iter().for_each(|figures| to_stdout(&describe_figures(figures)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Ions that are named are looked for in the columns: that none of these are theirs must not pass unsaid.
fn check_ions(args: &InspectArgs, inspection: &Inspection) -> Result<(), Usage> {
    if args.ions.is_empty() || inspection.positions.is_some() || inspection.momenta.is_some() {
        return Ok(());
    }
    let (ions, columns) = (args.ions.len(), inspection.columns.len());
    Err(Usage(format!(
        "`--ions` names {ions} ions, whose momenta are {} columns, and the {columns} columns of the file are not taken for these\nhint: name all ions, in the order of the file, or the columns of these with `--columns`",
        3 * ions
    )))
}

/// How the momenta compare with those of the configuration. A table that cannot be compared, because it has no names for
/// example, is described all the same.
fn judged(
    experiment: &Experiment,
    source: &Source,
    options: &InspectOptions,
) -> Option<Plausibility> {
    if experiment.source.simulator.is_none() && experiment.source.files.is_empty() {
        to_stderr(
            "remark: the momenta are not compared with those that the configuration trains on: it has neither \
             `source.simulator` nor `source.files`",
        );
        return None;
    }
    let unit = options.y_unit.clone().unwrap_or_default();
    let told = |error: RunError| {
        to_stderr(&format!(
            "remark: the momenta are not compared with those that the configuration trains on: {error}"
        ));
    };
    judge_files(experiment, source, &options.y, &unit).map_err(told).ok().flatten()
}

/// What is known of tables that `cei` has simulated: it stands beside them.
struct Simulated {
    tables: Vec<PathBuf>,
    simulation: Simulation,
}

impl Simulated {
    fn beside(source: &Source) -> Option<Self> {
        let tables = source.resolve().ok()?;
        match claimed_simulation_of(&tables) {
            Ok(simulation) => Some(Self { tables, simulation: simulation? }),
            Err(error) => {
                say_unused(&error);
                None
            }
        }
    }

    /// What the tables hold. None, after a word about it, if what stands beside one is not of it: that is found out meanwhile.
    fn inspected(
        self,
        args: &InspectArgs,
        source: &Source,
    ) -> anyhow::Result<Option<(InspectOptions, Inspection)>> {
        let Self { tables, simulation } = self;
        let detection = simulation.detector.detection(&simulation.molecule).ok().flatten();
        let options = InspectOptions {
            either_side: true,
            may_miss: detection.map(|detection| detection.may_miss()).unwrap_or_default(),
            molecule: Some(simulation.molecule),
            x_unit: Some(PositionUnit::Bohr),
            y_unit: Some(MomentumUnit::Au),
            ..InspectOptions::default()
        };
        thread::scope(|scope| {
            let theirs = scope.spawn(|| tables.iter().try_for_each(|table| check_digest(table)));
            let inspected = inspected(args, source, options);
            if let Err(error) = theirs.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                say_unused(&error);
                return Ok(None);
            }
            inspected.map(Some)
        })
    }
}

fn say_unused(error: &RunError) {
    to_stderr(&format!("remark: what stands beside the table is not used: {error}"));
}

/// What tables hold, with what the command line says.
fn inspected(
    args: &InspectArgs,
    source: &Source,
    mut options: InspectOptions,
) -> anyhow::Result<(InspectOptions, Inspection)> {
    apply(args, &mut options)?;
    let inspection = inspect(source, &options).map_err(RunError::from)?;
    Ok((options, inspection))
}

/// Of each ion, whether the configuration allows it to be missing.
fn may_miss(experiment: &Experiment) -> Vec<bool> {
    // What stands beside its table is told again when it is loaded.
    Origin::of(experiment)
        .map(|origin| origin.may_miss(experiment.molecule.as_ref()))
        .unwrap_or_default()
}

/// What the command line says instead.
fn apply(args: &InspectArgs, options: &mut InspectOptions) -> anyhow::Result<()> {
    if !args.columns.is_empty() || !args.position_columns.is_empty() {
        options.x = column_refs(&args.position_columns);
        options.y = column_refs(&args.columns);
        options.either_side = false;
    }
    options.x_unit = args.position_unit.clone().or(options.x_unit.take());
    if args.unit.is_some() {
        options.either_side &= args.config.is_some();
        options.y_unit.clone_from(&args.unit);
    }
    if !args.ions.is_empty() {
        options.molecule = Some(molecule(&args.ions, &args.charges)?);
    }
    options.sums = args.sums.options();
    options.keep_momenta = args.figures.is_some();
    Ok(())
}

/// Ions such as `O`, `16O` or `O:1`, with the `charges` that are given, if any are.
fn molecule(ions: &[String], charges: &[f64]) -> anyhow::Result<Molecule> {
    if !charges.is_empty() {
        return Ok(molecule_of_ions(ions, charges).map_err(RunError::from)?);
    }
    let ions = ions.iter().map(|text| {
        let (element, charge) = text.trim().split_once(':').unwrap_or((text.trim(), "1"));
        let charge = charge.trim_end_matches('+').parse().map_err(|_| {
            Usage(format!("`--ions`: `{text}` is no ion\nhint: write elements, such as `O,C,S`, and their charges with `--charges 1,1,1`"))
        })?;
        Ok(AtomSpec::new(element, charge))
    });
    let ions = ions.collect::<Result<Vec<AtomSpec>, Usage>>()?;
    Ok(Molecule::new(ions).map_err(|error| Usage(format!("`--ions` is no molecule: {error}")))?)
}

fn describe(inspection: &Inspection, charged: Option<&Charged>, unit_origin: &str) -> String {
    let files: Vec<String> = inspection.files.iter().map(|f| f.display().to_string()).collect();
    let mut lines = vec![format!(
        "{}: {} rows, {}{} of them repeat an earlier one, {} have invalid cells",
        files.join(", "),
        inspection.rows,
        if inspection.duplicates_sought_in_one_of > 1 { "about " } else { "" },
        inspection.duplicate_rows,
        inspection.invalid_rows
    )];
    for cause in inspection.invalid.iter().take(MOST_NAMES) {
        let column =
            cause.column.as_ref().map_or_else(String::new, |name| format!(" in `{}`", short(name)));
        lines.push(format!("  {}{column}: {}", cause.reason, cause.count));
    }
    lines.extend(left_out(inspection.invalid.len(), MOST_NAMES, "reasons and columns"));
    for set in inspection.detected.iter().take(MOST_NAMES) {
        let missing: Vec<String> = set.missing.iter().map(|ion| short(ion)).collect();
        let which = match missing.is_empty() {
            true => "all of them".to_owned(),
            false => format!("{} missing", missing.join(", ")),
        };
        lines.push(format!("{} ions detected ({which}): {} rows", set.ions, set.rows));
    }
    lines.extend(left_out(inspection.detected.len(), MOST_NAMES, "sets of detected ions"));
    let rows: Vec<Vec<String>> = inspection
        .columns
        .iter()
        .take(MOST_COLUMNS)
        .map(|column| {
            let role = match column.role {
                Role::Position => "position",
                Role::Momentum => "momentum",
                Role::Other => "",
            };
            let mut row = vec![short(&column.name), role.to_owned()];
            match &column.range {
                Some(range) => {
                    row.extend([range.min, range.max, range.mean, range.sd].map(|v| number(v, 4)));
                }
                None => row.extend(["", "", "", ""].map(str::to_owned)),
            }
            row.push(if column.dead { "dead".to_owned() } else { String::new() });
            row
        })
        .collect();
    let header = ["column", "taken for", "min", "max", "mean", "sd", ""];
    lines.push(output::table(&header, &rows));
    lines.extend(left_out(inspection.columns.len(), MOST_COLUMNS, "columns"));
    let sides = [("positions", &inspection.positions), ("momenta", &inspection.momenta)];
    for (name, side) in sides {
        lines.extend(side.iter().map(|side| describe_side(name, side, unit_origin)));
    }
    if let Some(sums) = &inspection.momentum_sum {
        let moments: Vec<String> = sums
            .iter()
            .map(|sum| format!("{} ± {}", number(sum.mean, 3), number(sum.sd, 3)))
            .collect();
        lines.push(format!("sum of the momenta over atoms: {}", by_axis(&moments)));
    }
    if let Some(noise) = &inspection.momentum_noise_au {
        lines.push(format!(
            "noise of a momentum in a.u., from the spread of the sum, if it is the same for every ion: {}",
            by_axis(&noise.map(|sd| number(sd, 3)))
        ));
    }
    lines.extend(describe_directions(&inspection.directions));
    if let Some(energy) = &inspection.kinetic_energy_release {
        let removed = inspection.centre_of_mass == CentreOfMass::Removed;
        lines.extend(describe_energy(energy, removed, charged));
    }
    lines.extend(inspection.remarks.iter().map(|remark| format!("remark: {remark}")));
    lines.join("\n")
}

fn by_axis(values: &[String]) -> String {
    let axes: Vec<String> =
        ["x", "y", "z"].iter().zip(values).map(|(axis, value)| format!("{axis} {value}")).collect();
    axes.join(", ")
}

/// Chance, over all ions, below which directions count as not all alike.
const UNEVEN: f64 = 0.01;

/// A table, and what it says.
fn describe_directions(ions: &[Directions]) -> Vec<String> {
    if ions.is_empty() {
        return Vec::new();
    }
    let row = |ion: &Directions| {
        let numbers = ion.mean.iter().chain(&ion.cos2).map(|value| format!("{value:.3}"));
        let p = ion.p_value.map_or_else(String::new, |p| number(p, 2));
        let cells = std::iter::once(short(&ion.ion)).chain(numbers);
        cells.chain([p]).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = ions.iter().take(MOST_COLUMNS).map(row).collect();
    let header = ["directions of", "mean x", "y", "z", "<cos²> x", "y", "z", "p if all are alike"];
    let mut lines = vec![output::table(&header, &rows)];
    lines.extend(left_out(ions.len(), MOST_COLUMNS, "ions"));
    let is_uneven =
        |ion: &&Directions| ion.p_value.is_some_and(|p| p * (ions.len() as f64) < UNEVEN);
    let uneven: Vec<String> =
        ions.iter().filter(is_uneven).take(MOST_NAMES).map(|ion| short(&ion.ion)).collect();
    lines.push(if !uneven.is_empty() {
        format!(
            "ions do not fly in all directions alike ({}): molecules were aligned, the detector has dead areas, or the frame is not that of the laboratory",
            uneven.join(", ")
        )
    } else if ions.iter().all(|ion| ion.p_value.is_some()) {
        "ions fly in all directions alike, as far as the first two moments of their directions say".to_owned()
    } else {
        "too few events to say whether ions fly in all directions alike".to_owned()
    });
    lines
}

/// How many of a list are not printed.
fn left_out(count: usize, most: usize, what: &str) -> Option<String> {
    (count > most).then(|| format!("... and {} more {what}; `--json` has all", count - most))
}

/// A name of reasonable length.
fn short(name: &str) -> String {
    match name.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

fn describe_side(name: &str, side: &SideSummary, unit_origin: &str) -> String {
    let alive = side.columns.len() - side.dead.len();
    let rank = match side.rank {
        Some(rank) => format!("in {rank} independent directions"),
        None => "in how many independent directions is not computed for so many".to_owned(),
    };
    let mut text = format!("{name}: {} columns, {alive} vary, {rank}", side.columns.len());
    if !side.dead.is_empty() {
        let dead: Vec<String> = side.dead.iter().take(MOST_NAMES).map(|name| short(name)).collect();
        text.push_str(&format!("; dead: {}", dead.join(", ")));
        if side.dead.len() > MOST_NAMES {
            text.push_str(&format!(" and {} more", side.dead.len() - MOST_NAMES));
        }
    }
    if let Some(unit) = &side.unit {
        text.push_str(&format!("; unit: {unit} ({unit_origin})"));
    }
    if let Some(guess) = &side.unit_guess {
        text.push_str(&format!("; unit guessed: {} ({})", guess.unit, guess.reason));
    }
    text
}
