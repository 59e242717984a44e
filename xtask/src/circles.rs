//! Circles: files of one crate that need each other, so that none can be read first. A front door that passes a name on
//! is not meant where the name is, but the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates that still have circles, or whose `main.rs` holds what its modules share.
const NOT_YET: [&str; 3] = ["bench", "experiments", "physics"];

/// Place of a module in its crate.
type Module = Vec<String>;

/// The circles of all crates but those that are excused.
pub(crate) fn circles(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !NOT_YET.contains(&name.as_str()) {
            let mut files = BTreeMap::new();
            read(&folder.join("src"), &[], &mut files)?;
            let circle: Vec<String> = circle(&files).iter().map(|file| file.join("::")).collect();
            if !circle.is_empty() {
                broken.push(format!("files of `{name}` need each other: {}", circle.join(", ")));
            }
        }
    }
    Ok(broken)
}

/// Every file of a folder by its module, without comments and tests.
fn read(folder: &Path, at: &[String], files: &mut BTreeMap<Module, String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let module = [at, &[stem]].concat();
        if path.is_dir() {
            read(&path, &module, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines = code.lines().filter_map(|line| line.split("//").next());
            let is_own = !["lib", "main", "mod"].contains(&module[at.len()].as_str());
            let module = if is_own { module } else { at.to_vec() };
            files.insert(module, lines.collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}

/// The files that are in circles, or between two.
fn circle(files: &BTreeMap<Module, String>) -> BTreeSet<&Module> {
    let mut imports: BTreeMap<&Module, Vec<Module>> = BTreeMap::new();
    for (module, code) in files {
        let absolute = |path: Module| absolute(module, path, files);
        imports.insert(module, paths(code).into_iter().filter_map(absolute).collect());
    }
    let of = |module: &Module| -> BTreeSet<&Module> {
        let targets = imports[module].iter().filter_map(|path| defined(path, &imports, 0));
        targets.filter(|target| *target != module).collect()
    };
    let needs: BTreeMap<&Module, BTreeSet<&Module>> = files.keys().map(|m| (m, of(m))).collect();
    let mut left: BTreeSet<&Module> = files.keys().collect();
    loop {
        let needs_any = |m: &Module| needs[m].iter().any(|other| left.contains(other));
        let is_needed = |m: &Module| left.iter().any(|other| needs[*other].contains(m));
        let kept: BTreeSet<&Module> =
            left.iter().copied().filter(|m| needs_any(m) && is_needed(m)).collect();
        if kept.len() == left.len() {
            return left;
        }
        left = kept;
    }
}

/// All paths that a file imports or writes out, the trees of `use` taken apart.
fn paths(code: &str) -> Vec<Module> {
    let belongs = |c: char| c.is_alphanumeric() || "_:".contains(c);
    let mut found = Vec::new();
    for statement in code.split(';') {
        match statement.rsplit_once("use ") {
            Some((_, tree)) if tree.chars().all(|c| belongs(c) || "{}*, ".contains(c)) => {
                expand("", &tree.replace(" as ", "::as::").replace(' ', ""), &mut found);
            }
            _ => found
                .extend(statement.split(|c| !belongs(c)).filter(|w| w.contains("::")).map(split)),
        }
    }
    found
}

fn split(path: &str) -> Module {
    path.split("::").take_while(|part| *part != "as").map(str::to_owned).collect()
}

fn expand(before: &str, tree: &str, found: &mut Vec<Module>) {
    let Some((head, rest)) = tree.split_once('{') else {
        return found.push(split(format!("{before}{tree}").trim_end_matches("::self")));
    };
    let (mut depth, mut start) = (0, 0);
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            if start < at {
                expand(&format!("{before}{head}"), &inner[start..at], found);
            }
            start = at + 1;
        }
    }
}

/// A path from the root of the crate; none for one that leads out of it.
fn absolute(module: &Module, path: Module, files: &BTreeMap<Module, String>) -> Option<Module> {
    let mut from = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.clone(),
        child => {
            let is_child = files.contains_key(&[&module[..], &[child.to_owned()]].concat());
            return is_child.then(|| [&module[..], &path].concat());
        }
    };
    let mut rest = &path[1..];
    if path[0] == "super" {
        from.pop();
        while rest.first().is_some_and(|part| part == "super") {
            from.pop();
            rest = &rest[1..];
        }
    }
    Some([&from[..], rest].concat())
}

/// The file that defines what a path names, through all that pass the name on.
fn defined<'a>(
    path: &[String],
    imports: &BTreeMap<&'a Module, Vec<Module>>,
    depth: usize,
) -> Option<&'a Module> {
    let place = (0..=path.len()).rev().find(|end| imports.contains_key(&path[..*end].to_vec()))?;
    let (module, passed_on) = imports.get_key_value(&path[..place].to_vec())?;
    let name = path.get(place);
    match passed_on.iter().find(|other| name.is_some() && other.last() == name && *other != path) {
        Some(other) if depth < 8 => {
            defined(&[other, &path[place + 1..]].concat(), imports, depth + 1)
        }
        _ => Some(module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_through_a_front_door() {
        let file = |module: &str, code: &str| (split(module), code.to_owned());
        let mut files = BTreeMap::from([
            (Module::new(), "pub use room::Inner;".to_owned()),
            file("room", "mod inner; mod other; pub use inner::{Inner, Other as Same};"),
            file("room::inner", "use crate::other::Outer; fn f() { super::other::g() }"),
            file("room::other", "use std::fs;"),
            file("other", "use crate::{room::other}; use ndarray::s;"),
        ]);
        assert!(circle(&files).is_empty());
        files.insert(split("room::other"), "use crate::{Inner};".to_owned());
        let found: Vec<String> = circle(&files).iter().map(|module| module.join("::")).collect();
        assert_eq!(found, ["other", "room::inner", "room::other"]);
    }
}
