//! Options that several commands share, one struct a group: what they are called, how they are checked, what they mean.

use std::path::{Path, PathBuf};

use cei_data::{CentreOfMass, ColumnRef, Comment, Decimal, Header, Separator, SumGate, SumOptions};
use cei_model::{Device, DeviceError, open_device};
use cei_run::config::{ExperimentError, read_text};
use cei_run::dataset::{ColumnOptions, GivenCharges, LaterTable, ReadingOptions};
use cei_run::presets::{self, EXPERIMENTS, Preset, SIMULATIONS};
use cei_run::shard::Shard;
use clap::builder::RangedU64ValueParser;
use clap::{Arg, Args};
use serde::de::DeserializeOwned;

use crate::slurm::{self, AskedShard, NoTask};

const READING: &str = "How text is read";
const COLUMNS: &str = "Columns of the file";
const SUMS: &str = "Momentum sum";

/// A configuration, and what is changed of it.
#[derive(Debug, Args)]
pub(crate) struct ConfigurationArgs {
    /// A configuration in TOML
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "preset",
        conflicts_with = "preset"
    )]
    pub(crate) config: Option<PathBuf>,
    /// A configuration that comes with the program
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Set a key, for example --set KEY=VALUE
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// [`ConfigurationArgs`] of a command that takes a simulation.
pub(crate) fn of_simulation(arg: Arg) -> Arg {
    let presets = format!("One that comes with the program: {}", presets::names(SIMULATIONS));
    in_words(arg, "The simulation", presets, "detector.momentum_noise_au=0.5")
}

/// [`ConfigurationArgs`] of a command that takes an experiment.
pub(crate) fn of_experiment(arg: Arg) -> Arg {
    let presets = format!("One that comes with the program: {}", presets::names(EXPERIMENTS));
    in_words(arg, "The experiment", presets, "training.max_epochs=100")
}

/// [`ConfigurationArgs`] of a command that takes both.
pub(crate) fn of_either(arg: Arg) -> Arg {
    let presets = format!(
        "One that comes with the program. Data sets: {}. Experiments: {}",
        presets::names(SIMULATIONS),
        presets::names(EXPERIMENTS)
    );
    in_words(arg, "The experiment or simulation", presets, "training.max_epochs=100")
}

fn in_words(arg: Arg, what: &str, presets: String, example: &str) -> Arg {
    match arg.get_id().as_str() {
        "config" => arg.help(format!("{what} in TOML")),
        "preset" => arg.help(presets),
        "overrides" => arg.help(format!("Set a key, for example --set {example}")),
        _ => arg,
    }
}

/// [`ConfigurationArgs`] of a command that is given its experiment as an argument, or goes on with that in its folder.
pub(crate) fn of_search(arg: Arg) -> Arg {
    let arg = of_experiment(arg);
    match arg.get_id().as_str() {
        "config" => arg
            .long(None::<&str>)
            .value_name("CONFIG")
            .required_unless_present_any(["preset", "output"])
            .help("The experiment in TOML, with `[sweep.over]`; by default that of the search in the folder"),
        _ => arg,
    }
}

/// [`ConfigurationArgs`] of a command that needs none with the option `other`.
pub(crate) fn or_else(arg: Arg, other: &'static str) -> Arg {
    if arg.get_id() == "config" { arg.required_unless_present(other) } else { arg }
}

/// The option `name` where it does not go with the option `other`.
pub(crate) fn not_with(arg: Arg, name: &str, other: &'static str) -> Arg {
    if arg.get_id() == name { arg.conflicts_with(other) } else { arg }
}

/// [`ShardArgs`] of a command that prints its table unless a file is named.
pub(crate) fn into_file(arg: Arg) -> Arg {
    if arg.get_id() == "shard" { arg.requires("output") } else { arg }
}

impl ConfigurationArgs {
    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.config.is_some() || self.preset.is_some()
    }

    /// What messages call it.
    pub(crate) fn origin(&self) -> String {
        match &self.config {
            Some(path) => format!("`{}`", path.display()),
            None => format!("preset `{}`", self.preset.as_deref().unwrap_or_default()),
        }
    }

    /// The folder that names of files in it are relative to.
    pub(crate) fn folder(&self) -> &Path {
        self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// Its text, where presets are found by `find`.
    pub(crate) fn text(
        &self,
        find: impl Fn(&str) -> Result<Preset, ExperimentError>,
    ) -> Result<String, ExperimentError> {
        match &self.config {
            Some(path) => read_text(path),
            None => Ok(find(self.preset.as_deref().unwrap_or_default())?.text.to_owned()),
        }
    }
}

/// How tables of text are read. For a trained run, what is not given is as its own table was read.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    /// Whether the first line names the columns
    #[arg(long, help_heading = READING, value_name = "auto|yes|no|commented", value_parser = word::<Header>)]
    header: Option<Header>,
    /// What separates the cells
    #[arg(long, help_heading = READING, value_name = "auto|comma|semicolon|tab|whitespace", value_parser = word::<Separator>)]
    separator: Option<Separator>,
    /// What lines begin with that are no rows: auto, none, or a sign such as %
    #[arg(long, help_heading = READING, value_name = "SIGN")]
    comment: Option<String>,
    /// The decimal sign
    #[arg(long, help_heading = READING, value_name = "auto|point|comma", value_parser = word::<Decimal>)]
    decimal: Option<Decimal>,
}

/// Which rows are left out.
#[derive(Debug, Args)]
pub(crate) struct RowArgs {
    /// Leave out rows with invalid cells, or cells far from all others, instead of failing; numbers of events count
    /// them too
    #[arg(long)]
    pub(crate) drop_invalid: bool,
}

/// Which columns of a file are those of a trained run.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// The momenta in the order of the run, by names or by indices from 0, where this file names them otherwise
    #[arg(help_heading = COLUMNS, long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// The charges of the ions in all events, in the order of the molecule, or unknown; for a run that is conditioned on
    /// charges, where the file has no columns of them
    #[arg(help_heading = COLUMNS, long, value_name = "CHARGES|unknown", value_parser = charges, allow_hyphen_values = true)]
    charges: Option<GivenCharges>,
    /// Set `columns.x`, `columns.y`, `columns.charges`, `columns.x_unit` or `columns.y_unit` for this file
    #[arg(help_heading = COLUMNS, long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// What is made of the momentum sum of each event.
#[derive(Debug, Args)]
pub(crate) struct SumArgs {
    /// Leave out events whose momentum sum is longer, in a.u.; or, by three numbers, larger along x, y or z. How many is
    /// told, and the others keep their numbers
    #[arg(long, help_heading = SUMS, value_name = "AU")]
    sum_gate: Option<SumGate>,
    /// The motion of the centre of mass is kept in the momenta, or removed: each ion loses its part `m/M` of the sum
    #[arg(long, help_heading = SUMS, value_name = "kept|removed", default_value = "kept")]
    centre_of_mass: CentreOfMass,
}

impl SumArgs {
    pub(crate) fn options(&self) -> SumOptions {
        SumOptions { gate: self.sum_gate, centre_of_mass: self.centre_of_mass }
    }

    /// These options as they are typed.
    pub(crate) fn typed(&self) -> String {
        let mut text = String::new();
        match self.sum_gate {
            None => {}
            Some(SumGate::Length(most)) => text.push_str(&format!(" --sum-gate {most}")),
            Some(SumGate::Axes([x, y, z])) => text.push_str(&format!(" --sum-gate {x},{y},{z}")),
        }
        if self.centre_of_mass == CentreOfMass::Removed {
            text.push_str(" --centre-of-mass removed");
        }
        text
    }
}

/// How a table is read that is given to a trained run.
#[derive(Debug, Args)]
pub(crate) struct LaterArgs {
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    columns: ColumnArgs,
}

/// Options that say how a table is read are for tables that another option names.
pub(crate) fn of_tables(arg: Arg, option: &'static str) -> Arg {
    match arg.get_help_heading() {
        Some(READING | COLUMNS | SUMS) => arg.requires(option),
        _ if arg.get_id() == "drop_invalid" => arg.requires(option),
        _ => arg,
    }
}

impl ReadingArgs {
    pub(crate) fn options(&self, drop_invalid: bool) -> ReadingOptions {
        ReadingOptions {
            header: self.header,
            separator: self.separator,
            comment: self.comment.clone().map(Comment::from),
            decimal: self.decimal,
            drop_invalid,
        }
    }
}

impl LaterArgs {
    /// The table of these files.
    pub(crate) fn table(&self, files: &[String]) -> LaterTable {
        LaterTable {
            files: files.to_vec(),
            reading: self.reading.options(self.rows.drop_invalid),
            columns: ColumnOptions {
                momenta: column_refs(&self.columns.columns),
                overrides: self.columns.overrides.clone(),
                charges: self.columns.charges.clone().unwrap_or_default(),
            },
        }
    }
}

/// Columns by name or index: digits alone are an index.
pub(crate) fn column_refs(names: &[String]) -> Vec<ColumnRef> {
    let column = |name: &String| match name.trim().parse::<usize>() {
        Ok(index) => index.into(),
        Err(_) => name.trim().to_owned().into(),
    };
    names.iter().map(column).collect()
}

/// Charges as numbers behind one another, or `unknown`.
fn charges(text: &str) -> Result<GivenCharges, String> {
    if text == "unknown" {
        return Ok(GivenCharges::Unknown);
    }
    let number = |cell: &str| {
        let value = cell.trim().parse::<f64>().ok().filter(|charge| charge.is_finite());
        value.ok_or_else(|| {
            format!("`{cell}` is no charge\nhint: as `--charges 1,1,2`, or `--charges unknown`")
        })
    };
    text.split(',').map(number).collect::<Result<_, _>>().map(GivenCharges::All)
}

/// A word that a configuration knows.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = toml::Value::String(text.to_owned());
    value.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// A trained run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
}

/// [`RunArgs`] of a command that needs a density.
pub(crate) fn of_flow(arg: Arg) -> Arg {
    // `mut_arg` would make this argument the last one.
    if arg.get_id() == "run" { arg.help("Run folder of a cINN") } else { arg }
}

/// What computes.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Device: cpu, ndarray, cuda:0, ... (see `cei devices`)
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
}

impl DeviceArgs {
    /// The device, if it is there.
    pub(crate) fn open(&self) -> Result<Device, DeviceError> {
        open_device(&self.device)
    }
}

/// What random numbers follow from.
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// Seed of all that is drawn at random
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Seeds that are kept in TOML, whose integers have a sign.
pub(crate) fn kept_seed() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(..=i64::MAX as u64)
}

/// What results are printed as.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is printed beside results.
#[derive(Debug, Args)]
pub(crate) struct QuietArgs {
    /// Print no progress, only results, warnings and errors
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Whether a work is only tried.
#[derive(Debug, Args)]
pub(crate) struct DryRunArgs {
    /// Write nothing: try the work for a few seconds, and say how many rows and steps it has, and how much time and memory it
    /// will take
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which part of a work is done.
#[derive(Debug, Args)]
pub(crate) struct ShardArgs {
    /// Do one part of the work, for example 2/8 for the second of eight; `slurm`: the part of this task of an array of Slurm
    #[arg(long, value_name = "I/N|slurm", value_parser = AskedShard::parse)]
    shard: Option<AskedShard>,
}

impl ShardArgs {
    /// Whether a part is asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.shard.is_some()
    }

    /// The part; none if all of the work is asked for.
    ///
    /// # Errors
    /// An environment that is none of a task of an array.
    pub(crate) fn shard(&self) -> Result<Option<Shard>, NoTask> {
        match &self.shard {
            None => Ok(None),
            Some(AskedShard::Given(shard)) => Ok(Some(*shard)),
            Some(AskedShard::Slurm) => slurm::shard(|name| std::env::var(name).ok()).map(Some),
        }
    }
}
