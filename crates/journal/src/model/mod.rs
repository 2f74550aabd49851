//! The journal in memory: for tests and simulation, shaped like a remote one (JetStream) rather than like `local`.
//!
//! Leases expire, blocks that come again come in a random order, a settle may be lost or answer `Stale`, an answer may be
//! lost after the deed, sequences have gaps, the number of blocks out at once is bounded, and any number of writers append
//! at once. It is slow and simple on purpose: it counts where `local` calculates, so that the two can check each other.
//! Nothing is durable.

mod consumer;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, Random};
use event::{Stream, StreamSet};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::store::Store;
use crate::prepared::Prepared;
use crate::seam::LONGEST;
use crate::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};

/// How the model behaves.
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions {
    /// Most blocks that one consumer may have leased at once.
    pub max_leased: usize,
    /// How many settles of a hundred are lost: they answer well, but the block comes again.
    pub lost_settles: u8,
    /// How many settles of a hundred answer `Stale`, and the block comes again.
    pub stale_settles: u8,
    /// How many appends and settles of a hundred are done, and answer that they failed: a connection broke in between.
    pub lost_answers: u8,
    /// How many blocks of a hundred are followed by a sequence that belongs to no block, as where a broker keeps other
    /// messages, or has deleted some.
    pub gaps: u8,
    /// How long ids are remembered.
    pub dedupe_window: Duration,
    /// How long request keys are remembered.
    pub request_key_window: Duration,
}

impl Default for ModelOptions {
    /// A well-behaved journal: nothing is lost, no gaps, 1,000 blocks out, windows of 72 and 24 hours.
    fn default() -> Self {
        Self {
            max_leased: 1_000,
            lost_settles: 0,
            stale_settles: 0,
            lost_answers: 0,
            gaps: 0,
            dedupe_window: Duration::from_hours(72),
            request_key_window: Duration::from_hours(24),
        }
    }
}

/// The journal in memory.
pub struct ModelJournal {
    store: Mutex<Store>,
    changed: Notify,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    options: ModelOptions,
    /// Answers of appends to the quarantine stream that get lost.
    lost_copies: Mutex<u32>,
}

impl ModelJournal {
    /// An empty journal. All its whims come from `random`.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<Random>, options: ModelOptions) -> Self {
        Self {
            store: Mutex::default(),
            changed: Notify::new(),
            clock,
            random,
            options,
            lost_copies: Mutex::new(0),
        }
    }

    /// The answers of the next `n` appends to the quarantine stream get lost: what they hold is stored.
    pub fn lose_copies(&self, n: u32) {
        *self.lost_copies.lock() = n;
    }

    fn loses(&self, stream: Stream) -> bool {
        let mut left = self.lost_copies.lock();
        let loses = stream == Stream::Quarantine && *left > 0;
        *left -= u32::from(loses);
        loses
    }

    /// Leases go on at `to` as they were at `from`. For a simulation whose process starts anew: the store outlives it, the
    /// runtime's clock does not.
    pub fn carry_over(&self, from: Instant, to: Instant) {
        self.store.lock().carry_over(from, to);
    }

    fn happens(&self, percent: u8) -> bool {
        percent > 0 && self.random.up_to(99) < u64::from(percent)
    }

    /// Loses the answer to what was done, now and then.
    fn lose_answer(&self) -> Result<(), JournalError> {
        if self.happens(self.options.lost_answers) {
            return Err(JournalError::Disk(std::io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Loses a lease, now and then.
    fn misbehave(&self, lease: LeaseId) -> Option<Result<(), LeaseError>> {
        let answer = if self.happens(self.options.stale_settles) {
            Err(LeaseError::Stale)
        } else if self.happens(self.options.lost_settles) {
            Ok(())
        } else {
            return None;
        };
        self.store.lock().expire(lease);
        self.changed.notify_waiters();
        Some(answer)
    }
}

#[async_trait]
impl Journal for ModelJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let stream = append.stream;
        let prepared = Prepared::new(append, &self.random)?;
        let has_gap = || self.happens(self.options.gaps);
        let appended = self.store.lock().append(prepared, self.clock.now(), &self.options, has_gap)?;
        self.changed.notify_waiters();
        self.lose_answer()?;
        if self.loses(stream) {
            let lost = std::io::Error::other("the answer of the store was lost");
            return Err(JournalError::Disk(lost).into());
        }
        Ok(appended)
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        let deadline = Instant::now() + limits.wait.min(LONGEST);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let (leases, next) = {
                let mut store = self.store.lock();
                let leases = store.lease(consumer, streams, &limits, &self.random, &self.options, now)?;
                (leases, store.next_release(consumer, now).unwrap_or(deadline))
            };
            if !leases.is_empty() || now >= deadline {
                return Ok(leases);
            }
            let _ = tokio::time::timeout_at(next.min(deadline), changed).await;
        }
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.store.lock().extend(lease, ttl)?;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        if let Some(answer) = self.misbehave(lease) {
            return answer;
        }
        let answer = self.store.lock().settle(lease, settlement);
        self.changed.notify_waiters();
        answer?;
        Ok(self.lose_answer()?)
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        Ok(self.store.lock().read(&range))
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        let answer = self.store.lock().consumers(command);
        self.changed.notify_waiters();
        answer
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.store.lock().trim(up_to);
        Ok(())
    }

    fn head(&self) -> Head {
        self.store.lock().head()
    }
}
