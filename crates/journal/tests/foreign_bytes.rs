//! Whatever bytes the files hold, opening and reading them answers with what was written or an error, and never panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, entry, limits, name};
use journal::disk::Disk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{ConsumerCommand, Journal, ReadRange, StartAt};
use proptest::prelude::*;
use testkit::disk::SimDisk;

fn open(disk: &SimDisk) -> Option<LocalJournal> {
    let options = LocalOptions { segment_bytes: 900, cache_bytes: 0, ..LocalOptions::default() };
    LocalJournal::open(Arc::new(disk.clone()), Arc::new(clock()), Arc::new(Random::from_seed(1)), options)
        .ok()
}

/// A journal of three segments and a consumer.
async fn filled() -> SimDisk {
    let disk = SimDisk::new(1);
    let journal = open(&disk).unwrap();
    let streams = StreamSet::product();
    let command = ConsumerCommand::Create { name: name("c"), streams, start: StartAt::Earliest, until: None };
    journal.consumers(command).await.unwrap();
    for n in 0..6 {
        journal.append(append(Stream::AccountEvent, [2 * n, 2 * n + 1])).await.unwrap();
    }
    disk
}

/// Changes one file and uses the journal. Answers every record that could be read.
async fn use_with(file: usize, change: impl Fn(&mut Vec<u8>)) -> BTreeSet<Vec<u8>> {
    let disk = filled().await;
    let mut files: Vec<_> = disk.list("").unwrap().into_iter().filter(|file| file != "lock").collect();
    files.sort();
    let file = &files[file % files.len()];
    let mut bytes = disk.bytes(file).unwrap();
    change(&mut bytes);
    disk.set_bytes(file, bytes);
    let mut read = BTreeSet::new();
    let Some(journal) = open(&disk) else { return read };
    let _ = journal.verify().await;
    let _ = journal.append(append(Stream::AccountEvent, [3, 11])).await;
    let _ = journal.consumers(ConsumerCommand::List).await;
    for from in 1..8 {
        let range = ReadRange { streams: StreamSet::product(), from, until: from + 1, max_bytes: 1 };
        for block in journal.read(range).await.unwrap_or_default() {
            read.extend(block.records().map(|(_, record)| record.as_bytes().to_vec()));
        }
    }
    let _ = journal.lease(&name("c"), StreamSet::product(), limits()).await;
    let _ = journal.trim(4).await;
    read
}

fn was_sent(record: &[u8]) -> bool {
    (0..12).any(|n| entry(Stream::AccountEvent, n).record == record)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn changed_bytes_are_never_taken_for_what_was_written(
        file in 0_usize..20,
        at: prop::sample::Index,
        with in prop::collection::vec(any::<u8>(), 1..30),
        cut: bool,
    ) {
        let read = block_on(use_with(file, |bytes| {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + with.len());
            bytes.splice(at..end, with.iter().copied());
            if cut {
                bytes.truncate(at);
            }
        }));
        prop_assert!(read.iter().all(|record| was_sent(record)));
    }

    /// The sizes in a block's header are believed by its checksum, not by what they say.
    #[test]
    fn foreign_sizes_with_a_fitting_checksum_never_panic(at in 0_usize..164, with in any::<[u8; 4]>()) {
        let read = block_on(use_with(1, |bytes| {
            // The second file, after its ids, is the first segment: its header has 192 bytes, a block's has 168.
            assert!(bytes.starts_with(b"idsSEGMT"));
            let header = &mut bytes[192..192 + 168];
            let end = 164.min(at + 4);
            header[at..end].copy_from_slice(&with[..end - at]);
            let sum = crc32c::crc32c(&header[..164]);
            header[164..].copy_from_slice(&sum.to_le_bytes());
        }));
        prop_assert!(read.iter().all(|record| was_sent(record)));
    }
}
