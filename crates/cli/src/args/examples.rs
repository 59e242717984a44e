//! Examples of every command, which its help shows. They are one story: run in this order in a folder that holds
//! `momenta.txt` and `ocs.xyz`, each finds what it needs. A test does so.

use clap::Command;

/// Of each command, lines that can be typed.
pub(crate) const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "simulate",
        &[
            "cei simulate --preset ocs-wide --events 10000 -o events.csv",
            "cei simulate --preset ocs-wide --events 500 --seed 1 -o measured.csv",
            "cei simulate --preset ocs-wide --set detector.momentum_noise_au=0 --events 100 -o exact.csv",
            "cei simulate --preset ocs-wide --events 5000000 -o many.parquet --dry-run",
            "cei simulate --preset ocs-wide --events 10000 --shard 1/2 -o part-1.csv",
            "cei simulate --preset ocs-wide --events 10000 --shard 2/2 -o part-2.csv",
        ],
    ),
    (
        "inspect",
        &[
            "cei inspect events.csv",
            "cei inspect momenta.txt --ions O,C,S --charges 1,1,1 --unit 1e-22kgm/s --geometry ocs.xyz",
            "cei inspect momenta.txt --ions O,C,S --unit 1e-22kgm/s --figures figures",
        ],
    ),
    (
        "config",
        &[
            "cei config --preset wide-cinn",
            "cei config --from momenta.txt --ions O,C,S --charges 1,1,1 --unit \"1e-22 kg m/s\" \\\n      --geometry ocs.xyz -o mine",
        ],
    ),
    (
        "train",
        &[
            "cei train --preset wide-cinn --data events.csv --set training.max_epochs=2 -o runs/wide",
            "cei train -o runs/wide --resume",
            "cei train --config mine/experiment.toml -o runs/mine",
        ],
    ),
    (
        "sweep",
        &[
            "cei sweep mine/experiment.toml --jobs 2 -o sweeps/mine",
            "cei sweep -o sweeps/mine --jobs 2",
            "cei sweep --preset wide-cinn --data events.csv --trials 2 --set training.max_epochs=2 \\\n      --set \"sweep.over.training.learning_rate=[1e-3, 3e-3]\" -o sweeps/wide",
        ],
    ),
    ("evaluate", &["cei evaluate runs/wide", "cei evaluate runs/wide --data measured.csv --json"]),
    ("calibrate", &["cei calibrate runs/wide", "cei calibrate runs/wide --refine --events 200"]),
    (
        "predict",
        &[
            "cei predict runs/wide measured.csv -n 200 -o draws.parquet --summary summary.csv",
            "cei predict runs/wide measured.csv --refine -n 200 -o refined.parquet \\\n      --modes modes.csv --report page.html",
        ],
    ),
    ("check", &["cei check runs/wide measured.csv --events 80 -n 50 -o checked"]),
    ("population", &["cei population runs/wide measured.csv -n 50 --bootstraps 20 -o sample"]),
    ("log-prob", &["cei log-prob runs/wide measured.csv -o densities.csv"]),
    ("merge", &["cei merge part-1.csv part-2.csv -o whole.csv"]),
    ("compare", &["cei compare runs/wide"]),
    ("report", &["cei report runs/wide --no-modes -o report.html"]),
    ("c2st", &["cei c2st measured.csv events.csv --columns cx,ox,sx"]),
    ("devices", &["cei devices", "cei devices --time"]),
    ("completions", &["cei completions bash > ~/.local/share/bash-completion/completions/cei"]),
    ("man", &["cei man train > cei-train.1", "cei man -o ~/.local/share/man/man1"]),
];

/// The command line with the examples below the help of each command.
pub(crate) fn with_examples(cli: Command) -> Command {
    cli.mut_subcommands(|command| {
        let name = command.get_name();
        let Some((_, lines)) = EXAMPLES.iter().find(|(of, _)| *of == name) else { return command };
        let mut text = if lines.len() == 1 { "Example:" } else { "Examples:" }.to_owned();
        lines.iter().for_each(|line| text.push_str(&format!("\n  {line}")));
        if let Some(said) = command.get_after_help() {
            text.push_str(&format!("\n\n{said}"));
        }
        command.after_help(text)
    })
}

#[cfg(test)]
mod tests {
    use super::EXAMPLES;
    use crate::args::{command, parse_from};

    #[test]
    fn every_command_has_an_example_and_every_example_can_be_typed() {
        let known: Vec<String> =
            command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in &known {
            assert!(EXAMPLES.iter().any(|(of, _)| of == name), "`{name}` has no example");
        }
        for (of, lines) in EXAMPLES {
            for line in *lines {
                let (typed, _) = line.split_once(" > ").unwrap_or((line, ""));
                let words = shlex::split(&typed.replace("\\\n", "")).unwrap_or_default();
                assert_eq!(words.get(1).map(String::as_str), Some(*of), "{line}");
                if let Err(error) = parse_from(&words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }
}
