//! First drafts of a simulation and an experiment for a file of measured momenta: `cei config --from`.
//!
//! A draft says which geometries the file is read by, with which noise and charges, each with the number of the file
//! that it follows from. It is a beginning that runs, and says what was guessed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cei_data::inspect::{InspectOptions, Inspection};
use cei_data::{
    CentreOfMass, ColumnRef, Gated, MomentumUnit, PositionUnit, Source, SumOptions, inspect,
};
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use cei_physics::{Molecule, Simulation, simulate};

use crate::RunError;
use crate::config::{Experiment, parse_with_overrides};
use crate::dataset::{ReadingOptions, for_training};
use crate::error::DraftError;
use crate::point_charges::{PointCharges, molecule_of_ions};

/// Events by which the draft is compared with the file.
const COMPARED: usize = 2_000;
/// Noise of a detector, a.u., where the file does not tell it.
const GUESSED_NOISE_AU: f64 = 1.0;
/// From this ratio of the energy of point charges to that of the file on, charging that takes time is mentioned.
const MISSING_ENERGY: f64 = 1.2;

/// What is known of a file of momenta.
#[derive(Debug, Clone, Default)]
pub struct DraftOptions {
    /// Paths or globs.
    pub files: Vec<String>,
    /// How they are read.
    pub reading: ReadingOptions,
    /// The ions in the order of the momenta: elements or isotopes.
    pub ions: Vec<String>,
    /// Their charges.
    pub charges: Vec<f64>,
    /// The momentum columns; by default told from names, or all.
    pub columns: Vec<ColumnRef>,
    /// Unit of the momenta; by default guessed.
    pub unit: Option<MomentumUnit>,
    /// A geometry (XYZ of one frame) that the molecule is near to; without it ions may be anywhere in a sphere.
    pub geometry: Option<PathBuf>,
    /// Which momentum sums are accepted, and whether the motion of the centre of mass is in the energies.
    pub sums: SumOptions,
    /// How the experiment names the simulation.
    pub simulation: String,
}

/// The text of both configurations, and what has to be said about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The simulation.
    pub simulation: String,
    /// The experiment.
    pub experiment: String,
    /// What was guessed, in words.
    pub remarks: Vec<String>,
}

/// What the file says.
struct Facts {
    molecule: Molecule,
    columns: Vec<ColumnRef>,
    unit: MomentumUnit,
    /// Kinetic energy release at 5, 50 and 95 %, eV.
    energy_ev: [f64; 3],
    /// For x, y and z, where the momentum sum tells it.
    noise_au: Option<[f64; 3]>,
    /// What the gate on the momentum sum leaves out.
    gate: Option<Gated>,
    reference: Option<PointCharges>,
}

/// Drafts a simulation and an experiment for a file.
///
/// # Errors
/// A file that cannot be read, ions and columns that do not fit, a unit that nothing tells.
///
/// ```
/// use cei_run::draft::{DraftOptions, draft};
///
/// // Two ions of charge 1, back to back, in atomic units.
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("momenta.txt");
/// let line = |p: f64| format!("{p} 0.5 0.1 {} -0.4 -0.2\n", 0.3 - p);
/// std::fs::write(&file, (0..50).map(|event| line(60.0 + f64::from(event))).collect::<String>())?;
/// let options = DraftOptions {
///     files: vec![file.to_string_lossy().into_owned()],
///     ions: vec!["C".to_owned(), "O".to_owned()],
///     charges: vec![1.0, 1.0],
///     unit: Some("au".parse()?),
///     ..DraftOptions::default()
/// };
/// let draft = draft(&options)?;
/// assert!(draft.simulation.contains("element = \"O\", charge = 1.0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn draft(options: &DraftOptions) -> Result<Draft, RunError> {
    let source = options.reading.source(&options.files);
    let mut remarks = Vec::new();
    let facts = facts(options, &source, &mut remarks)?;
    let simulation = simulation_text(options, &facts, &mut remarks);
    let parsed: Simulation = parse_with_overrides(&simulation, "the draft", &[])?;
    parsed.check()?;
    remarks.push(compared(&parsed, &facts)?);
    let experiment = experiment_text(options, &facts);
    parse_with_overrides::<Experiment>(&experiment, "the draft", &[])?;
    Ok(Draft { simulation, experiment, remarks })
}

fn facts(
    options: &DraftOptions,
    source: &Source,
    remarks: &mut Vec<String>,
) -> Result<Facts, RunError> {
    let molecule = molecule_of_ions(&options.ions, &options.charges)?;
    let ions = molecule.atom_count();
    if let Some(&charge) = options.charges.iter().find(|charge| **charge <= 0.0) {
        return Err(DraftError::NotPositive { charge }.into());
    }
    let asked = InspectOptions {
        y: options.columns.clone(),
        molecule: Some(molecule.clone()),
        y_unit: options.unit.clone(),
        sums: options.sums,
        ..InspectOptions::default()
    };
    let inspection = inspect(source, &asked)?;
    let momenta = inspection.momenta.as_ref();
    let names = momenta.map(|side| side.columns.clone()).unwrap_or_default();
    if names.len() != 3 * ions {
        let found = if names.is_empty() { inspection.columns.len() } else { names.len() };
        return Err(DraftError::Columns { found, ions }.into());
    }
    let unit = match (&options.unit, momenta.and_then(|side| side.unit_guess.as_ref())) {
        (Some(unit), _) => unit.clone(),
        (None, Some(guess)) => {
            remarks.push(format!(
                "the unit of the momenta is guessed: {} ({})",
                guess.unit, guess.reason
            ));
            if guess.unit == "si" { MomentumUnit::Si } else { MomentumUnit::Au }
        }
        (None, None) => return Err(DraftError::Unit.into()),
    };
    let energy_ev = energies(&inspection).ok_or(DraftError::NoEnergy)?;
    let reference = options.geometry.as_ref().map(|path| PointCharges::read(path, &molecule));
    let reference = reference.transpose()?;
    remarks.extend(inspection.remarks.clone());
    remarks.extend(inspection.gate.map(|gate| gate.to_string()));
    Ok(Facts {
        columns: columns(options, &inspection, &names),
        unit,
        energy_ev,
        noise_au: inspection.momentum_noise_au,
        gate: inspection.gate,
        reference,
        molecule,
    })
}

/// The momentum columns as a configuration names them: by index where the file has no names.
fn columns(options: &DraftOptions, inspection: &Inspection, names: &[String]) -> Vec<ColumnRef> {
    if !options.columns.is_empty() {
        return options.columns.clone();
    }
    let place = |name: &String| inspection.columns.iter().position(|column| column.name == *name);
    let column = |name: &String| match place(name) {
        Some(place) if *name == format!("column {place}") => ColumnRef::Index(place),
        _ => ColumnRef::Name(name.clone()),
    };
    names.iter().map(column).collect()
}

/// At 5, 50 and 95 %.
fn energies(inspection: &Inspection) -> Option<[f64; 3]> {
    let energy = inspection.kinetic_energy_release.as_ref()?;
    Some([energy.at(0.05)?, energy.at(0.5)?, energy.at(0.95)?])
}

fn simulation_text(options: &DraftOptions, facts: &Facts, remarks: &mut Vec<String>) -> String {
    let Facts { molecule, energy_ev: [low, median, high], .. } = facts;
    let mut text = format!(
        "# What {} may come from. A draft: look at every line.\n#\n# Kinetic energy release of the file: {median:.2} eV (median), {low:.2} to {high:.2} eV (5 to 95 %).\n",
        options.files.join(", ")
    );
    if let Some(gate) = &facts.gate {
        let _ = writeln!(text, "# By a {gate}.");
    }
    if options.sums.centre_of_mass == CentreOfMass::Removed {
        text.push_str("# Without the motion of the centre of mass.\n");
    }
    let point_charges = facts.reference.as_ref().map(|reference| reference.energy_ev);
    if let Some(energy) = point_charges {
        let _ = writeln!(
            text,
            "# Of point charges in the given geometry, charged at once: {energy:.2} eV."
        );
    }
    text.push_str("\nevents = 100_000\norientation = \"random\"      # or aligned: see `cei config --reference`\ncentre = \"centre-of-mass\"\n\n[molecule]\natoms = [\n");
    for atom in molecule.atoms() {
        let _ =
            writeln!(text, "    {{ element = {:?}, charge = {:?} }},", atom.element, atom.charge);
    }
    text.push_str("]\n\n");
    text.push_str(&geometry_text(facts));
    let ratio = point_charges.map_or(1.0, |energy| energy / median);
    if ratio > MISSING_ENERGY {
        remarks.push(format!(
            "point charges in the given geometry have {ratio:.1} times the energy of the file: the molecule is stretched, or its charges took time, which momenta alone cannot tell apart; the draft has a `[charging]` to consider"
        ));
    }
    text.push_str("\n# Charges are there at once. Where they take time, energies are lower: what is read as instantaneous looks stretched.\n# List `charging_tau_fs` in `columns.nuisances` of the experiment then.\n#\n# [charging]\n# kind = \"exponential\"\n# tau_fs = { distribution = \"uniform\", low = 0.0, high = 40.0 }\n\n[detector]\n");
    text.push_str(&detector_text(options, facts, remarks));
    text
}

/// About the given geometry, or anywhere in a sphere; wide enough for the energies of the file.
fn geometry_text(facts: &Facts) -> String {
    let Facts { molecule, energy_ev: [low, median, _], .. } = facts;
    // Between what is rare and what is common: a law that reaches the rarest event tells little of all others.
    let low = (low * median).sqrt();
    let bohr = PositionUnit::Angstrom.factor();
    let Some(PointCharges { positions_bohr: reference, energy_ev: energy }) = &facts.reference
    else {
        let charges = molecule.charges();
        let pairs = (0..charges.len()).flat_map(|i| (0..i).map(move |j| charges[i] * charges[j]));
        // The mean of 1 / r of two points in a sphere is 6 / 5 over its radius.
        let radius = 1.2 * pairs.sum::<f64>() * HARTREE_EV / low;
        return format!(
            "# Ions anywhere in a sphere, of a radius in which point charges have {low:.1} eV at the mean. With a\n# geometry (`--geometry FILE.xyz`) the law would be bond lengths and angles about it, which tells more.\n[geometry]\nlaw = \"sphere\"\nradius_bohr = {radius:.1}\nminimum_separation_bohr = {:.2}\n",
            0.1 * radius
        );
    };
    // Lengths that scale all distances by this ratio have the lowest energy of the file.
    let stretch = (energy / low).max(1.3);
    let atoms = molecule.atom_count();
    let nearest = |i: usize| {
        (0..atoms)
            .filter(|j| *j != i)
            .map(|j| distance(reference, i, j))
            .fold(f64::INFINITY, f64::min)
    };
    let bond = (0..atoms).map(nearest).sum::<f64>() / atoms as f64 / bohr;
    let mut text = format!(
        "# Bond lengths and angles about the given geometry, from a little shorter to {stretch:.1} times as long, where point charges\n# have {low:.1} eV.\n[geometry]\nlaw = \"internal\"\nlength_changes_angstrom = {{ distribution = \"uniform\", low = {:.2}, high = {:.2} }}\n",
        -0.25 * bond,
        1.3 * (stretch - 1.0) * bond,
    );
    if atoms > 2 {
        text.push_str("angle_changes_deg = { distribution = \"normal\", mean = 0.0, sd = 15.0 }\n");
    }
    if atoms > 3 {
        text.push_str(
            "dihedral_changes_deg = { distribution = \"normal\", mean = 0.0, sd = 30.0 }\n",
        );
    }
    text.push_str("\n[geometry.positions_angstrom]\n");
    for (atom, label) in molecule.labels().iter().enumerate() {
        let at = [0, 1, 2]
            .map(|axis| format!("{:?}", (reference[3 * atom + axis] / bohr * 1e10).round() / 1e10));
        let _ = writeln!(text, "{label} = [{}]", at.join(", "));
    }
    text
}

fn detector_text(options: &DraftOptions, facts: &Facts, remarks: &mut Vec<String>) -> String {
    let measured = facts.noise_au.filter(|noise| noise.iter().all(|sd| *sd > 1e-3));
    let Some(noise) = measured else {
        remarks.push(format!(
            "the noise of the momenta cannot be told from their sum: {GUESSED_NOISE_AU} a.u. is a guess (`detector.momentum_noise_au`)"
        ));
        return format!(
            "momentum_noise_au = {GUESSED_NOISE_AU:?}     # a guess: the momentum sum of the file does not tell it\n"
        );
    };
    let mean = (noise.iter().map(|sd| sd * sd).sum::<f64>() / 3.0).sqrt();
    let axes = noise.map(|sd| format!("{sd:.2}"));
    let also = match options.sums.centre_of_mass {
        CentreOfMass::Kept => "",
        CentreOfMass::Removed => {
            "; it is the most that it can be, because the motion of the centre of mass is in the sum too"
        }
    };
    remarks.push(format!(
        "the noise of a momentum, {mean:.2} a.u., is that of the momentum sum (x {}, y {}, z {}), if it is the same for every ion{also}",
        axes[0], axes[1], axes[2]
    ));
    format!(
        "momentum_noise_au = {mean:.2}     # from the spread of the momentum sum, over the three axes; by axis: {}\n",
        axes.join(", ")
    )
}

/// Ranges about the values of the draft's model and training.
const SEARCH: &str = "
# Where `cei sweep` looks for better values; `cei train` does not read it.
[sweep.over]
training.learning_rate = { low = 3e-4, high = 1e-2, log = true }
model.couplings = { low = 3, high = 10 }
model.hidden = [[32, 32], [64, 64], [128, 128]]
";

fn experiment_text(options: &DraftOptions, facts: &Facts) -> String {
    let Facts { molecule, columns, unit, .. } = facts;
    let columns: Vec<String> = columns
        .iter()
        .map(|column| match column {
            ColumnRef::Index(index) => index.to_string(),
            ColumnRef::Name(name) => format!("{name:?}"),
        })
        .collect();
    let labels = molecule.labels();
    let mut text = format!(
        "# Reads {}. A draft: look at every line.\n\n# Every epoch has new events of the simulation, made beside the training.\n[source]\nsimulator = {:?}\nevents_per_epoch = 40_000\n\n# The momenta in the file, x, y and z of {}.\n[columns]\ny = [{}]\ny_unit = {:?}\n\n[molecule]\natoms = [\n",
        options.files.join(", "),
        options.simulation,
        labels.join(", "),
        columns.join(", "),
        unit.to_string(),
    );
    for atom in molecule.atoms() {
        let _ =
            writeln!(text, "    {{ element = {:?}, charge = {:?} }},", atom.element, atom.charge);
    }
    text.push_str("]\n");
    if !molecule.alike().is_empty() {
        text.push_str("# Nobody knows which is which of ions alike; `false` where the file tells them apart.\nexchangeable = true\n");
    }
    let (first, last) = (&labels[0], &labels[labels.len() - 1]);
    let _ = write!(
        text,
        "\n# How the molecule was turned in the laboratory says nothing about its geometry.\n[preprocessing.gauge]\npositions = \"centred\"\nframe = \"momentum\"\nx_axis = {last:?}\nxy_plane = {first:?}\n\n[model]\nkind = \"cinn\"\npreset = \"spline\"\ncouplings = 6\nhidden = [64, 64]\n\n[training]\nlearning_rate = 1e-3\nschedule = \"cosine\"\nmax_epochs = 40\npatience = 40\nema_decay = 0.999\ngradient_clip = 5.0\n\n[evaluation]\nlatent = \"prior\"\ndraws = 100\n"
    );
    if let Some(vertex) = central_atom(facts) {
        let _ = writeln!(
            text,
            "vertex = {:?}        # of the bond angles that are told: the atom in the middle",
            labels[vertex]
        );
    }
    text.push_str(SEARCH);
    text
}

/// The atom of the given geometry that is nearest to all others; none without a geometry, or of fewer than three.
fn central_atom(facts: &Facts) -> Option<usize> {
    let reference = &facts.reference.as_ref()?.positions_bohr;
    let atoms = facts.molecule.atom_count();
    let to_others = |i: usize| -> f64 { (0..atoms).map(|j| distance(reference, i, j)).sum() };
    (0..atoms).filter(|_| atoms > 2).min_by(|i, j| to_others(*i).total_cmp(&to_others(*j)))
}

/// The distance of two atoms in the unit of their positions.
fn distance(positions: &[f64], i: usize, j: usize) -> f64 {
    let square = |axis: usize| (positions[3 * i + axis] - positions[3 * j + axis]).powi(2);
    (0..3).map(square).sum::<f64>().sqrt()
}

/// The energies of the draft beside those of the file.
fn compared(simulation: &Simulation, facts: &Facts) -> Result<String, RunError> {
    let events = simulate(&for_training(simulation), COMPARED, 0)?;
    let mut energies: Vec<f64> = events
        .momenta
        .rows()
        .into_iter()
        .map(|momenta| HARTREE_EV * kinetic_energy_release(&facts.molecule, &momenta.to_vec()))
        .collect();
    energies.sort_by(f64::total_cmp);
    let at = |level: f64| energies[(level * (COMPARED - 1) as f64).round() as usize];
    let [low, median, high] = facts.energy_ev;
    let missed = if at(0.05) > low || at(0.95) < high {
        "; the file reaches beyond the draft: such events will be flagged, or need a wider law, other charges, or charging that takes time"
    } else {
        ""
    };
    Ok(format!(
        "kinetic energy release, 5, 50 and 95 %: {low:.2}, {median:.2}, {high:.2} eV in the file; {:.2}, {:.2}, {:.2} eV in the drafted simulation{missed}",
        at(0.05),
        at(0.5),
        at(0.95)
    ))
}

/// Drafts both configurations into `folder`, which is made where it is not there, as `simulation.toml` and
/// `experiment.toml`; gives their paths and the remarks.
///
/// # Errors
/// As [`draft`]; files of these names that are there already, a folder that cannot be written.
///
/// ```
/// use cei_run::draft::{DraftOptions, draft_to_folder};
///
/// // Two ions of charge 1, back to back, in atomic units.
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("momenta.txt");
/// let line = |p: f64| format!("{p} 0.5 0.1 {} -0.4 -0.2\n", 0.3 - p);
/// std::fs::write(&file, (0..50).map(|event| line(60.0 + f64::from(event))).collect::<String>())?;
/// let options = DraftOptions {
///     files: vec![file.to_string_lossy().into_owned()],
///     ions: vec!["C".to_owned(), "O".to_owned()],
///     charges: vec![1.0, 1.0],
///     unit: Some("au".parse()?),
///     ..DraftOptions::default()
/// };
/// let ([simulation, experiment], _) = draft_to_folder(&options, &folder.path().join("mine"))?;
/// assert!(simulation.exists() && experiment.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn draft_to_folder(
    options: &DraftOptions,
    folder: &Path,
) -> Result<([PathBuf; 2], Vec<String>), RunError> {
    let paths = ["simulation.toml", "experiment.toml"].map(|name| folder.join(name));
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(DraftError::Exists(path.clone()).into());
    }
    let named =
        DraftOptions { simulation: paths[0].to_string_lossy().into_owned(), ..options.clone() };
    let Draft { simulation, experiment, remarks } = draft(&named)?;
    std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    cei_files::write(&paths[0], simulation.as_bytes())?;
    cei_files::write(&paths[1], experiment.as_bytes())?;
    Ok((paths, remarks))
}
