//! How many files the journal holds open, and how often it reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{Clock, EventId, Random};
use event::RecordBuilder;
use journal::conformance::{append, clock};
use journal::disk::{Disk, DiskFile, DiskLock};
use journal::local::LocalJournal;
use journal::{Append, Entry, Journal, OnConflict, Producer, Receipt};
use testkit::disk::SimDisk;

use crate::rig::{ACCOUNT, Rig, all, receipts};

#[derive(Default)]
struct Handles {
    open: AtomicUsize,
    most: AtomicUsize,
    reads: AtomicUsize,
}

/// A disk that counts the files that are open.
struct Counting(SimDisk, Arc<Handles>);

struct Counted(Arc<dyn DiskFile>, Arc<Handles>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Counting {
    fn count(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let open = self.1.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.1.most.fetch_max(open, Ordering::SeqCst);
        Arc::new(Counted(file, Arc::clone(&self.1)))
    }
}

impl Disk for Counting {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.count(self.0.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.count(self.0.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        self.0.sync_dir(folder)
    }

    fn lock(&self) -> io::Result<DiskLock> {
        self.0.lock()
    }
}

impl DiskFile for Counted {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.1.reads.fetch_add(1, Ordering::SeqCst);
        self.0.read_exact_at(bytes, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn open(rig: &Rig, handles: &Arc<Handles>) -> LocalJournal {
    let disk = Arc::new(Counting(rig.disk.clone(), Arc::clone(handles)));
    let random = Arc::new(Random::from_seed(1));
    LocalJournal::open(disk, Arc::clone(&rig.clock) as _, random, rig.options).unwrap()
}

/// Events with ids that do not begin with a time.
fn random_events(random: &Random, n: usize) -> Append {
    let at = clock().now();
    let entries = (0..n).map(|_| {
        let mut id: [u8; 16] = random.bytes();
        id[6] = 0x40 | id[6] & 0x0f;
        let record = RecordBuilder::new(ACCOUNT, EventId::from_bytes(id), at, at).finish().unwrap();
        Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }
    });
    Append { stream: ACCOUNT, entries: entries.collect(), request_key: None }
}

#[tokio::test]
async fn a_random_id_is_looked_up_in_about_as_many_reads_as_the_logarithm_of_the_segments() {
    let mut rig = Rig::new(1);
    rig.options.filter_bytes = 0;
    let (handles, random) = (Arc::new(Handles::default()), Random::from_seed(9));
    let journal = open(&rig, &handles);
    let mut sent = Vec::new();
    for _ in 0..501 {
        let append = random_events(&random, 2);
        journal.append(append.clone()).await.unwrap();
        sent.push(append);
    }
    let sealed = journal.segments().len() - 1;
    assert_eq!(sealed, 500);
    let mut journal = Some(journal);
    for what in ["as it grew", "opened again"] {
        let journal = journal.take().unwrap_or_else(|| open(&rig, &handles));
        let before = handles.reads.load(Ordering::SeqCst);
        let appended = journal.append(random_events(&random, 100)).await.unwrap();
        let reads = handles.reads.load(Ordering::SeqCst) - before;
        assert!(appended.receipts.iter().all(|receipt| matches!(receipt, Receipt::Stored(_))));
        assert!(reads <= 100 * 32, "{what}: {reads} reads for 100 ids");
        for sent in &sent {
            let appended = journal.append(sent.clone()).await.unwrap();
            assert_eq!(appended.receipts, [Receipt::Duplicate; 2], "{what}");
        }
    }
}

#[tokio::test]
async fn ids_are_found_whatever_became_of_the_filters_of_groups() {
    for damage in ["none", "removed", "flipped", "cut"] {
        let mut rig = Rig::new(1);
        rig.options.filter_bytes = 0;
        let (handles, random) = (Arc::new(Handles::default()), Random::from_seed(9));
        let journal = open(&rig, &handles);
        let sent: Vec<_> = (0..290).map(|_| random_events(&random, 2)).collect();
        for append in &sent {
            journal.append(append.clone()).await.unwrap();
        }
        journal.erase(&[journal::Offset { block: 3, index: 0 }]).await.unwrap();
        journal.trim(3).await.unwrap();
        drop(journal);
        let mut groups = rig.disk.list("").unwrap();
        groups.retain(|file| file.strip_suffix(".filters").is_some());
        groups.sort();
        assert_eq!(
            groups,
            ["0000000000000001.256.filters", "0000000000000101.16.filters", "0000000000000111.16.filters"]
        );
        for file in &groups {
            let mut bytes = rig.disk.bytes(file).unwrap();
            match damage {
                "removed" => rig.disk.forget(file),
                "flipped" => bytes[4096..].iter_mut().step_by(100).for_each(|byte| *byte ^= 1),
                "cut" => bytes.truncate(4096),
                _ => {}
            }
            if damage != "removed" {
                rig.disk.set_bytes(file, bytes);
            }
        }
        let journal = open(&rig, &handles);
        for (n, append) in sent.iter().enumerate() {
            let appended = journal.append(append.clone()).await.unwrap();
            let known: Vec<_> =
                appended.receipts.iter().map(|receipt| *receipt == Receipt::Duplicate).collect();
            // Trimmed, trimmed, erased in part, known.
            let expected = match n {
                0 | 1 => [false, false],
                2 => [false, true],
                _ => [true, true],
            };
            assert_eq!(known, expected, "{damage}, append {n}");
        }
        journal.trim(u64::MAX).await.unwrap();
        let left = rig.disk.list("").unwrap();
        assert!(left.iter().all(|file| file.strip_suffix(".filters").is_none()), "{left:?}");
    }
}

#[tokio::test]
async fn open_files_do_not_grow_with_the_journal() {
    let mut rig = Rig::new(1);
    rig.options.filter_bytes = 0;
    let handles = Arc::new(Handles::default());
    let open = || open(&rig, &handles);
    let journal = open();
    for n in 0..300 {
        journal.append(append(ACCOUNT, [n])).await.unwrap();
    }
    drop(journal);
    let journal = open();
    assert_eq!(all(&journal).await.len(), 300);
    for n in 0..300 {
        assert_eq!(receipts(&journal, n).await, [false]);
    }
    let most = handles.most.load(Ordering::SeqCst);
    assert!(most <= 40, "{most} files were open at once");
    drop(journal);
    assert_eq!(handles.open.load(Ordering::SeqCst), 0);
}
