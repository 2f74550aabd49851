//! The ordinary clients of the registries, each told an exact version. What they say is shown when they fail.

use std::path::Path;
use std::process::Command;

use crate::Failure;

/// Lines of a failed tool's words that are shown.
const LINES: usize = 30;

/// Runs a tool to its end. Nothing of what it says is shown unless it fails.
pub(super) fn quietly(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(format!("{name} failed\n{}", last_lines(&said, LINES)).into())
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(n)..).unwrap_or_default().join("\n")
}

/// Builds a program of a Go module into `folder`: pure Go, so that no C library matters.
pub(super) fn go_install(module: &str, folder: &Path) -> Result<(), Failure> {
    let mut command = Command::new("go");
    command.args(["install", module]).current_dir(folder);
    command.env("GOBIN", folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
    quietly(&mut command)
}

/// What copies artefacts out of a Maven registry.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.1.2";

/// Copies everything that a project needs at run time into `folder`. Maven keeps its own copies in the cache.
pub(super) fn maven_classpath(cache: &Path, pom: &Path, folder: &Path) -> Result<(), Failure> {
    let mut command = Command::new("mvn");
    command
        .args(["-B", "-q", "-f"])
        .arg(pom)
        .arg(format!("-Dmaven.repo.local={}", cache.join("m2").display()));
    command.args([&format!("{PLUGIN}:copy-dependencies"), "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", folder.display())).current_dir(cache);
    quietly(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_that_was_said_the_end_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }

    #[test]
    fn a_tool_that_fails_says_why() {
        let error = quietly(Command::new("sh").args(["-c", "echo because >&2; exit 1"])).unwrap_err();
        assert_eq!(error.to_string(), "sh failed\nbecause");
    }
}
