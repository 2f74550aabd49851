//! Batches: events on their way to one destination, as pieces of a request's body.

use std::ops::Range;

use base::EventId;
use bytes::Bytes;
use destinations::{BatchLimits, Destination, Frame};
use event::Record;
use tokio::time::Instant;

use crate::acks::Post;
#[cfg(doc)]
use crate::gate::Gate;

/// An event in a batch: which one it is, and where its piece lies in the batch's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) block: u64,
    pub(crate) index: u32,
    pub(crate) id: EventId,
    pub(crate) piece: Range<usize>,
}

/// Block and index.
pub(crate) type Place = (u64, u32);

impl Item {
    pub(crate) const fn place(&self) -> Place {
        (self.block, self.index)
    }
}

/// Events that are sent together.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The body: pieces within the vendor's frame.
    pub(crate) body: Bytes,
    pub(crate) items: Vec<Item>,
    /// How often it has been sent.
    pub(crate) attempts: u32,
    /// How many requests of this worker had delivered something when it was first sent (see [`Gate::deliveries`]).
    pub(crate) deliveries_before: u64,
    /// How often it proved nothing although others were delivered since the time before.
    pub(crate) suspicions: u32,
    /// How many requests had delivered something then.
    pub(crate) deliveries_at_suspicion: u64,
    /// How often it proved nothing since it was cut.
    pub(crate) in_vain: u32,
    /// How often what it is a part of was cut.
    pub(crate) n_cuts: u32,
    /// Its only event is parked: it is tried once.
    pub(crate) is_parked: bool,
    /// Its only event is to be parked, for this reason: its copy may be stored already, so it is not sent before it is.
    pub(crate) parks: Option<String>,
    /// The request that carries it, or did last.
    pub(crate) post: Option<Post>,
    /// Not before this instant.
    pub(crate) due: Instant,
}

impl Batch {
    /// A batch of some of this one's items, with the same pieces.
    pub(crate) fn part(&self, items: &[Item], frame: Frame, due: Instant) -> Self {
        if items.len() == self.items.len() {
            return Self { due, ..self.clone() };
        }
        let glue = frame.open.len() + frame.close.len() + frame.between.len() * items.len();
        let room = items.iter().map(|item| item.piece.len()).sum::<usize>() + glue;
        let mut filling = Filling::with_room(frame, due, room, items.len());
        for item in items {
            let piece = self.body.get(item.piece.clone()).unwrap_or_default();
            filling.push(item.place(), item.id, |body| body.extend_from_slice(piece));
        }
        let part = filling.finish(due);
        Self { body: part.body, items: part.items, due, ..self.clone() }
    }

    /// Both halves of a batch of two or more.
    pub(crate) fn halves(&self, frame: Frame, due: Instant) -> [Self; 2] {
        let (first, second) = self.items.split_at(self.items.len() / 2);
        [self.part(first, frame, due), self.part(second, frame, due)]
    }
}

/// Bytes that a body has room for at once: most bodies of a busy worker are smaller.
const ROOM: usize = 256 << 10;

/// A batch that is being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    frame: Frame,
    body: Vec<u8>,
    items: Vec<Item>,
    started: Instant,
}

impl Filling {
    pub(crate) fn new(frame: Frame, now: Instant) -> Self {
        Self::with_room(frame, now, ROOM, 256)
    }

    fn with_room(frame: Frame, now: Instant, n_bytes: usize, n_items: usize) -> Self {
        let mut body = Vec::with_capacity(n_bytes);
        body.extend_from_slice(frame.open.as_bytes());
        Self { frame, body, items: Vec::with_capacity(n_items), started: now }
    }

    /// When the first event came.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whether it should go out before more is added.
    pub(crate) fn is_full(&self, limits: BatchLimits) -> bool {
        self.items.len() >= limits.max_events || self.body.len() + self.frame.close.len() >= limits.max_bytes
    }

    /// Adds the piece that `encode` appends.
    pub(crate) fn push(&mut self, (block, index): Place, id: EventId, encode: impl FnOnce(&mut Vec<u8>)) {
        if !self.items.is_empty() {
            self.body.extend_from_slice(self.frame.between.as_bytes());
        }
        let start = self.body.len();
        encode(&mut self.body);
        self.items.push(Item { block, index, id, piece: start..self.body.len() });
    }

    /// Adds a stored event as its destination wants it.
    pub(crate) fn push_record(&mut self, destination: &dyn Destination, place: Place, record: &Record<'_>) {
        self.push(place, record.event_id(), |body| {
            destination.encode(record, Some(place), false, body);
        });
    }

    /// Takes the last event out again when it made the body too large; a single one stays.
    pub(crate) fn pop_overflow(&mut self, limits: BatchLimits) -> Option<(Item, Vec<u8>)> {
        if self.items.len() < 2 || self.body.len() + self.frame.close.len() <= limits.max_bytes {
            return None;
        }
        let item = self.items.pop()?;
        let piece = self.body.split_off(item.piece.start);
        let end = self.items.last().map_or(self.frame.open.len(), |last| last.piece.end);
        self.body.truncate(end);
        Some((item, piece))
    }

    pub(crate) fn finish(mut self, due: Instant) -> Batch {
        self.body.extend_from_slice(self.frame.close.as_bytes());
        Batch {
            body: self.body.into(),
            items: self.items,
            attempts: 0,
            deliveries_before: 0,
            suspicions: 0,
            deliveries_at_suspicion: 0,
            in_vain: 0,
            n_cuts: 0,
            is_parked: false,
            parks: None,
            post: None,
            due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { open: "[", between: ",", close: "]" };

    fn filled(pieces: &[&str]) -> Filling {
        let mut filling = Filling::new(FRAME, Instant::now());
        for (index, piece) in (0_u32..).zip(pieces) {
            filling.push((7, index), EventId::from_bytes([7; 16]), |body| {
                body.extend_from_slice(piece.as_bytes());
            });
        }
        filling
    }

    #[test]
    fn a_part_is_made_of_the_same_pieces() {
        let batch = filled(&["1", "22", "333"]).finish(Instant::now());
        assert_eq!(&batch.body[..], b"[1,22,333]");
        let part = batch.part(&[batch.items[0].clone(), batch.items[2].clone()], FRAME, batch.due);
        assert_eq!(&part.body[..], b"[1,333]");
        let [first, second] = part.halves(FRAME, batch.due);
        assert_eq!((&first.body[..], &second.body[..]), (&b"[1]"[..], &b"[333]"[..]));
        assert_eq!(second.items[0].index, 2);
    }

    #[test]
    fn parts_take_no_more_memory_than_their_pieces() {
        let pieces = vec!["0123456789"; 400];
        let batch = filled(&pieces).finish(Instant::now());
        let [half, _] = batch.halves(FRAME, batch.due);
        let body = Vec::from(half.body);
        assert!(body.capacity() <= 200 * 12 + 2, "{} bytes for {}", body.capacity(), body.len());
    }

    #[test]
    fn the_event_that_overflows_waits_for_the_next_batch() {
        let limits = BatchLimits { max_bytes: 6, max_events: 9, max_in_flight: 1 };
        let mut filling = filled(&["1", "22"]);
        assert_eq!(filling.pop_overflow(limits), None);
        assert!(filling.is_full(limits));
        let mut filling = filled(&["1", "22", "3"]);
        let (item, piece) = filling.pop_overflow(limits).unwrap();
        assert_eq!((item.index, piece), (2, b"3".to_vec()));
        assert_eq!(&filling.finish(Instant::now()).body[..], b"[1,22]");
        assert_eq!(
            filled(&["1234567"]).pop_overflow(limits),
            None,
            "a single large one is the destination's to judge"
        );
    }
}
