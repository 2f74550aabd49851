//! The service: from a posted body to receipts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::mask::MaskRule;
use base::{Clock, EventId, Random, Timestamp};
use event::model::{Draft, incoming};
use event::{RecordBuilder, Section, Stream};
use journal::{Append, AppendError, Entry, Journal, OnConflict, Producer, Receipt, RequestKey};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use sources::SplitError;

use crate::parse::{as_text, texts};
use crate::receipt::{Accepted, IntakeError, Receipts, Rejected};
use crate::source::{Source, first_eight, producer_number};

/// How much one delivery may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events of one request.
    pub max_events: usize,
    /// Bytes of one event, as posted; at most 512 KiB.
    pub max_event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_events: 10_000, max_event_bytes: 256 * 1024 }
    }
}

/// Who posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Unique and stable: `client:{id}`. Owns the ids of its events.
    pub id: String,
    /// Shown in documents as `sourceId`.
    pub source: String,
}

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// Decompressed.
    pub body: &'a [u8],
    /// As the producer gave it.
    pub idempotency_key: Option<&'a str>,
}

/// What became of a source's delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceReceipt {
    /// Events stored.
    pub accepted: usize,
    /// Events that had been stored before.
    pub duplicates: usize,
    /// Items that are no events, kept in intake quarantine.
    pub quarantined: usize,
}

/// Admits deliveries and appends their events.
pub struct Intake {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    rule: MaskRule,
    limits: Limits,
    keys_in_flight: Mutex<HashSet<(String, String)>>,
}

/// An event on its way into the journal.
struct Pending {
    index: usize,
    draft: Draft,
    id: EventId,
    source_event_id: Option<EventId>,
}

/// Everything about a delivery that its events share.
struct Delivery<'a> {
    producer: Producer,
    identity: &'a str,
    source: &'a str,
    on_conflict: OnConflict,
    received_at: Timestamp,
    key: Option<(&'a str, [u8; 8])>,
}

impl Intake {
    /// An intake that appends to `journal`.
    pub fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
        rule: MaskRule,
        limits: Limits,
    ) -> Self {
        Self { journal, clock, random, rule, limits, keys_in_flight: Mutex::default() }
    }

    /// Takes what an API client posts: one event, an array, or lines.
    pub async fn accept(
        &self,
        producer: &ProducerIdentity,
        posted: Posted<'_>,
    ) -> Result<Receipts, IntakeError> {
        let _key_guard = posted.idempotency_key.map(|key| self.enter(&producer.id, key)).transpose()?;
        let texts = texts(posted.body, self.limits.max_events)?;
        let digest = || first_eight(&Sha256::digest(posted.body).into());
        let delivery = Delivery {
            producer: producer_number(&producer.id),
            identity: &producer.id,
            source: &producer.source,
            on_conflict: OnConflict::Refuse,
            received_at: self.clock.now(),
            key: posted.idempotency_key.map(|key| (key, digest())),
        };
        let mut receipts = Receipts::default();
        let mut pending = Vec::with_capacity(texts.len());
        for (index, text) in texts.into_iter().enumerate() {
            match self.understand(text) {
                Ok(draft) => {
                    let id = draft.event_id().unwrap_or_else(|| self.own_id(&delivery, index, draft.time()));
                    pending.push(Pending { index, draft, id, source_event_id: None });
                }
                Err(rejected) => receipts.rejected.push(Rejected { index, ..rejected }),
            }
        }
        self.store(&delivery, pending, &mut receipts).await?;
        receipts.accepted.sort_unstable_by_key(|accepted| accepted.index);
        receipts.rejected.sort_unstable_by_key(|rejected| rejected.index);
        Ok(receipts)
    }

    /// Takes what a platform posts to its webhook. Items that are no events are kept in intake quarantine.
    pub async fn accept_source(&self, source: &Source, body: &[u8]) -> Result<SourceReceipt, IntakeError> {
        let items = source.platform.split(as_text(body)?).map_err(|error| match error {
            SplitError::Empty => IntakeError::Empty,
            SplitError::Malformed => IntakeError::Malformed(error.to_string()),
            SplitError::TooMany => IntakeError::TooManyEvents { limit: sources::auth0::MAX_ITEMS },
        })?;
        let identity = source.producer_id();
        let delivery = Delivery {
            producer: producer_number(&identity),
            identity: &identity,
            source: &source.id,
            on_conflict: OnConflict::KeepFirst,
            received_at: self.clock.now(),
            key: None,
        };
        let mut receipts = Receipts::default();
        let mut pending = Vec::with_capacity(items.len());
        let mut refused = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let understood = if item.len() > self.limits.max_event_bytes {
                Err(format!("larger than {} bytes", self.limits.max_event_bytes))
            } else {
                source.platform.normalise(item, &self.rule).map_err(|unparseable| unparseable.reason)
            };
            match understood {
                Ok(event) => {
                    pending.push(Pending { index, draft: event.draft, id: event.id, source_event_id: None });
                }
                Err(reason) => refused.push((item, reason)),
            }
        }
        self.store(&delivery, pending, &mut receipts).await?;
        self.quarantine(&delivery, &refused).await?;
        let duplicates = receipts.accepted.iter().filter(|accepted| accepted.duplicate).count();
        Ok(SourceReceipt {
            accepted: receipts.accepted.len() - duplicates,
            duplicates,
            quarantined: refused.len() + receipts.rejected.len(),
        })
    }

    fn understand(&self, text: &str) -> Result<Draft, Rejected> {
        let rejected = |error_key, field, detail| Rejected { index: 0, error_key, field, detail };
        if text.len() > self.limits.max_event_bytes {
            let detail = format!(
                "the event has {} bytes; at most {} are taken",
                text.len(),
                self.limits.max_event_bytes
            );
            return Err(rejected("eventTooLarge", None, detail));
        }
        incoming::parse(text, &self.rule).map_err(|error| {
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                return rejected("malformedJson", None, error.reason);
            }
            let field = (error.field != "event").then_some(error.field);
            rejected("invalidEvent", field, error.reason)
        })
    }

    /// The id of an event that has none: the same for a request repeated with its key, fresh otherwise.
    fn own_id(&self, delivery: &Delivery<'_>, index: usize, time: Timestamp) -> EventId {
        match delivery.key {
            Some((key, _)) => EventId::derive(time, &["key", delivery.identity, key, &index.to_string()]),
            None => EventId::draw(delivery.received_at, &self.random),
        }
    }

    /// Appends stream by stream; events whose id another producer owns are appended again under an id of their own.
    async fn store(
        &self,
        delivery: &Delivery<'_>,
        pending: Vec<Pending>,
        receipts: &mut Receipts,
    ) -> Result<(), IntakeError> {
        let mut by_stream: [Vec<Pending>; 3] = Default::default();
        for event in pending {
            let place =
                Stream::PRODUCT.iter().position(|stream| *stream == event.draft.stream()).unwrap_or(0);
            if let Some(events) = by_stream.get_mut(place) {
                events.push(event);
            }
        }
        for (stream, events) in Stream::PRODUCT.into_iter().zip(by_stream) {
            let foreign = self.store_stream(delivery, stream, events, receipts).await?;
            let renamed: Vec<Pending> = foreign.into_iter().map(|event| rename(delivery, event)).collect();
            for event in self.store_stream(delivery, stream, renamed, receipts).await? {
                receipts.rejected.push(conflict(event.index, event.id));
            }
        }
        Ok(())
    }

    /// Appends events of one stream. Returns those whose id another producer owns.
    async fn store_stream(
        &self,
        delivery: &Delivery<'_>,
        stream: Stream,
        events: Vec<Pending>,
        receipts: &mut Receipts,
    ) -> Result<Vec<Pending>, IntakeError> {
        let mut entries = Vec::with_capacity(events.len());
        let mut appended = Vec::with_capacity(events.len());
        for event in events {
            match event.draft.record(event.id, delivery.received_at, delivery.source, event.source_event_id) {
                Ok(record) if record.len() <= journal::MAX_RECORD_BYTES => {
                    entries.push(Entry {
                        record,
                        producer: delivery.producer,
                        on_conflict: delivery.on_conflict,
                    });
                    appended.push(event);
                }
                _ => receipts.rejected.push(Rejected {
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
        let request_key = delivery.key.map(|(key, digest)| RequestKey {
            id: EventId::derive(Timestamp::default(), &["request", delivery.identity, key, stream.name()]),
            digest,
        });
        let answer = self.journal.append(Append { stream, entries, request_key }).await.map_err(refusal)?;
        let mut foreign = Vec::new();
        for (event, receipt) in appended.into_iter().zip(answer.receipts) {
            let accepted = |duplicate| Accepted { index: event.index, event_id: event.id, duplicate };
            match receipt {
                Receipt::Stored(_) => receipts.accepted.push(accepted(false)),
                Receipt::Duplicate => receipts.accepted.push(accepted(true)),
                Receipt::Conflict => receipts.rejected.push(conflict(event.index, event.id)),
                Receipt::Foreign => foreign.push(event),
            }
        }
        Ok(foreign)
    }

    async fn quarantine(
        &self,
        delivery: &Delivery<'_>,
        refused: &[(&str, String)],
    ) -> Result<(), IntakeError> {
        let stream = Stream::IntakeQuarantine;
        let entries: Vec<Entry> = refused
            .iter()
            .filter_map(|(item, reason)| {
                let id = EventId::derive(Timestamp::default(), &["unparseable", delivery.identity, item]);
                let mut builder = RecordBuilder::new(stream, id, delivery.received_at, delivery.received_at);
                builder.section(Section::Source, delivery.source);
                builder.section_with(Section::Reason, |out| event::fragment::append_string(reason, out));
                builder.section_with(Section::Raw, |out| self.append_refused(item, out));
                let record =
                    builder.finish().ok().filter(|record| record.len() <= journal::MAX_RECORD_BYTES)?;
                Some(Entry { record, producer: delivery.producer, on_conflict: OnConflict::KeepFirst })
            })
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.journal.append(Append { stream, entries, request_key: None }).await.map_err(refusal).map(drop)
    }

    /// The item as it came when it is JSON, masked; otherwise as a JSON string, masked as a text, cut at the limit.
    fn append_refused(&self, item: &str, out: &mut String) {
        if item.len() <= self.limits.max_event_bytes && event::fragment::append(item, &self.rule, out).is_ok()
        {
            return;
        }
        let shown: String = item.chars().take(self.limits.max_event_bytes / 8).collect();
        event::fragment::append_string(&event::fragment::mask_text(&shown, &self.rule), out);
    }

    fn enter(&self, producer: &str, key: &str) -> Result<KeyGuard<'_>, IntakeError> {
        let entry = (producer.to_owned(), key.to_owned());
        if !self.keys_in_flight.lock().insert(entry.clone()) {
            return Err(IntakeError::KeyInFlight);
        }
        Ok(KeyGuard { intake: self, entry })
    }
}

/// Frees an idempotency key when its request ends, however it ends.
struct KeyGuard<'a> {
    intake: &'a Intake,
    entry: (String, String),
}

impl Drop for KeyGuard<'_> {
    fn drop(&mut self) {
        self.intake.keys_in_flight.lock().remove(&self.entry);
    }
}

/// Another producer owns the id: the event gets one of its own, and keeps the other as `sourceEventId`.
fn rename(delivery: &Delivery<'_>, event: Pending) -> Pending {
    let own = EventId::derive(event.draft.time(), &["renamed", delivery.identity, &event.id.to_string()]);
    Pending { source_event_id: Some(event.id), id: own, ..event }
}

fn conflict(index: usize, id: EventId) -> Rejected {
    Rejected {
        index,
        error_key: "eventIdConflict",
        field: Some("eventID".to_owned()),
        detail: format!("the event {id} was stored before with other content"),
    }
}

fn refusal(error: AppendError) -> IntakeError {
    match error {
        AppendError::KeyReused => IntakeError::KeyReused,
        AppendError::Busy => IntakeError::Busy { retry_after: Duration::from_secs(1) },
        cause => IntakeError::Unavailable { retry_after: Duration::from_secs(10), cause },
    }
}
