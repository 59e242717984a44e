//! The guide: mdBook makes it from `docs`, and no link on its pages leads nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::cargo::metadata;
use crate::{say, tools};

/// Where links stand in HTML.
const LINKS: [&str; 2] = [" href=\"", " src=\""];

/// Builds the guide with the program `mdbook` in the folder `programs`, and checks the links of every page.
pub(crate) fn build(programs: &Path) -> anyhow::Result<()> {
    let book = metadata()?.target_directory.join("book");
    let folder = book.to_string_lossy();
    tools::run(&programs.join("mdbook"), &["build", "--dest-dir", &*folder])?;
    let pages = pages(&book)?;
    ensure!(pages.len() > 10, "only {} pages in `{}`", pages.len(), book.display());
    let broken = dangling(&pages);
    if broken.is_empty() {
        say(&format!("the guide is in `{}`", book.join("index.html").display()));
        return Ok(());
    }
    bail!("the guide has links that lead nowhere:\n  {}", broken.join("\n  "));
}

/// The pages of a folder with their text. The one for addresses that do not exist has links from the root of a server.
fn pages(book: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(book)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "html")
            && !path.ends_with("404.html")
        {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?;
            pages.insert(path, text);
        }
    }
    Ok(pages)
}

/// The links of pages to files that are not there, and to places that a page has not.
fn dangling(pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let places: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| (path.as_path(), values(text, " id=\"").collect()))
        .collect();
    let mut broken = Vec::new();
    for (path, text) in pages {
        let folder = path.parent().unwrap_or(Path::new(""));
        for link in LINKS.iter().flat_map(|attribute| values(text, attribute)) {
            if link.contains("://") || link.starts_with("data:") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            let found = match places.get(target.as_path()) {
                Some(places) => place.is_empty() || places.contains(place),
                None => place.is_empty() && target.is_file(),
            };
            if !found {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                broken.push(format!("`{name}` has `{link}`"));
            }
        }
    }
    broken
}

/// The values of an attribute.
fn values<'a>(text: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page = |text: &str| text.to_owned();
        let good = "<h2 id=\"here\"><a href=\"#here\">x</a><a href=\"https://no.where/\">y</a>";
        let mut pages = BTreeMap::from([
            (PathBuf::from("/nowhere/a.html"), page(good)),
            (PathBuf::from("/nowhere/b.html"), page("<a href=\"a.html#here\"><a href=\"a.html\">")),
        ]);
        assert_eq!(dangling(&pages), Vec::<String>::new());
        for wrong in ["href=\"a.html#there\"", "href=\"c.html\"", "src=\"figures/none.png\""] {
            pages.insert(PathBuf::from("/nowhere/c.html"), format!("<a {wrong}>"));
            let expected = usize::from(wrong != "href=\"c.html\"");
            assert_eq!(dangling(&pages).len(), expected, "{wrong}");
        }
    }
}
