//! What can be typed. Parsing checks the form of the arguments and never acts.

mod examples;
mod shared;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use cei_data::{MomentumUnit, MotionUnit, PositionUnit};
use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use shared::{
    ConfigurationArgs, DeviceArgs, DryRunArgs, LaterArgs, QuietArgs, ReadingArgs, RowArgs, RunArgs,
    SeedArgs, ShardArgs, SumArgs, into_file, kept_seed, not_with, of_either, of_experiment,
    of_flow, of_search, of_simulation, of_tables, or_else,
};
pub(crate) use shared::{FormatArgs, column_refs};

use crate::version;

/// Coulomb explosion imaging run backwards: from measured ion momenta to the molecule's geometry
/// before the explosion, with its uncertainty.
#[derive(Debug, Parser)]
#[command(
    name = "cei",
    version = version::short(),
    long_version = version::long(),
    max_term_width = 100,
    after_help = "`cei help COMMAND` and `cei COMMAND --help` show the options of a command, with examples."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Threads that compute; by default RAYON_NUM_THREADS, or as many as the process may use at once
    #[arg(long, global = true, value_name = "N", display_order = 900, value_parser = RangedU64ValueParser::<u16>::new().range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// The command line as help, man pages and completions show it.
pub(crate) fn command() -> clap::Command {
    examples::with_examples(Cli::command())
}

/// What was typed.
///
/// # Errors
/// Arguments that are none, or that do not fit; and where help or the version is asked for.
pub(crate) fn parse_from(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate Coulomb explosions into a table of positions and momenta
    Simulate(SimulateArgs),
    /// Say what a table holds: columns, units, dead columns, rank, momentum sum, kinetic energy
    Inspect(InspectArgs),
    /// Train a model into a run folder
    Train(TrainArgs),
    /// Search for better hyper-parameters of an experiment
    Sweep(SweepArgs),
    /// Score a trained run on rows that it has not seen
    Evaluate(EvaluateArgs),
    /// Infer positions from a file of momenta
    Predict(PredictArgs),
    /// Infer the distribution of geometries in a sample, from the posteriors of all its events at once
    Population(PopulationArgs),
    /// Give the exact log-density log p(x | y) of every row of a table
    LogProb(LogProbArgs),
    /// Make one table of the shards of many processes, in the bytes of a single one
    Merge(MergeArgs),
    /// Write one page about runs, to look at and to mail, with figures and numbers
    Report(ReportArgs),
    /// Set evaluated runs side by side, with baselines and floors
    Compare(CompareArgs),
    /// Test whether the posterior of a run is calibrated, with figures
    Calibrate(CalibrateArgs),
    /// Test whether the declared simulation describes a whole file of momenta, with figures
    Check(CheckArgs),
    /// Tell two files of samples apart by a classifier: 0.5 where nothing tells them apart
    C2st(C2stArgs),
    /// Print a complete resolved configuration
    Config(ConfigArgs),
    /// List the devices that are compiled in and present
    Devices(DevicesArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the man page of a command, or write those of all
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Train on each device for a few seconds, and say how many steps it takes a second
    #[arg(long)]
    pub(crate) time: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| of_simulation(of_tables(arg, "positions"))))]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArgs,
    /// Number of events; by default that of the simulation
    #[arg(long, value_name = "N", conflicts_with = "positions")]
    pub(crate) events: Option<usize>,
    /// Seed; by default that of the simulation
    #[arg(long, value_name = "S", value_parser = kept_seed())]
    pub(crate) seed: Option<u64>,
    /// Explode the geometries of this file (columns of a CSV or Parquet file, multi-frame XYZ, initial conditions of
    /// SHARC or Newton-X) instead of drawing them; ions start with the velocities or momenta that the file has
    #[arg(long, value_name = "FILE")]
    pub(crate) positions: Option<PathBuf>,
    /// Unit of the columns of --positions, bohr by default: bohr, angstrom, pm, nm, or a multiple of one, for example
    /// "1e-3 bohr" (XYZ files are in angstrom)
    #[arg(long, value_name = "UNIT", requires = "positions")]
    pub(crate) position_unit: Option<PositionUnit>,
    /// Columns of --positions with the momenta or velocities with which the ions start, three an atom in the order of
    /// the molecule; by default `initial_pcx`, ... if the table has them
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "positions")]
    pub(crate) motion_columns: Vec<String>,
    /// Unit of the momenta (au, kg m/s, u angstrom/fs, sqrt(u eV)) or velocities (bohr/au, bohr/fs, angstrom/fs,
    /// angstrom/ps, nm/ps, m/s, km/s, sqrt(eV/u)) of --positions, or a multiple of one; by default what the format says,
    /// or a guess that is told
    #[arg(long, value_name = "UNIT", requires = "positions")]
    pub(crate) motion_unit: Option<MotionUnit>,
    /// Leave velocities and momenta of --positions out: the ions start at rest
    #[arg(long, requires = "positions", conflicts_with_all = ["motion_columns", "motion_unit"])]
    pub(crate) at_rest: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Write the momenta with which the ions start, too (columns `initial_pcx`, ..., a.u.)
    #[arg(long)]
    pub(crate) initial_momenta: bool,
    /// Output file, .csv or .parquet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
    #[command(flatten)]
    pub(crate) trial: DryRunArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
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
    #[arg(long, visible_alias = "molecule", value_name = "IONS", value_delimiter = ',')]
    pub(crate) ions: Vec<String>,
    /// Their charges, for example 1,1,1: the kinetic energy release is set beside that of point charges
    #[arg(long, value_name = "CHARGES", value_delimiter = ',', requires = "ions")]
    pub(crate) charges: Vec<f64>,
    /// The geometry of the point charges (XYZ of one frame)
    #[arg(long, value_name = "FILE", requires = "charges")]
    pub(crate) geometry: Option<PathBuf>,
    /// Draw kinetic energies, momentum sums, angles, Newton, Dalitz and native-frame plots into this folder, as SVG, PNG and
    /// CSV
    #[arg(long, value_name = "FOLDER")]
    pub(crate) figures: Option<PathBuf>,
    /// Ions of Newton plots (the one to the right, the one above), and a third for Dalitz and native-frame plots of more than
    /// three ions; by default two alike beside the third, or the heaviest
    #[arg(long, value_name = "IONS", value_delimiter = ',', requires = "figures")]
    pub(crate) figure_ions: Vec<String>,
    #[command(flatten)]
    pub(crate) sums: SumArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| of_experiment(or_else(not_with(arg, "dry_run", "resume"), "resume"))))]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArgs,
    /// Table of positions and momenta (CSV, Parquet or a glob); by default that of the experiment
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<String>,
    /// Run folder
    #[arg(short, long, value_name = "RUN")]
    pub(crate) output: PathBuf,
    /// Continue the training in the run folder
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    /// Seed of weights, order of rows and noise
    #[arg(long, value_name = "S", value_parser = kept_seed())]
    pub(crate) seed: Option<u64>,
    /// Train K models with consecutive seeds and use them as one mixture
    #[arg(long, value_name = "K")]
    pub(crate) ensemble: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) trial: DryRunArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

/// What a sweep needs and leaves.
const SWEEP: &str = "\
The experiment says what is searched over:
  [sweep.over]
  training.learning_rate = { low = 1e-4, high = 1e-2, log = true }
  model.couplings = { low = 4, high = 16 }
  training.batch_size = [128, 256, 512]

In the folder: trial-001, ... (run folders), trials.csv, best.toml for `cei train --config`, figures/sweep.png. The same command
goes on with a search that was interrupted, or that shall have more trials; it finds what it would have found at once,
however many trials run at a time.";

#[derive(Debug, Args)]
#[command(after_help = SWEEP, mut_args(of_search))]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArgs,
    /// Trials, the first of which is the experiment as it is; by default `sweep.trials`
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<NonZeroUsize>,
    /// Trials that are trained at a time, each with its part of the cores; at most `sweep.batch`
    #[arg(short, long, value_name = "J", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
    /// Table of positions and momenta (CSV, Parquet or a glob); by default that of the experiment
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<String>,
    /// Folder of the search; one that holds a search is gone on with
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
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
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Score this table of positions and momenta instead of the run's own
    #[arg(long, value_name = "FILE", conflicts_with = "split")]
    pub(crate) data: Vec<String>,
    /// Which rows of the run's own table
    #[arg(long, value_name = "ROWS", default_value = "test")]
    pub(crate) split: SplitArg,
    /// Draws of each event; by default those of the experiment
    #[arg(long, value_name = "K")]
    pub(crate) draws: Option<usize>,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SplitArg {
    /// The test part
    Test,
    /// All rows, those that the model was trained on included
    All,
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| not_with(arg, "shard", "report")))]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Momenta, with the column names of the training table; positions are not needed
    #[arg(value_name = "MOMENTA_FILE")]
    pub(crate) momenta: String,
    /// Draws of each event; with --refine and without noise only searches begin there, and the file holds the
    /// geometries found
    #[arg(short = 'n', long, value_name = "DRAWS", default_value_t = 1000)]
    pub(crate) draws: usize,
    /// File for the draws, .csv, .parquet or .xyz (a frame for each draw, in angstrom)
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
    /// Tell the momenta with which ions that move start, too, as columns of draws, summary and modes
    #[arg(long, requires = "refine")]
    pub(crate) initial_momenta: bool,
    /// Tell how probable it is that the ions of each event come from one molecule, as `p_true` in the summary: by the
    /// evidence, against that of ions of different events that are mixed (needs noise)
    #[arg(long, requires = "refine")]
    pub(crate) false_coincidences: bool,
    /// Other events, with the same columns, whose ions are mixed for that; by default those of the file itself
    #[arg(long, value_name = "FILE", requires = "false_coincidences")]
    pub(crate) background: Option<String>,
    /// File for draws of a Markov chain of each event, a reference by another method (half a minute for
    /// each event; needs noise), .csv or .parquet
    #[arg(long, value_name = "FILE", requires = "refine")]
    pub(crate) chain: Option<PathBuf>,
    /// One page (HTML) about the file and the run: what was inferred, single events, momenta, with figures and their
    /// numbers
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Events that the page shows alone, by row of the file from 0; by default flagged, typical and wide ones
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', requires = "report")]
    pub(crate) report_events: Vec<u64>,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
    #[command(flatten)]
    pub(crate) sums: SumArgs,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) trial: DryRunArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PopulationArgs {
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Momenta (files or globs), with the column names of the training table; positions are not needed
    #[arg(value_name = "MOMENTA_FILE", required = true)]
    pub(crate) momenta: Vec<String>,
    /// One curve for each value of this column, for example of the delay; of more than 30 numbers for each of ten bins of
    /// equally many events
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Option<String>,
    /// The column with the probability that such an event is recorded; by default all are as likely, and the distribution is
    /// that of the recorded events
    #[arg(long, value_name = "COLUMN")]
    pub(crate) efficiency: Option<String>,
    /// Tell false coincidences, and infer how frequent they are with the population, which then counts each event by how probable it is none
    #[arg(long)]
    pub(crate) false_coincidences: bool,
    /// Mix the ions of this file's events, and not of the events themselves
    #[arg(long, value_name = "FILE", requires = "false_coincidences")]
    pub(crate) background: Option<String>,
    /// Refined draws of each event
    #[arg(short = 'n', long, value_name = "DRAWS", default_value_t = 1000)]
    pub(crate) draws: usize,
    /// Samples of the events drawn anew, for the bands; 20 at least
    #[arg(long, value_name = "B", default_value_t = 200)]
    pub(crate) bootstraps: usize,
    /// The part of these that bands and intervals hold
    #[arg(long, value_name = "LEVEL", default_value_t = 0.9)]
    pub(crate) level: f64,
    /// Folder for curves, summary, figure and draws; draws of the same events that are there already are not made again
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
    #[command(flatten)]
    pub(crate) sums: SumArgs,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| of_flow(into_file(arg))))]
pub(crate) struct LogProbArgs {
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Tables of positions and momenta, with the column names of the training table
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// File for the log-densities, .csv or .parquet; by default they are printed as CSV
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// What shards are.
const SHARDS: &str = "\
A shard is a table that was written with --shard, and what stands beside it. They may be given in any order, and one may be given
twice. What is missing, what differs and what is of another work is refused by name. Draws, summary and modes of `cei predict`
are merged one by one.";

#[derive(Debug, Args)]
#[command(after_help = SHARDS)]
pub(crate) struct MergeArgs {
    /// All shards of one table
    #[arg(value_name = "SHARD", required = true)]
    pub(crate) shards: Vec<PathBuf>,
    /// The table, with the extension of its shards
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folders; what `cei evaluate` and `cei calibrate` found is shown if it is there
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page (HTML)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Test events that are shown alone, by row of the table from 0; by default flagged, typical, wide and distant ones
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    pub(crate) events: Vec<u64>,
    /// Do not let the simulator search for the geometries that explain the events that are shown alone
    #[arg(long)]
    pub(crate) no_modes: bool,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
#[command(after_help = SCORES, mut_args(|arg| of_tables(arg, "data")))]
pub(crate) struct CompareArgs {
    /// Run folders; evaluated ones without --data
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Weigh the runs by what each makes of these measured momenta, instead of setting their evaluations side by side: by
    /// the evidence of every event, of all, and as parts of a mixture
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<String>,
    /// File for the evidences and probabilities of each event, .csv or .parquet
    #[arg(short, long, value_name = "FILE", requires = "data")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Test events at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) events: usize,
    /// Draws of each event; one less than a multiple of 20 gives equal bins
    #[arg(long, value_name = "L", default_value_t = 199)]
    pub(crate) draws: usize,
    /// Test the draws that the simulator has refined, as `cei predict --refine` gives them
    #[arg(long)]
    pub(crate) refine: bool,
    /// Refine as if the charges of the ions were not known, and test the inferred charge states too
    #[arg(long, requires = "refine")]
    pub(crate) unknown_charges: bool,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    /// Error rate: how often an exact posterior may fail each family of tests
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) level: f64,
    /// Folder for calibration.json and figures; by default the run folder
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) trained: RunArgs,
    /// Momenta (files or globs), with the column names of the training table; positions are not needed
    #[arg(value_name = "MOMENTA_FILE", required = true)]
    pub(crate) momenta: Vec<String>,
    /// Events at most, chosen at random: from one half the geometries are inferred, the other is tested
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) events: usize,
    /// Refined draws of each event
    #[arg(short = 'n', long, value_name = "DRAWS", default_value_t = 400)]
    pub(crate) draws: usize,
    /// Error rate: how often momenta of the declared simulation may fail
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) level: f64,
    /// Folder for check.json and figures; neither is written without
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    #[command(flatten)]
    pub(crate) later: LaterArgs,
    #[command(flatten)]
    pub(crate) compute: DeviceArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) progress: QuietArgs,
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
    #[command(flatten)]
    pub(crate) random: SeedArgs,
    /// Error rate: how often two samples of one law may fail
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) level: f64,
    /// Folder for c2st.json and the figure; nothing is written by default
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
#[command(mut_args(|arg| of_either(or_else(or_else(of_tables(arg, "from"), "reference"), "from"))))]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArgs,
    /// Print every key that there is, with type, default, unit, range and meaning, as Markdown
    #[arg(long, conflicts_with_all = ["config", "preset", "overrides"])]
    pub(crate) reference: bool,
    #[command(flatten)]
    pub(crate) draft: DraftArgs,
    #[command(flatten)]
    pub(crate) sums: SumArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// A draft of a simulation and an experiment for a file of momenta.
#[derive(Debug, Args)]
#[command(next_help_heading = "A draft for measured momenta")]
pub(crate) struct DraftArgs {
    /// Draft a simulation and an experiment for this file of momenta
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "preset", "overrides", "reference"], requires_all = ["ions", "charges", "folder"])]
    pub(crate) from: Vec<String>,
    /// The ions in the order of the momenta: elements or isotopes, for example O,C,S
    #[arg(long, value_name = "IONS", value_delimiter = ',', requires = "from")]
    pub(crate) ions: Vec<String>,
    /// Their charges, for example 1,1,1
    #[arg(long, value_name = "CHARGES", value_delimiter = ',', requires = "from")]
    pub(crate) charges: Vec<f64>,
    /// Unit of the momenta: au, kg m/s, or a multiple of one, for example "1e-22 kg m/s"; by default guessed
    #[arg(long, value_name = "UNIT", requires = "from")]
    pub(crate) unit: Option<MomentumUnit>,
    /// Momentum columns, by name or 0-based index, three an ion; by default told from names, or all
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "from")]
    pub(crate) columns: Vec<String>,
    /// A geometry that the molecule is near to (XYZ of one frame); without it ions may be anywhere in a sphere
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) geometry: Option<PathBuf>,
    /// Folder for simulation.toml and experiment.toml
    #[arg(short = 'o', long = "output", value_name = "FOLDER", requires = "from")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command; by default `cei` as a whole
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub(crate) command: Option<String>,
    /// Folder for the pages of all commands: cei.1, cei-train.1, ...
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}
