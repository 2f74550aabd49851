//! The checkpoint: every consumer's cursor and books, and how far the journal was durable.

use std::collections::BTreeMap;

use event::StreamSet;

use super::wire::{Fields, Put, seal, unseal};
use super::{FormatError, VERSION};
use crate::local::cursor::Cursor;
use crate::local::ranges::Ranges;
use crate::local::timeline::Totals;
use crate::{ConsumerName, Tally};

const MAGIC: &[u8; 8] = b"idsCONSM";

/// What the file `consumers` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::local) struct Checkpoint {
    /// The sequence after the last block that was durable. A journal that ends before is damaged.
    pub(in crate::local) next: u64,
    pub(in crate::local) consumers: BTreeMap<ConsumerName, Cursor>,
}

/// The bytes of a checkpoint, from borrowed cursors.
pub(in crate::local) fn encode<'a>(
    next: u64,
    consumers: impl ExactSizeIterator<Item = (&'a ConsumerName, &'a Cursor)>,
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.put_u16(VERSION);
    bytes.put_u16(0);
    bytes.put_u32(consumers.len() as u32);
    bytes.put_u64(next);
    for (name, cursor) in consumers {
        bytes.put(&[name.as_str().len() as u8]);
        bytes.put(name.as_str().as_bytes());
        put_cursor(&mut bytes, cursor);
    }
    seal(&mut bytes);
    bytes
}

fn put_cursor(bytes: &mut Vec<u8>, cursor: &Cursor) {
    bytes.put(&[cursor.streams.bits(), u8::from(cursor.end.is_some())]);
    for n in [cursor.started_at, cursor.until, cursor.floor, cursor.settled_bytes] {
        bytes.put_u64(n);
    }
    for count in cursor.tally.counts() {
        bytes.put_u64(count);
    }
    for totals in [cursor.start, cursor.end.unwrap_or_default()] {
        bytes.put_per_stream(&totals.events);
        bytes.put_per_stream(&totals.bytes);
    }
    bytes.put_u32(cursor.settled.iter().len() as u32);
    for (from, until) in cursor.settled.iter() {
        bytes.put_u64(from);
        bytes.put_u64(until);
    }
}

impl Checkpoint {
    pub(in crate::local) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields(unseal(bytes)?);
        if fields.take(8)? != MAGIC {
            return Err(FormatError::Malformed("not a checkpoint"));
        }
        match fields.u16()? {
            VERSION => {}
            version => return Err(FormatError::Version(version)),
        }
        fields.u16()?;
        let n_consumers = fields.u32()?;
        let next = fields.number()?;
        let mut consumers = BTreeMap::new();
        for _ in 0..n_consumers {
            let len = usize::from(fields.u8()?);
            let name = std::str::from_utf8(fields.take(len)?).ok().and_then(ConsumerName::new);
            let name = name.ok_or(FormatError::Malformed("not a consumer's name"))?;
            consumers.insert(name, cursor(&mut fields, next)?);
        }
        if fields.0.is_empty() {
            Ok(Self { next, consumers })
        } else {
            Err(FormatError::Malformed("bytes after the last consumer"))
        }
    }
}

fn cursor(fields: &mut Fields<'_>, next: u64) -> Result<Cursor, FormatError> {
    let [streams, has_end] = fields.array()?;
    let (started_at, until, floor, settled_bytes) =
        (fields.u64()?, fields.u64()?, fields.u64()?, fields.count()?);
    let mut counts = [0; 8];
    for count in &mut counts {
        *count = fields.count()?;
    }
    let start = Totals { events: fields.per_stream()?, bytes: fields.per_stream()? };
    let end = Totals { events: fields.per_stream()?, bytes: fields.per_stream()? };
    let mut settled = Ranges::default();
    let mut last = floor;
    for _ in 0..fields.u32()? {
        let (from, until) = (fields.u64()?, fields.u64()?);
        if from < last || until <= from || until > next {
            return Err(FormatError::Malformed("settled ranges are out of order"));
        }
        last = until;
        settled.insert(from, until);
    }
    Ok(Cursor {
        streams: StreamSet::from_bits(streams),
        started_at,
        until,
        floor,
        settled,
        tally: Tally::from_counts(counts),
        settled_bytes,
        start,
        end: (has_end != 0).then_some(end),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_that_cannot_be_added_are_refused() {
        use super::super::wire::MAX_COUNT;
        let with = |change: &dyn Fn(&mut Cursor)| {
            let mut consumers = sample();
            consumers.values_mut().for_each(change);
            Checkpoint::parse(&encode(100, consumers.iter()))
        };
        assert!(with(&|cursor| cursor.tally.accepted = MAX_COUNT).is_ok());
        let malformed = Err(FormatError::Malformed("a count is out of range"));
        assert_eq!(with(&|cursor| cursor.tally.accepted = MAX_COUNT + 1), malformed);
        assert_eq!(with(&|cursor| cursor.settled_bytes = u64::MAX), malformed);
        assert_eq!(with(&|cursor| cursor.start.events = [u64::MAX; 5]), malformed);
    }

    fn sample() -> BTreeMap<ConsumerName, Cursor> {
        let totals = |n| Totals { events: [n; 5], bytes: [n * 1000; 5] };
        let mut cursor = Cursor::new(StreamSet::product(), 3, Some(90), totals(2));
        cursor.tally.confirmed = 41;
        cursor.settled_bytes = 5;
        cursor.floor = 5;
        cursor.settled.insert(7, 9);
        cursor.settled.insert(11, 12);
        let mut ended = cursor.clone();
        ended.end = Some(totals(4));
        [("cfg/a", cursor), ("explorer", ended)]
            .map(|(name, cursor)| (ConsumerName::new(name).unwrap(), cursor))
            .into()
    }

    #[test]
    fn a_checkpoint_is_read_back_and_a_flipped_bit_is_noticed() {
        let consumers = sample();
        let bytes = encode(20, consumers.iter());
        assert_eq!(Checkpoint::parse(&bytes), Ok(Checkpoint { next: 20, consumers }));
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Checkpoint::parse(&bytes).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_with_a_fitting_checksum_never_panic(
            at in 8_usize..900,
            bytes in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let mut file = encode(20, sample().iter());
            file.truncate(file.len() - 4);
            let at = at.min(file.len());
            let end = file.len().min(at + bytes.len());
            file.splice(at..end, bytes);
            seal(&mut file);
            let _ = Checkpoint::parse(&file);
        }
    }
}
