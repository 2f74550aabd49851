//! What a worker does with an answer: credit what is proven, quarantine what is refused, send the rest again.

use std::collections::BTreeSet;
use std::time::Duration;

use base::EventId;
use destinations::{Ack, Answer, Frame, Grade, Outcome, TransportError, Verdict};
use event::quarantine::Standing;
use futures::future::join_all;
use http::HeaderMap;
use tokio::time::Instant;

use crate::attempts::{self, Attempt, Outcomes};
use crate::batch::{Batch, Item};
use crate::health::Signal;
use crate::ledger::{End, Final};
use crate::outgoing::Exchange;
use crate::parking;
use crate::quarantine::{KeepError, Refused};
use crate::sorted::{Sorted, sort};
use crate::worker::Worker;

/// The longest wait that a destination is granted when it asks for one.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// A batch that proved nothing so often, each time while others were delivered, is cut in halves: one event in it may be
/// what the destination stumbles over.
const SUSPECT_AFTER: u32 = 5;
/// Halves begin with so many suspicions: a destination that fails now and then must not have everything cut to pieces.
const HALVES_BEGIN_WITH: u32 = 2;
/// A batch that proved nothing so often since it was made is cut in halves although nothing else is delivered meanwhile:
/// there may be an event in each waiting batch that the destination stumbles over. As long as nothing at all was delivered
/// since it was first sent the number doubles with each cut, so that an outage leaves few pieces.
const DOUBT_AFTER: u32 = 8;
/// A single event that proved nothing so often is parked.
const PARK_AFTER: u32 = 7;

/// What came back: what it proves, how long the other side asked to wait, and the headers of an answer.
type Heard = (Verdict, Option<Duration>, Option<HeaderMap>);

impl Worker {
    pub(crate) async fn answered(&mut self, batch: Batch, exchange: Exchange) {
        let now = Instant::now();
        let sent = exchange.sent;
        let mut attempt = self.attempt(&batch, &exchange);
        let detail = attempts::detail(
            &*self.setting.current.destination,
            &batch,
            exchange.request.as_ref(),
            exchange.result.as_ref().ok(),
        );
        let (verdict, asked, headers) = self.verdict(&batch, exchange.result);
        if verdict.slow_down {
            self.gate.slow_down(now);
        }
        // What is in quarantine already stays there when it is refused once more: nothing is given up by that.
        let takes_others = self.deliveries() > batch.deliveries_before || self.setting.is_redrive();
        let (ack, exhausted) = (verdict.ack, verdict.exhausted);
        let mut sorted = sort(&batch, verdict, takes_others);
        let (taken, proved) = (sorted.has_taken(), sorted.has_proved());
        attempt.outcomes = sorted.outcomes(matches!(ack, Ack::Given(_)));
        attempt.reason.clone_from(&sorted.reason);
        self.setting.lasting.attempted(attempt, detail);
        self.hear(&batch, ack, headers.as_ref(), &mut sorted, now).await;
        if let Some(post) = batch.post.filter(|_| exhausted) {
            self.acks.leave(post);
        }
        if sorted.hold {
            self.acks.question_offer();
        }
        self.note(&batch, &sorted, taken, proved, sent);
        let delivered = std::mem::take(&mut sorted.taken);
        self.deliver(&batch, delivered).await;
        self.quarantine(&batch, std::mem::take(&mut sorted.refused)).await;
        if proved {
            self.gate.proved(taken);
        }
        if let Some(asked) = asked.filter(|_| !sorted.again.is_empty()) {
            self.gate.wait(now, asked.min(LONGEST_ASKED), &self.setting.random);
        }
        match (sorted.again.is_empty(), batch.is_parked) {
            (true, _) => {}
            (false, true) => self.put_off(&batch).await,
            (false, false) => self.try_again(batch, sorted, asked, now).await,
        }
    }

    /// What there is to tell of an exchange before it is understood.
    fn attempt(&self, batch: &Batch, exchange: &Exchange) -> Attempt {
        let took = exchange.sent.elapsed();
        let mut blocks: Vec<(u64, u32)> = batch.items.iter().map(Item::place).collect();
        blocks.dedup_by_key(|(block, _)| *block);
        let streams = blocks.into_iter().filter_map(|(block, index)| self.ledger.record(block, index));
        let streams: BTreeSet<_> = streams.map(|record| record.stream()).collect();
        Attempt {
            n: 0,
            at: self.setting.clock.now(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            events: batch.items.len(),
            streams: streams.into_iter().collect(),
            bytes: batch.body.len(),
            tries: batch.attempts,
            status: exchange.result.as_ref().ok().map(|answer| answer.status),
            reason: None,
            outcomes: Outcomes::default(),
        }
    }

    /// Sends again what an answer proves nothing about.
    async fn try_again(&mut self, mut batch: Batch, sorted: Sorted, asked: Option<Duration>, now: Instant) {
        let frame = self.setting.current.destination.frame();
        if sorted.split {
            self.split(&batch, frame, now);
            return;
        }
        let proved = sorted.again.len() < batch.items.len();
        let backoff = if sorted.hold { self.setting.pace.hold } else { self.setting.pace.backoff };
        let mut due = now + backoff.delay(batch.attempts, asked, &self.setting.random);
        if proved {
            batch.suspicions = 0;
            self.waiting.push_back(batch.part(&sorted.again, frame, due));
            return;
        }
        let known = batch.deliveries_before.max(batch.deliveries_at_suspicion);
        if self.deliveries() > known && !sorted.hold {
            batch.suspicions += 1;
            batch.deliveries_at_suspicion = self.deliveries();
            // The destination is there: whatever it stumbles over is soon found out.
            due = now + backoff.delay(batch.suspicions, asked, &self.setting.random);
        }
        batch.in_vain += 1;
        // Whether others are taken is soon found out: not by this event, but by the next.
        let pause = if sorted.unsure { self.setting.pace.backoff } else { backoff };
        self.gate.failed(now, pause, &self.setting.random);
        let is_single = batch.items.len() == 1;
        if is_single && batch.suspicions >= PARK_AFTER && self.parking.has_room() {
            self.park(Batch { due, ..batch }, sorted.reason.unwrap_or_default()).await;
            return;
        }
        let is_suspect = batch.suspicions >= SUSPECT_AFTER;
        if !is_single && (is_suspect || self.is_doubted(&batch)) && !sorted.hold {
            batch.suspicions = batch.suspicions.min(HALVES_BEGIN_WITH);
            batch.in_vain = 0;
            batch.n_cuts += 1;
            self.split(&batch, frame, due);
        } else {
            self.waiting.push_back(Batch { due, ..batch });
        }
        self.note_next_try(now);
    }

    /// Whether a batch is to be cut without others to compare it with.
    fn is_doubted(&self, batch: &Batch) -> bool {
        let takes_others = self.deliveries() > batch.deliveries_before;
        let doublings = if takes_others { 0 } else { batch.n_cuts.min(16) };
        batch.in_vain >= DOUBT_AFTER << doublings
    }

    /// Both halves come next, so that few parts wait at a time.
    fn split(&mut self, batch: &Batch, frame: Frame, due: Instant) {
        for half in batch.halves(frame, due).into_iter().rev() {
            self.waiting.push_front(half);
        }
    }

    /// What is proven. A request without an answer proves nothing; nor does a verdict of the wrong length.
    fn verdict(&self, batch: &Batch, result: Result<Answer, TransportError>) -> Heard {
        let nothing = |reason: String| Verdict::all(batch.items.len(), &Outcome::Retry { reason });
        self.setting.status.lock().last_http_status = result.as_ref().ok().map(|answer| answer.status);
        match result {
            Err(error) => (Verdict { ack: Ack::Lost, ..nothing(error.to_string()) }, None, None),
            Ok(answer) => {
                let ids: Vec<EventId> = batch.items.iter().map(|item| item.id).collect();
                let verdict = self.setting.current.destination.classify(&ids, &answer);
                let verdict = if verdict.outcomes.len() == ids.len() {
                    verdict
                } else {
                    nothing("the answer could not be matched to the events".to_owned())
                };
                (verdict, answer.retry_after, Some(answer.headers))
            }
        }
    }

    fn note(&self, batch: &Batch, sorted: &Sorted, taken: bool, proved: bool, sent: Instant) {
        let now = self.setting.clock.now();
        let Some(reason) = &sorted.reason else {
            // What is taken and then never acknowledged is no success.
            if !self.acks.is_doubtful() {
                self.setting.status.lock().succeeded(Instant::now(), now);
            }
            return;
        };
        if batch.is_parked {
            // That it stumbles over this one is known.
            tracing::debug!(consumer = self.setting.consumer.as_str(), reason, "a parked event");
            return;
        }
        let signal = match (proved, sorted.hold) {
            (_, true) => Signal::Hold,
            (true, false) => Signal::Proof,
            (false, false) => Signal::Nothing { sent },
        };
        self.complain(signal, reason);
        if taken {
            self.setting.status.lock().last_success_at = Some(now);
        }
    }

    /// The gate must open, and a batch must be due.
    fn note_next_try(&self, now: Instant) {
        let due = self.waiting.iter().map(|batch| batch.due).min();
        let at = self.gate.changes_at(now).max(due).unwrap_or(now);
        let wait = at.saturating_duration_since(now);
        self.setting.status.lock().next_try_at = Some(self.setting.clock.now().plus(wait));
    }

    pub(crate) async fn close(&mut self, block: u64, end: Final) {
        match self.ledger.close(block, end) {
            None => {}
            Some((lease, End::Done(tally))) => self.setting.settle(lease, tally).await,
            Some((lease, End::Later(n))) => {
                self.setting.hand_back(lease, parking::wait(n, &self.setting.random)).await;
            }
        }
    }

    /// Credits events of a batch that are delivered: taken for good, or acknowledged.
    pub(crate) async fn deliver(&mut self, batch: &Batch, delivered: Vec<(Item, Grade)>) {
        if delivered.is_empty() {
            return;
        }
        let n_bytes = delivered.iter().map(|(item, _)| item.piece.len() as u64).sum();
        self.setting.lasting.delivered(self.setting.clock.now(), delivered.len() as u64, n_bytes);
        if self.setting.is_redrive() {
            self.end_delivered(delivered).await;
            return;
        }
        for (item, grade) in delivered {
            let end = Final::Delivered(grade);
            if batch.is_parked {
                self.end_parked(&item, end, None).await;
            } else {
                self.close(item.block, end).await;
            }
        }
    }

    /// Copies refused events to quarantine, together. What cannot be copied now is sent again later.
    pub(crate) async fn quarantine(&mut self, batch: &Batch, refused: Vec<(Item, String)>) {
        if batch.is_parked {
            for (item, reason) in refused {
                self.end_parked(&item, Final::Quarantined, Some(reason)).await;
            }
            return;
        }
        if self.setting.is_redrive() {
            self.end_refused(batch, refused).await;
            return;
        }
        let (ledger, quarantine) = (&self.ledger, &self.setting.quarantine);
        let copy = async |item: &Item, reason: &str| {
            if self.setting.has_entry(item.id).await? {
                return Ok(());
            }
            let record = ledger.record(item.block, item.index).ok_or(KeepError::Gone)?;
            let offset = item.place();
            let (attempts, standing) = (batch.attempts, Standing::Quarantined);
            quarantine.keep(&Refused { record, offset, reason, attempts, standing }).await
        };
        let kept = join_all(refused.iter().map(|(item, reason)| copy(item, reason))).await;
        let mut again = Vec::new();
        for ((item, _), kept) in refused.into_iter().zip(kept) {
            match kept {
                Ok(()) => {
                    self.parking.refuse(item.id);
                    self.close(item.block, Final::Quarantined).await;
                }
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
