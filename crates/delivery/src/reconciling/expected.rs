//! Which events a destination should hold: those that were selected when they were stored, but for those that have another
//! end than delivery.

use std::collections::HashSet;
use std::sync::Arc;

use base::{EventId, Timestamp};
use event::quarantine::{self, Standing};
use event::{Record, Stream};
use journal::{Block, Journal, JournalError, Offset};

use super::{Period, ReconcileError, Reconciled};
use crate::configuration::Configuration;
use crate::parking::each_block;
use crate::selector::Selector;
use crate::supervisor::Parts;

/// An event that the destination should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its id.
    pub id: EventId,
    /// Its stream.
    pub stream: Stream,
    /// Where it is stored.
    pub offset: Offset,
    /// When it was received.
    pub received_at: Timestamp,
}

/// What decides whether an event is expected.
pub(super) struct Expecting {
    period: Period,
    /// By the first block that each does not apply to, oldest first.
    selectors: Vec<(u64, Selector)>,
    /// Below this block nobody knows any more what was selected.
    known_from: u64,
    set_aside: SetAside,
}

impl Expecting {
    /// For blocks from `from` on.
    pub(super) async fn of(
        parts: &Parts,
        configuration: &Configuration,
        period: Period,
        from: u64,
    ) -> Result<Self, ReconcileError> {
        let epochs = configuration.epochs();
        Ok(Self {
            period,
            selectors: epochs.iter().map(|epoch| (epoch.until, Selector::of(epoch))).collect(),
            known_from: configuration.sends_from.unwrap_or_default(),
            set_aside: SetAside::of(&*parts.journal, &configuration.id, from).await?,
        })
    }

    /// The expected events of these blocks; what was looked at is counted in `found`.
    pub(super) fn of_blocks(&self, blocks: &[Arc<Block>], found: &mut Reconciled) -> Vec<Expected> {
        let mut expected = Vec::new();
        for block in blocks {
            let sequence = block.sequence();
            let Some((_, selector)) = self.selectors.iter().find(|(until, _)| sequence < *until) else {
                continue;
            };
            for (offset, record) in block.records() {
                let received_at = record.received_at();
                if received_at < self.period.from || received_at >= self.period.until {
                    continue;
                }
                found.n_looked_at += 1;
                let is_known = sequence >= self.known_from;
                if !selector.selects(&record) {
                    found.n_unknown += u64::from(!is_known);
                    continue;
                }
                if self.set_aside.contains(&record) {
                    found.n_set_aside += 1;
                    continue;
                }
                found.n_expected += 1;
                found.n_assumed += u64::from(!is_known);
                expected.push(Expected {
                    id: record.event_id(),
                    stream: record.stream(),
                    offset,
                    received_at,
                });
            }
        }
        expected
    }
}

/// The events that have another end than delivery, or none yet.
struct SetAside(HashSet<EventId>);

impl SetAside {
    /// Of a configuration: what the quarantine stream says from a block on. A copy lies behind its original.
    async fn of(journal: &dyn Journal, id: &str, from: u64) -> Result<Self, JournalError> {
        let mut ids = HashSet::new();
        each_block(journal, from, |block| {
            for (_, record) in block.records() {
                if let Some(change) = quarantine::unwrap_change(&record) {
                    if change.configuration_id == id && change.standing == Standing::Delivered {
                        ids.remove(&change.event_id);
                    }
                } else if let Some(reason) = quarantine::reason(&record)
                    && reason.configuration_id == id
                {
                    ids.insert(reason.event_id);
                }
            }
        })
        .await?;
        Ok(Self(ids))
    }

    fn contains(&self, record: &Record<'_>) -> bool {
        self.0.contains(&record.event_id())
    }
}
