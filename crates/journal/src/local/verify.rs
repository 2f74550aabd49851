//! Verifying: walks every stored block and checks what the hash chain says of it.

use event::Record;

use super::files::{Scan, Step, damaged, read_header};
use super::format::block::StoredBlock;
use super::format::names;
use super::timeline::Segment;
use crate::JournalError;
use crate::disk::Disk;

/// What was found intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The first block that was checked.
    pub first: u64,
    /// The sequence after the last block that was checked.
    pub next: u64,
    /// Records whose bytes were checked.
    pub n_records: u64,
    /// Erased records, of which only the digest is left.
    pub n_erased: u64,
    /// The hash of the last block; what a signed head would sign.
    pub hash: [u8; 32],
}

/// Checks the segments, which follow each other; `anchor` is the hash before the first one.
pub(super) fn verify(
    disk: &dyn Disk,
    segments: &[Segment],
    anchor: [u8; 32],
) -> Result<Verified, JournalError> {
    let first = segments.first().map_or(1, |segment| segment.first);
    let mut verified = Verified { first, next: first, n_records: 0, n_erased: 0, hash: anchor };
    for segment in segments {
        let file = disk.open(&names::segment(segment.id)).map_err(JournalError::Read)?;
        let header = read_header(file.as_ref(), segment.id)?;
        if header.first != verified.next || header.previous_hash != verified.hash {
            return Err(damaged(segment.id, 0, "the segment does not follow the one before"));
        }
        let mut scan = Scan::new(file.as_ref(), segment.id, segment.first).map_err(JournalError::Read)?;
        while scan.sequence < segment.next {
            let at = scan.position;
            match scan.step()? {
                Step::Block { block, .. } => check(&block, &mut verified).map_err(|why| {
                    damaged(segment.id, at, format_args!("block {}: {why}", block.header.sequence))
                })?,
                Step::End => return Err(damaged(segment.id, at, "the segment ends too early")),
                Step::Broken(why) => return Err(damaged(segment.id, at, why)),
            }
        }
    }
    Ok(verified)
}

fn check(block: &StoredBlock, verified: &mut Verified) -> Result<(), &'static str> {
    if block.header.previous_hash != verified.hash {
        return Err("its previous hash is not that of the block before");
    }
    if block.header.hash != block.hash() {
        return Err("its hash does not follow from its records' digests");
    }
    let readable = block.to_block();
    for (index, row) in block.rows.iter().enumerate() {
        if row.erased {
            verified.n_erased += 1;
            continue;
        }
        let record = readable.record_bytes(index).and_then(|bytes| Record::parse(bytes).ok());
        let record = record.ok_or("a record is malformed")?;
        if record.salted_digest(&row.salt, &record.content_digest()) != row.digest {
            return Err("a record is not what its digest says");
        }
        verified.n_records += 1;
    }
    verified.next = block.header.sequence + 1;
    verified.hash = block.header.hash;
    Ok(())
}
