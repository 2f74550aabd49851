//! The service: from a posted body to receipts.

use std::collections::HashSet;
use std::sync::Arc;

use base::mask::MaskRule;
use base::{Clock, EventId, Random, Timestamp};
use event::model::{Draft, incoming};
use event::pieces::Piece;
use journal::{Journal, OnConflict};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use sources::{Item, ItemRule, SplitError};

use crate::delivery::{Delivery, Slice};
use crate::discovery::Discovery;
use crate::parse::pieces;
use crate::quarantine::{self, Refused};
use crate::receipt::{IntakeError, Receipts, Rejected};
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
    /// The producer says that the body is lines of JSON, not just that it is JSON.
    pub are_lines: bool,
    /// As the producer gave it.
    pub idempotency_key: Option<&'a str>,
}

/// What became of a source's delivery: each of its items is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceReceipt {
    /// Events stored.
    pub accepted: usize,
    /// Events, and items in intake quarantine, that had been stored before.
    pub duplicates: usize,
    /// Items that are no events, stored in intake quarantine.
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
    discovery: Discovery,
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
        Self {
            journal,
            clock,
            random,
            rule,
            limits,
            keys_in_flight: Mutex::default(),
            discovery: Discovery::default(),
        }
    }

    /// Notices claims that events carry and nobody has named.
    pub const fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Takes what an API client posts: one event, an array, or lines.
    pub async fn accept(
        &self,
        producer: &ProducerIdentity,
        posted: Posted<'_>,
    ) -> Result<Receipts, IntakeError> {
        let _key_guard = posted.idempotency_key.map(|key| self.enter(&producer.id, key)).transpose()?;
        let pieces = pieces(posted.body, posted.are_lines, self.limits.max_events)?;
        let digest = || first_eight(&Sha256::digest(posted.body).into());
        let delivery = Delivery {
            journal: &*self.journal,
            producer: producer_number(&producer.id),
            identity: &producer.id,
            source: &producer.source,
            on_conflict: OnConflict::Refuse,
            received_at: self.clock.now(),
            discovery: &self.discovery,
            key: posted.idempotency_key.map(|key| (key, digest())),
            shortens: false,
        };
        let mut receipts = Receipts::default();
        let mut slice = Slice::default();
        for (index, piece) in pieces.into_iter().enumerate() {
            match self.understand(piece) {
                Ok(draft) => {
                    let id = draft.event_id().unwrap_or_else(|| self.own_id(&delivery, index, draft.time()));
                    slice.push(index, draft, id);
                }
                Err(rejected) => receipts.rejected.push(Rejected { index, ..rejected }),
            }
            if let Some(events) = slice.take_if_full() {
                delivery.store(events, &mut receipts).await?;
            }
        }
        delivery.store(slice.into_events(), &mut receipts).await?;
        receipts.accepted.sort_unstable_by_key(|accepted| accepted.index);
        receipts.rejected.sort_unstable_by_key(|rejected| rejected.index);
        Ok(receipts)
    }

    /// Takes what a platform posts to its webhook. Items that are no events, or that the journal does not take as such,
    /// are kept in intake quarantine: whatever the answer counts is durable, and every item is counted.
    pub async fn accept_source(&self, source: &Source, body: &[u8]) -> Result<SourceReceipt, IntakeError> {
        let items = source.platform.split(body).map_err(|error| match error {
            SplitError::Empty => IntakeError::Empty,
            SplitError::Malformed(_) => IntakeError::Malformed(error.to_string()),
            SplitError::TooMany => IntakeError::TooManyEvents { limit: sources::auth0::MAX_ITEMS },
        })?;
        let rule = source.platform.rule(&self.rule);
        let identity = source.producer_id();
        let delivery = Delivery {
            journal: &*self.journal,
            producer: producer_number(&identity),
            identity: &identity,
            source: &source.id,
            on_conflict: OnConflict::KeepFirst,
            received_at: self.clock.now(),
            discovery: &self.discovery,
            key: None,
            shortens: true,
        };
        let mut receipts = Receipts::default();
        let mut slice = Slice::default();
        let mut refused: Vec<(usize, String)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match self.understand_item(source, item, &rule) {
                Ok(event) => slice.push(index, event.draft, event.id),
                Err(reason) => refused.push((index, reason)),
            }
            if let Some(events) = slice.take_if_full() {
                delivery.store(events, &mut receipts).await?;
            }
        }
        delivery.store(slice.into_events(), &mut receipts).await?;
        refused.extend(receipts.rejected.into_iter().map(|rejected| (rejected.index, rejected.detail)));
        let refused = refused.into_iter().filter_map(|(index, reason)| {
            let item: &str = &items.get(index)?.text;
            let masked = source.platform.mask_refused(quarantine::seen(item), &rule);
            Some(Refused { item, masked, reason })
        });
        let (quarantined, known) = quarantine::keep(&delivery, refused).await?;
        let duplicates = receipts.accepted.iter().filter(|accepted| accepted.duplicate).count();
        Ok(SourceReceipt {
            accepted: receipts.accepted.len() - duplicates,
            duplicates: duplicates + known,
            quarantined,
        })
    }

    fn understand(&self, piece: Piece<'_>) -> Result<Draft, Rejected> {
        let rejected =
            |error_key, field, detail| Rejected { index: 0, error_key, field, detail: shortened(detail) };
        let text = match piece {
            Piece::Text(text) => text,
            Piece::NotText(_, valid) => {
                return Err(rejected("malformedJson", None, format!("not UTF-8 after byte {valid}")));
            }
        };
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
            let field = (error.field != "event").then_some(shortened(error.field));
            rejected("invalidEvent", field, error.reason)
        })
    }

    fn understand_item(
        &self,
        source: &Source,
        item: &Item<'_>,
        rule: &ItemRule,
    ) -> Result<sources::Normalised, String> {
        let max = self.limits.max_event_bytes;
        match &item.flaw {
            Some(flaw) => Err(flaw.clone()),
            None if item.text.len() > max => Err(format!("the item is larger than {max} bytes")),
            None => source
                .platform
                .normalise(&item.text, rule)
                .map_err(|unparseable| shortened(unparseable.reason)),
        }
    }

    /// The id of an event that has none: the same for a request repeated with its key, fresh otherwise.
    fn own_id(&self, delivery: &Delivery<'_>, index: usize, time: Timestamp) -> EventId {
        match delivery.key {
            Some((key, _)) => EventId::derive(time, &["key", delivery.identity, key, &index.to_string()]),
            None => EventId::draw(delivery.received_at, &self.random),
        }
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

/// A reason that quotes what it is about, which may be as large as the event.
fn shortened(mut reason: String) -> String {
    const MAX: usize = 512;
    if reason.len() > MAX {
        reason.truncate(reason.floor_char_boundary(MAX));
        reason.push('…');
    }
    reason
}
