//! One consumer of the model: which blocks it has seen, and its books.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use event::StreamSet;
use tokio::time::Instant;

use crate::{Block, ConsumerState, LeaseId, Tally};

/// A block that has been out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Out {
    Leased { id: LeaseId, until: Instant },
    Back { at: Instant },
}

pub(super) struct ModelConsumer {
    streams: StreamSet,
    started_at: u64,
    until: u64,
    /// Moved up by seek and trim; blocks below are settled.
    base: u64,
    settled: BTreeSet<u64>,
    out: BTreeMap<u64, Out>,
    deliveries: HashMap<u64, u32>,
    appended: u64,
    tally: Tally,
}

impl ModelConsumer {
    pub(super) fn new(streams: StreamSet, start: u64, until: Option<u64>) -> Self {
        Self {
            streams,
            started_at: start,
            until: until.unwrap_or(u64::MAX),
            base: start,
            settled: BTreeSet::new(),
            out: BTreeMap::new(),
            deliveries: HashMap::new(),
            appended: 0,
            tally: Tally::default(),
        }
    }

    pub(super) const fn streams(&self) -> StreamSet {
        self.streams
    }

    fn covers(&self, block: &Block) -> bool {
        self.streams.contains(block.stream()) && (self.started_at..self.until).contains(&block.sequence())
    }

    pub(super) fn appended(&mut self, block: &Block) {
        if self.covers(block) {
            self.appended += block.n_records() as u64;
        }
    }

    pub(super) fn unsettled<'a>(
        &'a self,
        blocks: &'a BTreeMap<u64, Arc<Block>>,
    ) -> impl Iterator<Item = &'a Arc<Block>> {
        blocks
            .range(self.base..)
            .filter(|(sequence, block)| self.covers(block) && !self.settled.contains(sequence))
            .map(|(_, block)| block)
    }

    /// Blocks that may be leased now, those that were out before first.
    pub(super) fn waiting(
        &self,
        now: Instant,
        blocks: &BTreeMap<u64, Arc<Block>>,
        streams: StreamSet,
    ) -> impl Iterator<Item = u64> + use<> {
        let free: Vec<u64> = self
            .unsettled(blocks)
            .filter(|block| streams.contains(block.stream()))
            .map(|block| block.sequence())
            .filter(|sequence| match self.out.get(sequence) {
                Some(Out::Leased { until, .. }) => *until <= now,
                Some(Out::Back { at }) => *at <= now,
                None => true,
            })
            .collect();
        let (again, fresh): (Vec<u64>, Vec<u64>) =
            free.into_iter().partition(|sequence| self.was_out(*sequence));
        again.into_iter().chain(fresh)
    }

    pub(super) fn was_out(&self, sequence: u64) -> bool {
        self.out.contains_key(&sequence)
    }

    pub(super) fn n_leased(&self, now: Instant) -> usize {
        self.out.values().filter(|out| matches!(out, Out::Leased { until, .. } if *until > now)).count()
    }

    pub(super) fn next_release(&self, now: Instant) -> Option<Instant> {
        let releases = self.out.values().map(|out| match out {
            Out::Leased { until, .. } => *until,
            Out::Back { at } => *at,
        });
        releases.filter(|at| *at > now).min()
    }

    pub(super) fn lease(&mut self, sequence: u64, id: LeaseId, until: Instant) -> u32 {
        self.out.insert(sequence, Out::Leased { id, until });
        let deliveries = self.deliveries.entry(sequence).or_default();
        *deliveries += 1;
        *deliveries
    }

    pub(super) fn out(&self, sequence: u64) -> Option<Out> {
        self.out.get(&sequence).copied()
    }

    pub(super) fn set_out(&mut self, sequence: u64, out: Out) {
        self.out.insert(sequence, out);
    }

    pub(super) fn carry_over(&mut self, from: Instant, to: Instant) {
        for out in self.out.values_mut() {
            let (Out::Leased { until: at, .. } | Out::Back { at }) = out;
            *at = to + at.saturating_duration_since(from);
        }
    }

    fn end(&mut self, sequence: u64) {
        self.out.remove(&sequence);
        self.deliveries.remove(&sequence);
        self.settled.insert(sequence);
    }

    pub(super) fn done(&mut self, sequence: u64, tally: &Tally) {
        self.end(sequence);
        self.tally = self.tally.plus(tally);
    }

    pub(super) fn expire(&mut self, up_to: u64, lost: &[(u64, u64)]) {
        self.tally.expired += self.pass(up_to, lost);
    }

    pub(super) fn give_up(&mut self, to: u64, passed: &[(u64, u64)]) {
        self.tally.discarded += self.pass(to, passed);
    }

    fn pass(&mut self, up_to: u64, passed: &[(u64, u64)]) -> u64 {
        for (sequence, _) in passed {
            self.end(*sequence);
        }
        self.base = self.base.max(up_to);
        self.settled = self.settled.split_off(&self.base);
        passed.iter().map(|(_, n_records)| n_records).sum()
    }

    pub(super) fn floor(&self, blocks: &BTreeMap<u64, Arc<Block>>, next: u64) -> u64 {
        self.unsettled(blocks).next().map_or(next.min(self.until).max(self.base), |block| block.sequence())
    }

    pub(super) fn state(&self, blocks: &BTreeMap<u64, Arc<Block>>, next: u64, now: Instant) -> ConsumerState {
        ConsumerState {
            started_at: self.started_at,
            floor: self.floor(blocks, next),
            appended: self.appended,
            tally: self.tally,
            n_leased: self.n_leased(now),
            oldest_pending: self.unsettled(blocks).next().map(|block| block.appended_at()),
            pending_bytes: self.unsettled(blocks).map(|block| block.payload_bytes() as u64).sum(),
        }
    }
}
