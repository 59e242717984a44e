//! The reference is current, its examples are read, and its ranges are those of the checks.

use super::*;
use crate::config::{Configuration, Kind, parse_with_overrides, to_toml};

/// What has to be there for the rest to be read.
const BASE: &str = "
    [model]
    kind = 'cinn'
    [geometry]
    law = 'fixed'
    positions_angstrom = { C = [0, 0, 0], O = [1.2, 0, 0], S = [0, 1.6, 0] }
    [molecule]
    atoms = [
        { element = 'C', charge = 2.0 },
        { element = 'O', charge = 2.0 },
        { element = 'S', charge = 2.0 },
    ]
";

#[test]
fn the_page_in_docs_is_current() {
    let page = include_str!("../../../../../docs/configuration.md");
    let say = "write it anew: `cei config --reference > docs/configuration.md`";
    let new = reference();
    let differs = page.lines().zip(new.lines()).find(|(old, new)| old != new);
    assert!(page == new, "{say}; the first difference: {differs:?}");
}

#[test]
fn nothing_of_rustdoc_is_left() {
    assert!(!reference().contains("[`"), "links of rustdoc lead nowhere here");
}

#[test]
fn every_section_has_an_example_that_is_read() {
    let page = reference();
    let (experiment, simulation) = page.split_once("\n## A simulation").unwrap();
    assert!(read_examples::<Experiment>(experiment) > 10);
    assert!(read_examples::<Simulation>(simulation) > 3);
    let lists = ["[[molecule.atoms]]", "[[geometry.bonds]]"];
    for section in page.split("\n### ").skip(1) {
        let heading = section.lines().next().unwrap();
        let needs = !lists.iter().any(|list| heading.contains(list));
        assert!(section.contains("```toml") || !needs, "no example of {heading}");
    }
}

fn read_examples<T: Configuration + serde::Serialize>(part: &str) -> usize {
    let examples = part.split("```toml\n").skip(1);
    let examples = examples.map(|rest| rest.split("```").next().unwrap());
    let read = |example: &str| {
        let table = merged(base::<T>(), toml::from_str(example).unwrap());
        let read = parse_with_overrides::<T>(&to_toml(&table), "the example", &[]);
        assert!(read.is_ok(), "{example}\n{}", read.err().unwrap());
    };
    examples.inspect(|example| read(example)).count()
}

fn base<T: Configuration>() -> toml::Table {
    let mut base: toml::Table = toml::from_str(BASE).unwrap();
    base.remove(if T::KIND == Some(Kind::Experiment) { "geometry" } else { "model" });
    base
}

fn merged(mut base: toml::Table, example: toml::Table) -> toml::Table {
    for (key, value) in example {
        let value = match (base.remove(&key), value) {
            (Some(toml::Value::Table(there)), toml::Value::Table(more)) if key != "geometry" => {
                toml::Value::Table(merged(there, more))
            }
            (_, value) => value,
        };
        base.insert(key, value);
    }
    base
}

/// The bounds in the table are those of the checks: the last value within is read, the first beyond is refused.
#[test]
fn ranges_are_those_of_the_checks() {
    let mut generator = SchemaGenerator::default();
    generator.subschema_for::<Experiment>();
    generator.subschema_for::<Simulation>();
    let page = Page {
        text: String::new(),
        definitions: generator.definitions(),
        headings: BTreeMap::new(),
        explained: BTreeSet::new(),
        waiting: Vec::new(),
    };
    let mut checked = 0;
    // Preset `spline` has every key, and narrow subnets of 1000 couplings are no model too large.
    for (kind, keys) in
        [("cvae", "kind = 'cvae'"), ("cinn", "kind = 'cinn'\npreset = 'spline'\nhidden = [16]")]
    {
        let mut base = base::<Experiment>();
        base["model"] = toml::from_str(keys).unwrap();
        checked += check_ranges::<Experiment>(&page, "Experiment", "", kind, &to_toml(&base));
    }
    checked +=
        check_ranges::<Simulation>(&page, "Simulation", "", "", &to_toml(&base::<Simulation>()));
    assert!(checked > 60, "only {checked} bounds found");
}

fn check_ranges<T: Configuration>(
    page: &Page<'_>,
    name: &str,
    place: &str,
    kind: &str,
    base: &str,
) -> usize {
    // These are checked together with the data.
    const LATER: [&str; 2] = ["preprocessing.noise_sd", "source.events_per_epoch"];
    let schema = page.definition(name);
    let chosen = variants(schema).find(|variant| tag(variant).is_some_and(|(_, of)| of == kind));
    let schema = chosen.map_or_else(|| schema.clone(), |variant| page.whole(variant));
    let mut checked = 0;
    for (key, given) in properties(&schema) {
        let key = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        if let Some(name) = page.section_of(given) {
            checked += check_ranges::<T>(page, name, &key, kind, base);
            continue;
        }
        for (bound, value) in ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]
            .iter()
            .filter_map(|bound| Some((*bound, given.get(*bound)?.as_f64()?)))
            .filter(|_| !LATER.contains(&key.as_str()))
        {
            let read = |value: f64| {
                let value = match kind_name(given) {
                    "integer" => format!("{value}"),
                    _ => format!("{value:?}"),
                };
                parse_with_overrides::<T>(base, "the base", &[format!("{key}={value}")])
            };
            let step =
                if kind_name(given) == "integer" { 1.0 } else { 0.1 * value.abs().max(1e-3) };
            let beyond = match bound {
                "minimum" => value - step,
                "maximum" => value + step,
                _ => value,
            };
            let refused = read(beyond).err().map(|error| error.to_string()).unwrap_or_default();
            let last = key.rsplit('.').next().unwrap();
            assert!(refused.contains(last), "{key} = {beyond} is not refused by name: {refused}");
            if !bound.starts_with("exclusive") {
                let read = read(value);
                assert!(read.is_ok(), "{key} = {value}: {}", read.err().unwrap());
            }
            checked += 1;
        }
    }
    checked
}
