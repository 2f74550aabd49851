//! A consumer's cursor and books: the part of it that survives a restart.

use event::{Stream, StreamSet};

use super::format::wire::of;
use super::ranges::Ranges;
use super::timeline::{BlockInfo, Look, Missing, Pinned, Timeline, Totals};
use crate::{StartAt, Tally};

/// How far a consumer is, and what became of the events it passed. Saved as a whole, so that cursor and books agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) streams: StreamSet,
    pub(super) started_at: u64,
    /// The first sequence that is not for it; `u64::MAX`: none.
    pub(super) until: u64,
    /// Every block of its streams below is settled.
    pub(super) floor: u64,
    /// Settled blocks from the floor on. Blocks that are not for it count as settled.
    pub(super) settled: Ranges,
    pub(super) tally: Tally,
    /// Payload bytes of its settled blocks.
    pub(super) settled_bytes: u64,
    /// What was appended before its start.
    pub(super) start: Totals,
    /// What was appended before its end, once the journal has passed it.
    pub(super) end: Option<Totals>,
}

/// Blocks of a consumer that are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsettled {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl Cursor {
    pub(super) fn new(streams: StreamSet, started_at: u64, until: Option<u64>, start: Totals) -> Self {
        Self {
            streams,
            started_at,
            until: until.unwrap_or(u64::MAX),
            floor: started_at,
            settled: Ranges::default(),
            tally: Tally::default(),
            settled_bytes: 0,
            start,
            end: None,
        }
    }

    /// Whether the block is for this consumer.
    pub(super) fn covers(&self, block: &BlockInfo) -> bool {
        block.n_records > 0
            && self.streams.contains(block.stream)
            && (self.started_at..self.until).contains(&block.sequence)
    }

    /// Notes that a block is done.
    pub(super) fn done(&mut self, block: &BlockInfo, tally: &Tally) {
        self.settled.insert(block.sequence, block.sequence + 1);
        self.tally = self.tally.plus(tally);
        self.settled_bytes += u64::from(block.appended_bytes);
        self.raise(self.floor);
    }

    /// Moves the floor to `to` and on over everything that is settled.
    pub(super) fn raise(&mut self, to: u64) {
        self.floor = self.floor.max(to);
        if let Some(end) = self.settled.end_of(self.floor) {
            self.floor = end;
        }
        self.settled.drop_below(self.floor);
    }

    /// What was appended to its streams in `start..min(head, until)`: events, bytes.
    pub(super) fn appended(&self, head: &Totals) -> Unsettled {
        let end = self.end.as_ref().unwrap_or(head);
        let sum = |at: fn(&Totals, Stream) -> u64| {
            let streams = Stream::ALL.into_iter().filter(|stream| self.streams.contains(*stream));
            streams.map(|stream| at(end, stream).saturating_sub(at(&self.start, stream))).sum()
        };
        Unsettled {
            events: sum(|totals, stream| of(&totals.events, stream)),
            bytes: sum(|totals, stream| of(&totals.bytes, stream)),
        }
    }

    /// The blocks of `from..until` that are for this consumer and not settled, summed up.
    pub(super) fn unsettled(
        &self,
        from: u64,
        until: u64,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Unsettled, Missing> {
        let until = until.min(self.until).min(timeline.next());
        let mut at = from.max(self.floor);
        let mut sum = Unsettled::default();
        while at < until {
            if let Some(end) = self.settled.end_of(at) {
                at = end;
                continue;
            }
            if let Some((segment_end, gained)) = timeline.whole_segment(at, self.streams)
                && segment_end <= until
                && !self.settled.touches(at, segment_end)
            {
                sum.events += gained.events;
                sum.bytes += gained.bytes;
                at = segment_end;
                continue;
            }
            match timeline.look(at, pinned)? {
                Look::Block(block) => {
                    if self.covers(&block) {
                        sum.events += u64::from(block.n_records);
                        sum.bytes += u64::from(block.appended_bytes);
                    }
                    at += 1;
                }
                Look::Trimmed(first) => at = first,
                Look::End => break,
            }
        }
        Ok(sum)
    }

    /// Moves the floor to the first block that is for this consumer and not settled, and answers that block.
    pub(super) fn advance(
        &mut self,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Option<BlockInfo>, Missing> {
        loop {
            self.raise(self.floor);
            if self.floor >= self.until.min(timeline.next()) {
                return Ok(None);
            }
            if let Some(end) = timeline.end_of_segment_without(self.floor, self.streams) {
                self.raise(end);
                continue;
            }
            match timeline.look(self.floor, pinned)? {
                Look::Block(block) if self.covers(&block) => return Ok(Some(block)),
                Look::Block(_) => self.raise(self.floor + 1),
                Look::Trimmed(first) => self.raise(first),
                Look::End => return Ok(None),
            }
        }
    }

    /// Ends everything below `to`, whatever became of it. Answers what was not settled.
    pub(super) fn pass(
        &mut self,
        to: u64,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Unsettled, Missing> {
        let passed = self.unsettled(self.floor, to, timeline, pinned)?;
        self.settled_bytes += passed.bytes;
        self.raise(to);
        Ok(passed)
    }
}

/// The block sequence that a start means now.
pub(super) fn resolve(start: StartAt, timeline: &Timeline) -> u64 {
    match start {
        StartAt::Now => timeline.next(),
        StartAt::Earliest => timeline.first(),
        StartAt::Block(sequence) => sequence.clamp(timeline.first(), timeline.next()),
    }
}
