//! The record: one event as the journal keeps it, a versioned table of byte ranges.
//!
//! ```text
//! at  size  what                                     integers are little-endian
//!  0   1    version (1)
//!  1   1    stream number
//!  2   1    flags: bit 0 = test event
//!  3   1    0
//!  4   2    n, the number of sections (at most 1,024)
//!  6   2    0
//!  8  16    eventID
//! 24   8    event time, ms since 1970 (signed)
//! 32   8    received at, ms since 1970 (signed)
//! 40  8·n   section table: kind (1), 0 (3), end (4): where the section's bytes end, counted from the table's end
//!  …   …    the sections' bytes, one after another, UTF-8
//! ```
//!
//! A section's bytes are *fragments*: canonical JSON (see [`crate::fragment`]) that documents are spliced from without
//! a second parse. Unknown kinds are kept and skipped, so that an older reader can pass a newer record on.

use base::{EventId, Timestamp};
use sha2::{Digest, Sha256};

use crate::Stream;

/// The record layout that this code writes.
pub const VERSION: u8 = 1;
/// Bytes before the section table.
const FIXED: usize = 40;
const ENTRY: usize = 8;
const RECEIVED_AT: std::ops::Range<usize> = 32..40;
/// Most sections of one record.
pub const MAX_SECTIONS: usize = 1024;

/// What a section holds. The numbers are part of the on-disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Section {
    /// The id of the source that brought the event: bare text.
    Source = 1,
    /// The header: members of a JSON object without its braces, `"type":"customerFlow","labels":[…]`.
    Header = 2,
    /// One native claim: one member, `"email":"ann@example.com"`. Repeated, in order of names.
    Claim = 3,
    /// An account event's actions: a JSON array.
    Actions = 4,
    /// An audit log's request body: a JSON string.
    Request = 5,
    /// An audit log's response body: a JSON string.
    Response = 6,
    /// An audit log's changes: a JSON array.
    Changes = 7,
    /// An event hook log's lines: a JSON array.
    Logs = 8,
    /// The event as its source sent it, masked: any JSON value.
    Raw = 9,
    /// The id that the producer gave when another producer already owned it: a JSON string.
    SourceEventId = 10,
    /// Why the record is in quarantine: a JSON object. Only in the quarantine streams.
    Reason = 11,
}

impl Section {
    const ALL: [Self; 11] = [
        Self::Source,
        Self::Header,
        Self::Claim,
        Self::Actions,
        Self::Request,
        Self::Response,
        Self::Changes,
        Self::Logs,
        Self::Raw,
        Self::SourceEventId,
        Self::Reason,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Why bytes are not a record. Never caused by a customer's event: the builder writes only valid records.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// The version is not one that this code reads.
    #[error("record version {0} is not supported; upgrade idstream to read it")]
    Version(u8),
    /// A length, a stream number or a time is out of range, or a section is not UTF-8.
    #[error("record is malformed: {0}")]
    Malformed(&'static str),
    /// The builder was given more than [`MAX_SECTIONS`] sections or more than 4 GiB.
    #[error("record has too many parts")]
    TooLarge,
}

/// A valid record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    text: &'a str,
    stream: Stream,
    n_sections: usize,
}

impl<'a> Record<'a> {
    /// Checks `bytes` and gives access to their parts.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let fixed = bytes.get(..FIXED).ok_or(RecordError::Malformed("shorter than its fixed part"))?;
        match fixed {
            [VERSION, ..] => {}
            [version, ..] => return Err(RecordError::Version(*version)),
            [] => return Err(RecordError::Malformed("empty")),
        }
        let stream = Stream::from_number(byte(bytes, 1)).ok_or(RecordError::Malformed("unknown stream"))?;
        let n_sections = usize::from(u16::from_le_bytes(array(bytes, 4)));
        if n_sections > MAX_SECTIONS {
            return Err(RecordError::Malformed("too many sections"));
        }
        let body = FIXED + n_sections * ENTRY;
        let text = bytes.get(body..).ok_or(RecordError::Malformed("section table is cut"))?;
        let text = std::str::from_utf8(text).map_err(|_| RecordError::Malformed("sections are not UTF-8"))?;
        let record = Self { bytes, text, stream, n_sections };
        let mut at = 0;
        for (_, end) in record.table() {
            if end < at || !text.is_char_boundary(end) {
                return Err(RecordError::Malformed("a section ends where it cannot"));
            }
            at = end;
        }
        if at != text.len() {
            return Err(RecordError::Malformed("bytes after the last section"));
        }
        for at in [24, RECEIVED_AT.start] {
            Timestamp::from_millis(i64::from_le_bytes(array(bytes, at)))
                .map_err(|_| RecordError::Malformed("a time is out of range"))?;
        }
        Ok(record)
    }

    /// The record's bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The stream that the event belongs to.
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// The `eventID`.
    pub fn event_id(&self) -> EventId {
        EventId::from_bytes(array(self.bytes, 8))
    }

    /// The event's own time.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis(i64::from_le_bytes(array(self.bytes, 24))).unwrap_or_default()
    }

    /// When idstream received the event.
    pub fn received_at(&self) -> Timestamp {
        Timestamp::from_millis(i64::from_le_bytes(array(self.bytes, RECEIVED_AT.start))).unwrap_or_default()
    }

    /// Whether this is a test event: sent on request, neither counted nor indexed.
    pub fn is_test(&self) -> bool {
        byte(self.bytes, 2) & 1 != 0
    }

    /// The first section of this kind.
    pub fn section(&self, kind: Section) -> Option<&'a str> {
        self.sections().find(|(found, _)| *found == kind).map(|(_, text)| text)
    }

    /// All sections of known kinds, in order.
    pub fn sections(&self) -> impl Iterator<Item = (Section, &'a str)> + '_ {
        let text = self.text;
        let mut at = 0;
        self.table().filter_map(move |(number, end)| {
            let start = std::mem::replace(&mut at, end);
            Some((Section::from_number(number)?, text.get(start..end)?))
        })
    }

    /// The native claims in order of names: the claim's name as it is spelled in JSON (quoted, escaped), and the whole
    /// member.
    pub fn claims(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.sections().filter(|(kind, _)| *kind == Section::Claim).filter_map(|(_, member)| {
            let name_end = quoted_end(member)?;
            Some((member.get(..name_end)?, member))
        })
    }

    /// SHA-256 over everything but the time of receipt: equal for two deliveries of the same event.
    pub fn content_digest(&self) -> [u8; 32] {
        let before = self.bytes.get(..RECEIVED_AT.start).unwrap_or_default();
        let after = self.bytes.get(RECEIVED_AT.end..).unwrap_or_default();
        Sha256::new().chain_update(before).chain_update(after).finalize().into()
    }

    /// The tamper-evidence digest: `SHA-256("idstream record v1" ‖ salt ‖ received at ‖ content digest)`. Without the
    /// salt, which goes when a record is erased, it tells nothing about the content.
    pub fn salted_digest(&self, salt: &[u8; 16], content_digest: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"idstream record v1")
            .chain_update(salt)
            .chain_update(self.bytes.get(RECEIVED_AT).unwrap_or_default())
            .chain_update(content_digest)
            .finalize()
            .into()
    }

    fn table(&self) -> impl Iterator<Item = (u8, usize)> + use<'a> {
        let table = self.bytes.get(FIXED..FIXED + self.n_sections * ENTRY).unwrap_or_default();
        table.chunks_exact(ENTRY).map(|entry| (byte(entry, 0), u32::from_le_bytes(array(entry, 4)) as usize))
    }
}

/// The end of the quoted JSON string that `text` starts with.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
}

/// Lays a record out. Sections are kept in the order in which they are added.
#[derive(Debug)]
pub struct RecordBuilder {
    head: [u8; FIXED],
    table: Vec<(Section, u32)>,
    body: String,
    overflow: bool,
}

impl RecordBuilder {
    /// Starts the record of one event.
    pub fn new(stream: Stream, id: EventId, time: Timestamp, received_at: Timestamp) -> Self {
        let mut head = [0; FIXED];
        let parts: [(usize, &[u8]); 5] = [
            (0, &[VERSION]),
            (1, &[stream as u8]),
            (8, id.as_bytes()),
            (24, &time.as_millis().to_le_bytes()),
            (RECEIVED_AT.start, &received_at.as_millis().to_le_bytes()),
        ];
        for (at, part) in parts {
            head.iter_mut().skip(at).zip(part).for_each(|(to, from)| *to = *from);
        }
        Self { head, table: Vec::with_capacity(8), body: String::with_capacity(1024), overflow: false }
    }

    /// Marks the record as a test event.
    #[must_use]
    pub fn test(mut self) -> Self {
        if let Some(flags) = self.head.get_mut(2) {
            *flags |= 1;
        }
        self
    }

    /// Adds a section whose bytes `write` appends. Nothing is added when it appends nothing.
    pub fn section_with(&mut self, kind: Section, write: impl FnOnce(&mut String)) {
        let start = self.body.len();
        write(&mut self.body);
        if self.body.len() > start {
            let end = u32::try_from(self.body.len()).unwrap_or_else(|_| {
                self.overflow = true;
                0
            });
            self.table.push((kind, end));
        }
    }

    /// Adds a section, unless `text` is empty.
    pub fn section(&mut self, kind: Section, text: &str) {
        self.section_with(kind, |body| body.push_str(text));
    }

    /// The size of the finished record so far, in bytes.
    pub fn size(&self) -> usize {
        FIXED + self.table.len() * ENTRY + self.body.len()
    }

    /// The finished record.
    pub fn finish(self) -> Result<Vec<u8>, RecordError> {
        let count = u16::try_from(self.table.len()).map_err(|_| RecordError::TooLarge)?;
        if self.overflow || usize::from(count) > MAX_SECTIONS {
            return Err(RecordError::TooLarge);
        }
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend_from_slice(&self.head);
        bytes.iter_mut().skip(4).zip(count.to_le_bytes()).for_each(|(to, from)| *to = from);
        for (kind, end) in &self.table {
            bytes.extend_from_slice(&[*kind as u8, 0, 0, 0]);
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        bytes.extend_from_slice(self.body.as_bytes());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(sections: &[(Section, String)]) -> Vec<u8> {
        let id = EventId::parse("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f").unwrap();
        let time = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let mut builder = RecordBuilder::new(Stream::AuditLog, id, time, time);
        for (kind, text) in sections {
            builder.section(*kind, text);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn claims_are_found_by_their_spelled_name() {
        let bytes = built(&[
            (Section::Claim, r#""a\"b":1"#.to_owned()),
            (Section::Claim, r#""city":"Graz""#.to_owned()),
        ]);
        let record = Record::parse(&bytes).unwrap();
        let claims: Vec<_> = record.claims().collect();
        assert_eq!(claims, [(r#""a\"b""#, r#""a\"b":1"#), (r#""city""#, r#""city":"Graz""#)]);
    }

    #[test]
    fn the_content_digest_ignores_the_time_of_receipt_and_nothing_else() {
        let first = built(&[(Section::Header, "\"type\":\"x\"".to_owned())]);
        let mut later = first.clone();
        later[RECEIVED_AT.start] ^= 1;
        let mut other = first.clone();
        *other.last_mut().unwrap() ^= 1;
        let digest = |bytes: &[u8]| Record::parse(bytes).unwrap().content_digest();
        assert_eq!(digest(&first), digest(&later));
        assert_ne!(digest(&first), digest(&other));
        let salted = |bytes: &[u8]| Record::parse(bytes).unwrap().salted_digest(&[1; 16], &digest(bytes));
        assert_ne!(salted(&first), salted(&later));
    }

    #[test]
    fn a_newer_version_is_named_in_the_error() {
        let mut bytes = built(&[]);
        bytes[0] = 2;
        assert_eq!(Record::parse(&bytes).unwrap_err(), RecordError::Version(2));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(texts in proptest::collection::vec((0_usize..11, ".{1,40}"), 0..20)) {
            let sections: Vec<_> = texts.into_iter().map(|(kind, text)| (Section::ALL[kind], text)).collect();
            let bytes = built(&sections);
            let record = Record::parse(&bytes).unwrap();
            let read: Vec<_> = record.sections().map(|(kind, text)| (kind, text.to_owned())).collect();
            prop_assert_eq!(read, sections);
        }

        #[test]
        fn foreign_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), plausible: bool) {
            if plausible && bytes.len() > 5 {
                bytes[0] = VERSION;
                bytes[1] = 1;
                bytes[4] %= 30;
                bytes[5] = 0;
            }
            if let Ok(record) = Record::parse(&bytes) {
                let _ = record.claims().count();
                let _ = record.content_digest();
            }
        }
    }
}
