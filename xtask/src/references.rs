//! References: every page that sources and pages name exists, and has the section that they name; sections are
//! named by their headings, not by numbers; every page of `docs` is a chapter of the guide.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where sources and pages are; pages stand in the workspace folder too.
const FOLDERS: [&str; 5] = ["configs", "crates", "docs", "tests", "xtask"];

/// What names a page (`docs/spec.md`) or a section of it (`docs/spec.md#gauge`) that does not exist, in pages also
/// links between them; and what cites a specification by a number.
pub(crate) fn dangling(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in text_files(root)? {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("`{}`", file.display()))?;
        broken.extend(numbered(&text).map(|line| {
            format!(
                "`{}`, line {line}, cites a specification by number, not by a heading of its page",
                file.display()
            )
        }));
        let folder = file.parent().unwrap_or(root);
        let mut targets: Vec<(&Path, &str)> =
            mentions(&text).into_iter().map(|target| (root, target)).collect();
        if is(&file, "md") {
            targets.extend(links(&text).into_iter().map(|target| (folder, target)));
        }
        for (from, target) in targets {
            let (page, section) = target.split_once('#').unwrap_or((target, ""));
            let page = if page.is_empty() { file.clone() } else { from.join(page) };
            if !page.exists() || !(section.is_empty() || has_section(&page, section)?) {
                broken.push(format!("`{}` names `{target}`, which is not there", file.display()));
            }
        }
    }
    Ok(broken)
}

/// Pages of `docs` that the guide does not list, and links from it to what is not in it.
pub(crate) fn beside_the_guide(root: &Path) -> anyhow::Result<Vec<String>> {
    let docs = root.join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md"))?;
    let listed = links(&summary);
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(&docs)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is(&path, "md") || name == "SUMMARY.md" {
            continue;
        }
        if !listed.contains(&name.as_str()) {
            broken.push(format!("`docs/{name}` is no chapter: `docs/SUMMARY.md` does not list it"));
        }
        let text = std::fs::read_to_string(&path)?;
        let outside = links(&text).into_iter().filter(|link| link.starts_with("../"));
        broken.extend(outside.map(|link| {
            format!(
                "`docs/{name}` links `{link}`, which is not in the guide; name it without a link"
            )
        }));
    }
    Ok(broken)
}

/// Rust files, configurations and pages.
fn text_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.map(|folder| root.join(folder)).into();
    for entry in std::fs::read_dir(root)? {
        files.push(entry?.path());
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| ["rs", "md", "toml"].iter().any(|extension| is(file, extension)));
    files.sort();
    Ok(files)
}

fn is(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// The pages of `docs` that a text names, with their sections.
fn mentions(text: &str) -> Vec<&str> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "/-_.#".contains(c);
    text.match_indices("docs/")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.')
        })
        .filter(|target| target.contains(".md"))
        .collect()
}

/// The lines of a text, from 1, that cite a section by a number, which no page has: `SPEC`, then a digit.
fn numbered(text: &str) -> impl Iterator<Item = usize> {
    let cites = |line: &str| {
        line.split("SPEC").skip(1).any(|rest| {
            let rest = rest.trim_start_matches([' ', '.', ':', '-', '§']);
            let rest = rest.strip_prefix("section ").unwrap_or(rest);
            rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    text.lines().enumerate().filter(move |(_, line)| cites(line)).map(|(index, _)| index + 1)
}

/// The targets of a page's links that are no addresses of the web.
fn links(page: &str) -> Vec<&str> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// Whether a page has a heading that a section's name is made of: in lower case, without punctuation, blanks as `-`.
fn has_section(page: &Path, section: &str) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(page)?;
    let name = |heading: &str| -> String {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    Ok(text.lines().any(|line| line.starts_with('#') && name(line) == section))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace_root;

    #[test]
    fn all_pages_and_sections_exist() -> anyhow::Result<()> {
        assert_eq!(dangling(&workspace_root())?, Vec::<String>::new());
        Ok(())
    }

    /// A check that never fails proves nothing.
    #[test]
    fn what_does_not_exist_is_found() -> anyhow::Result<()> {
        let root = std::env::temp_dir().join(format!("cei-references-{}", std::process::id()));
        for folder in FOLDERS {
            std::fs::create_dir_all(root.join(folder))?;
        }
        // The names are put together here, because this file is checked too.
        let [page, other] = ["page", "other"].map(|name| format!("{}/{name}.md", "docs"));
        std::fs::write(root.join(&page), "# The page\n\n## Two words, of it\n[up](#the-page)\n")?;
        let source = |text: &str| std::fs::write(root.join("crates/lib.rs"), text);
        source(&format!("//! See `{page}#two-words-of-it`, {page}.\n"))?;
        assert_eq!(dangling(&root)?, Vec::<String>::new());
        source(&format!("//! See `{page}#three-words`, `{other}`.\n"))?;
        assert_eq!(dangling(&root)?.len(), 2);
        std::fs::write(root.join("README.md"), "[a](nowhere.md), [b](https://nowhere.md)\n")?;
        assert_eq!(dangling(&root)?.len(), 3);
        let summary = root.join("docs/SUMMARY.md");
        std::fs::write(&summary, "[The page](page.md)\n")?;
        assert_eq!(beside_the_guide(&root)?, Vec::<String>::new());
        std::fs::write(root.join("docs").join("more.md"), "[up](../README.md)\n")?;
        assert_eq!(beside_the_guide(&root)?.len(), 2);
        std::fs::remove_dir_all(&root)?;
        Ok(())
    }

    #[test]
    fn citations_by_number_are_found() {
        let lines = |text: &str| numbered(&text.replace('_', "SPEC")).collect::<Vec<_>>();
        assert_eq!(lines("/// (_ 2.4)\n/// _ of 2\n// see _ section 3, _ 4\n_§1"), [1, 3, 4]);
        assert_eq!(lines("the _, `docs/spec.md#gauge`, 2.4"), Vec::<usize>::new());
    }
}
