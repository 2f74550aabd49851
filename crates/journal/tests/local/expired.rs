//! Streams whose retention has passed lose their bytes, though others in the same segments stay.

use event::{Stream, StreamSet};
use journal::conformance::{append, confirmed, limits, name};
use journal::local::{Expiry, LocalJournal};
use journal::retention::PerStream;
use journal::{Consumer, ConsumerCommand, Journal, JournalError, ReadRange, Settlement, StartAt};

use crate::rig::{ACCOUNT, FIRST, Rig, all};

const AUDIT: Stream = Stream::AuditLog;

/// Account events up to `point` have expired, and nothing else.
fn account_up_to(point: u64) -> PerStream {
    Stream::ALL.map(|stream| if stream == ACCOUNT { point } else { 1 })
}

async fn create(journal: &LocalJournal, consumer: &str) {
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    let create = ConsumerCommand::Create { name: name(consumer), streams, start, until: None };
    journal.consumers(create).await.unwrap();
}

/// Account events and audit logs by turns, a block each, two in a segment.
async fn store(journal: &LocalJournal, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let stream = if n % 2 == 1 { ACCOUNT } else { AUDIT };
        journal.append(append(stream, [n])).await.unwrap();
    }
}

async fn state(journal: &LocalJournal, consumer: &str) -> Consumer {
    let all = journal.consumers(ConsumerCommand::List).await.unwrap();
    all.into_iter().find(|found| found.name == name(consumer)).unwrap()
}

/// The sequences of the blocks that still have bytes.
async fn there(journal: &LocalJournal) -> Vec<u64> {
    all(journal)
        .await
        .iter()
        .filter(|block| block.payload_bytes() > 0)
        .map(|block| block.sequence())
        .collect()
}

#[tokio::test]
async fn expired_events_are_gone_for_good_and_the_chain_and_the_ids_of_others_stay() {
    let rig = Rig::new(600);
    let journal = rig.open();
    store(&journal, 1..=6).await;
    assert_eq!(journal.segments().iter().filter(|segment| segment.next - segment.first == 2).count(), 3);
    let before = journal.verify().await.unwrap();
    let secret = all(&journal).await[0].record_bytes(0).unwrap().to_vec();
    assert_eq!(journal.expire(account_up_to(5)).await.unwrap(), Expiry { n_rewritten: 2, is_more: false });
    let check = async |journal: &LocalJournal| {
        let after = journal.verify().await.unwrap();
        assert_eq!((after.hash, after.n_records, after.n_erased), (before.hash, 4, 2));
        assert_eq!(there(journal).await, [2, 4, 5, 6]);
    };
    check(&journal).await;
    assert!(!rig.disk.bytes(FIRST).unwrap().windows(secret.len()).any(|window| window == secret));
    assert_eq!(journal.expire(account_up_to(5)).await.unwrap(), Expiry::default(), "there is nothing left");
    drop(journal);
    rig.disk.crash();
    let journal = rig.open();
    check(&journal).await;
    assert_eq!(journal.expire(account_up_to(5)).await.unwrap(), Expiry::default(), "nor after a restart");
    assert_eq!(
        journal.expire(account_up_to(7)).await.unwrap().n_rewritten,
        0,
        "the active segment is left alone"
    );
    journal.seal().await.unwrap();
    assert_eq!(journal.expire(account_up_to(7)).await.unwrap().n_rewritten, 1);
    assert_eq!(there(&journal).await, [2, 4, 6]);
    store(&journal, 7..=8).await;
    journal.trim(5).await.unwrap();
    journal.verify().await.unwrap();
}

#[tokio::test]
async fn what_a_consumer_had_not_settled_counts_as_expired_and_it_goes_on_with_the_rest() {
    let rig = Rig::new(600);
    let journal = rig.open();
    create(&journal, "c").await;
    store(&journal, 1..=8).await;
    let leases = journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap();
    let settle = async |nth: usize| {
        let done = Settlement::Done(confirmed(&leases[nth].block));
        journal.settle(leases[nth].id, done).await
    };
    settle(0).await.unwrap();
    settle(1).await.unwrap();
    journal.expire(account_up_to(7)).await.unwrap();
    assert!(settle(2).await.is_err(), "block 3 has expired");
    settle(3).await.unwrap();
    let now = state(&journal, "c").await.state;
    assert_eq!((now.tally.confirmed, now.tally.expired, now.floor), (3, 2, 6));
    drop(journal);
    rig.disk.crash();
    let journal = rig.open();
    let now = state(&journal, "c").await.state;
    assert_eq!((now.tally.expired, now.tally.erased), (2, 0), "the books were durable before the bytes went");
    for lease in journal.lease(&name("c"), StreamSet::product(), limits()).await.unwrap() {
        assert!(lease.block.payload_bytes() > 0);
        journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
    }
    let now = state(&journal, "c").await.state;
    assert_eq!((now.appended, now.tally.total(), now.pending_bytes), (8, 8, 0), "the books balance");
}

#[tokio::test]
async fn a_round_does_a_bounded_amount_and_says_that_there_is_more() {
    let rig = Rig::new(600);
    let journal = rig.open();
    store(&journal, 1..=20).await;
    let first = journal.expire(account_up_to(19)).await.unwrap();
    assert_eq!(first, Expiry { n_rewritten: 4, is_more: true });
    assert_eq!(there(&journal).await[..6], [2, 4, 6, 8, 9, 10], "the oldest first");
    while journal.expire(account_up_to(19)).await.unwrap().is_more {}
    assert_eq!(there(&journal).await.len(), 11);
}

#[tokio::test]
async fn a_damaged_segment_keeps_no_other_from_expiring_and_is_named() {
    let rig = Rig::new(600);
    let journal = rig.open();
    store(&journal, 1..=8).await;
    journal.close().await.unwrap();
    rig.flip(FIRST, 192 + 20);
    let journal = rig.open();
    let Err(JournalError::Damaged(what)) = journal.expire(account_up_to(7)).await else { panic!("not told") };
    assert!(what.contains(FIRST), "{what}");
    assert_eq!(journal.expire(account_up_to(7)).await.unwrap(), Expiry::default(), "once");
    let range = ReadRange { streams: StreamSet::product(), from: 3, until: 7, max_bytes: usize::MAX };
    let blocks = journal.read(range).await.unwrap();
    assert_eq!(
        blocks.iter().map(|block| block.payload_bytes() > 0).collect::<Vec<_>>(),
        [false, true, false, true]
    );
}
