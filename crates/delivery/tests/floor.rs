//! What is forgotten of a configuration's earlier selections, because all their events are settled, must stay settled.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ManualClock, Random, Timestamp};
use catalog::{Catalog, Keyring, MemoryStore};
use delivery::{Parts, Supervisor, consumer_name};
use event::native::Instance;
use event::{RecordBuilder, Stream, StreamSet};
use journal::local::{LocalJournal, LocalOptions};
use journal::{
    Append, ConsumerCommand, Entry, Journal, LeaseLimits, OnConflict, Producer, Settlement, Tally,
};
use testkit::disk::SimDisk;
use testkit::net::{Faults, SimNet};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()))
}

fn open(disk: &SimDisk) -> LocalJournal {
    let seldom = LocalOptions { checkpoint_every: Duration::from_hours(1), ..LocalOptions::default() };
    LocalJournal::open(Arc::new(disk.clone()), clock(), Arc::new(Random::from_seed(1)), seldom).unwrap()
}

async fn floors(journal: &LocalJournal) -> BTreeMap<String, u64> {
    let consumers = journal.consumers(ConsumerCommand::List).await.unwrap();
    consumers.into_iter().map(|each| (each.name.as_str().to_owned(), each.state.floor)).collect()
}

async fn settle_one(journal: &LocalJournal) {
    let now = clock().now();
    let id = base::EventId::derive(now, &["one"]);
    let record = RecordBuilder::new(Stream::AccountEvent, id, now, now).finish().unwrap();
    let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
    journal.append(Append { stream: Stream::AccountEvent, entries, request_key: None }).await.unwrap();
    let ttl = Duration::from_mins(2);
    let limits = LeaseLimits { max_blocks: 9, max_bytes: 1 << 20, ttl, wait: ttl };
    let name = consumer_name("c").unwrap();
    for lease in journal.lease(&name, StreamSet::product(), limits).await.unwrap() {
        let tally = Tally { skipped: 1, ..Tally::default() };
        journal.settle(lease.id, Settlement::Done(tally)).await.unwrap();
    }
}

#[tokio::test]
async fn a_floor_by_which_selections_are_forgotten_survives_a_crash() {
    let disk = SimDisk::new(1);
    let journal = open(&disk);
    delivery::admit(&journal, "c").await.unwrap();
    let parts = Parts {
        journal: Arc::new(journal.clone()),
        catalog: Catalog::open(Arc::new(MemoryStore::default())).unwrap(),
        keyring: Arc::new(Keyring::new(&[7; 32])),
        transport: Arc::new(SimNet::new(1, Faults::default())),
        instance: Instance {
            name: "n".to_owned(),
            domain: "d".to_owned(),
            environment: "test".to_owned(),
            public_url: None,
        },
        clock: clock(),
        random: Arc::new(Random::from_seed(2)),
    };
    let supervisor = Supervisor::start(parts).await;
    settle_one(&journal).await;
    let told = supervisor.floor("c").await.unwrap();
    assert_eq!(told, 2, "the only block is settled");
    assert_eq!(supervisor.floor("nobody's").await.unwrap(), 0, "no place is made by asking");
    supervisor.shutdown().await;
    drop((supervisor, journal));
    disk.crash();
    assert_eq!(floors(&open(&disk)).await, BTreeMap::from([("cfg/c".to_owned(), told)]));
}
