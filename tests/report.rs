//! End-to-end tests of the page about a run or a file: what is on it, what is said where something is missing, that its
//! numbers are those of the table, and that a browser shows it.

mod browser;
mod folder;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use folder::{Folder, TestResult};

/// Figures that every run of a molecule of three ions has.
const OF_EVENTS: [&str; 5] = ["predicted", "resimulated", "newton", "dalitz", "energy"];
/// Figures of what `cei evaluate` and `cei calibrate` found.
const OF_SCORES: [&str; 6] = ["errors", "geometry-errors", "coverage", "regions", "ranks", "ecdf"];

/// Enough for a run that knows a little.
const SMALL: &str =
    "--set model.hidden=[32,32] --set model.couplings=6 --set training.max_epochs=6 --quiet";

/// A folder with a small run `run`, trained on wide OCS with 1 a.u. of noise (`wide.csv`).
pub(crate) fn with_run() -> TestResult<Folder> {
    let folder = Folder::empty()?;
    folder.run("simulate --preset ocs-wide --events 4000 --seed 1 -o wide.csv --quiet")?;
    folder.run(&format!("train --preset wide-cinn --data wide.csv {SMALL} -o run"))?;
    Ok(folder)
}

/// The names of the figures of a page, as the command says them and as they stand in it.
fn figures_of(folder: &Folder, arguments: &str, page: &str) -> TestResult<Vec<String>> {
    let summary = folder.json(&format!("{arguments} -o {page} --json"))?;
    let html = folder.read(page)?;
    let told: Vec<String> = serde_json::from_value(summary["figures"].clone())?;
    assert_eq!(told, figures(&html), "{arguments}");
    assert_eq!(summary["bytes"], Value::from(html.len()));
    check_page(&html);
    Ok(told)
}

/// The names of the figures in a page.
pub(crate) fn figures(html: &str) -> Vec<String> {
    let parts = html.split("data-figure=\"").skip(1);
    parts.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
}

/// What holds for every page: it is one file that loads and runs nothing, small enough for a mail, and every figure has
/// axes that are numbers, a sentence about it that is one, and numbers to download.
fn check_page(html: &str) {
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
    for loads in ["http://", "https://", "<script", "src=", "@import", "url(", "<link"] {
        assert!(!html.contains(loads), "the page has `{loads}`");
    }
    for broken in ["NaN", ">inf", " inf ", "{}"] {
        assert!(!html.contains(broken), "the page has `{broken}`");
    }
    for figure in html.split("<figure").skip(1) {
        let name = figures(figure).first().cloned().unwrap_or_default();
        let figure = figure.split("</figure>").next().unwrap_or_default();
        let after = figure.split("class=\"reading\">").nth(1).unwrap_or_default();
        let reading = after.split("</p>").next().unwrap_or_default();
        assert!(reading.len() > 30 && reading.ends_with('.'), "{name}: `{reading}`");
        assert!(reading.chars().any(|c| c.is_ascii_digit()), "{name}: no number in `{reading}`");
        assert!(figure.contains("<svg") && figure.contains("data:text/csv"), "{name}");
    }
}

/// The downloads of a figure, decoded.
fn downloads(html: &str, figure: &str) -> TestResult<Vec<String>> {
    let after = html.split(&format!("data-figure=\"{figure}\"")).nth(1).ok_or("no such figure")?;
    let own = after.split("</figure>").next().unwrap_or_default();
    let links = own.split("base64,").skip(1).filter_map(|link| link.split('"').next());
    links.map(|link| Ok(String::from_utf8(STANDARD.decode(link)?)?)).collect()
}

/// Rows of numbers of the series of a downloaded figure.
fn series(csv: &str, name: &str) -> Vec<Vec<f64>> {
    let rows = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let own = rows.filter(|cells| cells.first() == Some(&name));
    own.map(|cells| cells[1..].iter().map(|cell| cell.parse().unwrap_or(f64::NAN)).collect())
        .collect()
}

/// The columns of a table by name.
fn columns(table: &str, names: &[&str]) -> Vec<Vec<f64>> {
    let header: Vec<&str> = table.lines().next().unwrap_or_default().split(',').collect();
    let place = |name: &&str| header.iter().position(|column| column == name).unwrap_or_default();
    let places: Vec<usize> = names.iter().map(place).collect();
    let cells = |line: &str| -> Vec<f64> {
        let cells: Vec<&str> = line.split(',').collect();
        places.iter().map(|place| cells[*place].parse().unwrap_or(f64::NAN)).collect()
    };
    table.lines().skip(1).map(cells).collect()
}

#[test]
fn a_page_shows_all_that_a_run_has_and_says_what_it_has_not() -> TestResult {
    let folder = with_run()?;
    let bare = figures_of(&folder, "report run", "bare.html")?;
    assert!(OF_EVENTS.iter().all(|name| bare.iter().any(|other| other == name)), "{bare:?}");
    assert!(bare.contains(&"learning".to_owned()) && !bare.contains(&"errors".to_owned()));
    let corners = bare.iter().filter(|name| name.starts_with("event-")).count();
    assert!((2..=4).contains(&corners), "{bare:?}");
    let html = folder.read("bare.html")?;
    for words in [
        "has no evaluation yet",
        "cei evaluate run",
        "has not been tested yet",
        "cei calibrate run",
    ] {
        assert!(html.contains(words), "{words}");
    }

    folder.run("evaluate run --draws 50 --quiet")?;
    folder.run("calibrate run --events 200 --draws 39 --quiet")?;
    let all = figures_of(&folder, "report run", "all.html")?;
    for name in OF_EVENTS.iter().chain(&OF_SCORES) {
        assert!(all.iter().any(|other| other == name), "{name} is not in {all:?}");
    }
    let html = folder.read("all.html")?;
    for words in [
        "wide.csv",
        "6 epochs",
        "O (charge 2",
        "nearest neighbours",
        "posterior mean",
        "geometry explains the momenta",
        "The experiment as TOML",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(html.contains(words), "{words}");
    }
    // The same rows, the same seed: the same page.
    folder.run("report run -o again.html")?;
    assert_eq!(folder.read("again.html")?, html);

    // A history that is not that of the model is told, and not shown.
    let history = folder.read("run/history.csv")?;
    folder.write("run/history.csv", history.lines().take(2).collect::<Vec<_>>().join("\n"))?;
    let figures = figures_of(&folder, "report run --no-modes", "other.html")?;
    assert!(!figures.contains(&"learning".to_owned()));
    assert!(folder.read("other.html")?.contains("is not the history of the model beside it"));
    // Nor is there anything of events where the table is gone.
    std::fs::remove_file(folder.path("wide.csv"))?;
    let figures = figures_of(&folder, "report run", "gone.html")?;
    assert!(!figures.contains(&"predicted".to_owned()) && figures.contains(&"ranks".to_owned()));
    assert!(folder.read("gone.html")?.contains("Nothing is shown of events"));
    Ok(())
}

#[test]
fn numbers_of_a_page_are_those_of_the_table() -> TestResult {
    let folder = with_run()?;
    folder.run("simulate --preset ocs-wide --events 50 --seed 9 -o own.csv --quiet")?;
    folder.run(
        "predict run own.csv -n 60 -o draws.csv --summary summary.csv --report page.html --quiet",
    )?;
    let html = folder.read("page.html")?;
    check_page(&html);
    assert!(!figures(&html).contains(&"predicted".to_owned()), "no truth was given");
    assert!(html.contains("The truth of the events of own.csv is not known"));
    assert!(html.contains("Modes are not marked: they are the simulator"));

    // Dalitz: X = (e_O - e_S) / sqrt 3, Y = e_C - 1/3, from the momenta of the file.
    let names = ["pcx", "pcy", "pcz", "pox", "poy", "poz", "psx", "psy", "psz"];
    let momenta = columns(&folder.read("own.csv")?, &names);
    let drawn = series(&downloads(&html, "dalitz")?[0], "events of own.csv");
    assert_eq!(drawn.len(), momenta.len());
    let masses = [12.0, 15.994_914_619_6, 31.972_071_174_4];
    for (row, drawn) in momenta.iter().zip(&drawn) {
        let energy =
            |ion: usize| row[3 * ion..3 * ion + 3].iter().map(|p| p * p).sum::<f64>() / masses[ion];
        let all: f64 = (0..3).map(energy).sum();
        let x = (energy(1) - energy(2)) / all / 3f64.sqrt();
        let y = energy(0) / all - 1.0 / 3.0;
        assert!(
            (drawn[0] - x).abs() < 2e-3 && (drawn[1] - y).abs() < 2e-3,
            "{drawn:?}, not {x}, {y}"
        );
    }
    // Newton: S along O is the cosine times the ratio of lengths.
    let newton = series(&downloads(&html, "newton")?[0], "S");
    for (row, drawn) in momenta.iter().zip(&newton) {
        let dot = |a: usize, b: usize| {
            (0..3).map(|axis| row[3 * a + axis] * row[3 * b + axis]).sum::<f64>()
        };
        assert!((drawn[0] - dot(1, 2) / dot(1, 1)).abs() < 1e-4, "{drawn:?}");
    }
    // Every event of the file is in the energies: shares of a set add up to all of it, but for the tails.
    let energies = series(&downloads(&html, "energy")?[0], "events of own.csv");
    let sum: f64 = energies.iter().map(|bin| bin[2]).sum();
    assert!((sum - 100.0).abs() < 5.0, "{sum}");
    // What was inferred: the mean over events in the reading is that of the summary.
    let means = columns(&folder.read("summary.csv")?, &["C-O_pm_mean"]);
    let mean = means.iter().map(|row| row[0]).sum::<f64>() / means.len() as f64;
    assert!(html.contains(&format!("C-O {mean:.0} pm")), "{mean}");
    Ok(())
}

#[test]
fn refined_events_have_modes_and_those_asked_for_are_shown() -> TestResult {
    let folder = with_run()?;
    folder.run("simulate --preset ocs-wide --events 12 --seed 9 -o own.csv --quiet")?;
    let predict =
        "predict run own.csv -n 200 -o draws.csv --refine --modes modes.csv --report page.html";
    let (told, _) = folder.run(&format!("{predict} --report-events 3,7"))?;
    assert!(told.contains("a page about the file is in `page.html`"), "{told}");
    let html = folder.read("page.html")?;
    check_page(&html);
    let events: Vec<String> =
        figures(&html).into_iter().filter(|name| name.starts_with("event-")).collect();
    assert_eq!(events, ["event-3", "event-7"]);
    // The modes are those of the file of modes.
    let modes = columns(&folder.read("modes.csv")?, &["event", "C-O_pm", "C-S_pm"]);
    for event in [3.0, 7.0] {
        let own: Vec<&Vec<f64>> = modes.iter().filter(|mode| mode[0] == event).collect();
        let marked = series(&downloads(&html, &format!("event-{event}"))?[0], "mode");
        assert_eq!(marked.len(), own.len().min(6));
        for (marked, own) in marked.iter().zip(own) {
            assert!((marked[0] - own[1]).abs() < 1e-3 && (marked[1] - own[2]).abs() < 1e-3);
        }
    }
    let told = folder.fails_with(2, &format!("{predict} --report-events 12"))?;
    assert!(told.contains("event 12 is not among the 12 events of the file"), "{told}");
    let told = folder.fails_with(2, "predict run own.csv -o draws.csv --report draws.csv")?;
    assert!(told.contains("draws.csv"), "{told}");
    Ok(())
}

#[test]
fn several_runs_stand_side_by_side() -> TestResult {
    let folder = with_run()?;
    folder.run(&format!("train --preset wide-cinn --data wide.csv {SMALL} -o a&b --ensemble 2"))?;
    folder.run("evaluate run --draws 30 --quiet")?;
    folder.run("evaluate a&b --draws 30 --quiet")?;
    folder.run("simulate --preset ocs-wide --events 200 --seed 3 -o few.csv --quiet")?;
    folder.run(&format!("train --preset wide-cinn --data few.csv {SMALL} -o third"))?;
    let figures = figures_of(&folder, "report run a&b third --no-modes", "page.html")?;
    assert!(figures.contains(&"runs-1".to_owned()), "{figures:?}");
    assert_eq!(figures.iter().filter(|name| *name == "learning").count(), 3);
    let html = folder.read("page.html")?;
    assert!(html.contains("a&amp;b") && !html.contains("a&b"), "names are escaped");
    assert!(html.contains("Without an evaluation, and not compared here: `third`"));
    assert!(html.contains("The least validation losses of the members"));
    assert!(html.contains("Modes are not marked: the page was asked for without them"));
    Ok(())
}

#[test]
fn a_table_that_is_no_molecule_two_ions_and_many_are_shown_as_far_as_they_go() -> TestResult {
    let folder = Folder::empty()?;
    let mut text = "a,b,c,d,e\n".to_owned();
    for row in 0..300_u32 {
        let of =
            |k: u32| (f64::from(row * 7 + k) * 0.618_033_988_75 * f64::from(k + 1)).fract() - 0.5;
        let [x, y, noise] = [0, 1, 2].map(of);
        text.push_str(&format!("{x},{y},{},{},{}\n", x + y + 0.1 * noise, x - y, y + noise));
    }
    folder.write("t.csv", text)?;
    let experiment = "[source]\nfiles = ['t.csv']\n[columns]\nx = ['a', 'b']\ny = ['c', 'd', 'e']\nx_unit = 'none'\n\
         y_unit = 'none'\n[model]\nkind = 'cvae'\n[training]\nmax_epochs = 3\nbatch_size = 64\n[evaluation]\ndraws = 20\n";
    folder.write("e.toml", experiment)?;
    folder.run("train --config e.toml -o plain --quiet")?;
    let figures = figures_of(&folder, "report plain", "plain.html")?;
    assert_eq!(
        figures.iter().filter(|name| !name.starts_with("event-")).collect::<Vec<_>>(),
        ["learning", "predicted"]
    );
    let html = folder.read("plain.html")?;
    for words in [
        "none declared",
        "The run has no molecule with three momenta an ion",
        "its table is no molecule",
    ] {
        assert!(html.contains(words), "{words}");
    }

    for atoms in [2, 14] {
        let elements = ["C", "O", "H", "H", "S", "H", "H", "N", "H", "H", "Cl", "H", "H", "H"];
        let atoms_of = elements[..atoms].iter().enumerate();
        let listed: Vec<String> = atoms_of
            .map(|(place, element)| {
                format!("{{element='{element}',label='{element}{place}',charge=1}}")
            })
            .collect();
        let molecule = listed.join(",");
        let sphere = format!(
            "[molecule]\natoms = [{molecule}]\n[geometry]\nlaw = 'sphere'\nradius_bohr = 6.0\nminimum_separation_bohr = 1.0\n"
        );
        folder.write("sphere.toml", sphere)?;
        folder.run(&format!(
            "simulate --config sphere.toml --events 400 --seed 1 -o t{atoms}.csv --quiet"
        ))?;
        let experiment = format!(
            "[source]\nfiles = ['t{atoms}.csv']\n[molecule]\natoms = [{molecule}]\n[model]\nkind = 'cinn'\ncouplings = 2\n\
             hidden = [8]\n[training]\nmax_epochs = 2\n[evaluation]\ndraws = 20\n"
        );
        folder.write("m.toml", experiment)?;
        folder.run(&format!("train --config m.toml -o run{atoms} --quiet"))?;
        folder.run(&format!("evaluate run{atoms} --quiet"))?;
        let figures = figures_of(&folder, &format!("report run{atoms} --no-modes"), "page.html")?;
        let html = folder.read("page.html")?;
        assert!(
            figures.contains(&"energy".to_owned()) && figures.contains(&"resimulated".to_owned())
        );
        assert_eq!(figures.contains(&"newton".to_owned()), atoms > 2);
        let words = if atoms == 2 {
            "need three ions, and this molecule has two"
        } else {
            "the shortest distances, which are the bonds"
        };
        assert!(html.contains(words), "{words}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_reported_is_refused_before_anything_is_computed() -> TestResult {
    let folder = with_run()?;
    let told = folder.fails_with(2, "report run -o page.html --events 4000")?;
    assert!(told.contains("`--events`: event 4000 is not among the test rows of `run`"), "{told}");
    assert!(!folder.path("page.html").exists());
    let told = folder.fails_with(2, "report run -o run/history.csv")?;
    assert!(told.contains("history.csv"), "{told}");
    let told = folder.fails_with(1, "report run -o nowhere/page.html")?;
    assert!(told.contains("nowhere") && told.contains("hint: "), "{told}");
    let told = folder.fails_with(1, "report wide.csv -o page.html")?;
    assert!(told.contains("wide.csv"), "{told}");
    folder.fails_with(2, "report run")?;
    Ok(())
}
