//! What a worker does with an answer: credit what is proven, quarantine what is refused, send the rest again.

use std::time::Duration;

use destinations::{Answer, Outcome, TransportError, Verdict};
use tokio::time::Instant;

use crate::batch::{Batch, Item};
use crate::ledger::Final;
use crate::quarantine::Refused;
use crate::status::State;
use crate::worker::Worker;

/// An answer, sorted by what is to be done.
#[derive(Default)]
struct Sorted {
    finals: Vec<(u64, Final)>,
    refused: Vec<(Item, String)>,
    again: Vec<Item>,
    split: bool,
    hold: bool,
    reason: Option<String>,
}

impl Worker {
    pub(crate) async fn answered(&mut self, batch: Batch, result: Result<Answer, TransportError>) {
        let now = Instant::now();
        let (verdict, asked) = self.verdict(&batch, result);
        if verdict.slow_down {
            self.gate.slow_down(now);
        }
        let sorted = sort(&batch, verdict);
        let proved = !sorted.finals.is_empty() || !sorted.refused.is_empty();
        self.note(&sorted, proved);
        for (block, end) in &sorted.finals {
            self.close(*block, *end).await;
        }
        self.quarantine(&batch, sorted.refused).await;
        if sorted.again.is_empty() {
            self.gate.proved();
            return;
        }
        let frame = self.setting.destination.frame();
        if sorted.split {
            self.waiting.extend(batch.halves(frame, now));
            return;
        }
        let backoff = if sorted.hold { self.setting.pace.hold } else { self.setting.pace.backoff };
        if proved {
            self.gate.proved();
            let due = now + backoff.delay(batch.attempts, asked, &self.setting.random);
            self.waiting.push_back(batch.part(sorted.again, frame, due));
        } else {
            self.gate.failed(now, backoff, asked, &self.setting.random);
            self.note_next_try(now);
            self.waiting.push_front(Batch { due: now, ..batch });
        }
    }

    /// What is proven. A request without an answer proves nothing; nor does a verdict of the wrong length.
    fn verdict(&self, batch: &Batch, result: Result<Answer, TransportError>) -> (Verdict, Option<Duration>) {
        let n_events = batch.items.len();
        match result {
            Err(error) => (Verdict::all(n_events, &Outcome::Retry { reason: error.to_string() }), None),
            Ok(answer) => {
                let verdict = self.setting.destination.classify(n_events, &answer);
                if verdict.outcomes.len() == n_events {
                    return (verdict, answer.retry_after);
                }
                let reason = "the answer could not be matched to the events".to_owned();
                (Verdict::all(n_events, &Outcome::Retry { reason }), answer.retry_after)
            }
        }
    }

    fn note(&self, sorted: &Sorted, proved: bool) {
        let now = self.setting.clock.now();
        let mut status = self.setting.status.lock();
        let Some(reason) = &sorted.reason else {
            status.succeeded(now);
            return;
        };
        let state = match (proved, sorted.hold) {
            (_, true) => State::Holding,
            (true, false) => State::Active,
            (false, false) => State::Degraded,
        };
        if status.last_error.as_deref() != Some(reason) || status.state != state {
            tracing::warn!(consumer = self.setting.consumer.as_str(), ?state, reason, "destination");
        }
        status.failed(state, reason, now);
    }

    fn note_next_try(&self, now: Instant) {
        let wait = self.gate.changes_at(now).map_or(Duration::ZERO, |at| at - now);
        self.setting.status.lock().next_try_at = Some(self.setting.clock.now().plus(wait));
    }

    async fn close(&mut self, block: u64, end: Final) {
        if let Some((lease, tally)) = self.ledger.close(block, end) {
            self.setting.settle(lease, tally).await;
        }
    }

    /// Copies refused events to quarantine. What cannot be copied now is sent again later.
    async fn quarantine(&mut self, batch: &Batch, refused: Vec<(Item, String)>) {
        if refused.is_empty() {
            return;
        }
        let copies = refused
            .iter()
            .filter_map(|(item, reason)| {
                let record = self.ledger.record(item.block, item.index)?;
                Some(Refused { record, offset: (item.block, item.index), reason, attempts: batch.attempts })
            })
            .collect();
        match self.setting.quarantine.keep(copies).await {
            Ok(()) => {
                for (item, _) in refused {
                    self.close(item.block, Final::Quarantined).await;
                }
            }
            Err(error) => {
                tracing::error!(consumer = self.setting.consumer.as_str(), %error, "cannot quarantine; trying again");
                let due = Instant::now() + Duration::from_secs(1);
                let items = refused.into_iter().map(|(item, _)| item);
                self.waiting.push_back(batch.part(items, self.setting.destination.frame(), due));
            }
        }
    }
}

fn sort(batch: &Batch, verdict: Verdict) -> Sorted {
    let mut sorted = Sorted::default();
    let single = batch.items.len() == 1;
    for (item, outcome) in batch.items.iter().zip(verdict.outcomes) {
        match outcome {
            Outcome::Delivered(grade) => sorted.finals.push((item.block, Final::Delivered(grade))),
            Outcome::Quarantine { reason } => {
                sorted.reason.get_or_insert_with(|| reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } if single => {
                sorted.reason = Some(reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } => {
                sorted.split = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Retry { reason } => {
                sorted.reason.get_or_insert(reason);
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
