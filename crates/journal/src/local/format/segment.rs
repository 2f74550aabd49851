//! The header of a segment file.

use base::Timestamp;

use super::wire::{Fields, Put, seal, unseal};
use super::{FormatError, VERSION};
use crate::retention::PerStream;

const MAGIC: &[u8; 8] = b"idsSEGMT";
/// Bytes of the header; the first block follows.
pub(in crate::local) const SIZE: usize = 192;
/// Bytes before the zeros that fill the header up.
const FIELDS: usize = 160;

/// What a segment file begins with. The counts and the hash are those at its first block, so that all about the
/// segment before is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct SegmentHeader {
    /// Grows by one with each rewrite of the segment.
    pub(in crate::local) generation: u32,
    pub(in crate::local) id: u64,
    pub(in crate::local) first: u64,
    pub(in crate::local) created_at: Timestamp,
    /// When the last block before this segment was appended.
    pub(in crate::local) previous_appended_at: Timestamp,
    pub(in crate::local) events_before: PerStream,
    pub(in crate::local) bytes_before: PerStream,
    pub(in crate::local) previous_hash: [u8; 32],
}

impl SegmentHeader {
    pub(in crate::local) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.put(MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u16(0); // lane
        bytes.put_u32(self.generation);
        bytes.put_u64(self.id);
        bytes.put_u64(self.first);
        bytes.put_time(self.created_at);
        bytes.put_time(self.previous_appended_at);
        bytes.put_per_stream(&self.events_before);
        bytes.put_per_stream(&self.bytes_before);
        bytes.put(&self.previous_hash);
        bytes.resize(SIZE - 4, 0);
        seal(&mut bytes);
        bytes
    }

    pub(in crate::local) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes = bytes.get(..SIZE).ok_or(FormatError::Malformed("the segment's header is cut short"))?;
        let mut fields = Fields(unseal(bytes)?.get(..FIELDS).unwrap_or_default());
        if fields.take(8)? != MAGIC {
            return Err(FormatError::Malformed("not a segment"));
        }
        match (fields.u16()?, fields.u16()?) {
            (VERSION, 0) => {}
            (version, _) => return Err(FormatError::Version(version)),
        }
        Ok(Self {
            generation: fields.u32()?,
            id: fields.number()?,
            first: fields.number()?,
            created_at: fields.time()?,
            previous_appended_at: fields.time()?,
            events_before: fields.per_stream()?,
            bytes_before: fields.per_stream()?,
            previous_hash: fields.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_a_flipped_bit_is_noticed() {
        let header = SegmentHeader {
            generation: 3,
            id: 7,
            first: 99,
            created_at: Timestamp::from_millis(5).unwrap(),
            previous_appended_at: Timestamp::from_millis(4).unwrap(),
            events_before: [1, 2, 3, 4, 5],
            bytes_before: [6, 7, 8, 9, 10],
            previous_hash: [7; 32],
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), SIZE);
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header));
        for at in 0..SIZE {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(SegmentHeader::parse(&bytes).is_err(), "byte {at}");
        }
    }
}
