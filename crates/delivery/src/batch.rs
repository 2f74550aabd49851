//! Batches: events on their way to one destination, as pieces of a request's body.

use std::ops::Range;

use bytes::Bytes;
use destinations::{BatchLimits, Frame};
use tokio::time::Instant;

/// An event in a batch: which one it is, and where its piece lies in the batch's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) block: u64,
    pub(crate) index: u32,
    pub(crate) piece: Range<usize>,
}

/// Events that are sent together.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The body: pieces within the vendor's frame.
    pub(crate) body: Bytes,
    pub(crate) items: Vec<Item>,
    /// How often it has been sent.
    pub(crate) attempts: u32,
    /// Not before this instant.
    pub(crate) due: Instant,
}

impl Batch {
    /// A batch of some of this one's items, with the same pieces.
    pub(crate) fn part(&self, items: impl IntoIterator<Item = Item>, frame: Frame, due: Instant) -> Self {
        let mut filling = Filling::new(frame, due);
        for item in items {
            let piece = self.body.get(item.piece.clone()).unwrap_or_default();
            filling.push(item.block, item.index, |body| body.extend_from_slice(piece));
        }
        let mut batch = filling.finish(due);
        batch.attempts = self.attempts;
        batch
    }

    /// Both halves of a batch of two or more.
    pub(crate) fn halves(&self, frame: Frame, due: Instant) -> [Self; 2] {
        let (first, second) = self.items.split_at(self.items.len() / 2);
        [self.part(first.to_vec(), frame, due), self.part(second.to_vec(), frame, due)]
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
        let mut body = Vec::with_capacity(ROOM);
        body.extend_from_slice(frame.open.as_bytes());
        Self { frame, body, items: Vec::with_capacity(256), started: now }
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
    pub(crate) fn push(&mut self, block: u64, index: u32, encode: impl FnOnce(&mut Vec<u8>)) {
        if !self.items.is_empty() {
            self.body.extend_from_slice(self.frame.between.as_bytes());
        }
        let start = self.body.len();
        encode(&mut self.body);
        self.items.push(Item { block, index, piece: start..self.body.len() });
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
        Batch { body: self.body.into(), items: self.items, attempts: 0, due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { open: "[", between: ",", close: "]" };

    fn filled(pieces: &[&str]) -> Filling {
        let mut filling = Filling::new(FRAME, Instant::now());
        for (index, piece) in (0_u32..).zip(pieces) {
            filling.push(7, index, |body| body.extend_from_slice(piece.as_bytes()));
        }
        filling
    }

    #[test]
    fn a_part_is_made_of_the_same_pieces() {
        let batch = filled(&["1", "22", "333"]).finish(Instant::now());
        assert_eq!(&batch.body[..], b"[1,22,333]");
        let part = batch.part([batch.items[0].clone(), batch.items[2].clone()], FRAME, batch.due);
        assert_eq!(&part.body[..], b"[1,333]");
        let [first, second] = part.halves(FRAME, batch.due);
        assert_eq!((&first.body[..], &second.body[..]), (&b"[1]"[..], &b"[333]"[..]));
        assert_eq!(second.items[0].index, 2);
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
