//! What of a configuration outlives its workers, as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use parking_lot::Mutex;

use crate::fence::Fence;
use crate::volume::{Measured, Volume};

/// Of one configuration.
#[derive(Default)]
pub(crate) struct Lasting {
    pub(crate) fence: Arc<Fence>,
    volume: Mutex<Option<Volume>>,
}

impl Lasting {
    /// A worker starts: what is delivered is measured from now on, unless it is already.
    pub(crate) fn begin(&self, revision: u64, now: Timestamp) {
        self.fence.begin(revision);
        self.volume.lock().get_or_insert_with(|| Volume::new(now));
    }

    /// Counts what was delivered now.
    pub(crate) fn delivered(&self, now: Timestamp, events: u64, bytes: u64) {
        self.volume.lock().get_or_insert_with(|| Volume::new(now)).add(now, events, bytes);
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
