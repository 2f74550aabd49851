//! Changes of entries in quarantine: by an operator who gives them up, and by whoever sends them again.

use std::collections::BTreeMap;

use base::EventId;
use destinations::Grade;
use event::quarantine::{Change, Standing, wrap_change};
use event::{Record, Stream};
use journal::{Append, AppendError, Entry, OnConflict, Producer, Receipt};

use super::entries::Slot;
use super::{Filter, Order, QuarantineError, Quarantined, afterwards};
use crate::ledger::Final;
use crate::parking::told_as;
use crate::quarantine::{KeepError, shortened};

/// Most entries that are changed by one call.
pub const MAX_AT_ONCE: usize = 100_000;
/// Most changes that are stored at a time.
const MAX_STORED: usize = 500;

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The destination took it.
    Delivered(Grade),
    /// It was refused once more: it stays in quarantine.
    Refused {
        /// In the destination's words.
        reason: String,
        /// How often it was sent, in all.
        attempts: u32,
    },
    /// An operator gives it up.
    Discarded {
        /// What the operator noted.
        note: Option<String>,
    },
}

/// What came of a change of several entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Entries that were changed.
    pub n_changed: u64,
    /// Entries that stood elsewhere than in quarantine, and were left there.
    pub left: BTreeMap<&'static str, u64>,
    /// Events that have no entry, or none any more.
    pub n_unknown: u64,
}

impl Quarantined {
    /// The events that a filter means and that are in quarantine, oldest first, at most [`MAX_AT_ONCE`]; and how many there
    /// are in all.
    pub async fn chosen(&self, id: &str, filter: &Filter) -> Result<(Vec<EventId>, u64), QuarantineError> {
        self.read_on().await?;
        let filter = Filter { standings: vec![Standing::Quarantined], ..filter.clone() };
        let view = self.0.view.lock();
        let Some(entries) = view.entries(id) else { return Ok((Vec::new(), 0)) };
        let prepared = entries.prepare(&filter);
        let mut chosen = Vec::new();
        let mut n_all = 0;
        for slot in entries.passing(&prepared, Order::OldestFirst, None) {
            n_all += 1;
            if chosen.len() < MAX_AT_ONCE {
                chosen.push(slot.id);
            }
        }
        Ok((chosen, n_all))
    }

    /// Changes one entry, durably. `by` says who does it. Answers where the entry stands when that is not in quarantine,
    /// [`None`] within when it is not there: then nothing was changed.
    pub async fn end(
        &self,
        id: &str,
        event: EventId,
        ending: &Ending,
        by: &str,
    ) -> Result<Result<(), Option<Standing>>, QuarantineError> {
        let ended = self.end_all(id, &[event], ending, by).await?;
        if ended.n_changed > 0 {
            return Ok(Ok(()));
        }
        Ok(Err(self.standing(id, event).await?))
    }

    /// Changes entries, durably, some at a time: when it fails, the first ones may have been changed. Those that are not in
    /// quarantine are left and counted.
    pub async fn end_all(
        &self,
        id: &str,
        events: &[EventId],
        ending: &Ending,
        by: &str,
    ) -> Result<Ended, QuarantineError> {
        let mut ended = Ended::default();
        for events in events.chunks(MAX_STORED) {
            let _ending = self.0.ending.lock().await;
            self.read_on().await?;
            let mut changes = Vec::new();
            for event in events {
                match self.0.view.lock().entries(id).and_then(|entries| entries.find(*event)) {
                    Some(slot) if slot.standing == Standing::Quarantined => {
                        changes.push((self.change(id, &slot, ending, by), slot));
                    }
                    Some(slot) => *ended.left.entry(slot.standing.name()).or_default() += 1,
                    None => ended.n_unknown += 1,
                }
            }
            ended.n_changed += self.store(id, changes).await?;
        }
        Ok(ended)
    }

    fn change(&self, id: &str, slot: &Slot, ending: &Ending, by: &str) -> Change {
        let (standing, grade) = match ending {
            Ending::Delivered(grade) => told_as(Final::Delivered(*grade)),
            Ending::Refused { .. } => (Standing::Quarantined, None),
            Ending::Discarded { .. } => (Standing::Discarded, None),
        };
        let (reason, attempts) = match ending {
            Ending::Delivered(_) => (None, None),
            Ending::Refused { reason, attempts } => (Some(shortened(reason)), Some(*attempts)),
            Ending::Discarded { note } => (note.as_deref().map(shortened), None),
        };
        Change {
            grade: grade.map(str::to_owned),
            reason,
            turn: slot.turn + 1,
            attempts,
            by: Some(by.to_owned()),
            previous: (slot.last != slot.copy).then(|| slot.last.to_string()),
            is_of_run: slot.is_of_run,
            ..Change::new(id.to_owned(), slot.id, self.0.clock.now(), standing)
        }
    }

    /// Stores changes. Answers how many were stored: one of the same turn may have been before, by a process that has ended.
    async fn store(&self, id: &str, changes: Vec<(Change, Slot)>) -> Result<u64, QuarantineError> {
        if changes.is_empty() {
            return Ok(0);
        }
        let journal = &*self.0.journal;
        afterwards::open(journal, id).await?;
        let wrapped = changes.iter().map(|(change, slot)| {
            let record = wrap_change(change, slot.since).map_err(|error| KeepError::Copy(slot.id, error))?;
            Record::parse(&record).map_err(|error| KeepError::Copy(slot.id, error))?;
            Ok(Entry { record, producer: Producer(0), on_conflict: OnConflict::Refuse })
        });
        let entries = wrapped.collect::<Result<Vec<_>, KeepError>>()?;
        let append = Append { stream: Stream::Quarantine, entries, request_key: None };
        let appended = journal.append(append).await.map_err(not_stored)?;
        let mut n_stored = 0;
        let mut view = self.0.view.lock();
        for ((change, _), receipt) in changes.iter().zip(appended.receipts) {
            if let (Receipt::Stored(at), Some(entries)) = (receipt, view.entries_mut(id)) {
                entries.changed(at, change);
                n_stored += 1;
            }
        }
        Ok(n_stored)
    }
}

fn not_stored(error: AppendError) -> QuarantineError {
    match error {
        AppendError::Journal(error) => QuarantineError::Journal(error),
        error => QuarantineError::Keep(Box::new(error)),
    }
}
