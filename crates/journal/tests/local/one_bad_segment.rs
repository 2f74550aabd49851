//! A sealed segment is damaged: it is named, and nothing else is held up.

use event::StreamSet;
use journal::conformance::{append, confirmed, limits, name};
use journal::local::LocalJournal;
use journal::{
    Consumer, ConsumerCommand, Journal, JournalError, Lease, LeaseError, LeaseLimits, ReadRange, Settlement,
    StartAt,
};

use crate::rig::{ACCOUNT, Rig, receipts, store};

const SECOND: &str = "0000000000000002.segment";

async fn create(journal: &LocalJournal, consumer: &str, start: StartAt) {
    let streams = StreamSet::product();
    let command = ConsumerCommand::Create { name: name(consumer), streams, start, until: None };
    journal.consumers(command).await.unwrap();
}

async fn list(journal: &LocalJournal) -> Vec<Consumer> {
    journal.consumers(ConsumerCommand::List).await.unwrap()
}

async fn lease(journal: &LocalJournal, limits: LeaseLimits) -> Result<Vec<Lease>, LeaseError> {
    journal.lease(&name("c"), StreamSet::product(), limits).await
}

async fn confirm(journal: &LocalJournal, lease: &Lease) {
    journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
}

fn sequences(leases: &[Lease]) -> Vec<u64> {
    leases.iter().map(|lease| lease.block.sequence()).collect()
}

/// Two blocks a segment, nine in all; block 3 is settled. Then a byte of block 3 or 4 in segment 2 is changed.
async fn damaged(in_header: bool) -> Rig {
    let rig = Rig::new(600);
    let journal = rig.open();
    create(&journal, "c", StartAt::Earliest).await;
    create(&journal, "other", StartAt::Earliest).await;
    store(&journal, 1..=9).await;
    assert!(journal.segments().iter().all(|segment| segment.next - segment.first <= 2));
    let leases = lease(&journal, limits()).await.unwrap();
    confirm(&journal, &leases[2]).await;
    journal.close().await.unwrap();
    let len = rig.disk.bytes(SECOND).unwrap().len();
    rig.flip(SECOND, if in_header { 192 + 20 } else { len - 1 });
    rig
}

#[tokio::test(start_paused = true)]
async fn blocks_of_other_segments_are_leased_and_the_damaged_one_is_named_when_nothing_else_is_left() {
    let rig = damaged(true).await;
    let journal = rig.open();
    for _ in 0..2 {
        let leases = lease(&journal, limits()).await.unwrap_or_default();
        for lease in leases {
            assert_ne!(lease.block.sequence(), 4);
            confirm(&journal, &lease).await;
        }
    }
    let Err(LeaseError::Journal(JournalError::Damaged(what))) = lease(&journal, limits()).await else {
        panic!("nothing is said of the damage")
    };
    assert!(what.contains(SECOND), "{what}");
    let state = list(&journal).await.remove(0).state;
    assert_eq!((state.floor, state.appended, state.tally.confirmed), (4, 9, 8));
    assert!(state.oldest_pending.is_some());
    // What comes now is leased as before.
    store(&journal, [10]).await;
    assert_eq!(sequences(&lease(&journal, limits()).await.unwrap()), [10]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_holds_the_readable_blocks_and_the_damaged_one_comes_again_later() {
    let rig = damaged(false).await;
    let journal = rig.open();
    assert_eq!(sequences(&lease(&journal, limits()).await.unwrap()), [1, 2, 5, 6, 7, 8, 9]);
    let waiting = LeaseLimits { wait: std::time::Duration::from_mins(1), ..limits() };
    let Err(LeaseError::Journal(JournalError::Damaged(what))) = lease(&journal, waiting).await else {
        panic!("nothing is said of the damage")
    };
    assert!(what.contains(SECOND) && what.contains("block 4"), "{what}");
}

#[tokio::test]
async fn a_read_ends_before_the_damage_and_names_it_when_it_begins_there() {
    for (in_header, ends_at) in [(true, 2), (false, 3)] {
        let journal = damaged(in_header).await.open();
        let read = async |from| {
            let streams = StreamSet::product();
            journal.read(ReadRange { streams, from, until: u64::MAX, max_bytes: usize::MAX }).await
        };
        assert_eq!(read(1).await.unwrap().last().unwrap().sequence(), ends_at);
        let Err(JournalError::Damaged(what)) = read(ends_at + 1).await else { panic!("it was read") };
        assert!(what.contains(SECOND), "{what}");
        assert_eq!(read(5).await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn consumers_are_listed_moved_and_removed() {
    let rig = damaged(true).await;
    let journal = rig.open();
    create(&journal, "late", StartAt::Now).await;
    let names: Vec<_> = list(&journal).await.into_iter().map(|found| found.name).collect();
    assert_eq!(names, [name("c"), name("late"), name("other")]);
    let seek = |consumer, to| ConsumerCommand::Seek { name: name(consumer), to: StartAt::Block(to) };
    let moved = journal.consumers(seek("c", 5)).await.unwrap().remove(0).state;
    assert_eq!((moved.floor, moved.tally.discarded, moved.tally.confirmed), (5, 3, 1));
    let Err(JournalError::Damaged(what)) = journal.consumers(seek("other", 4)).await else {
        panic!("what lies before block 4 cannot be counted")
    };
    assert!(what.contains(SECOND), "{what}");
    journal.consumers(ConsumerCommand::Remove { name: name("other") }).await.unwrap();
    assert_eq!(list(&journal).await.len(), 2);
}

#[tokio::test]
async fn trimming_drops_it_and_the_books_balance() {
    let rig = damaged(true).await;
    let journal = rig.open();
    journal.trim(5).await.unwrap();
    let check = async |journal: &LocalJournal| {
        assert_eq!(journal.head().first, 5);
        let state = list(journal).await.remove(0).state;
        assert_eq!((state.appended, state.tally.confirmed, state.tally.expired), (9, 1, 3));
        assert_eq!(state.floor, 5);
    };
    check(&journal).await;
    drop(journal);
    rig.disk.crash();
    check(&rig.open()).await;
}

/// The consumer has settled blocks behind the trim point that cannot be counted.
#[tokio::test]
async fn trimming_below_it_goes_on_with_the_damage_behind() {
    let rig = damaged(true).await;
    let journal = rig.open();
    journal.trim(3).await.unwrap();
    assert_eq!(journal.head().first, 3);
    let state = list(&journal).await.remove(0).state;
    assert!(state.tally.total() <= state.appended, "{state:?}");
    drop(journal);
    rig.disk.crash();
    let journal = rig.open();
    assert_eq!(journal.head().first, 3);
    assert_eq!(receipts(&journal, 10).await, [true]);
}

/// When the directory cannot be synced after the new file has its name.
#[tokio::test]
async fn readers_find_the_blocks_after_a_swap_that_failed() {
    for lasts in [3, 4] {
        let rig = Rig::filled(1, 3).await;
        let journal = rig.open();
        // To create, to write, to sync, to rename; then the directory.
        let faults = testkit::disk::Faults { power_lasts: Some(lasts), ..Default::default() };
        rig.disk.set_faults(faults);
        let answer = journal.erase(&[journal::Offset { block: 1, index: 0 }]).await;
        assert!(matches!(answer, Err(JournalError::Poisoned)), "{answer:?}");
        let range =
            ReadRange { streams: StreamSet::product(), from: 1, until: u64::MAX, max_bytes: usize::MAX };
        let blocks = journal.read(range).await.unwrap();
        assert_eq!(blocks.iter().map(|block| block.sequence()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(journal.append(append(ACCOUNT, [9])).await.is_err());
    }
}
