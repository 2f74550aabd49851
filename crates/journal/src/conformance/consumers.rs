//! Consumers: where they begin and end, and their books.

use event::{Stream, StreamSet};

use super::{Rig, confirmed, ids, limits, name, sequences};
use crate::{ConsumerCommand, JournalError, LeaseError, LeaseLimits, Settlement, StartAt, Tally};

const ACCOUNT: Stream = Stream::AccountEvent;

/// Each sees every block.
pub async fn consumers_do_not_know_of_each_other(rig: Rig) {
    rig.create("a", StreamSet::product(), StartAt::Earliest).await;
    rig.create("b", StreamSet::product(), StartAt::Earliest).await;
    rig.store(ACCOUNT, 1..=3).await;
    for lease in rig.lease("a").await {
        rig.confirm(&lease).await;
    }
    assert_eq!(sequences(&rig.lease("b").await), [1, 2, 3]);
    assert_eq!(rig.consumer("a").await.state.floor, 4);
    assert_eq!(rig.consumer("b").await.state.floor, 1);
}

/// Now, at the oldest block, or at a block. Creating one again changes nothing.
pub async fn consumers_begin_where_they_are_told(rig: Rig) {
    rig.store(ACCOUNT, 1..=5).await;
    for (consumer, start, expected) in [
        ("now", StartAt::Now, vec![6]),
        ("earliest", StartAt::Earliest, vec![1, 2, 3, 4, 5, 6]),
        ("block", StartAt::Block(3), vec![3, 4, 5, 6]),
        ("too-early", StartAt::Block(0), vec![1, 2, 3, 4, 5, 6]),
        ("too-late", StartAt::Block(99), vec![6]),
    ] {
        let created = rig.create(consumer, StreamSet::product(), start).await;
        assert_eq!(created.state.started_at, *expected.first().expect("a block"), "{consumer}");
        assert_eq!(created.state.appended, expected.len() as u64 - 1, "{consumer}");
    }
    rig.create("now", StreamSet::product(), StartAt::Earliest).await;
    rig.store(ACCOUNT, [6]).await;
    for (consumer, expected) in [("now", vec![6]), ("block", vec![3, 4, 5, 6]), ("too-late", vec![6])] {
        assert_eq!(sequences(&rig.lease(consumer).await), expected, "{consumer}");
        assert_eq!(rig.consumer(consumer).await.state.appended, expected.len() as u64, "{consumer}");
    }
}

/// Whether its end is in the past or in the future.
pub async fn a_consumer_ends_where_it_is_told(rig: Rig) {
    rig.store(ACCOUNT, 1..=5).await;
    rig.create_until("past", StreamSet::product(), StartAt::Block(2), Some(4)).await;
    rig.create_until("future", StreamSet::product(), StartAt::Block(5), Some(7)).await;
    rig.store(ACCOUNT, 6..=9).await;
    for (consumer, expected) in [("past", [2, 3]), ("future", [5, 6])] {
        let leases = rig.lease(consumer).await;
        assert_eq!(sequences(&leases), expected, "{consumer}");
        for lease in leases {
            rig.confirm(&lease).await;
        }
        let state = rig.consumer(consumer).await.state;
        assert_eq!((state.appended, state.tally.confirmed, state.pending_bytes), (2, 2, 0), "{consumer}");
        assert!(state.floor > expected[1] && state.oldest_pending.is_none(), "{consumer}");
    }
}

/// Appended = tally + pending, while blocks are leased, settled out of order, handed back.
pub async fn the_books_balance_at_every_step(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    for n in 0..10 {
        rig.store_together(ACCOUNT, n * 10..=n * 10 + n).await;
    }
    let bytes: Vec<u64> = rig.all().await.iter().map(|block| block.payload_bytes() as u64).collect();
    let mut pending: Vec<u64> = (0..10).collect();
    let leases = rig.lease("c").await;
    for at in [3, 0, 9, 1, 2, 7, 8, 6, 4, 5] {
        let lease = &leases[at as usize];
        let tally =
            if at % 2 == 0 { confirmed(&lease.block) } else { Tally { skipped: at + 1, ..Tally::default() } };
        rig.journal.settle(lease.id, Settlement::Done(tally)).await.expect("settle");
        pending.retain(|n| *n != at);
        let state = rig.consumer("c").await.state;
        assert_eq!(state.appended, 55);
        assert_eq!(state.appended - state.tally.total(), pending.iter().map(|n| n + 1).sum::<u64>());
        assert_eq!(state.pending_bytes, pending.iter().map(|n| bytes[*n as usize]).sum::<u64>());
        assert_eq!(state.floor, pending.first().map_or(11, |n| n + 1));
        assert_eq!(state.oldest_pending.is_some(), !pending.is_empty());
    }
    let tally = rig.consumer("c").await.state.tally;
    assert_eq!((tally.confirmed, tally.skipped), (25, 30));
}

/// Quarantined copies do not disturb the books of those that do not read them.
pub async fn a_consumers_books_count_its_streams_only(rig: Rig) {
    rig.create("account", ACCOUNT.into(), StartAt::Now).await;
    rig.create("both", [ACCOUNT, Stream::AuditLog].into_iter().collect(), StartAt::Now).await;
    rig.create("quarantine", Stream::Quarantine.into(), StartAt::Now).await;
    rig.store_together(ACCOUNT, 1..=3).await;
    rig.store_together(Stream::Quarantine, 4..=8).await;
    rig.store_together(Stream::AuditLog, 9..=10).await;
    for (consumer, appended) in [("account", 3), ("both", 5), ("quarantine", 5)] {
        assert_eq!(rig.consumer(consumer).await.state.appended, appended, "{consumer}");
    }
    let all = Stream::ALL.into_iter().collect();
    let leases = rig.journal.lease(&name("quarantine"), all, limits()).await.expect("lease");
    assert_eq!(sequences(&leases), [2]);
    rig.confirm(&leases[0]).await;
    let state = rig.consumer("quarantine").await.state;
    assert_eq!((state.tally.confirmed, state.floor), (5, 4));
}

/// Blocks that were settled before are not counted again; leases of passed blocks end.
pub async fn seeking_gives_up_what_is_passed(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, 1..=6).await;
    let leases = rig.lease_with("c", LeaseLimits { max_blocks: 4, ..limits() }).await;
    rig.confirm(&leases[1]).await;
    rig.confirm(&leases[3]).await;
    let command = ConsumerCommand::Seek { name: name("c"), to: StartAt::Block(4) };
    let moved = rig.journal.consumers(command).await.expect("seek").remove(0);
    assert_eq!((moved.state.tally.discarded, moved.state.tally.confirmed, moved.state.floor), (2, 2, 5));
    let stale = rig.journal.settle(leases[0].id, Settlement::Done(confirmed(&leases[0].block))).await;
    assert!(matches!(stale, Err(LeaseError::Stale)));
    assert_eq!(sequences(&rig.lease("c").await), [5, 6]);
    let command = ConsumerCommand::Seek { name: name("c"), to: StartAt::Now };
    let state = rig.journal.consumers(command).await.expect("seek").remove(0).state;
    assert_eq!((state.tally.discarded, state.appended, state.pending_bytes, state.floor), (4, 6, 0, 7));
}

/// As is seeking of a consumer that is not there.
pub async fn seeking_back_is_refused(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, 1..=2).await;
    for lease in rig.lease("c").await {
        rig.confirm(&lease).await;
    }
    for consumer in ["c", "nobody"] {
        let command = ConsumerCommand::Seek { name: name(consumer), to: StartAt::Earliest };
        assert!(matches!(rig.journal.consumers(command).await, Err(JournalError::Refused(_))), "{consumer}");
    }
}

/// As by a trim, but of one consumer alone: nothing is dropped, and others see what they saw. Moving back does nothing.
pub async fn expiring_concerns_one_consumer_alone(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.create("other", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, 1..=6).await;
    let leases = rig.lease_with("c", LeaseLimits { max_blocks: 4, ..limits() }).await;
    rig.confirm(&leases[1]).await;
    for (to, expired, floor) in [(4, 2, 4), (2, 2, 4), (99, 5, 7)] {
        let command = ConsumerCommand::Expire { name: name("c"), to: StartAt::Block(to) };
        let state = rig.journal.consumers(command).await.expect("expire").remove(0).state;
        assert_eq!((state.tally.expired, state.tally.confirmed, state.floor), (expired, 1, floor), "{to}");
        assert_eq!((state.appended, state.tally.discarded), (6, 0));
    }
    let stale = rig.journal.settle(leases[0].id, Settlement::Done(confirmed(&leases[0].block))).await;
    assert!(matches!(stale, Err(LeaseError::Stale)));
    assert!(rig.lease("c").await.is_empty());
    assert_eq!(sequences(&rig.lease("other").await), [1, 2, 3, 4, 5, 6]);
    assert_eq!(rig.all().await.len(), 6, "nothing is dropped");
    let command = ConsumerCommand::Expire { name: name("nobody"), to: StartAt::Earliest };
    assert!(matches!(rig.journal.consumers(command).await, Err(JournalError::Refused(_))));
}

/// Never at or above the trim point.
pub async fn trimming_expires_what_was_not_settled(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    for n in 0..10 {
        rig.store_together(ACCOUNT, [2 * n, 2 * n + 1]).await;
    }
    let leases = rig.lease_with("c", LeaseLimits { max_blocks: 3, ..limits() }).await;
    rig.confirm(&leases[1]).await;
    for up_to in [0, 4, 8, 11, 99] {
        rig.journal.trim(up_to).await.expect("trim");
        let head = rig.journal.head();
        assert!(head.first <= up_to.clamp(1, 11), "{head:?}");
        assert_eq!(head.next, 11);
        let blocks = rig.all().await;
        assert_eq!(blocks.len() as u64, head.next - head.first);
        assert!(blocks.first().is_none_or(|block| block.sequence() == head.first));
        let state = rig.consumer("c").await.state;
        assert!(state.floor >= head.first);
        let settled_and_dropped = if head.first > 2 { 2 } else { 0 };
        assert_eq!(state.tally.expired, 2 * (head.first - 1) - settled_and_dropped, "{head:?}");
        assert_eq!(state.appended, 20);
    }
    let dropped = leases[0].block.sequence() < rig.journal.head().first;
    let answer = rig.journal.settle(leases[0].id, Settlement::Done(confirmed(&leases[0].block))).await;
    assert_eq!(matches!(answer, Err(LeaseError::Stale)), dropped);
    rig.store(ACCOUNT, [50]).await;
    assert_eq!(ids(&rig.all().await).last(), Some(&super::id(50)));
    assert_eq!(rig.journal.head().next, 12);
}

/// They are in the books as what they were.
pub async fn trimming_leaves_settled_events_alone(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, 1..=3).await;
    for lease in rig.lease("c").await {
        rig.confirm(&lease).await;
    }
    rig.journal.trim(u64::MAX).await.expect("trim");
    let state = rig.consumer("c").await.state;
    assert_eq!((state.tally.confirmed, state.tally.expired, state.pending_bytes), (3, 0, 0));
    let late = rig.create("late", StreamSet::product(), StartAt::Earliest).await;
    assert_eq!(late.state.started_at, rig.journal.head().first);
}

/// Removing answers the consumer as it was; removing nobody answers nobody.
pub async fn a_removed_consumers_leases_are_stale(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, [1]).await;
    let lease = rig.lease("c").await.remove(0);
    let remove = ConsumerCommand::Remove { name: name("c") };
    assert_eq!(rig.journal.consumers(remove.clone()).await.expect("remove")[0].state.appended, 1);
    assert!(rig.journal.consumers(remove).await.expect("remove").is_empty());
    let answer = rig.journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await;
    assert!(matches!(answer, Err(LeaseError::Stale)));
    assert!(rig.journal.consumers(ConsumerCommand::List).await.expect("list").is_empty());
}
