//! `cargo xtask bench`: measures idstream alone, with its generator and its receiver on the same machine.
//!
//! Three runs, each against the release binary as a process of its own: full speed until drained, latency at a steady
//! rate, and a backlog that is built up while the receiver is down. What must be reached is printed below, with whether it
//! is. The yardsticks are measured in the same minute, so that figures from two machines, or from a noisy one, can be
//! compared as ratios.

mod api;
mod events;
mod load;
mod receiver;
mod report;
mod runs;
mod yardstick;

use std::time::Duration;

use crate::{Failure, say, workspace};

/// What is measured, and for how long.
#[derive(clap::Args)]
#[command(after_help = "\
What must be reached is printed below the figures, with whether it is. CPU seconds are those of the server
process alone, user and system. Needs Linux (/proc). The data directory is made below cargo's target
directory, because a sync in a memory file system proves nothing.
")]
pub(crate) struct Arguments {
    /// A few seconds in all: proves that the benchmark runs, not how fast idstream is
    #[arg(long)]
    quick: bool,
    /// Prints one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Seconds at full speed
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Events that are accepted while the receiver is down
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    backlog: u64,
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
struct Plan {
    full_speed: Duration,
    latency: Duration,
    backlog: u64,
    yardstick: Duration,
}

impl Plan {
    fn of(arguments: &Arguments) -> Self {
        let second = Duration::from_secs(1);
        if arguments.quick {
            return Self { full_speed: second, latency: second, backlog: 20_000, yardstick: second / 4 };
        }
        Self {
            full_speed: Duration::from_secs(arguments.seconds),
            latency: 10 * second,
            backlog: arguments.backlog,
            yardstick: 2 * second,
        }
    }
}

/// Builds, measures, prints.
#[expect(clippy::print_stdout, reason = "the figures are this command's output")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return run_optimised(arguments);
    }
    let target = workspace::target_directory()?;
    let report = runs::all(&target, Plan::of(arguments))?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.table());
        if arguments.quick {
            println!("--quick shows that the benchmark runs; it is too short to judge by");
        }
    }
    Ok(())
}

/// An unoptimised generator would measure itself: builds the server and this program for release, and goes on there.
fn run_optimised(arguments: &Arguments) -> Result<(), Failure> {
    say("building for release");
    let build =
        ["build", "--release", "--locked", "--quiet", "--package", "idstream-server", "--package", "xtask"];
    if !workspace::cargo(&build).status()?.success() {
        return Err("the release build failed".into());
    }
    let program = workspace::target_directory()?.join("release/xtask");
    let mut command = std::process::Command::new(&program);
    command.args([
        "bench",
        "--seconds",
        &arguments.seconds.to_string(),
        "--backlog",
        &arguments.backlog.to_string(),
    ]);
    command.args(arguments.quick.then_some("--quick")).args(arguments.json.then_some("--json"));
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err("the benchmark failed".into()) }
}
