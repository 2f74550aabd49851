//! What a restart works out that was not saved.

use std::time::Duration;

use event::StreamSet;
use journal::conformance::{append, confirmed, id, limits, name};
use journal::disk::Disk;
use journal::local::{LocalJournal, Stepper};
use journal::{ConsumerCommand, Journal, Lease, Offset, Settlement, StartAt};
use testkit::disk::{Faults, SimDisk};

use crate::rig::{ACCOUNT, FIRST, Rig, all, receipts, store, stored_ids};

#[tokio::test]
async fn a_consumers_end_is_found_again_when_the_journal_passed_it_before_a_crash() {
    for segment_bytes in [1, 600, 1_000_000] {
        let mut rig = Rig::new(segment_bytes);
        rig.options.checkpoint_every = Duration::from_hours(1);
        let journal = rig.open();
        let command = ConsumerCommand::Create {
            name: name("replay"),
            streams: StreamSet::product(),
            start: StartAt::Earliest,
            until: Some(4),
        };
        journal.consumers(command).await.unwrap();
        store(&journal, 1..=9).await;
        drop(journal);
        rig.disk.crash();
        let journal = rig.open();
        let state = async || journal.consumers(ConsumerCommand::List).await.unwrap().remove(0).state;
        assert_eq!(state().await.appended, 3, "segments of {segment_bytes}");
        for lease in journal.lease(&name("replay"), StreamSet::product(), limits()).await.unwrap() {
            journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
        }
        let state = state().await;
        assert_eq!((state.tally.confirmed, state.pending_bytes, state.floor), (3, 0, 4));
    }
}

/// Any of the removals may have reached the disk.
#[tokio::test]
async fn gaps_below_the_anchor_are_no_damage() {
    let names = |id| format!("{id:016x}.segment");
    for survivors in [vec![], vec![1], vec![2], vec![1, 3], vec![2, 4], vec![1, 2, 3, 4]] {
        let rig = Rig::filled(1, 6).await;
        let dropped: Vec<_> = (1..=4).map(|id| rig.disk.bytes(&names(id)).unwrap()).collect();
        let journal = rig.open();
        journal.trim(5).await.unwrap();
        drop(journal);
        assert_eq!(rig.disk.bytes(FIRST), None);
        for id in &survivors {
            rig.disk.set_bytes(&names(*id), dropped[*id - 1].clone());
        }
        let journal = rig.open();
        assert_eq!((journal.head().first, journal.head().next), (5, 7));
        assert_eq!(journal.recovery().n_dropped, survivors.len());
        assert_eq!(all(&journal).await.len(), 2);
        assert!((1..=4).all(|id| rig.disk.bytes(&names(id)).is_none()), "{survivors:?}");
    }
}

fn create(consumer: &str) -> ConsumerCommand {
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    ConsumerCommand::Create { name: name(consumer), streams, start, until: None }
}

async fn lease_and_confirm(journal: &LocalJournal) -> Vec<Lease> {
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    for lease in &leases {
        journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
    }
    leases
}

/// Carries a call out with a writer that is driven by hand.
async fn drive<T: Send + 'static>(
    stepper: &mut Stepper,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let task = tokio::spawn(call);
    while !task.is_finished() {
        tokio::task::yield_now().await;
        stepper.step();
    }
    task.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_is_saved_after_a_second_and_not_at_once() {
    for (wait, is_saved) in [(999, false), (1_000, true)] {
        let mut rig = Rig::new(1_000_000);
        rig.options.cache_bytes = 1_000_000;
        let (journal, mut stepper) = rig.open_stepped();
        let handle = journal.clone();
        drive(&mut stepper, async move {
            handle.consumers(create("c")).await.unwrap();
            handle.append(append(ACCOUNT, [1])).await.unwrap();
        })
        .await;
        assert_eq!(lease_and_confirm(&journal).await.len(), 1);
        tokio::time::advance(Duration::from_millis(wait)).await;
        assert!(!stepper.step(), "nothing waits");
        drop((journal, stepper));
        rig.disk.crash();
        let journal = rig.open();
        assert_eq!(lease_and_confirm(&journal).await.is_empty(), is_saved, "after {wait} ms");
    }
}

/// The writer sleeps without an end when there is nothing to save.
#[tokio::test]
async fn a_settle_wakes_the_writer_that_sleeps() {
    let mut rig = Rig::new(1_000_000);
    rig.options.checkpoint_every = Duration::ZERO;
    let journal = rig.open();
    journal.consumers(create("c")).await.unwrap();
    store(&journal, [1]).await;
    let saves = || rig.disk.counts().dir_syncs;
    // The append is saved too. After another command, the writer has nothing to do.
    journal.consumers(create("d")).await.unwrap();
    journal.trim(0).await.unwrap();
    let before = saves();
    lease_and_confirm(&journal).await;
    let saved = async {
        while saves() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), saved).await.unwrap();
}

#[tokio::test]
async fn blocks_are_shown_only_after_their_sync() {
    for cache_bytes in [0, 1_000_000] {
        let mut rig = Rig::new(1_000_000);
        rig.options.cache_bytes = cache_bytes;
        let journal = rig.open();
        store(&journal, 1..=2).await;
        let before = (journal.head().next, journal.head().stored_bytes);
        rig.disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
        journal.append(append(ACCOUNT, [3])).await.unwrap_err();
        assert_eq!((journal.head().next, journal.head().stored_bytes), before);
        assert_eq!(stored_ids(&journal).await, [id(1), id(2)]);
        assert_eq!(journal.verify().await.unwrap().next, before.0);
    }
}

/// However far the start came before the power failed.
#[tokio::test]
async fn a_torn_tail_is_never_lost() {
    for seed in 0..30 {
        for lasts in 0..8 {
            let mut rig = Rig::new(1_000_000);
            rig.disk = SimDisk::new(seed);
            store(&rig.open(), 1..=3).await;
            let mut bytes = rig.disk.bytes(FIRST).unwrap();
            bytes.truncate(bytes.len() - 5);
            rig.disk.set_bytes(FIRST, bytes.clone());
            rig.disk.set_faults(Faults { power_lasts: Some(lasts), ..Faults::default() });
            let opened = rig.try_open().is_ok();
            rig.disk.crash();
            let lost = rig.disk.list("lost+found").unwrap();
            let kept = lost.iter().map(|file| rig.disk.bytes(&format!("lost+found/{file}")).unwrap());
            let is_kept = kept.clone().any(|kept| !kept.is_empty() && bytes.ends_with(&kept));
            assert!(is_kept || rig.disk.bytes(FIRST).unwrap() == bytes, "seed {seed}, {lasts} changes");
            assert!(is_kept || !opened);
        }
    }
}

#[tokio::test]
async fn the_id_of_an_erased_event_is_forgotten() {
    let rig = Rig::filled(1, 3).await;
    let sidecar = "0000000000000002.ids";
    let has_id = || rig.disk.bytes(sidecar).unwrap().windows(16).any(|found| found == id(2).as_bytes());
    let journal = rig.open();
    assert!(has_id());
    journal.erase(&[Offset { block: 2, index: 0 }]).await.unwrap();
    assert!(!has_id());
    assert_eq!(receipts(&journal, 2).await, [true], "it may come again");
    assert_eq!(receipts(&journal, 1).await, [false]);
}
