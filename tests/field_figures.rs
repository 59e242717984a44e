//! End-to-end tests of `cei inspect --figures`: what is drawn for two, three and four ions, that the numbers beside a figure
//! are those of the table, and what is said where something cannot be drawn.

mod folder;

use folder::{Folder, TestResult};
use serde_json::Value;

/// Numbers that look random, in [-1, 1].
fn number(seed: usize) -> f64 {
    2.0 * ((seed as f64 * 12.9898).sin() * 43_758.545_3).rem_euclid(1.0) - 1.0
}

/// Momenta in a.u. of this many ions, which add up to nothing; names `pcx`, ...
fn table(labels: &[&str], events: usize) -> String {
    let axes = |label: &&str| ["x", "y", "z"].map(|axis| format!("p{label}{axis}")).join(",");
    let mut text = labels.iter().map(axes).collect::<Vec<_>>().join(",") + "\n";
    for event in 0..events {
        let mut cells = Vec::new();
        let mut rest = [0.0; 3];
        for ion in 1..labels.len() {
            for (axis, rest) in rest.iter_mut().enumerate() {
                let p = 100.0 * number(31 * event + 3 * ion + axis + 1);
                *rest -= p;
                cells.push(p.to_string());
            }
        }
        cells.extend(rest.map(|p| p.to_string()));
        text += &(cells.join(",") + "\n");
    }
    text
}

/// The events in the bins of a CSV whose first cell begins so.
fn counted(csv: &str, panel: &str) -> u64 {
    let lines = csv.lines().skip(1).filter(|line| line.starts_with(panel));
    lines.filter_map(|line| line.rsplit(',').next()?.parse::<u64>().ok()).sum()
}

fn names(found: &Value) -> Vec<&str> {
    let figures = found["figures"].as_array().map(Vec::as_slice).unwrap_or_default();
    figures.iter().filter_map(|figure| figure["figure"].as_str()).collect()
}

#[test]
fn three_ions_have_all_figures_with_their_numbers() -> TestResult {
    let folder = Folder::empty()?;
    let mut text = table(&["o", "c", "s"], 300);
    // Two events of which an ion is missing, and one with a part of one.
    text += "1,2,3,,,,4,5,6\n,,,1,2,3,4,5,6\n1,2,3,4,,5,6,7,8\n";
    folder.write("ocs.csv", text)?;
    let found = folder.json("inspect ocs.csv --unit au --figures figures --json")?;
    let all = ["ker", "momentum_sum", "angles", "newton", "dalitz", "native_frame"];
    assert_eq!(names(&found), all);
    for name in all {
        for kind in ["svg", "png", "csv"] {
            let path = folder.path(&format!("figures/{name}.{kind}"));
            assert!(std::fs::metadata(&path)?.len() > 100, "{name}.{kind}");
        }
    }
    assert!(found["left_out"].to_string().contains("2 of 302 measured events miss an ion"));
    // Complete events alone, but for the angle of a pair that was detected.
    assert_eq!(found["figures"][0]["events"], serde_json::json!([300]));
    let angles = folder.read("figures/angles.csv")?;
    assert_eq!(counted(&angles, "O and C"), 300);
    assert_eq!(counted(&angles, "O and S"), 301);
    assert_eq!(counted(&angles, "C and S"), 301);
    // Every complete event lies within the curve, and so within the axes; in the Newton plot each is two points, most of
    // them on the page.
    assert_eq!(counted(&folder.read("figures/dalitz.csv")?, ""), 300);
    let newton = counted(&folder.read("figures/newton.csv")?, "C and S");
    assert!((580..=600).contains(&newton), "{newton}");
    let native = folder.read("figures/native_frame.csv")?;
    for first in ["O first", "C first", "S first"] {
        let events = counted(&native, first);
        assert!((290..=300).contains(&events), "{first}: {events}");
    }
    let (said, _) = folder.run("inspect ocs.csv --unit au --figures figures")?;
    assert!(said.contains("dalitz.svg (and .png, .csv): 300 events"), "{said}");
    Ok(())
}

/// One event by hand: O and S opposite, C at rest; each of O and S has momentum 100 a.u.
#[test]
fn one_event_is_where_it_must_be() -> TestResult {
    let folder = Folder::empty()?;
    let row = "100,0,0,0,0.001,0,-100,-0.001,0\n";
    folder.write("one.txt", row.repeat(3))?;
    folder.run("inspect one.txt --ions O,C,S --unit au --figures f")?;
    let bin = |figure: &str, panel: &str| -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let csv = folder.read(&format!("f/{figure}.csv"))?;
        let is_of = |line: &&str| line.starts_with(panel) && !line.ends_with(",0");
        let line = csv.lines().skip(1).find(is_of).ok_or(format!("no {panel} in {figure}"))?;
        Ok(line.split(',').filter_map(|cell| cell.parse().ok()).collect())
    };
    // E = p^2 / 2m: 100^2 / 2 (1 / m_O + 1 / m_S) hartree.
    let u = 1_822.888_486;
    let energy = 5000.0 * (1.0 / (15.994_914_6 * u) + 1.0 / (31.972_071 * u)) * 27.211_386;
    let [from, to, events] = bin("ker", "all")?[..] else { panic!() };
    assert!(from < energy && energy < to && events == 3.0, "{from} {energy} {to}");
    let [from, to, _] = bin("angles", "O and S")?[..] else { panic!() };
    assert!(from < 180.0 && to == 180.0, "{from} {to}");
    // Shares of the energy by inverse masses: (e(O) - e(S)) / sqrt(3), and none for C.
    let share = |m: f64, other: f64| other / (m + other);
    let x = (share(15.994_914_6, 31.972_071) - share(31.972_071, 15.994_914_6)) / 3f64.sqrt();
    let [x_from, x_to, y_from, y_to, _] = bin("dalitz", "")?[..] else { panic!() };
    assert!(x_from < x && x < x_to, "{x_from} {x} {x_to}");
    assert!(y_from < -1.0 / 3.0 && -1.0 / 3.0 < y_to, "{y_from} {y_to}");
    Ok(())
}

#[test]
fn other_numbers_of_ions_have_what_makes_sense() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("c2h2.csv", table(&["c1", "c2", "h1", "h2"], 100))?;
    let found = folder.json("inspect c2h2.csv --unit au --figures f --json")?;
    assert_eq!(names(&found), ["ker", "momentum_sum", "angles", "newton"]);
    assert!(found["left_out"].to_string().contains("--figure-ions"), "{found}");
    // A panel for each ion beside the reference.
    let newton = folder.read("f/newton.csv")?;
    for ion in ["C2", "H1", "H2"] {
        assert!(counted(&newton, ion) > 90, "{ion}");
    }
    let chosen = "inspect c2h2.csv --unit au --figures g --figure-ions C1,C2,H1 --json";
    let found = folder.json(chosen)?;
    assert_eq!(names(&found)[4..], ["dalitz", "native_frame"]);
    assert!(found["left_out"].to_string().contains("of C1, C2, H1 alone"), "{found}");
    folder.write("co.csv", table(&["c", "o"], 50))?;
    let found = folder.json("inspect co.csv --unit au --figures h --json")?;
    assert_eq!(names(&found), ["ker", "momentum_sum", "angles"]);
    assert!(found["left_out"].to_string().contains("they need three ions"), "{found}");
    let many = ["c1", "c2", "h1", "h2", "h3", "h4", "o1"];
    folder.write("many.csv", table(&many, 50))?;
    let found = folder.json("inspect many.csv --unit au --figures i --json")?;
    assert!(found["left_out"].to_string().contains("the first 15 of 21 pairs"), "{found}");
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_told() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("plain.txt", "1 2 3 4 5 6 7 8 9\n2 3 4 5 6 7 8 9 1\n")?;
    folder.write("ocs.csv", table(&["o", "c", "s"], 20))?;
    folder.write("none.csv", "pox,poy,poz,pcx,pcy,pcz\n1,2,3,,,\n,,,4,5,6\n")?;
    for (arguments, code, part) in [
        ("inspect plain.txt --figures f", 2, "momentum columns"),
        ("inspect plain.txt --unit au --figures f", 2, "which ions the momenta are of"),
        ("inspect none.csv --unit au --figures f", 1, "nothing to draw"),
        ("inspect ocs.csv --unit au --figures f --figure-ions O,N", 2, "no ion `N`"),
        ("inspect ocs.csv --unit au --figures f --figure-ions O,O", 2, "each once"),
        ("inspect ocs.csv --unit au --figures f --figure-ions O", 2, "two or three ions"),
        ("inspect ocs.csv --unit au --figure-ions O,C", 2, "--figures"),
    ] {
        let told = folder.fails_with(code, arguments)?;
        assert!(told.contains(part), "{arguments}: {told}");
        assert!(!folder.path("f").exists(), "{arguments}");
    }
    Ok(())
}
