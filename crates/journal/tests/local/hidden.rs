//! A read that began before records were erased.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use base::Random;
use journal::conformance::{append, clock};
use journal::disk::{Disk, DiskFile, DiskLock};
use journal::local::{LocalJournal, LocalOptions};
use journal::{Journal, Offset, ReadRange};
use parking_lot::Mutex;
use testkit::disk::SimDisk;

use crate::rig::ACCOUNT;

/// Where the next read of a segment says that it has its bytes, and waits to go on.
type Stop = Arc<Mutex<Option<(Sender<()>, Receiver<()>)>>>;

/// A disk of which one read takes its time.
struct Slow(SimDisk, Stop);

struct SlowFile(Arc<dyn DiskFile>, Stop);

impl Disk for Slow {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(name)?;
        let is_segment = name.strip_suffix(".segment").is_some();
        Ok(if is_segment { Arc::new(SlowFile(file, Arc::clone(&self.1))) } else { file })
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(name)
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

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, position)?;
        let stop = self.1.lock().take();
        if let Some((has_read, go_on)) = stop {
            has_read.send(()).unwrap();
            go_on.recv().unwrap();
        }
        Ok(())
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

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_began_before_an_erasure_ended_shows_nothing_of_what_was_erased() {
    let (sim, stop) = (SimDisk::new(1), Stop::default());
    let open = || {
        let options = LocalOptions { segment_bytes: 4096, cache_bytes: 0, ..LocalOptions::default() };
        let disk = Arc::new(Slow(sim.clone(), Arc::clone(&stop)));
        LocalJournal::open(disk, Arc::new(clock()), Arc::new(Random::from_seed(1)), options).unwrap()
    };
    let journal = open();
    for n in 0..60 {
        journal.append(append(ACCOUNT, [n])).await.unwrap();
    }
    journal.close().await.unwrap();
    drop(journal);
    let journal = open();
    let erased = [Offset { block: 1, index: 0 }];
    journal.hide(&erased);
    let range = || ReadRange { streams: [ACCOUNT].into_iter().collect(), from: 1, until: 2, max_bytes: 1 };
    // The index is in memory from here on, so that the next read is that of the block.
    journal.read(range()).await.unwrap();
    let ((has_read, reads), (go, go_on)) = (channel(), channel());
    *stop.lock() = Some((has_read, go_on));
    let reading = tokio::spawn({
        let journal = journal.clone();
        async move { journal.read(range()).await }
    });
    tokio::task::spawn_blocking(move || reads.recv().unwrap()).await.unwrap();
    journal.erase(&erased).await.unwrap();
    go.send(()).unwrap();
    let block = reading.await.unwrap().unwrap().remove(0);
    assert_eq!((block.n_records(), block.records().count()), (1, 0));
}
