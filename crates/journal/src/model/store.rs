//! The model's blocks, ids and consumers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{EventId, Random, Timestamp};
use bytes::Bytes;
use event::StreamSet;
use tokio::time::Instant;

use super::ModelOptions;
use super::consumer::{ModelConsumer, Out};
use crate::prepared::{Owner, Prepared, PreparedEntry, judge};
use crate::seam::{LONGEST, MAX_BLOCK_BYTES};
use crate::{
    AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, JournalError, Lease,
    LeaseError, LeaseId, LeaseLimits, Offset, ReadRange, Receipt, Settlement, StartAt,
};

#[derive(Default)]
pub(super) struct Store {
    blocks: BTreeMap<u64, Arc<Block>>,
    /// Sequences dropped by trimming: all up to this one.
    trimmed: u64,
    /// The last sequence that was given away, whether or not to a block.
    last: u64,
    ids: HashMap<EventId, (Owner, Timestamp)>,
    keys: HashMap<EventId, ([u8; 8], Timestamp)>,
    consumers: BTreeMap<ConsumerName, ModelConsumer>,
    leases: HashMap<LeaseId, (ConsumerName, u64)>,
    n_leases_ever: u64,
}

impl Store {
    pub(super) fn append(
        &mut self,
        prepared: Prepared,
        now: Timestamp,
        options: &ModelOptions,
        has_gap: impl Fn() -> bool,
    ) -> Result<Appended, AppendError> {
        if let Some(key) = prepared.request_key {
            let known = self.keys.get(&key.id);
            match known.filter(|(_, at)| now.since(*at) <= options.request_key_window) {
                Some((digest, _)) if *digest != key.digest => return Err(AppendError::KeyReused),
                Some(_) => {}
                None => {
                    self.keys.insert(key.id, (key.digest, now));
                }
            }
        }
        let mut receipts = Vec::with_capacity(prepared.entries.len());
        let mut open: Vec<PreparedEntry> = Vec::new();
        for entry in prepared.entries {
            let known = self.ids.get(&entry.id).filter(|(_, at)| now.since(*at) <= options.dedupe_window);
            if let Some((known, _)) = known {
                receipts.push(judge(*known, entry.owner, entry.on_conflict));
                continue;
            }
            self.ids.insert(entry.id, (entry.owner, now));
            let bytes: usize = open.iter().map(|entry| entry.record.len()).sum();
            if bytes + entry.record.len() > MAX_BLOCK_BYTES {
                self.close_block(prepared.stream, now, std::mem::take(&mut open), &has_gap);
            }
            receipts.push(Receipt::Stored(Offset { block: self.next(), index: open.len() as u32 }));
            open.push(entry);
        }
        if !open.is_empty() {
            self.close_block(prepared.stream, now, open, &has_gap);
        }
        Ok(Appended { receipts })
    }

    fn close_block(
        &mut self,
        stream: event::Stream,
        now: Timestamp,
        entries: Vec<PreparedEntry>,
        has_gap: &impl Fn() -> bool,
    ) {
        let mut payload = Vec::new();
        let mut ends = Vec::new();
        for entry in entries {
            payload.extend_from_slice(&entry.record);
            ends.push(payload.len() as u32);
        }
        let block = Block::new(self.next(), stream, now, Bytes::from(payload), ends);
        self.last += 1 + u64::from(has_gap());
        for consumer in self.consumers.values_mut() {
            consumer.appended(&block);
        }
        self.blocks.insert(block.sequence(), Arc::new(block));
    }

    const fn next(&self) -> u64 {
        self.last + 1
    }

    fn first(&self) -> u64 {
        self.trimmed + 1
    }

    pub(super) fn head(&self) -> Head {
        Head {
            first: self.first(),
            next: self.next(),
            stored_bytes: self.blocks.values().map(|block| block.payload_bytes() as u64).sum(),
            poisoned: false,
        }
    }

    pub(super) fn lease(
        &mut self,
        name: &ConsumerName,
        streams: StreamSet,
        limits: &LeaseLimits,
        random: &Random,
        options: &ModelOptions,
        now: Instant,
    ) -> Result<Vec<Lease>, LeaseError> {
        let consumer = self.consumers.get_mut(name).ok_or(LeaseError::NoConsumer)?;
        let mut leases = Vec::new();
        let mut bytes = 0;
        let mut waiting: Vec<u64> = consumer.waiting(now, &self.blocks, streams).collect();
        while let Some(first) = waiting.first() {
            if leases.len() >= limits.max_blocks.max(1) || consumer.n_leased(now) >= options.max_leased {
                break;
            }
            // Fresh blocks come in order; those that were out before come whenever they come.
            let n_again = waiting.iter().take_while(|sequence| consumer.was_out(**sequence)).count();
            let at = if consumer.was_out(*first) { random.up_to(n_again as u64 - 1) as usize } else { 0 };
            let sequence = waiting.remove(at);
            let Some(block) = self.blocks.get(&sequence) else { continue };
            bytes += block.payload_bytes();
            if bytes > limits.max_bytes && !leases.is_empty() {
                break;
            }
            self.n_leases_ever += 1;
            let id = LeaseId(self.n_leases_ever);
            let deliveries = consumer.lease(sequence, id, now + limits.ttl.min(LONGEST));
            self.leases.insert(id, (name.clone(), sequence));
            leases.push(Lease { id, block: Arc::clone(block), deliveries });
        }
        Ok(leases)
    }

    /// When the consumer's next lease expires or next delay is over, after `now`.
    pub(super) fn next_release(&self, name: &ConsumerName, now: Instant) -> Option<Instant> {
        self.consumers.get(name)?.next_release(now)
    }

    fn out(&mut self, lease: LeaseId) -> Result<(&mut ModelConsumer, u64), LeaseError> {
        let (name, sequence) = self.leases.get(&lease).ok_or(LeaseError::Stale)?;
        let consumer = self.consumers.get_mut(name).ok_or(LeaseError::Stale)?;
        match consumer.out(*sequence) {
            Some(Out::Leased { id, until }) if id == lease && until > Instant::now() => {
                Ok((consumer, *sequence))
            }
            _ => Err(LeaseError::Stale),
        }
    }

    pub(super) fn extend(&mut self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        let (consumer, sequence) = self.out(lease)?;
        consumer.set_out(sequence, Out::Leased { id: lease, until: Instant::now() + ttl.min(LONGEST) });
        Ok(())
    }

    pub(super) fn carry_over(&mut self, from: Instant, to: Instant) {
        self.consumers.values_mut().for_each(|consumer| consumer.carry_over(from, to));
    }

    pub(super) fn expire(&mut self, lease: LeaseId) {
        if let Ok((consumer, sequence)) = self.out(lease) {
            consumer.set_out(sequence, Out::Back { at: Instant::now() });
        }
    }

    pub(super) fn settle(&mut self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        let block = self.out(lease).map(|(_, sequence)| sequence)?;
        let n_records = self.blocks.get(&block).map_or(0, |block| block.n_records() as u64);
        let (consumer, sequence) = self.out(lease)?;
        match settlement {
            Settlement::Done(tally) if tally.total() != n_records => {
                return Err(JournalError::Refused(crate::seam::TALLY_MISMATCH).into());
            }
            Settlement::Done(tally) => consumer.done(sequence, &tally),
            Settlement::HandBack(delay) => {
                consumer.set_out(sequence, Out::Back { at: Instant::now() + delay.min(LONGEST) });
            }
        }
        self.leases.remove(&lease);
        Ok(())
    }

    pub(super) fn read(&self, range: &ReadRange) -> Vec<Arc<Block>> {
        let mut bytes = 0;
        let mut blocks = Vec::new();
        for (_, block) in self.blocks.range(range.from..range.until.max(range.from)) {
            if !range.streams.contains(block.stream()) {
                continue;
            }
            bytes += block.payload_bytes();
            if bytes > range.max_bytes && !blocks.is_empty() {
                break;
            }
            blocks.push(Arc::clone(block));
        }
        blocks
    }

    pub(super) fn trim(&mut self, up_to: u64) {
        let up_to = up_to.min(self.next());
        for consumer in self.consumers.values_mut() {
            let lost = unsettled_below(consumer, &self.blocks, up_to);
            consumer.expire(up_to, &lost);
        }
        self.blocks = self.blocks.split_off(&up_to);
        self.trimmed = self.trimmed.max(up_to.saturating_sub(1));
    }

    fn resolve(&self, start: StartAt) -> u64 {
        match start {
            StartAt::Now => self.next(),
            StartAt::Earliest => self.first(),
            StartAt::Block(sequence) => sequence.clamp(self.first(), self.next()),
        }
    }

    pub(super) fn consumers(&mut self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        let named = match command {
            ConsumerCommand::List => {
                return Ok(self.consumers.keys().filter_map(|name| self.describe(name)).collect());
            }
            ConsumerCommand::Create { name, streams, start, until } => {
                let start = self.resolve(start);
                if !self.consumers.contains_key(&name) {
                    let mut consumer = ModelConsumer::new(streams, start, until);
                    self.blocks.values().for_each(|block| consumer.appended(block));
                    self.consumers.insert(name.clone(), consumer);
                }
                name
            }
            ConsumerCommand::Seek { name, to } => {
                let to = self.resolve(to);
                let consumer =
                    self.consumers.get_mut(&name).ok_or(JournalError::Refused(crate::seam::NO_CONSUMER))?;
                if to < consumer.floor(&self.blocks, self.last + 1) {
                    return Err(JournalError::Refused(crate::seam::SEEK_BACK));
                }
                let passed = unsettled_below(consumer, &self.blocks, to);
                consumer.give_up(to, &passed);
                name
            }
            ConsumerCommand::Expire { name, to } => {
                let to = self.resolve(to);
                let consumer =
                    self.consumers.get_mut(&name).ok_or(JournalError::Refused(crate::seam::NO_CONSUMER))?;
                let passed = unsettled_below(consumer, &self.blocks, to);
                consumer.expire(to, &passed);
                name
            }
            ConsumerCommand::Remove { name } => {
                let answer = self.describe(&name).into_iter().collect();
                self.consumers.remove(&name);
                self.leases.retain(|_, (of, _)| *of != name);
                return Ok(answer);
            }
        };
        Ok(self.describe(&named).into_iter().collect())
    }

    fn describe(&self, name: &ConsumerName) -> Option<Consumer> {
        let consumer = self.consumers.get(name)?;
        let state = consumer.state(&self.blocks, self.next(), Instant::now());
        Some(Consumer { name: name.clone(), streams: consumer.streams(), state })
    }
}

/// Sequence and size of each block below `to` that the consumer has not settled.
fn unsettled_below(consumer: &ModelConsumer, blocks: &BTreeMap<u64, Arc<Block>>, to: u64) -> Vec<(u64, u64)> {
    let below = consumer.unsettled(blocks).filter(|block| block.sequence() < to);
    below.map(|block| (block.sequence(), block.n_records() as u64)).collect()
}
