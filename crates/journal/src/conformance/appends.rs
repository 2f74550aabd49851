//! Appending: what is stored, and what each entry is answered.

use std::time::Duration;

use event::Stream;

use super::{Rig, append, entry, id, ids, record};
use crate::{AppendError, Entry, MAX_RECORD_BYTES, Offset, OnConflict, Producer, Receipt, RequestKey};

const ACCOUNT: Stream = Stream::AccountEvent;

/// Bytes in, bytes out, with the time of the append.
pub async fn records_come_back_as_they_were_appended(rig: Rig) {
    let sent = append(ACCOUNT, 1..=5);
    rig.journal.append(sent.clone()).await.expect("append");
    let blocks = rig.all().await;
    let read: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.records().map(|(_, record)| record.as_bytes().to_vec()))
        .collect();
    assert_eq!(read, sent.entries.into_iter().map(|entry| entry.record).collect::<Vec<_>>());
    assert!(blocks.iter().all(|block| block.stream() == ACCOUNT));
    assert_eq!(blocks[0].appended_at(), base::Clock::now(rig.clock.as_ref()));
}

/// Also when an append needs several blocks.
pub async fn receipts_name_the_place_of_each_event(rig: Rig) {
    let large = |n| Entry { record: record(ACCOUNT, n, &"x".repeat(300_000)), ..entry(ACCOUNT, n) };
    let mut sent = append(ACCOUNT, []);
    sent.entries = (1..=7).map(large).collect();
    let appended = rig.journal.append(sent).await.expect("append");
    let mut n_blocks = std::collections::BTreeSet::new();
    for (receipt, n) in appended.receipts.iter().zip(1..) {
        let Receipt::Stored(Offset { block, index }) = *receipt else { panic!("{receipt:?}") };
        let found = rig.read(block, block + 1, usize::MAX).await;
        let mut records = found[0].records().filter(|(offset, _)| offset.index == index);
        assert_eq!(records.next().expect("the record").1.event_id(), id(n));
        n_blocks.insert(block);
    }
    assert!(n_blocks.len() >= 4, "two records of 300 kB fit into a block: {n_blocks:?}");
}

/// In one append, and in a later one.
pub async fn an_id_is_stored_once(rig: Rig) {
    let appended = rig.journal.append(append(ACCOUNT, [1, 2, 1])).await.expect("append");
    assert!(matches!(appended.receipts[..], [Receipt::Stored(_), Receipt::Stored(_), Receipt::Duplicate]));
    let appended = rig.journal.append(append(ACCOUNT, [2, 3])).await.expect("append");
    assert!(matches!(appended.receipts[..], [Receipt::Duplicate, Receipt::Stored(_)]));
    assert_eq!(ids(&rig.all().await), [id(1), id(2), id(3)]);
}

/// However the appends are grouped.
pub async fn appends_at_once_store_an_id_once(rig: Rig) {
    let mut n_stored = 0;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let journal = std::sync::Arc::clone(&rig.journal);
        tasks.push(tokio::spawn(async move { journal.append(append(ACCOUNT, 1..=20)).await }));
    }
    for task in tasks {
        let appended = task.await.expect("task").expect("append");
        n_stored += appended.receipts.iter().filter(|receipt| matches!(receipt, Receipt::Stored(_))).count();
    }
    assert_eq!(n_stored, 20);
    assert_eq!(ids(&rig.all().await).len(), 20);
}

/// Same producer, other content: refused, or the first wins. Other producer: foreign.
pub async fn an_id_belongs_to_its_producer_and_content(rig: Rig) {
    rig.store(ACCOUNT, [1]).await;
    let other = Entry { record: record(ACCOUNT, 1, "\"other\""), ..entry(ACCOUNT, 1) };
    for (entry, receipt) in [
        (other.clone(), Receipt::Conflict),
        (Entry { on_conflict: OnConflict::KeepFirst, ..other.clone() }, Receipt::Duplicate),
        (Entry { producer: Producer(2), ..other }, Receipt::Foreign),
        (Entry { producer: Producer(2), ..entry(ACCOUNT, 1) }, Receipt::Foreign),
    ] {
        let mut sent = append(ACCOUNT, [2]);
        sent.entries = vec![entry];
        assert_eq!(rig.journal.append(sent).await.expect("append").receipts, [receipt]);
    }
    assert_eq!(ids(&rig.all().await), [id(1)]);
}

fn keyed(numbers: impl IntoIterator<Item = u64>, digest: u8) -> crate::Append {
    let key = RequestKey { id: id(1), digest: [digest; 8] };
    crate::Append { request_key: Some(key), ..append(ACCOUNT, numbers) }
}

/// The same body goes on, also when nothing of it was new.
pub async fn a_key_with_another_body_stores_nothing(rig: Rig) {
    rig.store(ACCOUNT, [1]).await;
    assert_eq!(rig.journal.append(keyed([1], 7)).await.expect("append").receipts, [Receipt::Duplicate]);
    assert!(matches!(rig.journal.append(keyed([2], 8)).await, Err(AppendError::KeyReused)));
    assert_eq!(rig.journal.append(keyed([1], 7)).await.expect("append").receipts, [Receipt::Duplicate]);
    assert_eq!(ids(&rig.all().await), [id(1)]);
}

/// Exactly then.
pub async fn a_key_is_forgotten_after_a_day(rig: Rig) {
    rig.journal.append(keyed([1], 7)).await.expect("append");
    rig.clock.advance(Duration::from_hours(24));
    assert!(matches!(rig.journal.append(keyed([2], 8)).await, Err(AppendError::KeyReused)));
    rig.clock.advance(Duration::from_millis(1));
    rig.journal.append(keyed([2], 8)).await.expect("append");
    assert_eq!(ids(&rig.all().await), [id(1), id(2)]);
}

/// With its new body, from then on.
pub async fn a_forgotten_key_can_be_used_again_for_a_day(rig: Rig) {
    rig.journal.append(keyed([1], 7)).await.expect("append");
    rig.clock.advance(Duration::from_hours(25));
    rig.journal.append(keyed([2], 8)).await.expect("append");
    rig.clock.advance(Duration::from_hours(24));
    assert!(matches!(rig.journal.append(keyed([3], 7)).await, Err(AppendError::KeyReused)));
    rig.journal.append(keyed([2], 8)).await.expect("append");
    rig.clock.advance(Duration::from_millis(1));
    rig.journal.append(keyed([3], 7)).await.expect("append");
    assert_eq!(ids(&rig.all().await), [id(1), id(2), id(3)]);
}

/// Nothing of the append is stored then.
pub async fn what_is_no_record_of_the_stream_is_refused(rig: Rig) {
    let too_large = record(ACCOUNT, 2, &"x".repeat(MAX_RECORD_BYTES));
    for record in [b"not a record".to_vec(), record(Stream::AuditLog, 2, "1"), too_large] {
        let mut sent = append(ACCOUNT, [1]);
        sent.entries.push(Entry { record, ..entry(ACCOUNT, 2) });
        assert!(matches!(rig.journal.append(sent).await, Err(AppendError::Invalid { index: 1 })));
    }
    assert!(rig.all().await.is_empty());
}
