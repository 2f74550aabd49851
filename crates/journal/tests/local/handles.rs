//! How many files the journal holds open.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::Random;
use journal::Journal;
use journal::conformance::append;
use journal::disk::{Disk, DiskFile, DiskLock};
use journal::local::LocalJournal;
use testkit::disk::SimDisk;

use crate::rig::{ACCOUNT, Rig, all, receipts};

#[derive(Default)]
struct Handles {
    open: AtomicUsize,
    most: AtomicUsize,
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

#[tokio::test]
async fn open_files_do_not_grow_with_the_journal() {
    let mut rig = Rig::new(1);
    rig.options.filter_bytes = 0;
    let handles = Arc::new(Handles::default());
    let open = || {
        let disk = Arc::new(Counting(rig.disk.clone(), Arc::clone(&handles)));
        LocalJournal::open(disk, Arc::clone(&rig.clock) as _, Arc::new(Random::from_seed(1)), rig.options)
            .unwrap()
    };
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
