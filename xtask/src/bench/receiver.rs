//! The receiving side: HEC as far as the benchmark needs it. It parses every document, counts distinct event ids and
//! notes how old each event is when it has been parsed. Told to, it parses nothing and only answers.
//!
//! The product's own stand-in receiver checks and keeps more; here that would be measured with the server, on the same
//! processors.

use std::borrow::Cow;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::events::Run;
use crate::Failure;
use crate::http::Connection;

/// How long nothing may arrive before a run is given up: longer than any back-off of the server.
const STANDSTILL: Duration = Duration::from_mins(2);

/// The source of what the server tells of itself, such as that its destination was created: no part of the load.
const OURSELVES: &str = "idstream";

/// What is done with a body.
#[derive(Clone)]
pub(super) enum Mode {
    /// Nothing: the yardstick.
    Null,
    /// Parsed as HEC and counted.
    Hec(Arc<Run>),
}

/// A receiver on a free port. It lives as long as the program.
pub(super) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_down: AtomicBool,
    hangs: AtomicBool,
    arrivals: Mutex<Arrivals>,
}

/// What has arrived so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    /// One bit for each running number.
    seen: Vec<u64>,
    /// Event ids, each counted once.
    pub(super) distinct: u64,
    /// Documents, counted each time.
    pub(super) total: u64,
    /// When the first came, since the run began.
    pub(super) first: Option<Duration>,
    /// When the last came that was new.
    pub(super) last: Duration,
    /// Age when parsed, in microseconds; of those that were new.
    pub(super) ages: Vec<u32>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Document<'a>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "eventID")]
    event_id: &'a str,
    #[serde(rename = "sourceId", borrow, default)]
    source_id: Option<Cow<'a, str>>,
}

impl Receiver {
    /// Starts to listen.
    pub(super) fn start(mode: Mode) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let for_connections = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (shared, mode) = (Arc::clone(&for_connections), mode.clone());
                // A connection that breaks is the server's to open again.
                thread::spawn(move || drop(serve(stream, &shared, &mode)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Down: connections are closed as soon as they are opened or used. Up: they are served.
    pub(super) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Requests are read and never answered, for as long as the program lives.
    pub(super) fn hang(&self) {
        self.shared.hangs.store(true, Ordering::SeqCst);
    }

    /// Waits until this many events have arrived.
    pub(super) fn wait_for(&self, distinct: u64) -> Result<Arrivals, Failure> {
        let mut seen = 0;
        let mut since = Instant::now();
        loop {
            let arrivals = self.shared.arrivals();
            if arrivals.distinct >= distinct {
                return Ok(arrivals.clone());
            }
            if arrivals.distinct > seen {
                (seen, since) = (arrivals.distinct, Instant::now());
            }
            drop(arrivals);
            if since.elapsed() > STANDSTILL {
                return Err(format!("only {seen} of {distinct} accepted events have arrived").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Shared {
    fn arrivals(&self) -> std::sync::MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, shared: &Shared, mode: &Mode) -> io::Result<()> {
    let mut connection = Connection::over(stream)?;
    while let Some(message) = connection.read()? {
        if shared.is_down.load(Ordering::SeqCst) {
            return Ok(());
        }
        if shared.hangs.load(Ordering::SeqCst) {
            // Ends when the other side gives the connection up.
            while connection.read()?.is_some() {}
            return Ok(());
        }
        match mode {
            Mode::Null => connection.answer("200 OK", "{\"accepted\":[],\"rejected\":[]}")?,
            Mode::Hec(run) => match parse(&message.body, run) {
                Ok(events) => {
                    shared.arrivals().add(&events, run.elapsed());
                    connection.answer("200 OK", "{\"text\":\"Success\",\"code\":0}")?;
                }
                Err(_) => {
                    connection.answer("400 Bad Request", "{\"text\":\"Invalid data format\",\"code\":6}")?;
                }
            },
        }
    }
    Ok(())
}

/// Running number and age in microseconds of each document.
fn parse(body: &[u8], run: &Run) -> Result<Vec<(u64, u32)>, Failure> {
    let mut events = Vec::new();
    for envelope in serde_json::Deserializer::from_slice(body).into_iter::<Envelope<'_>>() {
        let document = envelope?.event;
        if document.source_id.as_deref() == Some(OURSELVES) {
            continue;
        }
        let (number, created) = run.read(document.event_id).ok_or("an eventID of another run")?;
        let age = run.elapsed().saturating_sub(created).as_micros();
        events.push((number, u32::try_from(age).unwrap_or(u32::MAX)));
    }
    Ok(events)
}

impl Arrivals {
    fn add(&mut self, events: &[(u64, u32)], now: Duration) {
        self.first.get_or_insert(now);
        self.total += events.len() as u64;
        for (number, age) in events {
            let (word, bit) = ((number / 64) as usize, 1_u64 << (number % 64));
            if word >= self.seen.len() {
                self.seen.resize(word + 1024, 0);
            }
            if let Some(seen) = self.seen.get_mut(word).filter(|seen| **seen & bit == 0) {
                *seen |= bit;
                self.distinct += 1;
                self.ages.push(*age);
                self.last = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Random;

    use super::*;
    use crate::http::request;

    #[test]
    fn an_event_that_comes_twice_is_counted_once() {
        let mut arrivals = Arrivals::default();
        arrivals.add(&[(0, 5), (64, 6), (0, 7)], Duration::from_secs(1));
        arrivals.add(&[(64, 8)], Duration::from_secs(2));
        assert_eq!((arrivals.distinct, arrivals.total), (2, 4));
        assert_eq!((arrivals.first, arrivals.last), (Some(Duration::from_secs(1)), Duration::from_secs(1)));
        assert_eq!(arrivals.ages, [5, 6]);
    }

    #[test]
    fn what_is_no_document_of_this_run_is_refused() {
        let run = Arc::new(Run::new(&Random::from_seed(1)));
        let receiver = Receiver::start(Mode::Hec(Arc::clone(&run))).unwrap();
        let mut connection = Connection::open(receiver.address()).unwrap();
        let mut call = |body: &str| {
            connection
                .call(&request("POST", "/services/collector/event", "t", "application/json", body.as_bytes()))
                .unwrap()
        };
        let mut posted = Vec::new();
        run.write(1, run.elapsed(), &mut posted);
        let document = format!("{{\"time\":\"1\",\"event\":{}}}", String::from_utf8(posted).unwrap());
        assert_eq!(call(&format!("{document}{document}")).status(), Some(200));
        assert_eq!(call("{\"event\":{}}").status(), Some(400));
        let own = r#"{"event":{"eventID":"0197f3a0-6c1e-0c3a-9d2b-0a1b2c3d4e5f","sourceId":"idstream"}}"#;
        assert_eq!(call(own).status(), Some(200));
        let foreign = r#"{"event":{"eventID":"0197f3a0-6c1e-0c3a-9d2b-0a1b2c3d4e5f"}}"#;
        assert_eq!(call(foreign).status(), Some(400));
        let arrivals = receiver.wait_for(1).unwrap();
        assert_eq!((arrivals.distinct, arrivals.total), (1, 2));
    }
}
