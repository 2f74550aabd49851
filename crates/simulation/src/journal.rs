//! The journal as the process meets it: each call may be its last one, a writer works at its own pace, answers get lost.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::Clock;
use event::StreamSet;
use journal::local::{LocalJournal, LocalOptions, Stepper};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use tokio::sync::Notify;

use crate::Shape;
use crate::dice::Dice;
use crate::time::SimClock;
use crate::world::World;

/// A journal in a world.
pub(crate) struct WorldJournal {
    world: Arc<World>,
    inner: Arc<dyn Journal>,
    pub(crate) local: Option<LocalJournal>,
    work: Arc<Notify>,
}

/// Opens the journal of a life, in its runtime.
pub(crate) fn open(world: &Arc<World>) -> Result<WorldJournal, JournalError> {
    let work = Arc::new(Notify::new());
    let (inner, local): (Arc<dyn Journal>, _) = match world.shape {
        Shape::Model => (Arc::<journal::model::ModelJournal>::clone(&world.model), None),
        Shape::Local => {
            let dice = &world.dice;
            let options = LocalOptions {
                segment_bytes: dice.between(4_000, 200_000),
                cache_bytes: dice.up_to(200_000) as usize,
                filter_bytes: dice.up_to(4_000) as usize,
                queue_bytes: dice.between(20_000, 1 << 20) as usize,
                ..LocalOptions::default()
            };
            let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&world.clock);
            let (disk, random) = (Arc::new(world.disk.clone()), Arc::clone(&world.random));
            let (local, stepper) = LocalJournal::open_stepped(disk, clock, random, options)?;
            tokio::spawn(write(Arc::clone(world), stepper, Arc::clone(&work)));
            (Arc::new(local.clone()), Some(local))
        }
    };
    Ok(WorldJournal { world: Arc::clone(world), inner, local, work })
}

/// The writer: works while there is work, saves the consumers within a second or so.
async fn write(world: Arc<World>, mut stepper: Stepper, work: Arc<Notify>) {
    let dice = Dice::new(world.seed ^ world.clock.elapsed().as_millis() as u64, "writer");
    loop {
        while !world.fate.is_dead() && stepper.step() {
            if world.plan.disk.is_slow {
                tokio::time::sleep(dice.millis(0, 80)).await;
            }
        }
        if tokio::time::timeout(Duration::from_millis(1_100), work.notified()).await.is_err() {
            if !world.fate.is_dead() {
                stepper.step();
            }
            work.notified().await;
        }
        // What comes at the same moment becomes one group.
        tokio::task::yield_now().await;
    }
}

impl WorldJournal {
    /// Has the writer look whenever the call has got one step further.
    async fn with_writer<T>(&self, call: impl Future<Output = T> + Send) -> T {
        self.world.fate.call().await;
        let mut call = pin!(call);
        let answer = poll_fn(|context| {
            let answer = call.as_mut().poll(context);
            self.work.notify_one();
            answer
        })
        .await;
        self.world.fate.call().await;
        answer
    }

    /// Whether the answer of an append gets lost, on its way from a store that is elsewhere.
    fn loses_append(&self) -> bool {
        self.world.goes_wrong(self.world.plan.lost_appends)
    }
}

fn lost() -> AppendError {
    JournalError::Disk(std::io::Error::other("the answer of the store was lost")).into()
}

#[async_trait]
impl Journal for WorldJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if self.loses_append() {
            self.world.count("append: answer lost");
            if self.world.dice.up_to(1) == 0 {
                let _lost = self.with_writer(self.inner.append(append)).await;
            }
            return Err(lost());
        }
        self.with_writer(self.inner.append(append)).await
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        self.world.fate.call().await;
        self.inner.lease(consumer, streams, limits).await
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.world.fate.call().await;
        self.inner.extend(lease, ttl).await
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.with_writer(self.inner.settle(lease, settlement)).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        self.world.fate.call().await;
        self.inner.read(range).await
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        self.with_writer(self.inner.consumers(command)).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.with_writer(self.inner.trim(up_to)).await
    }

    fn head(&self) -> Head {
        self.inner.head()
    }
}

impl WorldJournal {
    /// The journal itself, for those who look past the process.
    pub(crate) fn past_the_process(&self) -> &dyn Journal {
        &*self.inner
    }

    /// Erases records, as far as the journal can.
    pub(crate) async fn erase(&self, offsets: &[journal::Offset]) -> Result<(), JournalError> {
        match &self.local {
            Some(local) => self.poke_until(local.erase(offsets)).await,
            None => Ok(()),
        }
    }

    /// Saves everything and frees the directory.
    pub(crate) async fn close(&self) -> Result<(), JournalError> {
        match &self.local {
            Some(local) => self.poke_until(local.close()).await,
            None => Ok(()),
        }
    }

    /// A call that goes on in a task of its own: the writer looks again and again.
    async fn poke_until<T>(&self, call: impl Future<Output = T> + Send) -> T {
        let mut call = pin!(call);
        loop {
            self.work.notify_one();
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(5), call.as_mut()).await {
                return answer;
            }
            if self.world.fate.is_dead() {
                std::future::pending::<()>().await;
            }
        }
    }
}
