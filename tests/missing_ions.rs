//! End-to-end tests of ions that were not detected: simulated, read, trained on, inferred from, refused.

mod folder;

use folder::{Folder, TestResult};

/// OCS that is nearly as drawn, in the laboratory: the density of its geometries is that of nine normal numbers.
const LAW: &str = "orientation = 'as-drawn'\n\
    [molecule]\natoms = [{ element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [geometry]\nlaw = 'gaussian'\npositions_angstrom = { C = [0, 0, 0], O = [1.2, 0.3, 0], S = [-1.5, 0.4, 0.1] }\n\
    displacement_angstrom = { C = 0.15, O = 0.15, S = 0.15 }\n\
    [detector]\nmomentum_noise_au = 30.0\n";

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n\
    [molecule]\natoms = [{ element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 8\n[evaluation]\ndraws = 20\n";

const IONS: [&str; 3] = ["c", "o", "s"];
const NOISE: f64 = 30.0;

/// A folder with events of which ions are missing, and the same ones complete.
fn folder() -> TestResult<Folder> {
    let folder = Folder::empty()?;
    folder.write("law.toml", LAW)?;
    folder.write("e.toml", EXPERIMENT)?;
    let simulate = "simulate --config law.toml --seed 3 --quiet";
    folder.run(&format!("{simulate} --events 3000 --set detector.efficiency=0.6 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 3000 -o complete.csv"))?;
    Ok(folder)
}

/// The cells of the momenta of an ion.
fn momenta(folder: &Folder, file: &str, ion: &str) -> TestResult<Vec<[String; 3]>> {
    let [x, y, z] = ["x", "y", "z"].map(|axis| folder.column(file, &format!("p{ion}{axis}")));
    let cells = x?.into_iter().zip(y?).zip(z?);
    Ok(cells.map(|((x, y), z)| [x, y, z]).collect())
}

/// All that is random but the detection is drawn as without it; the cells of ions that are missing are empty, those of the
/// others the same.
#[test]
fn what_is_simulated_is_the_same_but_for_what_is_missing() -> TestResult {
    let folder = folder()?;
    for name in ["cx", "oy", "sz"] {
        assert_eq!(folder.column("t.csv", name)?, folder.column("complete.csv", name)?);
    }
    let mut detected = vec![0; 3000];
    for ion in IONS {
        let complete = momenta(&folder, "complete.csv", ion)?;
        let seen = momenta(&folder, "t.csv", ion)?;
        for (event, (seen, complete)) in seen.iter().zip(&complete).enumerate() {
            let is_missing = seen.iter().all(String::is_empty);
            assert!(is_missing || seen == complete, "{event}: {seen:?}");
            detected[event] += usize::from(!is_missing);
        }
    }
    // Given two of three at least: 0.216 of 0.648 have all. Five standard deviations.
    let all = detected.iter().filter(|ions| **ions == 3).count() as f64 / 3000.0;
    assert!(detected.iter().all(|ions| *ions >= 2) && (all - 1.0 / 3.0).abs() < 0.043, "{all}");
    assert!(folder.read("t.csv.simulation.toml")?.contains("efficiency = 0.6"));
    assert!(!folder.read("complete.csv.simulation.toml")?.contains("efficiency"));
    let found = folder.json("inspect t.csv --json")?;
    assert_eq!((&found["invalid_rows"], &found["detected"][0]["ions"]), (&0.into(), &3.into()));
    assert_eq!(found["detected"].as_array().map(Vec::len), Some(4), "{found}");
    assert_eq!(found["detected"][1]["missing"].as_array().map(Vec::len), Some(1));
    let parquet = "simulate --config law.toml --seed 3 --events 50 --set detector.efficiency=0.6";
    folder.run(&format!("{parquet} -o t.parquet --quiet"))?;
    let found = folder.json("inspect t.parquet --json")?;
    assert_eq!((&found["invalid_rows"], &found["rows"]), (&0.into(), &50.into()));
    Ok(())
}

/// One network for all subsets: it is evaluated and calibrated by the ions that were detected.
#[test]
fn scores_and_tests_are_told_by_detected_ions() -> TestResult {
    let folder = folder()?;
    folder.run("train --config e.toml -o run --quiet")?;
    let scores = folder.json("evaluate run --json")?;
    let sets = scores["by_detected"].as_array().ok_or("no sets")?;
    let rows = |place: usize| sets[place]["rows"].as_u64().unwrap_or(0);
    assert_eq!(sets.len(), 5, "{sets:?}");
    assert_eq!((&sets[0]["ions"], &sets[0]["missing"]), (&3.into(), &serde_json::json!([])));
    assert_eq!((&sets[1]["ions"], sets[1].get("missing")), (&2.into(), None));
    assert_eq!(rows(1), rows(2) + rows(3) + rows(4));
    assert_eq!(Some(rows(0) + rows(1)), scores["rows"].as_u64());
    // The mean over all is that over the sets.
    let nll = |set: &serde_json::Value| set["nll"].as_f64().unwrap_or(f64::NAN);
    let mean = (nll(&sets[0]) * rows(0) as f64 + nll(&sets[1]) * rows(1) as f64)
        / (rows(0) + rows(1)) as f64;
    assert!((mean - nll(&scores)).abs() < 1e-9, "{mean}");
    assert!(sets.iter().all(|set| set["coverage"]["0.9"].as_f64().is_some()));
    let text = folder.run("evaluate run")?.0;
    assert!(text.contains("2, O missing") && text.contains("3, all"), "{text}");
    let tests = folder.json("calibrate run --events 300 --draws 19 --json")?;
    let sets = tests["by_detected"].as_array().ok_or("no sets")?;
    assert!(sets.len() == 5 && sets[0]["sbc"].as_array().is_some(), "{sets:?}");
    assert!(sets[1]["pass"].as_bool().is_some());
    assert!(folder.run("calibrate run --events 300 --draws 19")?.0.contains("2, C missing"));
    // The densities of events do not depend on those beside them, nor on what a missing ion had.
    folder.run("log-prob run t.csv -o all.csv")?;
    let few: String =
        folder.read("t.csv")?.lines().take(11).map(|line| format!("{line}\n")).collect();
    folder.write("few.csv", few)?;
    folder.run("log-prob run few.csv -o few_densities.csv")?;
    let (all, few) =
        (folder.numbers("all.csv", "log_prob")?, folder.numbers("few_densities.csv", "log_prob")?);
    assert!(few.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-4), "{few:?}");
    folder.run("report run -o page.html --no-modes")?;
    assert!(folder.read("page.html")?.contains("events of which all ions were detected"));
    Ok(())
}

/// The refined posterior is that of the law, weighted by the likelihood of what was measured: here by brute force, with
/// geometries drawn from the law and exploded without noise.
#[test]
fn refined_means_are_those_of_weighted_draws_of_the_law() -> TestResult {
    let folder = folder()?;
    folder.run("train --config e.toml -o run --quiet")?;
    let rows = folder.read("t.csv")?;
    let lines: Vec<&str> = rows.lines().collect();
    let seen: Vec<Vec<[String; 3]>> =
        IONS.iter().map(|ion| momenta(&folder, "t.csv", ion)).collect::<Result<_, _>>()?;
    // The first two events of each subset.
    let is_missing = |ion: usize, event: usize| seen[ion][event][0].is_empty();
    let mut events = Vec::new();
    for missing in [None, Some(0), Some(1), Some(2)] {
        let of_subset = (0..3000)
            .filter(|&event| (0..3).all(|ion| is_missing(ion, event) == (missing == Some(ion))));
        events.extend(of_subset.take(2));
    }
    let table: String = std::iter::once(lines[0])
        .chain(events.iter().map(|event| lines[event + 1]))
        .map(|line| format!("{line}\n"))
        .collect();
    folder.write("m.csv", table)?;
    let predict = "predict run m.csv --refine -n 4000 -o d.csv --summary summary.csv --json";
    let report = folder.json(predict)?;
    assert_eq!(report["refinement"]["outside_model"], 0, "{report}");
    assert_eq!(report["outside"]["events"], 0, "{report}");
    folder.run(
        "simulate --config law.toml --set detector.momentum_noise_au=0 --events 120000 --seed 8 -o law.csv --quiet",
    )?;
    let columns = |names: &[String]| -> TestResult<Vec<Vec<f64>>> {
        names.iter().map(|name| folder.numbers("law.csv", name)).collect()
    };
    let axes = ["x", "y", "z"];
    let named = |p: &str| -> Vec<String> {
        IONS.iter().flat_map(|ion| axes.map(|axis| format!("{p}{ion}{axis}"))).collect()
    };
    let (positions, exact) = (columns(&named(""))?, columns(&named("p"))?);
    let length = |of: &[Vec<f64>], row: usize| {
        (0..3).map(|axis| (of[axis][row] - of[3 + axis][row]).powi(2)).sum::<f64>().sqrt()
    };
    let drawn: Vec<Vec<f64>> =
        named("").iter().map(|name| folder.numbers("d.csv", name)).collect::<Result<_, _>>()?;
    for (place, event) in events.iter().enumerate() {
        let measured: Vec<Option<f64>> =
            (0..9).map(|at| seen[at / 3][*event][at % 3].parse().ok()).collect();
        let log_weight = |row: usize| {
            let terms = measured.iter().zip(&exact).filter_map(|(measured, exact)| {
                measured.map(|measured| -0.5 * ((measured - exact[row]) / NOISE).powi(2))
            });
            terms.sum::<f64>()
        };
        let logs: Vec<f64> = (0..120_000).map(log_weight).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let size = total * total / weights.iter().map(|w| w * w).sum::<f64>();
        let mean = |value: &dyn Fn(usize) -> f64| {
            weights.iter().enumerate().map(|(row, w)| w * value(row)).sum::<f64>() / total
        };
        let expected = mean(&|row| length(&positions, row));
        let sd = mean(&|row| (length(&positions, row) - expected).powi(2)).sqrt();
        let own: Vec<f64> =
            (4000 * place..4000 * (place + 1)).map(|row| length(&drawn, row)).collect();
        let found = own.iter().sum::<f64>() / 4000.0;
        let spread = (own.iter().map(|l| (l - found).powi(2)).sum::<f64>() / 4000.0).sqrt();
        // Four standard errors: of the weighted draws, and of 4000 resampled from as many.
        let error = 4.0 * sd * (1.0 / size + 1.0 / 1000.0).sqrt();
        assert!(size > 300.0, "{event}: {size} weighted draws");
        assert!((found - expected).abs() < error, "{event}: {found} {expected} {error}");
        assert!((spread / sd - 1.0).abs() < 0.15, "{event}: {spread} {sd}");
    }
    Ok(())
}

#[test]
fn what_is_not_missing_whole_or_not_declared_is_an_error() -> TestResult {
    let folder = folder()?;
    // Without a declared efficiency.
    std::fs::remove_file(folder.path("t.csv.simulation.toml"))?;
    let told = folder.fails_with(1, "train --config e.toml -o run --quiet")?;
    assert!(told.contains("`t.csv`, row ") && told.contains("the cell is empty"), "{told}");
    assert!(told.contains("`detector.efficiency` of the experiment"), "{told}");
    let declared = "--set detector.efficiency=0.6 --set detector.momentum_noise_au=30";
    folder.run(&format!("train --config e.toml -o run --quiet {declared}"))?;
    // Per ion: C is always there, so a row without it is invalid.
    let of_ions = "--set detector.efficiency={C=1,O=0.6,S=0.6}";
    let told =
        folder.fails_with(1, &format!("train --config e.toml -o other --quiet {of_ions}"))?;
    assert!(told.contains("column `pcx`") && told.contains("the cell is empty"), "{told}");
    let told = folder.fails_with(2, "train --config e.toml -o x --set detector.efficiency=1.5")?;
    assert!(told.contains("`detector.efficiency`") && told.contains("at most 1"), "{told}");
    let charges = "--set columns.charges=['qc','qo','qs']";
    let told = folder.fails_with(1, &format!("train --config e.toml -o x {declared} {charges}"))?;
    assert!(told.contains("`columns.charges`") && told.contains("hint: leave"), "{told}");
    // A part of an ion, one ion, and NaN, which is as good as nothing.
    let header = "pcx,pcy,pcz,pox,poy,poz,psx,psy,psz";
    let part = "100,20,5,-150,20,3,,-40,2";
    folder.write("part.csv", format!("{header}\n100,20,5,-150,20,3,,,\n{part}\n"))?;
    let told = folder.fails_with(1, "predict run part.csv -o d.csv")?;
    assert!(told.contains("`part.csv`, row 2 (line 3), column `psx`"), "{told}");
    assert!(told.contains("all three components are empty"), "{told}");
    folder.write(
        "one.csv",
        format!("{header}\nnan,NaN,,,,,10,20,30\n100,20,5,nan,nan,nan,50,60,7\n"),
    )?;
    let told = folder.fails_with(1, "predict run one.csv -o d.csv")?;
    assert!(told.contains("row 1 (line 2): one ion was detected"), "{told}");
    let report = folder.json("predict run one.csv --drop-invalid -o d.csv -n 10 --json")?;
    assert_eq!((&report["events"], &report["dropped"]["rows"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["dropped"]["causes"][0]["reason"], "few-ions");
    // A gate says nothing about events without a sum; their motion is not known.
    folder.write("sums.csv", format!("{header}\n100,20,5,-150,20,3,,,\n100,20,5,0,0,0,0,0,0\n"))?;
    let report = folder.json("predict run sums.csv --sum-gate 5 -o d.csv -n 10 --json")?;
    assert_eq!((&report["events"], &report["gate"]["dropped"]), (&1.into(), &1.into()), "{report}");
    let told = folder.fails_with(1, "predict run sums.csv --centre-of-mass removed -o d.csv")?;
    assert!(told.contains("ions are missing") && told.contains("hint: "), "{told}");
    // A run that was trained without has no place for them.
    folder.write("complete.toml", EXPERIMENT.replace("t.csv", "complete.csv"))?;
    folder.run("train --config complete.toml -o whole --quiet --set training.max_epochs=1")?;
    let told = folder.fails_with(1, "predict whole one.csv -o d.csv")?;
    assert!(told.contains("the cell is NaN") || told.contains("the cell is empty"), "{told}");
    Ok(())
}

/// A complete table, of which the experiment leaves ions out: others in every epoch, the same for the same seed.
#[test]
fn subsets_of_a_complete_table_are_drawn() -> TestResult {
    let folder = folder()?;
    folder.write("complete.toml", EXPERIMENT.replace("t.csv", "complete.csv"))?;
    let train = "train --config complete.toml --quiet --set detector.efficiency=0.6";
    folder.run(&format!("{train} -o run"))?;
    folder.run(&format!("{train} -o again"))?;
    let weights = |run: &str| std::fs::read(folder.path(&format!("{run}/model.safetensors")));
    assert_eq!(weights("run")?, weights("again")?);
    let scores = folder.json("evaluate run --json")?;
    assert_eq!(scores["by_detected"].as_array().map(Vec::len), Some(5));
    // The noise is still that of the simulation: it can be refined.
    let report = folder.json("predict run t.csv --drop-invalid -n 10 -o d.csv --json")?;
    assert_eq!(report["events"], 3000);
    // Without a simulation nobody knows whether the frame tells of what is left out.
    std::fs::remove_file(folder.path("complete.csv.simulation.toml"))?;
    let told = folder.fails_with(1, &format!("{train} -o unknown"))?;
    assert!(told.contains("the frame of its events is not known"), "{told}");
    let frame = "--set preprocessing.gauge={frame='momentum',x_axis='S',xy_plane='O'}";
    folder.run(&format!("{train} {frame} -o unknown"))?;
    let scores = folder.json("evaluate unknown --json")?;
    let told = scores["scored"]["frame"].as_str().unwrap_or_default();
    assert!(told.contains("where more are missing, the first two detected of S, O, C"), "{told}");
    // Momenta without noise are not refined where ions may be missing.
    let told = folder.fails("predict unknown t.csv --refine -n 10 -o d.csv")?;
    assert!(told.contains("hint: declare"), "{told}");
    Ok(())
}

/// A table in the momentum frame, whose zeros are round-off of one rotation where the training's, rotated again when ions were
/// left out, are of two: it is of the kind of the training, and so is one in the laboratory.
#[test]
fn tables_in_either_frame_are_those_of_the_training() -> TestResult {
    let folder = Folder::empty()?;
    let simulate = "simulate --preset acetylene-wide --events 400 --quiet -o";
    folder.run(&format!("{simulate} t.csv"))?;
    folder.run(&format!("{simulate} turned.csv --set frame={{kind='laboratory'}}"))?;
    let atom = |element: &str| format!("{{ element = '{element}', charge = 1 }}");
    let atoms = ["C", "C", "H", "H"].map(atom).join(", ");
    let experiment = format!(
        "[source]\nfiles = ['t.csv']\n[molecule]\nexchangeable = true\natoms = [{atoms}]\n[detector]\nefficiency = 0.8\n\
         [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'C1'\nxy_plane = 'C2'\n\
         [model]\nkind = 'cinn'\ncouplings = 2\nhidden = [8]\n[training]\nmax_epochs = 1\n"
    );
    folder.write("e.toml", experiment)?;
    folder.run("train --config e.toml -o run --quiet")?;
    for table in ["t.csv", "turned.csv"] {
        let report = folder.json(&format!("predict run {table} -n 2 -o d.csv --json"))?;
        assert_eq!(report["events"], 400);
        let outside = report["outside"]["events"].as_u64().ok_or("no count")?;
        assert!(outside < 20, "{table}: {}", report["outside"]);
    }
    Ok(())
}
