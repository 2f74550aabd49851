//! Backlog budgets while a part of the journal is damaged, or something of one configuration fails.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Clock, EventId};
use delivery::{Budget, Configuration, WhenSpent};
use destinations::Vendor;
use event::{RecordBuilder, Section, Stream, StreamSet};
use journal::model::{ModelJournal, ModelOptions};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Entry, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, OnConflict, Producer, ReadRange, Settlement,
};
use testkit::net::Faults;

use crate::world::{NO_FAULTS, World};

const RELEASES: Budget =
    Budget { max_bytes: Some(20_000), max_age_hours: None, when_spent: WhenSpent::Release };
const KEEPS: Budget = Budget { max_bytes: Some(20_000), max_age_hours: None, when_spent: WhenSpent::Keep };

/// A journal of which one block cannot be read, and in which nothing of one consumer can be given up.
struct Troubled {
    journal: Arc<ModelJournal>,
    damaged: u64,
    stuck: Option<ConsumerName>,
}

impl Troubled {
    fn damaged<T>() -> Result<T, JournalError> {
        Err(JournalError::Damaged("a test".to_owned()))
    }
}

#[async_trait]
impl Journal for Troubled {
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

    async fn extend(&self, lease: LeaseId, ttl: std::time::Duration) -> Result<(), LeaseError> {
        self.journal.extend(lease, ttl).await
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.journal.settle(lease, settlement).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        if range.from == self.damaged {
            return Self::damaged();
        }
        let until = if range.from < self.damaged { range.until.min(self.damaged) } else { range.until };
        self.journal.read(ReadRange { until, ..range }).await
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        match &command {
            ConsumerCommand::Expire { name, .. } if Some(name) == self.stuck.as_ref() => Self::damaged(),
            _ => self.journal.consumers(command).await,
        }
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.journal.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.journal.head()
    }
}

/// A world whose destination is down, with these configurations.
async fn down(seed: u64, configurations: &[(&str, Budget)]) -> World {
    let world = World::new(seed, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    for (id, budget) in configurations {
        world.configure(id, Vendor::Elasticsearch, true).await;
        let found = world.catalog.get::<Configuration>(id).unwrap();
        let changed = Configuration { backlog: *budget, ..found.value };
        world.catalog.replace(id, &changed, found.revision, None).unwrap();
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_damaged_block_expires_with_what_lies_behind_it() {
    for damaged in [1, 2] {
        let world = down(1, &[("bulk", RELEASES)]).await;
        let troubled = Troubled { journal: Arc::clone(&world.journal), damaged, stuck: None };
        let supervisor = world.supervisor_over(Arc::new(troubled)).await;
        world.append(2_000).await;
        supervisor.look_at_backlogs(0, None).await.unwrap();
        let state = world.state("bulk").await;
        assert!(state.tally.expired > 0 && state.floor > damaged, "{state:?}");
        assert!(state.pending_bytes <= 21_000, "{state:?}");
        supervisor.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_trouble_of_one_configuration_stops_no_other_budget() {
    let world = down(2, &[("a", RELEASES), ("b", RELEASES), ("c", KEEPS)]).await;
    let stuck = delivery::consumer_name("a");
    let troubled = Troubled { journal: Arc::clone(&world.journal), damaged: 0, stuck };
    let supervisor = world.supervisor_over(Arc::new(troubled)).await;
    world.append(2_000).await;
    supervisor.look_at_backlogs(0, None).await.unwrap();
    assert_eq!(world.state("a").await.tally.expired, 0);
    let state = world.state("b").await;
    assert!(state.tally.expired > 0 && state.pending_bytes <= 20_000, "{state:?}");
    let refusal = supervisor.backlogs().refusal(0, world.clock.now());
    assert_eq!(refusal.and_then(|refusal| refusal.configuration_id.clone()).as_deref(), Some("c"));
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_look_gives_up_all_that_is_to_be_given_up() {
    let world = down(3, &[("bulk", RELEASES)]).await;
    let supervisor = world.supervisor().await;
    let text = format!("\"type\":\"{}\"", "x".repeat(500_000));
    for _ in 0..160 {
        let (stream, now) = (Stream::AccountEvent, world.clock.now());
        let mut builder = RecordBuilder::new(stream, EventId::draw(now, &world.random), now, now);
        builder.section(Section::Header, &text);
        let record = builder.finish().unwrap();
        let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
        world.journal.append(Append { stream, entries, request_key: None }).await.unwrap();
    }
    supervisor.look_at_backlogs(0, None).await.unwrap();
    let state = world.state("bulk").await;
    assert_eq!((state.tally.expired, state.pending_bytes), (160, 0), "80 MB");
    supervisor.shutdown().await;
}
