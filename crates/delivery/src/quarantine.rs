//! Copies events that a destination will never take into the quarantine stream, durably, before they are settled.

use std::sync::Arc;

use base::{Clock, EventId};
use event::quarantine::{Reason, wrap};
use event::{Record, RecordError, Stream};
use journal::{Append, AppendError, Entry, Journal, OnConflict, Producer, Receipt};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;

/// Why a copy was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Journal(#[from] AppendError),
    #[error("the copy of event {0} could not be made")]
    Copy(EventId, #[source] RecordError),
    #[error("the event is not leased any more")]
    Gone,
    #[error("the journal kept another copy under the id of event {0}")]
    Refused(EventId),
}

/// The quarantine of one configuration.
pub(crate) struct Quarantine {
    pub(crate) configuration_id: String,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// One refused event.
pub(crate) struct Refused<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) offset: (u64, u32),
    pub(crate) reason: &'a str,
    pub(crate) attempts: u32,
}

impl Quarantine {
    /// Copies one event. Durable when it returns.
    pub(crate) async fn keep(&self, refused: &Refused<'_>) -> Result<(), KeepError> {
        let id = refused.record.event_id();
        let entries = vec![self.entry(refused).map_err(|error| KeepError::Copy(id, error))?];
        let append = Append { stream: Stream::Quarantine, entries, request_key: None };
        match self.journal.append(append).await?.receipts.as_slice() {
            [Receipt::Stored(_) | Receipt::Duplicate] => Ok(()),
            _ => Err(KeepError::Refused(id)),
        }
    }

    fn entry(&self, event: &Refused<'_>) -> Result<Entry, RecordError> {
        let reason = Reason {
            configuration_id: self.configuration_id.clone(),
            event_id: event.record.event_id(),
            stream: event.record.stream(),
            journal_offset: format!("{}.{}", event.offset.0, event.offset.1),
            received_at: event.record.received_at(),
            reason: event.reason.chars().take(MAX_REASON).collect(),
            attempts: event.attempts,
        };
        let record = wrap(&event.record, &reason, self.clock.now())?;
        // Quarantine ids are derived per configuration: one producer number serves all of them.
        Ok(Entry { record, producer: Producer(0), on_conflict: OnConflict::KeepFirst })
    }
}
