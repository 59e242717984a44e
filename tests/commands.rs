//! End-to-end tests of the `cei` binary: what a person types, and what comes back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A folder in which commands run.
struct Folder(TempDir);

impl Folder {
    fn new() -> std::io::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        std::fs::write(self.path(name), text)
    }

    fn read(&self, name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.path(name))
    }

    /// The command `cei` with these space-separated arguments.
    fn cei(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cei"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command
    }

    /// Runs a command that must succeed.
    fn run(&self, arguments: &str) {
        let output = self.cei(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The JSON object that a command prints.
    fn json(&self, arguments: &str) -> Result<Value, Box<dyn std::error::Error>> {
        let output = self.cei(arguments).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Exit code and message of a command that must fail without touching stdout.
    fn failure(&self, arguments: &str) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.cei(arguments).output()?;
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        let code = output.status.code().ok_or("killed")?;
        Ok(format!("exit {code}\n{}", String::from_utf8(output.stderr)?.trim_end()))
    }

    /// A small experiment on `table`, with a small network.
    fn experiment(&self, name: &str, preset: &str, table: &str) -> TestResult {
        let output = self.cei(&format!("config --preset {preset}")).output()?;
        let small = ["hidden = [", "encoder_hidden = [", "decoder_hidden = ["];
        let lines = String::from_utf8(output.stdout)?
            .lines()
            .map(|line| match small.iter().find(|key| line.starts_with(*key)) {
                Some(key) => format!("{key}16, 16]\n"),
                None if line.starts_with("files = ") => format!("files = [\"{table}\"]\n"),
                None if line.starts_with("couplings = ") => "couplings = 4\n".to_owned(),
                None => format!("{line}\n"),
            })
            .collect::<String>();
        Ok(self.write(name, &lines)?)
    }
}

fn files_in(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {value}"))
}

#[test]
fn from_simulation_to_prediction() -> TestResult {
    let folder = Folder::new()?;
    let made =
        folder.json("simulate --preset ocs-reference --events 800 --seed 3 -o ocs.csv --json")?;
    assert_eq!(made["events"], 800);
    assert_eq!(folder.read("ocs.csv")?.lines().count(), 801);

    let inspected = folder.json("inspect ocs.csv --json")?;
    assert_eq!(inspected["rows"], 800);
    assert_eq!(inspected["duplicate_rows"], 0);
    assert_eq!(inspected["momenta"]["rank"], 3);
    assert_eq!(inspected["momenta"]["dead"].as_array().map(Vec::len), Some(4));

    for preset in ["gauge-fixed-cinn", "gauge-fixed-cvae"] {
        folder.experiment("experiment.toml", preset, "ocs.csv")?;
        folder.run(&format!(
            "train --config experiment.toml -o {preset} --set training.max_epochs=3 --quiet"
        ));
        assert_eq!(
            files_in(&folder.path(preset))?,
            [
                "checkpoint.safetensors",
                "config.toml",
                "figures",
                "history.csv",
                "model.json",
                "model.safetensors",
                "rows.safetensors",
                "support.safetensors",
                "training.json"
            ]
        );
        assert_eq!(folder.read(&format!("{preset}/history.csv"))?.lines().count(), 4);

        let scores = folder.json(&format!("evaluate {preset} --draws 20 --json"))?;
        assert_eq!(scores["rows"], 120);
        for pointer in [
            "/estimators/mean/mse",
            "/estimators/draw/mre",
            "/estimators/mean/mse_alive",
            "/estimators/mean/median_relative_error",
            "/baselines/train_mean/mse",
            "/baselines/knn/mse",
            "/baselines/knn/gauge_free/bond_length_rmse_pm/C-O",
            "/gauge_free/bond_length_rmse_pm/O-S",
            "/gauge_free/angle_rmse_deg/O-C-S",
            "/gauge_free/displacement_bohr",
            "/crps",
            "/energy_score",
            "/coverage/0.9",
            "/resimulation/median",
        ] {
            assert!(number(&scores, pointer).is_finite(), "{pointer}");
        }
        assert!(number(&scores, "/estimators/draw/mse") > number(&scores, "/estimators/mean/mse"));
        let is_flow = preset == "gauge-fixed-cinn";
        assert_eq!(scores.get("nll").is_some(), is_flow);
        assert_eq!(scores.get("invertibility_max_abs").is_some(), is_flow);
        assert_eq!(scores.get("active_latent").is_some(), !is_flow);
        if is_flow {
            assert!(number(&scores, "/invertibility_max_abs") < 1e-4);
        }
    }

    let compared = folder.json("compare gauge-fixed-cinn gauge-fixed-cvae --json")?;
    let lines = compared["groups"][0]["lines"].as_array().ok_or("no lines")?;
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["run", "run", "baseline", "baseline", "floor"]);

    // A file of momenta alone.
    let momenta: String = folder
        .read("ocs.csv")?
        .lines()
        .take(6)
        .map(|line| line.split(',').skip(9).collect::<Vec<_>>().join(",") + "\n")
        .collect();
    folder.write("momenta.csv", &momenta)?;
    folder.run("predict gauge-fixed-cinn momenta.csv -n 7 -o draws.csv --summary summary.csv");
    let draws = folder.read("draws.csv")?;
    assert_eq!(draws.lines().next(), Some("event,draw,cx,cy,cz,ox,oy,oz,sx,sy,sz"));
    assert_eq!(draws.lines().count(), 1 + 5 * 7);
    let summary = folder.read("summary.csv")?;
    assert!(summary.starts_with("event,outside,cx_mean,cx_sd,cx_q05"), "{summary}");
    assert!(summary.lines().next().is_some_and(|header| header.contains("O-C-S_deg_q95")));
    assert_eq!(summary.lines().count(), 1 + 5);

    // The same events in another file give the same draws.
    folder.run("predict gauge-fixed-cinn momenta.csv -n 7 -o again.csv");
    assert_eq!(folder.read("again.csv")?, draws);
    Ok(())
}

#[test]
fn densities_and_events_outside_the_training_support() -> TestResult {
    let folder = Folder::new()?;
    folder.run("simulate --preset ocs-reference --events 800 --seed 3 -o ocs.csv --quiet");
    for preset in ["gauge-fixed-cinn", "gauge-fixed-cvae"] {
        folder.experiment("experiment.toml", preset, "ocs.csv")?;
        folder.run(&format!(
            "train --config experiment.toml -o {preset} --set training.max_epochs=3 --quiet"
        ));
    }

    // The mean log-density of a table is minus its score.
    let scores = folder.json("evaluate gauge-fixed-cinn --data ocs.csv --draws 2 --json")?;
    let densities = folder.json("log-prob gauge-fixed-cinn ocs.csv --json")?;
    assert_eq!(densities["rows"], 800);
    let difference = number(&scores, "/nll") + number(&densities, "/mean_log_prob");
    assert!(difference.abs() < 1e-9, "{difference}");
    folder.run("log-prob gauge-fixed-cinn ocs.csv -o densities.parquet");
    let printed = folder.cei("log-prob gauge-fixed-cinn ocs.csv").output()?;
    let printed = String::from_utf8(printed.stdout)?;
    assert!(printed.starts_with("event,log_prob\n0,"), "{printed}");
    assert_eq!(printed.lines().count(), 801);
    let failure = folder.failure("log-prob gauge-fixed-cvae ocs.csv")?;
    assert!(failure.contains("is a CVAE, which has no exact density"), "{failure}");

    // The events of the training table, then the first with its momenta doubled (four times the
    // energy), then with one ion's momentum reversed (the momenta do not add up to zero).
    let table = folder.read("ocs.csv")?;
    let mut lines = table.lines().map(|line| line.split(',').skip(9).collect::<Vec<_>>());
    let header = lines.next().ok_or("no header")?;
    let rows: Vec<Vec<f64>> = lines
        .map(|cells| cells.iter().map(|cell| cell.parse()).collect())
        .collect::<Result<_, _>>()?;
    let doubled: Vec<f64> = rows[0].iter().map(|p| 2.0 * p).collect();
    let mut reversed = rows[0].clone();
    reversed[8 - 2] *= -1.0;
    let mut text = header.join(",") + "\n";
    for row in rows.iter().chain([&doubled, &reversed]) {
        text.push_str(&row.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    folder.write("momenta.csv", &text)?;
    let command = "predict gauge-fixed-cinn momenta.csv -n 2 -o draws.csv --summary summary.csv";
    let report = folder.json(&format!("{command} --json"))?;
    let summary = folder.read("summary.csv")?;
    let reasons: Vec<_> =
        summary.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(reasons[800], "kinetic-energy distance");
    assert!(reasons[801].contains("momentum-sum"), "{}", reasons[801]);
    // Of the 800 a bound leaves out 1 in 1000, or the few that small parts of a table round it to.
    let inside = reasons[..800].iter().filter(|reason| reason.is_empty()).count();
    assert!(inside >= 780, "{inside}");
    assert_eq!(report["outside"]["events"], 802 - inside);
    let printed = String::from_utf8(folder.cei(command).output()?.stdout)?;
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.contains("events are outside the training support"), "{printed}");
    Ok(())
}

/// The networks are hardly trained: what they miss, the simulator must find.
#[test]
fn the_simulator_refines_the_draws_of_any_model() -> TestResult {
    let folder = Folder::new()?;
    folder.run("simulate --preset ocs-wide --events 2000 --seed 3 -o wide.csv --quiet");
    folder.run("simulate --preset ocs-wide --events 4 --seed 9 -o measured.csv --quiet");
    for preset in ["wide-cinn", "wide-sigma-vae"] {
        folder.experiment("experiment.toml", preset, "wide.csv")?;
        folder.run(&format!(
            "train --config experiment.toml -o {preset} --set training.max_epochs=15 --quiet"
        ));
        let command = format!("predict {preset} measured.csv --refine -n 5");
        let report = folder.json(&format!(
            "{command} -o draws.csv --summary summary.csv --modes modes.csv --json"
        ))?;
        assert_eq!(report["refinement"]["noise"], true);
        let draws = folder.read("draws.csv")?;
        assert!(draws.starts_with("event,draw,outside_model,cx,"), "{draws}");
        assert_eq!(draws.lines().count(), 1 + 4 * 5);
        let summary = folder.read("summary.csv")?;
        let header = "event,outside,outside_model,modes,k_hat,effective_sample_size,log_evidence,";
        assert!(summary.starts_with(header), "{summary}");
        // Every mode explains the nine momenta to within their noise, and the weights of an event add up
        // to 1.
        let modes = folder.read("modes.csv")?;
        assert!(modes.starts_with("event,mode,weight,misfit,searches,cx,"), "{modes}");
        let mut weights = [0.0; 4];
        for line in modes.lines().skip(1) {
            let cells: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
            weights[cells[0] as usize] += cells[2];
            assert!(cells[3] < 3.0, "{preset}: {line}");
        }
        assert!(weights.iter().all(|weight| (weight - 1.0).abs() < 1e-6), "{weights:?}");
    }
    let command = "predict wide-cinn measured.csv --refine -n 5 -o draws.csv --chain chain.csv";
    let report = folder.json(&format!("{command} --json"))?;
    assert!(number(&report, "/refinement/worst_r_hat") < 1.5, "{report}");
    assert_eq!(folder.read("chain.csv")?.lines().count(), 1 + 4 * 5);
    let command = "calibrate wide-cinn --refine --events 40 --draws 9 -o tests --json";
    let calibration = folder.json(command)?;
    assert_eq!(calibration["refined"], true);
    assert!(calibration.get("hdr").is_none());
    assert!(folder.path("tests/calibration.json").exists());

    // Positions and momenta of the reference data are turned apart.
    folder.run("simulate --preset ocs-reference --events 400 --seed 3 -o ocs.csv --quiet");
    folder.experiment("experiment.toml", "gauge-fixed-cinn", "ocs.csv")?;
    folder.run("train --config experiment.toml -o apart --set training.max_epochs=1 --quiet");
    let failure = folder.failure("predict apart ocs.csv --refine -o never.csv")?;
    assert!(failure.contains("positions and momenta are rotated apart"), "{failure}");
    assert!(!folder.path("never.csv").exists());
    Ok(())
}

/// Distances between the atoms of OCS (bohr) in a line of a table, whatever the frame.
fn distances(header: &str, line: &str) -> Result<[f64; 3], Box<dyn std::error::Error>> {
    let names: Vec<&str> = header.split(',').collect();
    let cells: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let at = |column: String| {
        names.iter().position(|name| *name == column).map_or(f64::NAN, |place| cells[place])
    };
    let apart = |[a, b]: [&str; 2]| {
        let squares = ["x", "y", "z"]
            .map(|axis| (at(format!("{a}{axis}")) - at(format!("{b}{axis}"))).powi(2));
        squares.iter().sum::<f64>().sqrt()
    };
    Ok([["c", "o"], ["c", "s"], ["o", "s"]].map(apart))
}

/// Every event of the table `truth` has its geometry among its `modes`.
fn assert_solved(truth: &str, modes: &str) -> TestResult {
    let [true_header, header] = [truth, modes].map(|text| text.lines().next().unwrap_or_default());
    for (event, line) in truth.lines().skip(1).enumerate() {
        let expected = distances(true_header, line)?;
        let mut nearest = f64::INFINITY;
        for mode in modes.lines().filter(|line| line.starts_with(&format!("{event},"))) {
            let found = distances(header, mode)?;
            let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            nearest = nearest.min(apart.fold(0.0, f64::max));
        }
        assert!(nearest < 1e-4, "event {event}: {nearest} bohr\n{modes}");
    }
    Ok(())
}

#[test]
fn without_noise_the_refinement_lists_the_solutions() -> TestResult {
    let folder = Folder::new()?;
    let simulate = "simulate --preset ocs-wide --set detector.momentum_noise_au=0 --quiet";
    folder.run(&format!("{simulate} --events 2000 --seed 3 -o wide.csv"));
    folder.run(&format!("{simulate} --events 3 --seed 9 -o measured.csv"));
    folder.experiment("experiment.toml", "wide-cinn", "wide.csv")?;
    folder.run("train --config experiment.toml -o run --set training.max_epochs=2 --quiet");
    let command = "predict run measured.csv --refine -n 30 --modes modes.csv";
    let report = folder.json(&format!("{command} -o draws.csv --json"))?;
    assert_eq!(report["refinement"]["noise"], false);
    assert_eq!(report["refinement"]["outside_model"], 0);

    let (truth, modes) = (folder.read("measured.csv")?, folder.read("modes.csv")?);
    assert!(modes.starts_with("event,mode,misfit,searches,cx,"), "{modes}");
    assert_solved(&truth, &modes)?;
    // The draws are the same list, and come again.
    assert_eq!(folder.read("draws.csv")?.lines().count(), modes.lines().count());
    folder.run(&format!("{command} -o again.csv --quiet"));
    assert_eq!(folder.read("again.csv")?, folder.read("draws.csv")?);
    assert_eq!(folder.read("modes.csv")?, modes);
    Ok(())
}

/// The refinement goes by the charging of the simulation behind the table, with noise and without.
#[test]
fn charge_that_takes_time_is_refined_by_its_law() -> TestResult {
    let folder = Folder::new()?;
    let charging = "--set charging.kind=exponential --set charging.tau_fs=10";
    let train = |table: &str| -> TestResult {
        folder.experiment("experiment.toml", "wide-cinn", &format!("{table}.csv"))?;
        let train = format!("train --config experiment.toml -o run-{table} --quiet");
        folder.run(&format!("{train} --set training.max_epochs=5"));
        Ok(())
    };
    for (table, noise) in [("noisy", "1"), ("slow", "0")] {
        let set = format!("{charging} --set detector.momentum_noise_au={noise}");
        let simulate = format!("simulate --preset ocs-wide {set} --quiet");
        folder.run(&format!("{simulate} --events 2000 --seed 3 -o {table}.csv"));
        folder.run(&format!("{simulate} --events 4 --seed 9 -o measured-{table}.csv"));
        train(table)?;
        let command = format!("predict run-{table} measured-{table}.csv --refine -n 30");
        let report = folder.json(&format!("{command} --modes modes.csv -o draws.csv --json"))?;
        assert_eq!(report["refinement"]["noise"], noise == "1");
        // Without noise a search may not end, which is said; nothing else is found wrong with the law's own events.
        let found = &report["refinement"];
        assert_eq!(found["outside_model"], found["search"], "{report}");
        assert_eq!((&found["evidence"], &found["no_mode"]), (&0.into(), &0.into()), "{report}");
    }
    let truth = folder.read("measured-slow.csv")?;
    assert_solved(&truth, &folder.read("modes.csv")?)?;

    // Read as charged at once, the same momenta are those of other geometries; the nearest are stretched, all in all,
    // though a bond may come out shorter.
    let simulate = "simulate --preset ocs-wide --set detector.momentum_noise_au=0 --quiet";
    folder.run(&format!("{simulate} --events 2000 --seed 3 -o at-once.csv"));
    train("at-once")?;
    let command = "predict run-at-once measured-slow.csv --refine -n 30 --modes modes.csv";
    folder.run(&format!("{command} -o draws.csv --quiet"));
    let modes = folder.read("modes.csv")?;
    let [true_header, header] =
        [&truth, &modes].map(|text| text.lines().next().unwrap_or_default());
    let sum = |distances: &[f64; 3]| distances.iter().sum::<f64>();
    let (mut expected, mut found) = (0.0, 0.0);
    for (event, line) in truth.lines().skip(1).enumerate() {
        let truth = distances(true_header, line)?;
        let apart =
            |mode: &[f64; 3]| (0..3).map(|i| (mode[i] - truth[i]).abs()).fold(0.0, f64::max);
        let modes = modes.lines().filter(|line| line.starts_with(&format!("{event},")));
        let modes = modes.map(|line| distances(header, line)).collect::<Result<Vec<_>, _>>()?;
        let nearest = modes.iter().min_by(|a, b| apart(a).total_cmp(&apart(b))).ok_or("no mode")?;
        assert!(apart(nearest) > 0.3, "event {event}: {truth:?}, {nearest:?}");
        expected += sum(&truth);
        found += sum(nearest);
    }
    assert!(found > 1.02 * expected, "{found} against {expected}");
    Ok(())
}

#[test]
fn a_table_that_is_no_molecule() -> TestResult {
    let folder = Folder::new()?;
    let mut table = String::from("alpha; beta ;q1;q2;q3;q4;q5\n");
    let mut state = 1u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    for _ in 0..400 {
        let (a, b) = (uniform(), uniform());
        let noise = 0.1 * uniform();
        table.push_str(&format!("{a};{b};{};{};{};{};{}\n", a + b, a - b, a * b, a + noise, b * b));
    }
    folder.write("table.csv", &table)?;
    let config = r#"
[source]
files = ["table.csv"]
[columns]
x = ["alpha", "beta"]
y = ["q1", 3, "q3", "q4", "q5"]
x_unit = "none"
y_unit = "none"
[model]
kind = "cinn"
couplings = 4
hidden = [16]
[training]
max_epochs = 4
batch_size = 64
learning_rate = 1e-2
"#;
    folder.write("experiment.toml", config)?;
    folder.run("train --config experiment.toml -o run --quiet");
    let scores = folder.json("evaluate run --draws 20 --json")?;
    assert!(number(&scores, "/estimators/mean/mse") < number(&scores, "/baselines/train_mean/mse"));
    for absent in ["gauge_free", "resimulation", "floor"] {
        assert!(scores.get(absent).is_none(), "{absent} does not apply");
    }
    folder.run("predict run table.csv -n 3 -o draws.parquet --summary summary.csv");
    assert!(folder.read("summary.csv")?.starts_with("event,outside,alpha_mean,"));
    let other = folder.json("evaluate run --data table.csv --draws 10 --json")?;
    assert_eq!(other["rows"], 400);
    Ok(())
}

fn small_training(folder: &Folder) -> TestResult {
    folder.run("simulate --preset ocs-reference --events 400 -o ocs.parquet --quiet");
    folder.experiment("experiment.toml", "reference-cvae", "ocs.parquet")
}

/// A hardly trained cINN in `run`, on the table `ocs.csv`.
fn run_on_csv(folder: &Folder) -> TestResult {
    folder.run("simulate --preset ocs-reference --events 400 -o ocs.csv --quiet");
    folder.experiment("experiment.toml", "reference-cinn", "ocs.csv")?;
    folder.run("train --config experiment.toml --quiet --set training.max_epochs=1 -o run");
    Ok(())
}

/// New events in every epoch, and two members that are one run.
#[test]
fn an_ensemble_on_a_simulator() -> TestResult {
    let folder = Folder::new()?;
    folder.write(
        "experiment.toml",
        r#"
        [source]
        simulator = "ocs-wide"
        events_per_epoch = 350
        [columns]
        y = ["kx", "ky", "kz", "lx", "ly", "lz", "mx", "my", "mz"]
        [preprocessing.gauge]
        positions = "centred"
        frame = "momentum"
        x_axis = "S"
        xy_plane = "O"
        [model]
        kind = "cinn"
        couplings = 2
        hidden = [8]
        [training]
        schedule = "one-cycle"
        max_epochs = 2
        "#,
    )?;
    let output = folder.cei("config --config experiment.toml").output()?;
    let resolved = String::from_utf8(output.stdout)?;
    for line in [
        "simulator = \"ocs-wide\"",
        "events_per_epoch = 350",
        "fresh_noise = false",
        "element = \"S\"",
        "schedule = \"one-cycle\"",
        "warmup_epochs = 0.0",
        "plateau_factor = 1.0",
        "plateau_patience = 10",
        "ema_decay = 0.0",
        "ensemble = 1",
    ] {
        assert!(resolved.contains(line), "{line} is not in\n{resolved}");
    }
    let output = folder.cei("train --config experiment.toml -o run --ensemble 2").output()?;
    let (told, shown) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(told.starts_with("ensemble of 2 cINNs: trained 4 epochs"), "{told}");
    assert!(shown.contains("member 2/2, epoch 1/2 loss"), "{shown}");
    let expected = [
        "config.toml",
        "member-1",
        "member-2",
        "model.json",
        "rows.safetensors",
        "simulation.toml",
        "support.safetensors",
        "training.json",
    ];
    assert_eq!(files_in(&folder.path("run"))?, expected);
    let scores = folder.json("evaluate run --draws 20 --json")?;
    assert_eq!(
        (&scores["rows"], &scores["scored"]["model"]),
        (&75.into(), &"ensemble of 2 cINNs".into())
    );
    folder.run("evaluate run/member-2 --draws 20 --quiet");
    let compared = folder.json("compare run run/member-2 --json")?;
    assert_eq!(compared["groups"].as_array().map(Vec::len), Some(1), "the same test rows");
    // The measured file names its momenta as the experiment says.
    folder.run("simulate --preset ocs-wide --events 5 -o measured.csv --quiet");
    let measured = folder.read("measured.csv")?;
    let (_, rows) = measured.split_once('\n').ok_or("no header")?;
    folder.write(
        "renamed.csv",
        &format!("{},kx,ky,kz,lx,ly,lz,mx,my,mz\n{rows}", "a,b,c,d,e,f,g,h,i"),
    )?;
    folder.run("predict run renamed.csv -n 4 -o draws.csv --quiet");
    assert_eq!(folder.read("draws.csv")?.lines().count(), 21);
    Ok(())
}

#[test]
fn a_resumed_training_ends_in_the_same_bits() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    let train = "train --config experiment.toml --quiet --set training.batch_size=64";
    folder.run(&format!("{train} -o whole --set training.max_epochs=6"));
    folder.run(&format!("{train} -o parts --set training.max_epochs=2"));
    folder.run(&format!("{train} -o parts --set training.max_epochs=6 --resume"));
    let weights = |run: &str| std::fs::read(folder.path(run).join("model.safetensors"));
    assert!(weights("whole")? == weights("parts")?);
    Ok(())
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_resume() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    let train = "train --config experiment.toml --set training.batch_size=16 --set training.patience=10000000";
    let mut child = folder
        .cei(&format!("{train} -o run --set training.max_epochs=10000000"))
        .stderr(Stdio::piped())
        .spawn()?;
    let checkpoint = folder.path("run/checkpoint.safetensors");
    while !checkpoint.exists() {
        assert!(child.try_wait()?.is_none(), "ended before its first checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status()?.success());
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8(output.stderr)?;
    assert!(
        message.ends_with("hint: continue with `cei train -o run --resume --device cpu`\n"),
        "{message}"
    );
    let epochs = folder.read("run/history.csv")?.lines().count() - 1;

    folder.run(&format!("train -o run --resume --quiet --set training.max_epochs={}", epochs + 3));
    folder.run(&format!("{train} -o whole --quiet --set training.max_epochs={}", epochs + 3));
    let weights = |run: &str| std::fs::read(folder.path(run).join("model.safetensors"));
    assert!(weights("whole")? == weights("run")?);
    Ok(())
}

/// The message of each wrong input, as it stands on the terminal.
#[test]
fn bad_input_is_told_with_its_place() -> TestResult {
    let folder = Folder::new()?;
    let header = "a,b,p,q\n";
    let good = "1,2,3,4\n2,1,4,5\n3,5,1,2\n4,4,2,9\n5,3,8,1\n6,2,7,3\n7,1,3,3\n8,0,1,2\n";
    folder.write("good.csv", &format!("{header}{good}"))?;
    folder.write("nan.csv", &format!("{header}{good}1,NaN,3,4\n"))?;
    folder.write("infinite.csv", &format!("{header}{good}1,2,inf,4\n"))?;
    folder.write("empty-cell.csv", &format!("{header}{good}1,2,,4\n"))?;
    folder.write("text.csv", &format!("{header}{good}1,2,n/a,4\n"))?;
    folder.write("ragged.csv", &format!("{header}{good}1,2,3\n"))?;
    folder.write("missing-column.csv", &format!("a,b,P1,q\n{good}"))?;
    folder.write("duplicate.csv", &format!("a,b,p,p,q\n{}", "1,2,3,4,5\n".repeat(9)))?;
    folder.write("few.csv", &format!("{header}1,2,3,4\n2,3,4,5\n"))?;
    folder.write("constant.csv", &format!("{header}{}", "1,2,3,4\n2,3,3,4\n".repeat(5)))?;
    folder.write("nothing.csv", "")?;
    folder.write("header-only.csv", header)?;
    folder.write("broken.parquet", "this is no parquet")?;
    folder.write("table.xlsx", "")?;
    let config = "[columns]\nx = [\"a\", \"b\"]\ny = [\"p\", \"q\"]\n[model]\nkind = \"cinn\"\ncouplings = 2\nhidden = [4]\n[training]\nmax_epochs = 1\n";
    folder.write("experiment.toml", config)?;
    let files = [
        "nan.csv",
        "infinite.csv",
        "empty-cell.csv",
        "text.csv",
        "ragged.csv",
        "missing-column.csv",
        "duplicate.csv",
        "few.csv",
        "constant.csv",
        "nothing.csv",
        "header-only.csv",
        "broken.parquet",
        "table.xlsx",
        "absent.csv",
        "*.dat",
    ];
    let mut told = String::new();
    for file in files {
        let command = format!("train --config experiment.toml --data {file} -o run");
        told.push_str(&format!("# {file}\n{}\n\n", folder.failure(&command)?));
        assert!(!folder.path("run").exists(), "{file}: a run folder was left behind");
    }
    insta::assert_snapshot!("bad_tables", told);

    let output = folder
        .cei("train --config experiment.toml --data nan.csv -o dropped --drop-invalid")
        .output()?;
    assert!(output.status.success());
    let message = String::from_utf8(output.stderr)?;
    assert!(
        message.contains("dropped 1 of 9 rows: the cell is NaN in column `b` (1)"),
        "{message}"
    );
    Ok(())
}

#[test]
fn wrong_usage_exits_with_2_and_failures_with_1() -> TestResult {
    let folder = Folder::new()?;
    folder.write("typo.toml", "[model]\nkind = \"cinn\"\n[training]\nlerning_rate = 1\n")?;
    folder.write("range.toml", "[model]\nkind = \"cinn\"\nclamp = -1\n")?;
    let commands = [
        "simulate --preset ocs -o a.csv",
        "simulate --preset ocs-reference --events 0 -o a.csv",
        "simulate --preset ocs-reference --events 5 -o a.xls",
        "simulate --preset ocs-reference --events 5 -o absent/a.csv",
        "simulate --preset ocs-reference --set frame.kind=sideways -o a.csv",
        "simulate --preset ocs-reference --positions absent.xyz -o a.csv",
        "train --config typo.toml -o run",
        "train --config range.toml -o run",
        "train --config absent.toml -o run",
        "train --preset reference-cinn --set training.seed -o run",
        "train --preset reference-cinn --set training.sed=1 -o run",
        "train --preset reference-cinn --seed 18446744073709551615 -o run",
        "train --preset reference-cinn --ensemble 0 -o run",
        "train --preset wide-spline --set source.simulator=absent.toml -o run",
        "train --preset wide-spline --set source.stream=true -o run",
        "train --preset wide-spline --set evaluation.vertex=Q -o run",
        "train --preset reference-cinn --device gpu -o run",
        "train --preset reference-cinn -o run --resume",
        "evaluate absent",
        "predict absent momenta.csv -o draws.csv",
        "compare absent",
    ];
    let mut told = String::new();
    for command in commands {
        told.push_str(&format!("$ cei {command}\n{}\n\n", folder.failure(command)?));
    }
    // The name of a temporary file differs every time.
    insta::with_settings!({ filters => vec![(r#" at path ".*""#, "")] }, {
        insta::assert_snapshot!("wrong_usage", told);
    });
    let left: Vec<String> = files_in(folder.0.path())?;
    assert_eq!(left, ["range.toml", "typo.toml"]);
    Ok(())
}

#[test]
fn a_device_that_is_not_compiled_in_is_a_clear_error() -> TestResult {
    let folder = Folder::new()?;
    let message = folder.failure("train --preset reference-cinn --device cuda:0 -o run")?;
    assert!(message.starts_with("exit 1\nerror: device `cuda:0` is not compiled in"), "{message}");
    let devices = folder.json("devices --json")?;
    let names: Vec<_> =
        devices["devices"].as_array().ok_or("no list")?.iter().map(|d| &d["name"]).collect();
    assert_eq!(names, ["cpu", "ndarray", "cuda", "vulkan"]);
    Ok(())
}

#[test]
fn a_run_is_not_overwritten_and_resumes_only_as_itself() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    let train = "train --config experiment.toml --quiet --set training.max_epochs=1 -o run";
    folder.run(train);
    let exists = folder.failure(train)?;
    assert!(
        exists.contains("`run` already holds a run\nhint: continue it with `--resume`"),
        "{exists}"
    );
    let differs = folder.failure(&format!("{train} --resume --set training.batch_size=7"))?;
    assert!(differs.contains("`training.batch_size` differs"), "{differs}");
    // A damaged model is refused.
    let weights = folder.path("run/model.safetensors");
    let mut bytes = std::fs::read(&weights)?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&weights, bytes)?;
    let damaged = folder.failure("evaluate run")?;
    assert!(damaged.contains("checksum"), "{damaged}");
    Ok(())
}

/// What was trained is not lost with its checkpoint, and weights of another architecture are refused.
#[test]
fn a_trained_model_is_kept_and_fits_its_record() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    folder.experiment("experiment.toml", "reference-cinn", "ocs.parquet")?;
    let train = "train --config experiment.toml --quiet --set training.max_epochs=1 -o run";
    folder.run(train);
    std::fs::remove_file(folder.path("run/checkpoint.safetensors"))?;
    let exists = folder.failure(train)?;
    assert!(exists.contains("`run` holds a trained model, but no checkpoint"), "{exists}");
    assert_eq!(folder.failure(&format!("{train} --resume"))?, exists);
    let record = folder.read("run/model.json")?;
    folder.write("run/model.json", &record.replace("\"couplings\": 4", "\"couplings\": 3"))?;
    let other = folder.failure("log-prob run ocs.parquet")?;
    assert!(other.contains("`run/model.json` is damaged or was edited"), "{other}");
    folder.write("run/model.json", &record)?;
    let config = folder.read("run/config.toml")?;
    folder.write("run/config.toml", &config.replace(", \"psz\"]", "]"))?;
    let fewer = folder.failure("log-prob run ocs.parquet")?;
    assert!(fewer.contains("`columns.y` of its `config.toml` names 8 columns"), "{fewer}");
    Ok(())
}

#[test]
fn no_result_takes_the_place_of_another_file() -> TestResult {
    let folder = Folder::new()?;
    run_on_csv(&folder)?;
    let before = folder.read("ocs.csv")?;
    std::fs::create_dir(folder.path("folder.csv"))?;
    for command in [
        "predict run ocs.csv -o ocs.csv",
        "predict run ocs.csv -o draws.csv --summary ./draws.csv",
        "log-prob run ocs.csv -o ./ocs.csv",
        "simulate --preset ocs-reference --positions ocs.csv -o ocs.csv",
        "train --config run/config.toml -o run",
    ] {
        let refused = folder.failure(command)?;
        assert!(refused.starts_with("exit 2"), "{command}: {refused}");
        assert!(refused.contains("in the place of"), "{command}: {refused}");
    }
    let refused = folder.failure("predict run ocs.csv -n 2 -o draws.csv --summary folder.csv")?;
    assert!(refused.starts_with("exit 1") && refused.contains("`folder.csv`"), "{refused}");
    assert!(!folder.path("draws.csv").exists());
    assert_eq!(folder.read("ocs.csv")?, before);
    let many = folder.failure("predict run ocs.csv -n 18446744073709551615 -o draws.csv")?;
    assert!(many.starts_with("exit 2"), "{many}");
    Ok(())
}

/// Each table has the simulation of its own beside it.
#[test]
fn tables_of_two_formats_do_not_share_their_origin() -> TestResult {
    let folder = Folder::new()?;
    let simulate = "simulate --preset ocs-wide --events 5 --quiet";
    folder.run(&format!("{simulate} -o ocs.csv"));
    folder.run(&format!("{simulate} --set detector.momentum_noise_au=0 -o ocs.parquet"));
    assert!(folder.read("ocs.csv.simulation.toml")?.contains("momentum_noise_au = 1.0"));
    assert!(folder.read("ocs.parquet.simulation.toml")?.contains("momentum_noise_au = 0.0"));
    Ok(())
}

#[test]
fn events_keep_the_numbers_of_their_rows() -> TestResult {
    let folder = Folder::new()?;
    run_on_csv(&folder)?;
    let table = folder.read("ocs.csv")?;
    let mut lines: Vec<&str> = table.lines().take(6).collect();
    let broken = lines[2].rsplit_once(',').map(|(rest, _)| format!("{rest},1e300"));
    let broken = broken.ok_or("no comma")?;
    lines[2] = &broken;
    folder.write("measured.csv", &(lines.join("\n") + "\n"))?;
    let told = folder.failure("predict run measured.csv -n 1 -o draws.csv")?;
    assert!(told.contains("row 2 (line 3), column `psz`: `1e300` is beyond 1e30"), "{told}");
    let drop = "--drop-invalid --quiet";
    folder.run(&format!("predict run measured.csv -n 1 -o draws.csv --summary summary.csv {drop}"));
    folder.run("log-prob run measured.csv -o densities.csv --drop-invalid");
    for file in ["draws.csv", "summary.csv", "densities.csv"] {
        let text = folder.read(file)?;
        let numbers: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        assert_eq!(numbers, ["0", "2", "3", "4"], "{file}");
    }
    Ok(())
}

/// A results file that cannot be written to the end leaves nothing, also after an interrupt.
#[cfg(unix)]
#[test]
fn an_interrupted_simulation_leaves_nothing() -> TestResult {
    let folder = Folder::new()?;
    let mut child =
        folder.cei("simulate --preset ocs-wide --events 50000000 -o ocs.csv --quiet").spawn()?;
    while files_in(folder.0.path())?.is_empty() {
        assert!(child.try_wait()?.is_none(), "ended before it wrote");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?.success());
    assert_eq!(child.wait()?.code(), Some(130));
    assert_eq!(files_in(folder.0.path())?, Vec::<String>::new());
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_printed_are_a_failure() -> TestResult {
    let folder = Folder::new()?;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let output = folder.cei("config --preset ocs-wide").stdout(full).output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("cannot be written to standard output"));
    Ok(())
}

#[test]
fn a_changed_table_is_noticed() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    folder.run("train --config experiment.toml --quiet --set training.max_epochs=1 -o run");
    folder.run("simulate --preset ocs-reference --events 400 --seed 5 -o ocs.parquet --quiet");
    let resumed = folder.failure("train -o run --resume --set training.max_epochs=2")?;
    assert!(resumed.contains("has changed since its training began"), "{resumed}");
    let changed = folder.failure("evaluate run")?;
    assert!(changed.contains("has changed since it was trained"), "{changed}");
    let scores = folder.json("evaluate run --data ocs.parquet --draws 5 --json")?;
    assert_eq!(scores["rows"], 400);
    assert!(scores["baselines"].get("knn").is_none(), "the training rows are gone");
    Ok(())
}

#[test]
fn positions_may_be_given() -> TestResult {
    let folder = Folder::new()?;
    // Two frames of OCS; the second is the equilibrium geometry at 175 degrees.
    let xyz = "3\nfirst\nC 0 0 0\nO 1.2 0 0\nS -1.6 0 0\n3\nsecond\nC 0 0 0\nO 1.1578 0 0\nS -1.5541634 0.1359703 0\n";
    folder.write("frames.xyz", xyz)?;
    folder.run("simulate --preset ocs-reference --positions frames.xyz -o given.csv");
    assert_eq!(folder.read("given.csv")?.lines().count(), 3);
    let inspected = folder.json("inspect given.csv --json")?;
    // 107.88 eV at equilibrium (`docs/spec.md#reference-values`), a little less when stretched.
    let energy = number(&inspected, "/kinetic_energy_release/mean_ev");
    assert!((100.0..108.0).contains(&energy), "{energy}");
    Ok(())
}

/// `events` x 200 rows of two columns of a fixed low-discrepancy sequence on the unit square, the
/// first column moved by `shift`; `start` chooses another part of the sequence. `outside_model`
/// differs from part to part, and must not count.
fn samples(events: usize, start: usize, shift: f64) -> String {
    let mut text = "event,draw,outside_model,a,b\n".to_owned();
    let mark = u8::from(start > 0);
    for row in 0..events * 200 {
        // additive recurrence with the powers of the plastic number (Roberts 2018)
        let (a, b) = (
            (0.754_877_666 * (row * 7 + start) as f64).fract() + shift,
            (0.569_840_291 * (row * 7 + start) as f64).fract(),
        );
        text.push_str(&format!("{},{},{mark},{a},{b}\n", row / 200, row % 200));
    }
    text
}

#[test]
fn samples_are_told_apart_event_by_event() -> TestResult {
    let folder = Folder::new()?;
    folder.write("reference.csv", &samples(3, 0, 0.0))?;
    folder.write("same.csv", &samples(3, 1_000_003, 0.0))?;
    folder.write("moved.csv", &samples(3, 1_000_003, 0.5))?;
    let same = folder.json("c2st same.csv reference.csv -o apart --json")?;
    assert_eq!(files_in(&folder.path("apart"))?, ["c2st.json", "figures"]);
    assert_eq!(files_in(&folder.path("apart/figures"))?, ["c2st.png", "c2st.svg"]);
    assert_eq!(same["columns"], serde_json::json!(["a", "b"]));
    assert_eq!(same["events"].as_array().map(Vec::len), Some(3));
    assert_eq!(same["pass"], true, "{same}");
    // 1,200 rows: standard error 0.014
    assert!((number(&same, "/accuracy") - 0.5).abs() < 0.06, "{same}");
    let moved = folder.json("c2st moved.csv reference.csv --json")?;
    // Moved by half its width, a uniform column overlaps half: the best classifier is right in 3/4,
    // a network trained on 320 rows in a little less; standard error 0.014.
    assert!((0.62..0.8).contains(&number(&moved, "/accuracy")), "{moved}");
    assert_eq!(moved["pass"], false);
    let only = folder.json("c2st moved.csv reference.csv --columns b --json")?;
    assert_eq!(only["pass"], true, "{only}");
    let text = String::from_utf8(folder.cei("c2st moved.csv reference.csv").output()?.stdout)?;
    assert!(text.contains("fail: the samples are told apart at an error rate of 1"), "{text}");

    let missing = folder.failure("c2st same.csv reference.csv --columns a,c")?;
    assert!(missing.contains("`c`") && missing.starts_with("exit 1"), "{missing}");
    folder.write("few.csv", "event,draw,a,b\n0,0,1,2\n0,1,2,3\n")?;
    let few = folder.failure("c2st few.csv reference.csv")?;
    assert!(few.contains("event `0`: the sample has `2` rows"), "{few}");
    folder.write("other.csv", "u,v\n1,2\n")?;
    let other = folder.failure("c2st other.csv reference.csv")?;
    assert!(other.contains("share no columns"), "{other}");
    folder.write("flat.csv", "a,b\n1,2\n")?;
    let flat = folder.failure("c2st flat.csv reference.csv")?;
    assert!(flat.contains("cannot be matched by event"), "{flat}");
    let level = folder.failure("c2st same.csv reference.csv --level 2")?;
    assert!(level.starts_with("exit 2"), "{level}");
    Ok(())
}

#[test]
fn a_run_is_tested_for_calibration() -> TestResult {
    let folder = Folder::new()?;
    small_training(&folder)?;
    folder.run("train --config experiment.toml --quiet --set training.max_epochs=1 -o run");
    let tests = folder.json("calibrate run --events 60 --draws 39 --json")?;
    assert_eq!(tests["draws"], 39);
    let sbc = tests["sbc"].as_array().ok_or("no list of quantities")?;
    // the last quantities are three bond lengths and an angle
    let names: Vec<&str> = sbc.iter().filter_map(|test| test["quantity"].as_str()).collect();
    assert!(names.ends_with(&["C-O", "C-S", "O-S", "O-C-S"]), "{names:?}");
    for pointer in ["/tarp/coverage/0.9", "/tarp/ecdf_p_adjusted", "/sbc/0/chi_square_p_adjusted"] {
        assert!((0.0..=1.0).contains(&number(&tests, pointer)), "{pointer}");
    }
    let mut written: Value = serde_json::from_str(&folder.read("run/calibration.json")?)?;
    assert!(written.as_object_mut().and_then(|object| object.remove("sha256")).is_some());
    assert_eq!(written, tests);
    let figures = files_in(&folder.path("run/figures"))?;
    for stem in ["sbc_ranks", "sbc_ecdf", "tarp"] {
        assert!(figures.contains(&format!("{stem}.png")), "{stem} in {figures:?}");
    }
    folder.run("calibrate run --events 60 --draws 19 --quiet -o elsewhere");
    assert!(folder.path("elsewhere/calibration.json").exists());
    let few = folder.failure("calibrate run --draws 3")?;
    assert!(few.contains("`--draws` is `3`, but must be at least 9"), "{few}");
    Ok(())
}

#[test]
fn every_command_explains_itself() -> TestResult {
    let folder = Folder::new()?;
    let output = folder.cei("--help").output()?;
    insta::assert_snapshot!("help", String::from_utf8(output.stdout)?.trim_end());
    for command in [
        "simulate",
        "inspect",
        "train",
        "evaluate",
        "predict",
        "log-prob",
        "compare",
        "config",
        "simulate",
        "inspect",
        "train",
        "evaluate",
        "predict",
        "log-prob",
        "compare",
        "calibrate",
        "c2st",
        "config",
        "devices",
    ] {
        folder.run(&format!("{command} --help"));
    }
    // A reader that goes away is no failure: `cei completions bash | true`.
    let mut child = folder.cei("completions bash").stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert!(child.wait()?.success());
    let completions = folder.cei("completions bash").output()?;
    assert!(String::from_utf8(completions.stdout)?.contains("_cei"));
    Ok(())
}
