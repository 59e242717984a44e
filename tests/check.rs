//! End-to-end tests of `cei check`: momenta of the declared simulation pass, those of another fail and it is said how.

mod folder;

use folder::{Folder, TestResult};
use serde_json::Value;

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n[molecule]\natoms = [\
    { element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 3\n";

/// Carbonyl sulfide, with what is said of its charging.
fn simulation(charging: &str) -> String {
    format!(
        "events = 2000\nseed = 5\norientation = 'random'\ncentre = 'centre-of-mass'\n{charging}[molecule]\natoms = [\
         {{ element = 'C', charge = 2 }}, {{ element = 'O', charge = 2 }}, {{ element = 'S', charge = 2 }}]\n\
         [geometry]\nlaw = 'triatomic'\ncentre = 'C'\nbonds = [\
         {{ atom = 'O', length_angstrom = {{ distribution = 'normal', mean = 1.2, sd = 0.1 }} }},\
         {{ atom = 'S', length_angstrom = {{ distribution = 'normal', mean = 1.6, sd = 0.1 }} }}]\n\
         angle_deg = {{ distribution = 'normal', mean = 160, sd = 6 }}\n\
         [detector]\nmomentum_noise_au = 1.0\n[frame]\nkind = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n"
    )
}

fn tests_of(report: &Value) -> Vec<(String, f64, String)> {
    let tests = report["tests"].as_array().cloned().unwrap_or_default();
    let of = |test: &Value| {
        let text = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
        (text("name"), test["p_value"].as_f64().unwrap_or(f64::NAN), text("direction"))
    };
    tests.iter().map(of).collect()
}

#[test]
fn the_declared_simulation_passes_and_a_slower_charging_fails() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("law.toml", simulation(""))?;
    folder.write("slow.toml", simulation("charging = { kind = 'exponential', tau_fs = 8.0 }\n"))?;
    folder.run("simulate --config law.toml --seed 3 -o t.csv --quiet")?;
    folder.run("simulate --config law.toml --events 160 --seed 4 -o same.csv --quiet")?;
    folder.run("simulate --config slow.toml --events 160 --seed 4 -o slow.csv --quiet")?;
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("train --config e.toml -o run --quiet")?;

    let call = "check run same.csv -n 100 -o out --quiet --json";
    let report = folder.json(call)?;
    assert_eq!(report["verdict"], "pass", "{report}");
    assert_eq!(report["population"], "declared", "{report}");
    let names: Vec<String> = tests_of(&report).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["log_evidence", "kinetic_energy", "angles", "classifier"]);
    for test in report["tests"].as_array().into_iter().flatten() {
        assert!(test["p_value"].as_f64() >= test["p_value_alone"].as_f64(), "{test}");
    }
    for figure in ["log_evidence", "ker", "angles", "classifier"] {
        for ending in ["svg", "png"] {
            assert!(folder.path(&format!("out/figures/{figure}.{ending}")).exists(), "{figure}");
        }
    }
    assert_eq!(serde_json::from_str::<Value>(&folder.read("out/check.json")?)?["verdict"], "pass");
    assert_eq!(folder.json(call)?, report);

    let report = folder.json("check run slow.csv -n 100 --quiet --json")?;
    assert_eq!(report["verdict"], "fail", "{report}");
    let energy = tests_of(&report).into_iter().find(|(name, ..)| name == "kinetic_energy");
    let energy = energy.ok_or("no test of the energy")?;
    assert!(energy.1 < 0.01 && energy.2.contains("% below those of the simulation"), "{energy:?}");

    let few = folder.fails_with(2, "check run same.csv --events 40")?;
    assert!(few.contains("`--events` is `40`, but must be at least 80"), "{few}");
    folder.run("simulate --config law.toml --events 30 --seed 4 -o few.csv --quiet")?;
    let few = folder.fails_with(1, "check run few.csv")?;
    assert!(few.contains("30 events") && few.contains("hint:"), "{few}");
    Ok(())
}
