//! The boundaries of the workspace, proved from `cargo metadata` and the sources: which crate may
//! depend on which, who may know Polars, Burn and clap; that every file says what it is for, that
//! the pages that it names exist, that no file needs another in a circle, that what is cited is the version that is
//! built, and that no copies of editors and patches are kept.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure};

use crate::cargo::{Metadata, compiled, metadata};
use crate::{circles, python, references, studies};

/// Every crate and the crates of the workspace that it may depend on. What is not here is forbidden.
const EDGES: [(&str, &[&str]); 20] = [
    ("cei-files", &[]),
    ("cei-physics", &[]),
    ("cei-metrics", &["cei-kernels"]),
    ("cei-report", &["cei-files"]),
    ("cei-posterior", &["cei-physics"]),
    ("cei-population", &[]),
    ("cei-data", &["cei-files", "cei-metrics", "cei-physics"]),
    ("cei-kernels", &[]),
    ("cei-model", &["cei-kernels"]),
    ("cei-mpi", &["cei-kernels"]),
    ("cei-cvae", &["cei-kernels", "cei-model"]),
    ("cei-cinn", &["cei-kernels", "cei-model"]),
    ("cei-gaussian", &["cei-kernels", "cei-model"]),
    ("cei-train", &["cei-files", "cei-kernels", "cei-model"]),
    (
        "cei-run",
        &[
            "cei-cinn",
            "cei-cvae",
            "cei-data",
            "cei-files",
            "cei-metrics",
            "cei-model",
            "cei-physics",
            "cei-population",
            "cei-posterior",
            "cei-report",
            "cei-train",
        ],
    ),
    (
        "cei-cli",
        &[
            "cei-data",
            "cei-files",
            "cei-metrics",
            "cei-model",
            "cei-mpi",
            "cei-physics",
            "cei-run",
            "cei-train",
        ],
    ),
    (
        "cei-bench",
        &["cei-cinn", "cei-cvae", "cei-data", "cei-model", "cei-physics", "cei-run", "cei-train"],
    ),
    ("cei-experiments", &["cei-metrics", "cei-run"]),
    ("cei-python", &["cei-cli", "cei-data", "cei-model", "cei-physics", "cei-run", "cei-train"]),
    ("xtask", &[]),
];

/// Libraries that only these crates may know.
const KNOWN_BY: [(&str, &[&str]); 13] = [
    ("polars", &["cei-data"]),
    ("polars-arrow", &["cei-data"]),
    ("pyo3", &["cei-python"]),
    ("burn", &["cei-model", "cei-cvae", "cei-cinn", "cei-gaussian"]),
    ("clap", &["cei-cli", "cei-experiments", "xtask"]),
    ("indicatif", &["cei-cli"]),
    ("mpi", &["cei-mpi"]),
    ("nix", &["cei-cli"]),
    ("kuva", &["cei-report"]),
    ("anyhow", &["cei-cli", "cei-experiments", "xtask"]),
    ("toml", &["cei-run", "cei-cli"]),
    ("tempfile", &["cei-files"]),
    ("tpe", &["cei-run"]),
];

/// What moves numbers between the host and a device, and the one file that may: there they are counted.
const CROSSINGS: [&str; 5] =
    ["Tensor::from_data", "TensorData", "into_data", "into_scalar", "into_vec_as"];
const CROSSING: &str = "crates/model/src/tensor.rs";

/// Endings of what editors and patches leave.
const LEFT_OVER: [&str; 4] = [".orig", ".rej", "~", ".bak"];

/// What the tests compile.
const TESTS: [&str; 3] = ["--workspace", "--edges", "normal,build,dev"];

/// Checks every boundary; the error lists all that are broken.
pub(crate) fn tidy(root: &Path) -> anyhow::Result<()> {
    let metadata = metadata()?;
    let mut broken = broken_edges(&metadata);
    let tests = compiled(&TESTS)?;
    broken.extend(compiled_twice("the programs", &compiled(&studies::SELECTION)?, &tests));
    broken.extend(compiled_twice("the Python package", &compiled(&python::SELECTION)?, &tests));
    broken.extend(files_without_header(root)?);
    broken.extend(references::dangling(root)?);
    broken.extend(references::beside_the_guide(root)?);
    broken.extend(other_version(&std::fs::read_to_string(root.join("CITATION.cff"))?, &metadata));
    broken.extend(circles::circles(root)?);
    broken.extend(left_over(&tracked(root)?));
    broken.extend(crossings(root)?);
    if broken.is_empty() {
        return Ok(());
    }
    bail!("the boundaries are broken:\n  {}", broken.join("\n  "));
}

/// Edges that are not allowed, and crates that the table does not know. Dependencies of tests count
/// only where they are crates of the workspace.
fn broken_edges(metadata: &Metadata) -> Vec<String> {
    let names: BTreeSet<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("`{name}` is not in the table of allowed edges"));
            continue;
        };
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            if names.contains(other) && !allowed.contains(&other) {
                broken.push(format!("`{name}` must not depend on `{other}`"));
            }
            let of_tests = dependency.is_of_tests();
            let only = KNOWN_BY.iter().find(|(library, _)| *library == other);
            if only.is_some_and(|(_, known_by)| !of_tests && !known_by.contains(&name)) {
                broken.push(format!("`{name}` must not know `{other}`"));
            }
        }
    }
    for (name, _) in EDGES {
        if !names.contains(name) {
            broken.push(format!("the table of allowed edges names `{name}`, which does not exist"));
        }
    }
    broken
}

/// Libraries that `who` and the tests need with different features: cargo would compile them, and all that is built on
/// them, once for each.
fn compiled_twice(who: &str, programs: &BTreeSet<String>, tests: &BTreeSet<String>) -> Vec<String> {
    let differs = |library: &&String| !tests.contains(*library);
    let in_words = |library| format!("tests need other features than `{library}` of {who}");
    programs.iter().filter(differs).map(in_words).collect()
}

/// Rust files that do not begin with a `//!` line.
fn files_without_header(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut folders = vec![root.join("crates"), root.join("xtask"), root.join("tests")];
    let mut broken = Vec::new();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                if !std::fs::read_to_string(&path)?.starts_with("//!") {
                    broken.push(format!("`{}` does not say what it is for", path.display()));
                }
            }
        }
    }
    ensure!(files > 50, "only {files} Rust files found: is `{}` the workspace?", root.display());
    Ok(broken)
}

/// Files of the libraries that know Burn, where numbers cross between host and device unseen.
fn crossings(root: &Path) -> anyhow::Result<Vec<String>> {
    let burn = KNOWN_BY.iter().find(|(library, _)| *library == "burn");
    let crates = burn.map_or(&[][..], |(_, crates)| crates);
    let folder =
        |name: &&str| root.join("crates").join(name.trim_start_matches("cei-")).join("src");
    let mut folders: Vec<_> = crates.iter().map(folder).collect();
    let mut broken = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path != root.join(CROSSING) {
                broken.extend(crossing(
                    &path.display().to_string(),
                    &std::fs::read_to_string(&path)?,
                ));
            }
        }
    }
    Ok(broken)
}

fn crossing(path: &str, text: &str) -> Option<String> {
    let found = CROSSINGS.iter().find(|word| text.contains(**word))?;
    Some(format!("`{path}` has `{found}`: tensors cross in `{CROSSING}` alone, which counts them"))
}

/// The files that git keeps; none where there is no git.
fn tracked(root: &Path) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("git").arg("ls-files").current_dir(root).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return Ok(Vec::new());
    };
    Ok(String::from_utf8(listed.stdout)?.lines().map(str::to_owned).collect())
}

/// Files that an editor or a patch has left.
fn left_over(files: &[String]) -> Vec<String> {
    let is_left = |file: &&String| LEFT_OVER.iter().any(|ending| file.ends_with(ending));
    files.iter().filter(is_left).map(|file| format!("`{file}` is a copy: remove it")).collect()
}

/// A citation that names another version than that of the crates.
fn other_version(citation: &str, metadata: &Metadata) -> Option<String> {
    let version = &metadata.packages.first()?.version;
    let is_cited = citation.lines().any(|line| line == format!("version: {version}"));
    (!is_cited).then(|| format!("`CITATION.cff` does not have the line `version: {version}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace_root;

    #[test]
    fn the_workspace_keeps_its_boundaries() -> anyhow::Result<()> {
        tidy(&workspace_root())
    }

    /// A check that never fails proves nothing: turn one crate into another in the metadata.
    #[test]
    fn a_forbidden_edge_is_found() -> anyhow::Result<()> {
        let text = serde_json::to_string(&metadata()?)?.replace("cei-model", "cei-physics");
        let broken = broken_edges(&serde_json::from_str(&text)?);
        assert!(
            broken.contains(&"`cei-cvae` must not depend on `cei-physics`".to_owned()),
            "{broken:?}"
        );
        Ok(())
    }

    #[test]
    fn a_citation_of_another_version_is_found() -> anyhow::Result<()> {
        let metadata = metadata()?;
        let cited = |version: &str| format!("title: cei\nversion: {version}\n");
        assert_eq!(other_version(&cited(&metadata.packages[0].version), &metadata), None);
        assert!(other_version(&cited("0.0.9"), &metadata).is_some());
        Ok(())
    }

    #[test]
    fn what_editors_and_patches_leave_is_found() {
        let kept = ["a.toml", "a.toml.orig", "a.rej", "b.rs~", "c.toml.bak", "original.rs"];
        let broken = left_over(&kept.map(str::to_owned));
        assert_eq!(broken.len(), LEFT_OVER.len(), "{broken:?}");
        assert!(broken[0].contains("`a.toml.orig`"), "{broken:?}");
    }

    #[test]
    fn a_crossing_that_is_not_counted_is_found() {
        assert!(crossing("a.rs", "let t = Tensor::from_data(data, &device);").is_some());
        assert_eq!(crossing("a.rs", "let t = from_values(values, [2], &device);"), None);
    }

    #[test]
    fn a_library_with_other_features_in_tests_is_found() {
        let set = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let programs: BTreeSet<String> = set(&["one v1.0.0 std", "two v1.0.0 std"]);
        let tests = set(&["one v1.0.0 std", "two v1.0.0 default,std", "three v1.0.0"]);
        let broken = compiled_twice("the programs", &programs, &tests);
        assert!(broken.len() == 1 && broken[0].contains("two v1.0.0"), "{broken:?}");
        assert!(compiled_twice("the programs", &programs, &programs).is_empty());
    }
}
