//! What of a configuration outlives its workers, as long as the process lives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::attempts::{Attempt, Attempts, Budget, Detail};
use crate::fence::Fence;
use crate::figures::{Figures, Recent, Totals};
use crate::volume::{Measured, Volume};

/// Of one configuration.
#[derive(Default)]
pub(crate) struct Lasting {
    family: Weak<Family>,
    figures: Mutex<Figures>,
    pub(crate) attempts: Attempts,
    pub(crate) fence: Arc<Fence>,
    volume: Mutex<Option<Volume>>,
    /// How often something was delivered.
    n_deliveries: AtomicU64,
    /// Whether it has a worker, be it one that is leaving.
    has_worker: watch::Sender<bool>,
    /// Held over a change of several steps.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

/// There is a worker, or one is about to start, until this is dropped.
pub(crate) struct AtWork(Arc<Lasting>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.has_worker.send_replace(false);
    }
}

impl Lasting {
    fn of(family: Weak<Family>) -> Self {
        let mut lasting = Self::default();
        lasting.family = family;
        lasting
    }

    /// Says that there is a worker. There is one at a time.
    pub(crate) fn at_work(self: &Arc<Self>) -> AtWork {
        self.has_worker.send_replace(true);
        AtWork(Arc::clone(self))
    }

    /// Returns when there is no worker.
    pub(crate) async fn at_rest(&self) {
        let mut has_worker = self.has_worker.subscribe();
        // It fails when the sender is gone, which is here.
        let _at_rest = has_worker.wait_for(|has_worker| !*has_worker).await;
    }

    /// A worker starts: what is delivered is measured from now on, unless it is already.
    pub(crate) fn begin(&self, revision: u64, now: Timestamp) {
        self.fence.begin(revision);
        self.volume.lock().get_or_insert_with(|| Volume::new(now));
    }

    /// Counts what was delivered now.
    pub(crate) fn delivered(&self, now: Timestamp, events: u64, bytes: u64) {
        self.figures.lock().delivered(now, events, bytes);
        self.n_deliveries.fetch_add(1, Ordering::Relaxed);
        self.volume.lock().get_or_insert_with(|| Volume::new(now)).add(now, events, bytes);
    }

    /// How often something was delivered since the process started.
    pub(crate) fn n_deliveries(&self) -> u64 {
        self.n_deliveries.load(Ordering::Relaxed)
    }

    /// What was delivered in the last day; `None` when no worker was started.
    pub(crate) fn measured(&self, now: Timestamp) -> Option<Measured> {
        self.volume.lock().as_ref().map(|volume| volume.measured(now))
    }
}

impl Lasting {
    /// Counts an attempt, and remembers it for a while.
    pub(crate) fn attempted(&self, attempt: Attempt, detail: Option<Detail>) {
        {
            let mut figures = self.figures.lock();
            figures.answered(attempt.at, attempt.status, Duration::from_millis(attempt.duration_ms));
            if let Some(reason) = &attempt.reason {
                figures.failed(attempt.at, reason);
            }
        }
        let Some(family) = self.family.upgrade() else { return };
        if self.attempts.note(attempt, detail, &family.budget) {
            family.make_room();
        }
    }

    /// Counts events that are sent again.
    pub(crate) fn retried(&self, events: u64) {
        self.figures.lock().retried(events);
    }

    /// What requests are like, and how many there were.
    pub(crate) fn figures(&self, now: Timestamp) -> (Recent, Totals) {
        let figures = self.figures.lock();
        (figures.recent(now), figures.totals())
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some(family) = self.family.upgrade() {
            self.attempts.release(&family.budget);
        }
    }
}

/// What all configurations share.
#[derive(Default)]
struct Family {
    each: Mutex<HashMap<String, Arc<Lasting>>>,
    budget: Budget,
}

impl Family {
    /// Lets the one go without the details of its attempts that has attempted nothing for the longest time.
    fn make_room(&self) {
        let each: Vec<_> = self.each.lock().values().map(Arc::clone).collect();
        let idle = each.iter().filter_map(|lasting| Some((lasting.attempts.idle_since()?, lasting)));
        if let Some((_, lasting)) = idle.min_by_key(|(since, _)| *since) {
            lasting.attempts.release(&self.budget);
        }
    }
}

/// Of all configurations.
#[derive(Clone, Default)]
pub(crate) struct AllLasting(Arc<Family>);

impl AllLasting {
    /// Of the configuration with this id; made now when it is not there yet.
    pub(crate) fn of(&self, id: &str) -> Arc<Lasting> {
        let make = || Arc::new(Lasting::of(Arc::downgrade(&self.0)));
        Arc::clone(self.0.each.lock().entry(id.to_owned()).or_insert_with(make))
    }

    /// Of the configuration with this id, if it is there.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Lasting>> {
        self.0.each.lock().get(id).cloned()
    }

    /// Forgets configurations that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.each.lock().retain(|id, _| is_there(id));
    }

    /// Forgets what was sent, wherever it is remembered.
    pub(crate) fn forget_details(&self) {
        for lasting in self.0.each.lock().values() {
            lasting.attempts.release(&self.0.budget);
        }
    }
}
