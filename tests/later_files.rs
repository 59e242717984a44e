//! Files that are given to a trained run: read as its own table was, unless the command line says otherwise.

mod folder;

use folder::{Folder, TestResult};

impl Folder {
    /// Exit code and stderr of a command that fails.
    fn failure(&self, arguments: &str) -> TestResult<(Option<i32>, String)> {
        let output = self.cei(arguments)?;
        assert!(!output.status.success(), "{arguments}");
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }

    /// Events of a summary.
    fn events(&self, summary: &str) -> std::io::Result<usize> {
        Ok(self.read(summary)?.lines().count() - 1)
    }
}

/// Rows of two positions and three momenta.
fn rows(count: usize, separator: &str) -> String {
    let row = |row: usize| {
        let [a, b] = [0.37, 0.71].map(|step| (step * row as f64).sin());
        let cells = [a, b, a + 0.1 * b, a - b, 2.0 * b].map(|cell| format!("{cell:.4}"));
        format!("{}\n", cells.join(separator))
    };
    (1..=count).map(row).collect()
}

const EXPERIMENT: &str = "[source]\nfiles = [\"t.txt\"]\n[columns]\nx = [0, 1]\ny = [2, 3, 4]\nx_unit = \"none\"\n\
    y_unit = \"none\"\n[model]\nkind = \"cinn\"\ncouplings = 2\nhidden = [8]\n[training]\nmax_epochs = 2\n\
    batch_size = 64\n[evaluation]\nlatent = \"prior\"\ndraws = 5\n";

#[test]
fn a_declared_header_of_numbers_is_one_in_later_files_too() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("t.txt", format!("0,1,2,3,4\n{}", rows(200, ",")))?;
    folder.write("e.toml", EXPERIMENT.replace("[columns]", "header = \"yes\"\n[columns]"))?;
    folder.told("train --config e.toml -o run --quiet")?;
    folder.told("predict run t.txt -n 2 -o d.csv --summary s.csv --quiet")?;
    assert_eq!(folder.events("s.csv")?, 200);
    // The command line has the last word, and what it makes of the file is said, even with --quiet.
    let said =
        folder.told("predict run t.txt -n 2 -o d.csv --summary s.csv --quiet --header no")?;
    assert_eq!(folder.events("s.csv")?, 201);
    assert!(said.contains("no header; comma; 201 rows"), "{said}");
    Ok(())
}

#[test]
fn what_was_found_in_the_table_holds_for_later_files() -> TestResult {
    let folder = Folder::empty()?;
    let table = rows(200, ";").replace('.', ",");
    folder.write("t.txt", &table)?;
    folder.write("e.toml", EXPERIMENT)?;
    let said = folder.told("train --config e.toml -o run --quiet")?;
    assert!(said.contains("`t.txt`: no header; semicolon; decimal comma; 200 rows"), "{said}");
    let config = folder.read("run/config.toml")?;
    for found in ["header = \"no\"", "separator = \"semicolon\"", "decimal = \"comma\""] {
        assert!(config.contains(found), "{config}");
    }
    // A training can be resumed with the configuration that it was begun with.
    folder.told("train --config e.toml -o run --quiet --resume --set training.max_epochs=3")?;
    // One row alone says little; it is read as the table was.
    folder.write("one.txt", table.lines().next().unwrap_or_default())?;
    folder.told("predict run one.txt -n 2 -o d.csv --summary s.csv --quiet")?;
    assert_eq!(folder.events("s.csv")?, 1);
    // A file of another kind is not read as other numbers.
    folder.write("comma.txt", rows(20, ","))?;
    let (_, error) = folder.failure("predict run comma.txt -n 2 -o d.csv --quiet")?;
    assert!(error.contains("header no, separator semicolon, decimal comma"), "{error}");
    let other = "--separator comma --decimal point";
    folder.told(&format!("predict run comma.txt -n 2 -o d.csv --summary s.csv --quiet {other}"))?;
    assert_eq!(folder.events("s.csv")?, 20);
    Ok(())
}

#[test]
fn columns_may_have_other_names_and_places_in_later_files() -> TestResult {
    let folder = Folder::empty()?;
    folder.write("t.txt", format!("a,b,p,q,r\n{}", rows(200, ",")))?;
    let named = EXPERIMENT.replace("[0, 1]", "[\"a\", \"b\"]");
    folder.write("e.toml", named.replace("[2, 3, 4]", "[\"p\", \"q\", \"r\"]"))?;
    folder.told("train --config e.toml -o run --quiet")?;
    let predict = |file: &str, more: &str| {
        folder.told(&format!("predict run {file} -n 3 -o d.csv --summary s.csv --quiet {more}"))?;
        Ok::<_, Box<dyn std::error::Error>>(folder.read("s.csv")?)
    };
    let expected = predict("t.txt", "")?;
    // The same momenta alone, without names, and under other names in another order.
    let text = rows(200, ",");
    let cells = |line: &str| line.split(',').skip(2).map(str::to_owned).collect::<Vec<_>>();
    let alone: String = text.lines().map(|line| format!("{}\n", cells(line).join(" "))).collect();
    folder.write("alone.dat", &alone)?;
    let white = "--header no --separator whitespace";
    assert_eq!(predict("alone.dat", &format!("--columns 0,1,2 {white}"))?, expected);
    assert_eq!(predict("alone.dat", &format!("--set columns.y=[0,1,2] {white}"))?, expected);
    let turned: String = text
        .lines()
        .map(|line| {
            let cells = cells(line);
            format!("{},{},{}\n", cells[2], cells[0], cells[1])
        })
        .collect();
    folder.write("turned.csv", format!("R,P,Q\n{turned}"))?;
    assert_eq!(predict("turned.csv", "--columns P,Q,R")?, expected);
    let (_, error) = folder.failure("predict run turned.csv -n 2 -o d.csv")?;
    assert!(error.contains("`--columns` in the order of the run, p, q, r"), "{error}");
    // Another number of columns, and other keys, are refused.
    let (_, error) = folder.failure("predict run turned.csv -n 2 -o d.csv --columns P,Q")?;
    assert!(error.contains("`columns.y` names 2 columns, but the run has p, q, r"), "{error}");
    let (code, error) = folder.failure("predict run t.txt -n 2 -o d.csv --set training.seed=1")?;
    assert!(code == Some(2) && error.contains("--set training.seed=1"), "{code:?} {error}");
    // Positions are needed by these two, and may be renamed too.
    folder.write("named.csv", format!("A,B,P,Q,R\n{text}"))?;
    let renamed = "--columns P,Q,R --set columns.x=[\"A\",\"B\"]";
    folder.told(&format!("log-prob run named.csv -o l.csv {renamed}"))?;
    folder.told("log-prob run t.txt -o own.csv")?;
    assert_eq!(folder.read("l.csv")?, folder.read("own.csv")?);
    folder.told(&format!("evaluate run --data named.csv --quiet {renamed}"))?;
    Ok(())
}

/// A run whose columns are chosen by index.
fn by_index(header: &str) -> Result<Folder, Box<dyn std::error::Error>> {
    let folder = Folder::empty()?;
    folder.write("t.txt", format!("{header}{}", rows(200, ",")))?;
    folder.write("e.toml", EXPERIMENT)?;
    folder.told("train --config e.toml -o run --quiet")?;
    Ok(folder)
}

#[test]
fn a_remembered_header_swallows_no_row_and_none_makes_no_row_of_a_header() -> TestResult {
    let folder = by_index("a,b,p,q,r\n")?;
    folder.write("bare.csv", rows(20, ","))?;
    let predict = "predict run bare.csv -n 2 -o d.csv --summary s.csv --quiet";
    let (_, error) = folder.failure(predict)?;
    assert!(
        error.contains("`bare.csv`: its first line would name") && error.contains("--header no"),
        "{error}"
    );
    folder.told(&format!("{predict} --header no"))?;
    assert_eq!(folder.events("s.csv")?, 20);
    // Names in another order are other columns.
    folder.write("moved.csv", format!("p,q,r,s,t\n{}", rows(20, ",")))?;
    let (_, error) = folder.failure("predict run moved.csv -n 2 -o d.csv --quiet")?;
    assert!(error.contains("index 2 is `r`, but that of the run is `p`"), "{error}");
    folder.told("predict run moved.csv -n 2 -o d.csv --quiet --columns p,q,r")?;

    let folder = by_index("")?;
    folder.write("named.csv", format!("a,b,p,q,r\n{}", rows(20, ",")))?;
    for more in ["", "--drop-invalid"] {
        let predict = format!("predict run named.csv -n 2 -o d.csv --summary s.csv --quiet {more}");
        let (_, error) = folder.failure(&predict)?;
        assert!(error.contains("--header"), "{error}");
        folder.told(&format!("{predict} --header yes"))?;
        assert_eq!(folder.events("s.csv")?, 20);
    }
    Ok(())
}

#[test]
fn momenta_alone_need_no_places_of_positions() -> TestResult {
    let folder = by_index("")?;
    let cut = |line: &str| line.split(',').skip(2).collect::<Vec<_>>().join(",") + "\n";
    folder.write("alone.csv", rows(20, ",").lines().map(cut).collect::<String>())?;
    let (_, error) = folder.failure("predict run alone.csv -n 2 -o d.csv --quiet")?;
    assert!(error.contains("no column with index 3") && error.contains("--columns"), "{error}");
    folder.told("predict run alone.csv -n 2 -o d.csv --summary s.csv --quiet --columns 0,1,2")?;
    assert_eq!(folder.events("s.csv")?, 20);
    Ok(())
}

#[test]
fn positions_and_momenta_of_a_simulated_run_may_have_the_same_places() -> TestResult {
    let folder = Folder::empty()?;
    folder.told("simulate --preset ocs-wide --events 40 --seed 3 -o both.csv --quiet")?;
    let nine = "[0,1,2,3,4,5,6,7,8]";
    let said = folder.told(&format!(
        "train --preset wide-cinn --set source.files=[] --set source.simulator=ocs-wide --set columns.x={nine} \
         --set columns.y={nine} --set source.events_per_epoch=400 --set training.max_epochs=1 --set model.hidden=[8] \
         --set model.couplings=2 -o run"
    ))?;
    assert!(said.contains("no simulated table has these momenta (there they are pcx,"), "{said}");
    assert!(said.contains("positions and momenta share columns"), "{said}");
    let text = folder.read("both.csv")?;
    let momenta = |line: &str| line.split(',').skip(9).collect::<Vec<_>>().join(" ") + "\n";
    folder.write("alone.dat", text.lines().skip(1).map(momenta).collect::<String>())?;
    folder.told("predict run alone.dat -n 3 -o d.csv --summary s.csv --quiet")?;
    folder.told("predict run both.csv -n 3 -o d.csv --summary t.csv --quiet --columns pcx,pcy,pcz,pox,poy,poz,psx,psy,psz")?;
    assert!(folder.read("s.csv")? == folder.read("t.csv")?);
    let (_, error) = folder.failure("log-prob run both.csv")?;
    assert!(error.contains("--set columns.x="), "{error}");
    folder.told("log-prob run both.csv --columns 9,10,11,12,13,14,15,16,17")?;
    Ok(())
}

#[test]
fn every_command_that_reads_a_table_says_how_and_is_told_how() -> TestResult {
    let folder = Folder::empty()?;
    // Integers above integers: nobody can tell whether the first line is a row.
    folder.write("t.dat", "0;1;2\n3;5;4\n4;4;7\n")?;
    assert!(folder.failure("inspect t.dat")?.1.contains("may be names of columns"));
    let said = folder.told("inspect t.dat --header no --separator semicolon")?;
    assert!(said.contains("`t.dat`: no header; semicolon; 3 rows"), "{said}");
    let said = folder.told("inspect t.dat --header yes --json")?;
    assert!(
        said.contains("the first line, of numbers, taken as header; semicolon; 2 rows"),
        "{said}"
    );
    let sample = |seed: f64| -> String {
        (0..200)
            .map(|row| {
                format!("{:.4};{:.4}\n", (seed * f64::from(row)).sin(), f64::from(row).cos())
            })
            .collect()
    };
    folder.write("a.txt", format!("u;v\n{}", sample(1.1)))?;
    folder.write("b.txt", format!("% of the 3rd run\nu;v\n{}", sample(0.7)))?;
    let output = folder.cei("c2st a.txt b.txt --separator semicolon --comment %")?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("`a.txt` and 1 more: header; semicolon; 400 rows"), "{said}");
    // Options that would have no meaning are no options.
    let (code, error) = folder.failure("simulate --preset ocs-wide --header no -o s.csv")?;
    assert!(code == Some(2) && error.contains("--positions"), "{error}");
    let (code, error) = folder.failure("evaluate run --columns a,b")?;
    assert!(code == Some(2) && error.contains("--data"), "{error}");
    folder.write("p.xyz", "3\n\nC 0 0 0\nO 1.1 0 0\nS -1.5 0 0\n")?;
    let (code, error) =
        folder.failure("simulate --preset ocs-wide --positions p.xyz --header no -o s.csv")?;
    assert!(code == Some(2) && error.contains("is XYZ, which has no columns"), "{error}");
    let header = "cx;cy;cz;ox;oy;oz;sx;sy;sz";
    folder.write("p.txt", format!("{header}\n0;0;0;2,1;0;0;-3,0;0,1;0\n"))?;
    let said = folder
        .told("simulate --preset ocs-wide --positions p.txt --decimal comma -o s.csv --quiet")?;
    assert!(said.contains("decimal comma; 1 row"), "{said}");
    Ok(())
}

#[test]
fn guesses_about_a_simulated_table_do_not_bind_measured_files() -> TestResult {
    let folder = Folder::empty()?;
    folder.told("simulate --preset ocs-wide --events 300 --seed 3 -o both.csv --quiet")?;
    folder.told(
        "train --preset wide-cinn --data both.csv --set training.max_epochs=1 --set model.hidden=[8] \
         --set model.couplings=2 -o run --quiet",
    )?;
    let text = folder.read("both.csv")?;
    folder.write("german.txt", text.replace(',', ";").replace('.', ","))?;
    folder.told("predict run both.csv -n 3 -o d.csv --summary s.csv --quiet")?;
    folder.told("predict run german.txt -n 3 -o d.csv --summary t.csv --quiet")?;
    assert!(folder.read("s.csv")? == folder.read("t.csv")?);
    Ok(())
}

/// Column `name` of a CSV file whose cells hold no separators.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let place = header.iter().position(|column| *column == name);
    let place = place.unwrap_or_else(|| panic!("no `{name}` in {header:?}"));
    lines.map(|line| line.split(',').nth(place).unwrap_or_default().to_owned()).collect()
}

#[test]
fn further_columns_of_momenta_are_passed_on() -> TestResult {
    let folder = Folder::empty()?;
    folder.told("simulate --preset ocs-wide --events 300 --seed 3 -o both.csv --quiet")?;
    folder.told(
        "train --preset wide-cinn --data both.csv --set training.max_epochs=1 --set model.hidden=[8] \
         --set model.couplings=2 -o run --quiet",
    )?;
    // Event numbers beyond 2^53, of which f64 holds every second one; some beyond i64; names with zeros; texts.
    let text = folder.read("both.csv")?;
    let event = |row: usize| 9_007_199_254_740_993 + 2 * row as u64;
    let laser = |row: usize| u64::MAX - row as u64;
    let mut file =
        format!("event,{},laser,delay fs,run,shot,note\n", text.lines().next().unwrap_or_default());
    for (row, line) in text.lines().skip(1).take(6).enumerate() {
        let shot = if row == 2 { String::new() } else { (row as i64 - 3).to_string() };
        let note = if row == 4 { "late" } else { "7" };
        let cut = line.rsplit_once(',').map_or(line, |(cells, _)| cells);
        let line = if row == 3 { format!("{cut},nan") } else { line.to_owned() };
        file.push_str(&format!(
            "{},{line},{},{:.2},00{row},{shot},{note}\n",
            event(row),
            laser(row),
            0.5 * row as f64
        ));
    }
    folder.write("m.csv", &file)?;
    let said = folder.told(
        "predict run m.csv -n 20 --refine -o d.csv --summary s.csv --modes m.parquet --drop-invalid --quiet",
    )?;
    assert!(said.contains("`event` of the input is `input_event`"), "{said}");
    let summary = folder.read("s.csv")?;
    // The invalid row 3 is left out, and its cells with it.
    let rows = [0, 1, 2, 4, 5];
    let of = |cell: &dyn Fn(usize) -> String| rows.iter().map(|&row| cell(row)).collect::<Vec<_>>();
    assert_eq!(column(&summary, "event"), of(&|row| row.to_string()));
    assert_eq!(column(&summary, "input_event"), of(&|row| event(row).to_string()));
    assert_eq!(column(&summary, "laser"), of(&|row| laser(row).to_string()));
    assert_eq!(column(&summary, "delay fs"), of(&|row| format!("{:?}", 0.5 * row as f64)));
    assert_eq!(column(&summary, "run"), of(&|row| format!("00{row}")));
    assert_eq!(column(&summary, "shot"), ["-3", "-2", "", "1", "2"]);
    assert_eq!(column(&summary, "note"), ["7", "7", "7", "late", "7"]);
    // Every draw has those of its event.
    let draws = folder.read("d.csv")?;
    let of_draws = |cell: &dyn Fn(usize) -> String| {
        rows.iter().flat_map(|&row| vec![cell(row); 20]).collect::<Vec<_>>()
    };
    assert_eq!(column(&draws, "event"), of_draws(&|row| row.to_string()));
    assert_eq!(column(&draws, "laser"), of_draws(&|row| laser(row).to_string()));
    assert_eq!(column(&draws, "run"), of_draws(&|row| format!("00{row}")));
    // Positions of the run in the file are its own, not passed on.
    assert!(!summary.lines().next().unwrap_or_default().split(',').any(|name| name == "cx"));
    // Each mode has the cells of its event; Parquet keeps them as they are.
    folder.told("predict run m.csv -n 20 --refine -o d.csv --summary s.parquet --modes m.csv.out.csv --drop-invalid --quiet")?;
    let modes = folder.read("m.csv.out.csv")?;
    let events = column(&modes, "event");
    assert!(!events.is_empty());
    for (event_row, number) in events.iter().zip(column(&modes, "input_event")) {
        assert_eq!(number, event(event_row.parse()?).to_string());
    }
    // A Parquet file as input gives the same.
    let output = folder.cei("inspect s.parquet --json")?;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let names: Vec<&str> = found["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert!(["input_event", "laser", "note"].iter().all(|name| names.contains(name)), "{names:?}");
    Ok(())
}

#[test]
fn further_columns_of_positions_are_passed_on_and_back() -> TestResult {
    let folder = Folder::empty()?;
    let header = "event;draw;cx;cy;cz;ox;oy;oz;sx;sy;sz;delay;pcx;text";
    let row = |event: u64, text: &str| format!("{event};1;0;0;0;2,1;0;0;-3,0;0,1;0;1,5;7;{text}\n");
    let file = [row(9_007_199_254_740_993, "\"a;b\""), row(18_014_398_509_481_985, "")].concat();
    folder.write("p.txt", format!("{header}\n{file}"))?;
    for output in ["t.csv", "t.parquet"] {
        let said = folder
            .told(&format!("simulate --preset ocs-wide --positions p.txt -o {output} --quiet"))?;
        assert!(said.contains("`pcx` of the input is `input_pcx`"), "{said}");
    }
    // From CSV and from Parquet the same is passed on once more.
    let mut tables = Vec::new();
    for input in ["t.csv", "t.parquet"] {
        folder.told(&format!(
            "simulate --preset ocs-wide --positions {input} -o again.csv --quiet"
        ))?;
        tables.push(folder.read("again.csv")?);
    }
    assert_eq!(tables[0], tables[1]);
    let table = folder.read("t.csv")?;
    assert_eq!(column(&table, "event"), ["9007199254740993", "18014398509481985"]);
    assert_eq!(column(&table, "draw"), ["1", "1"]);
    assert_eq!(column(&table, "delay"), ["1.5", "1.5"]);
    assert_eq!(column(&table, "input_pcx"), ["7", "7"]);
    assert_eq!(column(&table, "text"), ["a;b", ""]);
    // The table is what it was for everyone who reads positions and momenta.
    folder.told("inspect t.parquet")?;
    Ok(())
}

#[test]
fn like_atoms_need_no_label() -> TestResult {
    let folder = Folder::empty()?;
    let atom = |element: &str| format!("{{ element = \"{element}\", charge = 1 }}");
    let atoms = ["O", "C", "O"].map(atom).join(", ");
    folder.write("co2.toml", format!("[molecule]\natoms = [{atoms}]\n"))?;
    folder.write("a.xyz", "3\n\nO -1.16 0 0\nC 0 0 0\nO 1.17 0 0\n")?;
    folder.told("simulate --config co2.toml --positions a.xyz -o t.csv --quiet")?;
    let table = folder.read("t.csv")?;
    let header = "o1x,o1y,o1z,cx,cy,cz,o2x,o2y,o2z,po1x,po1y,po1z,pcx,pcy,pcz,po2x,po2y,po2z";
    assert!(table.starts_with(header), "{table}");
    // Another order is told from another molecule.
    folder.write("b.xyz", "3\n\nO -1.16 0 0\nO 0 0 0\nC 1.17 0 0\n")?;
    let (_, error) = folder.failure("simulate --config co2.toml --positions b.xyz -o u.csv")?;
    assert!(error.contains("the same atoms in another order"), "{error}");
    folder.write("c.xyz", "3\n\nO -1.16 0 0\nN 0 0 0\nO 1.17 0 0\n")?;
    let (_, error) = folder.failure("simulate --config co2.toml --positions c.xyz -o u.csv")?;
    assert!(error.contains("of another molecule") && !folder.path("u.csv").exists(), "{error}");
    // A training says what the columns are.
    let law = "events = 40\n[geometry]\nlaw = \"triatomic\"\ncentre = \"C\"\nangle_deg = { distribution = \"uniform\", low = 150.0, high = 180.0 }\n\
        bonds = [{ atom = \"O1\", length_angstrom = { distribution = \"uniform\", low = 1.0, high = 1.4 } }, \
        { atom = \"O2\", length_angstrom = { distribution = \"uniform\", low = 1.0, high = 1.4 } }]\n";
    folder.write("law.toml", format!("{law}[molecule]\natoms = [{atoms}]\n"))?;
    folder.write(
        "e.toml",
        "[source]\nsimulator = \"law.toml\"\nevents_per_epoch = 200\n[model]\nkind = \"cinn\"\ncouplings = 1\nhidden = [4]\n\
         [training]\nmax_epochs = 1\n",
    )?;
    let said = folder.told("train --config e.toml -o run")?;
    assert!(
        said.contains("columns: positions o1x, o1y, o1z, cx, cy, cz, o2x, o2y, o2z; momenta po1x"),
        "{said}"
    );
    Ok(())
}
