//! A journal, a disk, and an explorer over both.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, ManualClock, Random, Timestamp};
use event::{Record, RecordBuilder, Section, Stream};
use explorer::{Explorer, Found, Options, Parts};
use journal::model::{ModelJournal, ModelOptions};
use journal::{Append, Entry, Journal, Offset, OnConflict, Producer, Receipt};
use testkit::disk::SimDisk;

/// Small, so that tests meet files and partitions.
pub(crate) const OPTIONS: Options = Options { run_entries: 8, merge_runs: 3 };

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) disk: SimDisk,
    pub(crate) explorer: Explorer,
}

pub(crate) fn journal(clock: &Arc<ManualClock>) -> Arc<dyn Journal> {
    let as_clock: Arc<dyn Clock> = clock.clone();
    Arc::new(ModelJournal::new(as_clock, Arc::new(Random::from_seed(1)), ModelOptions::default()))
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        Self::on(journal(&clock), clock, SimDisk::new(7))
    }

    pub(crate) fn on(journal: Arc<dyn Journal>, clock: Arc<ManualClock>, disk: SimDisk) -> Self {
        let explorer = Explorer::start(Parts {
            journal: Arc::clone(&journal),
            disk: Arc::new(disk.clone()),
            clock: clock.clone(),
            options: OPTIONS,
        });
        Self { clock, journal, disk, explorer: explorer.unwrap() }
    }

    /// The same after the end of the process.
    pub(crate) async fn restarted(self) -> Self {
        self.explorer.shutdown().await;
        self.disk.kill();
        Self::on(self.journal, self.clock, self.disk)
    }

    /// Stores events as one block; answers where they lie.
    pub(crate) async fn store(&self, stream: Stream, ids: &[EventId]) -> Vec<Offset> {
        let now = self.clock.now();
        let entry = |id: &EventId| {
            let mut record = RecordBuilder::new(stream, *id, now, now);
            record.section(Section::Source, "test");
            Entry { record: record.finish().unwrap(), producer: Producer(1), on_conflict: OnConflict::Refuse }
        };
        let append = Append { stream, entries: ids.iter().map(entry).collect(), request_key: None };
        let receipts = self.journal.append(append).await.unwrap().receipts;
        let stored = |receipt| match receipt {
            Receipt::Stored(offset) => offset,
            other => panic!("{other:?}"),
        };
        receipts.into_iter().map(stored).collect()
    }

    /// Stores `n` events, each as a block of its own.
    pub(crate) async fn store_apart(&self, ids: impl IntoIterator<Item = EventId>) {
        for id in ids {
            self.store(Stream::AccountEvent, &[id]).await;
        }
    }

    pub(crate) async fn find(&self, id: EventId) -> Found {
        self.explorer.find(id).await.unwrap()
    }

    /// Where the event is found; `None` when it is not.
    pub(crate) async fn place(&self, id: EventId) -> Option<Offset> {
        match self.find(id).await {
            Found::Stored(stored) => {
                let record: Record<'_> = stored.record().unwrap();
                assert_eq!(record.event_id(), id);
                Some(stored.offset())
            }
            _ => None,
        }
    }

    /// Waits until everything that is stored is in the index.
    pub(crate) async fn settle(&self) {
        assert!(!matches!(self.find(id(u64::MAX)).await, Found::BeingIndexed));
    }

    /// Lets it look at the journal again by itself; the runtime's clock is paused.
    pub(crate) async fn look_again(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// The names of the index's files.
    pub(crate) fn files(&self) -> Vec<String> {
        use journal::disk::Disk;
        let mut names = self.disk.list("").unwrap();
        names.retain(|name| name.contains('-'));
        names.sort();
        names
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// An id without a time, one of many in no order.
pub(crate) fn id(n: u64) -> EventId {
    let mut bytes = (u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n)).to_be_bytes();
    bytes[6] = 0x40;
    bytes[8] = 0x80;
    EventId::from_bytes(bytes)
}

/// An id of our own, of that time.
pub(crate) fn dated(at: Timestamp, n: u64) -> EventId {
    EventId::draw(at, &Random::from_seed(n))
}
