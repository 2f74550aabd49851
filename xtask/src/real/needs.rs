//! What must be there before anything is fetched: which program, of which version. All that is missing is said at once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The servers, by the names that `--only` takes. Their order is that of a run: the fastest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Who {
    /// Over HEC and `_bulk`
    Victorialogs,
    /// One node, with data streams
    Opensearch,
}

/// A version, as far as it matters.
type Version = [u32; 3];

/// What VictoriaLogs is built by.
const GO: Version = [1, 26, 5];

/// What OpenSearch 3 runs on.
const JDK: u32 = 21;

impl Who {
    pub(super) const ALL: [Self; 2] = [Self::Victorialogs, Self::Opensearch];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Victorialogs => "victorialogs",
            Self::Opensearch => "opensearch",
        }
    }

    const fn go(self) -> Option<Version> {
        match self {
            Self::Victorialogs => Some(GO),
            Self::Opensearch => None,
        }
    }

    const fn is_java(self) -> bool {
        matches!(self, Self::Opensearch)
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// The home of a JDK that is young enough, when one is needed.
    pub(super) jdk: Option<PathBuf>,
}

impl Needs {
    /// Looks for all that these servers need.
    pub(super) fn find(servers: &[Who]) -> Result<Self, Failure> {
        let mut missing = Vec::new();
        if let Some(least) = servers.iter().filter_map(|who| who.go()).max() {
            missing.extend(lacks_go(least, said_by("go", &["version"]).as_deref()));
        }
        let mut jdk = None;
        if servers.iter().any(|who| who.is_java()) {
            jdk = java_homes().into_iter().find(|home| is_jdk(home));
            if jdk.is_none() {
                missing.push(format!("a JDK of version {JDK} or later is needed, with javac: set JAVA_HOME"));
            }
            if said_by("mvn", &["--version"]).is_none() {
                missing.push("Maven is needed (Debian: apt-get install maven)".to_owned());
            }
        }
        if missing.is_empty() { Ok(Self { jdk }) } else { Err(missing.join("\n").into()) }
    }
}

/// Where a JDK may be: what the caller says, then what Debian and others install.
fn java_homes() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = env::var_os("JAVA_HOME").map(PathBuf::from).into_iter().collect();
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|folder| folder.path());
    let mut installed: Vec<PathBuf> = installed.collect();
    installed.sort();
    homes.extend(installed);
    homes
}

fn is_jdk(home: &Path) -> bool {
    let said = said_by(home.join("bin/javac"), &["-version"]);
    said.and_then(|said| java_major(&said)).is_some_and(|major| major >= JDK)
}

/// From `javac 25.0.1` or `javac 1.8.0_402`.
fn java_major(said: &str) -> Option<u32> {
    let version = said.trim().strip_prefix("javac ")?;
    version.strip_prefix("1.").unwrap_or(version).split(['.', '_', '-', '+']).next()?.parse().ok()
}

/// What a program says on standard output; `None` when it is not there.
fn said_by(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The line that says so when Go is missing or too old. `said` is the answer of `go version`.
fn lacks_go(least: Version, said: Option<&str>) -> Option<String> {
    let there = said.and_then(go_version);
    if there.is_some_and(|version| version >= least) {
        return None;
    }
    let [major, minor, patch] = least;
    let instead = said.map_or("there is none".to_owned(), |said| format!("this is {:?}", said.trim()));
    Some(format!("Go {major}.{minor}.{patch} or later is needed; {instead}"))
}

/// From `go version go1.26.8 linux/amd64`.
fn go_version(said: &str) -> Option<Version> {
    let word = said.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let mut parts = word.split('.').map(|part| part.parse().ok());
    Some([1, parts.next()??, parts.next().flatten().unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jdk_tells_its_version_in_several_ways() {
        assert_eq!(java_major("javac 25.0.1\n"), Some(25));
        assert_eq!(java_major("javac 21-ea"), Some(21));
        assert_eq!(java_major("javac 1.8.0_402"), Some(8));
        assert_eq!(java_major("not found"), None);
    }

    #[test]
    fn an_old_go_is_named_with_what_is_needed() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some([1, 26, 8]));
        assert_eq!(go_version("go version go1.25 linux/amd64"), Some([1, 25, 0]));
        assert_eq!(go_version("go: not found"), None);
        assert_eq!(lacks_go(GO, Some("go version go1.26.8 linux/amd64")), None);
        let old = lacks_go(GO, Some("go version go1.25.3 linux/amd64\n"));
        assert_eq!(
            old.as_deref(),
            Some("Go 1.26.5 or later is needed; this is \"go version go1.25.3 linux/amd64\"")
        );
        assert_eq!(lacks_go(GO, None).as_deref(), Some("Go 1.26.5 or later is needed; there is none"));
    }
}
