//! End-to-end tests of what all commands have in common: help with examples, hints for slips, the version, man pages and
//! completions, colours, threads.

#![cfg(unix)]

mod folder;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use folder::{Folder, TestResult};

/// Three rows of O, C, S in 1e-22 kg m/s.
const MOMENTA: &str = "1.0 0.2 -1.4 0.35 -0.33 -0.66 -1.35 0.13 2.06
-0.6 -0.3 0.8 0.25 -0.42 0.15 0.35 0.72 -0.95
0.9 1.3 0.1 -0.4 0.1 -0.9 -0.5 -1.4 0.8
";
const OCS: &str = "3\nOCS\nO 0 0 -1.6827\nC 0 0 -0.5257\nS 0 0 1.0326\n";

/// Commands in the order in which the examples make what others need.
const ORDER: [&str; 16] = [
    "simulate",
    "inspect",
    "config",
    "train",
    "sweep",
    "evaluate",
    "calibrate",
    "predict",
    "log-prob",
    "merge",
    "compare",
    "report",
    "c2st",
    "devices",
    "completions",
    "man",
];

/// What makes an example quick that takes minutes.
const SHORTENED: [(&str, &str); 2] = [
    (
        "cei train --config mine/experiment.toml",
        "--set source.events_per_epoch=400 --set training.max_epochs=1 --set model.couplings=1",
    ),
    (
        "cei sweep mine/experiment.toml",
        "--set source.events_per_epoch=400 --set training.max_epochs=1 --trials 2",
    ),
];

/// The commands that `cei help` lists.
fn commands(folder: &Folder) -> TestResult<Vec<String>> {
    let (help, _) = folder.run("help")?;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = list.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != "help").map(str::to_owned).collect())
}

/// The lines of a command's help that can be typed, with those that they go on in.
fn examples(folder: &Folder, command: &str) -> TestResult<Vec<String>> {
    let (help, _) = folder.run(&format!("{command} --help"))?;
    let mut found: Vec<String> = Vec::new();
    for line in help.lines().skip_while(|line| !line.starts_with("Example")) {
        match found.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => last.push_str(&format!("\n{line}")),
            None => found.extend(line.strip_prefix("  cei ").map(|rest| format!("cei {rest}"))),
        }
    }
    Ok(found)
}

/// A line as a shell runs it that finds `cei`.
fn in_shell(folder: &Folder, line: &str) -> std::io::Result<Output> {
    let cei = Path::new(env!("CARGO_BIN_EXE_cei"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", cei.parent().unwrap_or(cei).display());
    let home = folder.path("");
    Command::new("sh")
        .args(["-c", line])
        .current_dir(&home)
        .env("PATH", path)
        .env("HOME", &home)
        .output()
}

#[test]
fn every_example_runs() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("momenta.txt", MOMENTA.repeat(20))?;
    folder.write("ocs.xyz", OCS)?;
    std::fs::create_dir_all(folder.path(".local/share/bash-completion/completions"))?;
    let mut known = commands(&folder)?;
    let place = |name: &String| ORDER.iter().position(|other| other == name).unwrap_or(ORDER.len());
    known.sort_by_key(place);
    for command in &known {
        let lines = examples(&folder, command)?;
        assert!(!lines.is_empty(), "`cei {command} --help` has no example");
        // Examples of commands that are not in the order are tested where these are.
        for line in lines.iter().filter(|_| ORDER.contains(&command.as_str())) {
            let shortened = SHORTENED.iter().find(|(begin, _)| line.starts_with(begin));
            let line = format!("{line} {}", shortened.map_or("", |(_, more)| more));
            let output = in_shell(&folder, &line)?;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {told}");
            assert!(!told.contains("panicked"), "{line}: {told}");
        }
    }
    for made in [
        "mine/experiment.toml",
        "runs/mine/model.json",
        "sweeps/mine/best.toml",
        "page.html",
        ".local/share/man/man1/cei-train.1",
    ] {
        assert!(folder.path(made).exists(), "{made}");
    }
    Ok(())
}

#[test]
fn slips_are_told_with_what_was_meant() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("t.csv", "cx,cy,cz,pcx,pcy,pcz\n1,2,3,4,5,6\n")?;
    folder.write(
        "e.toml",
        "[source]\nfiles = ['t.csv']\n[columns]\nx = ['cx']\ny = ['PCX']\n[model]\nkind = 'cinn'\n",
    )?;
    let cases = [
        (
            2,
            "trian --config e.toml",
            "there is no command `trian`\nhint: did you mean `train`? `cei help` lists all",
        ),
        (2, "help predcit", "did you mean `predict`?"),
        (2, "man evalute", "did you mean `evaluate`?"),
        (2, "frobnicate", "there is no command `frobnicate`\nhint: `cei help` lists all"),
        (2, "simulate --preset ocs-wid -o a.csv", "did you mean `ocs-wide`?"),
        (2, "train --preset wide-cnn -o run", "did you mean `wide-cinn`?"),
        (
            2,
            "train --preset wide-cinn --set training.learning-rate=1 -o run",
            "did you mean `learning_rate`?",
        ),
        (2, "train --preset wide-cinn --set model.kind=cin -o run", "did you mean `cinn`?"),
        (
            2,
            "train --preset wide-spline --set source.simulator=ocs_wide -o run",
            "did you mean `ocs-wide`?",
        ),
        (1, "train --config e.toml -o run", "did you mean `pcx`?"),
        (2, "predict --sumary a.csv run m.csv -o d.csv", "'--summary'"),
    ];
    for (code, arguments, expected) in cases {
        let told = folder.fails_with(code, arguments)?;
        assert!(told.contains(expected), "{arguments}: {told}");
    }
    Ok(())
}

#[test]
fn the_version_names_commit_and_features() -> TestResult {
    let folder = Folder::empty()?;
    let (long, _) = folder.run("--version")?;
    let (short, _) = folder.run("-V")?;
    assert!(short.starts_with(concat!("cei ", env!("CARGO_PKG_VERSION"))), "{short}");
    assert!(long.starts_with(short.trim_end()) && long.contains("\nfeatures: +cpu"), "{long}");
    // Sources without git have no commit.
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.ok().filter(|output| output.status.success())
    };
    let Some(head) =
        git(&["ls-files", "--error-unmatch", "build.rs"]).and_then(|_| git(&["rev-parse", "HEAD"]))
    else {
        assert_eq!(short.trim_end(), concat!("cei ", env!("CARGO_PKG_VERSION")));
        return Ok(());
    };
    let commit =
        short.split('(').nth(1).and_then(|rest| rest.split(' ').next()).ok_or("no commit")?;
    assert!(commit.len() == 10 && String::from_utf8(head.stdout)?.starts_with(commit), "{short}");
    Ok(())
}

#[test]
fn there_are_man_pages_and_completions_for_every_command() -> TestResult {
    let folder = Folder::empty()?;
    folder.run("man -o pages")?;
    let known = commands(&folder)?;
    for command in &known {
        let page = folder.read(&format!("pages/cei-{command}.1"))?;
        assert!(page.contains(".TH") && page.contains("cei "), "{page}");
        let (printed, _) = folder.run(&format!("man {command}"))?;
        assert_eq!(printed.trim_end(), page.trim_end());
    }
    assert_eq!(std::fs::read_dir(folder.path("pages"))?.count(), known.len() + 1);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = folder.run(&format!("completions {shell}"))?;
        assert!(known.iter().all(|command| script.contains(command.as_str())), "{shell}");
        assert!(script.contains("threads"), "{shell}");
    }
    Ok(())
}

const SIZE: nix::pty::Winsize =
    nix::pty::Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };

/// What a command prints on a terminal.
fn on_a_terminal(command: &mut Command) -> TestResult<String> {
    let terminal = nix::pty::openpty(&SIZE, None)?;
    command
        .env("TERM", "xterm-256color")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command.stdout(terminal.slave.try_clone()?).stderr(terminal.slave);
    let mut child = command.spawn()?;
    // The terminal is at its end when nobody has its other side any more.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut master, mut seen, mut buffer) = (File::from(terminal.master), Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    child.wait()?;
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// Whether a text has a sequence that sets colours, bold or underlined letters: `ESC [ ... m`.
fn is_coloured(text: &str) -> bool {
    text.split("\x1b[").skip(1).any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

#[test]
fn no_color_is_obeyed() -> TestResult {
    let folder = Folder::empty()?;
    let cases = [
        ("train --help", true),
        ("train --preset wide-cinn --epochs 3", true),
        ("simulate --preset ocs-wide --events 20000 -o t.csv", false),
        ("inspect t.csv", false),
        ("evaluate absent", false),
    ];
    for (arguments, coloured) in cases {
        let plain = on_a_terminal(folder.command(arguments).env("NO_COLOR", "1"))?;
        assert!(!plain.is_empty() && !is_coloured(&plain), "{arguments}: {plain}");
        // Otherwise the test would see nothing.
        let usual = on_a_terminal(folder.command(arguments).env_remove("NO_COLOR"))?;
        assert_eq!(is_coloured(&usual), coloured, "{arguments}: {usual:?}");
    }
    Ok(())
}

#[test]
fn threads_are_as_many_as_asked_for() -> TestResult {
    let folder = Folder::empty()?;
    let told = |command: &mut Command| -> TestResult<(serde_json::Value, String)> {
        let output = command.output()?;
        let told = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{told}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        Ok((found["threads"].clone(), told))
    };
    let threads = |command: &mut Command| -> TestResult<(u64, String)> {
        let found = told(command)?.0;
        let origin = found["origin"].as_str().ok_or("no origin")?.to_owned();
        Ok((found["count"].as_u64().ok_or("no count")?, origin))
    };
    let bare = |command: &mut Command| {
        let names = ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS"];
        let slurm = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"];
        for name in names.iter().chain(&slurm) {
            command.env_remove(name);
        }
    };
    let cei = |arguments: &str| {
        let mut command = folder.command(arguments);
        bare(&mut command);
        command
    };
    assert_eq!(threads(&mut cei("devices --json --threads 3"))?, (3, "--threads".to_owned()));
    assert_eq!(threads(&mut cei("--threads 3 devices --json"))?.0, 3);
    let set = threads(cei("devices --json").env("RAYON_NUM_THREADS", "5"))?;
    assert_eq!(set, (5, "RAYON_NUM_THREADS".to_owned()));
    assert_eq!(threads(cei("devices --json --threads 2").env("RAYON_NUM_THREADS", "5"))?.0, 2);
    let here = std::thread::available_parallelism()?.get() as u64;
    let found = told(&mut cei("devices --json"))?.0;
    assert_eq!(found["count"], here);
    assert_eq!((&found["cores"], &found["tables"]), (&here.into(), &here.into()));
    // Slurm may give fewer than it binds to, and tables follow; who has set their threads is believed.
    let slurm = told(cei("devices --json").env("SLURM_CPUS_PER_TASK", "1"))?.0;
    assert_eq!((&slurm["count"], &slurm["tables"]), (&1.into(), &1.into()));
    let one = told(&mut cei("devices --json --threads 1"))?.0;
    assert_eq!((&one["cores"], &one["tables"]), (&here.into(), &1.into()));
    let set = told(cei("devices --json --threads 1").env("POLARS_MAX_THREADS", "2"))?.0;
    assert_eq!(set["tables"], 2);
    let many = told(cei("devices --json --threads 3").env("SLURM_CPUS_PER_TASK", "1"))?.1;
    assert!(many.contains("warning: 3 threads (--threads) share 1 of the cores"), "{many}");
    // A set of one processor, as a batch system gives it.
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let first: String =
            list.ok_or("no list")?.trim().chars().take_while(char::is_ascii_digit).collect();
        let bound = |arguments: &str| {
            let mut command = Command::new("taskset");
            command.args(["-c", &first, env!("CARGO_BIN_EXE_cei")]);
            command.args(arguments.split_whitespace()).current_dir(folder.path(""));
            bare(&mut command);
            command
        };
        let of_set = threads(&mut bound("devices --json"))?;
        assert_eq!(of_set, (1, "what the process may use at once".to_owned()));
        let many = told(&mut bound("devices --json --threads 2"))?.1;
        assert!(
            many.contains("2 threads (--threads) share 1 of the cores (what the process may use"),
            "{many}"
        );
        let planned = "simulate --preset ocs-wide --events 10 -o t.csv --dry-run";
        let planned = String::from_utf8(bound(planned).output()?.stdout)?;
        let line = "\nwhat computes: 1 thread of 1 core (what the process may use at once)\n";
        assert!(planned.contains(line), "{planned}");
    }
    let output = cei("devices").env("RAYON_NUM_THREADS", "two").output()?;
    assert!(String::from_utf8(output.stderr)?.contains("RAYON_NUM_THREADS is `two`"));
    for wrong in ["0", "-1", "two", "100000"] {
        folder.fails_with(2, &format!("devices --threads {wrong}"))?;
    }
    Ok(())
}

/// A processor with AVX-512 can tell what one without would take; momenta are the same.
#[test]
fn wide_instructions_can_be_left_alone() -> TestResult {
    let folder = Folder::empty()?;
    let mut made = Vec::new();
    for (value, is_left) in [("1", true), ("0", false)] {
        let devices = folder.command("devices --json").env("CEI_LEAVE_AVX512", value).output()?;
        let devices: serde_json::Value = serde_json::from_slice(&devices.stdout)?;
        let used = devices["instructions"].as_str().ok_or("not told")?.to_owned();
        #[cfg(target_arch = "x86_64")]
        assert_eq!(used == "AVX-512", !is_left && is_x86_feature_detected!("avx512dq"), "{used}");
        #[cfg(not(target_arch = "x86_64"))]
        assert!(!is_left || ["NEON", "none"].contains(&used.as_str()), "{used}");
        let mut simulate =
            folder.command("simulate --preset ocs-wide --events 300 -o t.csv --quiet");
        assert!(simulate.env("CEI_LEAVE_AVX512", value).status()?.success());
        made.push(std::fs::read(folder.path("t.csv"))?);
    }
    assert_eq!(made[0], made[1]);
    Ok(())
}

#[test]
fn results_do_not_depend_on_threads() -> TestResult {
    let folder = Folder::empty()?;
    let mut made: Vec<Vec<u8>> = Vec::new();
    for threads in ["1", "3"] {
        let more = format!("--quiet --threads {threads}");
        folder.run(&format!("simulate --preset ocs-wide --events 300 -o t.csv {more}"))?;
        let small = "--set model.couplings=1 --set model.hidden=[8] --set training.max_epochs=2 --data t.csv";
        folder.run(&format!("train --preset wide-cinn {small} -o run{threads} {more}"))?;
        folder.run(&format!("predict run{threads} t.csv -n 5 -o d.csv {more}"))?;
        made.push([folder.read("t.csv")?, folder.read("d.csv")?].concat().into_bytes());
    }
    assert!(made[0] == made[1]);
    Ok(())
}

/// Seconds grow with the work: a hundred times as much takes more than three times as long, also where others make the
/// machine and its disk slower from one to the next. Steps are counted; nothing is written.
#[test]
fn dry_runs_say_what_a_work_takes_and_write_nothing() -> TestResult {
    let folder = Folder::empty()?;
    folder.run("simulate --preset ocs-wide --events 1000 -o t.csv --quiet")?;
    let small = "--set model.couplings=1 --set model.hidden=[8] --quiet";
    folder.run(&format!(
        "train --preset wide-cinn --data t.csv -o run {small} --set training.max_epochs=1"
    ))?;
    let before = files(&folder)?;
    let seconds = |arguments: &str| -> TestResult<(f64, serde_json::Value)> {
        let found = folder.json(&format!("{arguments} --dry-run --json"))?;
        let known = |key: &str| found[key].as_f64().ok_or_else(|| format!("{key}: {found}"));
        assert_eq!(found["dry_run"], true);
        assert!(known("memory_bytes")? > 5e6 && known("memory_bytes")? < 2e9, "{found}");
        assert!(known("tried_steps")? >= 1.0, "{found}");
        Ok((known("seconds")? - known("preparation_seconds")?, found))
    };
    let simulate =
        |events: &str| seconds(&format!("simulate --preset ocs-wide --events {events} -o new.csv"));
    let (few, _) = simulate("1000000")?;
    let (many, found) = simulate("100000000")?;
    assert_eq!(found["rows"], 100_000_000);
    assert!(many > 3.0 * few, "{few} {many}");

    let train = |epochs: usize| {
        let epochs = format!("training.max_epochs={epochs} --set training.batch_size=100");
        seconds(&format!("train --preset wide-cinn --data t.csv -o new {small} --set {epochs}"))
    };
    let (few, found) = train(200)?;
    let rows = found["rows"].as_u64().ok_or("no rows")?;
    assert_eq!(found["steps"], 200 * rows.div_ceil(100));
    let (many, _) = train(20_000)?;
    assert!(many > 3.0 * few, "{few} {many}");
    let told = folder.fails_with(2, "train -o run --resume --dry-run")?;
    assert!(told.contains("--resume"), "{told}");

    let (seconds, found) =
        seconds("predict run t.csv --refine -n 50 -o new.csv --summary new.parquet")?;
    assert!(seconds > 0.0 && found["rows"] == 1000, "{found}");
    let (text, _) = folder.run("predict run t.csv -n 50 -o new.csv --dry-run")?;
    assert!(text.starts_with("nothing is written") && text.contains("\nmemory: about"), "{text}");
    assert_eq!(files(&folder)?, before);
    Ok(())
}

/// Everything in a folder and below.
fn files(folder: &Folder) -> std::io::Result<Vec<std::path::PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.path("")]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
