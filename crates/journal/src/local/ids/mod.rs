//! Which ids are known: the dedupe window and the request keys.
//!
//! The active segment's ids are in a [`Table`]. When a segment is sealed, its table becomes a [`sidecar`] file beside
//! it, which is probed by a filter and searched on disk. A sidecar is only a cache: it is rebuilt from its segment when
//! it is missing or damaged.

mod filter;
mod group;
mod groups;
mod sealed;
pub(super) mod sidecar;
pub(super) mod window;

pub(super) use self::group::is_intact as filters_are_intact;
pub(super) use self::sidecar::is_intact as ids_are_intact;

use std::collections::HashMap;

use base::{EventId, Timestamp};
use event::Record;

use super::format::block::StoredBlock;
use crate::prepared::{Owner, first_8};

/// Ids of events and of requests, which may be equal without being the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Event = 0,
    Request = 1,
}

/// A request key that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) digest: [u8; 8],
    pub(super) at: Timestamp,
}

/// The ids of one segment, or of one group that is not durable yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) events: HashMap<EventId, Owner>,
    pub(super) keys: HashMap<EventId, KeyUse>,
}

impl Table {
    /// Adds the ids of a stored block. Erased records have none.
    pub(super) fn add(&mut self, block: &StoredBlock) {
        for key in &block.keys {
            self.keys.insert(key.id, KeyUse { digest: key.digest, at: block.header.appended_at });
        }
        let readable = block.to_block();
        for (index, row) in block.rows.iter().enumerate() {
            if let Some(Ok(record)) = readable.record_bytes(index).map(Record::parse) {
                let content = first_8(&record.content_digest());
                self.events.insert(record.event_id(), Owner { producer: row.producer, content });
            }
        }
    }

    /// Takes in the ids of a group that became durable.
    pub(super) fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
        self.keys.extend(other.keys);
    }

    pub(super) fn len(&self) -> usize {
        self.events.len() + self.keys.len()
    }
}
