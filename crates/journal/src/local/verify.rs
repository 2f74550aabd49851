//! Verifying: walks every stored block and checks what the hash chain says of it.

use event::Record;

use super::files::{Scan, Step, damaged, read_header};
use super::format::block::StoredBlock;
use super::format::names;
use super::timeline::{BlockInfo, Segment, Totals};
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
    /// Records of blocks that an operator gave up.
    pub n_lost: u64,
    /// The hash of the last block; what a signed head would sign.
    pub hash: [u8; 32],
}

/// What the next block must follow.
struct Walk {
    verified: Verified,
    /// What was appended before it.
    totals: Totals,
}

/// Checks the segments, which follow each other; the last one is the active one. `anchor` is the hash before the first.
pub(super) fn verify(
    disk: &dyn Disk,
    segments: &[Segment],
    anchor: [u8; 32],
) -> Result<Verified, JournalError> {
    let first = segments.first().map_or(1, |segment| segment.first);
    let verified = Verified { first, next: first, n_records: 0, n_erased: 0, n_lost: 0, hash: anchor };
    let mut walk = Walk { verified, totals: segments.first().map_or_else(Totals::default, |of| of.before) };
    for (at, segment) in segments.iter().enumerate() {
        walk.segment(disk, segment, at + 1 < segments.len())?;
    }
    Ok(walk.verified)
}

impl Walk {
    fn segment(&mut self, disk: &dyn Disk, segment: &Segment, is_sealed: bool) -> Result<(), JournalError> {
        let file = disk.open(&names::segment(segment.id)).map_err(JournalError::Read)?;
        let header = read_header(file.as_ref(), segment.id)?;
        if header.first != self.verified.next || header.previous_hash != self.verified.hash {
            return Err(damaged(segment.id, 0, "the segment does not follow the one before"));
        }
        if (header.events_before, header.bytes_before) != (self.totals.events, self.totals.bytes) {
            return Err(damaged(segment.id, 0, "the segment does not count what was appended before it"));
        }
        let mut scan = Scan::new(file.as_ref(), segment.id, segment.first).map_err(JournalError::Read)?;
        while scan.sequence < segment.next {
            let at = scan.position;
            match scan.step()? {
                Step::Block { block, .. } => self.block(&block, at).map_err(|why| {
                    damaged(segment.id, at, format_args!("block {}: {why}", block.header.sequence))
                })?,
                Step::End => return Err(damaged(segment.id, at, "the segment ends too early")),
                Step::Broken(why) => return Err(damaged(segment.id, at, why)),
            }
        }
        if is_sealed && scan.position != scan.len() {
            return Err(damaged(segment.id, scan.position, "something follows the last block"));
        }
        Ok(())
    }

    fn block(&mut self, block: &StoredBlock, position: u64) -> Result<(), &'static str> {
        let verified = &mut self.verified;
        if block.header.previous_hash != verified.hash {
            return Err("its previous hash is not that of the block before");
        }
        if block.header.events_before != self.totals.events {
            return Err("it does not count what was appended before it");
        }
        check_contents(block)?;
        if block.header.lost {
            verified.n_lost += u64::from(block.header.n_records);
        }
        let n_erased = block.rows.iter().filter(|row| row.erased).count() as u64;
        verified.n_erased += n_erased;
        verified.n_records += block.rows.len() as u64 - n_erased;
        verified.next = block.header.sequence + 1;
        verified.hash = block.header.hash;
        self.totals.count(&BlockInfo::new(&block.header, position));
        Ok(())
    }
}

/// What a block must say of its own records. Nobody knows the digests of a lost block: its place in the chain is vouched
/// for by the block behind it.
pub(super) fn check_contents(block: &StoredBlock) -> Result<(), &'static str> {
    if block.header.lost {
        return Ok(());
    }
    if block.header.hash != block.hash() {
        return Err("its hash does not follow from its records' digests");
    }
    let readable = block.to_block();
    for (index, row) in block.rows.iter().enumerate().filter(|(_, row)| !row.erased) {
        let record = readable.record_bytes(index).and_then(|bytes| Record::parse(bytes).ok());
        let record = record.ok_or("a record is malformed")?;
        if record.stream() != block.header.stream {
            return Err("a record is of another stream");
        }
        if record.salted_digest(&row.salt, &record.content_digest()) != row.digest {
            return Err("a record is not what its digest says");
        }
    }
    Ok(())
}
