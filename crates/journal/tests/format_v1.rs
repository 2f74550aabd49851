//! A journal written by format version 1 opens, and holds what it was written with.
//!
//! The files in `fixtures/v1` were written by the example `make_fixture`, before anchors were signed.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, id, limits, name};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{
    Append, AppendError, ConsumerCommand, Journal, ReadRange, Receipt, RequestKey, StartAt, Tally,
};

/// The fixture in a directory of its own, because opening a journal may change it.
fn copied() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    for file in std::fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
    }
    directory
}

fn open(directory: &Path) -> LocalJournal {
    let disk = Arc::new(RealDisk::open(directory).unwrap());
    let options = LocalOptions { segment_bytes: 1_000, ..LocalOptions::default() };
    LocalJournal::open(disk, Arc::new(clock()), Arc::new(Random::from_seed(2)), options).unwrap()
}

#[tokio::test]
async fn its_records_offsets_and_chain_are_there() {
    let directory = copied();
    let journal = open(directory.path());
    let head = journal.head();
    assert_eq!((head.first, head.next, journal.recovery().cut_bytes), (2, 7, 0));
    let streams = Stream::ALL.into_iter().collect();
    let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let blocks = journal.read(range).await.unwrap();
    let read: Vec<_> = blocks
        .iter()
        .map(|block| {
            let records = block.records().map(|(offset, record)| (offset.index, record.event_id()));
            (block.sequence(), block.stream(), records.collect::<Vec<_>>())
        })
        .collect();
    let numbered = |first: u64, indexes: &[u32]| -> Vec<_> {
        indexes.iter().map(|index| (*index, id(first + u64::from(*index)))).collect()
    };
    assert_eq!(
        read,
        [
            (2, Stream::AuditLog, numbered(9, &[0, 2, 3])),
            (3, Stream::Quarantine, numbered(13, &[0, 1, 2, 3])),
            (4, Stream::EventHookLog, numbered(17, &[0, 1])),
            (5, Stream::AccountEvent, numbered(19, &[0])),
            (6, Stream::AccountEvent, numbered(20, &[0])),
        ]
    );
    let verified = journal.verify().await.unwrap();
    assert_eq!((verified.first, verified.next, verified.n_records, verified.n_erased), (2, 7, 11, 1));
}

#[tokio::test]
async fn its_consumers_go_on_where_they_were() {
    let directory = copied();
    let journal = open(directory.path());
    let consumers = journal.consumers(ConsumerCommand::List).await.unwrap();
    let [a, quarantine] = &consumers[..] else { panic!("{consumers:?}") };
    assert_eq!((&a.name, a.state.floor, a.state.appended), (&name("cfg/a"), 4, 16));
    assert_eq!(a.state.tally, Tally { confirmed: 5, expired: 8, ..Tally::default() });
    assert_eq!((quarantine.state.appended, quarantine.state.tally.total()), (4, 0));
    for (consumer, expected) in [("cfg/a", vec![4, 6]), ("quarantine", vec![3])] {
        let streams: StreamSet = Stream::ALL.into_iter().collect();
        let leases = journal.lease(&name(consumer), streams, limits()).await.unwrap();
        let leased: Vec<_> = leases.iter().map(|lease| lease.block.sequence()).collect();
        assert_eq!(leased, expected, "{consumer}");
    }
}

#[tokio::test]
async fn its_ids_and_keys_are_known_and_it_goes_on() {
    let directory = copied();
    let journal = open(directory.path());
    let appended = journal.append(append(Stream::EventHookLog, [18, 21])).await.unwrap();
    assert!(
        matches!(appended.receipts[..], [Receipt::Duplicate, Receipt::Stored(offset)] if offset.block == 7)
    );
    let key = RequestKey { id: id(77), digest: [8; 8] };
    let keyed = Append { request_key: Some(key), ..append(Stream::EventHookLog, [22]) };
    assert!(matches!(journal.append(keyed).await, Err(AppendError::KeyReused)));
    let start = StartAt::Earliest;
    let command =
        ConsumerCommand::Create { name: name("late"), streams: StreamSet::product(), start, until: None };
    assert_eq!(journal.consumers(command).await.unwrap()[0].state.appended, 9);
    journal.close().await.unwrap();
    assert_eq!(open(directory.path()).head().next, 8);
}
