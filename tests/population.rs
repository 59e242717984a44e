//! End-to-end tests of `cei population`: narrower than its events, by a column, resumed, and refused where it would be wrong.

mod folder;

use folder::{Folder, TestResult};
use serde_json::Value;

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n[molecule]\natoms = [\
    { element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 3\n";

/// Carbonyl sulfide with a C-O bond of this mean (angstrom); all widths are far below those of single events.
fn sample(mean: f64) -> String {
    format!(
        "events = 60\nseed = 5\norientation = 'random'\ncentre = 'centre-of-mass'\n[molecule]\natoms = [\
         {{ element = 'C', charge = 2 }}, {{ element = 'O', charge = 2 }}, {{ element = 'S', charge = 2 }}]\n\
         [geometry]\nlaw = 'triatomic'\ncentre = 'C'\nbonds = [\
         {{ atom = 'O', length_angstrom = {{ distribution = 'normal', mean = {mean}, sd = 0.05 }} }},\
         {{ atom = 'S', length_angstrom = {{ distribution = 'normal', mean = 2.4, sd = 0.05 }} }}]\n\
         angle_deg = {{ distribution = 'normal', mean = 150, sd = 4 }}\n\
         [detector]\nmomentum_noise_au = 1.0\n[frame]\nkind = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n"
    )
}

fn of<'a>(report: &'a Value, group: usize, quantity: &str) -> &'a Value {
    let all = report["groups"][group]["quantities"].as_array();
    let found = all.and_then(|all| all.iter().find(|own| own["quantity"] == quantity));
    found.unwrap_or(&Value::Null)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[test]
fn two_delays_are_told_apart_and_a_second_call_goes_on() -> TestResult {
    let folder = Folder::empty()?;
    folder.run("simulate --preset ocs-wide --events 2000 --seed 3 -o t.csv --quiet")?;
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("train --config e.toml -o run --quiet")?;
    let mut all = String::new();
    for (mean, delay) in [(1.8, 40), (2.2, 80)] {
        folder.write("s.toml", sample(mean))?;
        folder.run("simulate --config s.toml -o s.csv --quiet")?;
        for (place, line) in folder.read("s.csv")?.lines().enumerate() {
            match place {
                0 if all.is_empty() => all.push_str(&format!("{line},delay\n")),
                0 => {}
                _ => all.push_str(&format!("{line},{delay}\n")),
            }
        }
    }
    folder.write("m.csv", all)?;
    let call = "population run m.csv -n 100 --bootstraps 20 -o out --quiet --json";
    let report = folder.json(&format!("{call} --by delay"))?;
    assert_eq!(report["groups"].as_array().map(Vec::len), Some(2), "{report}");
    for (group, (value, mean)) in [("40", 180.0), ("80", 220.0)].into_iter().enumerate() {
        assert_eq!(report["groups"][group]["value"], value);
        let bond = of(&report, group, "C-O_pm");
        assert!((number(&bond["mean"]["value"]) - mean).abs() < 12.0, "{bond}");
        assert!(number(&bond["sd"]["value"]) < number(&bond["stacked_sd"]), "{bond}");
    }
    assert!(
        folder
            .read("out/population.csv")?
            .starts_with("quantity,by,value,density,lower,upper,stacked")
    );
    assert_eq!(folder.column("out/summary.csv", "quantity")?.len(), 6);
    for file in ["out/population.svg", "out/population.png", "out/population.json"] {
        assert!(folder.path(file).exists(), "{file}");
    }

    // One part is lost, as by an interruption: it is made again, to the bit; the other stays. Another curve needs neither.
    let parts = std::fs::read_dir(folder.path("out/draws"))?.count() - 1;
    assert_eq!(parts, 1);
    let part = folder.path("out/draws/part-000000.parquet");
    let before = std::fs::read(&part)?;
    std::fs::remove_file(&part)?;
    assert_eq!(folder.json(&format!("{call} --by delay"))?, report);
    assert_eq!(std::fs::read(&part)?, before);
    let written = std::fs::metadata(&part)?.modified()?;
    let together = folder.json(call)?;
    assert_eq!(std::fs::metadata(&part)?.modified()?, written);
    assert_eq!(together["groups"].as_array().map(Vec::len), Some(1));
    let spread = number(&of(&together, 0, "C-O_pm")["sd"]["value"]);
    assert!((spread - 20.0).abs() < 8.0, "{spread}");

    let other = folder.fails_with(1, "population run m.csv -n 200 -o out")?;
    assert!(other.contains("draws of another sample") && other.contains("--draws"), "{other}");
    folder.write("n.csv", folder.read("s.csv")?)?;
    let other = folder.fails_with(1, "population run n.csv -n 100 -o out")?;
    assert!(other.contains("differs in the momenta") && other.contains("hint:"), "{other}");
    let lines: Vec<String> = folder.read("m.csv")?.lines().take(2).map(str::to_owned).collect();
    folder.write("one.csv", lines.join("\n"))?;
    let few = folder.fails_with(1, "population run one.csv -n 100 -o other")?;
    assert!(
        few.contains("1 event in the largest group") && few.contains("cei predict --refine"),
        "{few}"
    );
    let none = folder.fails_with(2, "population run m.csv -n 100 --bootstraps 0 -o other")?;
    assert!(none.contains("`--bootstraps` is `0`, but must be at least 20"), "{none}");
    assert!(!folder.path("other").exists());
    let column = folder.fails_with(1, &format!("{call} --by delays"))?;
    assert!(column.contains("did you mean `delay`?"), "{column}");
    let efficiency = folder.fails_with(1, &format!("{call} --efficiency delay"))?;
    assert!(efficiency.contains("event 0") && efficiency.contains("`40`"), "{efficiency}");
    Ok(())
}

/// Singly charged carbonyl sulfide with 15 a.u. of noise: the wide law, or a sample far narrower than its posteriors.
fn noisy(bonds: [&str; 2], angle: &str, frame: &str) -> String {
    let atoms = ["C", "O", "S"].map(|element| format!("{{ element = '{element}', charge = 1 }}"));
    format!(
        "events = 6000\nseed = 5\norientation = 'random'\ncentre = 'centre-of-mass'\n[molecule]\natoms = [{}]\n\
         [geometry]\nlaw = 'triatomic'\ncentre = 'C'\nbonds = [\
         {{ atom = 'O', length_angstrom = {{ {} }} }}, {{ atom = 'S', length_angstrom = {{ {} }} }}]\n\
         angle_deg = {{ {angle} }}\n[detector]\nmomentum_noise_au = 15.0\n[frame]\n{frame}\n",
        atoms.join(", "),
        bonds[0],
        bonds[1]
    )
}

/// Wasserstein distance of a curve of the first group to a normal law.
fn distance(report: &Value, quantity: &str, mean: f64, sd: f64) -> f64 {
    let numbers = |key: &str| -> Vec<f64> {
        of(report, 0, quantity)[key].as_array().into_iter().flatten().map(number).collect()
    };
    let (values, density) = (numbers("values"), numbers("density"));
    let step = values[1] - values[0];
    let (mut own, mut normal, mut distance) = (0.0, 0.0, 0.0);
    for (value, density) in values.iter().zip(density) {
        own += step * density;
        let steps = 100;
        let places =
            (0..steps).map(|i| value + step * ((f64::from(i) + 0.5) / f64::from(steps) - 0.5));
        let part: f64 = places.map(|q| (-0.5 * ((q - mean) / sd).powi(2)).exp()).sum();
        normal += part * step / f64::from(steps) / (sd * std::f64::consts::TAU.sqrt());
        distance += step * (own - normal).abs();
    }
    distance
}

/// In every fifth event carbon, the ion of least momentum, is another molecule's. Most of these pass for a molecule and broaden the angle,
/// whose width is 1 degree: without a correction the interval is above it, with one it holds it.
#[test]
fn false_coincidences_broaden_a_sample_unless_they_are_told() -> TestResult {
    let folder = Folder::empty()?;
    let even = |low, high| format!("distribution = 'uniform', low = {low}, high = {high}");
    let normal = |mean, sd| format!("distribution = 'normal', mean = {mean}, sd = {sd}");
    let frame = "kind = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'";
    let law = noisy([&even(0.9, 1.9), &even(1.2, 2.4)], &even(120.0, 180.0), frame);
    folder.write("law.toml", law)?;
    let sample =
        noisy([&normal(1.3, 0.02), &normal(1.7, 0.02)], &normal(165.0, 1.0), "kind = 'laboratory'");
    folder.write("s.toml", sample)?;
    folder.run("simulate --config law.toml -o t.csv --quiet")?;
    folder.run("simulate --config s.toml --events 300 -o s.csv --quiet")?;
    folder.write("e.toml", EXPERIMENT.replace("charge = 2", "charge = 1"))?;
    folder.run("train --config e.toml -o run --quiet")?;

    let names: Vec<String> = ["c", "o", "s"]
        .iter()
        .flat_map(|ion| ["x", "y", "z"].map(|axis| format!("p{ion}{axis}")))
        .collect();
    let columns: Vec<Vec<f64>> =
        names.iter().map(|name| folder.numbers("s.csv", name)).collect::<Result<_, _>>()?;
    let mut mixed = names.join(",") + "\n";
    for row in 0..300 {
        let of = |column: usize| {
            let is_other = row % 5 == 0 && column < 3;
            columns[column][if is_other { row + 1 } else { row }].to_string()
        };
        mixed.push_str(&((0..9).map(of).collect::<Vec<_>>().join(",") + "\n"));
    }
    folder.write("mixed.csv", mixed)?;

    let call = "population run mixed.csv -n 100 --bootstraps 20 -o out --quiet --json";
    let without = folder.json(call)?;
    let with = folder.json(&format!("{call} --false-coincidences"))?;
    let share = &with["groups"][0]["false_coincidences"];
    let (fraction, sd) = (number(&share["fraction"]), number(&share["sd"]));
    assert!((fraction - 0.2).abs() < 3.0 * sd && sd < 0.03, "{share}");
    let width = |report, end: &str| number(&of(report, 0, "O-C-S_deg")["sd"][end]);
    assert!(width(&without, "lower") > 1.0, "{}", of(&without, 0, "O-C-S_deg")["sd"]);
    assert!(
        width(&with, "lower") < 1.0 && width(&with, "upper") > 1.0,
        "{}",
        of(&with, 0, "O-C-S_deg")["sd"]
    );
    let [with, without] = [&with, &without].map(|report| distance(report, "O-C-S_deg", 165.0, 1.0));
    assert!(with < 0.6 * without, "{with} {without}");
    Ok(())
}
