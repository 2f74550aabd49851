//! `cargo xtask strace`: runs a server under strace, posts to it over several connections, and reads in the trace that each
//! receipt went out after the sync of the events that it names had returned.
//!
//! The power-loss test shows that what was synced survives; this shows that the running program waits for the sync.

mod order;
mod trace;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base::{Clock, EventId, Random, SystemClock, Timestamp};

use crate::http::{Connection, request};
use crate::process::Server;
use crate::{Failure, say, workspace};

/// Connections that post at once, so that commit groups hold several requests.
const CONNECTIONS: usize = 4;
/// Requests of each of them.
const REQUESTS: usize = 50;
/// The calls that are of interest: whatever writes, and whatever syncs.
const CALLS: &str =
    "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendfile,fsync,fdatasync,sync_file_range";
/// How long strace may take to write the rest of its trace.
const PATIENCE: Duration = Duration::from_secs(30);

/// Builds, runs, reads the trace.
pub(crate) fn run() -> Result<(), Failure> {
    if !is_installed() {
        return Err("strace is not installed (Debian: apt-get install strace)".into());
    }
    if !workspace::cargo(&["build", "--locked", "--quiet", "--package", "idstream-server"])
        .status()?
        .success()
    {
        return Err("the build failed".into());
    }
    let target = workspace::target_directory()?;
    let folder = tempfile::Builder::new().prefix("strace-").tempdir_in(&target)?;
    let trace = folder.path().join("trace");
    let markers = record(&target.join("debug/idstream"), folder.path(), &trace)?;
    let calls = trace::parse(&std::fs::read_to_string(&trace)?)?;
    order::check(&calls, &markers)?;
    let n_syncs = calls.iter().filter(|call| matches!(call.name.as_str(), "fdatasync" | "fsync")).count();
    let n_events = markers.len();
    say(&format!("{n_events} receipts, {n_syncs} syncs: each receipt went out after its event was synced"));
    Ok(())
}

fn is_installed() -> bool {
    let version = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Runs the server under strace and posts to it; the markers of the events that it accepted.
fn record(program: &Path, folder: &Path, trace: &Path) -> Result<Vec<String>, Failure> {
    // -D: the server stays this program's child, strace watches from the side. -s: whole texts. -y: what descriptors are.
    let mut before: Vec<&OsStr> =
        ["strace", "-D", "-f", "-y", "-s", "1048576", "-e", CALLS, "-o"].map(OsStr::new).into();
    before.extend([trace.as_os_str(), OsStr::new("--")]);
    let server = Server::start(&before, program, &folder.join("data"))?;
    let random = Random::from_system();
    let markers = thread::scope(|scope| {
        let posting: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| post(&server, &random))).collect();
        let mut markers = Vec::new();
        for thread in posting {
            markers.extend(thread.join().map_err(|_| "a connection broke down")??);
        }
        Ok::<_, Failure>(markers)
    })?;
    server.stop()?;
    wait_for_end(trace)?;
    Ok(markers)
}

/// Posts on one connection. An event's id stands in its text, too: so it is found in what is written, whatever the form of
/// ids on disk.
fn post(server: &Server, random: &Random) -> Result<Vec<String>, Failure> {
    let mut connection = Connection::open(server.address())?;
    let mut markers = Vec::new();
    for _ in 0..REQUESTS {
        let now = SystemClock.now();
        let marker = EventId::draw(now, random).to_string();
        let body = event(&marker, now);
        let request =
            request("POST", "/intake/v1/events", server.token(), "application/json", body.as_bytes());
        let answer = connection.call(&request)?;
        if answer.status() != Some(200) {
            return Err(format!("the intake answered {}", answer.first_line).into());
        }
        markers.push(marker);
    }
    Ok(markers)
}

fn event(marker: &str, now: Timestamp) -> String {
    serde_json::json!({
        "eventID": marker,
        "type": "selfService",
        "endTimestamp": now,
        "subject": {"userName": marker},
    })
    .to_string()
}

/// strace ends after the server. Its last line tells that the server has exited.
fn wait_for_end(trace: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let text = std::fs::read_to_string(trace)?;
        if text.lines().last().is_some_and(|line| line.contains("+++ exited with 0 +++"))
            && text.ends_with('\n')
        {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("strace did not finish {}", trace.display()).into())
}
