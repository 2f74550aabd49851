//! Writing a mended segment, and setting aside what is taken out of it.

use base::Timestamp;

use super::plan::{Item, NewSegment};
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::local::active_end::keep_aside;
use crate::local::durable::or_without;
use crate::local::format::block::BlockHeader;
use crate::local::format::names;

/// Bytes collected before they are written.
const CHUNK: usize = 1024 * 1024;

/// Puts the mended file in the place of the old one. What is not taken over is durable in `lost+found/` before.
pub(super) fn rewrite(disk: &dyn Disk, new: &NewSegment, now: Timestamp) -> Result<(), JournalError> {
    let id = new.header.id;
    let old =
        if new.is_there { Some(disk.open(&names::segment(id)).map_err(JournalError::Read)?) } else { None };
    if let Some(old) = &old {
        for part in &new.broken {
            keep_aside(disk, old.as_ref(), id, part.clone(), now)?;
        }
    }
    let name = names::rewritten(id, new.header.generation);
    or_without(disk, &name, || {
        let file = disk.create(&name).map_err(JournalError::Disk)?;
        fill(file.as_ref(), old.as_deref(), new)
    })?;
    disk.rename(&name, &names::segment(id)).map_err(JournalError::Disk)?;
    disk.sync_dir("").map_err(JournalError::Disk)
}

fn fill(file: &dyn DiskFile, old: Option<&dyn DiskFile>, new: &NewSegment) -> Result<(), JournalError> {
    let (mut bytes, mut written) = (new.header.encode(), 0);
    for item in &new.items {
        match (item, old) {
            (Item::Keep(piece), Some(old)) => {
                let start = bytes.len();
                bytes.resize(start + piece.header.stored_bytes(), 0);
                let block = bytes.get_mut(start..).unwrap_or_default();
                old.read_exact_at(block, piece.position).map_err(JournalError::Read)?;
            }
            (Item::Keep(_), None) => {}
            (Item::Marker(marker), _) => {
                bytes.extend_from_slice(&BlockHeader { segment: new.header.id, ..*marker }.encode());
            }
        }
        if bytes.len() > CHUNK {
            file.write_all_at(&bytes, written).map_err(JournalError::Disk)?;
            written += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_all_at(&bytes, written).map_err(JournalError::Disk)?;
    file.sync_data().map_err(JournalError::Disk)
}

/// Sets a whole file aside.
pub(super) fn drop_whole(disk: &dyn Disk, id: u64, len: u64, now: Timestamp) -> Result<(), JournalError> {
    let name = names::segment(id);
    let file = disk.open(&name).map_err(JournalError::Read)?;
    keep_aside(disk, file.as_ref(), id, 0..len, now)?;
    disk.remove(&name).map_err(JournalError::Disk)?;
    disk.sync_dir("").map_err(JournalError::Disk)
}
