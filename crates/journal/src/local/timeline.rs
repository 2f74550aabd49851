//! What is known of the stored blocks without reading them: the segments, and where each block of a segment lies.
//!
//! Per sealed segment only a few numbers stay in memory. The index of its blocks is read when it is needed: a function
//! that misses one says so ([`Missing`]), its caller loads the index outside of any lock, pins it, and tries again.

use std::collections::VecDeque;

use base::Timestamp;
use event::{Stream, StreamSet};

use super::attempts::{Pin, Pinned};
use super::cursor::Amount;
use super::format::block::BlockHeader;
use super::format::segment::SegmentHeader;
use super::format::wire::{add, of};
use crate::retention::{PerStream, SegmentFacts};

/// Events and payload bytes appended to each stream since the journal began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events: PerStream,
    pub(super) bytes: PerStream,
}

impl Totals {
    pub(super) fn count(&mut self, block: &BlockInfo) {
        add(&mut self.events, block.stream, u64::from(block.n_records));
        add(&mut self.bytes, block.stream, u64::from(block.appended_bytes));
    }
}

/// One block, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockInfo {
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) stream: Stream,
    pub(super) n_records: u32,
    pub(super) appended_bytes: u32,
    /// Of them, those that were not erased and have not expired.
    pub(super) payload_bytes: u32,
    pub(super) stored_bytes: u32,
    pub(super) appended_at: Timestamp,
    /// It was given up.
    pub(super) lost: bool,
}

impl BlockInfo {
    pub(super) fn new(header: &BlockHeader, position: u64) -> Self {
        Self {
            sequence: header.sequence,
            position,
            stream: header.stream,
            n_records: header.n_records,
            appended_bytes: header.appended_bytes,
            payload_bytes: header.payload_bytes,
            stored_bytes: header.stored_bytes() as u32,
            appended_at: header.appended_at,
            lost: header.lost,
        }
    }
}

/// Where the blocks of one sealed segment lie, in order of sequence.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) generation: u32,
    pub(super) blocks: Vec<BlockInfo>,
}

/// A segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) generation: u32,
    pub(super) first: u64,
    /// The sequence after its last block. Of the active segment: as far as it is durable.
    pub(super) next: u64,
    pub(super) stored_bytes: u64,
    pub(super) created_at: Timestamp,
    pub(super) last_appended_at: Timestamp,
    /// At its first block.
    pub(super) before: Totals,
    /// Of the last block before it.
    pub(super) previous_hash: [u8; 32],
    /// Of these streams nothing is in it that is still to expire. Found out anew by each process.
    pub(super) expired: StreamSet,
}

impl Segment {
    pub(super) fn new(header: &SegmentHeader, stored_bytes: u64) -> Self {
        Self {
            id: header.id,
            generation: header.generation,
            first: header.first,
            next: header.first,
            stored_bytes,
            created_at: header.created_at,
            last_appended_at: header.created_at,
            before: Totals { events: header.events_before, bytes: header.bytes_before },
            previous_hash: header.previous_hash,
            expired: StreamSet::default(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first == self.next
    }
}

/// The index of this segment is needed and not there.
#[derive(Clone, Debug)]
pub(super) struct Missing(pub(super) Box<Segment>);

/// What is at a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    Block(BlockInfo),
    /// Nothing any more; the journal begins here.
    Trimmed(u64),
    /// Nothing yet.
    End,
    /// Something in a segment whose index cannot be read.
    Unreadable(Segment),
}

/// All segments in order; the last one is the active one and always there.
#[derive(Debug)]
pub(super) struct Timeline {
    sealed: VecDeque<Segment>,
    active: Segment,
    active_blocks: Vec<BlockInfo>,
    totals: Totals,
}

impl Timeline {
    pub(super) fn new(sealed: VecDeque<Segment>, active: Segment) -> Self {
        Self { sealed, totals: active.before, active, active_blocks: Vec::new() }
    }

    /// The oldest segment.
    pub(super) fn first_segment(&self) -> &Segment {
        self.sealed.front().unwrap_or(&self.active)
    }

    /// What was appended before the oldest segment.
    pub(super) fn before_first(&self) -> &Totals {
        &self.first_segment().before
    }

    /// The oldest stored sequence.
    pub(super) fn first(&self) -> u64 {
        self.first_segment().first
    }

    /// The sequence of the next block.
    pub(super) const fn next(&self) -> u64 {
        self.active.next
    }

    pub(super) const fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(super) const fn active(&self) -> &Segment {
        &self.active
    }

    pub(super) const fn sealed(&self) -> &VecDeque<Segment> {
        &self.sealed
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.stored_bytes).sum::<u64>() + self.active.stored_bytes
    }

    /// Adds a durable block to the active segment.
    pub(super) fn push(&mut self, block: BlockInfo) {
        self.totals.count(&block);
        self.active.next = block.sequence + 1;
        self.active.last_appended_at = block.appended_at;
        self.active.stored_bytes = block.position + u64::from(block.stored_bytes);
        self.active_blocks.push(block);
    }

    /// Seals the active segment; answers its index.
    pub(super) fn roll(&mut self, active: Segment) -> Index {
        let sealed = std::mem::replace(&mut self.active, active);
        self.sealed.push_back(sealed);
        Index { generation: sealed.generation, blocks: std::mem::take(&mut self.active_blocks) }
    }

    /// Drops sealed segments whose blocks are all below `up_to`; answers them.
    pub(super) fn drop_below(&mut self, up_to: u64) -> Vec<Segment> {
        let n = self.sealed.iter().take_while(|segment| segment.next <= up_to).count();
        self.sealed.drain(..n).collect()
    }

    /// Notes that a sealed segment was rewritten. `false` when it is gone.
    pub(super) fn rewritten(&mut self, id: u64, generation: u32, stored_bytes: u64) -> bool {
        let Some(segment) = self.sealed.iter_mut().find(|segment| segment.id == id) else { return false };
        segment.generation = generation;
        segment.stored_bytes = stored_bytes;
        true
    }

    /// The sealed segments that may hold events that have expired, in order, and of which streams: what lies below `points`.
    pub(super) fn to_expire(&self, points: &PerStream) -> Vec<(Segment, StreamSet)> {
        let of_segment = |segment: &Segment| {
            let has_expired = |stream: &Stream| {
                segment.next <= of(points, *stream)
                    && !segment.expired.contains(*stream)
                    && self.gained(segment, (*stream).into()).events > 0
            };
            let streams: StreamSet = Stream::ALL.into_iter().filter(has_expired).collect();
            (!streams.is_empty()).then_some((*segment, streams))
        };
        self.sealed.iter().filter_map(of_segment).collect()
    }

    /// Notes that nothing of these streams is left to expire in a segment.
    pub(super) fn note_expired(&mut self, id: u64, streams: StreamSet) {
        if let Some(segment) = self.sealed.iter_mut().find(|segment| segment.id == id) {
            segment.expired = StreamSet::from_bits(segment.expired.bits() | streams.bits());
        }
    }

    /// The segment that holds a stored sequence.
    pub(super) fn segment_of(&self, sequence: u64) -> Option<&Segment> {
        if sequence >= self.active.first {
            return (sequence < self.active.next).then_some(&self.active);
        }
        let after = self.sealed.partition_point(|segment| segment.first <= sequence);
        self.sealed.get(after.checked_sub(1)?)
    }

    pub(super) fn look(&self, sequence: u64, pinned: &Pinned) -> Result<Look, Missing> {
        if sequence < self.first() {
            return Ok(Look::Trimmed(self.first()));
        }
        let Some(segment) = self.segment_of(sequence) else { return Ok(Look::End) };
        let at = (sequence - segment.first) as usize;
        let blocks = if segment.id == self.active.id {
            &self.active_blocks
        } else {
            match pinned.get(segment) {
                Pin::Index(index) => &index.blocks,
                Pin::Missing => return Err(Missing(Box::new(*segment))),
                Pin::Unreadable => return Ok(Look::Unreadable(*segment)),
            }
        };
        Ok(blocks.get(at).map_or(Look::End, |block| Look::Block(*block)))
    }

    /// When `sequence` begins a sealed segment: its end, and what the streams gained in it.
    pub(super) fn whole_segment(&self, sequence: u64, streams: StreamSet) -> Option<(u64, Amount)> {
        let segment = self.segment_of(sequence)?;
        if segment.id == self.active.id || segment.first != sequence {
            return None;
        }
        Some((segment.next, self.gained(segment, streams)))
    }

    /// The end of the sealed segment around `sequence` when the streams have no event in it.
    pub(super) fn end_of_segment_without(&self, sequence: u64, streams: StreamSet) -> Option<u64> {
        let segment = self.segment_of(sequence)?;
        (segment.id != self.active.id && self.gained(segment, streams).events == 0).then_some(segment.next)
    }

    fn gained(&self, segment: &Segment, streams: StreamSet) -> Amount {
        let after = self.before_segment(segment.id + 1);
        let mut gained = Amount::default();
        for stream in Stream::ALL.into_iter().filter(|stream| streams.contains(*stream)) {
            gained.events += of(&after.events, stream).saturating_sub(of(&segment.before.events, stream));
            gained.bytes += of(&after.bytes, stream).saturating_sub(of(&segment.before.bytes, stream));
        }
        gained
    }

    /// The totals at the first block of a segment; those at the head when there is no such segment.
    fn before_segment(&self, id: u64) -> Totals {
        if id == self.active.id {
            return self.active.before;
        }
        let at = self.sealed.front().and_then(|first| id.checked_sub(first.id));
        at.and_then(|at| self.sealed.get(at as usize)).map_or(self.totals, |segment| segment.before)
    }

    /// The totals of everything before `first`, the beginning of a segment.
    pub(super) fn totals_before(&self, first: u64) -> Totals {
        self.segment_of(first).map_or(self.totals, |segment| segment.before)
    }

    /// The totals of everything before a stored `sequence`, or at the head; `None` when they cannot be read.
    pub(super) fn totals_at(&self, sequence: u64, pinned: &Pinned) -> Result<Option<Totals>, Missing> {
        let Some(segment) = self.segment_of(sequence) else { return Ok(Some(self.totals)) };
        let mut totals = segment.before;
        for at in segment.first..sequence {
            match self.look(at, pinned)? {
                Look::Block(block) => totals.count(&block),
                Look::Unreadable(_) => return Ok(None),
                Look::Trimmed(_) | Look::End => {}
            }
        }
        Ok(Some(totals))
    }

    /// What retention needs to know.
    pub(super) fn facts(&self) -> Vec<SegmentFacts> {
        let segments = self.sealed.iter().chain(std::iter::once(&self.active));
        let facts = segments.map(|segment| {
            let after = self.before_segment(segment.id + 1);
            let payload_bytes = Stream::ALL
                .map(|stream| of(&after.bytes, stream).saturating_sub(of(&segment.before.bytes, stream)));
            SegmentFacts {
                first: segment.first,
                next: segment.next,
                created_at: segment.created_at,
                last_appended_at: segment.last_appended_at,
                stored_bytes: segment.stored_bytes,
                payload_bytes,
            }
        });
        facts.collect()
    }
}
