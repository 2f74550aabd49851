//! Damage to the quarantine stream, and reads that fail: what is known of the rest is still told, and read once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::Clock;
use delivery::quarantined::{Ending, Filter, Order};
use delivery::{Report, Supervisor};
use destinations::Vendor;
use event::{Stream, StreamSet};
use journal::model::{ModelJournal, ModelOptions};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use parking_lot::Mutex;
use testkit::net::Faults;

use crate::parking::parked;
use crate::world::{NO_FAULTS, World};

/// A journal of which some blocks are damaged, or nothing of quarantine can be read, while it is told to be so.
struct Sick {
    journal: Arc<ModelJournal>,
    damaged: Mutex<Range<u64>>,
    fails: AtomicBool,
    n_reads: AtomicUsize,
    n_lists: AtomicUsize,
}

impl Sick {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            journal: Arc::clone(&world.journal),
            damaged: Mutex::new(0..0),
            fails: AtomicBool::new(false),
            n_reads: AtomicUsize::new(0),
            n_lists: AtomicUsize::new(0),
        })
    }

    fn counts(&self) -> (usize, usize) {
        (self.n_reads.load(Ordering::SeqCst), self.n_lists.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Journal for Sick {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
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
            let damaged = self.damaged.lock().clone();
            let whole: Vec<Lease> =
                leases.into_iter().filter(|lease| !damaged.contains(&lease.block.sequence())).collect();
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
        if self.fails.load(Ordering::SeqCst) && range.streams == StreamSet::from_iter([Stream::Quarantine]) {
            return Err(JournalError::Read(std::io::Error::other("a test")));
        }
        let damaged = self.damaged.lock().clone();
        if damaged.contains(&range.from) {
            return Err(JournalError::Damaged("a test".to_owned()));
        }
        if range.from >= damaged.end {
            return self.journal.read(range).await;
        }
        let before = self.journal.read(ReadRange { until: range.until.min(damaged.start), ..range }).await?;
        if before.is_empty() && range.until > damaged.start {
            return Err(JournalError::Damaged("a test".to_owned()));
        }
        Ok(before)
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        if command == ConsumerCommand::List {
            self.n_lists.fetch_add(1, Ordering::SeqCst);
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

/// How many blocks are missing from the list of `c`.
async fn n_unlisted(supervisor: &Supervisor) -> u64 {
    let all = Filter::default();
    supervisor.quarantined().list("c", &all, Order::NewestFirst, None, 9).await.unwrap().n_unreadable
}

fn of<'a>(reports: &'a [Report], id: &str) -> &'a Report {
    reports.iter().find(|report| report.id == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn damage_silences_no_report_and_nothing_around_it_is_counted_twice() {
    let world = World::new(81, ModelOptions::default());
    let sick = Sick::new(&world);
    let supervisor = world.supervisor_over(sick.clone()).await;
    world.configure("c", Vendor::Elasticsearch, true).await;
    world.net.set_faults(Faults { poison: 60, ..NO_FAULTS });
    for _ in 0..30 {
        world.append(20).await;
    }
    world.settled("c").await;
    let (ids, n_all) = supervisor.quarantined().chosen("c", &Filter::default()).await.unwrap();
    assert!(n_all >= 4, "{n_all}");
    let discarded = Ending::Discarded { note: None };
    let mut changes = Vec::new();
    for id in &ids[..3] {
        changes.push(world.journal.head().next);
        supervisor.quarantined().end("c", *id, &discarded, "somebody").await.unwrap().unwrap();
    }
    supervisor.shutdown().await;
    // What became of the first one cannot be read any more. It stands where it stood; the others are discarded, once.
    *sick.damaged.lock() = changes[0]..changes[0] + 1;
    let supervisor = world.supervisor_over(sick.clone()).await;
    for _ in 0..3 {
        let reports = supervisor.reports().await.unwrap();
        let report = of(&reports, "c");
        assert_eq!(report.unread, None);
        assert_eq!((report.books.tally.discarded, report.books.tally.quarantined), (2, n_all - 2));
        assert_eq!(report.books.tally.total(), report.books.appended);
        tokio::time::sleep(Duration::from_mins(3)).await;
    }
    assert_eq!(n_unlisted(&supervisor).await, 1);
    assert_eq!(supervisor.n_unreadable(), 1, "it is told once, however often one looks");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_damaged_blocks_are_passed_over_in_few_steps() {
    let world = World::new(82, ModelOptions::default());
    let sick = Sick::new(&world);
    world.configure("c", Vendor::Elasticsearch, false).await;
    for _ in 0..1000 {
        world.append(1).await;
    }
    let next = world.journal.head().next;
    *sick.damaged.lock() = 1..next;
    let supervisor = world.supervisor_over(sick.clone()).await;
    assert_eq!(n_unlisted(&supervisor).await, next - 1);
    assert!(sick.counts().0 < 100, "{:?}", sick.counts());
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_event_that_is_parked_for_long_makes_no_look_read_the_stream_again() {
    let world = World::new(83, ModelOptions::default());
    let (_, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    world.configure("other", Vendor::Https, true).await;
    supervisor.shutdown().await;
    let sick = Sick::new(&world);
    for id in ["bulk", "other"] {
        world.change(&supervisor, id, |changed| changed.enabled = false).await;
    }
    let supervisor = world.supervisor_over(sick.clone()).await;
    for _ in 0..5 {
        let before = sick.counts();
        let reports = supervisor.reports().await.unwrap();
        let after = sick.counts();
        let report = of(&reports, "bulk");
        assert_eq!((report.parked, report.n_pending()), (1, 1), "also while no worker runs");
        assert!(report.books.oldest_pending.is_some());
        assert_eq!(report.main.oldest_pending, None, "it holds up no other");
        assert_eq!(report.lag_seconds(world.clock.now()), 0);
        assert_eq!(after.1 - before.1, 1, "consumers are listed once for all");
        assert!(after.0 - before.0 <= 2, "{} reads", after.0 - before.0);
        tokio::time::sleep(Duration::from_mins(10)).await;
    }
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_learnt_once_it_can_be_read_and_only_those_books_are_unknown_until_then() {
    let world = World::new(84, ModelOptions::default());
    let (_, supervisor) = parked(&world, "bulk", Vendor::Elasticsearch).await;
    world.configure("other", Vendor::Https, true).await;
    supervisor.shutdown().await;
    let sick = Sick::new(&world);
    sick.fails.store(true, Ordering::SeqCst);
    let supervisor = world.supervisor_over(sick.clone()).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let reports = supervisor.reports().await.unwrap();
    assert!(of(&reports, "bulk").unread.is_some());
    assert_eq!(of(&reports, "other").unread, None);
    sick.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.status("bulk").unwrap().parked, 1);
    let reports = supervisor.reports().await.unwrap();
    assert_eq!((of(&reports, "bulk").unread.as_deref(), of(&reports, "bulk").parked), (None, 1));
    supervisor.shutdown().await;
}
