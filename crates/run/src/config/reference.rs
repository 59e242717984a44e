//! The reference of the configuration: every key of an experiment and of a simulation, made of the types that read
//! them and of their comments. `docs/configuration.md` is its text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cei_physics::Simulation;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use crate::config::Experiment;

const INTRODUCTION: &str = "\
# Configuration

Every key of the two kinds of TOML file: an experiment, for `cei train`, and a simulation, for `cei simulate` and
`source.simulator`. This page is what `cei config --reference` prints. `cei config --preset NAME` prints a file to begin
with, `cei config --config FILE` one of your own with every default written out, and `--set KEY=VALUE` changes a key of
either (`--set training.max_epochs=100`). A key that does not exist is an error that names the nearest one. In a table,
keys that must be given stand first; *none* is a key that may be left out and has no value then.
";

/// Types that stand in several places, and their headings.
const SHARED: [(&str, &str); 2] =
    [("Distribution", "Distributions"), ("SubnetConfig", "Subnets of couplings")];

/// Units by the end of a key.
const UNITS: [(&str, &str); 12] = [
    ("_bohr", "bohr"),
    ("_angstrom", "angstrom"),
    ("_deg", "degrees"),
    ("_au", "a.u."),
    ("_k", "K"),
    ("_cm1", "1/cm"),
    ("_u", "u"),
    ("_epochs", "epochs"),
    ("_per_fs", "1/fs"),
    ("_fs", "fs"),
    ("_ps", "ps"),
    ("_charges", "elementary charges"),
];

/// The reference as Markdown.
///
/// ```
/// let page = cei_run::config::reference::reference();
/// assert!(page.contains("| `couplings` |"));
/// ```
pub fn reference() -> String {
    let mut generator = SchemaGenerator::default();
    generator.subschema_for::<Experiment>();
    generator.subschema_for::<Simulation>();
    let mut page = Page {
        text: INTRODUCTION.to_owned(),
        definitions: generator.definitions(),
        headings: BTreeMap::new(),
        explained: BTreeSet::new(),
        waiting: Vec::new(),
    };
    page.part("An experiment", "Experiment");
    page.part("A simulation", "Simulation");
    page.text
}

/// A JSON schema of a type, or of a key.
type Schema = Map<String, Value>;

/// A page that is being written.
struct Page<'a> {
    text: String,
    definitions: &'a Schema,
    /// Of the types that have a section.
    headings: BTreeMap<&'a str, String>,
    /// Types whose words are explained.
    explained: BTreeSet<&'a str>,
    /// Types whose sections come next, the first one last, each with its place in the file.
    waiting: Vec<(&'a str, String)>,
}

impl<'a> Page<'a> {
    /// Everything of one kind of file.
    fn part(&mut self, heading: &str, name: &'a str) {
        self.section(2, heading, name, "");
        while let Some((name, place)) = self.waiting.pop() {
            let heading = self.headings[name].clone();
            self.section(3, &heading, name, &place);
        }
    }

    /// The section of a type that stands at a place in the file; its own types are next.
    fn section(&mut self, level: usize, heading: &str, name: &'a str, place: &str) {
        let schema = self.definition(name);
        self.heading(level, heading);
        self.paragraphs(schema);
        let mut next = Vec::new();
        if schema.contains_key("properties") {
            self.keys(schema, place, &mut next);
        }
        for variant in variants(schema) {
            let Some((tag, value)) = tag(variant) else { continue };
            self.heading(level + 1, &format!("`{tag} = \"{value}\"`"));
            let whole = self.whole(variant);
            self.paragraphs(&whole);
            self.keys(&whole, place, &mut next);
        }
        next.reverse();
        self.waiting.append(&mut next);
    }

    fn heading(&mut self, level: usize, heading: &str) {
        let _ = write!(self.text, "\n{} {heading}\n", "#".repeat(level));
    }

    fn paragraphs(&mut self, schema: &Schema) {
        if let Some(text) = described(schema) {
            let _ = write!(self.text, "\n{}\n", in_docs(text));
        }
    }

    /// The table of a type's keys, and what the words mean that may stand in them.
    fn keys(&mut self, schema: &Schema, place: &str, next: &mut Vec<(&'a str, String)>) {
        let required = |key: &str| list(schema, "required").any(|known| known == key);
        let mut keys: Vec<(&String, &Schema)> =
            properties(schema).filter(|(_, key)| !key.contains_key("const")).collect();
        keys.sort_by_key(|(key, _)| !required(key));
        if keys.is_empty() {
            return;
        }
        self.text += "\n| key | type | default | unit | allowed | meaning |\n";
        self.text += "| --- | --- | --- | --- | --- | --- |\n";
        let mut words: BTreeMap<&'a str, Vec<&str>> = BTreeMap::new();
        for &(key, given) in &keys {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            let kind = self.kind(given, &place, next);
            let (name, resolved) = self.resolve(given);
            if let Some(name) = name.filter(|_| variants(resolved).any(is_word)) {
                words.entry(name).or_default().push(key);
            }
            let cells = [
                format!("`{key}`"),
                kind,
                default(given, required(key), self.section_of(given).is_some()),
                unit(key, given).to_owned(),
                allowed(given),
                first_paragraph(described(given).or_else(|| described(resolved)).unwrap_or("")),
            ];
            let _ = writeln!(
                self.text,
                "| {} |",
                cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
            );
        }
        for (name, keys) in words {
            if !self.explained.insert(name) {
                continue;
            }
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let _ = write!(self.text, "\n{}:\n\n", keys.join(", "));
            for variant in variants(self.definition(name)) {
                let meaning = first_paragraph(described(variant).unwrap_or(""));
                let word = self.kind(variant, place, next);
                let _ = writeln!(self.text, "- {word}: {meaning}");
            }
        }
    }

    /// The type of a key in words.
    fn kind(&mut self, given: &Schema, place: &str, next: &mut Vec<(&'a str, String)>) -> String {
        if let Some(name) = self.section_of(given) {
            return self.link(name, "table", format!("`[{place}]`"), place, next);
        }
        let (_, schema) = self.resolve(given);
        if let Some(word) = schema.get("const") {
            return format!("`{word}`");
        }
        if variants(schema).next().is_some() {
            let kinds: Vec<String> =
                variants(schema).map(|variant| self.kind(variant, place, next)).collect();
            return kinds.join(if variants(schema).any(is_word) { ", " } else { " or " });
        }
        match kind_name(schema) {
            "string" => "text".to_owned(),
            "boolean" => "`true`, `false`".to_owned(),
            "array" => self.kind_of_list(schema, place, next),
            "object" => match schema.get("additionalProperties").and_then(Value::as_object) {
                Some(values) => format!("table by name: {}", self.kind(values, place, next)),
                None => {
                    let keys: Vec<String> = properties(schema)
                        .map(|(key, value)| format!("{key} = {}", self.kind(value, place, next)))
                        .collect();
                    format!("`{{ {} }}`", keys.join(", "))
                }
            },
            name => name.to_owned(),
        }
    }

    fn kind_of_list(
        &mut self,
        list: &Schema,
        place: &str,
        next: &mut Vec<(&'a str, String)>,
    ) -> String {
        let Some(items) = list.get("items").and_then(Value::as_object) else {
            return "list".to_owned();
        };
        let count = match (list.get("minItems"), list.get("maxItems")) {
            (Some(least), Some(most)) if least == most => format!("{least} "),
            _ => String::new(),
        };
        if let Some(name) = self.section_of(items) {
            let text = format!("list of {count}tables");
            return self.link(name, &text, format!("`[[{place}]]`"), place, next);
        }
        match self.kind(items, place, next).as_str() {
            items @ ("integer" | "number" | "text") => format!("list of {count}{items}s"),
            items => format!("list of {count}values: {items}"),
        }
    }

    /// A link to the section of a type, which is still to come where there is none.
    fn link(
        &mut self,
        name: &'a str,
        text: &str,
        heading: String,
        place: &str,
        next: &mut Vec<(&'a str, String)>,
    ) -> String {
        let shared = SHARED.iter().find(|(shared, _)| *shared == name);
        let heading = shared.map_or(heading, |(_, heading)| (*heading).to_owned());
        let heading = self.headings.entry(name).or_insert_with(|| {
            next.push((name, place.to_owned()));
            heading
        });
        format!("[{text}](#{})", anchor(heading))
    }

    /// The type that a key's table or tables have a section for.
    fn section_of(&self, given: &Schema) -> Option<&'a str> {
        let (name, schema) = self.resolve(given);
        let is_table = schema.contains_key("properties")
            || variants(schema).next().is_some_and(|variant| tag(variant).is_some());
        name.filter(|_| is_table)
    }

    /// The name and the schema of the type of a key, which may be optional.
    fn resolve<'s>(&self, given: &'s Schema) -> (Option<&'a str>, &'s Schema)
    where
        'a: 's,
    {
        let name =
            given.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        if let Some((name, schema)) = name.and_then(|name| self.definitions.get_key_value(name)) {
            return (Some(name), schema.as_object().unwrap_or(given));
        }
        let mut present = variants(given).filter(|variant| kind_name(variant) != "null");
        match (present.next(), present.next()) {
            (Some(only), None) => self.resolve(only),
            _ => (None, given),
        }
    }

    fn definition(&self, name: &str) -> &'a Schema {
        match self.definitions.get(name).and_then(Value::as_object) {
            Some(schema) => schema,
            None => unreachable!("`{name}` is a type with a schema"),
        }
    }

    /// A variant together with the type that it holds.
    fn whole(&self, variant: &Schema) -> Schema {
        let (_, held) = self.resolve(variant);
        let mut whole = held.clone();
        for (part, value) in variant {
            match (whole.get_mut(part), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
                (Some(Value::Array(there)), Value::Array(more)) => there.extend(more.clone()),
                _ => drop(whole.insert(part.clone(), value.clone())),
            }
        }
        whole
    }
}

fn properties(schema: &Schema) -> impl Iterator<Item = (&String, &Schema)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.filter_map(|(key, value)| Some((key, value.as_object()?)))
}

fn list<'s>(schema: &'s Schema, key: &str) -> impl Iterator<Item = &'s Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// What a value may be one of.
fn variants(schema: &Schema) -> impl Iterator<Item = &Schema> {
    list(schema, "oneOf").chain(list(schema, "anyOf")).filter_map(Value::as_object)
}

/// The key that tells variants of a table apart, and its value in this one.
fn tag(variant: &Schema) -> Option<(&str, &str)> {
    properties(variant).find_map(|(key, value)| Some((key.as_str(), value.get("const")?.as_str()?)))
}

fn is_word(variant: &Schema) -> bool {
    variant.contains_key("const")
}

/// The JSON type; of an optional value, that which it has where there is one.
fn kind_name(schema: &Schema) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => names.first().and_then(Value::as_str).unwrap_or(""),
        _ => "",
    }
}

fn default(key: &Schema, required: bool, is_section: bool) -> String {
    match key.get("default") {
        _ if required => "**required**".to_owned(),
        _ if is_section => String::new(),
        None | Some(Value::Null) => "*none*".to_owned(),
        Some(value) => format!("`{}`", value.to_string().replace(',', ", ")),
    }
}

fn unit<'s>(name: &str, key: &'s Schema) -> &'s str {
    let of_name = UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit);
    key.get("unit").and_then(Value::as_str).or(of_name).unwrap_or("")
}

/// The range of a number, of the numbers of a list or of the length of one.
fn allowed(key: &Schema) -> String {
    if let Some(words) = key.get("allowed").and_then(Value::as_str) {
        return words.to_owned();
    }
    let range = |schema: &Schema, names: [&str; 4]| {
        let [least, above, most, below] = names.map(|name| schema.get(name).map(number));
        match (least, above, most, below) {
            (Some(least), _, Some(most), _) if least == most => String::new(),
            (Some(least), _, Some(most), _) => format!("{least} to {most}"),
            (Some(least), _, _, Some(below)) => format!("at least {least}, below {below}"),
            (Some(least), ..) => format!("at least {least}"),
            (_, Some(above), Some(most), _) => format!("above {above}, at most {most}"),
            (_, Some(above), _, Some(below)) => format!("above {above}, below {below}"),
            (_, Some(above), ..) => format!("above {above}"),
            (_, _, Some(most), _) => format!("at most {most}"),
            _ => String::new(),
        }
    };
    let of_number =
        |schema| range(schema, ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]);
    let length = range(key, ["minItems", "", "maxItems", ""]);
    let inner =
        ["items", "additionalProperties"].iter().find_map(|inner| key.get(*inner)?.as_object());
    let each = inner.map_or(String::new(), of_number);
    match (length.is_empty(), each.is_empty()) {
        (true, true) => of_number(key),
        (true, false) => format!("each {each}"),
        (false, true) => format!("{length} of them"),
        (false, false) => format!("{length} of them, each {each}"),
    }
}

/// A number as people write it: `100,000`, `0.9`, `1e-14`.
fn number(value: &Value) -> String {
    let text = value.to_string();
    let text = text.strip_suffix(".0").unwrap_or(&text);
    let digits = text.len();
    if digits < 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let comma = |at: usize| if at > 0 && (digits - at).is_multiple_of(3) { "," } else { "" };
    text.chars().enumerate().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

fn described(schema: &Schema) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

/// What comes first is for users, what follows for those who write code.
fn first_paragraph(text: &str) -> String {
    in_docs(&text.split("\n\n").next().unwrap_or("").replace('\n', " "))
}

/// Pages that comments name, as links from the folder in which the reference is.
fn in_docs(text: &str) -> String {
    let mut parts = text.split("`docs/");
    let mut linked = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (page, rest) = part.split_once('`').unwrap_or((part, ""));
        let _ = write!(linked, "[{page}]({page}){rest}");
    }
    linked
}

/// The name that a heading has in links.
fn anchor(heading: &str) -> String {
    let name = heading.to_lowercase().replace(' ', "-");
    name.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[cfg(test)]
mod tests;
