//! A journal that lets nobody at its consumers until it is told to: for what happens in the middle of a call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, ManualClock, Random, Timestamp};
use event::StreamSet;
use journal::model::{ModelJournal, ModelOptions};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use tokio::sync::{Semaphore, watch};

use crate::app::App;

pub(crate) struct Gate {
    journal: ModelJournal,
    /// How many may still pass.
    passes: Semaphore,
    /// Who came since it was closed.
    n_came: watch::Sender<usize>,
}

impl Gate {
    /// An API on such a journal, whose gate is open.
    pub(crate) async fn app() -> (App, Arc<Self>) {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let journal = ModelJournal::new(as_clock, Arc::new(Random::from_seed(1)), ModelOptions::default());
        let passes = Semaphore::new(Semaphore::MAX_PERMITS);
        let gate = Self { journal, passes, n_came: watch::Sender::new(0) };
        let gate = Arc::new(gate);
        (App::with_journal(gate.clone(), clock).await, gate)
    }

    pub(crate) fn close(&self) {
        self.passes.forget_permits(Semaphore::MAX_PERMITS);
        self.n_came.send_replace(0);
    }

    pub(crate) fn open(&self) {
        self.passes.add_permits(Semaphore::MAX_PERMITS - self.passes.available_permits());
    }

    /// Lets the one pass that came first.
    pub(crate) fn let_one_pass(&self) {
        self.passes.add_permits(1);
    }

    /// Returns when this many came since the gate was closed.
    pub(crate) async fn has_seen(&self, n: usize) {
        self.n_came.subscribe().wait_for(|n_came| *n_came >= n).await.unwrap();
    }
}

#[async_trait]
impl Journal for Gate {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.journal.append(append).await
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        self.journal.lease(consumer, streams, limits).await
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.journal.extend(lease, ttl).await
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.journal.settle(lease, settlement).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        self.journal.read(range).await
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        self.n_came.send_modify(|n| *n += 1);
        self.passes.acquire().await.unwrap().forget();
        self.journal.consumers(command).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.journal.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.journal.head()
    }
}
