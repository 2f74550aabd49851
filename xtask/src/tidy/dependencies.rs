//! Dependencies are chosen in one place, each with a reason.

use toml::{Table, Value};

use super::layers::is_member;
use super::{Finding, TextFile, find};
use crate::Failure;

/// Every dependency of the workspace without a reason, and every one that a crate chose by itself.
pub(super) fn check(files: &[TextFile]) -> Result<Vec<Finding>, Failure> {
    let mut findings = without_reason(find(files, "Cargo.toml")?);
    for file in files.iter().filter(|file| is_member(&file.path)) {
        let manifest: Table = file.text.parse().map_err(|error| format!("{}: {error}", file.path))?;
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = manifest.get(table).and_then(Value::as_table).into_iter().flatten();
            for (name, entry) in entries {
                // A crate's tests may use the crate itself with another feature.
                let is_itself = entry.get("path").and_then(Value::as_str) == Some(".");
                if entry.get("workspace").and_then(Value::as_bool) != Some(true) && !is_itself {
                    findings.push(
                        file.finding(
                            1,
                            format!("{name}: write `{name}.workspace = true`, the root says which"),
                        ),
                    );
                }
            }
        }
    }
    Ok(findings)
}

/// One line each, the reason behind it. Crates of the workspace speak for themselves.
fn without_reason(root: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (number, line) in root.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        }
        let Some((name, entry)) = line.split_once(" = ").filter(|(name, _)| inside && !name.starts_with('#'))
        else {
            continue;
        };
        let reason = entry.rsplit_once("# ").map_or("", |(_, reason)| reason);
        if !entry.contains("path = ") && reason.trim().is_empty() {
            findings.push(root.finding(number, format!("{name}: say behind `#` what it is for")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(root: &str, member: &str) -> Vec<String> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [file("Cargo.toml", root), file("crates/a/Cargo.toml", member)];
        check(&files).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_dependency_has_a_reason() {
        let root = "[workspace.dependencies]\na = { path = \"crates/a\" }\nb = \"1\" # bytes\nc = \"1\"\n[other]\nd = \"1\"\n";
        assert_eq!(findings(root, ""), ["Cargo.toml:4: c: say behind `#` what it is for"]);
    }

    #[test]
    fn a_crate_does_not_choose_versions() {
        assert_eq!(findings("", "[dependencies]\nb.workspace = true\n"), [""; 0]);
        let itself = "[dev-dependencies]\na = { path = \".\", features = [\"x\"] }\n";
        assert_eq!(findings("", itself), [""; 0]);
        for table in ["dependencies", "dev-dependencies"] {
            assert_eq!(findings("", &format!("[{table}]\nb = \"1\"\n")).len(), 1, "{table}");
        }
    }
}
