//! The entries of all configurations, in memory, and how far the stream was read.

use std::collections::HashMap;

use event::filter::Criterion;
use event::{Record, quarantine};
use journal::{Block, Offset};

use super::entries::Entries;

/// Most entries that are kept in memory, of all configurations: about 100 bytes each.
pub const MAX_ENTRIES: usize = 1_000_000;
/// How many times as many are remembered that were left out, about 50 bytes each.
const LEFT_OUT_TIMES: usize = 4;
/// How much room must come free at a time for it to be worth the effort: one part of so many.
const FREE_PART: usize = 4;

#[derive(Debug)]
pub(crate) struct View {
    max_entries: usize,
    by_configuration: HashMap<String, Entries>,
    n_entries: usize,
    /// The first block that was not read.
    pub(crate) next: u64,
    /// Blocks that cannot be read.
    pub(crate) n_unreadable: u64,
    /// Copies found no room since the stream was read from its beginning.
    is_overfull: bool,
    /// What retention has removed below this block is forgotten.
    trimmed_below: u64,
}

impl Default for View {
    fn default() -> Self {
        Self::with_room_for(MAX_ENTRIES)
    }
}

impl View {
    pub(super) fn with_room_for(max_entries: usize) -> Self {
        Self {
            max_entries,
            by_configuration: HashMap::new(),
            n_entries: 0,
            next: 0,
            n_unreadable: 0,
            is_overfull: false,
            trimmed_below: 0,
        }
    }

    pub(crate) fn entries(&self, id: &str) -> Option<&Entries> {
        self.by_configuration.get(id)
    }

    pub(crate) fn entries_mut(&mut self, id: &str) -> Option<&mut Entries> {
        self.by_configuration.get_mut(id)
    }

    /// Takes what a block tells of configurations that are there.
    pub(crate) fn read(&mut self, block: &Block, is_there: impl Fn(&str) -> bool) {
        for (at, record) in block.records() {
            if let Some(change) = quarantine::unwrap_change(&record) {
                if let Some(entries) = self.by_configuration.get_mut(&change.configuration_id) {
                    entries.changed(at, &change);
                }
            } else if let Some((reason, original)) = quarantine::unwrap(&record)
                && is_there(&reason.configuration_id)
            {
                let kind = Record::parse(&original).ok().and_then(|original| kind_of(&original));
                self.copied(at, &reason, kind.as_deref().unwrap_or_default(), &record);
            }
        }
        self.next = self.next.max(block.sequence() + 1);
    }

    fn copied(&mut self, at: Offset, reason: &quarantine::Reason, kind: &str, copy: &Record<'_>) {
        if self.n_entries >= self.max_entries && self.sum(Entries::n_final) >= self.part() {
            self.leave_out_final();
        }
        let entries = self.by_configuration.entry(reason.configuration_id.clone()).or_default();
        if self.n_entries >= self.max_entries {
            if !entries.knows(reason.event_id) {
                entries.n_without_room += 1;
                self.is_overfull = true;
            }
            return;
        }
        let n_before = entries.len();
        entries.copied(at, reason, kind, copy);
        self.n_entries += entries.len() - n_before;
    }

    const fn part(&self) -> usize {
        self.max_entries / FREE_PART
    }

    const fn max_left_out(&self) -> usize {
        self.max_entries * LEFT_OUT_TIMES
    }

    fn sum(&self, of: impl Fn(&Entries) -> usize) -> usize {
        self.by_configuration.values().map(of).sum()
    }

    fn leave_out_final(&mut self) {
        let mut n_more = self.max_left_out().saturating_sub(self.sum(Entries::n_left_out));
        for entries in self.by_configuration.values_mut() {
            let n_before = entries.n_left_out();
            entries.leave_out_final(n_more);
            n_more -= entries.n_left_out() - n_before;
        }
        self.count();
    }

    fn count(&mut self) {
        self.n_entries = self.sum(Entries::len);
    }

    /// Forgets what retention has removed, and what belongs to configurations that are gone.
    pub(crate) fn trim(&mut self, first: u64, is_there: impl Fn(&str) -> bool) {
        self.by_configuration.retain(|id, _| is_there(id));
        if self.trimmed_below < first {
            self.trimmed_below = first;
            self.by_configuration.values_mut().for_each(|entries| entries.trim(first));
        }
        self.count();
    }

    /// Begins anew when copies found no room, and there is some again or entries that nothing can follow make some. These
    /// are left out then, so that each time a part of the room goes to others; when no more can be remembered, it waits for
    /// retention. True when the stream must be read from its beginning.
    pub(crate) fn make_room(&mut self) -> bool {
        let n_left = self.n_entries.saturating_sub(self.sum(Entries::n_final));
        let has_room = n_left <= self.max_entries - self.part();
        if !self.is_overfull || !has_room || self.sum(Entries::n_left_out) >= self.max_left_out() {
            return false;
        }
        self.leave_out_final();
        self.by_configuration.values_mut().for_each(Entries::begin_anew);
        let by_configuration = std::mem::take(&mut self.by_configuration);
        let trimmed_below = self.trimmed_below;
        *self = Self { by_configuration, trimmed_below, ..Self::with_room_for(self.max_entries) };
        true
    }
}

/// What kind of event a record is.
fn kind_of(original: &Record<'_>) -> Option<String> {
    [Criterion::Types, Criterion::EntityTypes, Criterion::SourceEventTypes]
        .into_iter()
        .find_map(|criterion| criterion.first_of(original))
}

#[cfg(test)]
mod tests {
    use base::{EventId, Timestamp};
    use event::quarantine::{Change, Reason, Standing};
    use event::{RecordBuilder, Stream};

    use super::*;
    use crate::quarantined::{Filter, Order};

    fn id(n: u64) -> EventId {
        EventId::derive(Timestamp::default(), &[&n.to_string()])
    }

    fn block(sequence: u64, records: &[Vec<u8>]) -> Block {
        let mut end = 0;
        let ends = records.iter().map(|record| {
            end += record.len() as u32;
            end
        });
        let ends = ends.collect();
        let payload = records.concat().into();
        Block::new(sequence, Stream::Quarantine, Timestamp::default(), payload, ends)
    }

    fn copy(n: u64, standing: Standing, reason: &str) -> Vec<u8> {
        let now = Timestamp::default();
        let original = RecordBuilder::new(Stream::AuditLog, id(n), now, now).finish().unwrap();
        let reason = Reason {
            configuration_id: "c".to_owned(),
            event_id: id(n),
            stream: Stream::AuditLog,
            journal_offset: "1.0".to_owned(),
            received_at: now,
            reason: reason.to_owned(),
            attempts: 1,
            standing,
            run: None,
        };
        quarantine::wrap(&Record::parse(&original).unwrap(), &reason, now).unwrap()
    }

    fn change(n: u64, turn: u32, standing: Standing) -> Vec<u8> {
        let change = Change { turn, ..Change::new("c".to_owned(), id(n), Timestamp::default(), standing) };
        quarantine::wrap_change(&change, Timestamp::default()).unwrap()
    }

    fn stands(view: &View, n: u64) -> Option<Standing> {
        view.entries("c")?.find(id(n)).map(|slot| slot.standing)
    }

    #[test]
    fn an_entry_stands_where_the_last_change_that_may_follow_puts_it() {
        use Standing::{Delivered, Discarded, Parked, Quarantined};
        for (first, changes, last) in [
            (Quarantined, vec![], Quarantined),
            (Quarantined, vec![(0, Delivered)], Quarantined),
            (Quarantined, vec![(1, Quarantined), (2, Delivered), (3, Discarded)], Delivered),
            (Quarantined, vec![(2, Quarantined), (1, Discarded)], Quarantined),
            (Parked, vec![(1, Discarded)], Parked),
            (Parked, vec![(0, Quarantined), (0, Delivered), (1, Discarded)], Discarded),
            (Parked, vec![(0, Delivered), (0, Quarantined), (1, Discarded)], Delivered),
        ] {
            let mut view = View::default();
            let mut records = vec![copy(1, first, "no")];
            records.extend(changes.iter().map(|(turn, standing)| change(1, *turn, *standing)));
            view.read(&block(1, &records), |_| true);
            assert_eq!(stands(&view, 1), Some(last), "{first:?} {changes:?}");
            view.read(&block(2, &[copy(1, Quarantined, "again")]), |_| true);
            assert_eq!(stands(&view, 1), Some(last), "its block came again");
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_read_again_when_there_is_some() {
        let mut view = View::with_room_for(4);
        let blocks: Vec<Block> = (1..=6).map(|n| block(n, &[copy(n, Standing::Quarantined, "no")])).collect();
        for block in &blocks {
            view.read(block, |_| true);
        }
        let entries = view.entries("c").unwrap();
        assert_eq!((entries.len(), entries.n_unlisted(), stands(&view, 5)), (4, 2, None));
        assert!(!view.make_room(), "there is none");
        let ended = block(7, &[change(1, 1, Standing::Discarded), change(2, 1, Standing::Delivered)]);
        view.read(&ended, |_| true);
        assert!(view.make_room() && view.next == 0);
        for block in blocks.iter().chain([&ended]) {
            view.read(block, |_| true);
        }
        let entries = view.entries("c").unwrap();
        assert_eq!((entries.len(), entries.n_unlisted()), (4, 2), "those that are ended gave room to others");
        assert_eq!((stands(&view, 1), stands(&view, 6)), (None, Some(Standing::Quarantined)));
        assert!(!view.make_room(), "nothing found no room this time");
    }

    #[test]
    fn what_is_ended_makes_room_without_another_reading() {
        let mut view = View::with_room_for(4);
        for n in 1..=4 {
            view.read(&block(n, &[copy(n, Standing::Quarantined, "no")]), |_| true);
        }
        view.read(&block(5, &[change(1, 1, Standing::Discarded), change(2, 1, Standing::Delivered)]), |_| {
            true
        });
        view.read(&block(6, &[copy(6, Standing::Quarantined, "no")]), |_| true);
        let entries = view.entries("c").unwrap();
        assert_eq!((entries.len(), entries.n_unlisted(), stands(&view, 1)), (3, 2, None));
        view.read(&block(7, &[copy(1, Standing::Quarantined, "its block came again")]), |_| true);
        assert_eq!(stands(&view, 1), None, "it has ended");
        assert!(!view.make_room());
    }

    #[test]
    fn a_stream_of_far_more_entries_than_there_is_room_for_is_read_again_a_few_times_at_most() {
        let copies = (1..=12).map(|n| block(n, &[copy(n, Standing::Quarantined, "no")]));
        let ends = (13..=20).map(|n| block(n, &[change(n - 12, 1, Standing::Discarded)]));
        let blocks: Vec<Block> = copies.chain(ends).collect();
        let mut view = View::with_room_for(4);
        let read = |view: &mut View| blocks.iter().for_each(|block| view.read(block, |_| true));
        read(&mut view);
        let mut n_again = 0;
        while view.make_room() {
            n_again += 1;
            assert!(n_again < 5, "it does not settle");
            read(&mut view);
        }
        assert!(n_again > 0);
        let entries = view.entries("c").unwrap();
        assert_eq!(
            (entries.totals().quarantined, entries.n_unlisted()),
            (4, 8),
            "all that is left is listed"
        );
    }

    #[test]
    fn entries_go_with_retention_and_with_their_configurations() {
        let mut view = View::default();
        for n in 1..=5 {
            let reason = format!("mapper {}", n % 2);
            view.read(&block(n, &[copy(n, Standing::Quarantined, &reason)]), |_| true);
        }
        view.read(&block(6, &[copy(6, Standing::Quarantined, "other")]), |_| false);
        view.trim(3, |_| true);
        let entries = view.entries("c").unwrap();
        assert_eq!((entries.len(), stands(&view, 2), stands(&view, 6)), (3, None, None));
        assert_eq!(entries.by_cause().len(), 1, "a number makes no other cause");
        let prepared = entries.prepare(&Filter::default());
        let shown = |order, after| -> Vec<u64> {
            entries.passing(&prepared, order, after).map(|slot| slot.copy.block).collect()
        };
        let at = |block| Some(Offset { block, index: 0 });
        assert_eq!(shown(Order::NewestFirst, None), [5, 4, 3]);
        assert_eq!((shown(Order::NewestFirst, at(4)), shown(Order::OldestFirst, at(4))), (vec![3], vec![5]));
        assert_eq!(shown(Order::OldestFirst, at(1)), [3, 4, 5], "a cursor whose entry is gone");
        view.trim(3, |_| false);
        assert!(view.entries("c").is_none());
    }
}
