//! The explorer: where stored events are found again. So far by their id, which is what an `eventLink` needs.
//!
//! It follows the journal and keeps id → offset in runs, sorted files that each cover a range of blocks. What no run
//! covers is a gap, and gaps are read from the journal again: the fresh end, a file that is missing, damaged or of
//! another journal. So following and rebuilding are one thing.
//!
//! Invariants: never authoritative. Every answer is checked against the record in the journal. It holds nothing back:
//! neither an append, nor retention, nor a destination. It may lag, and says so instead of "unknown".

mod find;
mod follow;
mod notes;
mod run;
mod shared;
mod shelf;

use std::sync::Arc;

use base::{Clock, EventId, Timestamp};
use journal::disk::Disk;
use journal::{Journal, JournalError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::find::{Found, Stored};
pub use self::notes::{Removed, TestNote};
use self::shared::Shared;

/// What an explorer is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where events lie.
    pub journal: Arc<dyn Journal>,
    /// The directory of its files. Everything in it but the notes can be made again.
    pub disk: Arc<dyn Disk>,
    /// Tells when something was removed.
    pub clock: Arc<dyn Clock>,
    /// Sizes.
    pub options: Options,
}

/// Sizes of an explorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Ids kept in memory before they become a file; as many are read again after a start. About 80 bytes each. Default
    /// 65,536.
    pub run_entries: usize,
    /// As many small files that lie side by side become one: a partition. Default 16.
    pub merge_runs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { run_entries: 1 << 16, merge_runs: 16 }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Everything stored up to then is found; `None` before it was complete once since the start.
    pub complete_as_of: Option<Timestamp>,
    /// Blocks of the journal that are not indexed yet.
    pub blocks_behind: u64,
    /// Blocks that the journal could not read since the start: their events are not found.
    pub blocks_unreadable: u64,
}

/// Why an id could not be looked up. It says nothing about the event.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The explorer's own files cannot be read.
    #[error("cannot read the explorer's files")]
    Disk(#[from] std::io::Error),
    /// There is no index, because its directory cannot be used.
    #[error("stored events cannot be looked up: the directory of their index cannot be used")]
    NoIndex,
}

/// Finds stored events again, and follows the journal to be able to.
pub struct Explorer {
    journal: Arc<dyn Journal>,
    /// None: without an index.
    shared: Option<Arc<Shared>>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Explorer {
    /// Opens what is on the disk and follows the journal from there. Reads one page of each file, and no event: as fast
    /// with many events as with few. Blocks while it reads.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let journal = Arc::clone(&parts.journal);
        let shared = Arc::new(Shared::open(parts)?);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(follow::follow(Arc::clone(&shared), stopped));
        Ok(Self { journal, shared: Some(shared), stop, task: Mutex::new(Some(task)) })
    }

    /// One that finds nothing, and says so: for when its directory cannot be used, which is no reason to take no events.
    pub fn without_index(journal: Arc<dyn Journal>) -> Self {
        Self { journal, shared: None, stop: watch::Sender::new(false), task: Mutex::default() }
    }

    /// What is known of an id. When events are stored that are not indexed yet, it waits for them, 2 seconds at most.
    pub async fn find(&self, id: EventId) -> Result<Found, FindError> {
        match &self.shared {
            Some(shared) => find::find(shared, id).await,
            None => Err(FindError::NoIndex),
        }
    }

    /// Remembers that a made-up event was sent: the newest 1,000 are. Durable when it returns, as far as the disk allows.
    pub async fn note_tests(&self, notes: Vec<TestNote>) {
        if let Some(shared) = &self.shared {
            shared.change_notes(|known| known.add_tests(notes)).await;
        }
    }

    /// How far it is.
    pub fn status(&self) -> Status {
        self.shared.as_ref().map_or_else(
            || {
                let head = self.journal.head();
                Status { blocks_behind: head.next.saturating_sub(head.first), ..Status::default() }
            },
            |shared| shared.status(),
        )
    }

    /// Stops following. What it had in memory only is read from the journal again after the next start.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the explorer ended badly");
        }
    }
}
