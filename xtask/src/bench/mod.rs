//! `cargo xtask bench`: measures idstream alone, with its generator and its receiver on the same machine.
//!
//! Four runs, each against the release binary as a process of its own: full speed until drained, latency at a steady
//! rate, a backlog that is built up while the receiver is down, and one destination beside another that is down. What must
//! be reached is printed below, with whether it is. The yardsticks are measured in the same minute, so that figures from two machines, or from a noisy one, can be
//! compared as ratios.

mod api;
mod events;
mod load;
mod one_down;
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
    /// Only this run, and what it is compared with; may be given several times
    #[arg(long, value_name = "RUN", value_enum)]
    only: Vec<Which>,
}

/// The runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    FullSpeed,
    Latency,
    Backlog,
    OneDown,
}

/// How long and how much.
#[derive(Clone, Debug)]
struct Plan {
    full_speed: Duration,
    latency: Duration,
    backlog: u64,
    /// How often the rate of one destination is compared, with and without another that is down; each time for so long.
    rounds: (usize, Duration),
    yardstick: Duration,
    only: Vec<Which>,
}

impl Plan {
    fn of(arguments: &Arguments) -> Self {
        let second = Duration::from_secs(1);
        let only = arguments.only.clone();
        if arguments.quick {
            return Self {
                full_speed: second,
                latency: second,
                backlog: 20_000,
                rounds: (1, second),
                yardstick: second / 4,
                only,
            };
        }
        Self {
            full_speed: Duration::from_secs(arguments.seconds),
            latency: 10 * second,
            backlog: arguments.backlog,
            rounds: (5, 5 * second),
            yardstick: 2 * second,
            only,
        }
    }

    /// Whether any of these is to be run.
    fn wants(&self, which: &[Which]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| which.contains(only))
    }
}

/// Builds, measures, prints.
#[expect(clippy::print_stdout, reason = "the figures are this command's output")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return run_optimised(arguments);
    }
    let target = workspace::target_directory()?;
    let report = runs::all(&target, &Plan::of(arguments))?;
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
    for only in arguments.only.iter().filter_map(clap::ValueEnum::to_possible_value) {
        command.args(["--only", only.get_name()]);
    }
    command.args(arguments.quick.then_some("--quick")).args(arguments.json.then_some("--json"));
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err("the benchmark failed".into()) }
}
