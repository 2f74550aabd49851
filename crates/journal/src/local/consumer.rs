//! A consumer at work: its cursor, and the blocks that are out. The latter are forgotten at a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use event::{Stream, StreamSet};
use tokio::time::Instant;

use super::attempts::Pinned;
use super::cursor::{Amount, Cursor};
use super::timeline::{BlockInfo, Look, Missing, Timeline, Totals};
use crate::retention::PerStream;
use crate::seam::LONGEST;
use crate::{ConsumerState, LeaseId, LeaseLimits, Tally};

/// A block that has been leased and is not settled.
#[derive(Clone, Copy, Debug)]
struct Out {
    /// `None`: it was handed back.
    lease: Option<LeaseId>,
    /// When it can be leased again: the lease's end, or that of the delay.
    free_at: Instant,
    deliveries: u32,
    block: BlockInfo,
}

/// A block that was just leased.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) lease: LeaseId,
    /// The lease of before that ended with this one.
    pub(super) instead_of: Option<LeaseId>,
    pub(super) deliveries: u32,
    pub(super) block: BlockInfo,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) cursor: Cursor,
    /// Per stream: blocks from here on have not been leased since the start of the process.
    fresh: PerStream,
    out: HashMap<u64, Out>,
    /// The blocks of `out` by the time at which they can be leased again.
    due: BTreeSet<(Instant, u64)>,
    /// Segments that it passed over because they could not be read: id -> end.
    unreadable: BTreeMap<u64, u64>,
}

/// Leases that one call takes, until a bound is reached.
pub(super) struct Basket {
    limits: LeaseLimits,
    /// What can be leased is decided for this moment.
    now: Instant,
    bytes: usize,
    pub(super) taken: Vec<Taken>,
}

impl Basket {
    pub(super) const fn new(limits: LeaseLimits, now: Instant) -> Self {
        Self { limits, now, bytes: 0, taken: Vec::new() }
    }

    fn has_room_for(&self, block: &BlockInfo) -> bool {
        let bytes = self.bytes + block.appended_bytes as usize;
        self.taken.is_empty() || (self.taken.len() < self.limits.max_blocks && bytes <= self.limits.max_bytes)
    }
}

impl Consumer {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            fresh: [cursor.floor; 5],
            cursor,
            out: HashMap::new(),
            due: BTreeSet::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Leases blocks: first those that were out before, then fresh ones. When an index is missing, what was leased until
    /// then is in the basket.
    pub(super) fn take(
        &mut self,
        streams: StreamSet,
        basket: &mut Basket,
        ids: &mut u64,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<(), Missing> {
        let now = basket.now;
        let again = self.due.range(..=(now, u64::MAX)).map(|(_, sequence)| *sequence);
        let again = again.filter(|sequence| self.is_of(*sequence, streams)).take(basket.limits.max_blocks);
        for sequence in again.collect::<Vec<_>>() {
            if let Some(out) = self.out.get(&sequence).copied()
                && basket.has_room_for(&out.block)
            {
                self.lease(out.block, basket, ids, now);
            }
        }
        self.take_fresh(streams, basket, ids, now, timeline, pinned)
    }

    fn is_of(&self, sequence: u64, streams: StreamSet) -> bool {
        self.out.get(&sequence).is_some_and(|out| streams.contains(out.block.stream))
    }

    fn take_fresh(
        &mut self,
        streams: StreamSet,
        basket: &mut Basket,
        ids: &mut u64,
        now: Instant,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<(), Missing> {
        let until = self.cursor.until.min(timeline.next());
        let mut at = self.fresh_from(streams).max(self.cursor.floor);
        while at < until {
            if let Some(end) = self.cursor.settled.end_of(at) {
                at = end;
            } else if let Some(end) = timeline.end_of_segment_without(at, self.cursor.streams) {
                self.cursor.settled.insert(at, end);
                at = end;
            } else if let Some(end) = timeline.end_of_segment_without(at, streams) {
                at = end;
            } else {
                match timeline.look(at, pinned)? {
                    Look::Block(block) if !self.cursor.covers(&block) => {
                        self.cursor.settled.insert(at, at + 1);
                    }
                    Look::Block(block) if streams.contains(block.stream) && self.is_fresh(&block) => {
                        if !basket.has_room_for(&block) {
                            break;
                        }
                        self.lease(block, basket, ids, now);
                    }
                    Look::Block(_) => {}
                    Look::Trimmed(first) => {
                        at = first;
                        continue;
                    }
                    // Its blocks cannot be found. What lies behind is not held up.
                    Look::Unreadable(segment) => {
                        self.unreadable.insert(segment.id, segment.next);
                        at = segment.next;
                        continue;
                    }
                    Look::End => break,
                }
                at += 1;
            }
            self.pass_fresh(streams, at);
        }
        self.cursor.raise(self.cursor.floor);
        Ok(())
    }

    /// The first segment with blocks that are not settled and could not be read.
    pub(super) fn first_unreadable(&self) -> Option<u64> {
        let floor = self.cursor.floor;
        self.unreadable.iter().find(|(_, end)| **end > floor).map(|(segment, _)| *segment)
    }

    fn fresh_from(&self, streams: StreamSet) -> u64 {
        let of = Stream::ALL.into_iter().zip(self.fresh).filter(|(stream, _)| streams.contains(*stream));
        of.map(|(_, from)| from).min().unwrap_or(u64::MAX)
    }

    fn is_fresh(&self, block: &BlockInfo) -> bool {
        block.sequence >= super::format::wire::of(&self.fresh, block.stream)
    }

    fn pass_fresh(&mut self, streams: StreamSet, at: u64) {
        for (stream, fresh) in Stream::ALL.into_iter().zip(&mut self.fresh) {
            if streams.contains(stream) {
                *fresh = at.max(*fresh);
            }
        }
    }

    fn lease(&mut self, block: BlockInfo, basket: &mut Basket, ids: &mut u64, now: Instant) {
        *ids += 1;
        let lease = LeaseId(*ids);
        let free_at = now + basket.limits.ttl.min(LONGEST);
        let before = self.out.get(&block.sequence).copied();
        let deliveries = before.map_or(0, |out| out.deliveries) + 1;
        if let Some(out) = before {
            self.due.remove(&(out.free_at, block.sequence));
        }
        self.out.insert(block.sequence, Out { lease: Some(lease), free_at, deliveries, block });
        self.due.insert((free_at, block.sequence));
        basket.bytes += block.appended_bytes as usize;
        basket.taken.push(Taken { lease, instead_of: before.and_then(|out| out.lease), deliveries, block });
    }

    /// The block of a lease that has not expired.
    pub(super) fn leased(&self, lease: LeaseId, sequence: u64) -> Option<BlockInfo> {
        let out = self.out.get(&sequence)?;
        (out.lease == Some(lease) && out.free_at > Instant::now()).then_some(out.block)
    }

    /// Keeps a lease for `ttl` from now. Answers whether it ends earlier than before.
    pub(super) fn extend(&mut self, lease: LeaseId, sequence: u64, ttl: Duration) -> bool {
        let before = self.out.get(&sequence).map(|out| out.free_at);
        let free_at = Instant::now() + ttl.min(LONGEST);
        self.set_free_at(sequence, Some(lease), free_at);
        before.is_some_and(|before| free_at < before)
    }

    /// Lets a block be leased again after `delay`.
    pub(super) fn hand_back(&mut self, sequence: u64, delay: Duration) {
        self.set_free_at(sequence, None, Instant::now() + delay.min(LONGEST));
    }

    fn set_free_at(&mut self, sequence: u64, lease: Option<LeaseId>, free_at: Instant) {
        if let Some(out) = self.out.get_mut(&sequence) {
            self.due.remove(&(out.free_at, sequence));
            self.due.insert((free_at, sequence));
            out.free_at = free_at;
            out.lease = lease;
        }
    }

    /// Settles a block. Answers the lease that ends with it.
    pub(super) fn done(&mut self, block: &BlockInfo, tally: &Tally) -> Option<LeaseId> {
        self.cursor.done(block, tally);
        self.forget(block.sequence)
    }

    fn forget(&mut self, sequence: u64) -> Option<LeaseId> {
        let out = self.out.remove(&sequence)?;
        self.due.remove(&(out.free_at, sequence));
        out.lease
    }

    /// Ends everything below `to`, where the totals were `before`. Answers what was not settled, and the leases that ended.
    pub(super) fn pass(
        &mut self,
        to: u64,
        before: &Totals,
        timeline: &Timeline,
        pinned: &Pinned,
    ) -> Result<(Amount, Vec<LeaseId>), Missing> {
        let passed = self.cursor.pass(to, before, timeline, pinned)?;
        let below: Vec<u64> = self.out.keys().copied().filter(|sequence| *sequence < to).collect();
        let ended = below.into_iter().filter_map(|sequence| self.forget(sequence)).collect();
        Ok((passed, ended))
    }

    /// The leases of all blocks that are out.
    pub(super) fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.out.values().filter_map(|out| out.lease)
    }

    /// When the next block of the streams that is out can be leased again, if it could not at `now`: the time of the
    /// basket that it was not in, so that none is missed in between.
    pub(super) fn next_release(&self, streams: StreamSet, now: Instant) -> Option<Instant> {
        let later = self.due.range((now, u64::MAX)..);
        later.filter(|(_, sequence)| self.is_of(*sequence, streams)).map(|(at, _)| *at).next()
    }

    pub(super) fn state(&mut self, timeline: &Timeline, pinned: &Pinned) -> Result<ConsumerState, Missing> {
        let oldest = self.cursor.advance(timeline, pinned)?;
        let now = Instant::now();
        let appended = self.cursor.appended(timeline.totals());
        Ok(ConsumerState {
            started_at: self.cursor.started_at,
            floor: self.cursor.floor.min(self.cursor.until),
            appended: appended.events,
            tally: self.cursor.tally,
            n_leased: self.out.values().filter(|out| out.lease.is_some() && out.free_at > now).count(),
            oldest_pending: oldest,
            pending_bytes: appended.bytes.saturating_sub(self.cursor.settled_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Timestamp;

    #[test]
    fn a_block_that_comes_back_just_after_the_look_for_it_is_waited_for() {
        let mut consumer = Consumer::new(Cursor::new(StreamSet::product(), 1, None, Totals::default()));
        let stream = Stream::AccountEvent;
        let block = BlockInfo {
            sequence: 1,
            position: 192,
            stream,
            n_records: 1,
            appended_bytes: 1,
            payload_bytes: 1,
            stored_bytes: 1,
            appended_at: Timestamp::default(),
            lost: false,
        };
        let looked = Instant::now();
        let limits =
            LeaseLimits { max_blocks: 1, max_bytes: 1, ttl: Duration::from_nanos(1), wait: Duration::ZERO };
        consumer.lease(block, &mut Basket::new(limits, looked), &mut 0, looked);
        assert!(Instant::now() > looked + Duration::from_nanos(1), "it is back by now");
        let release = consumer.next_release(stream.into(), looked);
        assert_eq!(release, Some(looked + Duration::from_nanos(1)));
    }
}
