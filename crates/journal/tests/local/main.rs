//! The local journal when the disk, or somebody, misbehaves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod damage;
mod disk_errors;
mod ended;
mod expired;
mod handles;
mod hidden;
mod mended;
mod one_bad_segment;
mod restart;
mod rig;
mod surveyed;

use std::time::Duration;

use base::Clock;
use event::StreamSet;
use journal::conformance::{append, confirmed, id, limits, name};
use journal::local::LocalJournal;
use journal::{
    AppendError, ConsumerCommand, Journal, JournalError, Offset, Receipt, RequestKey, Settlement, StartAt,
};
use testkit::disk::Faults;

use crate::rig::{ACCOUNT, FIRST, Rig, all, receipts, store};

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_one_closes() {
    let rig = Rig::new(1_000);
    let journal = rig.open();
    assert!(matches!(rig.try_open().map(|_| ()), Err(JournalError::Refused(_))));
    journal.close().await.unwrap();
    rig.open();
}

#[tokio::test]
async fn a_closed_journal_answers_that_it_is_closed() {
    let rig = Rig::new(1_000);
    let journal = rig.open();
    journal.close().await.unwrap();
    let answer = journal.append(append(ACCOUNT, [1])).await;
    assert!(matches!(answer, Err(AppendError::Journal(JournalError::Closed))));
    assert!(matches!(journal.trim(1).await, Err(JournalError::Closed)));
    assert!(matches!(journal.close().await, Err(JournalError::Closed)));
}

#[tokio::test]
async fn what_is_settled_before_closing_stays_settled() {
    let rig = Rig::new(600);
    let journal = rig.open();
    let command = ConsumerCommand::Create {
        name: name("c"),
        streams: StreamSet::product(),
        start: StartAt::Earliest,
        until: None,
    };
    journal.consumers(command).await.unwrap();
    store(&journal, 1..=6).await;
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    for at in [0, 1, 4] {
        let settlement = Settlement::Done(confirmed(&leases[at].block));
        journal.settle(leases[at].id, settlement).await.unwrap();
    }
    journal.close().await.unwrap();
    rig.disk.crash();
    let journal = rig.open();
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.block.sequence()).collect::<Vec<_>>(), [3, 4, 6]);
    let state = journal.consumers(ConsumerCommand::List).await.unwrap().remove(0).state;
    assert_eq!((state.floor, state.appended, state.tally.confirmed), (3, 6, 3));
}

#[tokio::test]
async fn ids_and_keys_are_known_after_a_restart_also_without_their_sidecars() {
    for damage in ["none", "removed", "flipped", "cut"] {
        let rig = Rig::new(1);
        let journal = rig.open();
        store(&journal, 1..=5).await;
        let key = RequestKey { id: id(1), digest: [1; 8] };
        let keyed = |digest, n| {
            let key = RequestKey { digest: [digest; 8], ..key };
            journal::Append { request_key: Some(key), ..append(ACCOUNT, [n]) }
        };
        journal.append(keyed(1, 6)).await.unwrap();
        store(&journal, [7]).await;
        drop(journal);
        rig.disk.kill();
        let mut sidecars = journal::disk::Disk::list(&rig.disk, "").unwrap();
        sidecars.retain(|file| file.strip_suffix(".ids").is_some());
        assert_eq!(sidecars.len(), 6);
        for file in &sidecars {
            match damage {
                "removed" => rig.disk.forget(file),
                "flipped" => rig.flip(file, rig.disk.bytes(file).unwrap().len() - 4000),
                "cut" => rig.disk.set_bytes(file, Vec::new()),
                _ => {}
            }
        }
        let journal = rig.open();
        for n in 1..=7 {
            assert_eq!(receipts(&journal, n).await, [false], "event {n}, sidecars {damage}");
        }
        assert!(matches!(journal.append(keyed(2, 8)).await, Err(AppendError::KeyReused)), "{damage}");
        journal.append(keyed(1, 8)).await.unwrap();
    }
}

#[tokio::test]
async fn an_id_is_forgotten_after_the_window() {
    let rig = Rig::filled(1, 3).await;
    let journal = rig.open();
    rig.clock.advance(Duration::from_hours(73));
    assert_eq!(receipts(&journal, 1).await, [true]);
    assert_eq!(receipts(&journal, 1).await, [false]);
}

#[tokio::test]
async fn a_clock_that_was_once_ahead_does_not_keep_the_ids_of_all_that_follows() {
    let rig = Rig::new(1);
    let journal = rig.open();
    let begin = rig.clock.now();
    rig.clock.set(begin.plus(Duration::from_hours(24 * 365)));
    store(&journal, [1]).await;
    rig.clock.set(begin);
    store(&journal, 2..=4).await;
    rig.clock.advance(Duration::from_hours(100));
    store(&journal, 5..=6).await;
    let files = journal::disk::Disk::list(&rig.disk, "").unwrap();
    let sidecars = files.iter().filter(|file| file.strip_suffix(".ids").is_some());
    assert_eq!(sidecars.count(), 1, "that of event 5");
    assert_eq!(receipts(&journal, 1).await, [true]);
}

#[tokio::test]
async fn erased_records_are_gone_for_good_and_the_chain_still_verifies() {
    let rig = Rig::new(1_000_000);
    let journal = rig.open();
    journal.append(append(ACCOUNT, 1..=3)).await.unwrap();
    store(&journal, [4]).await;
    let before = journal.verify().await.unwrap();
    let secret = all(&journal).await[0].record_bytes(1).unwrap().to_vec();
    journal.erase(&[Offset { block: 1, index: 1 }, Offset { block: 99, index: 0 }]).await.unwrap();
    let check = async |journal: &LocalJournal| {
        let after = journal.verify().await.unwrap();
        assert_eq!((after.hash, after.n_records, after.n_erased), (before.hash, 3, 1));
        let blocks = all(journal).await;
        assert_eq!((blocks[0].n_records(), blocks[0].record_bytes(1).unwrap().len()), (3, 0));
        let offsets: Vec<_> =
            blocks[0].records().map(|(offset, record)| (offset.index, record.event_id())).collect();
        assert_eq!(offsets, [(0, id(1)), (2, id(3))]);
    };
    check(&journal).await;
    assert!(!rig.disk.bytes(FIRST).unwrap().windows(secret.len()).any(|window| window == secret));
    drop(journal);
    rig.disk.crash();
    let journal = rig.open();
    check(&journal).await;
    store(&journal, [5]).await;
}

#[tokio::test]
async fn a_hidden_record_is_read_by_nobody_and_counts_as_erased() {
    let mut rig = Rig::new(1_000_000);
    rig.options.cache_bytes = 1_000_000;
    let journal = rig.open();
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    let create = ConsumerCommand::Create { name: name("c"), streams, start, until: None };
    journal.consumers(create).await.unwrap();
    journal.append(append(ACCOUNT, 1..=3)).await.unwrap();
    journal.hide(&[Offset { block: 1, index: 1 }]);
    let ids = |block: &journal::Block| {
        block.records().map(|(offset, record)| (offset.index, record.event_id())).collect::<Vec<_>>()
    };
    let expected = [(0, id(1)), (2, id(3))];
    assert_eq!(ids(&all(&journal).await[0]), expected);
    let lease = journal.lease(&name("c"), streams, limits()).await.unwrap().remove(0);
    assert_eq!((ids(&lease.block), lease.block.n_records(), lease.block.n_gone()), (expected.to_vec(), 3, 1));
    journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
    assert_eq!(journal.verify().await.unwrap().n_records, 3, "its bytes are still there");
    assert_eq!(receipts(&journal, 2).await, [false], "and its id is known");
}

#[tokio::test]
async fn appends_of_one_group_share_blocks_and_one_sync() {
    let rig = Rig::new(1_000_000);
    let (journal, mut stepper) = rig.open_stepped();
    rig.disk.set_faults(Faults::default());
    let tasks: Vec<_> = (0..10)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(append(ACCOUNT, [n, n + 1])).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(stepper.step() && !stepper.step());
    let mut stored = Vec::new();
    for task in tasks {
        for receipt in task.await.unwrap().unwrap().receipts {
            if let Receipt::Stored(offset) = receipt {
                stored.push(offset);
            }
        }
    }
    assert_eq!(stored, (0..11).map(|index| Offset { block: 1, index }).collect::<Vec<_>>());
    let counts = rig.disk.counts();
    assert_eq!((counts.writes, counts.syncs, counts.dir_syncs), (1, 1, 0));
}

#[tokio::test]
async fn over_its_budget_the_queue_is_busy() {
    let mut rig = Rig::new(1_000_000);
    rig.options.queue_bytes = 1_000;
    let (journal, mut stepper) = rig.open_stepped();
    let waiting = journal.clone();
    let task = tokio::spawn(async move { waiting.append(append(ACCOUNT, 1..=20)).await });
    tokio::task::yield_now().await;
    assert!(matches!(journal.append(append(ACCOUNT, [21])).await, Err(AppendError::Busy)));
    stepper.step();
    assert_eq!(task.await.unwrap().unwrap().receipts.len(), 20);
    let task = tokio::spawn(async move { journal.append(append(ACCOUNT, [21])).await });
    tokio::task::yield_now().await;
    stepper.step();
    task.await.unwrap().unwrap();
}
