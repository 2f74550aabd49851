//! The idstream binary.

mod client;
mod commands;
mod data;
mod http;
mod keeping;
mod output;
mod retention;
mod settings;
mod signals;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Identity event streaming: account events and audit logs in, kept durably, streamed to Splunk, Elasticsearch and
/// others.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Begin with idstream demo: it needs nothing else, and leaves nothing behind. README.md has a tour of five
minutes, docs/ the rest.
"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server
    Serve(commands::serve::Arguments),
    /// Shows how a server and its event streaming configurations fare
    Status(commands::status::Arguments),
    /// Sends events from a file of JSON lines to a server
    Send(commands::send::Arguments),
    /// Runs a stand-in for Splunk, Elasticsearch and HTTPS receivers that checks and counts what it gets
    Receiver(commands::receiver::Arguments),
    /// Prints the index templates for Elasticsearch or OpenSearch, or installs them
    Template(commands::template::Arguments),
    /// Verifies the journal, or mends what is damaged
    Journal(commands::journal::Arguments),
    /// Copies everything that a server keeps, while it runs
    Backup(commands::backup::Arguments),
    /// Makes a data directory from a backup
    Restore(commands::backup::RestoreArguments),
    /// Has a server erase every stored event of a subject, or one event
    Erase(commands::erase::Arguments),
    /// Compares what a destination holds with what it was sent, and sends again what is missing
    Reconcile(commands::reconcile::Arguments),
    /// Shows and replaces the master key that credentials are sealed with
    Key(commands::key::Arguments),
    /// Shows it all at work: a server, two stand-in receivers and the traffic of an identity platform
    Demo(commands::demo::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    refuse_huge_pages();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Serve(arguments) => commands::serve::run(arguments).await,
            Command::Status(arguments) => commands::status::run(arguments).await,
            Command::Send(arguments) => commands::send::run(arguments).await,
            Command::Receiver(arguments) => commands::receiver::run(arguments).await,
            Command::Template(arguments) => commands::template::run(arguments).await,
            Command::Journal(arguments) => commands::journal::run(arguments).await,
            Command::Backup(arguments) => commands::backup::run(&arguments),
            Command::Restore(arguments) => commands::backup::restore(&arguments),
            Command::Erase(arguments) => commands::erase::run(arguments).await,
            Command::Reconcile(arguments) => commands::reconcile::run(arguments).await,
            Command::Key(arguments) => commands::key::run(arguments),
            Command::Demo(arguments) => commands::demo::run(arguments).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<output::ReaderGone>() => ExitCode::SUCCESS,
        // What it is about is told already.
        Err(error) if error.is::<commands::status::NeedsAttention>() => ExitCode::from(3),
        Err(error) => fail(&*error),
    }
}

/// Keeps memory in proportion to what is in use. An event is many small texts that come and go: of a huge page (2 MiB) some
/// are always in use, so that none is given back, and a backlog that drains held half as much again as without them, for
/// no less CPU.
fn refuse_huge_pages() {
    // What the system does not offer it does not do either.
    #[cfg(target_os = "linux")]
    let _no_matter = rustix::thread::disable_transparent_huge_pages(true);
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    output::tell(format_args!("idstream: {error}"));
    let mut cause = error.source();
    while let Some(inner) = cause {
        output::tell(format_args!("  because: {inner}"));
        cause = inner.source();
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn helps(command: &mut clap::Command, all: &mut Vec<String>) {
        all.push(command.render_long_help().to_string());
        command.get_subcommands_mut().for_each(|each| helps(each, all));
    }

    #[test]
    fn scopes_that_helps_name_are_scopes() {
        let mut all = Vec::new();
        helps(&mut Arguments::command(), &mut all);
        let is_of_a_scope = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
        let named: Vec<&str> = all
            .iter()
            .flat_map(|text| text.split(|c: char| !is_of_a_scope(c)))
            .map(|word| word.trim_matches(':'))
            .filter(|word| ["read:", "write:", "delete:"].iter().any(|verb| word.starts_with(verb)))
            .collect();
        assert!(named.len() > 5, "{named:?}");
        for name in named {
            assert!(api::Scope::from_name(name).is_some(), "{name} is no scope");
        }
    }
}
