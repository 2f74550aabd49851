//! A survey of a journal that drops segments meanwhile.

use std::io;
use std::sync::Arc;

use event::StreamSet;
use journal::conformance::name;
use journal::disk::{Disk, DiskFile, DiskLock};
use journal::local::{Seen, Survey, Watch};
use journal::{ConsumerCommand, Journal, StartAt};
use parking_lot::Mutex;
use testkit::disk::SimDisk;

use crate::rig::{Rig, store};

/// A disk on which something happens between the look at the anchor and the look at the segments.
struct Meddled {
    disk: SimDisk,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Disk for Meddled {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        self.disk.list(folder)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_dir(folder)
    }

    fn lock(&self) -> io::Result<DiskLock> {
        self.disk.lock()
    }
}

#[derive(Default)]
struct Counting {
    blocks: usize,
    restarts: usize,
}

impl Watch for Counting {
    fn progress(&mut self, _: u64, _: u64) {}

    fn restart(&mut self) {
        (self.blocks, self.restarts) = (0, self.restarts + 1);
    }

    fn block(&mut self, _: &Seen<'_>) {
        self.blocks += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_dropped_during_a_survey_are_no_damage() {
    let rig = Rig::filled(1, 6).await;
    let journal = rig.open();
    let (streams, start) = (StreamSet::product(), StartAt::Earliest);
    journal
        .consumers(ConsumerCommand::Create { name: name("c"), streams, start, until: None })
        .await
        .unwrap();
    let (trimming, runtime) = (journal.clone(), tokio::runtime::Handle::current());
    let trim = move || tokio::task::block_in_place(|| runtime.block_on(trimming.trim(4))).unwrap();
    let disk = Meddled { disk: rig.disk.clone(), meanwhile: Mutex::new(Some(Box::new(trim))) };
    let mut counting = Counting::default();
    let survey = Survey::of(&disk, None, &mut counting).unwrap();
    assert!(survey.problems.is_empty(), "{:?}", survey.problems);
    assert_eq!((survey.first, survey.next, counting.blocks, counting.restarts), (4, 7, 3, 1));
    store(&journal, [7]).await;
}
