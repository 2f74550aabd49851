//! The world's time: it goes on when the process dies, and the machine's clock may be set.

use std::time::Duration;

use base::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// When every world begins.
const BEGINNING: &str = "2026-01-31T12:00:00Z";

/// Tells the machine's time, and how long the world has been there. Whole milliseconds, so that a run can be repeated: the
/// clock of a new process's runtime begins wherever the real one stands.
#[derive(Debug, Default)]
pub(crate) struct SimClock(Mutex<Time>);

#[derive(Debug, Default)]
struct Time {
    /// In the lives before this one.
    before: Duration,
    /// When this one began.
    began: Option<Instant>,
    /// By how many milliseconds the machine's clock is wrong.
    skew: i64,
}

impl SimClock {
    /// A process starts, in its runtime.
    pub(crate) fn begin(&self) {
        self.0.lock().began = Some(Instant::now());
    }

    /// It is dead.
    pub(crate) fn end(&self) {
        let mut time = self.0.lock();
        time.before = time.elapsed();
        time.began = None;
    }

    /// Time passes while nothing runs.
    pub(crate) fn pass(&self, time: Duration) {
        self.0.lock().before += time;
    }

    /// Since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().elapsed()
    }

    /// Somebody sets the machine's clock.
    pub(crate) fn jump(&self, by_millis: i64) {
        self.0.lock().skew += by_millis;
    }
}

impl Time {
    fn elapsed(&self) -> Duration {
        let now = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.before + Duration::from_millis(now.as_millis() as u64)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let time = self.0.lock();
        let beginning = Timestamp::parse(BEGINNING).unwrap_or_default().as_millis();
        let now = beginning + time.elapsed().as_millis() as i64 + time.skew;
        Timestamp::from_millis(now).unwrap_or_default()
    }
}
