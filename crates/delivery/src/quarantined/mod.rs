//! Where the entries of the quarantine stream stand, and how they are changed: given up by an operator, or sent again.
//!
//! **For whoever sends entries again.** The stream is read by a worker of its own. Before it sends a copy it asks
//! [`Quarantined::standing`]: only what stands as `Quarantined` is sent. What became of it is told with
//! [`Quarantined::end`], which stores the change durably and moves the books of the configuration: from `quarantined` to the
//! grade, or to `discarded`. Of two that change one entry at a time the first one wins, and the other is told where the
//! entry stands; so work that is done twice, after a crash, is counted once. Nobody else appends changes of entries that are
//! in quarantine. A copy that a *replay* makes names its run ([`Reason::run`]): the configuration's books count it nowhere,
//! and its changes do not move them.
//!
//! The books: `afterwards.rs` counts the changes with a consumer of its own.
//!
//! The view is a projection in memory, read from the stream when it is first wanted and followed from then on. It holds no
//! event: an entry that is shown is read from the journal. It is bounded by [`MAX_ENTRIES`].

pub(crate) mod afterwards;
pub(crate) mod again;
mod causes;
mod ending;
mod entries;
mod filter;
mod reading;
mod showing;
mod view;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId};
use catalog::Catalog;
#[cfg(doc)]
use event::quarantine::Reason;
use event::quarantine::Standing;
use journal::{Journal, JournalError};
use parking_lot::Mutex;

pub use self::again::ToSend;
pub use self::causes::OTHER;
pub use self::ending::{Ended, Ending, MAX_AT_ONCE};
pub use self::entries::{Order, Totals};
pub use self::filter::Filter;
pub use self::showing::{Entry, Full, Listed, Step};
pub use self::view::MAX_ENTRIES;
use self::view::View;
use crate::quarantine::KeepError;

/// How long a call waits until the view has read what it has not read yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing can be said, or done, about entries.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The quarantine stream is being read. Try again in a few seconds.
    #[error("the quarantine stream is being read: it is at block {at} of {of}")]
    BeingRead {
        /// The block that it has come to.
        at: u64,
        /// The block that it must come to.
        of: u64,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A change was not stored.
    #[error("what became of an entry was not stored")]
    Keep(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<KeepError> for QuarantineError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Consumer(error) => Self::Journal(error),
            error => Self::Keep(Box::new(error)),
        }
    }
}

/// The entries of all configurations. Clones share everything.
#[derive(Clone)]
pub struct Quarantined(Arc<Shared>);

struct Shared {
    journal: Arc<dyn Journal>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    view: Mutex<View>,
    /// Held by the one that reads on.
    reading: tokio::sync::Mutex<()>,
    /// Held over a change: what the view says before it is true until it is stored.
    ending: tokio::sync::Mutex<()>,
}

impl Quarantined {
    /// The entries that `journal` holds of the configurations in `catalog`. Reads nothing yet.
    pub fn new(journal: Arc<dyn Journal>, catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            journal,
            catalog,
            clock,
            view: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            ending: tokio::sync::Mutex::default(),
        }))
    }

    /// Where an event stands in a configuration's quarantine; `None` when it is not there, or not any more.
    pub async fn standing(&self, id: &str, event: EventId) -> Result<Option<Standing>, QuarantineError> {
        self.read_on().await?;
        let view = self.0.view.lock();
        Ok(view.entries(id).and_then(|entries| entries.find(event)).map(|slot| slot.standing))
    }

    /// Which of these events a configuration has copied and not delivered after all. What replays have copied is not among
    /// them: it was delivered before, or not, on its own.
    pub(crate) async fn undelivered(
        &self,
        id: &str,
        events: &[EventId],
    ) -> Result<HashSet<EventId>, QuarantineError> {
        self.read_on().await?;
        let view = self.0.view.lock();
        let Some(entries) = view.entries(id) else { return Ok(HashSet::new()) };
        let is_undelivered = |event: &EventId| {
            entries.find(*event).is_some_and(|slot| slot.standing != Standing::Delivered && !slot.is_of_run)
        };
        Ok(events.iter().copied().filter(is_undelivered).collect())
    }
}
