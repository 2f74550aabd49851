//! Rewriting a segment: the one way in which stored blocks change. It serves erasure and expiry.
//!
//! Sequences, offsets, digests and hashes stay; a record that goes loses its bytes and its salt.

use bytes::Bytes;

use super::durable::or_without;
use super::files::{Scan, Step, damaged, read_header};
use super::format::block::{BlockHeader, Row, StoredBlock};
use super::format::names;
use super::format::segment::SegmentHeader;
use super::timeline::Segment;
use crate::JournalError;
use crate::disk::{Disk, DiskFile};

/// A segment's new file, complete and synced under its unfinished name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewritten {
    pub(super) segment: u64,
    pub(super) generation: u32,
    pub(super) stored_bytes: u64,
}

/// Bytes collected before they are written.
const CHUNK: usize = 1024 * 1024;

struct Output {
    file: std::sync::Arc<dyn DiskFile>,
    written: u64,
    bytes: Vec<u8>,
}

impl Output {
    fn flush(&mut self) -> Result<(), JournalError> {
        self.file.write_all_at(&self.bytes, self.written).map_err(JournalError::Disk)?;
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// Copies a sealed segment without the bytes of the records that go, told by their block and their index in it. When that
/// fails, nothing of the copy is left.
pub(super) fn rewrite(
    disk: &dyn Disk,
    segment: &Segment,
    goes: &dyn Fn(&BlockHeader, u32) -> bool,
) -> Result<Rewritten, JournalError> {
    let old = disk.open(&names::segment(segment.id)).map_err(JournalError::Read)?;
    let header = read_header(old.as_ref(), segment.id)?;
    let header = SegmentHeader { generation: header.generation + 1, ..header };
    let name = names::rewritten(segment.id, header.generation);
    let stored_bytes = or_without(disk, &name, || {
        let file = disk.create(&name).map_err(JournalError::Disk)?;
        let output = Output { file, written: 0, bytes: header.encode() };
        copy_without(old.as_ref(), segment, goes, output)
    })?;
    Ok(Rewritten { segment: segment.id, generation: header.generation, stored_bytes })
}

/// Answers the bytes written.
fn copy_without(
    old: &dyn DiskFile,
    segment: &Segment,
    goes: &dyn Fn(&BlockHeader, u32) -> bool,
    mut output: Output,
) -> Result<u64, JournalError> {
    let mut scan = Scan::new(old, segment.id, segment.first).map_err(JournalError::Read)?;
    loop {
        match scan.step()? {
            Step::Block { block, .. } => without(*block, goes).encode(&mut output.bytes),
            Step::End if scan.sequence == segment.next => break,
            Step::End => return Err(damaged(segment.id, scan.position, "the segment ends too early")),
            Step::Broken(why) => return Err(damaged(segment.id, scan.position, why)),
        }
        if output.bytes.len() > CHUNK {
            output.flush()?;
        }
    }
    output.flush()?;
    output.file.sync_data().map_err(JournalError::Disk)?;
    Ok(output.written)
}

/// The block without the bytes and salts of the records that go.
fn without(block: StoredBlock, goes: &dyn Fn(&BlockHeader, u32) -> bool) -> StoredBlock {
    let goes = |index: usize| goes(&block.header, index as u32);
    if !(0..block.rows.len()).any(goes) {
        return block;
    }
    let mut payload = Vec::with_capacity(block.payload.len());
    let mut at = 0;
    let rows = block.rows.iter().enumerate().map(|(index, row)| {
        let start = at;
        at += row.bytes as usize;
        if goes(index) {
            Row { salt: [0; 16], bytes: 0, erased: true, ..*row }
        } else {
            payload.extend_from_slice(block.payload.get(start..at).unwrap_or_default());
            *row
        }
    });
    let rows = rows.collect();
    StoredBlock { header: block.header, keys: block.keys, rows, payload: Bytes::from(payload) }
}
