//! What of a configuration outlives its workers, as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::fence::Fence;
use crate::volume::{Measured, Volume};

/// Of one configuration.
#[derive(Default)]
pub(crate) struct Lasting {
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

/// Of all configurations.
#[derive(Clone, Default)]
pub(crate) struct AllLasting(Arc<Mutex<HashMap<String, Arc<Lasting>>>>);

impl AllLasting {
    /// Of the configuration with this id; made now when it is not there yet.
    pub(crate) fn of(&self, id: &str) -> Arc<Lasting> {
        Arc::clone(self.0.lock().entry(id.to_owned()).or_default())
    }

    /// Of the configuration with this id, if it is there.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Lasting>> {
        self.0.lock().get(id).cloned()
    }

    /// Forgets configurations that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().retain(|id, _| is_there(id));
    }
}
