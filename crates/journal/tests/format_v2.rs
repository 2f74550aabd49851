//! A journal with a signed anchor and a lost block (format version 2 of both) opens, and holds what it was written with.
//!
//! The files in `fixtures/v2` were written by the example `make_fixture`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, id, limits, name};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions, Seen, Survey, Watch};
use journal::signing::SigningKey;
use journal::{Journal, ReadRange, Receipt};

struct Unwatched;

impl Watch for Unwatched {
    fn progress(&mut self, _: u64, _: u64) {}
    fn restart(&mut self) {}
    fn block(&mut self, _: &Seen<'_>) {}
}

/// The fixture in a directory of its own, because opening a journal may change it.
fn copied() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v2");
    for file in std::fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
    }
    directory
}

#[tokio::test]
async fn its_anchor_is_signed_and_its_lost_block_is_told_and_counted() {
    let directory = copied();
    let disk = RealDisk::open_read_only(directory.path()).unwrap();
    let survey = Survey::of(&disk, None, &mut Unwatched).unwrap();
    assert!(survey.problems.is_empty(), "{:?}", survey.problems);
    let anchor = survey.anchor.unwrap();
    assert_eq!(anchor.signed_by, Some(SigningKey::from_seed(&[7; 32]).unwrap().public_key()));
    assert!(anchor.sequence == 1 && !anchor.is_forged);
    let gap = &survey.given_up[0];
    assert_eq!((gap.from, gap.until, gap.n_events()), (3, 4, Some(4)));
    assert_eq!((survey.first, survey.next, survey.n_records, survey.n_erased), (2, 7, 7, 1));
}

#[tokio::test]
async fn it_opens_and_goes_on() {
    let directory = copied();
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let options = LocalOptions { segment_bytes: 1_000, ..LocalOptions::default() };
    let journal =
        LocalJournal::open(disk, Arc::new(clock()), Arc::new(Random::from_seed(2)), options).unwrap();
    let streams: StreamSet = Stream::ALL.into_iter().collect();
    let blocks =
        journal.read(ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX }).await.unwrap();
    let read: Vec<_> =
        blocks.iter().map(|block| (block.sequence(), block.n_records(), block.is_lost())).collect();
    assert_eq!(read, [(2, 4, false), (3, 4, true), (4, 2, false), (5, 1, false), (6, 1, false)]);
    assert_eq!(blocks[4].records().next().unwrap().1.event_id(), id(20));
    let verified = journal.verify().await.unwrap();
    assert_eq!((verified.n_records, verified.n_erased, verified.n_lost), (7, 1, 4));
    let consumers = journal.consumers(journal::ConsumerCommand::List).await.unwrap();
    let [_, quarantine] = &consumers[..] else { panic!("{consumers:?}") };
    assert_eq!((quarantine.state.appended, quarantine.state.tally.discarded), (4, 4));
    assert!(journal.lease(&name("quarantine"), streams, limits()).await.unwrap().is_empty());
    let appended = journal.append(append(Stream::Quarantine, [13])).await.unwrap();
    assert!(matches!(appended.receipts[..], [Receipt::Stored(_)]), "a lost event can be sent again");
    journal.close().await.unwrap();
}
