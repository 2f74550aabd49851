//! One command for each habit of the repository: `cargo xtask check`, `cargo xtask tidy`, `cargo xtask demo`,
//! `cargo xtask docs`, `cargo xtask contract`, `cargo xtask strace`, `cargo xtask crash`, `cargo xtask fuzz`,
//! `cargo xtask mutants`, `cargo xtask simulate`, `cargo xtask bench`, `cargo xtask jetstream`, `cargo xtask real`.

mod bench;
mod books;
mod check;
mod contract;
mod crash;
mod demo;
mod docs;
mod fuzz;
mod http;
mod jetstream;
mod mutants;
mod process;
mod real;
mod simulate;
mod strace;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command may fail with: shown to the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The habits of the repository, one command each.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, lints, tidy, documentation and licences: all that must hold before a commit
    Check,
    /// The rules that no compiler knows: layers, file sizes, words, links, licences (also a test)
    Tidy,
    /// The README's demo, run to its end: what was accepted must have arrived
    Demo(demo::Arguments),
    /// The `curl` examples of the documents, against a running server: each does what it says
    Docs,
    /// Made-up requests against a running server: its answers must be those of the contract's files
    Contract(contract::Arguments),
    /// A running server under strace: each receipt leaves after the sync of what it receipts
    Strace,
    /// The release binary, killed again and again under load: nothing that it accepted may be missing
    Crash(crash::Arguments),
    /// Bytes that nobody has thought of, for every reader of bytes from outside
    Fuzz(fuzz::Arguments),
    /// Promises that are broken on purpose: a test must notice each
    Mutants(mutants::Arguments),
    /// The whole pipeline on simulated clock, disk and network, seed after seed, each judged
    Simulate(simulate::Arguments),
    /// Measures idstream: events per second, CPU, memory, latency
    Bench(bench::Arguments),
    /// The spike of the journal over a NATS JetStream server (needs Go): which of the seam's promises hold there
    Jetstream(jetstream::Arguments),
    /// Other people's servers, fetched from the package registries: what we say about them is checked against them
    Real(real::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check => check::run(),
        Command::Tidy => tidy::run(),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Docs => docs::run(),
        Command::Contract(arguments) => contract::run(&arguments),
        Command::Strace => strace::run(),
        Command::Crash(arguments) => crash::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Jetstream(arguments) => jetstream::run(&arguments),
        Command::Real(arguments) => real::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the person at the terminal something. Standard output is for results.
#[expect(clippy::print_stderr, reason = "a command talks to the person who typed it")]
fn say(text: &str) {
    eprintln!("{text}");
}
