//! What arrived at one destination, and when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::EventId;

/// What stands before an event's marker, in what is posted and in what is delivered.
pub(super) const MARKER: &str = "\"userName\":\"";
const ID: &str = "\"eventID\":\"";

/// An event that came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// When it had come last, since the run began.
    pub(super) before: Duration,
    /// When it came again.
    pub(super) at: Duration,
}

/// Everything that one destination has taken.
pub(super) struct Arrivals {
    start: Instant,
    taken: Mutex<Taken>,
}

/// The events of one destination.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// When each came last.
    pub(super) events: HashMap<EventId, Duration>,
    /// Which event carried a marker first.
    pub(super) markers: HashMap<Box<str>, EventId>,
    /// Markers that came under another id, too: one event of a producer, stored as two.
    pub(super) twice: u64,
    pub(super) again: Vec<Again>,
}

impl Taken {
    fn add(&mut self, id: EventId, marker: Option<&str>, at: Duration) {
        if let Some(before) = self.events.insert(id, at) {
            self.again.push(Again { before, at });
        } else if let Some(marker) = marker
            && self.markers.insert(marker.into(), id).is_some()
        {
            self.twice += 1;
        }
    }

    /// Events of producers whose markers begin with this letter.
    pub(super) fn n_of(&self, letter: char) -> u64 {
        self.markers.keys().filter(|marker| marker.starts_with(letter)).count() as u64
    }
}

impl Arrivals {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, taken: Mutex::default() }
    }

    /// Notes an event, given as the bytes that the receiver took.
    pub(super) fn note(&self, bytes: &[u8]) {
        let at = self.start.elapsed();
        let text = String::from_utf8_lossy(bytes);
        // Without an id it is a problem that the receiver counts.
        if let Some(id) = quoted(&text, ID).and_then(|id| EventId::parse(id).ok()) {
            self.taken().add(id, quoted(&text, MARKER), at);
        }
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text after `before`, up to the next quote.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_comes_again_is_told_from_one_that_was_stored_as_two() {
        let [one, two, three] = [1, 2, 3].map(|n| EventId::from_bytes([n; 16]));
        let mut taken = Taken::default();
        for (id, marker, at) in [(one, "i0", 1), (two, "i1", 2), (one, "i0", 3), (three, "i1", 4)] {
            taken.add(id, Some(marker), Duration::from_secs(at));
        }
        let again = Again { before: Duration::from_secs(1), at: Duration::from_secs(3) };
        assert_eq!((taken.again, taken.twice, taken.events.len()), (vec![again], 1, 3));
    }

    #[test]
    fn a_document_is_read_by_its_id_and_its_marker() {
        let arrivals = Arrivals::new(Instant::now());
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        arrivals.note(format!(r#"{{"eventID":"{id}","subject":{{"userName":"k7"}}}}"#).as_bytes());
        arrivals.note(b"{}");
        let taken = arrivals.taken();
        assert_eq!((taken.events.len(), taken.n_of('k'), taken.n_of('i')), (1, 1, 0));
    }
}
