//! Which events a destination should hold, as far as the settings say: those that were selected when they were stored.

use std::sync::Arc;

use base::{EventId, Timestamp};
use event::Stream;
use journal::{Block, Offset};

use super::{Period, start};
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

/// Some events, in the order of the journal.
pub(super) struct Step {
    /// Those that are selected.
    pub(super) expected: Vec<Expected>,
    pub(super) n_looked_at: u64,
    pub(super) n_unknown: u64,
    /// Where the next step begins.
    pub(super) next: Offset,
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

    /// The next events of these blocks, from `from` on: as many as hold `max_expected` selected ones at most.
    pub(super) fn step(&self, blocks: &[Arc<Block>], from: Offset, max_expected: usize) -> Step {
        let mut step = Step { expected: Vec::new(), n_looked_at: 0, n_unknown: 0, next: from };
        for block in blocks {
            let sequence = block.sequence();
            let selector = self.selectors.iter().find(|(until, _)| sequence < *until);
            let Some((_, selector)) = selector.filter(|_| sequence >= from.block) else { continue };
            for (offset, record) in block.records() {
                let received_at = record.received_at();
                if offset < from || received_at < self.period.from || received_at >= self.period.until {
                    continue;
                }
                let (is_known, is_selected) = (sequence >= self.known_from, selector.selects(&record));
                if is_selected && step.expected.len() >= max_expected {
                    return Step { next: offset, ..step };
                }
                step.n_looked_at += 1;
                step.n_unknown += u64::from(!is_known && !is_selected);
                if is_selected {
                    step.expected.push(Expected {
                        id: record.event_id(),
                        stream: record.stream(),
                        offset,
                        received_at,
                        is_assumed: !is_known,
                    });
                }
            }
        }
        let next = blocks.last().map_or(from.block, |last| last.sequence() + 1);
        Step { next: start(next), ..step }
    }
}
