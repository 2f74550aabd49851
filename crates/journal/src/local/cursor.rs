//! A consumer's cursor and books: the part of it that survives a restart.

use base::Timestamp;
use event::{Stream, StreamSet};

use super::attempts::Pinned;
use super::format::wire::of;
use super::ranges::Ranges;
use super::timeline::{BlockInfo, Look, Missing, Timeline, Totals};
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

/// Events of a consumer's streams, and their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
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

    /// Whether the block is for this consumer and not settled.
    pub(super) fn is_pending(&self, block: &BlockInfo) -> bool {
        self.covers(block) && block.sequence >= self.floor && self.settled.end_of(block.sequence).is_none()
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
    pub(super) fn appended(&self, head: &Totals) -> Amount {
        self.gained(self.end.as_ref().unwrap_or(head))
    }

    /// What its streams gained from its start up to where the totals were `end`.
    fn gained(&self, end: &Totals) -> Amount {
        let sum = |at: fn(&Totals, Stream) -> u64| {
            let streams = Stream::ALL.into_iter().filter(|stream| self.streams.contains(*stream));
            streams.map(|stream| at(end, stream).saturating_sub(at(&self.start, stream))).sum()
        };
        Amount {
            events: sum(|totals, stream| of(&totals.events, stream)),
            bytes: sum(|totals, stream| of(&totals.bytes, stream)),
        }
    }

    /// What of the settled is at or above `from`. Nothing is counted of a segment that cannot be read.
    fn settled_from(&self, from: u64, timeline: &Timeline, pinned: &Pinned) -> Result<Amount, Missing> {
        let mut sum = Amount::default();
        for (start, end) in self.settled.iter() {
            let (mut at, end) = (start.max(from), end.min(self.until));
            while at < end {
                if let Some((segment_end, gained)) = timeline.whole_segment(at, self.streams)
                    && segment_end <= end
                {
                    sum.events += gained.events;
                    sum.bytes += gained.bytes;
                    at = segment_end;
                    continue;
                }
                at = match timeline.look(at, pinned)? {
                    Look::Block(block) => {
                        if self.covers(&block) {
                            sum.events += u64::from(block.n_records);
                            sum.bytes += u64::from(block.appended_bytes);
                        }
                        at + 1
                    }
                    Look::Unreadable(segment) => segment.next,
                    Look::Trimmed(first) => first,
                    Look::End => end,
                };
            }
        }
        Ok(sum)
    }

    /// Moves the floor to the first block that is for this consumer and not settled, as far as that can be read.
    /// Answers when that block was appended; of a segment that cannot be read, when it was begun.
    pub(super) fn advance(
        &mut self,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Option<Timestamp>, Missing> {
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
                Look::Block(block) if self.covers(&block) => return Ok(Some(block.appended_at)),
                Look::Block(_) => self.raise(self.floor + 1),
                Look::Trimmed(first) => self.raise(first),
                Look::Unreadable(segment) => return Ok(Some(segment.created_at)),
                Look::End => return Ok(None),
            }
        }
    }

    /// What is not settled below `to`, where the totals were `before`. It follows from the books, so that the blocks in
    /// between need not be read: all that was appended to its streams, less what is settled, but for what is settled
    /// from `to` on.
    pub(super) fn unsettled_below(
        &self,
        to: u64,
        before: &Totals,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Amount, Missing> {
        if to <= self.floor {
            return Ok(Amount::default());
        }
        let above = self.settled_from(to, timeline, pinned)?;
        let appended = if self.until <= to { self.appended(before) } else { self.gained(before) };
        Ok(Amount {
            events: (appended.events + above.events).saturating_sub(self.tally.total()),
            bytes: (appended.bytes + above.bytes).saturating_sub(self.settled_bytes),
        })
    }

    /// Ends the lost blocks of `from..until`, at whose end the totals were `totals`. What it had not settled of them counts
    /// as discarded: what was not settled below their end, less what of that can be read.
    pub(super) fn give_up(
        &mut self,
        from: u64,
        until: u64,
        totals: &Totals,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<(), Missing> {
        let (from, until) = (from.max(self.started_at), until.min(self.until));
        if from >= until || until <= self.floor {
            return Ok(());
        }
        let mut lost = self.unsettled_below(until, totals, timeline, pinned)?;
        let mut at = self.floor.max(timeline.first());
        while at < until {
            if let Some(end) = self.settled.end_of(at) {
                at = end;
                continue;
            }
            if let Look::Block(block) = timeline.look(at, pinned)?
                && self.is_pending(&block)
                && !block.lost
            {
                lost.events = lost.events.saturating_sub(u64::from(block.n_records));
                lost.bytes = lost.bytes.saturating_sub(u64::from(block.appended_bytes));
            }
            at += 1;
        }
        self.tally.discarded += lost.events;
        self.settled_bytes += lost.bytes;
        self.settled.insert(from.max(self.floor), until);
        self.raise(self.floor);
        Ok(())
    }

    /// Ends everything below `to`, where the totals were `before`, whatever became of it. Answers what was not settled.
    pub(super) fn pass(
        &mut self,
        to: u64,
        before: &Totals,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<Amount, Missing> {
        let passed = self.unsettled_below(to, before, timeline, pinned)?;
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
