//! Which events a destination should hold, as far as the settings say: those that were selected when they were stored.

use std::sync::Arc;

use base::{EventId, Timestamp};
use event::Stream;
use journal::{Block, Offset};

use super::{Period, Reconciled};
use crate::configuration::Configuration;
use crate::selector::Selector;

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
    /// Whether what was selected when it was stored is not known any more.
    pub(super) is_assumed: bool,
}

/// What decides whether an event is expected.
pub(super) struct Expecting {
    period: Period,
    /// By the first block that each does not apply to, oldest first.
    selectors: Vec<(u64, Selector)>,
    /// Below this block nobody knows any more what was selected.
    known_from: u64,
}

impl Expecting {
    pub(super) fn of(configuration: &Configuration, period: Period) -> Self {
        let since = configuration.sends_since();
        let epochs = configuration.epochs();
        Self {
            period,
            selectors: epochs.iter().map(|epoch| (epoch.until, Selector::of(epoch).since(since))).collect(),
            known_from: configuration.sends_from.unwrap_or_default(),
        }
    }

    /// The selected events of these blocks; what was looked at is counted in `found`.
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
                expected.push(Expected {
                    id: record.event_id(),
                    stream: record.stream(),
                    offset,
                    received_at,
                    is_assumed: !is_known,
                });
            }
        }
        expected
    }
}
