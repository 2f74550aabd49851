//! How a configuration fares, in one value: for the API, the metrics, the command line and alarms alike.

use base::Timestamp;
use catalog::CatalogError;
use journal::{ConsumerState, JournalError};

use crate::configuration::Configuration;
use crate::figures::{Recent, Totals};
use crate::resume::Backlog;
use crate::shown::Shown;
use crate::status::Status;
use crate::volume::Measured;

/// How one configuration fares.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its id.
    pub id: String,
    /// What is stored of it; `None` when that cannot be read.
    pub configuration: Option<Configuration>,
    /// Its state.
    pub shown: Shown,
    /// Its books; empty when it has no place in the journal.
    pub books: ConsumerState,
    /// The same without parked events, which hold up no other.
    pub main: ConsumerState,
    /// Events that are parked.
    pub parked: u64,
    /// Why it cannot be told what is parked, nor what became of entries in quarantine: `books` says nothing about it then.
    pub unread: Option<String>,
    /// What its worker says; `None` when none runs.
    pub live: Option<Status>,
    /// How its requests fare; `None` as `volume` is.
    pub recent: Option<Recent>,
    /// The same since the process started.
    pub totals: Totals,
    /// What it delivers; `None` when it had no worker since the process started.
    pub volume: Option<Measured>,
}

impl Report {
    /// What has gathered: what is not settled, without parked events.
    pub fn backlog(&self) -> Backlog {
        Backlog::of_state(&self.main, 0)
    }

    /// Its name; its id when it cannot be read.
    pub fn name(&self) -> &str {
        self.configuration.as_ref().map_or(&self.id, |configuration| &configuration.name)
    }

    /// Events that are not delivered, nor otherwise settled.
    pub fn n_pending(&self) -> u64 {
        self.books.appended.saturating_sub(self.books.tally.total())
    }

    /// How long ago the oldest of them that is not parked was stored, in seconds; 0 when there is none.
    pub fn lag_seconds(&self, now: Timestamp) -> u64 {
        self.main.oldest_pending.map_or(0, |oldest| now.since(oldest).as_secs())
    }
}

/// Why nobody can tell how configurations fare.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Their books cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The configurations cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
