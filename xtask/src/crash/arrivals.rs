//! What arrived at one destination, and when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::EventId;

use super::life::LIFE;

/// What stands before an event's marker, in what is posted and in what is delivered.
pub(super) const MARKER: &str = "\"userName\":\"";
const ID: &str = "\"eventID\":\"";
const ENVIRONMENT: &str = "\"environment\":\"";

/// An event, come once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When, since the run began.
    pub(super) at: Duration,
    /// Which life of the server sent it, from 0.
    pub(super) life: usize,
}

/// An event that came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// How it had come last.
    pub(super) before: Arrival,
    /// How it came again.
    pub(super) now: Arrival,
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
    pub(super) events: HashMap<EventId, Arrival>,
    /// Which event carried a marker first.
    pub(super) markers: HashMap<Box<str>, EventId>,
    /// Markers that came under another id, too: one event of a producer, stored as two.
    pub(super) twice: u64,
    pub(super) again: Vec<Again>,
}

impl Taken {
    fn add(&mut self, id: EventId, marker: Option<&str>, now: Arrival) {
        if let Some(before) = self.events.insert(id, now) {
            self.again.push(Again { before, now });
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
            let life = quoted(&text, ENVIRONMENT).and_then(|text| text.strip_prefix(LIFE)?.parse().ok());
            self.taken().add(id, quoted(&text, MARKER), Arrival { at, life: life.unwrap_or_default() });
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

    const fn arrival(at: u64) -> Arrival {
        Arrival { at: Duration::from_secs(at), life: 0 }
    }

    #[test]
    fn an_event_that_comes_again_is_told_from_one_that_was_stored_as_two() {
        let [one, two, three] = [1, 2, 3].map(|n| EventId::from_bytes([n; 16]));
        let mut taken = Taken::default();
        for (id, marker, at) in [(one, "i0", 1), (two, "i1", 2), (one, "i0", 3), (three, "i1", 4)] {
            taken.add(id, Some(marker), arrival(at));
        }
        let again = Again { before: arrival(1), now: arrival(3) };
        assert_eq!((taken.again, taken.twice, taken.events.len()), (vec![again], 1, 3));
    }

    #[test]
    fn a_document_is_read_by_its_id_and_its_marker() {
        let arrivals = Arrivals::new(Instant::now());
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        let document = format!(
            r#"{{"eventID":"{id}","instance":{{"environment":"life-3"}},"subject":{{"userName":"k7"}}}}"#
        );
        arrivals.note(document.as_bytes());
        arrivals.note(b"{}");
        let taken = arrivals.taken();
        assert_eq!((taken.events.len(), taken.n_of('k'), taken.n_of('i')), (1, 1, 0));
        assert!(taken.events.values().all(|arrival| arrival.life == 3));
    }
}
