//! The journal over JetStream: its parts, and the seam's eight methods.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_trait::async_trait;
use base::{Clock, Random};
use event::StreamSet;
use futures::StreamExt;
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, Notify};
use tokio::task::JoinHandle;

use crate::books::Books;
use crate::broker::Broker;
use crate::pull::Pull;
use crate::view::View;

/// How leases are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Onto the server's pull consumers and acknowledgements.
    Pull,
    /// Onto the log alone: one process owns a consumer, leases are its own, the checkpoint is the cursor.
    Cursor,
}

/// How often checkpoints are written.
const CHECKPOINT: Duration = Duration::from_millis(100);
/// How often the server is told that what is held is still worked on.
const KEEP: Duration = Duration::from_secs(10);

/// What the tasks share.
pub(crate) struct Inner {
    pub(crate) broker: Broker,
    pub(crate) mapping: Mapping,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    /// Held while the log grows: one message at a time, each expecting the one before.
    pub(crate) writing: Turn<()>,
    pub(crate) view: Mutex<View>,
    pub(crate) books: Mutex<BTreeMap<ConsumerName, Books>>,
    /// Held while leases of a consumer are chosen, and while its checkpoint is written.
    pub(crate) pulls: Mutex<HashMap<ConsumerName, Arc<Turn<Option<Pull>>>>>,
    pub(crate) leases: Mutex<HashMap<LeaseId, (ConsumerName, u64)>>,
    pub(crate) n_leases: AtomicU64,
    pub(crate) changed: Notify,
}

/// The journal over JetStream.
pub struct JetJournal {
    pub(crate) inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

impl JetJournal {
    /// Opens the journal of this name, or makes it.
    pub async fn open(
        client: async_nats::Client,
        prefix: &str,
        mapping: Mapping,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let inner = Arc::new(Inner {
            broker: Broker::open(client, prefix).await?,
            mapping,
            clock,
            random: Random::from_system(),
            writing: Turn::new(()),
            view: Mutex::default(),
            books: Mutex::default(),
            pulls: Mutex::default(),
            leases: Mutex::default(),
            n_leases: AtomicU64::new(0),
            changed: Notify::new(),
        });
        inner.catch_up().await?;
        inner.load_books().await?;
        let tasks =
            vec![
                tokio::spawn(follow(Arc::clone(&inner))),
                tokio::spawn(every(CHECKPOINT, Arc::clone(&inner), |inner| async move {
                    inner.save_dirty().await
                })),
                tokio::spawn(every(KEEP, Arc::clone(&inner), |inner| async move { inner.keep().await })),
            ];
        Ok(Self { inner, tasks })
    }

    /// Writes the checkpoints and ends.
    pub async fn close(&self) {
        if let Err(error) = self.inner.save_dirty().await {
            eprintln!("the last checkpoint was not written: {error}");
        }
    }
}

impl Drop for JetJournal {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Does something again and again. What fails is tried again the next time.
async fn every<F: Future<Output = Result<(), JournalError>>>(
    pause: Duration,
    inner: Arc<Inner>,
    act: impl Fn(Arc<Inner>) -> F,
) {
    loop {
        tokio::time::sleep(pause).await;
        let _again = act(Arc::clone(&inner)).await;
    }
}

/// Takes in what other processes append. Without it they would be seen at this one's next append only.
async fn follow(inner: Arc<Inner>) {
    loop {
        if let Err(_broken) = follow_once(&inner).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn follow_once(inner: &Inner) -> Result<(), async_nats::Error> {
    let start_sequence = inner.view.lock().next();
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        headers_only: true,
        ..pull::OrderedConfig::default()
    };
    let consumer = inner.broker.stream.create_consumer(config).await?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let sequence = message?.info()?.stream_sequence;
        if sequence > inner.view.lock().last {
            let _writing = inner.writing.lock().await;
            inner.catch_up().await?;
        }
    }
    Ok(())
}

impl Inner {
    /// Takes in everything that is stored now. Only while writing, or before anybody does.
    pub(crate) async fn catch_up(&self) -> Result<(), JournalError> {
        let (first, last) = self.broker.ends().await?;
        let from = self.view.lock().next().max(first);
        for sequence in from..=last {
            let opened = self.broker.read(sequence).await?;
            self.view.lock().apply(sequence, opened.as_ref());
        }
        {
            let mut view = self.view.lock();
            view.last = view.last.max(last);
            view.drop_below(first);
        }
        self.appended();
        Ok(())
    }

    /// Tells everybody that the view has grown.
    pub(crate) fn appended(&self) {
        let view = self.view.lock();
        self.books.lock().values_mut().for_each(|books| books.count(&view));
        self.changed.notify_waiters();
    }

    async fn read_range(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        let metas: Vec<_> = self.view.lock().range(range.streams, range.from, range.until).copied().collect();
        let (mut bytes, mut blocks) = (0, Vec::new());
        for meta in metas {
            bytes += meta.bytes as usize;
            if bytes > range.max_bytes && !blocks.is_empty() {
                break;
            }
            // What was trimmed meanwhile is left out.
            if let Some(block) = self.broker.read(meta.sequence).await?.and_then(|opened| opened.block) {
                blocks.push(Arc::new(block));
            }
        }
        Ok(blocks)
    }
}

#[async_trait]
impl Journal for JetJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.inner.append(append).await
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        self.inner.lease(consumer, streams, limits).await
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.inner.extend(lease, ttl)
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.inner.settle(lease, settlement).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        self.inner.read_range(range).await
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        self.inner.consumers(command).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.inner.trim(up_to).await
    }

    /// As far as this process has followed the log: another one may have appended since.
    fn head(&self) -> Head {
        let view = self.inner.view.lock();
        let stored_bytes = view.blocks.values().map(|meta| meta.bytes).sum();
        Head { first: view.first(), next: view.next(), stored_bytes, poisoned: false }
    }
}

impl Inner {
    pub(crate) fn lease_id(&self) -> LeaseId {
        LeaseId(self.n_leases.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
