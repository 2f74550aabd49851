//! Durable steps on the disk, and how they fail.

use std::io;
use std::sync::Arc;

use super::format::names;
use super::format::segment::SegmentHeader;
use crate::disk::{Disk, DiskFile};
use crate::{AppendError, JournalError};

/// Why something could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// No room; everything is as before.
    Full,
    /// The state of the disk is unknown.
    Poisoned,
    Journal(JournalError),
}

impl From<JournalError> for WriteError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl WriteError {
    pub(super) fn to_append_error(&self) -> AppendError {
        match self {
            Self::Full => AppendError::Full,
            Self::Poisoned => JournalError::Poisoned.into(),
            Self::Journal(JournalError::Damaged(what)) => JournalError::Damaged(what.clone()).into(),
            Self::Journal(JournalError::Read(error)) => JournalError::Read(error.kind().into()).into(),
            Self::Journal(_) => JournalError::Closed.into(),
        }
    }

    pub(super) fn into_journal_error(self) -> JournalError {
        match self {
            Self::Full => JournalError::Disk(io::ErrorKind::StorageFull.into()),
            Self::Poisoned => JournalError::Poisoned,
            Self::Journal(error) => error,
        }
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Creates a segment file; its header and its name are durable when this returns.
pub(super) fn create_segment(disk: &dyn Disk, header: &SegmentHeader) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&names::segment(header.id))?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    disk.sync_dir("")?;
    Ok(file)
}

/// Replaces a small file: after a crash there is the old one or the new one.
pub(super) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = names::unfinished(name);
    or_without(disk, &unfinished, || {
        let file = disk.create(&unfinished)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    })?;
    disk.rename(&unfinished, name)?;
    disk.sync_dir("")
}

/// Makes an unfinished file. When that fails, nothing of it is left to take up room.
pub(super) fn or_without<T, E>(
    disk: &dyn Disk,
    unfinished: &str,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    make().inspect_err(|_| {
        let _ = disk.remove(unfinished);
    })
}

/// Removes a name. It is no error when there is none.
pub(super) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
