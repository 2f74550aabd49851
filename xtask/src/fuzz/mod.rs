//! `cargo xtask fuzz`: bytes that nobody has thought of, for every reader of bytes from outside. libFuzzer makes them, guided
//! by the coverage that they reach; the targets, what must hold of each, and the seeds are in `crates/fuzz`.

mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use self::told::Told;
use crate::{Failure, say, workspace};

/// The targets, in the order in which they are run.
const TARGETS: [&str; 10] =
    ["format", "journal", "intake", "webhook", "inflate", "hec", "acks", "bulk", "records", "documents"];
/// Longest run of one input, in seconds, and the most memory, in MB: readers are bounded in both.
const LONGEST: u64 = 10;
const MEMORY: u64 = 1024;
/// Longest input, in bytes.
const MAX_BYTES: u64 = 8192;
/// How coverage is built in by the compiler that builds everything else: LLVM's pass is in it, only its flags are not rustc's
/// own.
const FLAGS: [&str; 9] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Which targets, and for how long.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these; without names all of them
    targets: Vec<String>,
    /// How long each is run
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Random numbers of the engine; drawn by it when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
}

/// Builds, and runs one target after another. What is found goes to `target/fuzz/found`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen = choose(&arguments.targets)?;
    let folder = workspace::target_directory()?.join("fuzz");
    let engine = build(&folder)?;
    let start = Instant::now();
    let (mut executions, mut crashed) = (0, Vec::new());
    for name in &chosen {
        let told = Campaign { engine: &engine, folder: &folder, name }.run(arguments)?;
        executions += told.executions;
        say(&format!("{name}: {told}"));
        if told.found.is_some() {
            crashed.push(*name);
        }
    }
    let (n_targets, seconds) = (chosen.len(), start.elapsed().as_secs());
    say(&format!("{n_targets} targets, {executions} executions in {seconds} s, {} crashes", crashed.len()));
    if crashed.is_empty() { Ok(()) } else { Err(format!("failed: {}", crashed.join(", ")).into()) }
}

fn choose(names: &[String]) -> Result<Vec<&'static str>, Failure> {
    if names.is_empty() {
        return Ok(TARGETS.to_vec());
    }
    let known = |name: &String| {
        let found = TARGETS.into_iter().find(|known| known == name);
        found.ok_or_else(|| format!("there is no target {name}; there are {}", TARGETS.join(", ")).into())
    };
    names.iter().map(known).collect()
}

/// Builds the engine's program, apart from all other builds.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let host = workspace::host()?;
    // With a target that is named, build scripts and macros are built without the flags.
    let arguments =
        ["build", "--release", "--locked", "--quiet", "--package", "idstream-fuzz", "--bin", "fuzz-engine"];
    let mut command = workspace::cargo(&arguments);
    command.args(["--target", &host, "--target-dir"]).arg(folder);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    for (name, value) in [("LTO", "off"), ("CODEGEN_UNITS", "16"), ("OPT_LEVEL", "1")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    if !command.status()?.success() {
        return Err("the build failed; it needs a C++ compiler for libFuzzer".into());
    }
    Ok(folder.join(host).join("release/fuzz-engine"))
}

/// One target, run once.
struct Campaign<'a> {
    engine: &'a Path,
    folder: &'a Path,
    name: &'a str,
}

impl Campaign<'_> {
    fn engine(&self) -> Command {
        let mut command = Command::new(self.engine);
        command.env("IDSTREAM_FUZZ_TARGET", self.name).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &Arguments) -> Result<Told, Failure> {
        let [corpus, seeds, found] =
            ["corpus", "seeds", "found"].map(|kind| self.folder.join(kind).join(self.name));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        if !self.engine().env("IDSTREAM_FUZZ_SEEDS", &seeds).output()?.status.success() {
            return Err(format!("{}: the seeds cannot be written", self.name).into());
        }
        let mut command = self.engine();
        command.arg(format!("-max_total_time={}", arguments.seconds));
        command.args([format!("-timeout={LONGEST}"), format!("-rss_limit_mb={MEMORY}")]);
        command.args([format!("-max_len={MAX_BYTES}"), "-print_final_stats=1".to_owned()]);
        command.arg(format!("-artifact_prefix={}/", found.display()));
        let words = seeds.with_extension("words");
        if fs::metadata(&words)?.len() > 0 {
            command.arg(format!("-dict={}", words.display()));
        }
        if let Some(seed) = arguments.seed {
            command.arg(format!("-seed={seed}"));
        }
        // The first folder grows, the second is only read.
        command.args([&corpus, &seeds]);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let told = Told::read(&text, output.status.success());
        if told.found.is_some() {
            let first = text.lines().position(|line| line.contains("panicked at") || line.contains("ERROR:"));
            let lines: Vec<&str> = text.lines().skip(first.unwrap_or_default()).take(12).collect();
            say(&lines.join("\n"));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_of_the_crate() {
        let text = fs::read_to_string(workspace::root().join("crates/fuzz/src/lib.rs")).unwrap();
        let (_, list) = text.split_once("pub const TARGETS").unwrap();
        let (list, _) = list.split_once("];").unwrap();
        let names = list.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
        assert!(names.eq(TARGETS), "{list}");
    }
}
