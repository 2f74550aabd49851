//! The rules that no compiler knows. Each is a pure function from files to findings; only this file reads the disk.

mod code;
mod dependencies;
mod layers;
mod licences;
mod links;
mod metrics;
mod words;
mod words_of_errors;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::{Failure, say, workspace};

/// A text file of the repository.
pub(crate) struct TextFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl TextFile {
    fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { place: format!("{}:{line}", self.path), what: what.into() }
    }
}

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where: `path:line`.
    place: String,
    /// What is wrong, and what to do instead.
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Prints what breaks a rule; fails when something does.
pub(crate) fn run() -> Result<(), Failure> {
    let findings = findings(workspace::root())?;
    for finding in &findings {
        say(&finding.to_string());
    }
    if findings.is_empty() { Ok(()) } else { Err(format!("{} findings", findings.len()).into()) }
}

/// Everything that breaks a rule in the repository at `root`.
fn findings(root: &Path) -> Result<Vec<Finding>, Failure> {
    let files = read_tree(root)?;
    let mut findings = Vec::new();
    findings.extend(code::check(&files));
    findings.extend(words::check(&files));
    findings.extend(metrics::check(&files));
    findings.extend(links::check(&files));
    findings.extend(words_of_errors::check(&files));
    findings.extend(layers::check(&files)?);
    findings.extend(dependencies::check(&files)?);
    let deny = find(&files, "deny.toml")?;
    findings.extend(licences::check(&deny.text, &workspace::metadata()?)?);
    Ok(findings)
}

fn find<'a>(files: &'a [TextFile], path: &str) -> Result<&'a TextFile, Failure> {
    files.iter().find(|file| file.path == path).ok_or_else(|| format!("{path} is missing").into())
}

/// The text files below `root`, without what git leaves alone: its own folder, and what `.gitignore` names at the root.
fn read_tree(root: &Path) -> Result<Vec<TextFile>, Failure> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let is_ignored =
        |path: &str| path == ".git" || ignored.lines().any(|line| line.strip_prefix('/') == Some(path));
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if is_ignored(&path) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(TextFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings: Vec<String> =
            findings(workspace::root()).unwrap().iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    #[test]
    fn every_folder_is_read_but_for_what_git_leaves_alone() {
        let files = read_tree(workspace::root()).unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("xtask/src/tidy/mod.rs") && has("Cargo.toml") && has(".gitignore"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/")));
    }
}
