//! What a worker does with an answer: credit what is proven, quarantine what is refused, send the rest again.

use std::time::Duration;

use base::EventId;
use destinations::{Answer, Frame, Outcome, TransportError, Verdict};
use futures::future::join_all;
use tokio::time::Instant;

use crate::batch::{Batch, Item};
use crate::ledger::Final;
use crate::quarantine::{KeepError, Refused};
use crate::status::State;
use crate::worker::Worker;

/// The longest wait that a destination is granted when it asks for one.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// A batch that proved nothing so often, while others were delivered, is cut in halves: one event in it may be what
/// the destination stumbles over.
const SUSPECT_AFTER: u32 = 5;

/// An answer, sorted by what is to be done.
#[derive(Default)]
struct Sorted {
    finals: Vec<(u64, Final)>,
    refused: Vec<(Item, String)>,
    again: Vec<Item>,
    split: bool,
    hold: bool,
    /// A single event was refused as a whole request, and it is not known whether the destination takes others.
    unsure: bool,
    reason: Option<String>,
}

impl Worker {
    pub(crate) async fn answered(&mut self, batch: Batch, result: Result<Answer, TransportError>) {
        let now = Instant::now();
        let (verdict, asked) = self.verdict(&batch, result);
        if verdict.slow_down {
            self.gate.slow_down(now);
        }
        let takes_others = self.gate.deliveries() > batch.deliveries_before;
        let sorted = sort(&batch, verdict, takes_others);
        self.note(&sorted);
        for (block, end) in &sorted.finals {
            self.close(*block, *end).await;
        }
        let (delivered, proved) = (sorted.has_delivered(), sorted.has_proved());
        self.quarantine(&batch, sorted.refused).await;
        if proved {
            self.gate.proved(delivered);
        }
        if sorted.again.is_empty() {
            return;
        }
        let frame = self.setting.current.destination.frame();
        if sorted.split {
            self.split(&batch, frame, now);
            return;
        }
        if let Some(asked) = asked {
            self.gate.wait(now + asked.min(LONGEST_ASKED));
        }
        let backoff = if sorted.hold { self.setting.pace.hold } else { self.setting.pace.backoff };
        let due = now + backoff.delay(batch.attempts, asked, &self.setting.random);
        if proved {
            self.waiting.push_back(batch.part(&sorted.again, frame, due));
            return;
        }
        // Whether others are taken is soon found out: not by this event, but by the next.
        let pause = if sorted.unsure { self.setting.pace.backoff } else { backoff };
        self.gate.failed(now, pause, &self.setting.random);
        if !sorted.hold && takes_others && batch.attempts >= SUSPECT_AFTER && batch.items.len() > 1 {
            self.split(&batch, frame, due);
        } else {
            self.waiting.push_back(Batch { due, ..batch });
        }
        self.note_next_try(now);
    }

    /// Both halves come next, so that few parts wait at a time.
    fn split(&mut self, batch: &Batch, frame: Frame, due: Instant) {
        for half in batch.halves(frame, due).into_iter().rev() {
            self.waiting.push_front(half);
        }
    }

    /// What is proven. A request without an answer proves nothing; nor does a verdict of the wrong length.
    fn verdict(&self, batch: &Batch, result: Result<Answer, TransportError>) -> (Verdict, Option<Duration>) {
        let n_events = batch.items.len();
        match result {
            Err(error) => (Verdict::all(n_events, &Outcome::Retry { reason: error.to_string() }), None),
            Ok(answer) => {
                let ids: Vec<EventId> = batch.items.iter().map(|item| item.id).collect();
                let verdict = self.setting.current.destination.classify(&ids, &answer);
                if verdict.outcomes.len() == n_events {
                    return (verdict, answer.retry_after);
                }
                let reason = "the answer could not be matched to the events".to_owned();
                (Verdict::all(n_events, &Outcome::Retry { reason }), answer.retry_after)
            }
        }
    }

    fn note(&self, sorted: &Sorted) {
        let now = self.setting.clock.now();
        let mut status = self.setting.status.lock();
        let Some(reason) = &sorted.reason else {
            status.succeeded(now);
            return;
        };
        let state = match (sorted.has_proved(), sorted.hold) {
            (_, true) => State::Holding,
            (true, false) => State::Active,
            (false, false) => State::Degraded,
        };
        if status.last_error.as_deref() != Some(reason) || status.state != state {
            tracing::warn!(consumer = self.setting.consumer.as_str(), ?state, reason, "destination");
        }
        if sorted.has_delivered() {
            status.last_success_at = Some(now);
        }
        status.failed(state, reason, now);
    }

    /// The gate must open, and a batch must be due.
    fn note_next_try(&self, now: Instant) {
        let due = self.waiting.iter().map(|batch| batch.due).min();
        let at = self.gate.changes_at(now).max(due).unwrap_or(now);
        let wait = at.saturating_duration_since(now);
        self.setting.status.lock().next_try_at = Some(self.setting.clock.now().plus(wait));
    }

    async fn close(&mut self, block: u64, end: Final) {
        if let Some((lease, tally)) = self.ledger.close(block, end) {
            self.setting.settle(lease, tally).await;
        }
    }

    /// Copies refused events to quarantine, together. What cannot be copied now is sent again later.
    async fn quarantine(&mut self, batch: &Batch, refused: Vec<(Item, String)>) {
        let (ledger, quarantine) = (&self.ledger, &self.setting.quarantine);
        let copy = async |item: &Item, reason: &str| {
            let record = ledger.record(item.block, item.index).ok_or(KeepError::Gone)?;
            let offset = (item.block, item.index);
            quarantine.keep(&Refused { record, offset, reason, attempts: batch.attempts }).await
        };
        let kept = join_all(refused.iter().map(|(item, reason)| copy(item, reason))).await;
        let mut again = Vec::new();
        for ((item, _), kept) in refused.into_iter().zip(kept) {
            match kept {
                Ok(()) => self.close(item.block, Final::Quarantined).await,
                Err(error) => {
                    let consumer = self.setting.consumer.as_str();
                    tracing::error!(consumer, %error, "cannot quarantine; trying again");
                    again.push(item);
                }
            }
        }
        if !again.is_empty() {
            let due = Instant::now() + Duration::from_secs(1);
            self.waiting.push_back(batch.part(&again, self.setting.current.destination.frame(), due));
        }
    }
}

impl Sorted {
    fn has_delivered(&self) -> bool {
        !self.finals.is_empty()
    }

    fn has_proved(&self) -> bool {
        self.has_delivered() || !self.refused.is_empty()
    }
}

/// Sorts what an answer proves. The refusal of a whole request is proof against its only event if the destination
/// `takes_others`; a destination that refuses everything is set up wrongly.
fn sort(batch: &Batch, verdict: Verdict, takes_others: bool) -> Sorted {
    let mut sorted = Sorted::default();
    let single = batch.items.len() == 1;
    for (item, outcome) in batch.items.iter().zip(verdict.outcomes) {
        match outcome {
            Outcome::Delivered(grade) => sorted.finals.push((item.block, Final::Delivered(grade))),
            Outcome::Quarantine { reason } => {
                sorted.reason.get_or_insert_with(|| reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } if single && takes_others => {
                sorted.reason = Some(reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } if !single => {
                sorted.split = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Retry { reason } => {
                sorted.reason.get_or_insert(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Split { reason } => {
                sorted.hold = true;
                sorted.unsure = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Hold { reason } => {
                sorted.hold = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
        }
    }
    // Halves are taken of whole batches only: a verdict that splits proves nothing about any event.
    sorted.split &= sorted.again.len() == batch.items.len();
    sorted
}
