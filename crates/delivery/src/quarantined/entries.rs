//! Where the entries of one configuration stand, as the quarantine stream tells it: a value, fed with the stream's records
//! in their order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base::{EventId, Timestamp};
use event::quarantine::{Change, Reason, Standing};
use event::{Record, Stream};
use journal::Offset;

use super::causes::{Texts, cause_of};
use super::filter::Prepared;

/// One entry, as small as it can be kept: a wrong index mapping quarantines a million events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The event's id.
    pub(crate) id: EventId,
    /// Where its copy lies.
    pub(crate) copy: Offset,
    /// Where its last change lies; its copy as long as there is none.
    pub(crate) last: Offset,
    /// When it was copied.
    pub(crate) since: Timestamp,
    /// How many changes with a turn it has had.
    pub(crate) turn: u32,
    /// Why it was refused last, in [`Entries::causes`].
    cause: u16,
    /// What kind of event it is, in [`Entries::kinds`].
    kind: u16,
    pub(crate) stream: Stream,
    pub(crate) standing: Standing,
    /// Whether a replay copied it, so that the configuration's books say nothing about it.
    pub(crate) is_of_run: bool,
}

/// How many entries stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Refused for good, and left.
    pub quarantined: u64,
    /// Still tried, alone.
    pub parked: u64,
    /// Taken after all.
    pub delivered: u64,
    /// Given up by an operator.
    pub discarded: u64,
}

impl Totals {
    const fn of(&mut self, standing: Standing) -> &mut u64 {
        match standing {
            Standing::Quarantined => &mut self.quarantined,
            Standing::Parked => &mut self.parked,
            Standing::Delivered => &mut self.delivered,
            Standing::Discarded => &mut self.discarded,
        }
    }

    const fn is_nothing(&self) -> bool {
        self.quarantined + self.parked + self.delivered + self.discarded == 0
    }
}

/// The entries of one configuration, in the order in which they were copied.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    slots: VecDeque<Slot>,
    /// How many slots were taken from the front: the number of the first one.
    gone: u32,
    /// The number of each entry's slot.
    numbers: HashMap<EventId, u32>,
    causes: Texts,
    kinds: Texts,
    totals: Totals,
    by_cause: BTreeMap<u16, Totals>,
    /// Entries that nothing can follow and that gave room to others, by the blocks of their copies.
    left_out: HashMap<EventId, u64>,
    /// Copies that found no room, and are not known.
    pub(crate) n_without_room: u64,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }

    /// How many entries nothing can follow.
    pub(crate) fn n_final(&self) -> usize {
        usize::try_from(self.totals.delivered + self.totals.discarded).unwrap_or(usize::MAX)
    }

    pub(crate) fn n_left_out(&self) -> usize {
        self.left_out.len()
    }

    /// Entries that are not listed, for want of room.
    pub(crate) fn n_unlisted(&self) -> u64 {
        self.left_out.len() as u64 + self.n_without_room
    }

    /// How many entries stand where, by cause: most frequent first.
    pub(crate) fn by_cause(&self) -> Vec<(String, Totals)> {
        let mut causes: Vec<(String, Totals)> = self
            .by_cause
            .iter()
            .filter(|(_, totals)| !totals.is_nothing())
            .map(|(cause, totals)| (self.causes.text(*cause).to_owned(), *totals))
            .collect();
        causes.sort_by_key(|(_, totals)| std::cmp::Reverse((totals.quarantined, totals.parked)));
        causes
    }

    /// A copy was stored. One of an event that is there changes nothing: its block came again, or a replay met it too.
    pub(crate) fn copied(&mut self, at: Offset, reason: &Reason, kind: &str, copy: &Record<'_>) {
        let next = self.gone.wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        if self.knows(reason.event_id) {
            return;
        }
        let slot = Slot {
            id: reason.event_id,
            copy: at,
            last: at,
            since: copy.received_at(),
            turn: 0,
            cause: self.causes.number(&cause_of(&reason.reason)),
            kind: self.kinds.number(kind),
            stream: reason.stream,
            standing: reason.standing,
            is_of_run: reason.run.is_some(),
        };
        self.numbers.insert(slot.id, next);
        self.slots.push_back(slot);
        self.count(&slot, 1);
    }

    /// A change was stored. One that cannot follow what is known is passed over; so is one that was seen before.
    pub(crate) fn changed(&mut self, at: Offset, change: &Change) {
        let Some(index) = self.index(change.event_id) else { return };
        let Some(before) = self.slots.get(index).copied() else { return };
        let follows = match change.turn {
            0 => before.standing == Standing::Parked,
            turn => before.standing == Standing::Quarantined && turn > before.turn,
        };
        if !follows {
            return;
        }
        let mut slot = Slot { last: at, turn: change.turn, standing: change.standing, ..before };
        if let Some(reason) = change.reason.as_deref().filter(|_| change.standing == Standing::Quarantined) {
            slot.cause = self.causes.number(&cause_of(reason));
        }
        self.count(&before, -1);
        self.count(&slot, 1);
        if let Some(place) = self.slots.get_mut(index) {
            *place = slot;
        }
    }

    fn count(&mut self, slot: &Slot, by: i64) {
        for totals in [&mut self.totals, self.by_cause.entry(slot.cause).or_default()] {
            let count = totals.of(slot.standing);
            *count = count.saturating_add_signed(by);
        }
    }

    fn index(&self, id: EventId) -> Option<usize> {
        self.numbers.get(&id).map(|number| number.wrapping_sub(self.gone) as usize)
    }

    /// Whether an event has an entry, or had one that was left out.
    pub(crate) fn knows(&self, id: EventId) -> bool {
        self.numbers.contains_key(&id) || self.left_out.contains_key(&id)
    }

    pub(crate) fn find(&self, id: EventId) -> Option<Slot> {
        self.slots.get(self.index(id)?).copied()
    }

    /// What kind of event an entry is.
    pub(crate) fn kind(&self, slot: &Slot) -> &str {
        self.kinds.text(slot.kind)
    }

    /// Why it was refused last.
    pub(crate) fn cause(&self, slot: &Slot) -> &str {
        self.causes.text(slot.cause)
    }

    /// Forgets entries whose copies lie below a block: retention has removed them.
    pub(crate) fn trim(&mut self, first: u64) {
        while let Some(slot) = self.slots.front().copied().filter(|slot| slot.copy.block < first) {
            self.slots.pop_front();
            self.numbers.remove(&slot.id);
            self.gone = self.gone.wrapping_add(1);
            self.count(&slot, -1);
        }
        self.left_out.retain(|_, block| *block >= first);
    }

    /// Leaves out entries that nothing can follow, to make room. At most `max` are remembered.
    pub(crate) fn leave_out_final(&mut self, max: usize) {
        let (stay, go): (VecDeque<Slot>, VecDeque<Slot>) =
            std::mem::take(&mut self.slots).into_iter().partition(|slot| !slot.standing.is_final());
        for slot in &go {
            self.count(slot, -1);
        }
        self.n_without_room += go.len().saturating_sub(max) as u64;
        self.left_out.extend(go.iter().take(max).map(|slot| (slot.id, slot.copy.block)));
        self.gone = 0;
        self.numbers = stay.iter().zip(0_u32..).map(|(slot, number)| (slot.id, number)).collect();
        self.slots = stay;
    }

    /// Nothing but what is left out, to be filled from the beginning of the stream.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self { left_out: std::mem::take(&mut self.left_out), ..Self::default() };
    }

    /// The entries that a filter lets pass, beyond `after`: newest copies first, or oldest first.
    pub(crate) fn passing(
        &self,
        filter: &Prepared,
        order: Order,
        after: Option<Offset>,
    ) -> impl Iterator<Item = &Slot> {
        let split = |offset: Offset, is_past: fn(&Offset, &Offset) -> bool| {
            self.slots.partition_point(|slot| is_past(&slot.copy, &offset))
        };
        let (from, until) = match (order, after) {
            (_, None) => (0, self.slots.len()),
            (Order::NewestFirst, Some(offset)) => (0, split(offset, |slot, offset| slot < offset)),
            (Order::OldestFirst, Some(offset)) => {
                (split(offset, |slot, offset| slot <= offset), self.slots.len())
            }
        };
        let mut range = self.slots.range(from..until);
        let next = std::iter::from_fn(move || match order {
            Order::NewestFirst => range.next_back(),
            Order::OldestFirst => range.next(),
        });
        next.filter(|slot| filter.lets_pass(slot, slot.cause, slot.kind))
    }

    /// Whether a filter lets one of them pass.
    pub(crate) fn is_meant(filter: &Prepared, slot: &Slot) -> bool {
        filter.lets_pass(slot, slot.cause, slot.kind)
    }

    /// A filter, ready for these entries.
    pub(crate) fn prepare(&self, filter: &super::Filter) -> Prepared {
        Prepared::new(filter, &self.causes, &self.kinds)
    }
}

/// Which entries come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that were copied last.
    #[default]
    NewestFirst,
    /// Those that were copied first.
    OldestFirst,
}
