//! `cei-bench problem ...`: pairs to train on, observations, exact draws and scores, as tables and JSON.

use std::error::Error;
use std::path::{Path, PathBuf};

use cei_data::{ColumnData, PositionUnit, Selection, Source, load, write_table};
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde_json::json;

use super::{PROBLEMS, Problem};

const USAGE: &str = "usage:
  cei-bench problem describe NAME
  cei-bench problem generate NAME --pairs N --seed S -o FILE
  cei-bench problem observations NAME [--count N] -o FILE
  cei-bench problem reference NAME [--observation I] [--count N] --draws N -o FILE
  cei-bench problem score inverse_kinematics [--count N] --draws-file FILE";

/// What was asked for, as given.
#[derive(Debug, Default)]
struct Options {
    pairs: Option<usize>,
    seed: u64,
    observation: Option<usize>,
    count: usize,
    draws: Option<usize>,
    draws_file: Option<String>,
    output: Option<PathBuf>,
}

/// Runs what stands behind `cei-bench problem`.
///
/// # Errors
/// An unknown action, problem or option; a file that cannot be read or written.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [action, name, options @ ..] = arguments else { return Err(USAGE.into()) };
    let problem = PROBLEMS.iter().find(|problem| problem.name == name).ok_or_else(|| {
        let names: Vec<&str> = PROBLEMS.iter().map(|problem| problem.name).collect();
        format!("unknown problem `{name}`\nhint: there are {}", names.join(", "))
    })?;
    let options = Options::parse(options)?;
    match action.as_str() {
        "describe" => describe(problem),
        "generate" => generate(problem, &options),
        "observations" => observations(problem, &options),
        "reference" => reference(problem, &options),
        "score" => score(problem, &options),
        _ => Err(format!("unknown action `{action}`\n{USAGE}").into()),
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self { count: 10, ..Self::default() };
        for pair in arguments.chunks(2) {
            let [key, value] = pair else {
                return Err(format!("`{}` has no value\n{USAGE}", pair[0]).into());
            };
            let number = || {
                let invalid = |_| format!("`{key} {value}`: `{value}` is no whole number");
                value.parse::<usize>().map_err(invalid)
            };
            match key.as_str() {
                "--pairs" => options.pairs = Some(number()?),
                "--seed" => options.seed = number()? as u64,
                "--observation" => options.observation = Some(number()?),
                "--count" => options.count = number()?,
                "--draws" => options.draws = Some(number()?),
                "--draws-file" => options.draws_file = Some(value.clone()),
                "-o" | "--output" => options.output = Some(value.into()),
                _ => return Err(format!("unknown option `{key}`\n{USAGE}").into()),
            }
        }
        Ok(options)
    }

    fn output(&self) -> Result<&Path, Box<dyn Error>> {
        self.output.as_deref().ok_or_else(|| format!("`-o FILE` is missing\n{USAGE}").into())
    }

    fn draws(&self) -> Result<usize, Box<dyn Error>> {
        self.draws.ok_or_else(|| format!("`--draws N` is missing\n{USAGE}").into())
    }
}

fn describe(problem: &Problem) -> Result<(), Box<dyn Error>> {
    let (x, y) = problem.dimensions;
    print(&json!({ "name": problem.name, "x": x, "y": y, "bounds": problem.bounds }))
}

fn generate(problem: &Problem, options: &Options) -> Result<(), Box<dyn Error>> {
    let pairs = options.pairs.ok_or_else(|| format!("`--pairs N` is missing\n{USAGE}"))?;
    let (x, y) = problem.pairs(pairs, options.seed);
    let mut columns = columns("x", &x);
    columns.extend(self::columns("y", &y));
    Ok(write_table(options.output()?, columns)?)
}

fn observations(problem: &Problem, options: &Options) -> Result<(), Box<dyn Error>> {
    Ok(write_table(options.output()?, columns("y", &problem.observations(options.count)))?)
}

/// `event`, `draw` and `x` as `cei predict` writes them; the events are all observations, or the one asked for.
fn reference(problem: &Problem, options: &Options) -> Result<(), Box<dyn Error>> {
    let draws = options.draws()?;
    let y = problem.observations(options.count);
    let events = match options.observation {
        Some(event) if event >= y.nrows() => {
            return Err(
                format!("there are {} observations, from 0; `{event}` is none", y.nrows()).into()
            );
        }
        Some(event) => vec![event],
        None => (0..y.nrows()).collect(),
    };
    let each: Vec<Array2<f64>> = events
        .par_iter()
        .map(|&event| problem.reference(&y.row(event).to_vec(), event, draws))
        .collect();
    let mut x = Array2::zeros((0, problem.dimensions.0));
    for draws in &each {
        x.append(Axis(0), draws.view())?;
    }
    let event = events.iter().flat_map(|&event| std::iter::repeat_n(event as u64, draws));
    let mut table = vec![
        ("event".to_owned(), ColumnData::U64(event.collect())),
        ("draw".to_owned(), ColumnData::U32(events.iter().flat_map(|_| 0..draws as u32).collect())),
    ];
    table.extend(columns("x", &x));
    Ok(write_table(options.output()?, table)?)
}

fn score(problem: &Problem, options: &Options) -> Result<(), Box<dyn Error>> {
    if problem.name != "inverse_kinematics" {
        return Err(format!("`{}` is scored by `cei c2st`, not here", problem.name).into());
    }
    let file = options
        .draws_file
        .as_ref()
        .ok_or_else(|| format!("`--draws-file FILE` is missing\n{USAGE}"))?;
    let selection = Selection {
        x: (1..=problem.dimensions.0).map(|column| format!("x{column}").into()).collect(),
        y: vec!["event".into()],
        x_unit: PositionUnit::None,
        ..Selection::default()
    };
    let table = load(&Source::file(file.as_str()), &selection)?;
    let y = problem.observations(options.count);
    let each = table.rows() / y.nrows();
    let in_order = (0..table.rows()).all(|row| table.y[[row, 0]] as usize == row / each.max(1));
    if each < 2 || each * y.nrows() != table.rows() || !in_order {
        return Err(format!(
            "`{file}` must hold equally many draws, at least 2, of each of {} observations, in order",
            y.nrows()
        )
        .into());
    }
    print(&serde_json::to_value(super::score::score(problem, &y, &table.x))?)
}

/// `side1`, `side2`, ...: one column each.
fn columns(side: &str, rows: &Array2<f64>) -> Vec<(String, ColumnData)> {
    let column = |(index, values): (usize, ndarray::ArrayView1<'_, f64>)| {
        (format!("{side}{}", index + 1), ColumnData::F64(values.to_vec()))
    };
    rows.columns().into_iter().enumerate().map(column).collect()
}

#[allow(clippy::print_stdout, reason = "the program reports to its caller")]
fn print(value: &serde_json::Value) -> Result<(), Box<dyn Error>> {
    println!("{value}");
    Ok(())
}
