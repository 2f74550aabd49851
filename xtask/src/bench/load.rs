//! The generator: a few connections that post events as fast as they are answered, or at a steady rate.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::events::Run;
use super::http::{Connection, request};
use crate::Failure;

/// How many connections post at once.
const CONNECTIONS: usize = 4;
/// How long to wait when the server is busy.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// Where to post.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) address: SocketAddr,
    pub(super) token: &'a str,
}

/// When to stop, and how fast to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As fast as answered, for this long; 100 events a request.
    FullSpeed(Duration),
    /// As fast as answered, until this many events are made; 100 a request.
    Count(u64),
    /// This many events a second in all, for this long; 10 a request.
    Steady(u64, Duration),
}

impl Pace {
    const fn events_per_request(self) -> usize {
        match self {
            Self::FullSpeed(_) | Self::Count(_) => 100,
            Self::Steady(..) => 10,
        }
    }

    fn is_over(self, run: &Run) -> bool {
        match self {
            Self::FullSpeed(time) | Self::Steady(_, time) => run.elapsed() >= time,
            Self::Count(count) => run.n_made() >= count,
        }
    }

    /// From one request of a connection to its next.
    fn interval(self) -> Duration {
        match self {
            Self::FullSpeed(_) | Self::Count(_) => Duration::ZERO,
            Self::Steady(rate, _) => {
                Duration::from_secs_f64((CONNECTIONS * self.events_per_request()) as f64 / rate.max(1) as f64)
            }
        }
    }
}

/// What the generator has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Events with a receipt.
    pub(super) accepted: u64,
    /// Requests that were told to come again.
    pub(super) busy: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

/// Posts events at the given pace and returns when every request has its final answer.
pub(super) fn post(target: Target<'_>, run: &Run, pace: Pace) -> Result<Sent, Failure> {
    let start = Instant::now();
    let sent = thread::scope(|scope| {
        let posting: Vec<_> = (0..CONNECTIONS)
            // Connections of a steady rate take turns.
            .map(|at| (pace.interval() / CONNECTIONS as u32) * at as u32)
            .map(|delay| scope.spawn(move || post_on_one(target, run, pace, delay)))
            .collect();
        let mut sum = Sent::default();
        for thread in posting {
            let sent = thread.join().map_err(|_| "a connection of the generator broke down")??;
            sum.accepted += sent.accepted;
            sum.busy += sent.busy;
        }
        Ok::<_, Failure>(sum)
    })?;
    Ok(Sent { took: start.elapsed(), ..sent })
}

fn post_on_one(target: Target<'_>, run: &Run, pace: Pace, delay: Duration) -> Result<Sent, Failure> {
    let mut connection = Connection::open(target.address)?;
    let mut sent = Sent::default();
    let mut body = Vec::new();
    let mut due = Instant::now() + delay;
    while !pace.is_over(run) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pace.interval();
        body.clear();
        run.write(pace.events_per_request(), &mut body);
        let request = request("POST", "/intake/v1/events", target.token, "application/x-ndjson", &body);
        loop {
            let answer = connection.call(&request)?;
            match answer.status() {
                Some(200) if has(&answer.body, b"\"rejected\":[]") => break,
                Some(429 | 503) => {
                    sent.busy += 1;
                    thread::sleep(BUSY_WAIT);
                }
                _ => {
                    let text = String::from_utf8_lossy(&answer.body);
                    let text: String = text.chars().take(300).collect();
                    return Err(format!("the intake answered {}: {text}", answer.first_line).into());
                }
            }
        }
        sent.accepted += pace.events_per_request() as u64;
    }
    Ok(sent)
}

/// Looked for from the end: a receipt's list of refused events comes last.
fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).rev().any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use base::Random;

    use super::super::receiver::{Mode, Receiver};
    use super::*;

    #[test]
    fn every_event_that_was_made_is_accounted_for() {
        let server = Receiver::start(Mode::Null).unwrap();
        let run = Run::new(&Random::from_seed(1));
        let sent = post(Target { address: server.address(), token: "t" }, &run, Pace::Count(1_000)).unwrap();
        assert_eq!((sent.accepted, sent.busy), (run.n_made(), 0));
        assert!(sent.accepted >= 1_000);
    }

    #[test]
    fn a_refusal_ends_the_run_with_the_servers_words() {
        let run = std::sync::Arc::new(Run::new(&Random::from_seed(1)));
        // A receiver of HEC refuses what is posted to intake.
        let server = Receiver::start(Mode::Hec(std::sync::Arc::clone(&run))).unwrap();
        let error =
            post(Target { address: server.address(), token: "t" }, &run, Pace::Count(100)).unwrap_err();
        assert!(error.to_string().contains("400 Bad Request: {\"text\":\"Invalid data format\""), "{error}");
    }

    #[test]
    fn a_steady_rate_is_shared_by_the_connections() {
        let pace = Pace::Steady(2_000, Duration::from_secs(1));
        assert_eq!(pace.interval(), Duration::from_millis(20));
        assert_eq!(Pace::Count(1).interval(), Duration::ZERO);
        assert!(has(b"{\"accepted\":[],\"rejected\":[]}", b"\"rejected\":[]"));
        assert!(!has(b"{}", b"\"rejected\":[]"));
    }
}
