//! What this process knows of the log: an index of its blocks, and the ids and keys of the window. It follows the log and
//! can be built from it at any time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{EventId, Timestamp};
use event::{Stream, StreamSet};
use journal::{OnConflict, Receipt, RequestKey};

use crate::envelope::{Opened, Owner};

const ID_WINDOW: Duration = Duration::from_hours(72);
const KEY_WINDOW: Duration = Duration::from_hours(24);

/// A block without its records.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    pub sequence: u64,
    pub stream: Stream,
    pub n_records: u64,
    pub bytes: u64,
    pub appended_at: Timestamp,
}

/// The log as far as it was followed.
#[derive(Default)]
pub struct View {
    /// The oldest sequence that is stored; one above `last` when there is none.
    pub first: u64,
    /// The last sequence that was taken in, whether or not it is a block.
    pub last: u64,
    pub blocks: BTreeMap<u64, Meta>,
    ids: HashMap<EventId, (Owner, Timestamp)>,
    keys: HashMap<EventId, ([u8; 8], Timestamp)>,
}

/// How a request key stands.
#[derive(PartialEq, Eq)]
pub enum Key {
    New,
    Known,
    Reused,
}

impl View {
    /// Takes in the message at `sequence`; `None` where there is none any more. The block, when it is one.
    pub fn apply(&mut self, sequence: u64, opened: Option<&Opened>) -> Option<Meta> {
        self.first = self.first.max(1);
        self.last = sequence;
        let opened = opened?;
        let at = opened.envelope.at();
        if let Some((id, digest)) = opened.envelope.key {
            self.keys.insert(id, (digest, at));
        }
        let block = opened.block.as_ref()?;
        for ((_, record), producer) in block.records().zip(&opened.envelope.producers) {
            let owner = Owner::of(&record, journal::Producer(*producer));
            self.ids.insert(record.event_id(), (owner, at));
        }
        let meta = Meta {
            sequence,
            stream: block.stream(),
            n_records: block.n_records() as u64,
            bytes: block.payload_bytes() as u64,
            appended_at: at,
        };
        self.blocks.insert(sequence, meta);
        Some(meta)
    }

    pub fn drop_below(&mut self, up_to: u64) {
        self.blocks = self.blocks.split_off(&up_to);
        self.first = self.first.max(up_to);
    }

    pub const fn next(&self) -> u64 {
        self.last + 1
    }

    pub fn first(&self) -> u64 {
        self.first.max(1)
    }

    /// What becomes of an id that is known already; `None` when it is not.
    pub fn judge(&self, id: EventId, new: Owner, on_conflict: OnConflict, now: Timestamp) -> Option<Receipt> {
        let (known, _) = self.ids.get(&id).filter(|(_, at)| now.since(*at) <= ID_WINDOW)?;
        Some(judge(*known, new, on_conflict))
    }

    pub fn key(&self, key: &RequestKey, now: Timestamp) -> Key {
        match self.keys.get(&key.id).filter(|(_, at)| now.since(*at) <= KEY_WINDOW) {
            None => Key::New,
            Some((digest, _)) if *digest == key.digest => Key::Known,
            Some(_) => Key::Reused,
        }
    }

    /// The blocks of these streams in a range.
    pub fn range(&self, streams: StreamSet, from: u64, until: u64) -> impl Iterator<Item = &Meta> {
        self.blocks
            .range(from..until.max(from))
            .map(|(_, meta)| meta)
            .filter(move |meta| streams.contains(meta.stream))
    }
}

/// What becomes of an entry whose id has an owner.
pub fn judge(known: Owner, new: Owner, on_conflict: OnConflict) -> Receipt {
    if known.producer != new.producer {
        Receipt::Foreign
    } else if known.content == new.content || on_conflict == OnConflict::KeepFirst {
        Receipt::Duplicate
    } else {
        Receipt::Conflict
    }
}
