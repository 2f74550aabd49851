//! Counts of what arrived. Every count only grows.

use std::collections::HashSet;
use std::fmt;

use base::EventId;
use parking_lot::Mutex;
use serde::Serialize;

/// Most problems that are kept in words; the rest are only counted.
const MAX_PROBLEMS: usize = 20;

/// What a receiver has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests that carried a body for events, whatever they were answered.
    pub requests: u64,
    /// Requests that were answered with an error, or neither taken nor answered.
    pub refused: u64,
    /// Bytes of bodies, after decompression.
    pub bytes: u64,
    /// Events taken, each time they came.
    pub events: u64,
    /// Different eventIDs among them.
    pub distinct: u64,
    /// Events that had been taken before.
    pub duplicates: u64,
    /// Events and bodies that could not be read.
    pub malformed: u64,
    /// Departures from what idstream promises to send.
    pub n_problems: u64,
    /// The first of them, in words.
    pub problems: Vec<String>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} events, {} distinct, {} duplicates, {} malformed, {} requests refused, {} problems",
            self.requests,
            self.events,
            self.distinct,
            self.duplicates,
            self.malformed,
            self.refused,
            self.n_problems
        )?;
        match self.problems.first() {
            Some(first) => write!(f, " (first: {first})"),
            None => Ok(()),
        }
    }
}

/// The counts behind one lock: a request takes it once or twice.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    stats: Stats,
    seen: HashSet<EventId>,
}

impl Tally {
    pub(crate) fn stats(&self) -> Stats {
        self.0.lock().stats.clone()
    }

    pub(crate) fn has(&self, id: &EventId) -> bool {
        self.0.lock().seen.contains(id)
    }

    /// Its counts stay: they only grow.
    pub(crate) fn forget(&self, id: &EventId) {
        self.0.lock().seen.remove(id);
    }

    pub(crate) fn request(&self, n_bytes: usize) {
        let mut counts = self.0.lock();
        counts.stats.requests += 1;
        counts.stats.bytes += n_bytes as u64;
    }

    pub(crate) fn refused(&self) {
        self.0.lock().stats.refused += 1;
    }

    pub(crate) fn malformed(&self, what: impl Into<String>) {
        let mut counts = self.0.lock();
        counts.stats.malformed += 1;
        counts.problem(what.into());
    }

    pub(crate) fn problems(&self, problems: Vec<String>) {
        if problems.is_empty() {
            return;
        }
        let mut counts = self.0.lock();
        for problem in problems {
            counts.problem(problem);
        }
    }

    /// Takes events; says of each whether it is new. One without an id is never known.
    pub(crate) fn take(&self, ids: impl Iterator<Item = Option<EventId>>) -> Vec<bool> {
        let mut counts = self.0.lock();
        let Counts { stats, seen } = &mut *counts;
        ids.map(|id| {
            let is_new = id.is_none_or(|id| seen.insert(id));
            stats.events += 1;
            stats.distinct += u64::from(is_new && id.is_some());
            stats.duplicates += u64::from(!is_new);
            is_new
        })
        .collect()
    }
}

impl Counts {
    fn problem(&mut self, problem: String) {
        self.stats.n_problems += 1;
        if self.stats.problems.len() < MAX_PROBLEMS {
            self.stats.problems.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_comes_twice_is_one_distinct_event() {
        let tally = Tally::default();
        let (a, b) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
        assert_eq!(tally.take([Some(a), Some(b), Some(a), None].into_iter()), [true, true, false, true]);
        let stats = tally.stats();
        assert_eq!((stats.events, stats.distinct, stats.duplicates), (4, 2, 1));
    }

    #[test]
    fn only_the_first_problems_are_kept_in_words() {
        let tally = Tally::default();
        tally.problems((0..50).map(|number| number.to_string()).collect());
        assert_eq!((tally.stats().n_problems, tally.stats().problems.len()), (50, MAX_PROBLEMS));
    }
}
