//! A journal on a simulated disk, and what tests ask of it.

use std::sync::Arc;

use base::{ManualClock, Random};
use event::{Stream, StreamSet};
use journal::conformance::{append, clock};
use journal::local::{LocalJournal, LocalOptions, Stepper};
use journal::{Appended, Block, Journal, JournalError, ReadRange, Receipt};
use testkit::disk::SimDisk;

pub(crate) const ACCOUNT: Stream = Stream::AccountEvent;
pub(crate) const FIRST: &str = "0000000000000001.segment";

pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: LocalOptions,
}

impl Rig {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let options = LocalOptions { segment_bytes, cache_bytes: 0, ..LocalOptions::default() };
        Self { disk: SimDisk::new(7), clock: Arc::new(clock()), options }
    }

    pub(crate) fn try_open(&self) -> Result<LocalJournal, JournalError> {
        let (clock, random) = (Arc::clone(&self.clock), Arc::new(Random::from_seed(1)));
        LocalJournal::open(Arc::new(self.disk.clone()), clock, random, self.options)
    }

    pub(crate) fn open_stepped(&self) -> (LocalJournal, Stepper) {
        let (clock, random) = (Arc::clone(&self.clock), Arc::new(Random::from_seed(1)));
        LocalJournal::open_stepped(Arc::new(self.disk.clone()), clock, random, self.options).unwrap()
    }

    pub(crate) fn open(&self) -> LocalJournal {
        self.try_open().unwrap()
    }

    /// Stores events one a block, ends the process without a word, and answers the journal's files anew.
    pub(crate) async fn filled(segment_bytes: u64, n: u64) -> Self {
        let rig = Self::new(segment_bytes);
        let journal = rig.open();
        store(&journal, 1..=n).await;
        drop(journal);
        rig
    }

    pub(crate) fn damage(&self) -> String {
        match self.try_open().map(|_| ()) {
            Err(JournalError::Damaged(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn flip(&self, file: &str, at: usize) {
        let mut bytes = self.disk.bytes(file).unwrap();
        bytes[at] ^= 1;
        self.disk.set_bytes(file, bytes);
    }
}

pub(crate) async fn store(journal: &LocalJournal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(receipts(journal, n).await, [true], "event {n}");
    }
}

/// Whether the event was stored (or is a duplicate).
pub(crate) async fn receipts(journal: &LocalJournal, n: u64) -> Vec<bool> {
    let Appended { receipts } = journal.append(append(ACCOUNT, [n])).await.unwrap();
    receipts.into_iter().map(|receipt| matches!(receipt, Receipt::Stored(_))).collect()
}

pub(crate) async fn all(journal: &LocalJournal) -> Vec<Arc<Block>> {
    let range = ReadRange { streams: StreamSet::product(), from: 0, until: u64::MAX, max_bytes: usize::MAX };
    journal.read(range).await.unwrap()
}

pub(crate) async fn stored_ids(journal: &LocalJournal) -> Vec<base::EventId> {
    let blocks = all(journal).await;
    blocks.iter().flat_map(|block| block.records().map(|(_, record)| record.event_id())).collect()
}
