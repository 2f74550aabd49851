//! Blocks: a header, request keys, a table of records, and the records' bytes.

use base::{EventId, Timestamp};
use bytes::Bytes;
use event::Stream;
use sha2::{Digest, Sha256};

use super::FormatError;
use super::wire::{Fields, Put, add};
use crate::Block;
use crate::prepared::PreparedEntry;
use crate::retention::PerStream;
use crate::seam::{MAX_BLOCK_BYTES, Producer, RequestKey};

pub(in crate::local) const MAGIC: &[u8; 4] = b"iBLK";
const VERSION: u8 = 1;
/// Version, encoding and lane of a marker: what stands in the place of a block that was lost.
const LOST: [u8; 4] = [2, 1, 0, 0];
/// Bytes of a block's header.
pub(in crate::local) const HEADER: usize = 168;
const KEY: usize = 24;
const RECORD: usize = 64;
const ERASED: u8 = 1;
/// Most records of a block: as many of the smallest as fill it.
pub(in crate::local) const MAX_RECORDS: usize = 16 * 1024;
/// Most request keys of a block.
pub(in crate::local) const MAX_KEYS: usize = 4096;

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct BlockHeader {
    /// The block was given up: nothing but this header is left of it, and nobody knows its records' digests.
    pub(in crate::local) lost: bool,
    pub(in crate::local) segment: u64,
    pub(in crate::local) sequence: u64,
    pub(in crate::local) stream: Stream,
    pub(in crate::local) n_keys: u16,
    pub(in crate::local) n_records: u32,
    pub(in crate::local) payload_bytes: u32,
    /// Payload bytes when it was appended; erasure does not change them.
    pub(in crate::local) appended_bytes: u32,
    pub(in crate::local) appended_at: Timestamp,
    /// Every block up to this sequence was durable before this one was written.
    pub(in crate::local) durable_up_to: u64,
    /// Events of each stream before this block, since the journal began.
    pub(in crate::local) events_before: PerStream,
    pub(in crate::local) previous_hash: [u8; 32],
    pub(in crate::local) hash: [u8; 32],
    pub(in crate::local) body_sum: u32,
}

impl BlockHeader {
    pub(in crate::local) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.put(MAGIC);
        bytes.put(&if self.lost { LOST } else { [VERSION, 0, 0, 0] }); // plain encoding, lane 0
        bytes.put_u64(self.segment);
        bytes.put_u64(self.sequence);
        bytes.put(&[self.stream as u8, 0]);
        bytes.put_u16(self.n_keys);
        bytes.put_u32(self.n_records);
        bytes.put_u32(self.payload_bytes);
        bytes.put_u32(self.appended_bytes);
        bytes.put_time(self.appended_at);
        bytes.put_u64(self.durable_up_to);
        bytes.put_per_stream(&self.events_before);
        bytes.put(&self.previous_hash);
        bytes.put(&self.hash);
        bytes.put_u32(self.body_sum);
        super::wire::seal(&mut bytes);
        bytes
    }

    pub(in crate::local) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes = bytes.get(..HEADER).ok_or(FormatError::Malformed("the block's header is cut short"))?;
        let mut fields = Fields(super::wire::unseal(bytes)?);
        if fields.take(4)? != MAGIC {
            return Err(FormatError::Malformed("not a block"));
        }
        let lost = match fields.array()? {
            [VERSION, 0, 0, 0] => false,
            LOST => true,
            // Other encodings, and lanes other than 0, are new versions too.
            [version, ..] => return Err(FormatError::Version(u16::from(version))),
        };
        let (segment, sequence) = (fields.number()?, fields.number()?);
        let [stream, _] = fields.array()?;
        let header = Self {
            lost,
            segment,
            sequence,
            stream: Stream::from_number(stream).ok_or(FormatError::Malformed("unknown stream"))?,
            n_keys: fields.u16()?,
            n_records: fields.u32()?,
            payload_bytes: fields.u32()?,
            appended_bytes: fields.u32()?,
            appended_at: fields.time()?,
            durable_up_to: fields.u64()?,
            events_before: fields.per_stream()?,
            previous_hash: fields.array()?,
            hash: fields.array()?,
            body_sum: fields.u32()?,
        };
        let fits = usize::from(header.n_keys) <= MAX_KEYS
            && header.n_records as usize <= MAX_RECORDS
            && header.payload_bytes <= header.appended_bytes
            && header.appended_bytes as usize <= MAX_BLOCK_BYTES
            && (!lost || (header.n_keys == 0 && header.payload_bytes == 0));
        if fits { Ok(header) } else { Err(FormatError::Malformed("a size is out of range")) }
    }

    /// The segment and the sequence in an intact header of any version: their place is the same in all.
    pub(in crate::local) fn place(bytes: &[u8]) -> Option<(u64, u64)> {
        let mut fields = Fields(super::wire::unseal(bytes.get(..HEADER)?).ok()?);
        let is_block = fields.take(4).ok()? == MAGIC;
        fields.take(4).ok()?;
        let place = (fields.u64().ok()?, fields.u64().ok()?);
        is_block.then_some(place)
    }

    /// Bytes after the header.
    pub(in crate::local) fn body_bytes(&self) -> usize {
        if self.lost {
            return 0;
        }
        usize::from(self.n_keys) * KEY + self.n_records as usize * RECORD + self.payload_bytes as usize
    }

    /// Bytes of the whole block in its file.
    pub(in crate::local) fn stored_bytes(&self) -> usize {
        HEADER + self.body_bytes()
    }

    /// The counts after this block.
    pub(in crate::local) fn events_after(&self) -> PerStream {
        let mut events = self.events_before;
        add(&mut events, self.stream, u64::from(self.n_records));
        events
    }

    /// Whether `body` is this block's body.
    pub(in crate::local) fn fits(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes() && crc32c::crc32c(body) == self.body_sum
    }
}

/// One row of the table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Row {
    pub(in crate::local) salt: [u8; 16],
    pub(in crate::local) digest: [u8; 32],
    pub(in crate::local) bytes: u32,
    pub(in crate::local) erased: bool,
    pub(in crate::local) producer: Producer,
}

impl Row {
    pub(in crate::local) fn of(entry: &PreparedEntry) -> Self {
        Self {
            salt: entry.salt,
            digest: entry.digest,
            bytes: entry.record.len() as u32,
            erased: false,
            producer: entry.owner.producer,
        }
    }

    fn put(&self, to: &mut Vec<u8>) {
        to.put(&self.salt);
        to.put(&self.digest);
        to.put_u32(self.bytes);
        to.put(&[u8::from(self.erased), 0, 0, 0]);
        to.put_u64(self.producer.0);
    }

    fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields(bytes);
        let row = Self {
            salt: fields.array()?,
            digest: fields.array()?,
            bytes: fields.u32()?,
            erased: fields.array::<4>()? == [ERASED, 0, 0, 0],
            producer: Producer(fields.u64()?),
        };
        if row.erased && row.bytes != 0 {
            Err(FormatError::Malformed("an erased record has bytes"))
        } else {
            Ok(row)
        }
    }
}

/// A block whose header and body fit.
#[derive(Clone, Debug)]
pub(in crate::local) struct StoredBlock {
    pub(in crate::local) header: BlockHeader,
    pub(in crate::local) keys: Vec<RequestKey>,
    pub(in crate::local) rows: Vec<Row>,
    pub(in crate::local) payload: Bytes,
}

impl StoredBlock {
    /// Takes a body apart.
    pub(in crate::local) fn parse(header: BlockHeader, body: Bytes) -> Result<Self, FormatError> {
        if !header.fits(&body) {
            return Err(FormatError::Malformed("the block's checksum does not fit"));
        }
        if header.lost {
            return Ok(Self { header, keys: Vec::new(), rows: Vec::new(), payload: Bytes::new() });
        }
        let mut fields = Fields(&body);
        let keys = fields.take(usize::from(header.n_keys) * KEY)?.as_chunks::<KEY>().0;
        let keys = keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
        let rows = fields.take(header.n_records as usize * RECORD)?.as_chunks::<RECORD>().0;
        let rows = rows.iter().map(|row| Row::parse(row)).collect::<Result<Vec<_>, _>>()?;
        let total: u64 = rows.iter().map(|row| u64::from(row.bytes)).sum();
        if total != u64::from(header.payload_bytes) {
            return Err(FormatError::Malformed("the records do not fill the block"));
        }
        let payload = body.slice(body.len() - header.payload_bytes as usize..);
        Ok(Self { header, keys, rows, payload })
    }

    /// The block as readers see it.
    pub(in crate::local) fn to_block(&self) -> Block {
        if self.header.lost {
            let header = &self.header;
            return Block::lost(
                header.sequence,
                header.stream,
                header.appended_at,
                header.n_records as usize,
            );
        }
        let mut end = 0;
        let ends = self.rows.iter().map(|row| {
            end += row.bytes;
            end
        });
        let ends = ends.collect();
        Block::new(
            self.header.sequence,
            self.header.stream,
            self.header.appended_at,
            self.payload.clone(),
            ends,
        )
    }

    /// The hash that follows from the digests of its records.
    pub(in crate::local) fn hash(&self) -> [u8; 32] {
        hash(&self.header.previous_hash, self.header.sequence, self.rows.iter().map(|row| &row.digest))
    }

    /// Appends the block's bytes to `to`, with checksums that fit.
    pub(in crate::local) fn encode(&self, to: &mut Vec<u8>) {
        if self.header.lost {
            return to.put(&self.header.encode());
        }
        encode(self.header, &self.keys, &self.rows, [self.payload.as_ref()].into_iter(), to);
    }
}

fn parse_key(bytes: &[u8]) -> Result<RequestKey, FormatError> {
    let mut fields = Fields(bytes);
    Ok(RequestKey { id: EventId::from_bytes(fields.array()?), digest: fields.array()? })
}

/// The block hash: `SHA-256("idstream block v1" ‖ previous hash ‖ lane ‖ sequence ‖ record digests)`.
pub(in crate::local) fn hash<'a>(
    previous: &[u8; 32],
    sequence: u64,
    digests: impl Iterator<Item = &'a [u8; 32]>,
) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"idstream block v1")
        .chain_update(previous)
        .chain_update(0_u16.to_le_bytes())
        .chain_update(sequence.to_le_bytes());
    for digest in digests {
        hash.update(digest);
    }
    hash.finalize().into()
}

/// Appends a block's bytes to `to`; the header's sizes, except the appended ones, and its checksums are worked out.
pub(in crate::local) fn encode<'a>(
    header: BlockHeader,
    keys: &[RequestKey],
    rows: &[Row],
    payload: impl Iterator<Item = &'a [u8]>,
    to: &mut Vec<u8>,
) {
    let start = to.len();
    to.resize(start + HEADER, 0);
    for key in keys {
        to.put(key.id.as_bytes());
        to.put(&key.digest);
    }
    for row in rows {
        row.put(to);
    }
    for bytes in payload {
        to.put(bytes);
    }
    let body = to.get(start + HEADER..).unwrap_or_default();
    let header = BlockHeader {
        n_keys: keys.len() as u16,
        n_records: rows.len() as u32,
        payload_bytes: (body.len() - keys.len() * KEY - rows.len() * RECORD) as u32,
        body_sum: crc32c::crc32c(body),
        ..header
    };
    if let Some(place) = to.get_mut(start..start + HEADER) {
        place.copy_from_slice(&header.encode());
    }
}
