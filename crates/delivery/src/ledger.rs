//! The ledger: leased blocks, and what is proven about their events. A block is settled when nothing of it is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use destinations::Grade;
use event::Record;
use journal::{Block, Lease, LeaseId, Tally};

/// What became of one event, finally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Final {
    Delivered(Grade),
    Quarantined,
    /// Copied to be tried again alone: as far as its block is concerned, copied to quarantine.
    Parked,
    /// Of a parked event: nothing, this time. Its block is handed back.
    Later,
}

/// How a block ends of which nothing is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done(Tally),
    /// It comes again, as it did so many times.
    Later(u32),
}

/// A leased block with open events.
struct Page {
    lease: LeaseId,
    block: Arc<Block>,
    deliveries: u32,
    n_open: usize,
    is_left: bool,
    tally: Tally,
}

/// All leased blocks of one worker.
#[derive(Default)]
pub(crate) struct Ledger {
    blocks: BTreeMap<u64, Page>,
    bytes: usize,
}

impl Ledger {
    /// Opens a leased block of which `n_selected` events will be sent; the others are skipped or gone. Returns the
    /// lease to settle when nothing is to be sent.
    pub(crate) fn open(
        &mut self,
        lease: Lease,
        n_selected: usize,
        n_gone: usize,
    ) -> Option<(LeaseId, Tally)> {
        let n_records = lease.block.n_records();
        let skipped = n_records.saturating_sub(n_selected + n_gone) as u64;
        let gone = n_gone as u64;
        let (erased, discarded) = if lease.block.is_lost() { (0, gone) } else { (gone, 0) };
        let tally = Tally { skipped, erased, discarded, ..Tally::default() };
        if n_selected == 0 {
            return Some((lease.id, tally));
        }
        self.bytes += lease.block.payload_bytes();
        let (id, deliveries) = (lease.id, lease.deliveries);
        let page =
            Page { lease: id, block: lease.block, deliveries, n_open: n_selected, is_left: false, tally };
        self.blocks.insert(page.block.sequence(), page);
        None
    }

    /// A block came again although it is open (its lease had expired): goes on with the new lease. False when the block
    /// is not open.
    pub(crate) fn renew(&mut self, lease: &Lease) -> bool {
        self.blocks.get_mut(&lease.block.sequence()).map(|open| open.lease = lease.id).is_some()
    }

    /// Notes what became of one event of `block`. Returns the lease to settle when it was the last open one.
    pub(crate) fn close(&mut self, block: u64, end: Final) -> Option<(LeaseId, End)> {
        let open = self.blocks.get_mut(&block)?;
        match end {
            Final::Delivered(Grade::Confirmed) => open.tally.confirmed += 1,
            Final::Delivered(Grade::Diverted) => open.tally.diverted += 1,
            Final::Delivered(Grade::Accepted) => open.tally.accepted += 1,
            Final::Quarantined | Final::Parked => open.tally.quarantined += 1,
            Final::Later => open.is_left = true,
        }
        open.n_open = open.n_open.saturating_sub(1);
        if open.n_open > 0 {
            return None;
        }
        let open = self.blocks.remove(&block)?;
        self.bytes = self.bytes.saturating_sub(open.block.payload_bytes());
        let end = if open.is_left { End::Later(open.deliveries) } else { End::Done(open.tally) };
        Some((open.lease, end))
    }

    /// The record of an open event.
    pub(crate) fn record(&self, block: u64, index: u32) -> Option<Record<'_>> {
        let bytes = self.blocks.get(&block)?.block.record_bytes(index as usize)?;
        Record::parse(bytes).ok()
    }

    /// The leases that are out.
    pub(crate) fn leases(&self) -> Vec<LeaseId> {
        self.blocks.values().map(|open| open.lease).collect()
    }

    /// Payload bytes of the leased blocks.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use event::Stream;

    use super::*;

    fn lease(sequence: u64, n_records: usize) -> Lease {
        let ends = (1..=n_records).map(|end| end as u32).collect();
        let payload = bytes::Bytes::from(vec![0; n_records]);
        let block = Block::new(sequence, Stream::AccountEvent, Timestamp::default(), payload, ends);
        Lease { id: LeaseId(sequence), block: Arc::new(block), deliveries: 1 }
    }

    #[test]
    fn a_block_is_settled_with_its_last_event_and_every_event_is_counted_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.open(lease(1, 5), 2, 1), None);
        assert_eq!(ledger.bytes(), 5);
        assert_eq!(ledger.close(1, Final::Delivered(Grade::Confirmed)), None);
        let (id, end) = ledger.close(1, Final::Quarantined).unwrap();
        assert_eq!(id, LeaseId(1));
        let tally = Tally { skipped: 2, erased: 1, confirmed: 1, quarantined: 1, ..Tally::default() };
        assert_eq!(end, End::Done(tally));
        assert_eq!(ledger.bytes(), 0);
        assert_eq!(ledger.close(1, Final::Quarantined), None);
    }

    #[test]
    fn a_block_that_comes_again_is_not_counted_twice() {
        let mut ledger = Ledger::default();
        ledger.open(lease(1, 2), 2, 0);
        ledger.close(1, Final::Delivered(Grade::Accepted));
        let again = Lease { id: LeaseId(9), ..lease(1, 2) };
        assert!(ledger.renew(&again));
        let end = ledger.close(1, Final::Delivered(Grade::Accepted));
        assert_eq!(end, Some((LeaseId(9), End::Done(Tally { accepted: 2, ..Tally::default() }))));
        assert!(!ledger.renew(&again));
    }

    #[test]
    fn a_block_with_a_parked_event_that_is_left_is_handed_back_as_a_whole() {
        let mut ledger = Ledger::default();
        ledger.open(Lease { deliveries: 3, ..lease(1, 2) }, 2, 0);
        assert_eq!(ledger.close(1, Final::Later), None);
        assert_eq!(ledger.close(1, Final::Quarantined), Some((LeaseId(1), End::Later(3))));
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn a_block_of_which_nothing_is_sent_is_settled_at_once() {
        let settled = Ledger::default().open(lease(1, 3), 0, 0);
        assert_eq!(settled, Some((LeaseId(1), Tally { skipped: 3, ..Tally::default() })));
    }
}
