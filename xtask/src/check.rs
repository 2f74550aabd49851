//! `cargo xtask check`: every gate in turn; all of them run, so that one run tells all that is wrong.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::workspace::cargo;
use crate::{Failure, say, tidy};

/// Something that must hold, by name.
type Gate = (&'static str, fn() -> Result<(), Failure>);

/// Runs every gate and fails when one of them failed.
pub(crate) fn run() -> Result<(), Failure> {
    let gates: [Gate; 5] = [
        ("format", || pass(&mut cargo(&["fmt", "--all", "--check"]))),
        ("lints", || {
            pass(&mut cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]))
        }),
        ("tidy", tidy::run),
        ("documentation", || {
            let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
            pass(cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings"))
        }),
        ("dependencies", dependencies),
    ];
    let mut failed = Vec::new();
    for (name, gate) in gates {
        let start = Instant::now();
        say(&format!("== {name}"));
        if let Err(error) = gate() {
            say(&format!("{name}: {error}"));
            failed.push(name);
        }
        say(&format!("== {name} took {:.1} s", start.elapsed().as_secs_f64()));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// cargo-deny sees what tidy does not: duplicate versions, banned crates, other targets' licences. Advisories are left
/// out: they change without a commit.
fn dependencies() -> Result<(), Failure> {
    let installed =
        cargo(&["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success();
    if !installed {
        say("cargo-deny is not installed; tidy has checked the licences");
        return Ok(());
    }
    pass(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

fn pass(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}
