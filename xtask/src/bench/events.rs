//! The events of the benchmark: believable traffic, rendered once; then only the ids are patched, so that generating
//! costs next to nothing.
//!
//! An id is a UUID as any other, but its first twelve digits are the time of creation in microseconds since the run
//! began, by which the receiver knows an event's age, and its last twelve a running number, by which it counts distinct
//! events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{Clock, Random, SystemClock};
use traffic::Traffic;

/// Events that are rendered; then they come again, under other ids.
const N_RENDERED: usize = 2_000;
/// What an event begins with, up to its id.
const BEFORE_ID: &str = "{\"eventID\":\"";

/// Numbers events and keeps the time of one run. Shared by the generator and the receiver.
pub(super) struct Run {
    lines: Vec<Vec<u8>>,
    /// The digits of an id that are the same in the whole run.
    middle: String,
    start: Instant,
    next: AtomicU64,
}

impl Run {
    /// A run with event ids of its own.
    pub(super) fn new(random: &Random) -> Self {
        let now = SystemClock.now();
        let mut traffic = Traffic::new(random.up_to(u64::MAX), now);
        let lines = (0..N_RENDERED).map(|_| line(&traffic.next(now).json)).collect();
        let middle = format!("-7{:03x}-8{:03x}-", random.up_to(0xfff), random.up_to(0xfff));
        Self { lines, middle, start: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Time since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How many events were made so far.
    pub(super) fn n_made(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Bytes of an event, on average, as it is posted.
    pub(super) fn mean_bytes(&self) -> f64 {
        let total: usize = self.lines.iter().map(Vec::len).sum();
        total as f64 / self.lines.len() as f64
    }

    /// Writes `count` fresh events as lines, created at this time since the run began.
    pub(super) fn write(&self, count: usize, created: Duration, out: &mut Vec<u8>) {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let created = created.as_micros();
        for number in first..first + count as u64 {
            let Some(line) = self.lines.get(number as usize % self.lines.len()) else { return };
            let id_at = out.len() + BEFORE_ID.len();
            out.extend_from_slice(line);
            let id = format!("{:08x}-{:04x}{}{number:012x}", created >> 16, created & 0xffff, self.middle);
            out.iter_mut().skip(id_at).zip(id.bytes()).for_each(|(to, from)| *to = from);
        }
    }

    /// The running number and the time of creation in an event's id; `None` for an id of another run.
    pub(super) fn read(&self, event_id: &str) -> Option<(u64, Duration)> {
        let (time, number) = event_id.split_once(self.middle.as_str())?;
        let micros = u64::from_str_radix(&time.replace('-', ""), 16).ok()?;
        Some((u64::from_str_radix(number, 16).ok()?, Duration::from_micros(micros)))
    }
}

/// The event as a line that begins with an id to be patched.
fn line(json: &str) -> Vec<u8> {
    let members = json.strip_prefix('{').unwrap_or(json);
    format!("{BEFORE_ID}{:036}\",{members}\n", 0).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_is_whole_and_has_a_number_and_a_time_of_its_own() {
        let run = Run::new(&Random::from_seed(1));
        let mut out = Vec::new();
        run.write(N_RENDERED, run.elapsed(), &mut out);
        run.write(1, run.elapsed(), &mut out);
        let (mut numbers, mut ids) = (Vec::new(), BTreeSet::new());
        for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            let id = event["eventID"].as_str().unwrap();
            base::EventId::parse(id).unwrap();
            let (number, created) = run.read(id).unwrap();
            assert!(created <= run.elapsed());
            numbers.push(number);
            ids.insert(id.to_owned());
        }
        assert_eq!(numbers, (0..=N_RENDERED as u64).collect::<Vec<_>>());
        assert_eq!(ids.len(), N_RENDERED + 1);
        assert!((800.0..1300.0).contains(&run.mean_bytes()), "{}", run.mean_bytes());
    }

    #[test]
    fn an_id_of_another_run_is_not_read() {
        let (one, other) = (Run::new(&Random::from_seed(1)), Run::new(&Random::from_seed(2)));
        let mut out = Vec::new();
        one.write(1, one.elapsed(), &mut out);
        let event: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let id = event["eventID"].as_str().unwrap();
        assert!(one.read(id).is_some());
        assert_eq!(other.read(id), None);
    }
}
