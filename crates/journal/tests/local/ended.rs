//! A journal that is closed or poisoned, and calls that nobody waits for.

use std::time::Duration;

use event::StreamSet;
use journal::conformance::{append, confirmed, id, limits, name};
use journal::disk::Disk;
use journal::local::LocalJournal;
use journal::{
    AppendError, ConsumerCommand, Journal, JournalError, LeaseError, LeaseLimits, Offset, ReadRange,
    Settlement, StartAt,
};
use testkit::disk::Faults;

use crate::rig::{ACCOUNT, Rig, store, stored_ids};

fn create(consumer: &str) -> ConsumerCommand {
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    ConsumerCommand::Create { name: name(consumer), streams, start, until: None }
}

async fn with_a_consumer(segment_bytes: u64, n: u64) -> (Rig, LocalJournal) {
    let rig = Rig::new(segment_bytes);
    let journal = rig.open();
    journal.consumers(create("c")).await.unwrap();
    store(&journal, 1..=n).await;
    (rig, journal)
}

/// What every call that changes something answers.
async fn changes(journal: &LocalJournal, lease: &journal::Lease) -> Vec<Result<(), JournalError>> {
    let of_lease = |error| match error {
        LeaseError::Journal(error) => error,
        other => panic!("{other:?}"),
    };
    let appended = journal.append(append(ACCOUNT, [9])).await.map(|_| ()).map_err(|error| match error {
        AppendError::Journal(error) => error,
        other => panic!("{other:?}"),
    });
    let leased = journal.lease(&name("c"), StreamSet::product(), limits()).await.map(|_| ());
    let done = Settlement::Done(confirmed(&lease.block));
    vec![
        appended,
        leased.map_err(of_lease),
        journal.extend(lease.id, Duration::from_secs(1)).await.map_err(of_lease),
        journal.settle(lease.id, done).await.map_err(of_lease),
        journal.consumers(create("new")).await.map(|_| ()),
        journal.trim(u64::MAX).await,
        journal.erase(&[Offset { block: 1, index: 0 }]).await,
    ]
}

#[tokio::test]
async fn nothing_changes_on_a_poisoned_journal_and_what_is_stored_can_be_read() {
    let (rig, journal) = with_a_consumer(1, 3).await;
    let lease = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap().remove(0);
    rig.disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
    journal.append(append(ACCOUNT, [4])).await.unwrap_err();
    rig.disk.set_faults(Faults::default());
    for answer in changes(&journal, &lease).await {
        assert!(matches!(answer, Err(JournalError::Poisoned)), "{answer:?}");
    }
    assert_eq!(rig.disk.counts().changes, 0, "nothing is written");
    assert_eq!(stored_ids(&journal).await, [id(1), id(2), id(3)]);
    assert_eq!(journal.consumers(ConsumerCommand::List).await.unwrap().len(), 1);
    journal.verify().await.unwrap();
}

#[tokio::test]
async fn everything_answers_that_a_closed_journal_is_closed() {
    let (_rig, journal) = with_a_consumer(1, 3).await;
    let lease = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap().remove(0);
    journal.close().await.unwrap();
    let mut answers = changes(&journal, &lease).await;
    let range = ReadRange { streams: StreamSet::product(), from: 0, until: u64::MAX, max_bytes: 1 };
    answers.push(journal.read(range).await.map(|_| ()));
    answers.push(journal.consumers(ConsumerCommand::List).await.map(|_| ()));
    answers.push(journal.verify().await.map(|_| ()));
    answers.push(journal.close().await);
    for answer in answers {
        assert!(matches!(answer, Err(JournalError::Closed)), "{answer:?}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_block_is_told_when_the_journal_is_poisoned() {
    let (rig, journal) = with_a_consumer(1_000_000, 0).await;
    let waiting = LeaseLimits { wait: Duration::from_hours(1), ..limits() };
    let waiter = journal.clone();
    let task = tokio::spawn(async move { waiter.lease(&name("c"), StreamSet::product(), waiting).await });
    tokio::task::yield_now().await;
    rig.disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
    journal.append(append(ACCOUNT, [1])).await.unwrap_err();
    let answer = task.await.unwrap();
    assert!(matches!(answer, Err(LeaseError::Journal(JournalError::Poisoned))), "{answer:?}");
}

/// Its blocks come from the disk, so that the call waits, unless another thread is faster.
#[tokio::test]
async fn a_lease_that_nobody_waits_for_hands_its_blocks_back() {
    let (_rig, journal) = with_a_consumer(1_000_000, 3).await;
    let mut n_dropped = 0;
    for _ in 0..50 {
        let (consumer, streams) = (name("c"), StreamSet::product());
        let mut lease = std::pin::pin!(journal.lease(&consumer, streams, limits()));
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(lease.as_mut().poll(context)));
        match polled.await {
            std::task::Poll::Pending => n_dropped += 1,
            std::task::Poll::Ready(leases) => {
                for lease in leases.unwrap() {
                    let back = Settlement::HandBack(Duration::ZERO);
                    journal.settle(lease.id, back).await.unwrap();
                }
            }
        }
    }
    assert!(n_dropped > 0);
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    assert_eq!(leases.len(), 3);
}

#[tokio::test]
async fn an_erasure_that_nobody_waits_for_is_completed_before_the_next_one() {
    let (rig, journal) = with_a_consumer(1_000_000, 3).await;
    let offset = |block| Offset { block, index: 0 };
    {
        let offsets = [offset(1)];
        let mut erase = std::pin::pin!(journal.erase(&offsets));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(erase.as_mut().poll(context).is_pending()));
        assert!(polled.await);
    }
    journal.erase(&[offset(2)]).await.unwrap();
    let verified = journal.verify().await.unwrap();
    assert_eq!((verified.n_records, verified.n_erased), (1, 2));
    let files = rig.disk.list("").unwrap();
    assert!(files.iter().all(|file| file.strip_suffix(".tmp").is_none()), "{files:?}");
}
