//! The lives of the server: each begins on the data of the one before and ends with SIGKILL.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use base::Random;

use super::producers::Door;
use crate::process::Server;
use crate::{Failure, say};

/// How long a life lasts, in milliseconds: most end before a cursor is saved for the second time.
const SHORT: (u64, u64) = (50, 1_500);
/// One life in so many is long: what is settled early in it must not come again.
const EACH: u32 = 10;
const LONG: (u64, u64) = (3_000, 6_000);

/// What stands before the number of a life, from 0, in the environment that its documents name.
pub(super) const LIFE: &str = "life-";

/// What was measured of one life, besides what it delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    /// When, since the run began.
    pub(super) at: Duration,
    /// From the start of the program to its first word.
    pub(super) recovery: Duration,
    /// The most memory that it held, in MB (10⁶ bytes).
    pub(super) peak_mb: f64,
}

/// One life after another.
pub(super) struct Lives {
    program: PathBuf,
    data: PathBuf,
    start: Instant,
    random: Random,
    now: Option<Server>,
    recovery: Duration,
    kills: Vec<Kill>,
}

impl Lives {
    /// Begins the first one.
    pub(super) fn begin(program: &Path, data: &Path, start: Instant, seed: u64) -> Result<Self, Failure> {
        let mut lives = Self {
            program: program.to_owned(),
            data: data.to_owned(),
            start,
            random: Random::from_seed(seed),
            now: None,
            recovery: Duration::ZERO,
            kills: Vec::new(),
        };
        lives.begin_next()?;
        Ok(lives)
    }

    fn begin_next(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        // What it sends says which life sent it.
        let life = format!("IDSTREAM__INSTANCE__ENVIRONMENT={LIFE}{}", self.kills.len());
        let before = [OsStr::new("env"), OsStr::new(&life)];
        self.now = Some(Server::start(&before, &self.program, &self.data)?);
        self.recovery = began.elapsed();
        Ok(())
    }

    /// The one that lives.
    pub(super) fn server(&self) -> Result<&Server, Failure> {
        self.now.as_ref().ok_or_else(|| "no server is running".into())
    }

    /// Lets so many end, each somewhere in the middle of its work, and tells the door where the next one is.
    pub(super) fn end_many(&mut self, cycles: u32, door: &Door) -> Result<(), Failure> {
        for cycle in 1..=cycles {
            let (least, most) = if cycle.is_multiple_of(EACH) { LONG } else { SHORT };
            thread::sleep(Duration::from_millis(least + self.random.up_to(most - least)));
            let peak_mb = self.server()?.peak_mb()?;
            let at = self.start.elapsed();
            if let Some(server) = self.now.take() {
                server.kill()?;
            }
            self.kills.push(Kill { at, recovery: self.recovery, peak_mb });
            self.begin_next()?;
            door.lead_to(self.server()?.address());
            if cycle.is_multiple_of(20) {
                say(&format!("{cycle} kills after {} s", self.start.elapsed().as_secs()));
            }
        }
        Ok(())
    }

    /// Ends the last one in order. What was measured of the others; the last recovery belongs to none of them.
    pub(super) fn stop(mut self) -> Result<Vec<Kill>, Failure> {
        if let Some(server) = self.now.take() {
            server.stop()?;
        }
        Ok(self.kills)
    }
}
