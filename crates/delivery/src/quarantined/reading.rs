//! How the view reads on: as far as the stream goes, once for all who wait for it.

use journal::JournalError;

use super::view::View;
use super::{PATIENCE, QuarantineError, Quarantined};
use crate::configuration::Configuration;
use crate::copies::{Page, page};

/// Bytes of the stream that are read at a time.
const PAGE_BYTES: usize = 4 << 20;

impl Quarantined {
    /// Reads what the view has not read yet. When that takes long it goes on by itself, and the caller is told.
    pub(super) async fn read_on(&self) -> Result<(), QuarantineError> {
        let this = self.clone();
        let reading = tokio::spawn(async move { this.follow().await });
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => Ok(read?),
            Ok(Err(error)) => Err(QuarantineError::Keep(Box::new(error))),
            Err(_) => {
                let (at, of) = (self.0.view.lock().next, self.0.journal.head().next);
                Err(QuarantineError::BeingRead { at, of })
            }
        }
    }

    /// Forgets everything, and reads the stream again when it is next wanted: its events may have been erased.
    pub async fn forget(&self) {
        let _reading = self.0.reading.lock().await;
        *self.0.view.lock() = View::default();
    }

    /// How many blocks could not be read, as far as the view has come.
    pub(crate) fn n_unreadable(&self) -> u64 {
        self.0.view.lock().n_unreadable
    }

    /// Whether a configuration is there.
    fn is_there(&self, id: &str) -> bool {
        self.0.catalog.revision::<Configuration>(id).is_ok()
    }

    async fn follow(&self) -> Result<(), JournalError> {
        let _reading = self.0.reading.lock().await;
        self.0.view.lock().make_room();
        loop {
            // What is stored by now is seen by the read that follows.
            let head = self.0.journal.head();
            let from = self.0.view.lock().next.max(head.first);
            match page(&*self.0.journal, from, PAGE_BYTES).await? {
                Page::End => {
                    let mut view = self.0.view.lock();
                    view.next = view.next.max(head.next);
                    view.trim(head.first, |id| self.is_there(id));
                    return Ok(());
                }
                Page::Blocks(blocks) => {
                    let this = self.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        let mut view = this.0.view.lock();
                        for block in &blocks {
                            view.read(block, |id| this.is_there(id));
                        }
                    });
                    read.await.map_err(|error| JournalError::Read(std::io::Error::other(error)))?;
                }
                Page::Damaged(until) => {
                    let mut view = self.0.view.lock();
                    view.next = until;
                    view.n_unreadable += until - from;
                }
            }
        }
    }
}
