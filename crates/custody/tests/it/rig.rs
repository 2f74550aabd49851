//! An installation's journal and catalog in a directory, and what tests do with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, ManualClock, Random};
use catalog::{Catalog, Keyring, SqliteStore};
use custody::heads::Signer;
use custody::verify::{Against, Verdict, untold_restores, verify};
use custody::{OURSELVES, heads, key};
use event::{RecordBuilder, Section, Stream};
use journal::conformance::{append, clock};
use journal::disk::{Disk, RealDisk};
use journal::local::{LocalJournal, LocalOptions, Repair, Seen, Survey, Watch};
use journal::signing::SignedHead;
use journal::{Append, Entry, Journal, OnConflict, Producer, Receipt};

pub(crate) struct Installation {
    pub(crate) data: PathBuf,
    pub(crate) journal: Arc<LocalJournal>,
    pub(crate) catalog: Catalog,
    pub(crate) signer: Signer,
    pub(crate) clock: Arc<ManualClock>,
}

impl Installation {
    /// Opens the installation in `data`, or makes it.
    pub(crate) fn open(data: &Path, seed: u64) -> Self {
        let clock = Arc::new(clock());
        let random = Arc::new(Random::from_seed(seed));
        let disk = Arc::new(RealDisk::open(data.join("journal")).unwrap());
        let options = LocalOptions { segment_bytes: 900, ..LocalOptions::default() };
        let journal =
            LocalJournal::open(disk, Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&random), options);
        let journal = Arc::new(journal.unwrap());
        let store = SqliteStore::open(&data.join("catalog.sqlite")).unwrap();
        let catalog = Catalog::open(Arc::new(store)).unwrap();
        let key = key::open_or_make(&catalog, &Keyring::new(&[7; 32]), &random, clock.now()).unwrap();
        journal.sign_with(Arc::clone(&key));
        let signer = Signer {
            journal: Arc::clone(&journal),
            catalog: catalog.clone(),
            key,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random,
        };
        Self { data: data.to_owned(), journal, catalog, signer, clock }
    }

    pub(crate) async fn store(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            let appended = self.journal.append(append(Stream::AccountEvent, [n])).await.unwrap();
            assert!(matches!(appended.receipts[..], [Receipt::Stored(_)]), "event {n}");
        }
    }

    /// Signs the head, and posts every note that waits as the server does.
    pub(crate) async fn sign(&self) -> SignedHead {
        let head = self.signer.sign().await.unwrap().unwrap();
        self.tell(OURSELVES).await;
        head
    }

    /// Posts every note that waits, as somebody.
    pub(crate) async fn tell(&self, producer: &str) {
        for untold in self.catalog.untold() {
            for note in &untold.notes {
                let id = serde_json::from_value(note["eventID"].clone()).unwrap();
                let now = self.clock.now();
                let mut record = RecordBuilder::new(Stream::AuditLog, id, now, now);
                record.section(Section::Header, "\"action\":\"x\"");
                record.section(Section::Changes, &note["changes"].to_string());
                let entry = Entry {
                    record: record.finish().unwrap(),
                    producer: Producer::of(producer),
                    on_conflict: OnConflict::Refuse,
                };
                let append = Append { stream: Stream::AuditLog, entries: vec![entry], request_key: None };
                self.journal.append(append).await.unwrap();
            }
            self.catalog.told(&untold).unwrap();
        }
    }

    pub(crate) fn verify(&self, heads: &[SignedHead]) -> Verdict {
        let against = Against {
            known: heads::known(&self.catalog).unwrap(),
            key: Some(self.signer.key.public_key()),
            heads: heads.to_vec(),
            restores: untold_restores(&self.catalog),
        };
        let disk = RealDisk::open_read_only(self.data.join("journal")).unwrap();
        verify(&disk, &against, &mut |done, total| assert!(done <= total)).unwrap()
    }
}

/// Copies the files of a directory.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

struct Unwatched;

impl Watch for Unwatched {
    fn progress(&mut self, _: u64, _: u64) {}
    fn restart(&mut self) {}
    fn block(&mut self, _: &Seen<'_>) {}
}

/// Gives up what is lost, as an operator does.
pub(crate) async fn mend(data: &Path) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(data.join("journal")).unwrap());
    let lock = disk.lock().unwrap();
    let catalog = Catalog::open(Arc::new(SqliteStore::open(&data.join("catalog.sqlite")).unwrap())).unwrap();
    let survey = Survey::of(disk.as_ref(), heads::known(&catalog).unwrap(), &mut Unwatched).unwrap();
    let repair = Repair::plan(survey).unwrap();
    repair.carry_out(disk, lock, Arc::new(clock()), Arc::new(Random::from_seed(8)), &[]).await.unwrap();
}
