//! What the way in counts: atomic numbers, and the last deliveries of sources.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Timestamp;
use intake::{Receipts, SourceReceipt};
use parking_lot::Mutex;

use crate::error::ErrorKey;

/// The upper ends of the times that are told apart, in milliseconds; one more is without an end.
pub(super) const BOUNDS_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
/// Kinds of mistakes of single events; one more is for others.
pub(super) const REJECTED: [&str; 4] = ["malformedJson", "invalidEvent", "eventTooLarge", "eventIdConflict"];
/// Sources that are counted apart.
const MAX_SOURCES: usize = 500;

/// What came from a source since the process started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FromSource {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) quarantined: u64,
    /// When it last brought an event.
    pub(super) last: Option<Timestamp>,
}

/// Numbers since the process started.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) rejected: [AtomicU64; REJECTED.len() + 1],
    pub(super) bytes: AtomicU64,
    /// By [`ErrorKey::ALL`].
    pub(super) refused: [AtomicU64; ErrorKey::ALL.len()],
    pub(super) times: [AtomicU64; BOUNDS_MS.len() + 1],
    pub(super) time_ms: AtomicU64,
    pub(super) sources: Mutex<HashMap<String, FromSource>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            rejected: Default::default(),
            bytes: AtomicU64::default(),
            refused: [const { AtomicU64::new(0) }; ErrorKey::ALL.len()],
            times: Default::default(),
            time_ms: AtomicU64::default(),
            sources: Mutex::default(),
        }
    }
}

fn add(to: &AtomicU64, n: u64) {
    to.fetch_add(n, Ordering::Relaxed);
}

impl Counts {
    /// A delivery of an API client, decompressed, was answered.
    pub(crate) fn receipts(&self, receipts: &Receipts) {
        let duplicates = receipts.accepted.iter().filter(|accepted| accepted.duplicate).count() as u64;
        add(&self.accepted, receipts.accepted.len() as u64 - duplicates);
        add(&self.duplicates, duplicates);
        for rejected in &receipts.rejected {
            let at = REJECTED.iter().position(|key| *key == rejected.error_key).unwrap_or(REJECTED.len());
            self.rejected.get(at).into_iter().for_each(|count| add(count, 1));
        }
    }

    /// A delivery of a source was answered.
    pub(crate) fn brought(&self, id: &str, receipt: &SourceReceipt, now: Timestamp) {
        add(&self.accepted, receipt.accepted as u64);
        add(&self.duplicates, receipt.duplicates as u64);
        let mut sources = self.sources.lock();
        if sources.len() >= MAX_SOURCES && !sources.contains_key(id) {
            return;
        }
        let source = sources.entry(id.to_owned()).or_default();
        source.accepted += receipt.accepted as u64;
        source.duplicates += receipt.duplicates as u64;
        source.quarantined += receipt.quarantined as u64;
        if receipt.accepted + receipt.duplicates > 0 {
            source.last = Some(now);
        }
    }

    /// When a source last brought an event; `None`: not since the process started.
    pub(crate) fn last_from(&self, id: &str) -> Option<Timestamp> {
        self.sources.lock().get(id)?.last
    }

    /// Forgets sources that are gone: there is room for so many only.
    pub(crate) fn keep_sources(&self, is_there: impl Fn(&str) -> bool) {
        self.sources.lock().retain(|id, _| is_there(id));
    }

    /// A body was read into events and they were stored, or not: how large it was and how long that took.
    pub(crate) fn worked(&self, bytes: usize, took: Duration) {
        add(&self.bytes, bytes as u64);
        let at = BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        self.times.get(at.unwrap_or(BOUNDS_MS.len())).into_iter().for_each(|count| add(count, 1));
        add(&self.time_ms, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// A delivery was refused as a whole.
    pub(crate) fn refused(&self, key: ErrorKey) {
        let at = ErrorKey::ALL.iter().position(|each| *each == key);
        at.and_then(|at| self.refused.get(at)).into_iter().for_each(|count| add(count, 1));
    }
}
