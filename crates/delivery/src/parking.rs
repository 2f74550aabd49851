//! Parking: events that a destination stumbles over without saying why. Each has a copy in the quarantine stream, is tried
//! again alone and slowly, and counts as pending; the block that it came from is settled without it.
//!
//! Parked copies are leased by a consumer of their own, `cfg/{id}/parked`, whose tally says what became of them. The
//! configuration's own consumer counts a parked event as quarantined, since it is copied; [`books`] puts both together.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use base::{Backoff, EventId};
use destinations::Grade;
use event::quarantine::{self, Change, Reason, Standing};
use event::{Record, Stream, StreamSet};
use journal::{
    Block, Consumer, ConsumerCommand, ConsumerName, ConsumerState, Journal, JournalError, ReadRange, StartAt,
};

#[cfg(doc)]
use crate::books::books;
use crate::ledger::Final;
use crate::places::{consumer_name, parked_name};

/// Most events of one configuration that are parked at a time. Others stay where they are and hold up the worker.
const MAX_PARKED: usize = 1000;
/// Most events whose parking ended that a worker remembers; then it parks no more until it starts anew.
const MAX_ENDED: usize = 10_000;
/// Most events in quarantine that a worker remembers.
const MAX_REFUSED: usize = 100_000;
/// Bytes of the quarantine stream that are read at a time.
const PAGE_BYTES: usize = 1 << 20;
/// The first wait before a parked event is tried again, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// What the quarantine stream says about the parked events of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// Whether its consumer is there.
    is_open: bool,
    parked: HashSet<EventId>,
    ended: HashMap<EventId, Final>,
    /// Events in quarantine whose blocks may not be settled yet.
    refused: HashSet<EventId>,
}

impl Parking {
    /// Reads what is parked, and what became of those whose original block may not be settled yet.
    pub(crate) async fn load(journal: &dyn Journal, id: &str) -> Result<Self, JournalError> {
        let consumers = journal.consumers(ConsumerCommand::List).await?;
        let floor = |name| find(&consumers, name).map(|state| state.floor);
        let (main, own) = (floor(consumer_name(id)), floor(parked_name(id)));
        let Some(from) = main.into_iter().chain(own).min() else { return Ok(Self::default()) };
        let mut parking = Self { is_open: own.is_some(), ..Self::default() };
        each_block(journal, from, |block| parking.read(block, id, main.unwrap_or(u64::MAX))).await?;
        Ok(parking)
    }

    /// `floor`: below it the blocks of originals are settled.
    fn read(&mut self, block: &Block, id: &str, floor: u64) {
        for (_, record) in block.records() {
            match told(&record, id) {
                Some(Told::Parked(reason)) => drop(self.parked.insert(reason.event_id)),
                Some(Told::Ended(event, end)) if self.parked.remove(&event) => {
                    self.ended.insert(event, end);
                }
                Some(Told::Refused(reason)) if original_block(&reason) >= Some(floor) => {
                    self.refuse(reason.event_id);
                }
                _ => {}
            }
        }
    }

    /// Makes sure that the consumer is there before the first copy is.
    pub(crate) async fn open(&mut self, journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
        if !self.is_open {
            let name = parked_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))?;
            let (streams, start) = (StreamSet::from_iter([Stream::Quarantine]), StartAt::Now);
            journal.consumers(ConsumerCommand::Create { name, streams, start, until: None }).await?;
            self.is_open = true;
        }
        Ok(())
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn has_room(&self) -> bool {
        self.parked.len() < MAX_PARKED && self.ended.len() < MAX_ENDED
    }

    pub(crate) fn n_parked(&self) -> usize {
        self.parked.len()
    }

    /// Whether the event is or was parked, or is in quarantine: its original is not sent any more.
    pub(crate) fn knows(&self, id: EventId) -> bool {
        self.parked.contains(&id) || self.ended.contains_key(&id) || self.refused.contains(&id)
    }

    /// An event was copied to quarantine. Its block may come again; of too many, some are sent once more then.
    pub(crate) fn refuse(&mut self, id: EventId) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(id);
        }
    }

    /// What became of a parked event, if it is known.
    pub(crate) fn end(&self, id: EventId) -> Option<Final> {
        self.ended.get(&id).copied()
    }

    pub(crate) fn park(&mut self, id: EventId) {
        self.parked.insert(id);
    }

    pub(crate) fn note_end(&mut self, id: EventId, end: Final) {
        self.parked.remove(&id);
        self.ended.insert(id, end);
    }
}

/// The wait before a parked event is tried for the `n`-th time.
pub(crate) fn wait(n: u32, random: &base::Random) -> Duration {
    Backoff::new(WAITS.0, WAITS.1)
        .map_or(WAITS.1, |backoff| backoff.delay(n, Some(backoff.bound(n) / 2), random))
}

/// What a record of the quarantine stream says about an event of one configuration.
pub(crate) enum Told {
    /// It was parked.
    Parked(Reason),
    /// Its parking ended, if it was parked.
    Ended(EventId, Final),
    /// It never was: it went to quarantine at once.
    Refused(Reason),
}

/// What `record` says about an event of the configuration `id`.
pub(crate) fn told(record: &Record<'_>, id: &str) -> Option<Told> {
    if let Some(change) = quarantine::unwrap_change(record) {
        let end = end_of(&change).filter(|_| change.configuration_id == id)?;
        return Some(Told::Ended(change.event_id, end));
    }
    let reason = quarantine::reason(record)?;
    if reason.configuration_id != id || reason.run.is_some() {
        return None;
    }
    Some(if reason.standing == Standing::Parked { Told::Parked(reason) } else { Told::Refused(reason) })
}

/// The block of the original; `None` when it cannot be told.
pub(crate) fn original_block(reason: &Reason) -> Option<u64> {
    reason.journal_offset.split_once('.').and_then(|(block, _)| block.parse().ok())
}

fn end_of(change: &Change) -> Option<Final> {
    if change.turn > 0 {
        // Of an entry whose parking, if there was one, had ended before.
        return None;
    }
    match (change.standing, change.grade.as_deref()) {
        (Standing::Quarantined, _) => Some(Final::Quarantined),
        (Standing::Delivered, Some("confirmed")) => Some(Final::Delivered(Grade::Confirmed)),
        (Standing::Delivered, Some("diverted")) => Some(Final::Delivered(Grade::Diverted)),
        (Standing::Delivered, _) => Some(Final::Delivered(Grade::Accepted)),
        (Standing::Parked | Standing::Discarded, _) => None,
    }
}

/// The standing and the grade that tell of an end.
pub(crate) fn told_as(end: Final) -> (Standing, Option<&'static str>) {
    match end {
        Final::Delivered(Grade::Confirmed) => (Standing::Delivered, Some("confirmed")),
        Final::Delivered(Grade::Diverted) => (Standing::Delivered, Some("diverted")),
        Final::Delivered(Grade::Accepted) => (Standing::Delivered, Some("accepted")),
        Final::Quarantined => (Standing::Quarantined, None),
        Final::Parked | Final::Later => (Standing::Parked, None),
    }
}

/// The state of the consumer with this name.
pub(crate) fn find(consumers: &[Consumer], name: Option<ConsumerName>) -> Option<ConsumerState> {
    consumers.iter().find(|consumer| Some(&consumer.name) == name.as_ref()).map(|consumer| consumer.state)
}

/// Shows `look` every block of the quarantine stream from a sequence on.
pub(crate) async fn each_block(
    journal: &dyn Journal,
    from: u64,
    mut look: impl FnMut(&Block) + Send,
) -> Result<(), JournalError> {
    let streams = StreamSet::from_iter([Stream::Quarantine]);
    let mut from = from;
    loop {
        let range = ReadRange { streams, from, until: u64::MAX, max_bytes: PAGE_BYTES };
        let blocks = journal.read(range).await?;
        let Some(last) = blocks.last() else { return Ok(()) };
        from = last.sequence() + 1;
        for block in &blocks {
            look(block);
        }
    }
}
