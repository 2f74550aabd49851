//! The generator: a few connections that post events as fast as they are answered, or at a steady rate.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::events::Run;
use crate::Failure;
use crate::http::{Connection, request};

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

/// Time since the run began, as the generator meets it: a parameter, so that a test can play a stall.
trait Time {
    fn elapsed(&self) -> Duration;
    fn wait_until(&self, due: Duration);
}

impl Time for Run {
    fn elapsed(&self) -> Duration {
        Self::elapsed(self)
    }

    fn wait_until(&self, due: Duration) {
        thread::sleep(due.saturating_sub(Self::elapsed(self)));
    }
}

/// Posts events at the given pace and returns when every request has its final answer.
pub(super) fn post(target: Target<'_>, run: &Run, pace: Pace) -> Result<Sent, Failure> {
    let start = run.elapsed();
    let sent = thread::scope(|scope| {
        let posting: Vec<_> = (0..CONNECTIONS)
            // Connections of a steady rate take turns.
            .map(|at| start + (pace.interval() / CONNECTIONS as u32) * at as u32)
            .map(|first| {
                scope.spawn(move || {
                    let mut connection = Connection::open(target.address)?;
                    let call = |body: &[u8]| call(&mut connection, target.token, body);
                    drive(run, run, pace, (start, first), call)
                })
            })
            .collect();
        let mut sum = Sent::default();
        for thread in posting {
            let sent = thread.join().map_err(|_| "a connection of the generator broke down")??;
            sum.accepted += sent.accepted;
            sum.busy += sent.busy;
        }
        Ok::<_, Failure>(sum)
    })?;
    Ok(Sent { took: run.elapsed().saturating_sub(start), ..sent })
}

/// Makes events and has them posted by `call`, which says whether they were accepted, until the pace says that it is over.
/// The pace begins at the first of the two times, this connection with its first request at the second.
///
/// At a steady rate an event is created when it is due, not when the connection is free for it: otherwise a server that
/// stalls would delay the very events whose waiting should tell on it ("coordinated omission").
fn drive(
    run: &Run,
    time: &impl Time,
    pace: Pace,
    (start, first): (Duration, Duration),
    mut call: impl FnMut(&[u8]) -> Result<bool, Failure>,
) -> Result<Sent, Failure> {
    let mut sent = Sent::default();
    let mut body = Vec::new();
    let mut due = first;
    loop {
        let is_over = match pace {
            Pace::FullSpeed(length) => time.elapsed() >= start + length,
            Pace::Steady(_, length) => due >= start + length,
            Pace::Count(count) => run.n_made() >= count,
        };
        if is_over {
            return Ok(sent);
        }
        let created = match pace {
            Pace::Steady(..) => due,
            Pace::FullSpeed(_) | Pace::Count(_) => time.elapsed(),
        };
        time.wait_until(created);
        due += pace.interval();
        body.clear();
        run.write(pace.events_per_request(), created, &mut body);
        while !call(&body)? {
            sent.busy += 1;
            time.wait_until(time.elapsed() + BUSY_WAIT);
        }
        sent.accepted += pace.events_per_request() as u64;
    }
}

/// Posts a body; whether it was accepted. Anything but that and "busy" ends the run.
fn call(connection: &mut Connection, token: &str, body: &[u8]) -> Result<bool, Failure> {
    let answer =
        connection.call(&request("POST", "/intake/v1/events", token, "application/x-ndjson", body))?;
    match answer.status() {
        Some(200) if has(&answer.body, b"\"rejected\":[]") => Ok(true),
        Some(429 | 503) => Ok(false),
        _ => {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.chars().take(300).collect();
            Err(format!("the intake answered {}: {text}", answer.first_line).into())
        }
    }
}

/// Looked for from the end: a receipt's list of refused events comes last.
fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).rev().any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use base::Random;

    use super::super::receiver::{Mode, Receiver};
    use super::super::report::percentile;
    use super::*;

    /// A clock that moves when it is told to.
    struct Played(Cell<Duration>);

    impl Time for Played {
        fn elapsed(&self) -> Duration {
            self.0.get()
        }

        fn wait_until(&self, due: Duration) {
            self.0.set(self.0.get().max(due));
        }
    }

    /// Ages, in microseconds, of the events of 10 seconds at 2,000 a second when each request takes a millisecond, and
    /// one of them `stall` longer.
    fn ages(stall: Duration) -> Vec<u32> {
        let run = Run::new(&Random::from_seed(1));
        let time = Played(Cell::new(Duration::ZERO));
        let (mut ages, mut n_requests) = (Vec::new(), 0);
        let pace = Pace::Steady(2_000, Duration::from_secs(10));
        let sent = drive(&run, &time, pace, (Duration::ZERO, Duration::ZERO), |body| {
            n_requests += 1;
            let stalls = if n_requests == 100 { stall } else { Duration::ZERO };
            time.0.set(time.elapsed() + Duration::from_millis(1) + stalls);
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event: serde_json::Value = serde_json::from_slice(line)?;
                let (_, created) = run.read(event["eventID"].as_str().unwrap()).unwrap();
                ages.push(time.elapsed().saturating_sub(created).as_micros() as u32);
            }
            Ok(true)
        });
        // One connection of four, whatever the server does.
        assert_eq!(sent.unwrap().accepted, 5_000);
        ages
    }

    #[test]
    fn a_server_that_stalls_for_a_second_shows_it_in_the_99th_percentile() {
        assert_eq!(percentile(&mut ages(Duration::ZERO), 99), Some(1_000));
        let p99 = percentile(&mut ages(Duration::from_secs(1)), 99).unwrap();
        assert!((800_000..1_100_000).contains(&p99), "{p99}");
    }

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
