//! Runs the journal's conformance suite over a NATS JetStream server, and looks at what the server does.
//!
//! `jetstream-spike NATS-SERVER [suite | probes | rates]`: the path of the program `nats-server`, and which part (all).

mod appending;
mod books;
mod broker;
mod envelope;
mod jet;
mod keeping;
mod leasing;
mod probes;
mod pull;
mod rates;
mod server;
mod suite;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::jet::Mapping;
use crate::server::{Failure, Server, SyncWhen};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(n) => {
            println!("{n} surprises");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<usize, Failure> {
    let mut arguments = std::env::args().skip(1);
    let program = PathBuf::from(arguments.next().ok_or("give the path of nats-server")?);
    let part = arguments.next();
    let wants = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let mut n_surprises = 0;
    if wants("suite") {
        let server = Server::start(&program, SyncWhen::Always)?;
        for mapping in [Mapping::Pull, Mapping::Cursor] {
            n_surprises += suite::run(server.url(), mapping).await?;
        }
    }
    if wants("probes") {
        let mut server = Server::start(&program, SyncWhen::Always)?;
        n_surprises += probes::run(&mut server).await?;
    }
    if wants("rates") {
        rates::run(&program).await?;
    }
    Ok(n_surprises)
}
