//! What all handles of the journal share: the stored blocks' timeline, the consumers, and their leases.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use event::{Stream, StreamSet};
use tokio::time::Instant;

use super::SettledBy;
use super::attempts::Pinned;
use super::consumer::{Basket, Consumer};
use super::cursor::{Cursor, resolve};
use super::timeline::{BlockInfo, Index, Missing, Segment, Timeline, Totals};
use crate::seam::{NO_CONSUMER, SEEK_BACK, TALLY_MISMATCH};
use crate::{ConsumerCommand, ConsumerName, JournalError, LeaseError, LeaseId, Settlement, Tally};

/// Ranges of settled blocks that a consumer may have after some streams of a segment have expired, so that what is kept of it
/// stays small.
const MAX_SCATTERED: usize = 4096;

#[derive(Debug)]
pub(super) struct State {
    pub(super) timeline: Timeline,
    pub(super) consumers: BTreeMap<ConsumerName, Consumer>,
    leases: HashMap<LeaseId, (ConsumerName, u64)>,
    n_leases_ever: u64,
    /// Cursors or the head moved since the last checkpoint.
    pub(super) dirty: bool,
}

/// Why a change of the state must be tried again or fails.
pub(super) enum Stop<E> {
    /// An index is needed first.
    Missing(Missing),
    Failed(E),
}

impl<E> From<Missing> for Stop<E> {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl State {
    pub(super) fn new(timeline: Timeline, cursors: BTreeMap<ConsumerName, Cursor>) -> Self {
        let consumers = cursors.into_iter().map(|(name, cursor)| (name, Consumer::new(cursor))).collect();
        Self { timeline, consumers, leases: HashMap::new(), n_leases_ever: 0, dirty: false }
    }

    /// Adds a block that is durable.
    pub(super) fn push(&mut self, block: BlockInfo) {
        for consumer in self.consumers.values_mut() {
            if consumer.cursor.until == block.sequence {
                consumer.cursor.end = Some(*self.timeline.totals());
            }
        }
        self.timeline.push(block);
        self.dirty = true;
    }

    pub(super) fn lease(
        &mut self,
        name: &ConsumerName,
        streams: StreamSet,
        basket: &mut Basket,
        pinned: &Pinned,
    ) -> Result<(), Stop<LeaseError>> {
        let consumer = self.consumers.get_mut(name).ok_or(Stop::Failed(LeaseError::NoConsumer))?;
        let n_before = basket.taken.len();
        let taken = consumer.take(streams, basket, &mut self.n_leases_ever, &self.timeline, pinned);
        for lease in basket.taken.iter().skip(n_before) {
            if let Some(ended) = lease.instead_of {
                self.leases.remove(&ended);
            }
            self.leases.insert(lease.lease, (name.clone(), lease.block.sequence));
        }
        Ok(taken?)
    }

    /// When a block of the consumer that is out can be leased again, if it could not at `now`.
    pub(super) fn next_release(
        &self,
        name: &ConsumerName,
        streams: StreamSet,
        now: Instant,
    ) -> Option<Instant> {
        self.consumers.get(name)?.next_release(streams, now)
    }

    fn leased(&mut self, lease: LeaseId) -> Result<(&mut Consumer, BlockInfo), LeaseError> {
        let (name, sequence) = self.leases.get(&lease).ok_or(LeaseError::Stale)?;
        let consumer = self.consumers.get_mut(name).ok_or(LeaseError::Stale)?;
        let block = consumer.leased(lease, *sequence).ok_or(LeaseError::Stale)?;
        Ok((consumer, block))
    }

    /// Answers whether the lease ends earlier than before.
    pub(super) fn extend(&mut self, lease: LeaseId, ttl: Duration) -> Result<bool, LeaseError> {
        let (consumer, block) = self.leased(lease)?;
        Ok(consumer.extend(lease, block.sequence, ttl))
    }

    pub(super) fn settle(&mut self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        let (consumer, block) = self.leased(lease)?;
        match settlement {
            Settlement::Done(tally) => {
                if tally.total() != u64::from(block.n_records) {
                    return Err(JournalError::Refused(TALLY_MISMATCH).into());
                }
                consumer.done(&block, &tally);
                self.dirty = true;
            }
            Settlement::HandBack(delay) => consumer.hand_back(block.sequence, delay),
        }
        self.leases.remove(&lease);
        Ok(())
    }

    /// Carries out a command; answers the names of the consumers that it names.
    pub(super) fn command(
        &mut self,
        command: &ConsumerCommand,
        pinned: &Pinned,
    ) -> Result<Vec<ConsumerName>, Stop<JournalError>> {
        let name = match command {
            ConsumerCommand::List => return Ok(self.consumers.keys().cloned().collect()),
            ConsumerCommand::Create { name, streams, start, until } => {
                if !self.consumers.contains_key(name) {
                    let start = resolve(*start, &self.timeline);
                    let mut cursor = Cursor::new(*streams, start, *until, self.totals_at(start, pinned)?);
                    if let Some(until) = until.filter(|until| *until <= self.timeline.next()) {
                        cursor.end = Some(self.totals_at(until.max(start), pinned)?);
                    }
                    self.consumers.insert(name.clone(), Consumer::new(cursor));
                }
                name
            }
            ConsumerCommand::Seek { name, to } | ConsumerCommand::Expire { name, to } => {
                let expires = matches!(command, ConsumerCommand::Expire { .. });
                let to = resolve(*to, &self.timeline);
                let before = self.totals_at(to, pinned)?;
                let consumer = self.consumers.get_mut(name);
                let consumer = consumer.ok_or(Stop::Failed(JournalError::Refused(NO_CONSUMER)))?;
                consumer.cursor.advance(&self.timeline, pinned)?;
                if to < consumer.cursor.floor.min(consumer.cursor.until) {
                    let stays = Ok(vec![name.clone()]);
                    return if expires { stays } else { Err(Stop::Failed(JournalError::Refused(SEEK_BACK))) };
                }
                let (passed, ended) = consumer.pass(to, &before, &self.timeline, pinned)?;
                let tally = &mut consumer.cursor.tally;
                *(if expires { &mut tally.expired } else { &mut tally.discarded }) += passed.events;
                self.leases.retain(|lease, _| !ended.contains(lease));
                name
            }
            ConsumerCommand::Remove { name } => {
                if let Some(consumer) = self.consumers.remove(name) {
                    for lease in consumer.leases() {
                        self.leases.remove(&lease);
                    }
                }
                name
            }
        };
        self.dirty = true;
        Ok(vec![name.clone()])
    }

    /// Describes consumers; those that do not exist are left out.
    pub(super) fn describe(
        &mut self,
        names: &[ConsumerName],
        pinned: &Pinned,
    ) -> Result<Vec<crate::Consumer>, Stop<JournalError>> {
        let mut consumers = Vec::with_capacity(names.len());
        for name in names {
            if let Some(consumer) = self.consumers.get_mut(name) {
                let state = consumer.state(&self.timeline, pinned)?;
                consumers.push(crate::Consumer {
                    name: name.clone(),
                    streams: consumer.cursor.streams,
                    state,
                });
            }
        }
        Ok(consumers)
    }

    fn totals_at<E: From<JournalError>>(&self, sequence: u64, pinned: &Pinned) -> Result<Totals, Stop<E>> {
        let totals = self.timeline.totals_at(sequence, pinned)?;
        totals.ok_or_else(|| Stop::Failed(pinned.why_unreadable().into()))
    }

    /// Whether all indexes are at hand to expire what is below `first`.
    pub(super) fn can_expire(&self, first: u64, pinned: &Pinned) -> Result<(), Missing> {
        let before = self.timeline.totals_before(first);
        for consumer in self.consumers.values() {
            consumer.cursor.unsettled_below(first, &before, &self.timeline, pinned)?;
        }
        Ok(())
    }

    /// Moves consumers up to `first`, the beginning of a segment, and counts what they had not settled as expired. Only
    /// with all indexes at hand anything is changed.
    pub(super) fn expire(&mut self, first: u64, pinned: &Pinned) -> Result<(), Missing> {
        self.can_expire(first, pinned)?;
        let before = self.timeline.totals_before(first);
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.cursor.floor < first) {
            let (passed, ended) = consumer.pass(first, &before, &self.timeline, pinned)?;
            consumer.cursor.tally.expired += passed.events;
            for lease in ended {
                self.leases.remove(&lease);
            }
            self.dirty = true;
        }
        Ok(())
    }

    /// Ends the blocks of some streams in a segment for every consumer: what it had not settled of them counts as expired. One
    /// whose settled blocks lie too scattered then is moved past the segment, and its other events there expire too: only
    /// who holds nothing back is ever behind what expires. Can be repeated when an index was missing.
    pub(super) fn expire_streams(
        &mut self,
        segment: &Segment,
        streams: StreamSet,
        blocks: &[BlockInfo],
        pinned: &Pinned,
    ) -> Result<(), Missing> {
        let before = self.timeline.totals_before(segment.next);
        for consumer in self.consumers.values_mut().filter(|consumer| consumer.cursor.floor < segment.next) {
            self.dirty = true;
            for block in blocks.iter().filter(|block| streams.contains(block.stream)) {
                if consumer.cursor.is_pending(block) {
                    let tally = Tally { expired: u64::from(block.n_records), ..Tally::default() };
                    consumer.done(block, &tally).map(|lease| self.leases.remove(&lease));
                }
            }
            if consumer.cursor.settled.iter().len() > MAX_SCATTERED {
                let (passed, ended) = consumer.pass(segment.next, &before, &self.timeline, pinned)?;
                consumer.cursor.tally.expired += passed.events;
                for lease in ended {
                    self.leases.remove(&lease);
                }
            }
        }
        Ok(())
    }

    /// What each consumer has had of the blocks.
    pub(super) fn settled_by(&self, blocks: &[(u64, Stream)]) -> Vec<SettledBy> {
        let of = |(name, consumer): (&ConsumerName, &Consumer)| {
            let cursor = &consumer.cursor;
            let blocks = blocks.iter().enumerate().filter_map(|(nth, (sequence, stream))| {
                let is_for_it =
                    cursor.streams.contains(*stream) && (cursor.started_at..cursor.until).contains(sequence);
                let is_settled = *sequence < cursor.floor || cursor.settled.end_of(*sequence).is_some();
                is_for_it.then_some((nth, is_settled))
            });
            SettledBy { consumer: name.clone(), blocks: blocks.collect() }
        };
        self.consumers.iter().map(of).collect()
    }

    /// Ends the blocks of the ranges for every consumer: what it had not settled of them counts as discarded. Only with all
    /// indexes at hand anything is changed. What is below the first block is lost too.
    pub(super) fn give_up(&mut self, gaps: &[(u64, u64)], pinned: &Pinned) -> Result<(), Stop<JournalError>> {
        let first = self.timeline.first();
        let before = *self.timeline.before_first();
        let mut ends = Vec::with_capacity(gaps.len());
        for (from, until) in gaps.iter().filter(|(_, until)| *until > first) {
            ends.push((*from, *until, self.totals_at(*until, pinned)?));
        }
        let mut after = Vec::with_capacity(self.consumers.len());
        for consumer in self.consumers.values() {
            let mut cursor = consumer.cursor.clone();
            if cursor.floor < first {
                let passed = cursor.pass(first, &before, &self.timeline, pinned)?;
                cursor.tally.discarded += passed.events;
            }
            for (from, until, totals) in &ends {
                cursor.give_up(*from, *until, totals, &self.timeline, pinned)?;
            }
            after.push(cursor);
        }
        for (consumer, cursor) in self.consumers.values_mut().zip(after) {
            consumer.cursor = cursor;
        }
        self.dirty = true;
        Ok(())
    }

    /// Works out what was appended before the ends that the journal has passed, where a crash came before that was
    /// saved. Where it cannot be read it stays open.
    pub(super) fn find_ends(&mut self, pinned: &Pinned) -> Result<(), Missing> {
        let next = self.timeline.next();
        for consumer in self.consumers.values_mut() {
            let cursor = &mut consumer.cursor;
            if cursor.end.is_none() && cursor.until <= next {
                cursor.end = self.timeline.totals_at(cursor.until.max(cursor.started_at), pinned)?;
                self.dirty |= cursor.end.is_some();
            }
        }
        Ok(())
    }

    pub(super) fn roll(&mut self, active: Segment) -> Index {
        self.timeline.roll(active)
    }

    pub(super) fn cursors(&self) -> Vec<(&ConsumerName, &Cursor)> {
        self.consumers.iter().map(|(name, consumer)| (name, &consumer.cursor)).collect()
    }
}
