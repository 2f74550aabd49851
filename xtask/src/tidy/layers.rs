//! The layers point down: what a crate is built from lies strictly below it. What only its tests use is free.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Finding, TextFile, find};
use crate::Failure;

/// Every dependency that points up or sideways, and every crate without a layer.
pub(super) fn check(files: &[TextFile]) -> Result<Vec<Finding>, Failure> {
    let root: Table = find(files, "Cargo.toml")?.text.parse()?;
    let mut findings = Vec::new();
    let mut crates = BTreeMap::new();
    for file in files.iter().filter(|file| is_member(&file.path)) {
        let manifest: Table = file.text.parse().map_err(|error| format!("{}: {error}", file.path))?;
        let folder = file.path.trim_end_matches("/Cargo.toml").to_owned();
        match layer(&manifest) {
            Some(layer) => drop(crates.insert(folder, (layer, file, manifest))),
            None => findings.push(file.finding(1, "names no layer in [package.metadata]")),
        }
    }
    for (layer, file, manifest) in crates.values() {
        for dependency in built_from(manifest) {
            let below = folder_of(&root, dependency).and_then(|folder| crates.get(folder));
            if let Some((other, ..)) = below.filter(|(other, ..)| other >= layer) {
                let what = format!(
                    "`{dependency}` is of layer {other}; a crate of layer {layer} is built from lower ones"
                );
                findings.push(file.finding(line_of(&file.text, dependency), what));
            }
        }
    }
    Ok(findings)
}

/// Whether this is the manifest of a crate of the workspace.
pub(super) fn is_member(path: &str) -> bool {
    path == "xtask/Cargo.toml" || (path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
}

fn layer(manifest: &Table) -> Option<i64> {
    manifest.get("package")?.get("metadata")?.get("layer")?.as_integer()
}

/// The names under which a crate's normal and build dependencies are listed.
fn built_from(manifest: &Table) -> impl Iterator<Item = &str> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    tables
        .flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")])
        .flatten()
        .filter_map(Value::as_table)
        .flat_map(|table| table.keys().map(String::as_str))
}

/// The folder of a crate of the workspace; `None` for others' crates.
fn folder_of<'a>(root: &'a Table, name: &str) -> Option<&'a str> {
    root.get("workspace")?.get("dependencies")?.get(name)?.get("path")?.as_str()
}

fn line_of(text: &str, dependency: &str) -> usize {
    let is_entry =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    text.lines().position(is_entry).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "[workspace.dependencies]\nlow = { path = \"crates/low\" }\nhigh = { path = \"crates/high\" }\n";

    fn findings(low: &str, high: &str) -> Vec<String> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("Cargo.toml", ROOT),
            file("crates/low/Cargo.toml", low),
            file("crates/high/Cargo.toml", high),
        ];
        check(&files).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_is_built_from_lower_layers_only() {
        let layer = |n: u8, rest: &str| format!("[package.metadata]\nlayer = {n}\n{rest}\n");
        let uses_low = "[dependencies]\nlow.workspace = true";
        assert_eq!(findings(&layer(1, ""), &layer(2, uses_low)), [""; 0]);
        let sideways =
            "crates/high/Cargo.toml:4: `low` is of layer 2; a crate of layer 2 is built from lower ones";
        assert_eq!(findings(&layer(2, ""), &layer(2, uses_low)), [sideways]);
        for table in ["build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let up = format!("[{table}]\nhigh.workspace = true");
            assert_eq!(findings(&layer(1, &up), &layer(2, "")).len(), 1, "{table}");
        }
        let in_tests = "[dev-dependencies]\nhigh.workspace = true";
        assert_eq!(findings(&layer(1, in_tests), &layer(2, "")), [""; 0]);
    }

    #[test]
    fn every_crate_names_its_layer() {
        let found = findings("[package]\nname = \"x\"\n", "[package.metadata]\nlayer = 1\n");
        assert_eq!(found, ["crates/low/Cargo.toml:1: names no layer in [package.metadata]"]);
    }
}
