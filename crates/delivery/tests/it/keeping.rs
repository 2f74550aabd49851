//! Copies for quarantine that cannot be kept: the events stay pending until they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use destinations::Vendor;
use event::{Stream, StreamSet};
use journal::model::{ModelJournal, ModelOptions};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use testkit::net::Faults;

use crate::world::{NO_FAULTS, World};

/// A journal that is full as far as copies for quarantine go, while it is told to be.
struct Full {
    journal: Arc<ModelJournal>,
    is_full: AtomicBool,
}

#[async_trait]
impl Journal for Full {
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
        self.journal.consumers(command).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.journal.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.journal.head()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_copied_to_quarantine_now_stays_pending_until_it_can() {
    let world = World::new(31, ModelOptions::default());
    world.net.set_faults(Faults { poison: 60, ..NO_FAULTS });
    let full = Arc::new(Full { journal: Arc::clone(&world.journal), is_full: AtomicBool::new(true) });
    let supervisor = world.supervisor_over(full.clone()).await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append(1_500).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let state = world.books("bulk").await;
    let n_refused = world.net.taken(|taken| taken.refused.len());
    assert!(n_refused > 0, "the faults were not drawn");
    assert_eq!(state.tally.quarantined, 0, "of nothing there is a copy: {:?}", state.tally);
    assert!(state.appended >= state.tally.total() + n_refused as u64, "pending: {:?}", state.tally);

    full.is_full.store(false, Ordering::SeqCst);
    let state = world.settled("bulk").await;
    supervisor.shutdown().await;
    let copies = world.quarantined().await.remove("bulk").unwrap_or_default();
    assert_eq!((state.tally.quarantined, copies.len()), (n_refused as u64, n_refused));
}
