//! The entries of all configurations, in memory, and how far the stream was read.

use std::collections::HashMap;

use event::filter::Criterion;
use event::{Record, quarantine};
use journal::{Block, Offset};

use super::entries::Entries;

/// Most entries that are kept in memory, of all configurations: about 100 bytes each.
pub const MAX_ENTRIES: usize = 1_000_000;
/// How much of the room must be free before what found none is looked for again: one part of so many.
const FREE_PART: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct View {
    by_configuration: HashMap<String, Entries>,
    n_entries: usize,
    /// The first block that was not read.
    pub(crate) next: u64,
    /// Blocks that cannot be read.
    pub(crate) n_unreadable: u64,
    /// Copies found no room.
    is_overfull: bool,
}

impl View {
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
        if self.n_entries >= MAX_ENTRIES && !self.is_overfull {
            self.by_configuration.values_mut().for_each(Entries::forget_final);
            self.count();
            self.is_overfull = true;
        }
        let entries = self.by_configuration.entry(reason.configuration_id.clone()).or_default();
        if self.n_entries >= MAX_ENTRIES {
            entries.n_unlisted += 1;
            return;
        }
        let n_before = entries.len();
        entries.copied(at, reason, kind, copy);
        self.n_entries += entries.len() - n_before;
    }

    fn count(&mut self) {
        self.n_entries = self.by_configuration.values().map(Entries::len).sum();
    }

    /// Forgets what retention has removed, and what belongs to configurations that are gone.
    pub(crate) fn trim(&mut self, first: u64, is_there: impl Fn(&str) -> bool) {
        self.by_configuration.retain(|id, _| is_there(id));
        self.by_configuration.values_mut().for_each(|entries| entries.trim(first));
        self.count();
    }

    /// Begins anew when copies found no room and there is some again. True when it must be read from the beginning.
    pub(crate) fn make_room(&mut self) -> bool {
        if !self.is_overfull {
            return false;
        }
        let n_final = |entries: &Entries| entries.totals().delivered + entries.totals().discarded;
        let n_final = self.by_configuration.values().map(n_final).sum::<u64>();
        let n_left = self.n_entries.saturating_sub(usize::try_from(n_final).unwrap_or(usize::MAX));
        if n_left > MAX_ENTRIES - MAX_ENTRIES / FREE_PART {
            return false;
        }
        *self = Self::default();
        true
    }
}

/// What kind of event a record is.
fn kind_of(original: &Record<'_>) -> Option<String> {
    [Criterion::Types, Criterion::EntityTypes, Criterion::SourceEventTypes]
        .into_iter()
        .find_map(|criterion| criterion.first_of(original))
}
