//! Markers: headers without a body that stand in the place of lost blocks. Together they count the events that the hole
//! cost, because the blocks around it say how many were appended before them.

use base::Timestamp;
use event::Stream;
use sha2::{Digest, Sha256};

use crate::local::format::block::{BlockHeader, MAX_RECORDS};
use crate::local::format::wire::{add, of};
use crate::local::survey::Hole;
use crate::retention::PerStream;
use crate::seam::MAX_BLOCK_BYTES;

/// The markers of a hole, one for each block. The segment is set when they are given to one.
pub(super) fn of_hole(hole: &Hole, now: Timestamp) -> Vec<BlockHeader> {
    let mut left = hole.events_after.unwrap_or(hole.events_before);
    for (left, before) in left.iter_mut().zip(hole.events_before) {
        *left = left.saturating_sub(before);
    }
    let (mut events, mut hash) = (hole.events_before, hole.hash_before);
    let at = hole.after.or(hole.before).unwrap_or(now);
    let markers = (hole.from..hole.until).map(|sequence| {
        // A block is of one stream, so that there are at least as many blocks as streams with events.
        let stream = Stream::ALL.into_iter().find(|stream| of(&left, *stream) > 0);
        let stream = stream.unwrap_or(Stream::AccountEvent);
        let n = of(&left, stream).min(MAX_RECORDS as u64);
        take(&mut left, stream, n);
        let previous_hash = hash;
        hash = match hole.last_hash {
            Some(last) if sequence + 1 == hole.until => last,
            _ => unknown_hash(&previous_hash, sequence),
        };
        let events_before = events;
        add(&mut events, stream, n);
        BlockHeader {
            lost: true,
            segment: 0,
            sequence,
            stream,
            n_keys: 0,
            n_records: n as u32,
            payload_bytes: 0,
            appended_bytes: 0,
            appended_at: at,
            durable_up_to: sequence - 1,
            events_before,
            previous_hash,
            hash,
            body_sum: 0,
        }
    });
    markers.collect()
}

fn take(counts: &mut PerStream, stream: Stream, n: u64) {
    if let Some(count) = counts.get_mut(stream as usize - 1) {
        *count = count.saturating_sub(n);
    }
}

/// A hash for a lost block whose own hash nobody knows any more.
fn unknown_hash(previous: &[u8; 32], sequence: u64) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(b"idstream lost block v1").chain_update(previous);
    hash.chain_update(sequence.to_le_bytes()).finalize().into()
}

/// Spreads the payload bytes that are missing over the markers of their streams.
pub(super) fn spread_bytes<'m>(markers: impl Iterator<Item = &'m mut BlockHeader>, mut missing: PerStream) {
    for marker in markers.filter(|marker| marker.n_records > 0) {
        let n = of(&missing, marker.stream).min(MAX_BLOCK_BYTES as u64);
        take(&mut missing, marker.stream, n);
        marker.appended_bytes = n as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_markers_count_every_event_once_and_close_the_chain() {
        let hole = Hole {
            from: 7,
            until: 10,
            hash_before: [1; 32],
            last_hash: Some([9; 32]),
            events_before: [10, 0, 5, 0, 0],
            events_after: Some([11, 0, 5 + 20_000, 0, 0]),
            after: None,
            before: None,
        };
        let markers = of_hole(&hole, Timestamp::default());
        let counts: Vec<_> = markers.iter().map(|marker| (marker.sequence, marker.n_records)).collect();
        assert_eq!(counts, [(7, 1), (8, 16_384), (9, 3_616)]);
        assert_eq!(markers[2].events_after(), [11, 0, 20_005, 0, 0]);
        assert_eq!((markers[0].previous_hash, markers[2].hash), ([1; 32], [9; 32]));
        assert!(markers.windows(2).all(|pair| pair[0].hash == pair[1].previous_hash));
    }
}
