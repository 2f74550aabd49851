//! What a worker is told that carries out a run: which events, how fast, and to stand back for the configuration's own
//! worker.

use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use destinations::BatchLimits;
use event::{Record, StreamSet};
use journal::{Block, ConsumerCommand, Offset};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::document::RunKind;
use super::redrive::Again;
use super::sift::Sift;
use super::throttle::Throttle;
use crate::batch::Batch;
use crate::lasting::Lasting;
use crate::quarantine::KeepError;
use crate::selector::Selector;
use crate::status::State;
use crate::supervisor::Statuses;
use crate::worker::{Setting, Worker};

/// Requests of a run in flight at once: the others are for what is new.
const MAX_IN_FLIGHT: usize = 1;
/// How long a run waits for blocks before it looks whether it has come to its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How often a run that stands back looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After so long a run tries one request all the same: the other worker may have nothing to send, and so not notice that
/// its destination is there again.
const TRY_ANYWAY: Duration = Duration::from_mins(5);

/// The worker that a run stands back for.
pub(crate) struct Beside {
    pub(crate) configuration_id: String,
    pub(crate) statuses: Statuses,
    /// What it has delivered shows that the destination takes events.
    pub(crate) lasting: Arc<Lasting>,
}

impl Beside {
    /// Whether its destination takes nothing.
    fn is_in_trouble(&self) -> bool {
        let status = self.statuses.lock().get(&self.configuration_id).cloned();
        status.is_some_and(|status| {
            matches!(status.lock().state(), State::Degraded | State::Holding | State::Stopped)
        })
    }
}

/// The orders.
pub(crate) struct Orders {
    pub(crate) kind: RunKind,
    /// The first block that is not part of the run.
    pub(crate) until: u64,
    pub(crate) sift: Sift,
    pub(crate) again: Again,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) beside: Beside,
    /// Since when it stands back, or when it last tried one request meanwhile.
    pub(crate) standing_back: Mutex<Option<Instant>>,
}

impl Orders {
    fn limits(&self, limits: BatchLimits) -> BatchLimits {
        BatchLimits {
            max_events: self.throttle.max_events(limits.max_events),
            max_in_flight: limits.max_in_flight.min(MAX_IN_FLIGHT),
            ..limits
        }
    }

    fn stands_back(&self, now: Instant) -> bool {
        let mut since = self.standing_back.lock();
        if !self.beside.is_in_trouble() {
            *since = None;
            return false;
        }
        now < *since.get_or_insert(now) + TRY_ANYWAY
    }

    /// Whether a request may go out.
    fn may_send(&self, now: Instant) -> bool {
        self.throttle.opens_at(now).is_none() && !self.stands_back(now)
    }

    /// When that is to be asked again.
    fn changes_at(&self, now: Instant) -> Option<Instant> {
        let waits = self.standing_back.lock().is_some();
        self.throttle.opens_at(now).into_iter().chain(waits.then_some(now + LOOK_AGAIN)).min()
    }

    fn sent(&self, now: Instant, n_events: usize) {
        self.throttle.sent(now, n_events);
        let mut standing_back = self.standing_back.lock();
        *standing_back = standing_back.map(|_| now);
    }
}

impl Setting {
    /// The streams that are leased.
    pub(crate) fn streams(&self) -> StreamSet {
        self.orders.as_ref().map_or_else(StreamSet::product, |orders| orders.kind.streams())
    }

    /// How long blocks are waited for.
    pub(crate) fn lease_wait(&self) -> Duration {
        if self.orders.is_some() { PATIENCE } else { self.pace.lease_ttl / 2 }
    }

    /// Whether events of a block may be selected.
    pub(crate) fn concerns(&self, selector: &Selector, block: &Block) -> bool {
        selector.streams().contains(block.stream())
            && self.orders.as_ref().is_none_or(|orders| orders.sift.concerns(block))
    }

    /// Whether an event of such a block is selected.
    pub(crate) fn selects(&self, selector: &Selector, offset: Offset, record: &Record<'_>) -> bool {
        selector.selects(record)
            && self.orders.as_ref().is_none_or(|orders| orders.sift.picks(offset, record))
    }

    /// Whether documents say that they are sent again on purpose.
    pub(crate) fn is_replay(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.kind == RunKind::Replay)
    }

    /// How much goes into one request, and how many are in flight.
    pub(crate) fn limits(&self) -> BatchLimits {
        let limits = self.current.destination.limits();
        self.orders.as_ref().map_or(limits, |orders| orders.limits(limits))
    }

    /// Whether a run has met an event that is in quarantine already, or was: then it gets no second entry.
    pub(crate) async fn has_entry(&self, event: EventId) -> Result<bool, KeepError> {
        let Some(orders) = &self.orders else { return Ok(false) };
        let standing = orders.again.quarantined.standing(&self.quarantine.configuration_id, event).await;
        standing
            .map(|standing| standing.is_some())
            .map_err(|error| KeepError::Standing(event, Box::new(error)))
    }

    /// Whether a request may go out, as far as a run's orders are concerned.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        self.orders.as_ref().is_none_or(|orders| orders.may_send(now))
    }

    /// When that is to be asked again.
    pub(crate) fn may_send_at(&self, now: Instant) -> Option<Instant> {
        self.orders.as_ref()?.changes_at(now)
    }

    /// A request goes out.
    pub(crate) fn note_sent(&self, now: Instant, n_events: usize) {
        if let Some(orders) = &self.orders {
            orders.sent(now, n_events);
        }
    }
}

impl Worker {
    /// How many requests have delivered something: for a run, those of the configuration's own worker too.
    pub(crate) fn deliveries(&self) -> u64 {
        let beside = self.setting.orders.as_ref().map_or(0, |orders| orders.beside.lasting.n_deliveries());
        self.gate.deliveries() + beside
    }

    /// Whether a run has come to its end. Only the journal knows: a settle may have been lost.
    pub(crate) async fn is_over(&mut self) -> bool {
        let Some(orders) = &self.setting.orders else { return false };
        let is_idle = self.in_flight.is_empty() && self.waiting.is_empty() && self.filling.is_none();
        if !is_idle || !self.ledger.leases().is_empty() {
            return false;
        }
        match self.setting.journal.consumers(ConsumerCommand::List).await {
            Ok(all) => all
                .iter()
                .find(|consumer| consumer.name == self.setting.consumer)
                .is_some_and(|consumer| consumer.state.floor >= orders.until),
            Err(error) => {
                tracing::warn!(consumer = self.setting.consumer.as_str(), %error, "cannot tell how far a run is");
                false
            }
        }
    }

    /// An event of a run that the destination stumbles over goes to quarantine, and the run goes on without it: nobody
    /// would try it again later.
    pub(crate) async fn leave_behind(&mut self, batch: Batch, reason: String) {
        let refused = batch.items.iter().map(|item| (item.clone(), reason.clone())).collect();
        self.quarantine(&batch, refused).await;
        self.setting.status.lock().unstuck(Instant::now(), self.setting.clock.now());
    }
}
