//! A disk that fails, or has no room.

use event::StreamSet;
use journal::conformance::{append, id, name};
use journal::disk::Disk;
use journal::{AppendError, ConsumerCommand, Journal, JournalError, Offset, StartAt};
use testkit::disk::{Faults, SimDisk};

use crate::rig::{ACCOUNT, FIRST, Rig, receipts, store, stored_ids};

#[tokio::test]
async fn a_failed_write_or_sync_poisons_the_journal_until_it_is_opened_again() {
    for faults in [
        Faults { fail_write_after: Some(0), ..Faults::default() },
        Faults { fail_sync_after: Some(0), ..Faults::default() },
    ] {
        let rig = Rig::filled(1_000_000, 2).await;
        let journal = rig.open();
        rig.disk.set_faults(faults);
        for _ in 0..2 {
            // The disk fails once only: what poisons is that nobody knows what it did.
            let answer = journal.append(append(ACCOUNT, [3])).await;
            assert!(matches!(answer, Err(AppendError::Journal(JournalError::Poisoned))), "{answer:?}");
            assert!(journal.head().poisoned);
        }
        assert!(matches!(journal.close().await, Err(JournalError::Poisoned)));
        rig.disk.crash();
        let journal = rig.open();
        assert!(!journal.head().poisoned);
        receipts(&journal, 3).await;
        assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)]);
    }
}

/// The sync after the cut fails: the disk may still have what was cut off, and the shorter file counts as clean.
#[tokio::test]
async fn what_was_cut_off_does_not_come_back_behind_what_is_written_next() {
    for seed in 0..20 {
        let mut rig = Rig::new(1_000_000);
        rig.disk = SimDisk::new(seed);
        store(&rig.open(), 1..=2).await;
        let mut bytes = rig.disk.bytes(FIRST).unwrap();
        bytes.extend([0xaa; 5_000]);
        rig.disk.set_bytes(FIRST, bytes);
        rig.disk.set_faults(Faults { fail_sync_after: Some(1), ..Faults::default() });
        assert!(matches!(rig.try_open().map(|_| ()), Err(JournalError::Disk(_))));
        rig.disk.kill();
        let journal = rig.open();
        store(&journal, [3]).await;
        journal.erase(&[Offset { block: 99, index: 0 }]).await.unwrap();
        assert_eq!(journal.segments().len(), 2, "the first one is sealed");
        drop(journal);
        rig.disk.crash();
        let journal = rig.open();
        journal.verify().await.unwrap();
        assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)], "seed {seed}");
    }
}

/// Of the group or of the header of a segment, which is written before its first group.
#[tokio::test]
async fn what_a_failed_sync_left_in_the_page_cache_is_made_durable_before_it_counts() {
    for (segment_bytes, syncs) in [(1_000_000, 0), (1, 0), (1, 1), (1, 2)] {
        for seed in 0..20 {
            let mut rig = Rig::new(segment_bytes);
            rig.disk = SimDisk::new(seed);
            store(&rig.open(), 1..=2).await;
            let journal = rig.open();
            rig.disk.set_faults(Faults { fail_sync_after: Some(syncs), ..Faults::default() });
            let answer = journal.append(append(ACCOUNT, [3])).await;
            drop(journal);
            // The process is started again, the disk's cache is as it was.
            rig.disk.kill();
            let journal = rig.open();
            let is_new = receipts(&journal, 3).await == [true];
            assert!(answer.is_err() || !is_new, "{answer:?}");
            drop(journal);
            rig.disk.crash();
            let journal = rig.open();
            let stored = stored_ids(&journal).await;
            assert_eq!(stored, [id(1), id(2), id(3)], "{segment_bytes} {syncs} {seed}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let rig = Rig::filled(1_000_000, 2).await;
    let journal = rig.open();
    let used = rig.disk.bytes(FIRST).unwrap();
    rig.disk.set_faults(Faults { capacity: Some(used.len() as u64 + 300), ..Faults::default() });
    for _ in 0..2 {
        assert!(matches!(journal.append(append(ACCOUNT, [3])).await, Err(AppendError::Full)));
        assert_eq!(rig.disk.bytes(FIRST).unwrap(), used, "what was written in part is cut off");
    }
    assert!(!journal.head().poisoned);
    rig.disk.set_faults(Faults::default());
    store(&journal, [3]).await;
    journal.verify().await.unwrap();
    assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)]);
}

#[tokio::test]
async fn a_disk_that_fills_up_at_a_new_segment_refuses_and_goes_on() {
    let rig = Rig::filled(1, 1).await;
    let journal = rig.open();
    let used: usize = ["consumers", FIRST].into_iter().map(|file| rig.disk.bytes(file).unwrap().len()).sum();
    rig.disk.set_faults(Faults { capacity: Some(used as u64 + 100), ..Faults::default() });
    assert!(matches!(journal.append(append(ACCOUNT, [2])).await, Err(AppendError::Full)));
    rig.disk.set_faults(Faults::default());
    store(&journal, [2, 3]).await;
    drop(journal);
    rig.disk.crash();
    assert_eq!(stored_ids(&rig.open()).await, [id(1), id(2), id(3)]);
}

/// Bytes of all files, and the files.
fn used(disk: &SimDisk) -> (u64, usize) {
    let files = disk.list("").unwrap();
    (files.iter().map(|file| disk.bytes(file).unwrap().len() as u64).sum(), files.len())
}

fn sidecars(disk: &SimDisk) -> Vec<String> {
    let mut files = disk.list("").unwrap();
    files.retain(|file| file.strip_suffix(".ids").is_some());
    files.sort();
    files
}

fn unfinished(disk: &SimDisk) -> usize {
    disk.list("").unwrap().iter().filter(|file| file.strip_suffix(".tmp").is_some()).count()
}

#[tokio::test]
async fn a_disk_without_room_for_one_more_file_refuses_and_goes_on() {
    let rig = Rig::filled(1, 2).await;
    let journal = rig.open();
    rig.disk.set_faults(Faults { max_files: Some(used(&rig.disk).1), ..Faults::default() });
    assert!(matches!(journal.append(append(ACCOUNT, [3])).await, Err(AppendError::Full)));
    assert!(!journal.head().poisoned);
    rig.disk.set_faults(Faults::default());
    store(&journal, [3, 4]).await;
    assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3), id(4)]);
}

#[tokio::test]
async fn a_full_disk_opens_without_sidecars_and_they_are_written_when_there_is_room() {
    let rig = Rig::filled(1, 4).await;
    rig.disk.forget(&sidecars(&rig.disk)[0]);
    rig.disk.set_bytes(&sidecars(&rig.disk)[0], b"broken".to_vec());
    rig.disk.set_faults(Faults { capacity: Some(used(&rig.disk).0 + 300), ..Faults::default() });
    let journal = rig.open();
    for n in 1..=4 {
        assert_eq!(receipts(&journal, n).await, [false], "event {n} is known");
    }
    assert_eq!(sidecars(&rig.disk).len(), 1, "what was written in part is removed");
    // A segment's header fits, its ids do not.
    rig.disk.set_faults(Faults { capacity: Some(used(&rig.disk).0 + 2_000), ..Faults::default() });
    store(&journal, [5]).await;
    assert_eq!(sidecars(&rig.disk).len(), 1);
    for n in 1..=5 {
        assert_eq!(receipts(&journal, n).await, [false], "event {n} is known");
    }
    rig.disk.set_faults(Faults::default());
    store(&journal, [6]).await;
    assert_eq!(sidecars(&rig.disk).len(), 5);
    drop(journal);
    let journal = rig.open();
    for n in 1..=6 {
        assert_eq!(receipts(&journal, n).await, [false], "event {n} is known");
    }
}

#[tokio::test]
async fn what_a_full_disk_could_not_take_leaves_nothing_behind() {
    let rig = Rig::filled(1, 2).await;
    let journal = rig.open();
    rig.disk.set_faults(Faults { capacity: Some(used(&rig.disk).0 + 10), ..Faults::default() });
    let answer = journal.erase(&[Offset { block: 1, index: 0 }]).await;
    assert!(matches!(answer, Err(JournalError::Disk(_))), "{answer:?}");
    assert_eq!(unfinished(&rig.disk), 0);
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    let command = ConsumerCommand::Create { name: name("c"), streams, start, until: None };
    let answer = journal.consumers(command).await;
    assert!(matches!(answer, Err(JournalError::Disk(_))), "{answer:?}");
    assert_eq!(unfinished(&rig.disk), 0);
    assert!(!journal.head().poisoned);
}

/// A first start may end anywhere, and the next one finds what it has left: nothing, or a file without its header.
#[tokio::test]
async fn what_is_stored_after_a_first_start_that_failed_is_still_there_after_the_next() {
    for good in 0..4 {
        for seed in 0..10 {
            let mut rig = Rig::new(1_000_000);
            rig.disk = SimDisk::new(seed);
            rig.disk.set_faults(Faults { fail_write_after: Some(good), ..Faults::default() });
            drop(rig.try_open());
            if seed % 2 == 0 {
                rig.disk.kill();
            } else {
                rig.disk.crash();
            }
            let journal = rig.open();
            store(&journal, [1]).await;
            drop(journal);
            rig.disk.kill();
            let journal = rig.try_open().unwrap_or_else(|error| panic!("write {good}, seed {seed}: {error}"));
            assert_eq!(stored_ids(&journal).await, [id(1)], "write {good}, seed {seed}");
        }
    }
}
