//! How the name of a file is written for a shell.

use std::path::Path;

/// A path as one word of a POSIX shell, so that a command in a hint can be pasted.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // A name that begins with a dash would be taken for an option.
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    match shlex::try_quote(&text) {
        Ok(word) => word.into_owned(),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_break_is_quoted() {
        let cases = [
            ("runs/a-1.csv", "runs/a-1.csv"),
            ("my runs/a", "'my runs/a'"),
            ("it's", "\"it's\""),
            ("-rf", "./-rf"),
            ("$HOME;ls", "'$HOME;ls'"),
        ];
        for (path, word) in cases {
            let found = quoted(Path::new(path));
            assert_eq!(found, word);
            // However it is quoted, a shell reads the path again.
            let path = path.strip_prefix('-').map_or(path.to_owned(), |_| format!("./{path}"));
            assert_eq!(shlex::split(&found), Some(vec![path]));
        }
    }
}
