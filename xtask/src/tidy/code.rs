//! Rules of Rust files: what a module begins with, how long it is, what it is called, what it may not silence.

use super::{Finding, TextFile};

/// Longest file, in lines. Aim for 400.
const MAX_LINES: usize = 500;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["util", "utils", "common", "helpers", "misc"];
/// Attributes that hide something, and what to do instead. Cut in two, so that this file does not break its own rule.
const HIDING: [(&str, &str); 3] = [
    (concat!("#[", "ignore"), "a test runs or goes"),
    (concat!("#[", "allow("), "use #[expect(…, reason = \"…\")]"),
    (concat!("#![", "allow("), "use #[expect(…, reason = \"…\")] where it is needed"),
];

/// Everything that breaks a rule of Rust files.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        if !file.text.starts_with("//! ") {
            findings.push(file.finding(1, "a module begins with `//!` and what it is for"));
        }
        let n_lines = file.text.lines().count();
        if n_lines > MAX_LINES {
            findings.push(
                file.finding(n_lines, format!("{n_lines} lines; cut it below {MAX_LINES}, better 400")),
            );
        }
        for (number, line) in file.lines() {
            if let Some(name) = module_name(line).filter(|name| EMPTY_NAMES.contains(name)) {
                findings
                    .push(file.finding(number, format!("`mod {name}` says nothing: name what is inside")));
            }
            for (attribute, instead) in HIDING {
                if line.contains(attribute) {
                    findings.push(file.finding(number, format!("`{attribute}…`: {instead}")));
                }
            }
        }
    }
    findings
}

/// The name in `mod name;`, `pub mod name {`, `pub(crate) mod name;`.
fn module_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("mod ")?;
    let is_declaration = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
    is_declaration.then(|| after.split([';', ' ', '{']).next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file = TextFile { path: "a.rs".to_owned(), text: text.to_owned() };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_module_says_what_it_is_for() {
        assert_eq!(findings("//! What it is for.\n"), [""; 0]);
        assert_eq!(findings("use std::fmt;\n"), ["a.rs:1: a module begins with `//!` and what it is for"]);
    }

    #[test]
    fn long_files_and_empty_names_are_found() {
        let of_lines = |n: usize| format!("//! x\n{}", "\n".repeat(n - 1));
        assert_eq!(findings(&of_lines(501)), ["a.rs:501: 501 lines; cut it below 500, better 400"]);
        assert_eq!(findings(&of_lines(500)), [""; 0]);
        for declaration in ["mod utils;", "pub mod utils {", "    pub(crate) mod utils;"] {
            let found = findings(&format!("//! x\n{declaration}\n"));
            assert_eq!(found, ["a.rs:2: `mod utils` says nothing: name what is inside"], "{declaration}");
        }
        assert_eq!(findings("//! x\nmod utilities;\n// a mod utils\n"), [""; 0]);
    }

    #[test]
    fn nothing_is_silenced() {
        for (attribute, _) in HIDING {
            assert_eq!(findings(&format!("//! x\n{attribute}dead_code)]\n")).len(), 1, "{attribute}");
        }
    }
}
