//! A journal of which one block cannot be read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event::StreamSet;
use journal::model::ModelJournal;
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};

/// A journal of which this block cannot be read.
pub(crate) struct Damaged {
    pub(crate) journal: Arc<ModelJournal>,
    pub(crate) block: u64,
}

#[async_trait]
impl Journal for Damaged {
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
        if range.from == self.block {
            return Err(JournalError::Damaged("as the test has it".to_owned()));
        }
        let until = if range.from < self.block { range.until.min(self.block) } else { range.until };
        self.journal.read(ReadRange { until, ..range }).await
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
