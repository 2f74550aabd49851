//! Files that are missing, damaged or of another journal, and a disk that refuses: the index is made again.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::{ManualClock, Random};
use event::{Stream, StreamSet};
use explorer::{Explorer, FindError, Found, Parts};
use journal::disk::{Disk, DiskFile, DiskLock};

use journal::local::{LocalJournal, LocalOptions, Repair, Seen, Survey, Watch};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use testkit::disk::{Faults, SimDisk};

use crate::world::{World, id, journal};

const N: u64 = 60;

async fn filled() -> World {
    let world = World::new();
    world.store_apart((0..N).map(id)).await;
    world.settle().await;
    assert!(world.files().len() > 1, "{:?}", world.files());
    world
}

async fn check(world: &World) {
    for n in 0..N {
        assert!(world.place(id(n)).await.is_some(), "{n}");
    }
    assert!(matches!(world.find(id(N)).await, Found::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_is_made_again() {
    let world = filled().await;
    for name in world.files() {
        world.disk.forget(&name);
        check(&world).await;
    }
    let world = world.restarted().await;
    for name in world.files() {
        world.disk.forget(&name);
    }
    check(&world.restarted().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_made_again_when_it_is_met() {
    let world = filled().await;
    for name in world.files() {
        let mut bytes = world.disk.bytes(&name).unwrap();
        let at = 4096 + 20;
        bytes[at] ^= 1;
        world.disk.set_bytes(&name, bytes);
    }
    check(&world).await;
    let world = world.restarted().await;
    check(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_power_costs_nothing_but_time() {
    for seed in 0..20 {
        let clock = World::new().clock;
        let world = World::on(journal(&clock), clock, SimDisk::new(seed));
        world.store_apart((0..N).map(id)).await;
        world.settle().await;
        world.explorer.shutdown().await;
        world.disk.crash();
        check(&World::on(world.journal, world.clock, world.disk).restarted().await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn files_of_another_journal_are_not_believed() {
    let world = filled().await;
    world.explorer.shutdown().await;
    // One that has fewer blocks, and one that has more, of another time.
    for n_blocks in [5, 2 * N] {
        let disk = world.disk.clone();
        disk.kill();
        let clock = Arc::new(ManualClock::new(base::Timestamp::default()));
        let other = World::on(journal(&clock), clock, disk);
        other.store_apart((1_000..1_000 + n_blocks).map(id)).await;
        for n in 0..N {
            assert!(matches!(other.find(id(n)).await, Found::Unknown), "{n}");
        }
        assert!(other.place(id(1_000)).await.is_some());
        assert!(other.place(id(999 + n_blocks)).await.is_some());
        other.explorer.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_makes_it_lag_and_no_more() {
    let world = World::new();
    world.settle().await;
    world.disk.set_faults(Faults { capacity: Some(1), ..Faults::default() });
    world.store_apart((0..N).map(id)).await;
    assert!(matches!(world.find(id(N - 1)).await, Found::BeingIndexed));
    world.disk.set_faults(Faults::default());
    // It tries again by itself.
    for _ in 0..10 {
        world.look_again().await;
    }
    check(&world).await;
}

/// An explorer on a journal in files, and that journal.
fn on_files(disk: &SimDisk) -> (World, LocalJournal) {
    let clock = World::new().clock;
    let options = LocalOptions { segment_bytes: 4096, cache_bytes: 0, ..LocalOptions::default() };
    let random = Arc::new(Random::from_seed(1));
    let journal = LocalJournal::open(Arc::new(disk.clone()), clock.clone(), random, options).unwrap();
    (World::on(Arc::new(journal.clone()), clock, SimDisk::new(2)), journal)
}

/// Damages a block of the second segment.
fn damage(disk: &SimDisk) {
    let name = "0000000000000002.segment";
    let mut bytes = disk.bytes(name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.set_bytes(name, bytes);
}

#[tokio::test]
async fn blocks_that_cannot_be_read_keep_no_others_from_being_found() {
    let disk = SimDisk::new(1);
    let (world, journal) = on_files(&disk);
    world.store_apart((0..N).map(id)).await;
    world.explorer.shutdown().await;
    // It may have the file open, and goes on reading what that was.
    journal.close().await.unwrap();
    damage(&disk);
    let (world, _journal) = on_files(&disk);
    let mut n_found = 0;
    for n in 0..N {
        n_found += u64::from(world.place(id(n)).await.is_some());
    }
    let n_unreadable = world.explorer.status().blocks_unreadable;
    assert_eq!(n_found + n_unreadable, N);
    assert!((1..N / 2).contains(&n_unreadable), "{n_unreadable}");
}

/// A journal of which some blocks cannot be read.
struct Damaged(Arc<dyn Journal>, Range<u64>);

#[async_trait]
impl Journal for Damaged {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.0.append(append).await
    }

    async fn lease(&self, _: &ConsumerName, _: StreamSet, _: LeaseLimits) -> Result<Vec<Lease>, LeaseError> {
        panic!("it leases nothing")
    }

    async fn extend(&self, _: LeaseId, _: Duration) -> Result<(), LeaseError> {
        panic!("it leases nothing")
    }

    async fn settle(&self, _: LeaseId, _: Settlement) -> Result<(), LeaseError> {
        panic!("it leases nothing")
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        if self.1.contains(&range.from) {
            return Err(JournalError::Damaged("a test".to_owned()));
        }
        let until = if range.from < self.1.start { range.until.min(self.1.start) } else { range.until };
        self.0.read(ReadRange { until, ..range }).await
    }

    async fn consumers(&self, _: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        panic!("it is no consumer")
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.0.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.0.head()
    }
}

#[tokio::test(start_paused = true)]
async fn many_unreadable_blocks_are_passed_over_exactly() {
    let world = filled().await;
    for damage in [1..2, 1..40, 7..23, 30..61, 60..61] {
        let journal = Arc::new(Damaged(Arc::clone(&world.journal), damage.clone()));
        let other = World::on(journal, Arc::clone(&world.clock), SimDisk::new(3));
        other.settle().await;
        assert_eq!(other.explorer.status().blocks_unreadable, damage.end - damage.start);
        for n in (0..N).filter(|n| !damage.contains(&(n + 1))) {
            assert!(other.place(id(n)).await.is_some(), "{n} {damage:?}");
        }
        assert!(matches!(other.find(id(damage.start - 1)).await, Found::Unknown));
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_recognised_is_followed_all_the_same() {
    let world = filled().await.restarted().await;
    let files = world.files();
    world.explorer.shutdown().await;
    let journal = Arc::new(Damaged(world.journal, 1..N + 1));
    let world = World::on(journal, world.clock, world.disk);
    world.store(Stream::AccountEvent, &[id(N)]).await;
    assert!(world.place(id(N)).await.is_some());
    assert!(world.files().starts_with(&files), "nothing was thrown away");
    assert!(world.explorer.find(id(1)).await.is_err(), "where it lies is known, but it cannot be read");
}

#[tokio::test]
async fn an_erased_event_says_that_it_was_erased() {
    let (world, journal) = on_files(&SimDisk::new(1));
    let places = world.store(Stream::AuditLog, &[id(1), id(2)]).await;
    world.settle().await;
    journal.erase(&places[..1]).await.unwrap();
    assert!(matches!(world.find(id(1)).await, Found::Erased));
    assert_eq!(world.place(id(2)).await, Some(places[1]));
}

struct Unwatched;

impl Watch for Unwatched {
    fn progress(&mut self, _: u64, _: u64) {}

    fn restart(&mut self) {}

    fn block(&mut self, _: &Seen<'_>) {}
}

#[tokio::test]
async fn an_event_that_was_given_up_in_a_repair_is_not_said_to_be_erased() {
    let disk = SimDisk::new(1);
    let (world, journal) = on_files(&disk);
    world.store_apart((0..N).map(id)).await;
    world.settle().await;
    world.explorer.shutdown().await;
    journal.close().await.unwrap();
    drop((world.journal, journal));
    damage(&disk);
    let files: Arc<dyn Disk> = Arc::new(disk.clone());
    let lock = files.lock().unwrap();
    let repair = Repair::plan(Survey::of(&disk, None, &mut Unwatched).unwrap()).unwrap();
    assert_eq!(repair.gives_up().len(), 1);
    let lost = repair.gives_up()[0].from;
    let random = Arc::new(Random::from_seed(1));
    repair.carry_out(files, lock, world.clock.clone(), random, &[]).await.unwrap();
    let (again, _) = on_files(&disk);
    let world = World::on(again.journal, world.clock, world.disk);
    // Blocks count from 1, ids from 0.
    let found = world.find(id(lost - 1)).await;
    assert!(matches!(found, Found::Lost), "{found:?}");
    assert!(world.place(id(lost)).await.is_some());
}

/// A disk of which one file cannot be read, until another one has its name.
struct Refusing(SimDisk, String, AtomicBool);

impl Disk for Refusing {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let refuses = name == self.1 && self.2.load(Ordering::SeqCst);
        if refuses { Err(io::ErrorKind::PermissionDenied.into()) } else { self.0.open(name) }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if from == self.1 {
            self.2.store(false, Ordering::SeqCst);
        }
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        self.0.sync_dir(folder)
    }

    fn lock(&self) -> io::Result<DiskLock> {
        self.0.lock()
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside_and_its_events_are_read_again() {
    let world = filled().await;
    world.explorer.shutdown().await;
    let name = world.files().remove(0);
    let disk = Arc::new(Refusing(world.disk.clone(), name.clone(), AtomicBool::new(true)));
    let (journal, clock) = (Arc::clone(&world.journal), world.clock.clone());
    let explorer = Explorer::start(Parts { journal, disk, clock, options: crate::world::OPTIONS }).unwrap();
    assert!(world.disk.bytes(&format!("{name}.unreadable")).is_some());
    for n in 0..N {
        assert!(matches!(explorer.find(id(n)).await.unwrap(), Found::Stored(_)), "{n}");
    }
    explorer.shutdown().await;
}

#[tokio::test]
async fn without_an_index_nothing_is_called_unknown() {
    let world = filled().await;
    let explorer = Explorer::without_index(Arc::clone(&world.journal));
    assert!(matches!(explorer.find(id(0)).await, Err(FindError::NoIndex)));
    assert_eq!((explorer.status().complete_as_of, explorer.status().blocks_behind), (None, N));
    explorer.shutdown().await;
}
