//! What can be typed. Parsing checks the form of the arguments and never acts.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use cei_data::{ColumnRef, Comment, Decimal, Header, MomentumUnit, PositionUnit, Separator};
use cei_run::dataset::{ColumnOptions, ReadingOptions};
use clap::builder::RangedU64ValueParser;
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::de::DeserializeOwned;

/// Coulomb explosion imaging run backwards: from measured ion momenta to the molecule's geometry
/// before the explosion, with its uncertainty.
#[derive(Debug, Parser)]
#[command(name = "cei", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Seeds that are kept in TOML, whose integers have a sign.
fn seed() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(..=i64::MAX as u64)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate Coulomb explosions into a table of positions and momenta
    Simulate(SimulateArgs),
    /// Say what a table holds: columns, units, dead columns, rank, momentum sum, kinetic energy
    Inspect(InspectArgs),
    /// Train a model into a run folder
    Train(TrainArgs),
    /// Score a trained run on rows that it has not seen
    Evaluate(EvaluateArgs),
    /// Infer positions from a file of momenta
    Predict(PredictArgs),
    /// Give the exact log-density log p(x | y) of every row of a table
    LogProb(LogProbArgs),
    /// Set evaluated runs side by side, with baselines and floors
    Compare(CompareArgs),
    /// Test whether the posterior of a run is calibrated, with figures
    Calibrate(CalibrateArgs),
    /// Tell two files of samples apart by a classifier: 0.5 where nothing tells them apart
    C2st(C2stArgs),
    /// Print a complete resolved configuration
    Config(ConfigArgs),
    /// List the devices that are compiled in and present
    Devices(JsonArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| of_tables(arg, "positions")))]
pub(crate) struct SimulateArgs {
    /// A data set that comes with the program: ocs-reference, ocs-wide, ocs-wide-fine, chbrclf
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    pub(crate) preset: Option<String>,
    /// A simulation in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Number of events; by default that of the simulation
    #[arg(long, value_name = "N", conflicts_with = "positions")]
    pub(crate) events: Option<usize>,
    /// Seed; by default that of the simulation
    #[arg(long, value_name = "S", value_parser = seed())]
    pub(crate) seed: Option<u64>,
    /// Explode the geometries of this file (columns of a CSV or Parquet file, or multi-frame XYZ)
    /// instead of drawing them
    #[arg(long, value_name = "FILE")]
    pub(crate) positions: Option<PathBuf>,
    /// Unit of the columns of --positions, bohr by default: bohr, angstrom, pm, nm, or a multiple of one, for example
    /// "1e-3 bohr" (XYZ files are in angstrom)
    #[arg(long, value_name = "UNIT", requires = "positions")]
    pub(crate) position_unit: Option<PositionUnit>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Set a key of the simulation, for example --set detector.momentum_noise_au=0.5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Output file, .csv or .parquet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How tables of text are read. For a trained run, what is not given is as its own table was read.
#[derive(Debug, Clone, Args)]
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

/// Which columns of a file are those of a trained run.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// The momenta in the order of the run, by names or by indices from 0, where this file names them otherwise
    #[arg(help_heading = COLUMNS, long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Set `columns.x`, `columns.y`, `columns.x_unit` or `columns.y_unit` for this file
    #[arg(help_heading = COLUMNS, long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

const READING: &str = "How text is read";
const COLUMNS: &str = "Columns of the file";

/// Options of the two groups above are for tables that another option names.
fn of_tables(arg: Arg, option: &'static str) -> Arg {
    match arg.get_help_heading() {
        Some(READING | COLUMNS) => arg.requires(option),
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

impl ColumnArgs {
    pub(crate) fn options(&self) -> ColumnOptions {
        ColumnOptions { momenta: column_refs(&self.columns), overrides: self.overrides.clone() }
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

/// A word that a configuration knows.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = toml::Value::String(text.to_owned());
    value.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InspectArgs {
    /// CSV or Parquet files, or globs of them
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// Take columns, units, separator and molecule from this experiment; a table of momenta alone needs no positions
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Momentum columns, by name or 0-based index, three an ion; by default told from names
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Unit of the momenta: au, kg m/s, or a multiple of one, for example "1e-22 kg m/s"; by default guessed
    #[arg(long, value_name = "UNIT")]
    pub(crate) unit: Option<MomentumUnit>,
    /// Position columns, by name or 0-based index, three an atom; by default told from names
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) position_columns: Vec<String>,
    /// Unit of the positions: bohr, angstrom, pm, nm, or a multiple of one; by default guessed
    #[arg(long, value_name = "UNIT")]
    pub(crate) position_unit: Option<PositionUnit>,
    /// Ions in the order of the momenta, for the kinetic energy release, for example O,C,S or 16O,C,S
    #[arg(long, value_name = "ATOMS", value_delimiter = ',')]
    pub(crate) molecule: Vec<String>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The experiment in TOML
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["preset", "resume"],
        conflicts_with = "preset"
    )]
    pub(crate) config: Option<PathBuf>,
    /// An experiment that comes with the program (see `cei config --help`)
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Table of positions and momenta (CSV, Parquet or a glob); by default that of the experiment
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<String>,
    /// Set a key of the experiment, for example --set training.max_epochs=100
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Run folder
    #[arg(short, long, value_name = "RUN")]
    pub(crate) output: PathBuf,
    /// Continue the training in the run folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Device: cpu, ndarray, cuda:0, ... (see `cei devices`)
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
    /// Seed of weights, order of rows and noise
    #[arg(long, value_name = "S", value_parser = seed())]
    pub(crate) seed: Option<u64>,
    /// Train K models with consecutive seeds and use them as one mixture
    #[arg(long, value_name = "K")]
    pub(crate) ensemble: Option<NonZeroUsize>,
    /// Leave out rows with invalid cells, or cells far from all others, and count them, instead of failing
    #[arg(long)]
    pub(crate) drop_invalid: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but warnings and errors
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How the scores are defined, where programs differ.
const SCORES: &str = "\
CRPS and energy score are the fair estimators (unbiased in the number of draws m). The plain ones, which other
programs give by default, divide by m^2: a calibrated posterior scores 1 + 1/m times as high there. RMSE of bond
lengths and angles is that of the posterior mean. The displacement per atom is a mean distance, not a root mean
square. In JSON, infinities and NaN are the strings \"inf\", \"-inf\" and \"nan\"; what does not apply is absent.";

#[derive(Debug, Args)]
#[command(after_help = SCORES, mut_args(|arg| of_tables(arg, "data")))]
pub(crate) struct EvaluateArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Score this table of positions and momenta instead of the run's own
    #[arg(long, value_name = "FILE", conflicts_with = "split")]
    pub(crate) data: Vec<String>,
    /// Which rows of the run's own table
    #[arg(long, value_name = "ROWS", default_value = "test")]
    pub(crate) split: SplitArg,
    /// Draws of each event; by default those of the experiment
    #[arg(long, value_name = "K")]
    pub(crate) draws: Option<usize>,
    /// Seed of the draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Leave out rows of --data with invalid cells, and count them, instead of failing
    #[arg(long, requires = "data")]
    pub(crate) drop_invalid: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    /// Device: cpu, ndarray, cuda:0, ...
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SplitArg {
    /// The test part
    Test,
    /// All rows, those that the model was trained on included
    All,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Momenta, with the column names of the training table; positions are not needed
    #[arg(value_name = "MOMENTA_FILE")]
    pub(crate) momenta: String,
    /// Draws of each event; with --refine and without noise only searches begin there, and the file holds the
    /// geometries found
    #[arg(short = 'n', long, value_name = "DRAWS", default_value_t = 1000)]
    pub(crate) draws: usize,
    /// File for the draws, .csv or .parquet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// File for mean, standard deviation and quantiles of each event, .csv or .parquet
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Let the simulator correct the draws: importance weights with declared noise, exact roots without
    #[arg(long)]
    pub(crate) refine: bool,
    /// File for the geometries that explain each event best, with their weights where there is noise, .csv or
    /// .parquet
    #[arg(long, value_name = "FILE", requires = "refine")]
    pub(crate) modes: Option<PathBuf>,
    /// File for draws of a Markov chain of each event, a reference by another method (half a minute for
    /// each event; needs noise), .csv or .parquet
    #[arg(long, value_name = "FILE", requires = "refine")]
    pub(crate) chain: Option<PathBuf>,
    /// Seed of the draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Leave out rows with invalid cells instead of failing; `event` counts them too
    #[arg(long)]
    pub(crate) drop_invalid: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    /// Device: cpu, ndarray, cuda:0, ...
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress, only warnings and counts of flagged events
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogProbArgs {
    /// Run folder of a cINN
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Tables of positions and momenta, with the column names of the training table
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// File for the log-densities, .csv or .parquet; by default they are printed as CSV
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Leave out rows with invalid cells instead of failing; `event` counts them too
    #[arg(long)]
    pub(crate) drop_invalid: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    /// Device: cpu, ndarray, cuda:0, ...
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
    /// Print one JSON object instead of CSV
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = SCORES)]
pub(crate) struct CompareArgs {
    /// Evaluated run folders
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Test events at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) events: usize,
    /// Draws of each event; one less than a multiple of 20 gives equal bins
    #[arg(long, value_name = "L", default_value_t = 199)]
    pub(crate) draws: usize,
    /// Test the draws that the simulator has refined, as `cei predict --refine` gives them
    #[arg(long)]
    pub(crate) refine: bool,
    /// Seed of draws and references
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Error rate: how often an exact posterior may fail each family of tests
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) level: f64,
    /// Folder for calibration.json and figures; by default the run folder
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// Device: cpu, ndarray, cuda:0, ...
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub(crate) device: String,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Both samples are scaled by mean and standard deviation of the second, B, so that `c2st A B` and `c2st B A` differ a little. C2ST has no other side: 0.5 is best, 1 is worst."
)]
pub(crate) struct C2stArgs {
    /// The sample, CSV or Parquet; rows of several events are matched by the column `event`
    #[arg(value_name = "A")]
    pub(crate) sample: PathBuf,
    /// The reference; its mean and standard deviation scale the columns of both
    #[arg(value_name = "B")]
    pub(crate) reference: PathBuf,
    /// Columns to compare, for example --columns cx,cy; by default all that both files have
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Seed of folds, weights and batches
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Error rate: how often two samples of one law may fail
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) level: f64,
    /// Folder for c2st.json and the figure; nothing is written by default
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// A configuration to resolve: an experiment or a simulation
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["preset", "reference"],
        conflicts_with = "preset"
    )]
    pub(crate) config: Option<PathBuf>,
    /// One that comes with the program. Data sets: ocs-reference, ocs-wide, ocs-wide-fine, chbrclf.
    /// Experiments: reference-cvae, reference-cvae-mean, reference-cinn, gauge-fixed-cvae,
    /// gauge-fixed-cinn, gauge-fixed-spline, gauge-fixed-sigma-vae, wide-cvae, wide-cinn, wide-spline,
    /// wide-sigma-vae, chbrclf-spline
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Set a key, for example --set training.max_epochs=100
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Print every key that there is, with type, default, unit, range and meaning, as Markdown
    #[arg(long, conflicts_with_all = ["config", "preset", "overrides"])]
    pub(crate) reference: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}
