//! End-to-end tests of `cei sweep`: what it leaves, that neither jobs nor a kill change what it finds, and what it refuses.

mod folder;

use std::process::Stdio;
use std::time::{Duration, Instant};

use folder::{Folder, TestResult};

impl Folder {
    /// With a table of x (a, b) and y (c, d, e), and an experiment that searches a small flow on it.
    fn new(over: &str) -> TestResult<Self> {
        let folder = Self::empty()?;
        let mut text = "a,b,c,d,e\n".to_owned();
        for row in 0..400_u32 {
            let of = |k: u32| {
                (f64::from(row * 7 + k) * 0.618_033_988_75 * f64::from(k + 1)).fract() - 0.5
            };
            let [x, y, noise] = [0, 1, 2].map(of);
            text.push_str(&format!("{x},{y},{},{},{}\n", x + y + 0.1 * noise, x - y, y + noise));
        }
        folder.write("t.csv", text)?;
        let experiment = format!(
            "[source]\nfiles = ['t.csv']\n[columns]\nx = ['a', 'b']\ny = ['c', 'd', 'e']\nx_unit = 'none'\ny_unit = 'none'\n\
             [model]\nkind = 'cinn'\ncouplings = 2\nhidden = [8]\n\
             [training]\nlearning_rate = 1e-4\nmax_epochs = 6\nbatch_size = 64\n\
             [sweep]\ntrials = 8\nbatch = 2\nstartup = 4\ngrace_epochs = 2\n{over}"
        );
        folder.write("e.toml", experiment)?;
        Ok(folder)
    }

    /// `trials.csv` of a search, but for the seconds.
    fn trials(&self, search: &str) -> TestResult<Vec<Vec<String>>> {
        let text = self.read(&format!("{search}/trials.csv"))?;
        let without_seconds = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(place, _)| *place != 5);
            cells.map(|(_, cell)| cell.to_owned()).collect()
        };
        assert!(text.starts_with("trial,state,validation_loss,best_epoch,epochs,seconds,"));
        Ok(text.lines().map(without_seconds).collect())
    }
}

const OVER: &str = "[sweep.over]\ntraining.learning_rate = { low = 1e-5, high = 3e-2, log = true }\n\
    model.couplings = { low = 1, high = 4 }\nmodel.activation = ['tanh', 'relu']\n";

#[test]
fn a_search_leaves_runs_a_table_a_figure_and_the_best_experiment() -> TestResult {
    let folder = Folder::new(OVER)?;
    let (printed, told) = folder.run("sweep e.toml -o s")?;
    let trials = folder.trials("s")?;
    assert_eq!(trials.len(), 1 + 8);
    // The first is the experiment as it is.
    assert_eq!(trials[1][5..8], ["relu", "2", "0.0001"]);
    let best = trials[1..]
        .iter()
        .filter(|trial| trial[1] == "complete")
        .min_by(|one, other| {
            let loss = |trial: &[String]| trial[2].parse::<f64>().unwrap_or(f64::NAN);
            loss(one).total_cmp(&loss(other))
        })
        .ok_or("no trial is complete")?;
    assert_ne!(best[0], "1", "{trials:?}");
    assert!(printed.contains(&format!("best: trial {}", best[0])), "{printed}");
    assert!(printed.contains("what mattered: "), "{printed}");
    assert!(told.contains("trial 1 begins: model.activation = \"relu\""), "{told}");
    assert!(told.contains("280 rows to train") || told.contains("rows to train"), "{told}");
    for file in ["sweep.json", "best.toml", "figures/sweep.svg", "figures/sweep.png"] {
        assert!(folder.path("s").join(file).exists(), "{file}");
    }
    // The best experiment gives the run of its trial, to the bit.
    folder.run("train --config s/best.toml -o again --quiet")?;
    let weights = |run: &str| std::fs::read(folder.path(run).join("model.safetensors"));
    assert!(weights("again")? == weights(&format!("s/trial-{:0>3}", best[0]))?);
    assert!(!folder.read("again/config.toml")?.contains("sweep"));
    // A trial is a run like any other; one that was ended early can be finished.
    folder.run(&format!("evaluate s/trial-{:0>3} --quiet", best[0]))?;
    if let Some(stopped) = trials.iter().find(|trial| trial[1] == "stopped") {
        let run = format!("s/trial-{:0>3}", stopped[0]);
        folder.run(&format!("train -o {run} --resume --quiet"))?;
        assert_eq!(folder.read(&format!("{run}/history.csv"))?.lines().count(), 1 + 6);
    }
    // Nothing is left to do; more trials are.
    let told = folder.told("sweep e.toml -o s")?;
    assert!(!told.contains("begins"), "{told}");
    let told = folder.told("sweep -o s --trials 9")?;
    assert!(told.contains("trial 9 begins") && !told.contains("trial 8 begins"), "{told}");
    assert_eq!(folder.trials("s")?[..9], trials);
    // An experiment with a search is trained as one without.
    folder.run("train --config e.toml -o plain --quiet")?;
    assert!(weights("plain")? == weights("s/trial-001")?);
    Ok(())
}

#[test]
fn neither_jobs_nor_more_trials_later_change_what_is_found() -> TestResult {
    let folder = Folder::new(OVER)?;
    folder.run("sweep e.toml -o one --quiet")?;
    folder.run("sweep e.toml -o two --jobs 2 --quiet")?;
    folder.run("sweep e.toml -o later --trials 3 --quiet")?;
    folder.run("sweep e.toml -o later --trials 8 --jobs 3 --quiet")?;
    let trials = folder.trials("one")?;
    assert!(trials.iter().any(|trial| trial[1] == "stopped"), "{trials:?}");
    assert_eq!(folder.trials("two")?, trials);
    assert_eq!(folder.trials("later")?, trials);
    let best = folder.read("one/best.toml")?;
    assert_eq!(folder.read("two/best.toml")?, best);
    assert_eq!(folder.read("later/best.toml")?, best);
    Ok(())
}

/// Killed in the middle of a trial, twice, by a signal that cannot be heeded.
#[test]
fn a_search_that_is_killed_goes_on_to_the_same_end() -> TestResult {
    let folder = Folder::new(OVER)?;
    let set = "--set training.max_epochs=80 --set sweep.grace_epochs=30 --trials 6";
    folder.run(&format!("sweep e.toml {set} -o whole --quiet"))?;
    for trial in ["trial-002", "trial-005"] {
        let mut command = folder.command(&format!("sweep e.toml {set} -o killed --jobs 2 --quiet"));
        let mut search = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let since = Instant::now();
        while !folder.path("killed").join(trial).join("checkpoint.safetensors").exists() {
            assert!(since.elapsed() < Duration::from_secs(60), "{trial} does not begin");
            std::thread::sleep(Duration::from_millis(2));
        }
        search.kill()?;
        search.wait()?;
    }
    let told = folder.told(&format!("sweep e.toml {set} -o killed"))?;
    assert!(told.contains(" goes on: "), "{told}");
    assert_eq!(folder.trials("killed")?, folder.trials("whole")?);
    assert_eq!(folder.read("killed/best.toml")?, folder.read("whole/best.toml")?);
    Ok(())
}

#[test]
fn a_trial_that_diverges_is_recorded_and_the_search_goes_on() -> TestResult {
    let folder = Folder::new("[sweep.over]\ntraining.learning_rate = [1e-3, 1e38]\n")?;
    folder.run("sweep e.toml --trials 3 -o s --quiet")?;
    let trials = folder.trials("s")?;
    let failed = trials.iter().find(|trial| trial[1] == "failed").ok_or("none failed")?;
    let reason = failed[6..].concat();
    assert!(reason.starts_with("\"the loss became"), "{failed:?}");
    assert!(trials[1..].iter().any(|trial| trial[1] == "complete"));
    Ok(())
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_trained() -> TestResult {
    for (over, said) in [
        (
            "training.lerning_rate = [1e-3]",
            "`sweep.over.training.lerning_rate` at `0.001`: unknown field `lerning_rate`",
        ),
        ("training.lerning_rate = [1e-3]", "hint: did you mean `learning_rate`?"),
        ("model.coupling = [2]", "hint: did you mean `couplings`?"),
        ("training.batch_size = { low = 64, high = 64 }", "has no values between `low = 64`"),
        ("training.batch_size = []", "`sweep.over.training.batch_size` lists no values"),
        (
            "training.batch_size = { low = 0, high = 64 }",
            "at `0`: `training.batch_size` is `0`, but must be at least 1",
        ),
        ("model.activation = ['tanh', 'rellu']", "`sweep.over.model.activation` at `\"rellu\"`"),
        ("model.bins = [4, 8]", "`model.bins` is `4`, but must be left out with preset `proposal`"),
        ("split.seed = [1, 2]", "keys of `[model]` and `[training]` can be searched over"),
        ("training.ensemble = [1, 2]", "a trial trains one model"),
        ("model.kind = ['cinn']", "search each kind by itself"),
        ("training.batch_size = { low = 1, hihg = 2 }", "hint: did you mean `high`?"),
        ("", "`e.toml` has no `[sweep.over]`"),
    ] {
        let folder = Folder::new(&format!("[sweep.over]\n{over}\n"))?;
        let told = folder.fails_with(1, "sweep e.toml -o s")?;
        assert!(told.contains(said), "{over}: {told}");
        assert!(!folder.path("s").exists(), "{over}");
    }
    let folder = Folder::new(OVER)?;
    let told = folder.fails_with(2, "sweep -o s")?;
    assert!(told.contains("`s` holds no search to go on with"), "{told}");
    let told = folder.fails_with(1, "sweep e.toml --set training.ensemble=2 -o s")?;
    assert!(told.contains("a trial trains one model"), "{told}");
    folder.run("sweep e.toml --trials 1 -o s --quiet")?;
    let told = folder.fails_with(1, "sweep e.toml --set model.hidden=[4] -o s")?;
    assert!(told.contains("`model.hidden` differs from the search in `s`"), "{told}");
    let told = folder.fails_with(1, "sweep e.toml -o s/trial-001")?;
    assert!(told.contains("`s/trial-001` holds a run, not a search"), "{told}");
    // Another table under the same name.
    let table = folder.read("t.csv")?.replacen("0.1", "0.2", 1);
    folder.write("t.csv", table)?;
    let told = folder.fails_with(1, "sweep e.toml --trials 2 -o s --quiet")?;
    assert!(told.contains("the table of the search in `s` has changed"), "{told}");
    Ok(())
}

/// The loss of a CVAE is made of `beta`: with a smaller one it is smaller, whatever the model.
#[test]
fn the_loss_itself_is_not_searched() -> TestResult {
    let folder = Folder::new("[sweep.over]\nmodel.beta = [0.1, 1.0]\n")?;
    let text = folder.read("e.toml")?;
    let cvae =
        text.replace("kind = 'cinn'\ncouplings = 2\nhidden = [8]", "kind = 'cvae'\nlatent = 2");
    folder.write("e.toml", cvae)?;
    let told = folder.fails_with(1, "sweep e.toml -o s")?;
    assert!(told.contains("`sweep.over.model.beta`: the loss is made of it"), "{told}");
    Ok(())
}
