//! End-to-end tests of `--shard` and `cei merge`: the shards of a work, made in any order and merged, are the bytes of a single process; what
//! is missing, foreign or changed is refused by name, and nothing is left of it.

#![cfg(unix)]

mod folder;

use std::process::Stdio;
use std::time::Duration;

use folder::{Folder, TestResult};

impl Folder {
    /// Runs `call` for every shard `of` so many, the last one first; `{}` in it is the number of the shard.
    fn shards(&self, call: &str, of: usize) -> TestResult {
        for number in (1..=of).rev() {
            let call = call.replace("{}", &number.to_string());
            self.run(&format!("{call} --shard {number}/{of} --quiet"))?;
        }
        Ok(())
    }

    /// Merges the shards of a table, whose name has the number in the place of `{}`.
    fn merged(&self, table: &str, of: usize, into: &str) -> TestResult<String> {
        let shards: Vec<String> =
            (1..=of).map(|number| table.replace("{}", &number.to_string())).collect();
        Ok(self.run(&format!("merge {} -o {into}", shards.join(" ")))?.0)
    }

    fn same(&self, a: &str, b: &str) -> TestResult {
        let [a_bytes, b_bytes] = [a, b].map(|name| std::fs::read(self.path(name)));
        assert!(a_bytes? == b_bytes?, "{a} {b}");
        Ok(())
    }
}

#[test]
fn simulated_shards_are_the_whole_table() -> TestResult {
    let folder = Folder::empty()?;
    let call = "simulate --preset ocs-wide --events 100 --seed 7";
    for (kind, of) in [("csv", 1), ("csv", 7), ("tsv", 3), ("parquet", 3), ("parquet", 101)] {
        folder.run(&format!("{call} -o whole.{kind} --quiet"))?;
        folder.shards(&format!("{call} -o {{}}.{kind}"), of)?;
        let told = folder.merged(&format!("{{}}.{kind}"), of, &format!("merged.{kind}"))?;
        assert!(told.starts_with(&format!("{of} shards of 100 events")), "{told}");
        folder.same(&format!("merged.{kind}"), &format!("whole.{kind}"))?;
        let sidecar = format!("{kind}.simulation.toml");
        folder.same(&format!("merged.{sidecar}"), &format!("whole.{sidecar}"))?;
    }
    // A shard is a table of its own, too: a training takes several.
    let rows = folder.json("inspect 1.tsv 2.tsv --json")?;
    assert_eq!(rows["rows"], 66);
    let (_, told) = folder.run(&format!("{call} --shard 2/3 -o none.csv --dry-run"))?;
    assert!(told.is_empty(), "{told}");
    let found = folder.json(&format!("{call} --shard 2/3 -o none.csv --dry-run --json"))?;
    assert_eq!(found["rows"], 33);
    assert!(!folder.path("none.csv").exists());

    // Given geometries, with columns that are passed on: row `i` keeps stream `i`.
    let positions: Vec<String> = folder
        .read("whole.csv")?
        .lines()
        .enumerate()
        .map(|(row, line)| {
            let cells: Vec<&str> = line.split(',').take(9).collect();
            let label = if row == 0 { "label".to_owned() } else { format!("a{}", row % 4) };
            format!("{},{label}\n", cells.join(","))
        })
        .collect();
    folder.write("given.csv", positions.concat())?;
    let call = "simulate --preset ocs-wide --positions given.csv --initial-momenta --seed 3";
    for kind in ["csv", "parquet"] {
        folder.run(&format!("{call} -o whole.{kind} --quiet"))?;
        folder.shards(&format!("{call} -o {{}}.{kind}"), 3)?;
        folder.merged(&format!("{{}}.{kind}"), 3, &format!("merged.{kind}"))?;
        folder.same(&format!("merged.{kind}"), &format!("whole.{kind}"))?;
    }
    Ok(())
}

#[test]
fn what_is_no_whole_is_refused_by_name() -> TestResult {
    let folder = Folder::empty()?;
    let call = "simulate --preset ocs-wide --events 30 --seed 7 -o {}.csv";
    folder.shards(call, 3)?;
    let other = |options: &str, name: &str, shard: &str| {
        let call = call.replace("{}", name);
        folder.run(&format!("{call} {options} --shard {shard} --quiet"))
    };
    folder.run(&format!("{} --shard 2/3", call.replace("--seed 7 -o {}", "--seed 8 -o seed")))?;
    folder.run(&format!(
        "{} --shard 2/3",
        call.replace("30 --seed 7 -o {}", "31 --seed 7 -o events")
    ))?;
    other("--set detector.momentum_noise_au=2", "noise", "2/3")?;
    other("--initial-momenta", "momenta", "2/3")?;
    other("", "four", "2/4")?;
    other("", "again", "2/3")?;
    folder.run("simulate --preset ocs-wide --events 30 --seed 7 --shard 2/3 -o two.tsv")?;
    folder.run("simulate --preset ocs-wide --events 10 -o plain.csv --quiet")?;
    folder.write("changed.csv", folder.read("2.csv")?.replacen('1', "2", 1))?;
    std::fs::copy(folder.path("2.csv.shard.json"), folder.path("changed.csv.shard.json"))?;
    std::fs::copy(folder.path("2.csv"), folder.path("damaged.csv"))?;
    let record = folder.read("2.csv.shard.json")?.replace("\"number\": 2", "\"number\": 3");
    folder.write("damaged.csv.shard.json", record)?;
    let before = folder.names()?;
    for (shards, named) in [
        (
            "1.csv 3.csv",
            "shards are missing: 2/3\nhint: make each with `--shard`, as `--shard 2/3`",
        ),
        ("2.csv", "shards are missing: 1/3, 3/3\n"),
        (
            "1.csv seed.csv 3.csv",
            "`seed.csv` and `1.csv` are not shards of one whole: they differ in `--seed`",
        ),
        ("1.csv events.csv 3.csv", "they differ in the number of rows (31, not 30), `--events`"),
        ("1.csv noise.csv 3.csv", "they differ in the simulation"),
        ("1.csv momenta.csv 3.csv", "they differ in `--initial-momenta`"),
        ("1.csv four.csv 3.csv", "they differ in the number of shards (4 shards, not 3 shards)"),
        ("1.csv 2.csv two.tsv 3.csv", "`two.tsv` and `2.csv` are both shard 2/3, and differ"),
        ("1.csv two.tsv 3.csv", "are of two formats"),
        ("1.csv plain.csv 3.csv", "`plain.csv` is no shard: there is no `plain.csv.shard.json`"),
        ("1.csv none.csv 3.csv", "there is no `none.csv`"),
        ("1.csv changed.csv 3.csv", "`changed.csv` is not the table that `changed.csv.shard.json`"),
        ("1.csv damaged.csv 3.csv", "`damaged.csv.shard.json`"),
    ] {
        let told = folder.fails_with(1, &format!("merge {shards} -o merged.csv"))?;
        assert!(told.contains(named), "{shards}: {told}");
        assert_eq!(folder.names()?, before, "{shards}");
    }
    for output in ["1.csv", "no/merged.csv"] {
        folder.fails(&format!("merge 1.csv 2.csv 3.csv -o {output}"))?;
        assert_eq!(folder.names()?, before, "{output}");
    }
    // The same shard twice is no harm.
    let told = folder.told("merge again.csv 3.csv 2.csv 1.csv -o merged.csv")?;
    assert_eq!(told, "remark: `2.csv` is there twice, and counts once\n");
    folder.run("simulate --preset ocs-wide --events 30 --seed 7 -o whole.csv --quiet")?;
    folder.same("merged.csv", "whole.csv")
}

#[test]
fn slurm_says_which_shard_a_task_is() -> TestResult {
    let folder = Folder::empty()?;
    let call = "simulate --preset ocs-wide --events 30 -o t.csv --shard";
    folder.run(&format!("{call} 3/4"))?;
    let expected = folder.read("t.csv")?;
    let slurm = |values: [&str; 4]| {
        let names = ["ID", "COUNT", "MIN", "MAX"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
        let mut command = folder.command(&format!("{call} slurm"));
        command.envs(names.iter().zip(values)).output()
    };
    for values in [["3", "4", "1", "4"], ["2", "4", "0", "3"]] {
        std::fs::remove_file(folder.path("t.csv"))?;
        assert!(slurm(values)?.status.success());
        assert_eq!(folder.read("t.csv")?, expected);
    }
    let output = slurm(["3", "2", "3", "7"])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("an array with gaps"), "{told}");
    for (shard, named) in [
        ("slurm", "SLURM_ARRAY_TASK_ID is not set"),
        ("0/4", "there is no shard 0 of 4"),
        ("5/4", "there is no shard 5 of 4"),
        ("2", "`2` is no shard\nhint: as `2/8`"),
    ] {
        let told = folder.fails_with(2, &format!("{call} {shard}"))?;
        assert!(told.contains(named), "{told}");
    }
    let told = folder.fails_with(2, "log-prob run t.csv --shard 1/2")?;
    assert!(told.contains("--output"), "{told}");
    let told = folder.fails_with(2, "predict run t.csv -o d.csv --report r.html --shard 1/2")?;
    assert!(told.contains("cannot be used with"), "{told}");
    Ok(())
}

/// With a column that is passed on; draws are the network's, of a flow, and frames are a format too.
#[test]
fn shards_of_draws_and_densities_are_the_whole_tables() -> TestResult {
    let folder = Folder::empty()?;
    folder.small_run("run", "t", "")?;
    folder.run("simulate --preset ocs-wide --events 101 --seed 9 -o s.csv --quiet")?;
    let delays: Vec<String> = folder
        .read("s.csv")?
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("{line},delay\n"),
            row => format!("{line},{}\n", row % 3),
        })
        .collect();
    folder.write("m.csv", delays.concat())?;
    for (draws, kind) in [("parquet", "csv"), ("csv", "parquet"), ("xyz", "csv")] {
        let call = "predict run m.csv -n 30 --seed 5 -o {}d.DRAWS --summary {}s.KIND";
        let call = call.replace("DRAWS", draws).replace("KIND", kind);
        folder.run(&format!("{} --quiet", call.replace("{}", "whole-")))?;
        folder.shards(&call, 4)?;
        for table in [format!("d.{draws}"), format!("s.{kind}")] {
            folder.merged(&format!("{{}}{table}"), 4, &format!("merged-{table}"))?;
            folder.same(&format!("merged-{table}"), &format!("whole-{table}"))?;
        }
    }
    // Draws and summary are two tables, and other momenta another work.
    let told = folder.fails_with(1, "merge 1s.csv 2d.csv -o no.csv")?;
    assert!(told.contains("they differ in the table (draws, not summary)"), "{told}");
    folder.write("n.csv", delays.concat().replace(",2\n", ",4\n"))?;
    folder.run("predict run n.csv -n 30 --seed 5 -o o.csv --shard 1/4 --quiet")?;
    let told = folder.fails_with(1, "merge 2d.csv o.csv -o no.csv")?;
    assert!(told.contains("they differ in the files\n"), "{told}");

    // Degenerate directions get noise, one row after another, which shards share as well.
    folder.run(
        "train --preset reference-cinn --data t.csv --set model.hidden=[16] --set model.couplings=2 \
         --set training.max_epochs=1 --set preprocessing.degenerate=noise -o noisy --quiet",
    )?;
    for run in ["run", "noisy"] {
        for kind in ["csv", "parquet"] {
            let call = format!("log-prob {run} m.csv -o {{}}p.{kind}");
            folder.run(&call.replace("{}", "whole-"))?;
            for number in [2, 3, 1] {
                let call = call.replace("{}", &number.to_string());
                let (said, _) = folder.run(&format!("{call} --shard {number}/3"))?;
                assert!(said.contains(&format!("rows of shard {number}/3 written to")), "{said}");
            }
            folder.merged(&format!("{{}}p.{kind}"), 3, &format!("merged-p.{kind}"))?;
            folder.same(&format!("merged-p.{kind}"), &format!("whole-p.{kind}"))?;
        }
    }
    Ok(())
}

/// One shard of a refinement is killed, and goes on; population shares its parts among shards in one folder.
#[test]
fn shards_of_refined_events_are_the_whole_tables() -> TestResult {
    let folder = Folder::empty()?;
    folder.small_run("run", "t", "")?;
    folder.run("simulate --preset ocs-wide --events 201 --seed 9 -o m.csv --quiet")?;
    let call = "predict run m.csv --refine -n 100 --seed 3 -o {}d.parquet --summary {}s.csv --modes {}m.csv";
    folder.run(&format!("{} --quiet", call.replace("{}", "whole-")))?;
    let second = format!("{} --shard 2/2", call.replace("{}", "2"));
    // One thread refines the chunks one after another: the second has hardly begun when the first is there.
    let alone = format!("{second} --threads 1");
    let mut child = folder.command(&alone).stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
    while !folder.path("2d.parquet.parts/part-000000.cbor").exists() {
        assert!(child.try_wait()?.is_none(), "ended before its first part");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    assert!(!folder.path("2d.parquet").exists() && !folder.path("2s.csv").exists());
    let other = folder.fails_with(1, &second.replace("2/2", "2/3"))?;
    assert!(other.contains("it differs in `--shard`"), "{other}");
    let told = folder.told(&second)?;
    assert!(told.contains("64 of 101 events are refined already"), "{told}");
    let (said, _) = folder.run(&format!("{} --shard 1/2", call.replace("{}", "1")))?;
    assert!(said.contains("100 events of shard 1/2 x 100 refined draws"), "{said}");
    for table in ["d.parquet", "s.csv", "m.csv"] {
        folder.merged(&format!("{{}}{table}"), 2, &format!("merged-{table}"))?;
        folder.same(&format!("merged-{table}"), &format!("whole-{table}"))?;
    }
    assert!(!folder.path("2d.parquet.parts").exists());

    folder.run("simulate --preset ocs-wide --events 4 --seed 9 -o c.csv --quiet")?;
    let call =
        "predict run c.csv --refine -n 100 --seed 3 --quiet -o {}e.parquet --chain {}c.parquet";
    folder.run(&call.replace("{}", "whole-"))?;
    for number in [2, 1] {
        let shard = call.replace("{}", &number.to_string());
        folder.run(&format!("{shard} --shard {number}/2"))?;
    }
    for table in ["e.parquet", "c.parquet"] {
        folder.merged(&format!("{{}}{table}"), 2, &format!("merged-{table}"))?;
        folder.same(&format!("merged-{table}"), &format!("whole-{table}"))?;
    }

    folder.run("simulate --preset ocs-wide --events 110 --seed 9 -o few.csv --quiet")?;
    let call = "population run few.csv -n 1500 --bootstraps 20 --quiet";
    folder.run(&format!("{call} -o whole"))?;
    folder.run(&format!("{call} -o parts --shard 3/3"))?;
    let found = folder.json(&format!("{call} -o parts --shard 1/3 --json"))?;
    let [there, all] = [0, 1].map(|place| found["parts"][place].as_u64().unwrap_or_default());
    assert!(0 < there && there < all && found["of"] == 110, "{found}");
    assert!(!folder.path("parts/population.csv").exists());
    let found = folder.json(&format!("{call} -o parts --shard 2/3 --json"))?;
    assert_eq!(found["parts"][0], all);
    let part = folder.path("parts/draws/part-000000.parquet");
    let written = std::fs::metadata(&part)?.modified()?;
    folder.run(&format!("{call} -o parts"))?;
    assert_eq!(std::fs::metadata(&part)?.modified()?, written);
    for name in ["population.csv", "summary.csv", "population.json", "draws/part-000001.parquet"] {
        folder.same(&format!("parts/{name}"), &format!("whole/{name}"))?;
    }
    let other = folder.fails_with(1, &format!("{call} -o parts --seed 1 --shard 1/3"))?;
    assert!(other.contains("draws of another sample") && other.contains("--seed"), "{other}");
    Ok(())
}
