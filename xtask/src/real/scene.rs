//! Scenes: each has a name, tells in one line what was seen, and either holds or fails its server.

use std::time::{Duration, Instant};

use crate::{Failure, say};

/// The scenes of one server, and what they took.
pub(super) struct Scenes {
    server: String,
    start: Instant,
    n: u32,
    peak_mb: f64,
    idstream_mb: f64,
}

impl Scenes {
    pub(super) const fn n(&self) -> u32 {
        self.n
    }

    pub(super) fn new(server: &str, start: Instant) -> Self {
        Self { server: server.to_owned(), start, n: 0, peak_mb: 0.0, idstream_mb: 0.0 }
    }

    /// What the server itself says it is, such as `opensearch 3.8.0`.
    pub(super) fn name(&mut self, server: String) {
        self.server = server;
    }

    /// Plays a scene. It says what it saw.
    pub(super) fn hold(
        &mut self,
        name: &str,
        scene: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let seen = scene().map_err(|error| format!("{name}: {error}"))?;
        say(&format!("{}: {name}: {seen} ({:.1} s)", self.server, start.elapsed().as_secs_f64()));
        self.n += 1;
        Ok(())
    }

    /// The most memory, in MB (10⁶ bytes), that the server and idstream held at some time.
    pub(super) const fn held(&mut self, server_mb: f64, idstream_mb: f64) {
        self.peak_mb = self.peak_mb.max(server_mb);
        self.idstream_mb = self.idstream_mb.max(idstream_mb);
    }

    /// One line for the end of the run.
    pub(super) fn summary(&self) -> String {
        format!(
            "{}: {} scenes in {:.0} s; at most {:.0} MB of its own, idstream {:.0} MB",
            self.server,
            self.n,
            self.start.elapsed().as_secs_f64(),
            self.peak_mb,
            self.idstream_mb,
        )
    }
}

/// Asks again and again until there is an answer; `what` names it when there is none in time.
pub(super) fn wait<T>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    /// Between two questions.
    const PAUSE: Duration = Duration::from_millis(50);
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > patience {
            return Err(format!("waited {} s for this: {what}", patience.as_secs()).into());
        }
        std::thread::sleep(PAUSE);
    }
}
