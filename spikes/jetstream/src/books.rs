//! One consumer: what it has settled, what is out, its tally. A value without I/O, the same for both mappings.
//!
//! `Saved` is what JetStream has no place for: the tally with the cursor. It is one value of a key-value bucket, replaced
//! by compare-and-set, so that a second process with an older state cannot overwrite it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::StreamSet;
use journal::{Consumer, ConsumerName, ConsumerState, LeaseId, Tally};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::view::{Meta, View};

/// The checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    pub name: String,
    pub streams: u8,
    pub started_at: u64,
    pub until: Option<u64>,
    /// Everything below is settled, or not for this consumer.
    pub base: u64,
    /// What is settled from there on.
    pub settled: BTreeSet<u64>,
    pub tally: [u64; 8],
    /// Events appended to it, as far as `counted`.
    pub appended: u64,
    /// Blocks below were counted.
    pub counted: u64,
}

/// A block that has been out.
#[derive(Clone, Copy, Debug)]
pub enum Out {
    Leased { id: LeaseId, until: Instant },
    Back { at: Instant },
}

pub struct Books {
    pub name: ConsumerName,
    pub saved: Saved,
    pub out: BTreeMap<u64, Out>,
    deliveries: HashMap<u64, u32>,
    /// The revision of the stored checkpoint.
    pub revision: u64,
    pub is_dirty: bool,
}

impl Books {
    pub fn new(name: ConsumerName, saved: Saved, revision: u64) -> Self {
        let (out, deliveries) = (BTreeMap::new(), HashMap::new());
        Self { name, saved, out, deliveries, revision, is_dirty: false }
    }

    pub fn create(name: ConsumerName, streams: StreamSet, start: u64, until: Option<u64>) -> Self {
        let saved = Saved {
            name: name.as_str().to_owned(),
            streams: streams.bits(),
            started_at: start,
            until,
            base: start,
            settled: BTreeSet::new(),
            tally: [0; 8],
            appended: 0,
            counted: start,
        };
        Self::new(name, saved, 0)
    }

    pub fn streams(&self) -> StreamSet {
        StreamSet::from_bits(self.saved.streams)
    }

    pub fn until(&self) -> u64 {
        self.saved.until.unwrap_or(u64::MAX)
    }

    /// Counts what was appended since it last did.
    pub fn count(&mut self, view: &View) {
        let news = view.range(self.streams(), self.saved.counted, self.until());
        self.saved.appended += news.map(|meta| meta.n_records).sum::<u64>();
        self.saved.counted = self.saved.counted.max(view.next());
    }

    /// Whether nothing is to be done with the block any more.
    pub fn is_done(&self, sequence: u64) -> bool {
        sequence < self.saved.base || sequence >= self.until() || self.saved.settled.contains(&sequence)
    }

    pub fn unsettled<'a>(&'a self, view: &'a View) -> impl Iterator<Item = &'a Meta> {
        let blocks = view.range(self.streams(), self.saved.base, self.until());
        blocks.filter(|meta| !self.saved.settled.contains(&meta.sequence))
    }

    /// Whether the block could be leased now.
    pub fn is_free(&self, sequence: u64, now: Instant) -> bool {
        match self.out.get(&sequence) {
            Some(Out::Leased { until, .. }) => *until <= now,
            Some(Out::Back { at }) => *at <= now,
            None => true,
        }
    }

    /// Blocks that could be leased now, oldest first.
    pub fn waiting(&self, view: &View, streams: StreamSet, now: Instant) -> Vec<Meta> {
        let free = self.unsettled(view).filter(|meta| streams.contains(meta.stream));
        free.filter(|meta| self.is_free(meta.sequence, now)).copied().collect()
    }

    /// Leases that have run out.
    pub fn expired(&self, now: Instant) -> Vec<u64> {
        let is_over = |out: &Out| matches!(out, Out::Leased { until, .. } if *until <= now);
        self.out.iter().filter(|(_, out)| is_over(out)).map(|(sequence, _)| *sequence).collect()
    }

    pub fn next_release(&self, now: Instant) -> Option<Instant> {
        let at = self.out.values().map(|out| match out {
            Out::Leased { until, .. } => *until,
            Out::Back { at } => *at,
        });
        at.filter(|at| *at > now).min()
    }

    pub fn lease(&mut self, sequence: u64, id: LeaseId, until: Instant) -> u32 {
        self.out.insert(sequence, Out::Leased { id, until });
        let n = self.deliveries.entry(sequence).or_default();
        *n += 1;
        *n
    }

    /// Whether this lease is the block's, and lasts.
    pub fn holds(&self, sequence: u64, lease: LeaseId) -> bool {
        matches!(self.out.get(&sequence), Some(Out::Leased { id, until }) if *id == lease && *until > Instant::now())
    }

    fn end(&mut self, sequence: u64) {
        self.out.remove(&sequence);
        self.deliveries.remove(&sequence);
        self.saved.settled.insert(sequence);
        self.is_dirty = true;
    }

    pub fn done(&mut self, sequence: u64, tally: &Tally) {
        self.end(sequence);
        self.add(tally);
    }

    fn add(&mut self, tally: &Tally) {
        self.saved.tally = Tally::from_counts(self.saved.tally).plus(tally).counts();
    }

    /// Moves on to `to`: what was not settled counts as `as_tally` says.
    pub fn pass(&mut self, to: u64, view: &View, as_tally: impl Fn(u64) -> Tally) {
        let passed: Vec<Meta> = self.unsettled(view).filter(|meta| meta.sequence < to).copied().collect();
        for meta in &passed {
            self.end(meta.sequence);
        }
        self.add(&as_tally(passed.iter().map(|meta| meta.n_records).sum()));
        self.saved.base = self.saved.base.max(to);
        self.is_dirty = true;
    }

    /// What is stored: numbers below the floor need no mention.
    pub fn checkpoint(&mut self, view: &View) -> Saved {
        self.saved.base = self.floor(view);
        self.saved.settled = self.saved.settled.split_off(&self.saved.base);
        self.saved.clone()
    }

    pub fn floor(&self, view: &View) -> u64 {
        let end = view.next().min(self.until()).max(self.saved.base);
        self.unsettled(view).next().map_or(end, |meta| meta.sequence)
    }

    pub fn describe(&self, view: &View) -> Consumer {
        let now = Instant::now();
        let is_leased = |out: &&Out| matches!(out, Out::Leased { until, .. } if *until > now);
        let state = ConsumerState {
            started_at: self.saved.started_at,
            floor: self.floor(view),
            appended: self.saved.appended,
            tally: Tally::from_counts(self.saved.tally),
            n_leased: self.out.values().filter(is_leased).count(),
            oldest_pending: self.unsettled(view).next().map(|meta| meta.appended_at),
            pending_bytes: self.unsettled(view).map(|meta| meta.bytes).sum(),
        };
        Consumer { name: self.name.clone(), streams: self.streams(), state }
    }
}
