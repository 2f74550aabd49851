//! What a restart works out that was not saved.

use event::StreamSet;
use journal::conformance::{confirmed, limits, name};
use journal::{ConsumerCommand, Journal, Settlement, StartAt};

use crate::rig::{FIRST, Rig, all, store};

#[tokio::test]
async fn a_consumers_end_is_found_again_when_the_journal_passed_it_before_a_crash() {
    for segment_bytes in [1, 600, 1_000_000] {
        let mut rig = Rig::new(segment_bytes);
        rig.options.checkpoint_every = std::time::Duration::from_hours(1);
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
