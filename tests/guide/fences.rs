//! The fences of the chapters of the guide, and what is to be done with each: its first word is the language, the second
//! says what is special.
//!
//! | fence | is |
//! | --- | --- |
//! | `sh` | commands that are run, and must succeed |
//! | `sh fails` | the last of them must fail |
//! | `sh python` | run where there is Python with numpy |
//! | `sh long` | not run: minutes, or files that only the reader has |
//! | `text output` | what the commands above it print, line by line; `...` stands for anything |
//! | `diff FILE` | a change of a file of the workspace |

use std::path::Path;

/// A fence of a chapter.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    /// Chapter and line, for messages.
    pub(crate) place: String,
    /// The first word behind the fence.
    pub(crate) language: String,
    /// The rest of the line.
    pub(crate) remark: String,
    /// The lines within.
    pub(crate) body: String,
}

impl Fence {
    pub(crate) fn is(&self, language: &str, remark: &str) -> bool {
        self.language == language && self.remark == remark
    }
}

/// The chapters of the guide, in order.
pub(crate) fn chapters(docs: &Path) -> std::io::Result<Vec<String>> {
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md"))?;
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    Ok(links.map(str::to_owned).collect())
}

/// The fences of a page.
pub(crate) fn fences(name: &str, page: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (None, None) => {}
            (None, Some(fence)) => {
                fence.body.push_str(line);
                fence.body.push('\n');
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(words), None) => {
                let (language, remark) = words.split_once(' ').unwrap_or((words, ""));
                open = Some(Fence {
                    place: format!("{name}:{}", index + 1),
                    language: language.to_owned(),
                    remark: remark.to_owned(),
                    body: String::new(),
                });
            }
        }
    }
    assert!(open.is_none(), "{name}: a fence has no end");
    found
}

/// What a page has in backticks outside its fences.
pub(crate) fn inline_code(page: &str) -> Vec<String> {
    let text: Vec<&str> = page.split("\n```").step_by(2).collect();
    text.iter().flat_map(|text| text.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The first line of `expected` that is not in `output` where it should be, behind the lines before it.
pub(crate) fn missing<'a>(expected: &'a str, output: &str) -> Option<&'a str> {
    let mut lines = output.lines();
    expected.lines().find(|expected| {
        expected.trim() != "..." && !lines.any(|line| agrees(expected.trim_end(), line.trim_end()))
    })
}

/// Whether a line is as expected, where `...` stands for anything.
fn agrees(expected: &str, line: &str) -> bool {
    let mut parts = expected.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_agree_up_to_dots() {
        assert!(agrees("a ... b", "a 1 b") && agrees("a", "a") && agrees("...", "x"));
        assert!(!agrees("a ... b", "a 1 c") && !agrees("a", "ab") && !agrees("a...", "ba"));
        assert_eq!(missing("one\n...\nthree\n", "zero\none\ntwo\nthree"), None);
        assert_eq!(missing("three\none\n", "one\nthree"), Some("one"));
    }

    #[test]
    fn fences_are_found_with_their_words() {
        let page = "`a`\n```sh long\ncei x `b`\n```\n`c`\n```text\n```\n";
        let found = fences("p", page);
        assert_eq!(found.len(), 2);
        assert!(found[0].is("sh", "long") && found[0].body == "cei x `b`\n");
        assert_eq!(inline_code(page), ["a", "c"]);
    }
}
