//! Which events of its range a run sends, prepared for many events.

use std::collections::BTreeMap;

use base::Timestamp;
use event::filter::Sieve;
use event::{Record, StreamSet};
use journal::{Block, Offset};

use super::document::Picked;

/// What was picked, so that it can be looked up in.
#[derive(Clone, Debug)]
pub(crate) struct Sift {
    received_from: Option<Timestamp>,
    received_until: Option<Timestamp>,
    from_offset: (u64, u32),
    until_offset: (u64, u32),
    streams: StreamSet,
    sieve: Option<Sieve>,
    /// Indexes by block; `None`: of all.
    places: Option<BTreeMap<u64, Vec<u32>>>,
}

impl Sift {
    pub(crate) fn of(picked: &Picked) -> Self {
        let places = picked.n_events.map(|_| {
            let mut places: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            for (block, index) in &picked.places {
                places.entry(*block).or_default().push(*index);
            }
            places
        });
        let streams = if picked.streams.is_empty() {
            StreamSet::product()
        } else {
            picked.streams.iter().copied().collect()
        };
        Self {
            received_from: picked.received_from,
            received_until: picked.received_until,
            from_offset: picked.from_offset.unwrap_or_default(),
            until_offset: picked.until_offset.unwrap_or((u64::MAX, u32::MAX)),
            streams,
            sieve: Sieve::of(&picked.filter),
            places,
        }
    }

    /// The next blocks from a sequence on that can hold an event that is sent: the first, and the first one beyond. `None`:
    /// there are none.
    pub(crate) fn next(&self, at: u64) -> Option<(u64, u64)> {
        match &self.places {
            None => Some((at, u64::MAX)),
            Some(places) => places.range(at..).next().map(|(block, _)| (*block, block + 1)),
        }
    }

    /// Whether a block can hold an event that is sent. Says so without reading it.
    pub(crate) fn concerns(&self, block: &Block) -> bool {
        self.streams.contains(block.stream())
            && self.places.as_ref().is_none_or(|places| places.contains_key(&block.sequence()))
    }

    /// Whether an event of such a block is sent.
    pub(crate) fn picks(&self, offset: Offset, record: &Record<'_>) -> bool {
        let place = (offset.block, offset.index);
        self.admits(record)
            && place >= self.from_offset
            && place < self.until_offset
            && self
                .places
                .as_ref()
                .is_none_or(|places| places.get(&offset.block).is_some_and(|of| of.contains(&offset.index)))
    }

    /// The same, wherever the event lies.
    pub(crate) fn admits(&self, record: &Record<'_>) -> bool {
        let received_at = record.received_at();
        self.streams.contains(record.stream())
            && self.received_from.is_none_or(|from| received_at >= from)
            && self.received_until.is_none_or(|until| received_at < until)
            && self.sieve.as_ref().is_none_or(|sieve| sieve.admits(record))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::EventId;
    use event::{RecordBuilder, Section, Stream};

    use super::*;

    fn picks(picked: &Picked, place: (u64, u32), received_at: Timestamp, kind: &str) -> bool {
        let id = EventId::from_bytes([7; 16]);
        let mut builder = RecordBuilder::new(Stream::AccountEvent, id, received_at, received_at);
        builder.section(Section::Header, &format!("\"type\":\"{kind}\""));
        let bytes = builder.finish().unwrap();
        let offset = Offset { block: place.0, index: place.1 };
        Sift::of(picked).picks(offset, &Record::parse(&bytes).unwrap())
    }

    #[test]
    fn bounds_hold_to_the_event() {
        let (at, ms) = (Timestamp::parse("2026-01-31T12:00:00Z").unwrap(), Duration::from_millis(1));
        let picked = Picked {
            received_from: Some(at),
            received_until: Some(at.plus(ms)),
            from_offset: Some((3, 1)),
            until_offset: Some((4, 2)),
            ..Picked::default()
        };
        let sent = |place, at| picks(&picked, place, at, "customerFlow");
        assert_eq!(
            [sent((3, 0), at), sent((3, 1), at), sent((4, 1), at), sent((4, 2), at)],
            [false, true, true, false]
        );
        assert!(!sent((3, 1), at.minus(ms)) && !sent((3, 1), at.plus(ms)));
    }

    #[test]
    fn lists_and_filters_are_obeyed() {
        let at = Timestamp::default();
        let filter = serde_json::from_str(r#"{"include": {"types": ["selfService"]}}"#).unwrap();
        let by_filter = Picked { filter, ..Picked::default() };
        assert!(
            picks(&by_filter, (1, 0), at, "selfService") && !picks(&by_filter, (1, 0), at, "customerFlow")
        );
        let by_stream = Picked { streams: vec![Stream::AuditLog], ..Picked::default() };
        assert!(!picks(&by_stream, (1, 0), at, "customerFlow"));
        let by_id = Picked { places: vec![(1, 0), (1, 2)], n_events: Some(2), ..Picked::default() };
        assert!(
            picks(&by_id, (1, 2), at, "x")
                && !picks(&by_id, (1, 1), at, "x")
                && !picks(&by_id, (2, 0), at, "x")
        );
        let of_none = Picked { n_events: Some(0), ..Picked::default() };
        assert!(!picks(&of_none, (1, 0), at, "x"), "a list without events picks none");
    }
}
