//! `cargo xtask crash`: the release binary is killed again and again under load, and started again on the same data. Then
//! every event with a receipt must be at every destination, and nothing may have come twice that was settled long before.

mod arrivals;
mod destinations;
mod judge;
mod life;
mod producers;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base::Random;

use self::destinations::Destinations;
use self::judge::Figures;
use self::life::Lives;
use self::producers::{Door, Way};
use crate::process::{STREAMING, Server};
use crate::{Failure, books, say, workspace};

/// How often, and whom.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often the server is killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    cycles: u32,
    /// Decides when it is killed; drawn and told when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The program that is killed; without it the release binary is built
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// Kills, drains, judges.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let program = match &arguments.server {
        Some(program) => program.clone(),
        None => workspace::release_server()?,
    };
    let seed = arguments.seed.unwrap_or_else(|| Random::from_system().up_to(u64::from(u32::MAX)));
    say(&format!("seed {seed}"));
    let folder = tempfile::Builder::new().prefix("crash-").tempdir_in(workspace::target_directory()?)?;
    let done = attack(&program, &folder.path().join("data"), arguments.cycles, seed);
    let figures = done.map_err(|error| format!("{error} (again with --seed {seed})"))?;
    for line in figures.lines() {
        say(&line);
    }
    say(&figures.to_string());
    if figures.is_good() {
        Ok(())
    } else {
        Err(format!("a promise is broken (again with --seed {seed})").into())
    }
}

fn attack(program: &Path, data: &Path, cycles: u32, seed: u64) -> Result<Figures, Failure> {
    let start = Instant::now();
    // The receivers outlive every server.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let destinations = runtime.block_on(Destinations::start(start))?;
    let mut lives = Lives::begin(program, data, start, seed)?;
    let server = lives.server()?;
    let producer = server.create_client("crash", "write:event")?;
    let ids = destinations.configure(server)?;
    let door = &Door::open(server.address(), producer.token);
    let posted = thread::scope(|scope| {
        let posting: Vec<_> =
            Way::ALL.into_iter().map(|way| scope.spawn(move || producers::post(door, way))).collect();
        let killed = lives.end_many(cycles, door);
        // Whatever happened, the producers are told to come to an end.
        door.close();
        let mut posted = Vec::new();
        for thread in posting {
            posted.push(thread.join().map_err(|_| "a producer broke down")??);
        }
        killed.map(|()| posted)
    })?;
    let server = lives.server()?;
    let books = ids.iter().map(|id| settled(server, id)).collect::<Result<Vec<_>, _>>()?;
    let kills = lives.stop()?;
    verify(program, data)?;
    Ok(judge::judge(&kills, &posted, destinations.arrivals(), books))
}

/// Waits until nothing is pending; the books.
fn settled(server: &Server, id: &str) -> Result<serde_json::Value, Failure> {
    const PATIENCE: Duration = Duration::from_mins(5);
    let path = format!("{STREAMING}/{id}/status");
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let status =
            server.call(&crate::http::request("GET", &path, server.token(), "application/json", b""))?;
        let books = status.get("books").cloned().unwrap_or_default();
        if books::count(&books, "pending") == Some(0) {
            return Ok(books);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("events of {id} are pending {} minutes after the last kill", PATIENCE.as_secs() / 60).into())
}

/// The journal that was written by so many lives is whole, by its own hash chain.
fn verify(program: &Path, data: &Path) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(["journal", "verify", "--data"]).arg(data).stdout(Stdio::null());
    if command.status()?.success() { Ok(()) } else { Err("the journal does not verify".into()) }
}
