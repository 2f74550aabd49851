//! Copies events that a destination will never take, or stumbles over, into the quarantine stream, durably, before they
//! are settled; and notes there what became of them later.

use std::sync::Arc;

use base::{Clock, EventId, Timestamp};
use event::quarantine::{Change, Reason, Standing, wrap, wrap_change};
use event::{Record, RecordError, Stream};
use journal::{Append, AppendError, Entry, Journal, JournalError, OnConflict, Producer, Receipt};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;

/// Why a copy was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Journal(#[from] AppendError),
    #[error(transparent)]
    Consumer(#[from] JournalError),
    #[error("the copy of event {0} could not be made")]
    Copy(EventId, #[source] RecordError),
    #[error("the event is not leased any more")]
    Gone,
    #[error("it cannot be told whether event {0} is in quarantine already")]
    Standing(EventId, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the journal kept another copy under the id of event {0}")]
    Refused(EventId),
}

/// The quarantine of one configuration.
pub(crate) struct Quarantine {
    pub(crate) configuration_id: String,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The run that events are refused in; `None`: they are refused when they are new.
    pub(crate) run: Option<String>,
}

/// One refused event.
pub(crate) struct Refused<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) offset: (u64, u32),
    pub(crate) reason: &'a str,
    pub(crate) attempts: u32,
    pub(crate) standing: Standing,
}

impl Quarantine {
    /// Copies one event. Durable when it returns.
    pub(crate) async fn keep(&self, refused: &Refused<'_>) -> Result<(), KeepError> {
        let id = refused.record.event_id();
        store(&*self.journal, id, self.entry(refused)).await
    }

    /// Notes what became of an entry. Durable when it returns.
    pub(crate) async fn change(&self, change: &Change, time: Timestamp) -> Result<(), KeepError> {
        note(&*self.journal, change, time).await
    }

    fn entry(&self, event: &Refused<'_>) -> Result<Entry, RecordError> {
        let reason = Reason {
            configuration_id: self.configuration_id.clone(),
            event_id: event.record.event_id(),
            stream: event.record.stream(),
            journal_offset: format!("{}.{}", event.offset.0, event.offset.1),
            received_at: event.record.received_at(),
            reason: shortened(event.reason),
            attempts: event.attempts,
            standing: event.standing,
            run: self.run.clone(),
        };
        wrap(&event.record, &reason, self.clock.now()).map(entry)
    }
}

/// Notes what became of an entry, for whatever configuration. Durable when it returns; noting it again does nothing.
pub(crate) async fn note(journal: &dyn Journal, change: &Change, time: Timestamp) -> Result<(), KeepError> {
    store(journal, change.event_id, wrap_change(change, time).map(entry)).await
}

async fn store(
    journal: &dyn Journal,
    id: EventId,
    entry: Result<Entry, RecordError>,
) -> Result<(), KeepError> {
    let entries = vec![entry.map_err(|error| KeepError::Copy(id, error))?];
    let append = Append { stream: Stream::Quarantine, entries, request_key: None };
    match journal.append(append).await?.receipts.as_slice() {
        [Receipt::Stored(_) | Receipt::Duplicate] => Ok(()),
        _ => Err(KeepError::Refused(id)),
    }
}

/// Quarantine ids are derived per configuration: one producer number serves all of them.
fn entry(record: Vec<u8>) -> Entry {
    Entry { record, producer: Producer(0), on_conflict: OnConflict::KeepFirst }
}

/// The words of a destination, as long as they are kept.
pub(crate) fn shortened(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}
