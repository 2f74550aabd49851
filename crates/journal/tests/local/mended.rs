//! Faults that once kept the journal from opening, and clocks that go wrong.

use std::time::Duration;

use base::Clock;
use event::StreamSet;
use journal::conformance::{append, id, limits, name};
use journal::disk::{Disk, LOST_AND_FOUND};
use journal::{ConsumerCommand, Journal, Receipt, StartAt};
use testkit::disk::Faults;

use crate::rig::{ACCOUNT, FIRST, Rig, receipts, store, stored_ids};

#[tokio::test]
async fn a_damaged_segment_whose_ids_are_gone_too_does_not_keep_the_journal_from_opening() {
    // Three blocks a segment.
    let rig = Rig::filled(900, 7).await;
    rig.disk.forget("0000000000000001.ids");
    let len = rig.disk.bytes(FIRST).unwrap().len();
    rig.flip(FIRST, 192 + (len - 192) / 2);
    for _ in 0..2 {
        let journal = rig.open();
        assert_eq!(journal.recovery().n_ids_partial, 1);
        let known = [receipts(&journal, 1).await, receipts(&journal, 3).await, receipts(&journal, 7).await];
        assert_eq!(known, [[false], [false], [false]], "what can be read is known");
        drop(journal);
        let files = rig.disk.list("").unwrap();
        assert!(!files.contains(&"0000000000000001.ids".to_owned()), "some ids never pass for all");
    }
    let journal = rig.open();
    assert_eq!(receipts(&journal, 2).await, [true], "an event whose block is lost can be sent again");
}

#[tokio::test]
async fn a_missing_sealed_segment_is_not_taken_for_one_without_ids() {
    let rig = Rig::filled(1, 4).await;
    for file in ["0000000000000002.segment", "0000000000000002.ids"] {
        rig.disk.forget(file);
    }
    assert!(rig.damage().contains("0000000000000002.segment is missing"));
}

#[tokio::test]
async fn a_torn_tail_does_not_keep_the_journal_from_opening_when_the_disk_is_full() {
    let rig = Rig::filled(1_000_000, 3).await;
    let mut bytes = rig.disk.bytes(FIRST).unwrap();
    bytes.truncate(bytes.len() - 5);
    rig.disk.set_bytes(FIRST, bytes);
    let used: usize = rig.disk.list("").unwrap().iter().map(|file| rig.disk.bytes(file).unwrap().len()).sum();
    rig.disk.set_faults(Faults { capacity: Some(used as u64), ..Faults::default() });
    let journal = rig.open();
    let recovery = journal.recovery();
    assert!(recovery.cut_bytes > 0 && !recovery.is_cut_kept, "{recovery:?}");
    assert_eq!(stored_ids(&journal).await, [id(1), id(2)]);
    assert!(rig.disk.list(LOST_AND_FOUND).unwrap().is_empty(), "no half copy takes up room");
    rig.disk.set_faults(Faults::default());
    store(&journal, [3]).await;
}

#[tokio::test]
async fn a_clock_that_goes_back_loses_and_repeats_nothing() {
    for restarted in [false, true] {
        let rig = Rig::new(600);
        let mut journal = rig.open();
        let (streams, start) = (StreamSet::product(), StartAt::Earliest);
        journal
            .consumers(ConsumerCommand::Create { name: name("c"), streams, start, until: None })
            .await
            .unwrap();
        store(&journal, 1..=3).await;
        rig.clock.set(rig.clock.now().minus(Duration::from_hours(24 * 400)));
        if restarted {
            journal.close().await.unwrap();
            journal = rig.open();
        }
        for n in 1..=3 {
            assert_eq!(receipts(&journal, n).await, [false], "event {n} is known");
        }
        store(&journal, 4..=6).await;
        let appended = journal.append(append(ACCOUNT, [5, 7])).await.unwrap();
        assert!(matches!(appended.receipts[..], [Receipt::Duplicate, Receipt::Stored(_)]));
        journal.verify().await.unwrap();
        let leases = journal.lease(&name("c"), streams, limits()).await.unwrap();
        let sequences: Vec<_> = leases.iter().map(|lease| lease.block.sequence()).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7], "in the order in which they came");
        journal.close().await.unwrap();
        assert_eq!(stored_ids(&rig.open()).await, (1..=7).map(id).collect::<Vec<_>>());
    }
}
