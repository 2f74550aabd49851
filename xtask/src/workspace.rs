//! Where the repository lies, and its cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The directory of the workspace's manifest.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A cargo command that runs in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root());
    command
}

/// What rustc calls this machine, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host() -> Result<String, Failure> {
    let version =
        Command::new("rustc").arg("-vV").output().map_err(|error| format!("cannot run rustc: {error}"))?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc names no host")?.to_owned())
}

/// What cargo knows of the packages that this machine's build consists of.
pub(crate) fn metadata() -> Result<serde_json::Value, Failure> {
    let host = host()?;
    let output = cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", &host])
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The directory that cargo builds into.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let metadata = metadata()?;
    let directory = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(PathBuf::from(directory.ok_or("cargo metadata names no target directory")?))
}

/// Builds the release binary; where it is.
pub(crate) fn release_server() -> Result<PathBuf, Failure> {
    let arguments = ["build", "--release", "--locked", "--quiet", "--package", "idstream-server"];
    if !cargo(&arguments).status()?.success() {
        return Err("the build failed".into());
    }
    Ok(target_directory()?.join("release/idstream"))
}
