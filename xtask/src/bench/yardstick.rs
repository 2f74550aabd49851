//! What the machine can do in the same minute: figures of idstream from two machines compare as ratios to these.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Random;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::events::Run;
use super::load::{self, Pace, Target};
use super::receiver::{Mode, Receiver};
use super::report::percentile;
use crate::Failure;

/// Bytes of one synced write: a middling commit group.
const SYNCED_BYTES: usize = 256 * 1024;

/// The yardsticks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Yardstick {
    /// SHA-256 on one core, GB (10⁹ bytes) a second.
    pub(super) sha256_gb_per_s: f64,
    /// Appending 256 KB to a file and `fdatasync`, milliseconds, median.
    pub(super) synced_write_p50_ms: f64,
    /// The same bodies from the same generator to a server that only answers, events a second.
    pub(super) null_server_events_per_s: f64,
}

/// Measures each for about `time`.
pub(super) fn measure(folder: &Path, time: Duration) -> Result<Yardstick, Failure> {
    Ok(Yardstick {
        sha256_gb_per_s: sha256(time),
        synced_write_p50_ms: synced_write(folder, time)?,
        null_server_events_per_s: null_server(time)?,
    })
}

fn sha256(time: Duration) -> f64 {
    let bytes = vec![7; 1 << 20];
    let mut hash = Sha256::new();
    let mut n_bytes = 0_usize;
    let start = Instant::now();
    while start.elapsed() < time {
        hash.update(&bytes);
        n_bytes += bytes.len();
    }
    std::hint::black_box(hash.finalize());
    n_bytes as f64 / 1e9 / start.elapsed().as_secs_f64()
}

fn synced_write(folder: &Path, time: Duration) -> Result<f64, Failure> {
    let mut file = File::create(folder.join("yardstick"))?;
    let bytes = vec![7; SYNCED_BYTES];
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time || took.is_empty() {
        let before = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        took.push(u32::try_from(before.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(percentile(&mut took, 50).map_or(0.0, |micros| f64::from(micros) / 1e3))
}

fn null_server(time: Duration) -> Result<f64, Failure> {
    let server = Receiver::start(Mode::Null)?;
    let run = Arc::new(Run::new(&Random::from_system()));
    let sent = load::post(Target { address: server.address(), token: "none" }, &run, Pace::FullSpeed(time))?;
    Ok(sent.accepted as f64 / sent.took.as_secs_f64())
}
