//! What of a configuration outlives its workers, as long as the process lives.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use parking_lot::Mutex;

use crate::fence::Fence;
use crate::volume::Volume;

/// Of one configuration.
pub(crate) struct Lasting {
    pub(crate) fence: Arc<Fence>,
    pub(crate) volume: Mutex<Volume>,
}

/// Of all configurations.
#[derive(Clone, Default)]
pub(crate) struct AllLasting(Arc<Mutex<HashMap<String, Arc<Lasting>>>>);

impl AllLasting {
    /// Of the configuration with this id; made now when it is not there yet.
    pub(crate) fn of(&self, id: &str, now: Timestamp) -> Arc<Lasting> {
        let fresh = || Arc::new(Lasting { fence: Arc::default(), volume: Mutex::new(Volume::new(now)) });
        Arc::clone(self.0.lock().entry(id.to_owned()).or_insert_with(fresh))
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
