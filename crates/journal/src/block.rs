//! A block in memory: records of one stream, as they were appended.

use base::Timestamp;
use bytes::Bytes;
use event::{Record, Stream};

use crate::Offset;

/// Records of one stream that were appended, and are leased and settled, together.
#[derive(Clone, Debug)]
pub struct Block {
    sequence: u64,
    stream: Stream,
    appended_at: Timestamp,
    payload: Bytes,
    /// Where each record ends in `payload`. An erased record has length zero.
    ends: Vec<u32>,
    is_lost: bool,
}

impl Block {
    /// Puts a block together from records that lie one after another in `payload`.
    pub fn new(
        sequence: u64,
        stream: Stream,
        appended_at: Timestamp,
        payload: Bytes,
        ends: Vec<u32>,
    ) -> Self {
        Self { sequence, stream, appended_at, payload, ends, is_lost: false }
    }

    /// What stands in the place of a block that was damaged and given up: it counts its records, and holds none.
    pub fn lost(sequence: u64, stream: Stream, appended_at: Timestamp, n_records: usize) -> Self {
        let ends = vec![0; n_records];
        Self { sequence, stream, appended_at, payload: Bytes::new(), ends, is_lost: true }
    }

    /// Whether the block was damaged and an operator gave it up. Its events are not erased, they are lost: books count
    /// them as discarded.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The block without the bytes of some records, which count as erased from here on.
    #[must_use]
    pub(crate) fn without(&self, is_hidden: impl Fn(u32) -> bool) -> Self {
        let (mut payload, mut ends) =
            (Vec::with_capacity(self.payload.len()), Vec::with_capacity(self.ends.len()));
        for index in 0..self.ends.len() {
            if !is_hidden(index as u32) {
                payload.extend_from_slice(self.record_bytes(index).unwrap_or_default());
            }
            ends.push(payload.len() as u32);
        }
        Self { payload: payload.into(), ends, ..self.clone() }
    }

    /// The block's sequence number.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The stream of all its records.
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// When the block was appended.
    pub const fn appended_at(&self) -> Timestamp {
        self.appended_at
    }

    /// How many records it was appended with; erased ones count.
    pub fn n_records(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all records.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The bytes of the record at `index`; empty when it was erased.
    pub fn record_bytes(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.payload.get(start..end)
    }

    /// How many records are gone: erased, or lost with the block.
    pub fn n_gone(&self) -> usize {
        (0..self.ends.len()).filter(|index| self.record_bytes(*index).is_some_and(<[u8]>::is_empty)).count()
    }

    /// The records that are still there, with their offsets.
    pub fn records(&self) -> impl Iterator<Item = (Offset, Record<'_>)> {
        (0..self.ends.len()).filter_map(|index| {
            let record = Record::parse(self.record_bytes(index)?).ok()?;
            let index = u32::try_from(index).ok()?;
            Some((Offset { block: self.sequence, index }, record))
        })
    }
}
