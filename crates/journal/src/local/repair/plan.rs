//! What each damaged segment becomes: its intact blocks, and markers for the others.

use std::ops::Range;

use base::Timestamp;
use event::Stream;

use super::markers::{of_hole, spread_bytes};
use crate::JournalError;
use crate::local::format::block::BlockHeader;
use crate::local::format::segment::SegmentHeader;
use crate::local::format::wire::{add, of};
use crate::local::survey::{Hole, Piece, Survey, Surveyed};
use crate::local::timeline::Totals;
use crate::retention::PerStream;

/// What is laid down in a new segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// An intact block of the old file.
    Keep(Piece),
    Marker(BlockHeader),
}

impl Item {
    const fn header(&self) -> &BlockHeader {
        match self {
            Self::Keep(piece) => &piece.header,
            Self::Marker(header) => header,
        }
    }
}

/// A segment that is written anew.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub(super) header: SegmentHeader,
    /// Whether there is an old file.
    pub(super) is_there: bool,
    /// Parts of the old file that are set aside.
    pub(super) broken: Vec<Range<u64>>,
    pub(super) items: Vec<Item>,
}

/// A file of which nothing is left: the last one, or the oldest ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    pub(super) id: u64,
    pub(super) len: u64,
}

impl Dropped {
    fn of(segment: &Surveyed) -> Option<Self> {
        segment.is_there.then_some(Self { id: segment.id, len: segment.len })
    }
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) segments: Vec<NewSegment>,
    pub(super) dropped: Vec<Dropped>,
    /// The sequence after the last block.
    pub(super) end: u64,
    /// What was appended before the first block.
    pub(super) totals_at_first: Totals,
}

/// Why nothing can be mended.
const NOTHING_LEFT: &str = "nothing is left of the journal: restore a backup";

impl Plan {
    pub(super) fn of(survey: &Survey) -> Result<Self, JournalError> {
        let parts = &survey.parts;
        let Some(last) = parts.segments.last() else {
            return if survey.problems.is_empty() {
                Ok(Self { end: 1, ..Self::default() })
            } else {
                Err(JournalError::Refused(NOTHING_LEFT))
            };
        };
        let end = parts.holes.last().map_or(survey.next, |hole| hole.until.max(survey.next));
        let mut firsts = firsts(&parts.segments, survey.first);
        let mut segments: &[Surveyed] = &parts.segments;
        let mut dropped: Vec<_> = parts.abandoned.iter().filter_map(Dropped::of).collect();
        if last.header.is_none() && firsts.last().is_some_and(|first| *first >= end) {
            dropped.extend(Dropped::of(last));
            segments = segments.get(..segments.len() - 1).unwrap_or_default();
            firsts.pop();
        }
        if segments.is_empty() {
            return Err(JournalError::Refused(NOTHING_LEFT));
        }
        firsts.push(end);
        // Of what nothing says when it was appended, the books' clock begins at the epoch: retention takes it first.
        let at = survey.last_appended_at.unwrap_or_default();
        let holes = parts.holes.iter().map(|hole| at_least(hole, survey));
        let markers: Vec<BlockHeader> = holes.flat_map(|hole| of_hole(&hole, at)).collect();
        let mut laid = Laid { segments, firsts: &firsts, markers };
        laid.spread();
        Ok(Self { dropped, end, ..laid.plan(at) })
    }
}

/// Of a hole at the end nothing says how many events it cost. It counts as many as the books of consumers need, so that
/// none has settled more than was ever appended.
fn at_least(hole: &Hole, survey: &Survey) -> Hole {
    let mut events = hole.events_before;
    let totals = Totals { events, bytes: PerStream::default() };
    let consumers = survey.parts.checkpoint.iter().flat_map(|checkpoint| checkpoint.consumers.values());
    for (nth, cursor) in consumers.filter(|_| hole.events_after.is_none()).enumerate() {
        let pending = survey.parts.pending.get(nth).copied().unwrap_or(0);
        let missing = (cursor.tally.total() + pending).saturating_sub(cursor.appended(&totals).events);
        let stream = Stream::ALL.into_iter().find(|stream| cursor.streams.contains(*stream));
        if let Some(stream) = stream {
            let had = of(&events, stream) - of(&hole.events_before, stream);
            add(&mut events, stream, missing.saturating_sub(had));
        }
    }
    Hole { events_after: hole.events_after.or(Some(events)), ..*hole }
}

/// Where each segment begins. One that does not say so begins behind the last intact block before it, and each has at
/// least one block.
fn firsts(segments: &[Surveyed], first: u64) -> Vec<u64> {
    let mut firsts = Vec::with_capacity(segments.len());
    let (mut least, mut next) = (first, first);
    for segment in segments {
        let first = segment.header.map_or(least.max(next), |header| header.first);
        firsts.push(first);
        least = first + 1;
        next = segment.pieces.last().map_or(next, |piece| piece.header.sequence + 1);
    }
    firsts
}

/// Segments, where they begin, and the markers of all of them.
struct Laid<'s> {
    segments: &'s [Surveyed],
    /// One more than segments: the end.
    firsts: &'s [u64],
    markers: Vec<BlockHeader>,
}

impl Laid<'_> {
    fn range(&self, at: usize) -> Range<u64> {
        let first = self.firsts.get(at).copied().unwrap_or(u64::MAX);
        first..self.firsts.get(at + 1).copied().unwrap_or(u64::MAX)
    }

    fn markers_in(&self, range: &Range<u64>) -> Range<usize> {
        let at = |sequence| self.markers.partition_point(|marker| marker.sequence < sequence);
        at(range.start)..at(range.end)
    }

    /// Gives the markers between two headers that can be read the bytes that are missing between them.
    fn spread(&mut self) {
        let with_header: Vec<usize> = (0..self.segments.len())
            .filter(|at| self.segments.get(*at).is_some_and(|s| s.header.is_some()))
            .collect();
        for pair in with_header.windows(2) {
            let &[from, to] = pair else { continue };
            let before = |at: usize| self.segments.get(at)?.header.map(|header| header.bytes_before);
            let (Some(begin), Some(mut missing)) = (before(from), before(to)) else { continue };
            let there = self.segments.get(from..to).unwrap_or_default();
            for (nth, missing) in missing.iter_mut().enumerate() {
                let of = |counts: &PerStream| counts.get(nth).copied().unwrap_or(0);
                let stored: u64 = there.iter().map(|segment| of(&segment.bytes)).sum();
                *missing = missing.saturating_sub(of(&begin) + stored);
            }
            let markers = self.markers_in(&(self.range(from).start..self.range(to).start));
            spread_bytes(self.markers.get_mut(markers).unwrap_or_default().iter_mut(), missing);
        }
    }

    fn plan(&self, at: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let (mut bytes, mut last_at) = (self.bytes_at_first(), at);
        for (nth, segment) in self.segments.iter().enumerate() {
            let range = self.range(nth);
            let markers = self.markers.get(self.markers_in(&range)).unwrap_or_default();
            bytes = segment.header.map_or(bytes, |header| header.bytes_before);
            let items = merge(&segment.pieces, markers);
            let header = header(segment, range.start, &items, bytes, last_at);
            if nth == 0 {
                plan.totals_at_first = Totals { events: header.events_before, bytes: header.bytes_before };
            }
            for (nth, bytes) in bytes.iter_mut().enumerate() {
                *bytes += segment.bytes.get(nth).copied().unwrap_or(0);
            }
            for marker in markers {
                add(&mut bytes, marker.stream, u64::from(marker.appended_bytes));
            }
            last_at = items.last().map_or(last_at, |item| item.header().appended_at);
            if !segment.is_sound || segment.header.is_none() || !markers.is_empty() {
                let (is_there, broken) = (segment.is_there, segment.broken.clone());
                plan.segments.push(NewSegment { header, is_there, broken, items });
            }
        }
        plan
    }

    /// Payload bytes before the first segment when it does not say so: what the first header that can be read says, less
    /// what lies before it.
    fn bytes_at_first(&self) -> PerStream {
        let mut before = PerStream::default();
        for segment in self.segments {
            if let Some(header) = segment.header {
                let mut bytes = header.bytes_before;
                for (bytes, before) in bytes.iter_mut().zip(before) {
                    *bytes = bytes.saturating_sub(before);
                }
                return bytes;
            }
            for (before, bytes) in before.iter_mut().zip(segment.bytes) {
                *before += bytes;
            }
        }
        PerStream::default()
    }
}

/// Blocks and markers in order.
fn merge(pieces: &[Piece], markers: &[BlockHeader]) -> Vec<Item> {
    let pieces = pieces.iter().map(|piece| Item::Keep(*piece));
    let mut items: Vec<Item> = pieces.chain(markers.iter().map(|marker| Item::Marker(*marker))).collect();
    items.sort_by_key(|item| item.header().sequence);
    items
}

fn header(
    segment: &Surveyed,
    first: u64,
    items: &[Item],
    bytes_before: PerStream,
    last_at: Timestamp,
) -> SegmentHeader {
    if let Some(header) = segment.header {
        return SegmentHeader { generation: header.generation + 1, ..header };
    }
    let begins = items.first().map(Item::header);
    SegmentHeader {
        generation: 1,
        id: segment.id,
        first,
        created_at: last_at,
        previous_appended_at: last_at,
        events_before: begins.map(|block| block.events_before).unwrap_or_default(),
        bytes_before,
        previous_hash: begins.map(|block| block.previous_hash).unwrap_or_default(),
    }
}
