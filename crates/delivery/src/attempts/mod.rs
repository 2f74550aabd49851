//! The attempts log: the last requests of each configuration and what came back, in memory of a bounded size.
//!
//! Failed ones are kept apart, so that success does not push them out. What a request and its answer held is cut, kept
//! within one limit for all configurations, and given up first where nothing has been sent for the longest time.

mod detail;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{EventId, Timestamp};
use event::Stream;
use parking_lot::Mutex;
use serde::Serialize;

pub use self::detail::{Detail, Shot};
pub(crate) use self::detail::{Sketch, detail};

/// Attempts of a configuration that are remembered, whatever came of them.
pub const MAX_RECENT: usize = 200;
/// And of those that failed, wholly or in part, beside them.
pub const MAX_FAILED: usize = 100;
/// Bytes of details of one configuration, in each of both.
const MAX_BYTES_EACH: usize = 1 << 20;
/// And of all configurations together.
const MAX_BYTES: usize = 16 << 20;

/// What became of the events of one attempt. They are as many as the attempt has events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcomes {
    /// Delivered, in any grade.
    pub delivered: usize,
    /// Taken; to be acknowledged.
    pub taken: usize,
    /// To be sent again.
    pub retry: usize,
    /// To be sent again, once an operator has mended it.
    pub hold: usize,
    /// Refused for good.
    pub quarantine: usize,
}

/// One request and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1, since the process started.
    pub n: u64,
    /// When its answer was there, or it was given up.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Its events.
    pub events: usize,
    /// Their streams; empty when they were parked ones.
    pub streams: Vec<Stream>,
    /// Bytes of its body, before compression.
    pub bytes: usize,
    /// How often its events were sent by then, this time counted.
    pub tries: u32,
    /// The HTTP status; absent when there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What failed, in the destination's own words; why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What became of its events.
    pub outcomes: Outcomes,
}

impl Attempt {
    const fn has_failed(&self) -> bool {
        self.status.is_none() || self.outcomes.retry + self.outcomes.hold + self.outcomes.quarantine > 0
    }
}

/// An attempt with what was sent and received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// `None` when it was given up meanwhile.
    pub detail: Option<Detail>,
}

#[derive(Debug)]
struct Kept {
    attempt: Arc<Attempt>,
    detail: Option<Arc<Detail>>,
}

/// Attempts, the oldest first, and the bytes of their details.
#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, attempt: &Arc<Attempt>, detail: Option<&Arc<Detail>>, most: usize) {
        self.kept.push_back(Kept { attempt: Arc::clone(attempt), detail: detail.cloned() });
        self.bytes += detail.map_or(0, |detail| detail.size());
        while self.kept.len() > most {
            let gone = self.kept.pop_front().and_then(|kept| kept.detail);
            self.bytes -= gone.map_or(0, |detail| detail.size());
        }
        self.shrink(MAX_BYTES_EACH);
    }

    /// Gives details up, the oldest first, until they have at most so many bytes.
    fn shrink(&mut self, most: usize) {
        for kept in &mut self.kept {
            if self.bytes <= most {
                return;
            }
            self.bytes -= kept.detail.take().map_or(0, |detail| detail.size());
        }
    }
}

/// The attempts of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    last: u64,
    recent: Ring,
    failed: Ring,
    /// When the newest was noted.
    at: Timestamp,
}

/// How much all details of all configurations have.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

impl Attempts {
    /// Notes an attempt; its number is given here. True when there is too much of all configurations' details.
    pub(crate) fn note(&self, mut attempt: Attempt, detail: Option<Detail>, budget: &Budget) -> bool {
        let mut log = self.0.lock();
        log.last += 1;
        attempt.n = log.last;
        log.at = attempt.at;
        let (attempt, detail) = (Arc::new(attempt), detail.map(Arc::new));
        let before = log.bytes();
        log.recent.push(&attempt, detail.as_ref(), MAX_RECENT);
        if attempt.has_failed() {
            log.failed.push(&attempt, detail.as_ref(), MAX_FAILED);
        }
        budget.moved(before, log.bytes()) > MAX_BYTES
    }

    /// Gives all details up.
    pub(crate) fn release(&self, budget: &Budget) {
        let mut log = self.0.lock();
        let before = log.bytes();
        log.recent.shrink(0);
        log.failed.shrink(0);
        budget.moved(before, 0);
    }

    /// When the newest one was noted, as long as it, or another, has details.
    pub(crate) fn idle_since(&self) -> Option<Timestamp> {
        let log = self.0.lock();
        (log.bytes() > 0).then_some(log.at)
    }

    /// The attempts, the newest first; only those that failed, or that held this event.
    pub(crate) fn list(&self, only_failed: bool, event: Option<EventId>) -> Vec<Arc<Attempt>> {
        let log = self.0.lock();
        let holds = |kept: &&Kept| {
            event.is_none_or(|id| kept.detail.as_ref().is_some_and(|detail| detail.event_ids.contains(&id)))
        };
        let mut found: Vec<_> =
            log.failed.kept.iter().filter(holds).map(|kept| Arc::clone(&kept.attempt)).collect();
        if !only_failed {
            found.extend(log.recent.kept.iter().filter(holds).map(|kept| Arc::clone(&kept.attempt)));
        }
        found.sort_by_key(|attempt| std::cmp::Reverse(attempt.n));
        found.dedup_by_key(|attempt| attempt.n);
        found
    }

    /// The attempt with this number, while it is remembered.
    pub(crate) fn get(&self, n: u64) -> Option<Seen> {
        let log = self.0.lock();
        let kept = log.recent.kept.iter().chain(&log.failed.kept).filter(|kept| kept.attempt.n == n);
        let kept = kept.max_by_key(|kept| kept.detail.is_some())?;
        Some(Seen { attempt: (*kept.attempt).clone(), detail: kept.detail.as_deref().cloned() })
    }
}

impl Log {
    /// A detail in both rings counts twice: nobody has to know which of them lets it go last.
    const fn bytes(&self) -> usize {
        self.recent.bytes + self.failed.bytes
    }
}

impl Budget {
    fn moved(&self, before: usize, after: usize) -> usize {
        if after >= before {
            self.0.fetch_add(after - before, Ordering::Relaxed) + (after - before)
        } else {
            self.0.fetch_sub(before - after, Ordering::Relaxed) - (before - after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(failed: bool) -> Attempt {
        Attempt {
            n: 0,
            at: Timestamp::default(),
            duration_ms: 1,
            events: 1,
            streams: vec![Stream::AccountEvent],
            bytes: 10,
            tries: 1,
            status: Some(if failed { 503 } else { 200 }),
            reason: failed.then(|| "busy".to_owned()),
            outcomes: Outcomes {
                delivered: usize::from(!failed),
                retry: usize::from(failed),
                ..Outcomes::default()
            },
        }
    }

    fn with_body(size: usize, id: u8) -> Detail {
        let request = Shot { headers: Default::default(), body: "x".repeat(size), is_cut: false };
        Detail {
            method: "POST".to_owned(),
            url: "https://h/".to_owned(),
            request,
            answer: None,
            event_ids: vec![EventId::from_bytes([id; 16])],
        }
    }

    #[test]
    fn success_does_not_push_failures_out() {
        let (log, budget) = (Attempts::default(), Budget::default());
        log.note(attempt(true), Some(with_body(10, 1)), &budget);
        for _ in 0..1_000 {
            log.note(attempt(false), Some(with_body(10, 2)), &budget);
        }
        let all = log.list(false, None);
        assert_eq!((all.len(), all[0].n, all[MAX_RECENT].n), (MAX_RECENT + 1, 1_001, 1));
        assert_eq!(log.list(true, None).len(), 1);
        assert_eq!(log.list(false, Some(EventId::from_bytes([1; 16]))).len(), 1, "found by its event");
        assert!(log.get(1).unwrap().detail.is_some());
        assert_eq!(log.get(2), None);
    }

    #[test]
    fn details_are_given_up_before_attempts_are_and_what_they_take_is_known() {
        let (log, budget) = (Attempts::default(), Budget::default());
        for n in 0..150 {
            log.note(attempt(n % 2 == 0), Some(with_body(20_000, 1)), &budget);
            assert!(budget.0.load(Ordering::Relaxed) <= 2 * MAX_BYTES_EACH);
        }
        assert_eq!(log.list(false, None).len(), 150);
        assert!(log.get(1).unwrap().detail.is_none() && log.get(150).unwrap().detail.is_some());
        assert!(log.idle_since().is_some());
        log.release(&budget);
        assert_eq!((budget.0.load(Ordering::Relaxed), log.idle_since()), (0, None));
        assert!(log.get(150).unwrap().detail.is_none(), "the attempt is still known");
    }

    #[test]
    fn too_much_of_all_together_is_told() {
        let (logs, budget): (Vec<Attempts>, _) =
            ((0..20).map(|_| Attempts::default()).collect(), Budget::default());
        let is_too_much = logs
            .iter()
            .map(|log| (0..60).any(|_| log.note(attempt(false), Some(with_body(20_000, 1)), &budget)));
        assert_eq!(is_too_much.filter(|is| *is).count(), 4);
    }
}
