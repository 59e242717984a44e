//! End-to-end tests of what is said about tables and configurations before anything is computed: units, wide tables,
//! files that are no configurations, sizes that no memory holds.

use std::process::{Command, Output};

use serde_json::Value;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENT: &str = r#"
[source]
files = ["momenta.txt"]
[molecule]
atoms = [{ element = "O", charge = 1 }, { element = "C", charge = 1 }, { element = "S", charge = 1 }]
[columns]
y = [0, 1, 2, 3, 4, 5, 6, 7, 8]
y_unit = "1e-22 kg m/s"
[model]
kind = "cinn"
couplings = 1
hidden = [4]
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let folder = Self(tempfile::tempdir()?);
        // Three rows of O, C, S in 1e-22 kg m/s that add up to something.
        let row = "1.0\t0.2\t-1.4\t0.35\t-0.33\t-0.66\t-1.3\t0.12\t2.1\n";
        let other = "-0.6\t-0.3\t0.8\t0.25\t-0.42\t0.15\t0.38\t0.7\t-1.0\n";
        let third = "0.9\t1.3\t0.1\t-0.4\t0.1\t-0.9\t-0.6\t-1.3\t0.9\n";
        folder.write("momenta.txt", format!("{row}{other}{third}"))?;
        folder.write("experiment.toml", EXPERIMENT)?;
        Ok(folder)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> std::io::Result<()> {
        std::fs::write(self.0.path().join(name), content)
    }

    fn cei(&self, arguments: &[&str]) -> Result<Output, Box<dyn std::error::Error>> {
        Ok(Command::new(env!("CARGO_BIN_EXE_cei"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()?)
    }

    fn succeeds(&self, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.cei(arguments)?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&self.succeeds(arguments)?)?)
    }

    /// Exit code and message of a command that must fail, without a panic.
    fn fails(&self, arguments: &[&str]) -> Result<(i32, String), Box<dyn std::error::Error>> {
        let output = self.cei(arguments)?;
        let told = String::from_utf8(output.stderr)?;
        let code = output.status.code().ok_or("killed")?;
        assert!(code == 1 || code == 2, "{arguments:?}: {code}: {told}");
        assert!(!told.contains("panicked"), "{told}");
        Ok((code, told))
    }
}

/// `sum of p^2 / 2m` of the first row of a table in eV, with p in 1e-22 kg m/s and masses in u.
fn energy_ev(momenta: &[f64], masses: &[f64]) -> f64 {
    let joule: f64 = momenta
        .chunks(3)
        .zip(masses)
        .map(|(p, mass)| {
            let square: f64 = p.iter().map(|p| p * p * 1e-44).sum();
            square / (2.0 * mass * 1.660_539_066_60e-27)
        })
        .sum();
    joule / 1.602_176_634e-19
}

#[test]
fn momenta_alone_are_inspected_in_their_unit() -> TestResult {
    let folder = Folder::new()?;
    let columns = "0,1,2,3,4,5,6,7,8";
    let by_hand = [
        "inspect",
        "momenta.txt",
        "--columns",
        columns,
        "--unit",
        "1e-22 kg m/s",
        "--molecule",
        "O:1,C:1,S:1",
        "--json",
    ];
    let by_config = ["inspect", "momenta.txt", "--config", "experiment.toml", "--json"];
    let rows = [
        [1.0, 0.2, -1.4, 0.35, -0.33, -0.66, -1.3, 0.12, 2.1],
        [-0.6, -0.3, 0.8, 0.25, -0.42, 0.15, 0.38, 0.7, -1.0],
        [0.9, 1.3, 0.1, -0.4, 0.1, -0.9, -0.6, -1.3, 0.9],
    ];
    let mean = rows.iter().map(|row| energy_ev(row, &[15.999, 12.011, 32.06])).sum::<f64>() / 3.0;
    for arguments in [&by_hand[..], &by_config[..]] {
        let found = folder.json(arguments)?;
        assert_eq!(found.get("positions"), None, "{found}");
        assert_eq!(found["momenta"]["unit"], "1e-22 kg m/s");
        assert_eq!(found["momenta"].get("unit_guess"), None);
        let energy = found["kinetic_energy_release"]["mean_ev"].as_f64().ok_or("no energy")?;
        assert!((energy / mean - 1.0).abs() < 1e-3, "{energy} {mean}");
    }
    let text = folder.succeeds(&["inspect", "momenta.txt", "--config", "experiment.toml"])?;
    assert!(text.contains("unit: 1e-22 kg m/s (of the configuration)"), "{text}");
    let (code, told) = folder.fails(&["inspect", "momenta.txt", "--unit", "1e-22 stone"])?;
    assert_eq!(code, 2);
    assert!(told.contains("kg m/s"), "{told}");
    Ok(())
}

#[test]
fn units_of_a_simulated_table_are_known() -> TestResult {
    let folder = Folder::new()?;
    folder.succeeds(&["simulate", "--preset", "ocs-wide", "--events", "50", "-o", "t.csv"])?;
    let found = folder.json(&["inspect", "t.csv", "--json"])?;
    assert_eq!(
        (&found["positions"]["unit"], &found["momenta"]["unit"]),
        (&"bohr".into(), &"au".into())
    );
    // Without what stands beside it, it is a guess, and shown as one.
    std::fs::rename(folder.0.path().join("t.csv"), folder.0.path().join("moved.csv"))?;
    let found = folder.json(&["inspect", "moved.csv", "--json"])?;
    assert_eq!(found["positions"]["unit_guess"]["unit"], "bohr");
    assert_eq!(found["positions"].get("unit"), None);
    Ok(())
}

#[test]
fn a_unit_for_an_xyz_file_is_refused() -> TestResult {
    let folder = Folder::new()?;
    folder.write("g.xyz", "3\n\nC 0 0 0\nO 1.2 0 0\nS -1.6 0 0\n")?;
    let simulate =
        ["simulate", "--preset", "ocs-reference", "--positions", "g.xyz", "-o", "out.csv"];
    let (code, told) = folder.fails(&[&simulate[..], &["--position-unit", "bohr"]].concat())?;
    assert_eq!(code, 2);
    assert!(told.contains("`g.xyz`") && told.contains("angstrom"), "{told}");
    assert!(!folder.0.path().join("out.csv").exists());
    folder.succeeds(&simulate)?;
    // Any multiple is a unit of columns.
    folder.write("g.csv", "cx,cy,cz,ox,oy,oz,sx,sy,sz\n0,0,0,1200,0,0,-1600,0,0\n")?;
    let columns = ["simulate", "--preset", "ocs-reference", "--positions", "g.csv", "-o", "c.csv"];
    folder.succeeds(&[&columns[..], &["--position-unit", "1e-3 angstrom"]].concat())?;
    let energy = |table: &str| -> Result<f64, Box<dyn std::error::Error>> {
        let found = folder.json(&["inspect", table, "--json"])?;
        Ok(found["kinetic_energy_release"]["mean_ev"].as_f64().ok_or("no energy")?)
    };
    assert!((energy("c.csv")? / energy("out.csv")? - 1.0).abs() < 1e-9);
    Ok(())
}

#[test]
fn wide_tables_are_told_in_short() -> TestResult {
    let folder = Folder::new()?;
    let names: Vec<String> = (0..10_000).map(|column| format!("a{column}")).collect();
    let row = |shift: usize| {
        (0..10_000).map(|c| ((c * 7 + shift) % 101).to_string()).collect::<Vec<_>>().join(",")
    };
    folder.write("wide.csv", format!("{}\n{}\n{}\n", names.join(","), row(1), row(2)))?;
    let text = folder.succeeds(&["inspect", "wide.csv"])?;
    assert!(text.lines().count() < 100, "{}", text.lines().count());
    assert!(text.contains("9940 more columns"), "{text}");
    // A name of a megabyte.
    folder.write("long.csv", format!("{},b\n1,2\n3,4\n", "n".repeat(1 << 20)))?;
    assert!(folder.succeeds(&["inspect", "long.csv"])?.len() < 10_000);
    // A line that does not end.
    folder.write("line.csv", "1,".repeat(1 << 20))?;
    folder.fails(&["inspect", "line.csv"])?;
    Ok(())
}

#[test]
fn what_is_no_configuration_is_named() -> TestResult {
    let folder = Folder::new()?;
    std::fs::create_dir(folder.0.path().join("run"))?;
    folder.write("run/config.toml", EXPERIMENT)?;
    folder.write("t.csv", "cx,cy\n1,2\n")?;
    folder.write("binary.toml", b"\x00\x01\x02a = 1")?;
    folder.write("latin.toml", b"# \xe5ngstr\xf6m\n")?;
    folder.write("empty.toml", "")?;
    let cases = [
        ("absent.toml", "does not exist"),
        ("wide-cinn", "--preset wide-cinn"),
        ("run", "run/config.toml"),
        ("t.csv", "is a table of events"),
        ("momenta.txt", "is a table of events"),
        ("binary.toml", "no text"),
        ("latin.toml", "UTF-8 (line 1)"),
        ("empty.toml", "model"),
    ];
    for (name, why) in cases {
        let (_, told) = folder.fails(&["train", "--config", name, "-o", "out"])?;
        assert!(told.contains(&format!("`{name}`")) && told.contains(why), "{name}: {told}");
        let (_, told) = folder.fails(&["simulate", "--config", name, "-o", "out.csv"])?;
        assert!(told.contains(&format!("`{name}`")), "{name}: {told}");
    }
    // Editors that write a byte order mark or UTF-16 do no harm.
    folder.write("marked.toml", [b"\xef\xbb\xbf", EXPERIMENT.as_bytes()].concat())?;
    let utf16 = EXPERIMENT.encode_utf16().flat_map(u16::to_le_bytes);
    folder.write("utf16.toml", [0xff, 0xfe].into_iter().chain(utf16).collect::<Vec<u8>>())?;
    let plain = folder.succeeds(&["config", "--config", "experiment.toml"])?;
    assert!(plain.contains("y_unit = \"1e-22 kg m/s\""), "{plain}");
    for name in ["marked.toml", "utf16.toml"] {
        assert_eq!(folder.succeeds(&["config", "--config", name])?, plain);
    }
    Ok(())
}

#[test]
fn every_message_about_a_configuration_names_its_file() -> TestResult {
    let folder = Folder::new()?;
    let huge = "9223372036854775807";
    let wrong = [
        ("[training]\nbatch_size = HUGE", "`training.batch_size`"),
        ("[training]\npatience = HUGE", "`training.patience`"),
        ("[training]\nmax_epochs = 0", "`training.max_epochs`"),
        ("[evaluation]\ndraws = HUGE", "`evaluation.draws`"),
        ("[evaluation]\nresimulated_draws = HUGE", "`evaluation.resimulated_draws`"),
        ("[evaluation]\nvertex = \"N\"", "`evaluation.vertex`"),
        ("[split]\ntrain = 0.9", "`split.train`"),
        ("[detector]\nmomentum_noise_au = -1.0", "detector.momentum_noise_au"),
        ("[preprocessing]\nnoise_sd = 0.0\ndegenerate = \"noise\"", "`noise_sd`"),
        ("[source]\nfresh_noise = true\nfiles = [\"momenta.txt\"]", "`source.fresh_noise`"),
        ("[preprocessing.bounds]\nqx = [0.0, 1.0]", "`preprocessing.bounds`"),
    ];
    // Positions, so that a training gets as far as it can.
    let numbers = |row: usize| {
        let cells = (0..18).map(|column| ((row * 7 + column * column) as f64).sin().to_string());
        cells.collect::<Vec<_>>().join(" ") + "\n"
    };
    folder.write("momenta.txt", (0..60).map(numbers).collect::<String>())?;
    let columns = "x = [9, 10, 11, 12, 13, 14, 15, 16, 17]\ny = [";
    let experiment = EXPERIMENT.replace("y = [", columns);
    for (text, key) in wrong {
        let base = match text.starts_with("[source]") {
            true => experiment.replace("[source]\nfiles = [\"momenta.txt\"]\n", ""),
            false => experiment.clone(),
        };
        folder.write("wrong.toml", format!("{base}\n{}\n", text.replace("HUGE", huge)))?;
        let (_, told) =
            folder.fails(&["train", "--config", "wrong.toml", "-o", "out", "--quiet"])?;
        assert!(told.contains("`wrong.toml`") && told.contains(key), "{text}: {told}");
    }
    // Found out only in a simulation: ions that never fly apart.
    let simulation = folder.succeeds(&["config", "--preset", "ocs-reference"])?;
    folder.write("bound.toml", simulation.replacen("charge = 2.0", "charge = -2.0", 1))?;
    let (_, told) = folder.fails(&["simulate", "--config", "bound.toml", "-o", "out.csv"])?;
    assert!(told.contains("`bound.toml`: event 0"), "{told}");
    // An override at fault is named in its place, and is a wrong call.
    let given = format!("training.batch_size={huge}");
    let arguments = ["train", "--config", "experiment.toml", "--set", &given, "-o", "out"];
    let (code, told) = folder.fails(&arguments)?;
    assert_eq!(code, 2);
    assert!(told.contains(&format!("`--set {given}`")), "{told}");
    Ok(())
}

/// What a training would say of the numbers is said: dead columns by its rule, and cells that are no measurements.
#[test]
fn columns_and_cells_are_judged_as_by_a_training() -> TestResult {
    let folder = Folder::new()?;
    // SI momenta beside a delay in fs, one of them round-off; an overflow flag, a slipped decimal point.
    let table = |overflow: f64| {
        let mut text = "delay_fs,pcx,pcy,pcz,pox,poy,poz\n".to_owned();
        for row in 0..400_u32 {
            let wave = |k: u32| 1e-22 * ((f64::from(row * k) * 0.618_033_988_75).fract() - 0.5);
            let cx = if row == 17 { overflow } else { wave(3) };
            let cy = if row == 250 { 1e-20 } else { wave(5) };
            let (cz, [ox, oy, oz]) = (1e-17 * wave(2), [7, 11, 13].map(wave));
            let delay = 100 * (row % 20);
            text.push_str(&format!("{delay},{cx:e},{cy:e},{cz:e},{ox:e},{oy:e},{oz:e}\n"));
        }
        text
    };
    let columns = "delay_fs,pcx,pcy,pcz,pox,poy,poz";
    let inspect = ["inspect", "si.csv", "--columns", columns, "--unit", "si", "--json"];
    folder.write("si.csv", table(0.0))?;
    assert_eq!(folder.json(&inspect)?["momenta"]["dead"], serde_json::json!(["pcz"]));
    folder.write("si.csv", table(1e6))?;
    let found = folder.json(&inspect)?;
    let said = found["remarks"].to_string();
    assert!(said.contains("row 18, column `pcx`: `1e6` is"), "{said}");
    assert!(
        said.contains("no measurement") && said.contains("row 251, column `pcy`: `1e-20`"),
        "{said}"
    );
    folder.write(
        "e.toml",
        format!("[source]\nfiles = ['si.csv']\n[columns]\nx = ['delay_fs']\nx_unit = 'none'\ny_unit = 'si'\ny = {:?}\n[model]\nkind = 'cinn'\n", columns.split(',').skip(1).collect::<Vec<_>>()),
    )?;
    let (_, told) = folder.fails(&["train", "--config", "e.toml", "-o", "run"])?;
    assert!(told.contains("row 18, column `pcx`: `1e6` is"), "{told}");
    // What a configuration cannot be compared with is told.
    let other = EXPERIMENT.replace("momenta.txt", "missing.csv");
    folder.write("other.toml", other)?;
    let output = folder.cei(&["inspect", "momenta.txt", "--config", "other.toml"])?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && told.contains("are not compared"), "{told}");
    assert!(told.contains("missing.csv"), "{told}");
    folder.write("other.toml", EXPERIMENT.replace("files = [\"momenta.txt\"]", ""))?;
    let output = folder.cei(&["inspect", "momenta.txt", "--config", "other.toml"])?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{told}");
    assert!(told.contains("are not compared") && told.contains("`source.simulator`"), "{told}");
    Ok(())
}

/// A momentum sum that was imposed and then rounded is no direction, whichever way it was rounded: `inspect` says how many
/// there are, and `train` what the rounding did.
#[test]
fn rounding_makes_no_direction() -> TestResult {
    let folder = Folder::new()?;
    let names = "ox,oy,oz,cx,cy,cz,sx,sy,sz,pox,poy,poz,pcx,pcy,pcz,psx,psy,psz";
    let mut tables = [String::new(), String::new(), String::new()];
    tables.iter_mut().for_each(|text| *text = format!("{names}\n"));
    for row in 0..300_u32 {
        let wave = |k: u32| (f64::from(row * (2 * k + 3) + k) * 0.618_033_988_75).sin() * 1.7;
        let free: Vec<f64> = (0..12).map(wave).collect();
        let [x, p] = [&free[..6], &free[6..]].map(|free| {
            let last = [0, 1, 2].map(|axis| -free[axis] - free[3 + axis]);
            [free, &last[..]].concat()
        });
        let cells = [x, p].concat();
        let line = |format: fn(f64) -> String| {
            cells.iter().map(|v| format(*v)).collect::<Vec<_>>().join(",") + "\n"
        };
        tables[0] += &line(|v| v.to_string());
        tables[1] += &line(|v| format!("{v:.4}"));
        tables[2] += &line(|v| format!("{v:.5e}"));
    }
    for (place, text) in tables.iter().enumerate() {
        folder.write("t.csv", text)?;
        let found = folder.json(&["inspect", "t.csv", "--unit", "au", "--json"])?;
        assert_eq!(found["momenta"]["rank"], 6, "{found}");
        let said = found["remarks"].to_string().contains("only by the rounding of the file");
        assert_eq!(said, place > 0, "{found}");
        let atoms =
            "molecule.atoms=[{element='O',charge=1},{element='C',charge=1},{element='S',charge=1}]";
        folder.write("e.toml", "[source]\nfiles = ['t.csv']\n[model]\nkind = 'cinn'\ncouplings = 2\nhidden = [8]\n[training]\nmax_epochs = 1\n")?;
        let run = format!("run{place}");
        let train = ["train", "--config", "e.toml", "--set", atoms, "-o", &run, "--quiet"];
        let output = folder.cei(&train)?;
        let told = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{told}");
        assert_eq!(told.contains("only by the rounding of the file"), place > 0, "{told}");
    }
    Ok(())
}
