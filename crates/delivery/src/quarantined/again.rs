//! Entries that are sent again by a run: which of them, and what a run that was interrupted had done with them.

use std::collections::HashSet;

use base::EventId;
use destinations::Grade;
use event::quarantine::{Change, Standing};
use journal::Offset;

use super::entries::Entries;
use super::showing::Blocks;
use super::{Filter, Order, QuarantineError, Quarantined};
use crate::ledger::Final;

/// What there is to send again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToSend {
    /// Entries.
    pub n_entries: u64,
    /// The block of the first copy; 0 when there is none.
    pub first: u64,
    /// The block of the last copy.
    pub last: u64,
}

/// What a run does about a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It sends it.
    Send,
    /// It has had its answer before, and that is stored.
    Had(Final),
    /// Nothing.
    Pass,
}

impl Quarantined {
    /// What is in quarantine of what a filter means. `events`: only these; `None`: any.
    pub async fn to_send(
        &self,
        id: &str,
        filter: &Filter,
        events: Option<&HashSet<EventId>>,
    ) -> Result<ToSend, QuarantineError> {
        self.read_on().await?;
        let view = self.0.view.lock();
        let Some(entries) = view.entries(id) else { return Ok(ToSend::default()) };
        let prepared = entries.prepare(&standing(filter));
        let mut found = ToSend::default();
        let chosen = entries.passing(&prepared, Order::OldestFirst, None);
        for slot in chosen.filter(|slot| events.is_none_or(|events| events.contains(&slot.id))) {
            found.n_entries += 1;
            found.first = if found.first == 0 { slot.copy.block } else { found.first };
            found.last = slot.copy.block;
        }
        Ok(found)
    }

    /// What a run does about each of these copies of events. What it has changed itself lies at `since` or behind it.
    pub(crate) async fn turns(
        &self,
        id: &str,
        copies: &[(Offset, EventId)],
        filter: &Filter,
        (by, since): (&str, u64),
    ) -> Result<Vec<Turn>, QuarantineError> {
        self.read_on().await?;
        let mut turns = Vec::with_capacity(copies.len());
        let mut changed = Vec::new();
        if let Some(entries) = self.0.view.lock().entries(id) {
            let prepared = entries.prepare(&standing(filter));
            for (at, event) in copies {
                let slot = entries.find(*event).filter(|slot| slot.copy == *at);
                changed.push(
                    slot.filter(|slot| slot.turn > 0 && slot.last.block >= since).map(|slot| slot.last),
                );
                let is_sent = slot.is_some_and(|slot| Entries::is_meant(&prepared, &slot));
                turns.push(if is_sent { Turn::Send } else { Turn::Pass });
            }
        }
        turns.resize(copies.len(), Turn::Pass);
        let mut blocks = Blocks::new(self);
        for (turn, changed) in turns.iter_mut().zip(changed) {
            let Some(at) = changed else { continue };
            if let Some(change) = blocks.change(at).await?.filter(|change| change.by.as_deref() == Some(by)) {
                *turn = Turn::Had(had(&change));
            }
        }
        Ok(turns)
    }
}

/// The same, of what is in quarantine.
fn standing(filter: &Filter) -> Filter {
    Filter { standings: vec![Standing::Quarantined], ..filter.clone() }
}

fn had(change: &Change) -> Final {
    match (change.standing, change.grade.as_deref()) {
        (Standing::Delivered, Some("confirmed")) => Final::Delivered(Grade::Confirmed),
        (Standing::Delivered, Some("diverted")) => Final::Delivered(Grade::Diverted),
        (Standing::Delivered, _) => Final::Delivered(Grade::Accepted),
        _ => Final::Quarantined,
    }
}
