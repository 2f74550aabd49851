//! The plan of a commit group: which entries are stored, in which blocks, and what each append is answered.
//!
//! Pure: what is known of ids comes in through [`Known`], nothing is written. Appends and entries of one group see each
//! other, in order.

use base::{EventId, Timestamp};
use event::Stream;

use super::format::block::{self, BlockHeader, MAX_KEYS, MAX_RECORDS, Row};
use super::ids::{KeyUse, Table, window::Window};
use super::timeline::{BlockInfo, Totals};
use crate::prepared::{Owner, Prepared, PreparedEntry, judge};
use crate::seam::MAX_BLOCK_BYTES;
use crate::{JournalError, Offset, Receipt, RequestKey};

/// Looks ids up that are durable.
pub(super) trait Known {
    fn event(&mut self, id: EventId) -> Result<Option<Owner>, JournalError>;
    fn key(&mut self, id: EventId) -> Result<Option<KeyUse>, JournalError>;
}

/// The window at one moment.
pub(super) struct WindowAt<'a>(pub(super) &'a mut Window, pub(super) Timestamp);

impl Known for WindowAt<'_> {
    fn event(&mut self, id: EventId) -> Result<Option<Owner>, JournalError> {
        self.0.event(id, self.1)
    }

    fn key(&mut self, id: EventId) -> Result<Option<KeyUse>, JournalError> {
        self.0.key(id, self.1)
    }
}

/// One block to write.
#[derive(Debug)]
pub(super) struct PlannedBlock<'a> {
    pub(super) sequence: u64,
    pub(super) stream: Stream,
    pub(super) entries: Vec<&'a PreparedEntry>,
    pub(super) keys: Vec<RequestKey>,
    pub(super) payload_bytes: usize,
}

/// What an append is answered once the group is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Receipts(Vec<Receipt>),
    KeyReused,
}

/// A group, ready to be encoded.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    pub(super) blocks: Vec<PlannedBlock<'a>>,
    /// One per append, in order.
    pub(super) answers: Vec<Answer>,
    /// The ids that the group adds.
    pub(super) ids: Table,
}

/// Plans a group; its first block gets the sequence `next`.
pub(super) fn plan<'a>(
    group: impl Iterator<Item = &'a Prepared>,
    next: u64,
    now: Timestamp,
    known: &mut impl Known,
) -> Result<Plan<'a>, JournalError> {
    let mut planner = Planner { plan: Plan::default(), next, open: [None; Stream::ALL.len()] };
    for append in group {
        let answer = planner.append(append, now, known)?;
        planner.plan.answers.push(answer);
    }
    Ok(planner.plan)
}

struct Planner<'a> {
    plan: Plan<'a>,
    next: u64,
    /// Per stream: the place in `plan.blocks` of the block that still has room.
    open: [Option<usize>; Stream::ALL.len()],
}

impl<'a> Planner<'a> {
    fn append(
        &mut self,
        append: &'a Prepared,
        now: Timestamp,
        known: &mut impl Known,
    ) -> Result<Answer, JournalError> {
        let mut new_key = None;
        if let Some(key) = append.request_key {
            let used = match self.plan.ids.keys.get(&key.id) {
                Some(used) => Some(*used),
                None => known.key(key.id)?,
            };
            match used {
                Some(used) if used.digest != key.digest => return Ok(Answer::KeyReused),
                Some(_) => {}
                None => new_key = Some(key),
            }
        }
        let mut receipts = Vec::with_capacity(append.entries.len());
        for entry in &append.entries {
            let owner = match self.plan.ids.events.get(&entry.id) {
                Some(owner) => Some(*owner),
                None => known.event(entry.id)?,
            };
            receipts.push(match owner {
                Some(owner) => judge(owner, entry.owner, entry.on_conflict),
                None => self.store(append.stream, entry),
            });
        }
        if let Some(key) = new_key {
            self.plan.ids.keys.insert(key.id, KeyUse { digest: key.digest, at: now });
            // A key without a new record is stored too, if need be in a block of its own.
            self.block(append.stream, 0, |block| block.keys.len() < MAX_KEYS).keys.push(key);
        }
        Ok(Answer::Receipts(receipts))
    }

    fn store(&mut self, stream: Stream, entry: &'a PreparedEntry) -> Receipt {
        let bytes = entry.record.len();
        let block = self.block(stream, bytes, |block| block.entries.len() < MAX_RECORDS);
        let offset = Offset { block: block.sequence, index: block.entries.len() as u32 };
        block.payload_bytes += bytes;
        block.entries.push(entry);
        self.plan.ids.events.insert(entry.id, entry.owner);
        Receipt::Stored(offset)
    }

    /// The stream's open block when it has room, else a new one.
    fn block(
        &mut self,
        stream: Stream,
        bytes: usize,
        has_room: impl Fn(&PlannedBlock<'a>) -> bool,
    ) -> &mut PlannedBlock<'a> {
        let open = self.open.get(stream as usize - 1).copied().flatten();
        let open = open.filter(|at| {
            let block = self.plan.blocks.get(*at);
            block.is_some_and(|block| block.payload_bytes + bytes <= MAX_BLOCK_BYTES && has_room(block))
        });
        let at = open.unwrap_or_else(|| {
            let sequence = self.next;
            self.next += 1;
            let block =
                PlannedBlock { sequence, stream, entries: Vec::new(), keys: Vec::new(), payload_bytes: 0 };
            self.plan.blocks.push(block);
            self.plan.blocks.len() - 1
        });
        if let Some(open) = self.open.get_mut(stream as usize - 1) {
            *open = Some(at);
        }
        #[expect(clippy::indexing_slicing, reason = "`at` is a place in `blocks`: just found or just pushed")]
        &mut self.plan.blocks[at]
    }
}

/// Where in the journal a group is encoded to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) position: u64,
    pub(super) appended_at: Timestamp,
    /// Every block up to here is durable.
    pub(super) durable_up_to: u64,
    pub(super) totals: Totals,
    pub(super) previous_hash: [u8; 32],
}

/// A group's bytes and what to remember of them once they are durable.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) blocks: Vec<BlockInfo>,
    /// The hash of the last block.
    pub(super) hash: [u8; 32],
}

/// Lays a group out.
pub(super) fn encode(blocks: &[PlannedBlock<'_>], place: &Place) -> Encoded {
    let size = blocks
        .iter()
        .map(|block| block.payload_bytes + block.entries.len() * 64 + block.keys.len() * 24 + 168);
    let mut bytes = Vec::with_capacity(size.sum());
    let mut infos = Vec::with_capacity(blocks.len());
    let mut totals = place.totals;
    let mut hash = place.previous_hash;
    for block in blocks {
        let rows: Vec<Row> = block.entries.iter().map(|entry| Row::of(entry)).collect();
        let previous_hash = hash;
        hash = block::hash(&previous_hash, block.sequence, rows.iter().map(|row| &row.digest));
        let start = bytes.len();
        let header = BlockHeader {
            lost: false,
            segment: place.segment,
            sequence: block.sequence,
            stream: block.stream,
            n_keys: block.keys.len() as u16,
            n_records: rows.len() as u32,
            payload_bytes: block.payload_bytes as u32,
            appended_bytes: block.payload_bytes as u32,
            appended_at: place.appended_at,
            durable_up_to: place.durable_up_to,
            events_before: totals.events,
            previous_hash,
            hash,
            body_sum: 0,
        };
        block::encode(
            header,
            &block.keys,
            &rows,
            block.entries.iter().map(|entry| entry.record.as_slice()),
            &mut bytes,
        );
        let info = BlockInfo::new(&header, place.position + start as u64);
        totals.count(&info);
        infos.push(info);
    }
    Encoded { bytes, blocks: infos, hash }
}

/// Where each record of a block ends in its payload.
pub(super) fn ends(block: &PlannedBlock<'_>) -> Vec<u32> {
    let mut end = 0;
    let ends = block.entries.iter().map(|entry| {
        end += entry.record.len() as u32;
        end
    });
    ends.collect()
}
