//! The guide: every command of its chapters runs, one after another in one folder, as for a reader who begins with the
//! first, and prints what the chapter says; and no page names a command or an option that does not exist.

#![cfg(unix)]

#[path = "guide/fences.rs"]
mod fences;
mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fences::{Fence, chapters, fences, inline_code, missing};
use folder::{Folder, TestResult};

/// Languages that chapters may have in fences, beside those that [`fences`] lists.
const QUIET: [&str; 6] = ["csv", "json", "python", "rust", "text", "toml"];

/// How many fences of each chapter are not run.
const LONG: [(&str, usize); 15] = [
    ("ablation.md", 2),
    ("adding-a-model.md", 1),
    ("chbrclf.md", 1),
    ("cluster.md", 9),
    ("coincidences.md", 2),
    ("command-line.md", 1),
    ("performance.md", 8),
    ("physics.md", 1),
    ("population.md", 1),
    ("python.md", 1),
    ("real-data.md", 4),
    ("refinement.md", 3),
    ("releasing.md", 1),
    ("sweep.md", 1),
    ("tour.md", 1),
];

/// Where a command's options end.
const ENDS: [&str; 4] = [";", "&&", ")", "#"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All fences of the guide.
fn guide() -> TestResult<Vec<Fence>> {
    let docs = workspace().join("docs");
    let mut found = Vec::new();
    for chapter in chapters(&docs)? {
        found.extend(fences(&chapter, &std::fs::read_to_string(docs.join(&chapter))?));
    }
    Ok(found)
}

/// Runs the commands of a fence; whether they succeeded, and all that they print.
fn run(folder: &Folder, fence: &Fence) -> TestResult<(bool, String)> {
    let programs = Path::new(env!("CARGO_BIN_EXE_cei")).parent().ok_or("no folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{}", fence.body)])
        .current_dir(folder.path(""))
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs all commands of the guide whose remarks are among these, and compares what they print.
fn run_guide(remarks: &[&str]) -> TestResult {
    let folder = Folder::empty()?;
    // Chapters name files of the workspace as a reader does who stands in it.
    for part in ["configs", "examples"] {
        std::os::unix::fs::symlink(workspace().join(part).canonicalize()?, folder.path(part))?;
    }
    let mut printed = None;
    for fence in guide()? {
        match (fence.language.as_str(), fence.remark.as_str()) {
            ("sh", remark) if remarks.contains(&remark) => {
                let (succeeded, output) = run(&folder, &fence)?;
                let expected = remark != "fails";
                assert_eq!(succeeded, expected, "{}:\n{}{output}", fence.place, fence.body);
                printed = Some(output);
            }
            ("sh", _) => printed = None,
            ("text", "output") => {
                let Some(output) = &printed else { continue };
                let line = missing(&fence.body, output);
                assert_eq!(line, None, "{} is not printed so:\n{output}", fence.place);
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn every_command_runs_and_prints_what_is_said() -> TestResult {
    run_guide(&["", "fails"])
}

#[test]
#[ignore = "needs Python with numpy: `cargo test --test guide -- --ignored`, with it first on the path"]
fn those_in_python_too() -> TestResult {
    run_guide(&["", "fails", "python"])
}

#[test]
fn fences_say_what_they_are() -> TestResult {
    let mut long = BTreeMap::new();
    let mut was_command = false;
    for fence in guide()? {
        let (language, remark) = (fence.language.as_str(), fence.remark.as_str());
        let known = match language {
            "sh" => ["", "fails", "python", "long"].contains(&remark),
            "text" if remark == "output" => was_command,
            "diff" => workspace().join(remark).is_file(),
            _ => QUIET.contains(&language) && remark.is_empty(),
        };
        assert!(known, "{}: `{language} {remark}`", fence.place);
        if remark == "long" {
            let chapter = fence.place.split(':').next().unwrap_or_default();
            *long.entry(chapter.to_owned()).or_insert(0) += 1;
        }
        was_command = language == "sh";
    }
    let listed: BTreeMap<_, _> =
        LONG.iter().map(|(page, count)| ((*page).to_owned(), *count)).collect();
    assert_eq!(long, listed, "fences that are not run");
    Ok(())
}

/// A change that the guide shows still fits the file that it is for.
#[test]
fn changes_fit_their_files() -> TestResult {
    for fence in guide()?.iter().filter(|fence| fence.language == "diff") {
        let file = std::fs::read_to_string(workspace().join(&fence.remark))?;
        for part in fence.body.split("@@\n") {
            let old: String = part
                .lines()
                .filter(|line| !line.starts_with('+'))
                .map(|line| format!("{}\n", line.get(1..).unwrap_or_default()))
                .collect();
            assert!(file.contains(&old), "{}: not in {}:\n{old}", fence.place, fence.remark);
        }
    }
    Ok(())
}

/// Commands of the guide and of README, with the options that they are given.
#[test]
fn commands_and_options_exist() -> TestResult {
    let folder = Folder::empty()?;
    let help = folder.run("--help")?.0;
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next());
    let commands: Vec<&str> = commands
        .ok_or("no commands")?
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let docs = workspace().join("docs");
    let mut pages = vec![("README.md".to_owned(), workspace().join("README.md"))];
    pages.extend(chapters(&docs)?.into_iter().map(|name| (name.clone(), docs.join(name))));
    let mut seen = 0;
    for (name, path) in pages {
        let page = std::fs::read_to_string(path)?;
        let output = |fence: &Fence| fence.is("text", "output") || fence.language == "rust";
        let blocks = fences(&name, &page).into_iter().filter(|fence| !output(fence));
        let lines = blocks.map(|fence| fence.body).chain(inline_code(&page));
        for text in lines {
            for (command, option) in calls(&text) {
                if command == "help" {
                    continue;
                }
                assert!(commands.contains(&command.as_str()), "{name}: `cei {command}`");
                if !helps.contains_key(&command) {
                    helps.insert(command.clone(), folder.run(&format!("{command} --help"))?.0);
                }
                seen += 1;
                let known = option.is_empty() || has_option(&helps[&command], &option);
                assert!(known, "{name}: `cei {command}` has no `{option}`");
            }
        }
    }
    assert!(seen > 100, "only {seen} commands and options found");
    Ok(())
}

/// Whether a help text lists an option.
fn has_option(help: &str, option: &str) -> bool {
    let whole = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    help.match_indices(option).any(|(at, _)| whole(&help[at + option.len()..]))
}

/// Commands `cei NAME` in a text, each with no option and with each of its long ones.
fn calls(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let mut command: Option<String> = None;
        let mut words = line.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let word = word.trim_start_matches(['(', '$', '[', '"']);
            let name = words.peek().copied().unwrap_or_default();
            let name = name.trim_end_matches([',', ')', '"']);
            let is_name = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if word == "cei" {
                command = (is_name && !name.starts_with('-')).then(|| name.to_owned());
                found.extend(command.iter().map(|command| (command.clone(), String::new())));
            } else if ENDS.iter().any(|end| word.starts_with(end) || word.ends_with(";")) {
                command = None;
            } else if let (Some(command), true) = (&command, word.starts_with("--")) {
                let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
                found.push((command.clone(), word[..end.unwrap_or(word.len())].to_owned()));
            }
        }
    }
    found
}
