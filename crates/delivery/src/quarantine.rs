//! Copies events that a destination will never take into the quarantine stream, durably, before they are settled.

use std::sync::Arc;

use base::Clock;
use event::quarantine::{Reason, wrap};
use event::{Record, Stream};
use journal::{Append, AppendError, Entry, Journal, OnConflict, Producer};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;

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
    /// Copies the events. Durable when it returns.
    pub(crate) async fn keep(&self, refused: Vec<Refused<'_>>) -> Result<(), AppendError> {
        let entries: Vec<Entry> = refused.into_iter().filter_map(|event| self.entry(&event)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.journal.append(Append { stream: Stream::Quarantine, entries, request_key: None }).await.map(drop)
    }

    fn entry(&self, event: &Refused<'_>) -> Option<Entry> {
        let reason = Reason {
            configuration_id: self.configuration_id.clone(),
            event_id: event.record.event_id(),
            stream: event.record.stream(),
            journal_offset: format!("{}.{}", event.offset.0, event.offset.1),
            received_at: event.record.received_at(),
            reason: event.reason.chars().take(MAX_REASON).collect(),
            attempts: event.attempts,
        };
        let record = wrap(&event.record, &reason, self.clock.now()).ok()?;
        // Quarantine ids are derived per configuration: one producer number serves all of them.
        Some(Entry { record, producer: Producer(0), on_conflict: OnConflict::KeepFirst })
    }
}
