//! Reading without a consumer.

use event::{Stream, StreamSet};

use super::{Rig, id, ids, sequences};
use crate::StartAt;

const ACCOUNT: Stream = Stream::AccountEvent;

/// Whatever the steps are.
pub async fn reading_in_steps_sees_every_block_once(rig: Rig) {
    for n in 0..20 {
        rig.store(if n % 3 == 0 { Stream::Quarantine } else { ACCOUNT }, [n]).await;
    }
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let blocks = rig.read(from, u64::MAX, 200).await;
        let Some(last) = blocks.last() else { break };
        from = last.sequence() + 1;
        seen.extend(ids(&blocks));
    }
    assert_eq!(seen, (0..20).filter(|n| n % 3 != 0).map(id).collect::<Vec<_>>());
}

/// At least one block, if there is one.
pub async fn reading_is_bounded_by_bytes_and_range(rig: Rig) {
    rig.store(ACCOUNT, 1..=6).await;
    let numbers = async |from, until, max_bytes| {
        let blocks = rig.read(from, until, max_bytes).await;
        blocks.iter().map(|block| block.sequence()).collect::<Vec<_>>()
    };
    let bytes = rig.all().await[0].payload_bytes();
    assert_eq!(numbers(2, 5, usize::MAX).await, [2, 3, 4]);
    assert_eq!(numbers(2, 5, 2 * bytes).await, [2, 3]);
    assert_eq!(numbers(2, 5, 0).await, [2]);
    assert!(numbers(5, 5, usize::MAX).await.is_empty());
    assert!(numbers(7, u64::MAX, usize::MAX).await.is_empty());
    assert!(numbers(9, 3, usize::MAX).await.is_empty());
}

/// Until they are trimmed.
pub async fn reading_sees_settled_blocks(rig: Rig) {
    rig.create("c", StreamSet::product(), StartAt::Now).await;
    rig.store(ACCOUNT, 1..=2).await;
    let leases = rig.lease("c").await;
    assert_eq!(sequences(&leases), [1, 2]);
    for lease in &leases {
        rig.confirm(lease).await;
    }
    assert_eq!(ids(&rig.all().await), [id(1), id(2)]);
}
