//! How a worker carries out a redrive: what is in quarantine is sent again, encoded by the settings as they are now, and
//! what became of each is stored before its block is settled.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use destinations::{Destination, Grade};
use event::{Record, quarantine};
use journal::{Block, Lease, Offset};
use tokio::time::Instant;

use super::document::{Picked, RunKind};
use crate::batch::{Batch, Item};
use crate::copies::parsed;
use crate::health::Signal;
use crate::ledger::Final;
use crate::quarantined::again::Turn;
use crate::quarantined::{Ending, Filter, Quarantined};
use crate::worker::{Setting, Worker};

/// How long a block is left alone of which nobody can tell where its entries stand.
const LEFT_FOR: Duration = Duration::from_secs(5);

/// What of quarantine a run sends.
pub(crate) struct Again {
    pub(crate) quarantined: Quarantined,
    filter: Filter,
    events: Option<HashSet<EventId>>,
    /// Who changes entries, as their history says.
    by: String,
}

impl Again {
    pub(crate) fn new(quarantined: Quarantined, picked: &Picked, run: &str) -> Self {
        Self {
            quarantined,
            filter: picked.in_quarantine(),
            events: picked.n_events.map(|_| picked.events.iter().copied().collect()),
            by: format!("run {run}"),
        }
    }
}

impl Picked {
    /// What means the same entries as a filter.
    pub fn of_entries(filter: &Filter) -> Self {
        Self {
            streams: filter.stream.into_iter().collect(),
            event_type: filter.event_type.clone(),
            cause: filter.cause.clone(),
            received_from: filter.from,
            received_until: filter.until,
            ..Self::default()
        }
    }

    /// Which entries of quarantine it means, but for the list of events.
    pub fn in_quarantine(&self) -> Filter {
        Filter {
            standings: Vec::new(),
            stream: self.streams.first().copied(),
            event_type: self.event_type.clone(),
            cause: self.cause.clone(),
            from: self.received_from,
            until: self.received_until,
            events: Vec::new(),
        }
    }
}

/// A copy that is to be sent.
struct Copy {
    index: u32,
    id: EventId,
    /// Where the original lies.
    from: Option<(u64, u32)>,
    original: Vec<u8>,
}

impl Setting {
    /// Whether it tries again what is in quarantine.
    pub(crate) fn is_redrive(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.kind == RunKind::Redrive)
    }
}

impl Worker {
    /// Sends what of a block of the quarantine stream is in quarantine and was asked for.
    pub(crate) async fn take_copies(&mut self, lease: Lease) {
        if self.ledger.renew(&lease) {
            return;
        }
        let Some(orders) = self.setting.orders.clone() else { return };
        let (block, id) = (Arc::clone(&lease.block), self.setting.quarantine.configuration_id.clone());
        let again = &orders.again;
        let copies = copies_in(&block, &id, again.events.as_ref());
        let asked: Vec<_> = copies.iter().map(|(offset, reason)| (*offset, reason.event_id)).collect();
        let told = (again.by.as_str(), orders.until);
        let turns = match again.quarantined.turns(&id, &asked, &again.filter, told).await {
            Ok(turns) => turns,
            Err(error) => {
                let now = self.setting.clock.now();
                self.setting.status.lock().failed(Signal::Overdue, &error.to_string(), Instant::now(), now);
                self.setting.hand_back(lease.id, LEFT_FOR).await;
                return;
            }
        };
        let turns: Vec<_> = copies.into_iter().zip(turns).filter(|(_, turn)| *turn != Turn::Pass).collect();
        if let Some((id, tally)) = self.ledger.open(lease, turns.len(), block.n_gone()) {
            self.setting.settle(id, tally).await;
            return;
        }
        let destination = Arc::clone(&self.setting.current.destination);
        for ((offset, reason), turn) in turns {
            let copy = match turn {
                Turn::Had(end) => Err(end),
                // What cannot be taken apart stays where it is.
                _ => unwrapped(&block, offset, &reason).ok_or(Final::Quarantined),
            };
            match copy {
                Ok(copy) => self.add_copy(&*destination, block.sequence(), &copy),
                Err(end) => self.close(block.sequence(), end).await,
            }
        }
    }

    fn add_copy(&mut self, destination: &dyn Destination, block: u64, copy: &Copy) {
        if let Ok(original) = Record::parse(&copy.original) {
            self.add_piece(destination, (block, copy.index), copy.id, |body| {
                destination.encode(&original, copy.from, false, body);
            });
        }
    }

    /// Entries were delivered: that is stored, then they count.
    pub(crate) async fn end_delivered(&mut self, delivered: Vec<(Item, Grade)>) {
        let mut by_grade: BTreeMap<Grade, Vec<Item>> = BTreeMap::new();
        for (item, grade) in delivered {
            by_grade.entry(grade).or_default().push(item);
        }
        for (grade, items) in by_grade {
            self.end(items, &Ending::Delivered(grade), Final::Delivered(grade)).await;
        }
    }

    /// Entries were refused once more: they stay in quarantine, for the reason of this time.
    pub(crate) async fn end_refused(&mut self, batch: &Batch, refused: Vec<(Item, String)>) {
        let mut by_reason: BTreeMap<(String, u32), Vec<Item>> = BTreeMap::new();
        for (item, reason) in refused {
            let copy = self.ledger.record(item.block, item.index);
            let before = copy.and_then(|copy| quarantine::reason(&copy)).map_or(0, |reason| reason.attempts);
            by_reason.entry((reason, before.saturating_add(batch.attempts))).or_default().push(item);
        }
        for ((reason, attempts), items) in by_reason {
            self.end(items, &Ending::Refused { reason, attempts }, Final::Quarantined).await;
        }
    }

    /// What cannot be stored is sent again with its block.
    async fn end(&mut self, items: Vec<Item>, ending: &Ending, end: Final) {
        let Some(orders) = self.setting.orders.clone() else { return };
        let id = self.setting.quarantine.configuration_id.clone();
        let events: Vec<EventId> = items.iter().map(|item| item.id).collect();
        // An entry that somebody else has changed meanwhile stays as that says; what the destination said is true all the same.
        let stored = orders.again.quarantined.end_all(&id, &events, ending, &orders.again.by).await;
        let end = stored.map_or_else(
            |error| {
                let consumer = self.setting.consumer.as_str();
                tracing::error!(consumer, %error, "what became of entries in quarantine cannot be stored; they are sent again");
                Final::Later
            },
            |_| end,
        );
        for item in items {
            self.close(item.block, end).await;
        }
    }
}

/// The copies of a block that may be asked for.
fn copies_in(
    block: &Block,
    id: &str,
    events: Option<&HashSet<EventId>>,
) -> Vec<(Offset, quarantine::Reason)> {
    let copies = block.records().filter_map(|(offset, copy)| Some((offset, quarantine::reason(&copy)?)));
    copies
        .filter(|(_, reason)| reason.configuration_id == id)
        .filter(|(_, reason)| events.is_none_or(|events| events.contains(&reason.event_id)))
        .collect()
}

fn unwrapped(block: &Block, offset: Offset, reason: &quarantine::Reason) -> Option<Copy> {
    let copy = Record::parse(block.record_bytes(offset.index as usize)?).ok()?;
    let (_, original) = quarantine::unwrap(&copy)?;
    Record::parse(&original).ok()?;
    let from = parsed(&reason.journal_offset).map(|offset| (offset.block, offset.index));
    Some(Copy { index: offset.index, id: reason.event_id, from, original })
}
