//! One delivery on its way into the journal: its events under their ids, slice by slice, stream by stream.

use base::{EventId, Timestamp};
use event::model::Draft;
use event::{Section, Stream};
use journal::{Append, Entry, Journal, MAX_RECORD_BYTES, OnConflict, Producer, Receipt, RequestKey};

use crate::discovery::Discovery;
use crate::receipt::{Accepted, IntakeError, Receipts, Rejected};

/// Bytes of drafts that are stored together. A larger delivery is stored in several steps, so that it never needs room
/// for all its events at once, twice: as drafts and as records.
pub(crate) const SLICE_BYTES: usize = 2 << 20;

/// How many times as large as its text an event is while it is worked on: its draft, its record, and what both reserve.
const WORKING_FACTOR: usize = 3;

/// Bytes that are needed beside a body of `body_bytes` while its events are worked on.
pub fn working_bytes(body_bytes: usize) -> usize {
    WORKING_FACTOR * body_bytes.min(SLICE_BYTES)
}

/// An event on its way into the journal.
pub(crate) struct Pending {
    /// Its place in the delivery.
    pub(crate) index: usize,
    pub(crate) draft: Draft,
    pub(crate) id: EventId,
    pub(crate) source_event_id: Option<EventId>,
}

/// Events that are stored together.
#[derive(Default)]
pub(crate) struct Slice {
    events: Vec<Pending>,
    bytes: usize,
}

impl Slice {
    pub(crate) fn push(&mut self, index: usize, draft: Draft, id: EventId) {
        self.bytes += draft.size();
        self.events.push(Pending { index, draft, id, source_event_id: None });
    }

    /// What it holds, when that is enough to be stored.
    pub(crate) fn take_if_full(&mut self) -> Option<Vec<Pending>> {
        (self.bytes >= SLICE_BYTES).then(|| std::mem::take(self).events)
    }

    pub(crate) fn into_events(self) -> Vec<Pending> {
        self.events
    }
}

/// Everything about a delivery that its events share.
pub(crate) struct Delivery<'a> {
    pub(crate) journal: &'a dyn Journal,
    pub(crate) producer: Producer,
    pub(crate) identity: &'a str,
    pub(crate) source: &'a str,
    pub(crate) on_conflict: OnConflict,
    pub(crate) received_at: Timestamp,
    pub(crate) discovery: &'a Discovery,
    /// The idempotency key, and the digest of the body that it came with.
    pub(crate) key: Option<(&'a str, [u8; 8])>,
    /// An event that is too large for a record is stored without its largest parts. Without this it is rejected.
    pub(crate) shortens: bool,
}

impl Delivery<'_> {
    /// Appends stream by stream; events whose id another producer owns are appended again under an id of their own.
    pub(crate) async fn store(
        &self,
        events: Vec<Pending>,
        receipts: &mut Receipts,
    ) -> Result<(), IntakeError> {
        let mut by_stream: [Vec<Pending>; 3] = Default::default();
        for event in events {
            let place =
                Stream::PRODUCT.iter().position(|stream| *stream == event.draft.stream()).unwrap_or(0);
            if let Some(events) = by_stream.get_mut(place) {
                events.push(event);
            }
        }
        for (stream, events) in Stream::PRODUCT.into_iter().zip(by_stream) {
            let foreign = self.store_stream(stream, events, receipts).await?;
            let renamed: Vec<Pending> = foreign.into_iter().map(|event| self.rename(event)).collect();
            for event in self.store_stream(stream, renamed, receipts).await? {
                receipts.rejected.push(conflict(event.index, event.id));
            }
        }
        Ok(())
    }

    /// Appends events of one stream. Returns those whose id another producer owns.
    async fn store_stream(
        &self,
        stream: Stream,
        events: Vec<Pending>,
        receipts: &mut Receipts,
    ) -> Result<Vec<Pending>, IntakeError> {
        let mut entries = Vec::with_capacity(events.len());
        let mut appended = Vec::with_capacity(events.len());
        for mut event in events {
            match self.record(&mut event) {
                Some(record) => {
                    entries.push(self.entry(record));
                    appended.push(event);
                }
                None => receipts.rejected.push(Rejected {
                    index: event.index,
                    error_key: "eventTooLarge",
                    field: None,
                    detail: "the event is too large once its texts are escaped".to_owned(),
                }),
            }
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        // One id for the request, whichever streams its events belong to: another body is refused by any of them.
        let request_key = self.key.map(|(key, digest)| RequestKey {
            id: EventId::derive(Timestamp::default(), &["request", self.identity, key]),
            digest,
        });
        let answer = self.journal.append(Append { stream, entries, request_key }).await?;
        let mut foreign = Vec::new();
        let mut look = self.discovery.look();
        for (event, receipt) in appended.into_iter().zip(answer.receipts) {
            let accepted = |duplicate| Accepted { index: event.index, event_id: event.id, duplicate };
            match receipt {
                Receipt::Stored(_) => {
                    look.at(&event.draft);
                    receipts.accepted.push(accepted(false));
                }
                Receipt::Duplicate => receipts.accepted.push(accepted(true)),
                Receipt::Conflict => receipts.rejected.push(conflict(event.index, event.id)),
                Receipt::Foreign => foreign.push(event),
            }
        }
        look.end(self.received_at, self.source);
        Ok(foreign)
    }

    pub(crate) const fn entry(&self, record: Vec<u8>) -> Entry {
        Entry { record, producer: self.producer, on_conflict: self.on_conflict }
    }

    /// The record of an event; `None` when it is too large for one.
    fn record(&self, event: &mut Pending) -> Option<Vec<u8>> {
        let lay_out = |event: &Pending| {
            let record = event.draft.record(event.id, self.received_at, self.source, event.source_event_id);
            record.ok().filter(|record| record.len() <= MAX_RECORD_BYTES)
        };
        let whole = lay_out(event);
        if whole.is_some() || !self.shortens {
            return whole;
        }
        // The raw event first: what matters of it is in the others, too.
        [Section::Raw, Section::Request, Section::Response, Section::Actions].into_iter().find_map(|part| {
            event.draft.omit(part);
            lay_out(event)
        })
    }

    /// Another producer owns the id: the event gets one of its own, and keeps the other as `sourceEventId`.
    fn rename(&self, event: Pending) -> Pending {
        let own = EventId::derive(event.draft.time(), &["renamed", self.identity, &event.id.to_string()]);
        Pending { source_event_id: Some(event.id), id: own, ..event }
    }
}

fn conflict(index: usize, id: EventId) -> Rejected {
    Rejected {
        index,
        error_key: "eventIdConflict",
        field: Some("eventID".to_owned()),
        detail: format!("the event {id} was stored before with other content"),
    }
}
