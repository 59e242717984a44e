//! End-to-end tests of a `cei predict --refine` that is interrupted: the same command goes on to the same bytes and leaves nothing,
//! another one is refused, and what is damaged is refined again.

#![cfg(unix)]

mod folder;

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use folder::{Folder, TestResult};

const TABLES: [&str; 3] = ["draws.parquet", "summary.csv", "modes.csv"];
const PARTS: &str = "draws.parquet.parts";

fn call(name: &str) -> String {
    format!(
        "predict run m.csv --refine -n 300 --seed 3 -o {name}draws.parquet --summary {name}summary.csv \
         --modes {name}modes.csv"
    )
}

impl Folder {
    /// A small run, momenta of 240 events in four chunks, and the tables of a refinement that nothing interrupts: `whole-...`.
    fn refined() -> TestResult<Self> {
        let folder = Self::empty()?;
        folder.small_run("run", "t", "")?;
        folder.run("simulate --preset ocs-wide --events 240 --seed 9 -o m.csv --quiet")?;
        folder.run(&format!("{} --threads 1 --quiet", call("whole-")))?;
        Ok(folder)
    }

    fn part(&self, number: usize) -> PathBuf {
        self.path(PARTS).join(format!("part-{number:06}.cbor"))
    }

    /// Begins the refinement, and gives it when this part is there: one thread refines the chunks one after another, and has
    /// hardly begun the next.
    fn begun(&self, part: usize) -> TestResult<Child> {
        let alone = format!("{} --threads 1", call(""));
        let mut child = self.command(&alone).stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
        while !self.part(part).exists() {
            assert!(child.try_wait()?.is_none(), "ended before part {part}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(child)
    }

    fn killed_after(&self, part: usize) -> TestResult {
        let mut child = self.begun(part)?;
        child.kill()?;
        assert!(!child.wait()?.success());
        Ok(())
    }

    /// The tables are those that nothing interrupted, and nothing else is there.
    fn is_whole(&self, before: &[String]) -> TestResult {
        for table in TABLES {
            let [found, whole] = ["", "whole-"].map(|name| self.path(&format!("{name}{table}")));
            assert!(std::fs::read(found)? == std::fs::read(whole)?, "{table}");
            std::fs::remove_file(self.path(table))?;
        }
        assert_eq!(self.names()?, before);
        Ok(())
    }
}

#[test]
fn a_killed_refinement_goes_on_to_the_same_bytes() -> TestResult {
    let folder = Folder::refined()?;
    let before = folder.names()?;
    folder.killed_after(0)?;
    assert!(TABLES.iter().all(|table| !folder.path(table).exists()));
    let written = |part| std::fs::metadata(folder.part(part)).and_then(|part| part.modified());
    let first = written(0)?;
    folder.killed_after(2)?;
    assert_eq!(written(0)?, first);

    // Another prediction would mix with it; what differs is named, and nothing is touched.
    folder.write("n.csv", folder.read("t.csv")?)?;
    for (other, named) in [
        (call("").replace("--seed 3", "--seed 4"), "`--seed`\n"),
        (call("").replace("-n 300", "-n 301"), "`--draws`\n"),
        (format!("{} --chain chain.csv", call("")), "`--chain`\n"),
        (format!("{} --sum-gate 1000", call("")), "`--sum-gate`\n"),
        (call("").replace("m.csv", "n.csv"), "the momenta\n"),
    ] {
        let told = folder.fails_with(1, &format!("{other} --quiet"))?;
        let expected =
            format!("`{PARTS}` holds refined events of a prediction that was interrupted");
        assert!(told.contains(&expected) && told.contains("hint: "), "{told}");
        assert!(told.contains(&format!("it differs in {named}")), "{told}");
    }
    std::fs::remove_file(folder.path("n.csv"))?;
    assert_eq!(written(0)?, first);
    // What only looks writes nothing, and counts the events that are left.
    let (_, told) = folder.run(&format!("{} --dry-run", call("")))?;
    assert!(told.contains("192 of 240 events are refined already"), "{told}");
    let seconds = |name| -> TestResult<(u64, f64)> {
        let found = folder.json(&format!("{} --dry-run --json --quiet", call(name)))?;
        let number = |key: &str| found[key].as_f64().ok_or("no number");
        let steps = found["steps"].as_u64().ok_or("no number")?;
        assert_eq!(found["rows"], 240);
        Ok((steps, number("seconds")? - number("preparation_seconds")?))
    };
    let ((left, of_left), (all, of_all)) = (seconds("")?, seconds("other-")?);
    assert_eq!((left, all), (48, 240));
    assert!(of_left < 0.5 * of_all, "{of_left} {of_all}");
    assert_eq!(written(0)?, first);

    let told = folder.told(&format!("{} --threads 2", call("")))?;
    assert!(
        told.contains(&format!("192 of 240 events are refined already, in `{PARTS}`")),
        "{told}"
    );
    folder.is_whole(&before)
}

/// A part that is cut short, one with a changed byte, and one of another prediction (an earlier one in the same place, say).
#[test]
fn damaged_parts_are_refined_again() -> TestResult {
    let folder = Folder::refined()?;
    let before = folder.names()?;
    folder.killed_after(2)?;
    OpenOptions::new().write(true).open(folder.part(0))?.set_len(1000)?;
    let mut bytes = std::fs::read(folder.part(1))?;
    bytes[5000] ^= 1;
    std::fs::write(folder.part(1), bytes)?;
    let told = folder.told(&call(""))?;
    for (part, is_damaged) in [(0, true), (1, true), (2, false)] {
        let said = format!("warning: `{PARTS}/part-{part:06}.cbor` is damaged");
        assert_eq!(told.contains(&said), is_damaged, "{told}");
    }
    folder.is_whole(&before)?;

    folder.killed_after(1)?;
    std::fs::remove_file(folder.path(PARTS).join("origin.json"))?;
    let mut child = folder.command(&call("").replace("--seed 3", "--seed 4")).spawn()?;
    while !folder.path(PARTS).join("origin.json").exists() {
        assert!(child.try_wait()?.is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    std::fs::remove_file(folder.path(PARTS).join("origin.json"))?;
    folder.told(&call(""))?;
    folder.is_whole(&before)
}

/// The evidences from which the fraction of false coincidences is learned are worked out once.
#[test]
fn the_fraction_of_false_coincidences_is_learned_once() -> TestResult {
    let folder = Folder::refined()?;
    let asked = |name| format!("{} --false-coincidences --threads 1", call(name));
    folder.run(&format!("{} --quiet", asked("whole-")))?;
    let before = folder.names()?;
    let evidence = folder.path(PARTS).join("evidence.cbor");
    let begin = |part| -> TestResult {
        let mut child =
            folder.command(&asked("")).stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
        while !folder.part(part).exists() {
            assert!(child.try_wait()?.is_none(), "ended before part {part}");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    };
    begin(0)?;
    let written = std::fs::metadata(&evidence)?.modified()?;
    begin(1)?;
    assert_eq!(std::fs::metadata(&evidence)?.modified()?, written);
    let mut bytes = std::fs::read(&evidence)?;
    bytes[100] ^= 1;
    std::fs::write(&evidence, bytes)?;
    let told = folder.told(&asked(""))?;
    assert!(told.contains(&format!("warning: `{PARTS}/evidence.cbor` is damaged")), "{told}");
    folder.is_whole(&before)
}

/// Ctrl-C leaves the parts and no other trace; a second command does not mix with the first, and a file in one chunk has none.
#[test]
fn an_interrupt_leaves_the_parts_alone() -> TestResult {
    let folder = Folder::refined()?;
    let before = folder.names()?;
    let mut child = folder.begun(0)?;
    let signal = |name: &str| -> TestResult {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status()?.success());
        Ok(())
    };
    // It might be done before the other command begins.
    signal("-STOP")?;
    let told = folder.fails_with(1, &format!("{} --quiet", call("")))?;
    assert!(
        told.contains("`draws.parquet` is being written by another command (process"),
        "{told}"
    );
    signal("-INT")?;
    signal("-CONT")?;
    assert_eq!(child.wait()?.code(), Some(130));
    let mut with_parts = before.clone();
    with_parts.push(PARTS.to_owned());
    with_parts.sort();
    assert_eq!(folder.names()?, with_parts);
    let told = folder.told(&call(""))?;
    assert!(told.contains("events are refined already"), "{told}");
    folder.is_whole(&before)?;

    let told = folder.told(&call("").replace("-n 300", "-n 20"))?;
    assert!(
        told.contains("it may be interrupted: the same command goes on where it ended"),
        "{told}"
    );
    folder.run("simulate --preset ocs-wide --events 60 --seed 9 -o m.csv --quiet")?;
    let told = folder.told(&call(""))?;
    assert!(
        told.contains("more events will take") && !told.contains("may be interrupted"),
        "{told}"
    );
    assert!(!folder.path(PARTS).exists());
    Ok(())
}
