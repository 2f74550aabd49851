//! Leasing and settling.

use std::sync::Arc;
use std::time::Duration;

use event::{Stream, StreamSet};

use super::{Rig, append, confirmed, limits, name, sequences};
use crate::{JournalError, LeaseError, LeaseLimits, Settlement, StartAt, Tally};

const ACCOUNT: Stream = Stream::AccountEvent;

async fn stored(rig: &Rig, n: u64) {
    rig.create("c", StreamSet::product(), StartAt::Earliest).await;
    rig.store(ACCOUNT, 1..=n).await;
}

/// And its lease is stale.
pub async fn a_settled_block_does_not_come_again(rig: Rig) {
    stored(&rig, 3).await;
    let leases = rig.lease_with("c", LeaseLimits { ttl: rig.seconds(60), ..limits() }).await;
    assert_eq!(sequences(&leases), [1, 2, 3]);
    assert!(leases.iter().all(|lease| lease.deliveries == 1));
    assert!(rig.lease("c").await.is_empty(), "leased blocks are not leased again");
    for lease in &leases {
        rig.confirm(lease).await;
        let again = rig.journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await;
        assert!(matches!(again, Err(LeaseError::Stale)));
    }
    rig.pass(120).await;
    assert!(rig.lease("c").await.is_empty());
    assert_eq!(rig.consumer("c").await.state.tally.confirmed, 3);
}

/// Not before.
pub async fn a_block_handed_back_comes_again_after_its_delay(rig: Rig) {
    stored(&rig, 1).await;
    let lease = rig.lease("c").await.remove(0);
    rig.journal.settle(lease.id, Settlement::HandBack(rig.seconds(30))).await.expect("hand back");
    rig.pass(29).await;
    assert!(rig.lease("c").await.is_empty());
    rig.pass(1).await;
    let again = rig.lease("c").await;
    assert_eq!((sequences(&again), again[0].deliveries), (vec![1], 2));
    assert!(matches!(rig.journal.extend(lease.id, Duration::from_secs(1)).await, Err(LeaseError::Stale)));
}

/// Whether or not it has come again.
pub async fn an_expired_lease_is_stale_and_the_block_comes_again(rig: Rig) {
    stored(&rig, 1).await;
    let short = LeaseLimits { ttl: rig.seconds(10), ..limits() };
    let lease = rig.lease_with("c", short).await.remove(0);
    assert_eq!(rig.consumer("c").await.state.n_leased, 1);
    rig.pass(10).await;
    assert_eq!(rig.consumer("c").await.state.n_leased, 0);
    let done = Settlement::Done(confirmed(&lease.block));
    assert!(matches!(rig.journal.settle(lease.id, done).await, Err(LeaseError::Stale)));
    let again = rig.lease("c").await.remove(0);
    assert_eq!(again.deliveries, 2);
    assert!(matches!(rig.journal.settle(lease.id, done).await, Err(LeaseError::Stale)));
    rig.confirm(&again).await;
    assert_eq!(rig.consumer("c").await.state.tally.confirmed, 1);
}

/// From the time of the extension on.
pub async fn an_extended_lease_lasts(rig: Rig) {
    stored(&rig, 1).await;
    let lease = rig.lease_with("c", LeaseLimits { ttl: rig.seconds(10), ..limits() }).await.remove(0);
    rig.pass(9).await;
    rig.journal.extend(lease.id, rig.seconds(10)).await.expect("extend");
    rig.pass(9).await;
    assert!(rig.lease("c").await.is_empty());
    rig.confirm(&lease).await;
}

/// By blocks and by bytes.
pub async fn limits_bound_a_lease_but_one_block_always_fits(rig: Rig) {
    stored(&rig, 9).await;
    let bytes = rig.all().await[0].payload_bytes();
    assert_eq!(sequences(&rig.lease_with("c", LeaseLimits { max_blocks: 2, ..limits() }).await), [1, 2]);
    assert_eq!(
        sequences(&rig.lease_with("c", LeaseLimits { max_bytes: 3 * bytes, ..limits() }).await),
        [3, 4, 5]
    );
    assert_eq!(sequences(&rig.lease_with("c", LeaseLimits { max_bytes: 1, ..limits() }).await), [6]);
    assert_eq!(sequences(&rig.lease("c").await), [7, 8, 9]);
}

/// With the real clock: a paused one would jump while a disk is busy.
pub async fn a_lease_waits_for_an_append(rig: Rig) {
    if rig.pace == super::Pace::Paused {
        tokio::time::resume();
    }
    stored(&rig, 0).await;
    let journal = Arc::clone(&rig.journal);
    let waiting = LeaseLimits { wait: Duration::from_hours(1), ..limits() };
    let task = tokio::spawn(async move { journal.lease(&name("c"), StreamSet::product(), waiting).await });
    tokio::task::yield_now().await;
    rig.journal.append(append(ACCOUNT, [1])).await.expect("append");
    assert_eq!(sequences(&task.await.expect("task").expect("lease")), [1]);
}

/// Expired, or handed back.
pub async fn a_lease_waits_for_a_block_to_come_back(rig: Rig) {
    stored(&rig, 2).await;
    let leases = rig.lease_with("c", LeaseLimits { ttl: rig.seconds(60), ..limits() }).await;
    rig.journal.settle(leases[1].id, Settlement::HandBack(rig.seconds(5))).await.expect("hand back");
    let begin = tokio::time::Instant::now();
    for (sequence, seconds) in [(2, 5), (1, 60)] {
        let again = rig.lease_with("c", LeaseLimits { wait: rig.seconds(100), ..limits() }).await;
        assert_eq!(sequences(&again), [sequence]);
        assert_eq!(rig.seconds_since(begin), seconds);
    }
    let none = rig.lease_with("c", LeaseLimits { wait: rig.seconds(10), ..limits() }).await;
    assert!(none.is_empty());
    assert_eq!(rig.seconds_since(begin), 70);
}

/// Not until the time at which the lease would have ended before.
pub async fn a_lease_waits_for_one_that_was_cut_short(rig: Rig) {
    stored(&rig, 1).await;
    let lease = rig.lease("c").await.remove(0);
    let begin = tokio::time::Instant::now();
    let journal = Arc::clone(&rig.journal);
    let waiting = LeaseLimits { wait: Duration::from_hours(1), ..limits() };
    let task = tokio::spawn(async move { journal.lease(&name("c"), StreamSet::product(), waiting).await });
    tokio::task::yield_now().await;
    rig.journal.extend(lease.id, rig.seconds(5)).await.expect("extend");
    assert_eq!(sequences(&task.await.expect("task").expect("lease")), [1]);
    assert_eq!(rig.seconds_since(begin), 5);
}

/// A consumer may lease fewer streams than it has, in any order.
pub async fn leasing_streams_one_by_one_misses_nothing(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Earliest).await;
    for n in 0..4 {
        rig.store(ACCOUNT, [3 * n]).await;
        rig.store(Stream::AuditLog, [3 * n + 1]).await;
        rig.store(Stream::Quarantine, [3 * n + 2]).await;
    }
    let lease = async |streams: &[Stream], max_blocks| {
        let streams = streams.iter().copied().collect();
        let leases = rig.journal.lease(&name("c"), streams, LeaseLimits { max_blocks, ..limits() }).await;
        let leases = leases.expect("lease");
        for lease in &leases {
            rig.confirm(lease).await;
        }
        sequences(&leases)
    };
    assert_eq!(lease(&[Stream::AuditLog], 3).await, [2, 5, 8]);
    assert_eq!(lease(&[ACCOUNT], 1).await, [1]);
    assert_eq!(lease(&[ACCOUNT, Stream::AuditLog], 10).await, [4, 7, 10, 11]);
    assert!(lease(&[ACCOUNT, Stream::AuditLog, Stream::Quarantine], 10).await.is_empty());
    let state = rig.consumer("c").await.state;
    assert_eq!((state.appended, state.tally.confirmed, state.floor), (8, 8, 13));
}

/// The lease goes on.
pub async fn a_tally_that_does_not_count_every_event_is_refused(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Earliest).await;
    rig.store_together(ACCOUNT, 1..=3).await;
    let lease = rig.lease("c").await.remove(0);
    for confirmed in [0, 2, 4] {
        let answer =
            rig.journal.settle(lease.id, Settlement::Done(Tally { confirmed, ..Tally::default() })).await;
        assert!(matches!(answer, Err(LeaseError::Journal(JournalError::Refused(_)))), "{answer:?}");
    }
    let tally = Tally { confirmed: 1, skipped: 1, quarantined: 1, ..Tally::default() };
    rig.journal.settle(lease.id, Settlement::Done(tally)).await.expect("settle");
    assert_eq!(rig.consumer("c").await.state.tally, tally);
}

/// As a consumer does that has all the time in the world.
pub async fn endless_durations_are_no_error(rig: Rig) {
    stored(&rig, 1).await;
    let endless = LeaseLimits { ttl: Duration::MAX, wait: Duration::MAX, ..limits() };
    let lease = rig.lease_with("c", endless).await.remove(0);
    rig.journal.extend(lease.id, Duration::MAX).await.expect("extend");
    rig.journal.settle(lease.id, Settlement::HandBack(Duration::MAX)).await.expect("hand back");
    assert!(rig.lease("c").await.is_empty());
}

/// Nor settled.
pub async fn without_a_consumer_nothing_is_leased(rig: Rig) {
    let answer = rig.journal.lease(&name("nobody"), StreamSet::product(), limits()).await;
    assert!(matches!(answer, Err(LeaseError::NoConsumer)));
    let answer = rig.journal.settle(crate::LeaseId(99), Settlement::HandBack(Duration::ZERO)).await;
    assert!(matches!(answer, Err(LeaseError::Stale)));
}
