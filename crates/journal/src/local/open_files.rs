//! Open files of the journal, a bounded number of them: however many segments there are, the process does not run out of
//! file descriptors.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::format::names;
use crate::disk::{Disk, DiskFile};

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileOf {
    /// A segment in this generation (or a newer one, if it was just rewritten).
    Segment { id: u64, generation: u32 },
    /// The ids of a segment.
    Ids(u64),
    /// The filters of the ids of `n` segments.
    Filters { first: u64, n: usize },
}

impl FileOf {
    fn name(self) -> String {
        match self {
            Self::Segment { id, .. } => names::segment(id),
            Self::Ids(segment) => names::ids(segment),
            Self::Filters { first, n } => names::filters(first, n),
        }
    }
}

/// The files that were used last, the last one at the back.
pub(super) struct OpenFiles {
    disk: Arc<dyn Disk>,
    files: Mutex<VecDeque<(FileOf, Arc<dyn DiskFile>)>>,
}

impl OpenFiles {
    /// Most files that are kept open.
    const MAX: usize = 32;

    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, files: Mutex::default() }
    }

    /// The file, opened if need be.
    pub(super) fn get(&self, which: FileOf) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if let Some(at) = files.iter().position(|(of, _)| *of == which)
            && let Some(entry) = files.remove(at)
        {
            let file = Arc::clone(&entry.1);
            files.push_back(entry);
            return Ok(file);
        }
        drop(files);
        let file = self.disk.open(&which.name())?;
        let mut files = self.files.lock();
        files.push_back((which, Arc::clone(&file)));
        if files.len() > Self::MAX {
            files.pop_front();
        }
        Ok(file)
    }

    /// Closes a segment that was rewritten or dropped, in every generation.
    pub(super) fn forget_segment(&self, segment: u64) {
        self.files.lock().retain(|(of, _)| !matches!(of, FileOf::Segment { id, .. } if *id == segment));
    }

    /// Closes the groups of filters that begin with a segment.
    pub(super) fn forget_filters(&self, segment: u64) {
        self.files.lock().retain(|(of, _)| !matches!(of, FileOf::Filters { first, .. } if *first == segment));
    }

    /// Closes a sidecar that was replaced or removed.
    pub(super) fn forget_ids(&self, segment: u64) {
        self.files.lock().retain(|(of, _)| *of != FileOf::Ids(segment));
    }
}
