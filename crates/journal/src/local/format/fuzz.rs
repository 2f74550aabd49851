//! What must hold of the formats, whatever bytes are read: what is read is written the same, and sizes are what they say.
//! For fuzzing. Checksums are made to fit first, since no bytes that are found by chance have one that does.

use bytes::Bytes;

use super::anchor::Anchor;
use super::block::{BlockHeader, HEADER, StoredBlock};
use super::checkpoint::{self, Checkpoint};
use super::segment::SegmentHeader;
use super::wire::seal;

/// Bytes of a checksum.
const SUM: usize = 4;

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    seal(&mut bytes);
    bytes
}

/// A header whose checksums fit this body.
fn header(bytes: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let fields = bytes.get(..HEADER - 2 * SUM)?;
    Some(sealed(&[fields, &crc32c::crc32c(body).to_le_bytes()].concat()))
}

/// A block, header and body.
pub fn block(bytes: &[u8]) {
    let Some(rest) = bytes.get(HEADER..) else { return };
    let Some(Ok(found)) = header(bytes, b"").map(|header| BlockHeader::parse(&header)) else { return };
    let Some(body) = rest.get(..found.body_bytes()) else { return };
    let Some(Ok(found)) = header(bytes, body).map(|header| BlockHeader::parse(&header)) else { return };
    assert_eq!(BlockHeader::parse(&found.encode()).ok(), Some(found));
    let Ok(block) = StoredBlock::parse(found, Bytes::copy_from_slice(body)) else { return };
    let seen = block.to_block();
    assert_eq!(seen.n_records(), found.n_records as usize);
    assert!(seen.records().count() + seen.n_gone() <= seen.n_records());
    let bytes_of = |index| seen.record_bytes(index).map_or(0, <[u8]>::len);
    assert_eq!((0..seen.n_records()).map(bytes_of).sum::<usize>(), seen.payload_bytes());
    let mut written = Vec::new();
    block.encode(&mut written);
    assert_eq!(written.len(), found.stored_bytes());
    let (head, body) = written.split_at(HEADER);
    let again =
        BlockHeader::parse(head).and_then(|header| StoredBlock::parse(header, Bytes::copy_from_slice(body)));
    let again = again.map(|again| (again.header.n_records, again.hash(), again.rows, again.payload));
    assert_eq!(again.ok(), Some((found.n_records, block.hash(), block.rows, block.payload)));
}

/// A segment's header.
pub fn segment_header(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::parse(&sealed(bytes)) {
        assert_eq!(SegmentHeader::parse(&header.encode()).ok(), Some(header));
    }
}

/// The file `consumers`.
pub fn checkpoint(bytes: &[u8]) {
    if let Ok(found) = Checkpoint::parse(&sealed(bytes)) {
        let written = checkpoint::encode(found.next, found.consumers.iter());
        assert_eq!(Checkpoint::parse(&written).ok(), Some(found));
    }
}

/// The file `anchor`.
pub fn anchor(bytes: &[u8]) {
    if let Ok(anchor) = Anchor::parse(&sealed(bytes)) {
        assert_eq!(Anchor::parse(&anchor.encode()).ok(), Some(anchor));
    }
}
