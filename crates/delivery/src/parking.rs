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
    Block, Consumer, ConsumerCommand, ConsumerName, ConsumerState, Journal, JournalError, StartAt,
};

#[cfg(doc)]
use crate::books::books;
use crate::copies::{each_block, parsed};
use crate::ledger::Final;
use crate::places::{consumer_name, parked_name};

/// Most events of one configuration that are parked at a time. Others stay where they are and hold up the worker.
const MAX_PARKED: usize = 1000;
/// Most events whose parking ended that a worker remembers; then it parks no more until their blocks are settled.
const MAX_ENDED: usize = 10_000;
/// How many more must have ended for it to be looked which may be forgotten.
const MANY_ENDED: usize = 1000;
/// Most events in quarantine that a worker remembers.
const MAX_REFUSED: usize = 100_000;
/// The first wait before a parked event is tried again, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// What the quarantine stream says about the parked events of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// Whether its consumer is there.
    is_open: bool,
    /// With the blocks of the originals.
    parked: HashMap<EventId, u64>,
    ended: HashMap<EventId, Ended>,
    /// How many of them there are at least when it is looked which may be forgotten.
    crowded_at: usize,
    /// Events in quarantine whose blocks may not be settled yet.
    refused: HashSet<EventId>,
}

/// How the parking of an event ended, and what may come again of it.
#[derive(Clone, Copy, Debug)]
struct Ended {
    end: Final,
    /// The block of the original.
    original: u64,
    /// A block of the quarantine stream that is not below the copy's.
    copy: u64,
}

impl Parking {
    /// Reads what is parked, and what became of those whose original block may not be settled yet.
    pub(crate) async fn load(journal: &dyn Journal, id: &str) -> Result<Self, JournalError> {
        let (main, own) = floors(journal, id).await?;
        let Some(from) = main.into_iter().chain(own).min() else { return Ok(Self::default()) };
        let mut parking = Self { is_open: own.is_some(), ..Self::default() };
        each_block(journal, from, |block| parking.read(block, id, main.unwrap_or(u64::MAX))).await?;
        parking.forget_below(main, own);
        Ok(parking)
    }

    /// Whether so many parkings have ended that some should be forgotten.
    pub(crate) fn is_crowded(&self) -> bool {
        self.ended.len() >= self.crowded_at.max(MANY_ENDED)
    }

    /// Forgets how parkings ended whose originals and copies do not come again: their blocks lie below the floors.
    pub(crate) async fn forget_ended(&mut self, journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
        let (main, own) = floors(journal, id).await?;
        self.forget_below(main, own);
        Ok(())
    }

    fn forget_below(&mut self, main: Option<u64>, own: Option<u64>) {
        let (main, own) = (main.unwrap_or(u64::MAX), own.unwrap_or(u64::MAX));
        self.ended.retain(|_, ended| ended.original >= main || ended.copy >= own);
        self.crowded_at = self.ended.len() + MANY_ENDED;
    }

    /// `floor`: below it the blocks of originals are settled.
    fn read(&mut self, block: &Block, id: &str, floor: u64) {
        for (_, record) in block.records() {
            match told(&record).filter(|(of, _)| of == id) {
                Some((_, Told::Parked(reason))) => {
                    self.park(reason.event_id, original_block(&reason).unwrap_or_default());
                }
                Some((_, Told::Ended(event, end))) if self.parked.contains_key(&event) => {
                    self.note_end(event, block.sequence(), end);
                }
                Some((_, Told::Refused(reason))) if original_block(&reason) >= Some(floor) => {
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
        self.parked.contains_key(&id) || self.ended.contains_key(&id) || self.refused.contains(&id)
    }

    /// An event was copied to quarantine. Its block may come again; of too many, some are sent once more then.
    pub(crate) fn refuse(&mut self, id: EventId) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(id);
        }
    }

    /// What became of a parked event, if it is known.
    pub(crate) fn end(&self, id: EventId) -> Option<Final> {
        self.ended.get(&id).map(|ended| ended.end)
    }

    /// `original`: the block of the original.
    pub(crate) fn park(&mut self, id: EventId, original: u64) {
        self.parked.insert(id, original);
    }

    /// `copy`: a block of the quarantine stream that is not below the copy's.
    pub(crate) fn note_end(&mut self, id: EventId, copy: u64, end: Final) {
        let original = self.parked.remove(&id).unwrap_or(u64::MAX);
        self.ended.insert(id, Ended { end, original, copy });
    }
}

/// The wait before a parked event is tried for the `n`-th time.
pub(crate) fn wait(n: u32, random: &base::Random) -> Duration {
    Backoff::new(WAITS.0, WAITS.1)
        .map_or(WAITS.1, |backoff| backoff.delay(n, Some(backoff.bound(n) / 2), random))
}

/// Below what the blocks of originals are settled, and those of parked copies.
async fn floors(journal: &dyn Journal, id: &str) -> Result<(Option<u64>, Option<u64>), JournalError> {
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let floor = |name| find(&consumers, name).map(|state| state.floor);
    Ok((floor(consumer_name(id)), floor(parked_name(id))))
}

/// What a record of the quarantine stream says about an event of a configuration.
pub(crate) enum Told {
    /// It was parked.
    Parked(Reason),
    /// Its parking ended, if it was parked.
    Ended(EventId, Final),
    /// It never was: it went to quarantine at once.
    Refused(Reason),
    /// Its entry was changed while it was in quarantine.
    Changed(Change),
}

/// What `record` says, and of which configuration. What a run has copied is none of its deliveries.
pub(crate) fn told(record: &Record<'_>) -> Option<(String, Told)> {
    if let Some(change) = quarantine::unwrap_change(record) {
        let id = change.configuration_id.clone();
        if change.turn > 0 {
            return (!change.is_of_run).then_some((id, Told::Changed(change)));
        }
        return end_of(&change).map(|end| (id, Told::Ended(change.event_id, end)));
    }
    let reason = quarantine::reason(record).filter(|reason| reason.run.is_none())?;
    let id = reason.configuration_id.clone();
    let is_parked = reason.standing == Standing::Parked;
    Some((id, if is_parked { Told::Parked(reason) } else { Told::Refused(reason) }))
}

/// The block of the original; `None` when it cannot be told.
pub(crate) fn original_block(reason: &Reason) -> Option<u64> {
    parsed(&reason.journal_offset).map(|offset| offset.block)
}

fn end_of(change: &Change) -> Option<Final> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_parkings_ended_is_forgotten_once_neither_original_nor_copy_comes_again() {
        let mut parking = Parking::default();
        let ids: Vec<EventId> = (0..3).map(|n| EventId::from_bytes([n; 16])).collect();
        for (id, original, copy) in [(ids[0], 1, 2), (ids[1], 5, 6), (ids[2], 2, 9)] {
            parking.park(id, original);
            parking.note_end(id, copy, Final::Quarantined);
        }
        parking.forget_below(Some(5), Some(9));
        let known: Vec<bool> = ids.iter().map(|id| parking.knows(*id)).collect();
        assert_eq!(known, [false, true, true]);
        for n in 0..3 * MANY_ENDED as u64 {
            let id = EventId::derive(base::Timestamp::default(), &[&n.to_string()]);
            parking.park(id, n);
            parking.note_end(id, n, Final::Quarantined);
            if parking.is_crowded() {
                parking.forget_below(Some(n), Some(n));
            }
        }
        assert!(parking.has_room() && parking.ended.len() <= MANY_ENDED, "{}", parking.ended.len());
    }
}
