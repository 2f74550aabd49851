//! A journal that fails where a test tells it to, and counts who asks.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event::{Stream, StreamSet};
use journal::model::ModelJournal;
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use parking_lot::Mutex;

/// The model, well in all that it is not told to be ill in.
pub(crate) struct Sick {
    journal: Arc<ModelJournal>,
    damaged: Mutex<Range<u64>>,
    is_blind: AtomicBool,
    is_full: AtomicBool,
    stuck: Mutex<Option<ConsumerName>>,
    n_reads: AtomicUsize,
    n_lists: AtomicUsize,
}

impl Sick {
    pub(crate) fn new(journal: &Arc<ModelJournal>) -> Arc<Self> {
        Arc::new(Self {
            journal: Arc::clone(journal),
            damaged: Mutex::new(0..0),
            is_blind: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            stuck: Mutex::new(None),
            n_reads: AtomicUsize::new(0),
            n_lists: AtomicUsize::new(0),
        })
    }

    /// These blocks are damaged from now on.
    pub(crate) fn damage(&self, blocks: Range<u64>) {
        *self.damaged.lock() = blocks;
    }

    /// Whether reading of quarantine fails.
    pub(crate) fn set_blind(&self, is_blind: bool) {
        self.is_blind.store(is_blind, Ordering::SeqCst);
    }

    /// Whether it is full as far as copies for quarantine go.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// Nothing of this consumer can be given up.
    pub(crate) fn stick(&self, consumer: Option<ConsumerName>) {
        *self.stuck.lock() = consumer;
    }

    /// How often something was read, and the consumers were listed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.n_reads.load(Ordering::SeqCst), self.n_lists.load(Ordering::SeqCst))
    }
}

fn damaged<T>() -> Result<T, JournalError> {
    Err(JournalError::Damaged("a test".to_owned()))
}

#[async_trait]
impl Journal for Sick {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if append.stream == Stream::Quarantine && self.is_full.load(Ordering::SeqCst) {
            return Err(AppendError::Full);
        }
        self.journal.append(append).await
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        // What is damaged is passed over, and stays leased here.
        loop {
            let leases = self.journal.lease(consumer, streams, limits).await?;
            let n_all = leases.len();
            let lost = self.damaged.lock().clone();
            let whole: Vec<Lease> =
                leases.into_iter().filter(|lease| !lost.contains(&lease.block.sequence())).collect();
            if n_all == 0 || !whole.is_empty() {
                return Ok(whole);
            }
        }
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.journal.extend(lease, ttl).await
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.journal.settle(lease, settlement).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        self.n_reads.fetch_add(1, Ordering::SeqCst);
        if self.is_blind.load(Ordering::SeqCst) && range.streams == StreamSet::from_iter([Stream::Quarantine])
        {
            return Err(JournalError::Read(std::io::Error::other("a test")));
        }
        let lost = self.damaged.lock().clone();
        if lost.contains(&range.from) {
            return damaged();
        }
        if range.from >= lost.end {
            return self.journal.read(range).await;
        }
        let before = self.journal.read(ReadRange { until: range.until.min(lost.start), ..range }).await?;
        if before.is_empty() && range.until > lost.start {
            return damaged();
        }
        Ok(before)
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        if command == ConsumerCommand::List {
            self.n_lists.fetch_add(1, Ordering::SeqCst);
        }
        if let ConsumerCommand::Expire { name, .. } = &command
            && self.stuck.lock().as_ref() == Some(name)
        {
            return damaged();
        }
        self.journal.consumers(command).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.journal.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.journal.head()
    }
}
