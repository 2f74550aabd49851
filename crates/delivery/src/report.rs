//! How a configuration fares, in one value: for the API, the metrics, the command line and alarms alike.

use base::Timestamp;
use catalog::CatalogError;
use journal::{ConsumerState, JournalError};

use crate::configuration::Configuration;
use crate::figures::{Recent, Totals};
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
    /// Its name; its id when it cannot be read.
    pub fn name(&self) -> &str {
        self.configuration.as_ref().map_or(&self.id, |configuration| &configuration.name)
    }

    /// Events that are not delivered, nor otherwise settled.
    pub fn n_pending(&self) -> u64 {
        self.books.appended.saturating_sub(self.books.tally.total())
    }

    /// How long ago the oldest of them was stored, in seconds; 0 when there is none.
    pub fn lag_seconds(&self, now: Timestamp) -> u64 {
        self.books.oldest_pending.map_or(0, |oldest| now.since(oldest).as_secs())
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
