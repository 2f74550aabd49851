//! `cargo xtask jetstream`: the spike of the journal over NATS JetStream (`spikes/jetstream`). Builds the server from the Go
//! module registry into `target/`, starts it on loopback, runs the conformance suite over it, and ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::pass;
use crate::{Failure, say, workspace};

/// The server that the spike's README and decision 33 speak of.
const SERVER: &str = "github.com/nats-io/nats-server/v2@v2.14.5";

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One part only: `suite`, `probes` or `rates`
    part: Option<String>,
}

/// Builds the server and the spike, and runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = workspace::target_directory()?;
    let version = SERVER.rsplit('@').next().unwrap_or_default();
    let server = server(&target.join("nats").join(version))?;
    let mut spike = Command::new("cargo");
    spike.args(["run", "--locked", "--quiet", "--"]).arg(server).args(&arguments.part);
    spike
        .current_dir(workspace::root().join("spikes/jetstream"))
        .env("CARGO_TARGET_DIR", target.join("spike"));
    pass(&mut spike)
}

/// The server's program, built when it is not there yet.
fn server(folder: &Path) -> Result<PathBuf, Failure> {
    let program = folder.join("nats-server");
    if !program.exists() {
        say(&format!("go install {SERVER}"));
        pass(Command::new("go").args(["install", SERVER]).env("GOBIN", folder))?;
    }
    Ok(program)
}
