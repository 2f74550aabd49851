//! One bit of any file of a closed journal is flipped: either nothing of what was written is missing or different, or the
//! damage is named. Never a wrong record, never a silent loss, never a panic.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod repaired;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, confirmed, entry, limits, name};
use journal::disk::Disk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{
    AppendError, Block, Consumer, ConsumerCommand, Journal, JournalError, ReadRange, Receipt, Settlement,
    StartAt,
};
use proptest::prelude::*;
use testkit::disk::SimDisk;

/// Blocks of the journal; 1 to 4 are dropped, and each holds one event with the number of the block.
const BLOCKS: u64 = 40;
const FIRST: u64 = 5;

fn open(disk: &SimDisk) -> Result<LocalJournal, JournalError> {
    // Two blocks a segment: enough segments for a group of filters.
    let options = LocalOptions { segment_bytes: 600, cache_bytes: 0, ..LocalOptions::default() };
    LocalJournal::open(Arc::new(disk.clone()), Arc::new(clock()), Arc::new(Random::from_seed(1)), options)
}

async fn consumers(journal: &LocalJournal) -> Result<Vec<Consumer>, JournalError> {
    journal.consumers(ConsumerCommand::List).await
}

type Files = BTreeMap<String, Vec<u8>>;

/// A closed journal with all that a journal has: sealed segments, an anchor, ids, groups of filters, settled blocks out
/// of order. Its files, and its consumers.
async fn closed() -> (Files, Vec<Consumer>) {
    let disk = SimDisk::new(1);
    let journal = open(&disk).unwrap();
    let streams = StreamSet::product();
    let command = ConsumerCommand::Create { name: name("c"), streams, start: StartAt::Earliest, until: None };
    journal.consumers(command).await.unwrap();
    for n in 1..=BLOCKS {
        journal.append(append(Stream::AccountEvent, [n])).await.unwrap();
    }
    let leases = journal.lease(&name("c"), streams, limits()).await.unwrap();
    for lease in leases.iter().filter(|lease| lease.block.sequence() % 5 == 0) {
        journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await.unwrap();
    }
    journal.trim(FIRST).await.unwrap();
    journal.close().await.unwrap();
    let open = open(&disk).unwrap();
    let listed = consumers(&open).await.unwrap();
    open.close().await.unwrap();
    let names = disk.list("").unwrap().into_iter().filter(|name| name != "lock");
    (names.map(|name| (name.clone(), disk.bytes(&name).unwrap())).collect(), listed)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

fn written() -> &'static (Files, Vec<Consumer>) {
    static WRITTEN: OnceLock<(Files, Vec<Consumer>)> = OnceLock::new();
    WRITTEN.get_or_init(|| block_on(closed()))
}

/// Whether the error is the damage of this file and says where.
fn names(error: &JournalError, file: &str) -> bool {
    matches!(error, JournalError::Damaged(what) if what.contains(file))
}

fn is_right(block: &Block) -> bool {
    let records: Vec<_> = block.records().map(|(_, record)| record.as_bytes().to_vec()).collect();
    records == [entry(Stream::AccountEvent, block.sequence()).record]
}

/// Uses a journal whose file `flipped` is not what was written. Answers whether damage was named; panics when something
/// is wrong and it was not.
async fn check(disk: &SimDisk, flipped: &str) -> bool {
    let journal = match open(disk) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(names(&error, flipped), "{flipped}: {error}");
            return true;
        }
    };
    let mut damaged = Vec::new();
    let streams = StreamSet::product();
    for from in journal.head().first..=BLOCKS {
        match journal.read(ReadRange { streams, from, until: from + 1, max_bytes: 1 }).await {
            Ok(blocks) => assert!(blocks.len() == 1 && is_right(&blocks[0]), "block {from}: {blocks:?}"),
            Err(error) => {
                assert!(names(&error, flipped), "{error}");
                damaged.push(from);
            }
        }
    }
    assert_eq!((journal.head().first, journal.head().next), (FIRST, BLOCKS + 1), "{flipped}");
    match journal.verify().await {
        Ok(_) => assert!(damaged.is_empty(), "verifying names nothing of {damaged:?}"),
        Err(error) => assert!(names(&error, flipped), "{error}"),
    }
    let leases = journal.lease(&name("c"), streams, limits()).await.unwrap_or_default();
    let leased: Vec<_> = leases.iter().map(|lease| lease.block.sequence()).collect();
    for n in (FIRST..=BLOCKS).filter(|n| n % 5 != 0 && !damaged.contains(n)) {
        assert!(leased.contains(&n), "block {n} is not leased: {leased:?}");
    }
    if damaged.is_empty() {
        let mut listed = consumers(&journal).await.unwrap();
        listed[0].state.n_leased = 0;
        assert_eq!(listed, written().1);
    }
    check_ids(&journal, &damaged).await;
    !damaged.is_empty()
}

/// Every id that can be read is known; what cannot be read is named where it matters.
async fn check_ids(journal: &LocalJournal, damaged: &[u64]) {
    for n in FIRST..=BLOCKS {
        match journal.append(append(Stream::AccountEvent, [n])).await {
            Ok(appended) if appended.receipts == [Receipt::Duplicate] => {}
            Err(AppendError::Journal(JournalError::Damaged(_))) => {}
            answer => assert!(damaged.contains(&n), "event {n}: {answer:?}"),
        }
    }
}

/// Files that are made again from the segments.
fn is_cache(name: &str) -> bool {
    name.strip_suffix(".ids").or(name.strip_suffix(".filters")).is_some()
}

fn disk_with(files: &Files) -> SimDisk {
    let disk = SimDisk::new(2);
    for (name, bytes) in files {
        let file = disk.create(name).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
    }
    disk.sync_dir("").unwrap();
    disk
}

#[test]
fn without_a_flip_all_is_there() {
    assert!(!block_on(check(&disk_with(&written().0), "none")));
    let kinds = ["anchor", "consumers", ".ids", ".filters", ".segment"];
    for kind in kinds {
        assert!(written().0.keys().any(|name| name.ends_with(kind)), "the journal has a file {kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_flipped_bit_anywhere_is_named_or_changes_nothing(file: prop::sample::Index, at: prop::sample::Index, bit in 0_u8..8) {
        let mut files = written().0.clone();
        let flipped = files.keys().nth(file.index(files.len())).unwrap().clone();
        let bytes = files.get_mut(&flipped).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let named = block_on(check(&disk_with(&files), &flipped));
        let is_cache = is_cache(&flipped);
        prop_assert!(named != is_cache, "{flipped} at {at}: a cache is rebuilt, the rest is named");
    }

    #[test]
    fn a_truncated_file_is_named_or_changes_nothing(file: prop::sample::Index, at: prop::sample::Index) {
        let mut files = written().0.clone();
        let cut = files.keys().nth(file.index(files.len())).unwrap().clone();
        let bytes = files.get_mut(&cut).unwrap();
        bytes.truncate(at.index(bytes.len()));
        let named = block_on(check(&disk_with(&files), &cut));
        let is_cache = is_cache(&cut);
        prop_assert!(named != is_cache, "{cut}: a cache is rebuilt, the rest is named");
    }

    #[test]
    fn a_missing_file_is_named_or_changes_nothing(file: prop::sample::Index) {
        let mut files = written().0.clone();
        let gone = files.keys().nth(file.index(files.len())).unwrap().clone();
        files.remove(&gone);
        // What is not there is named by what should follow, when nobody can know its name.
        let segments = |name: &&String| name.strip_suffix(".segment").is_some();
        let first = written().0.keys().find(segments).unwrap();
        let last = files.keys().rfind(|name| name.strip_suffix(".segment").is_some()).unwrap();
        let expected = match &*gone {
            "anchor" => "no segment begins with block 1",
            gone if gone == first => "no segment begins with block 5",
            gone if gone.strip_suffix(".segment").is_some() && gone > last.as_str() => "block 39 was durable",
            _ => &gone,
        };
        let named = block_on(check(&disk_with(&files), expected));
        let is_cache = is_cache(&gone);
        prop_assert!(named != is_cache, "{gone}: a cache is rebuilt, the rest is named");
    }
}
