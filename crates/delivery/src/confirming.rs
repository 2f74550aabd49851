//! How a worker asks for acknowledgements, and what it does with them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use destinations::transport::FailureKind;
use destinations::{Ack, AckVerdict, Acknowledgement, Answer, Grade, TransportError};
use http::HeaderMap;
use tokio::time::Instant;

use crate::acks::{Offered, Question, Why};
use crate::batch::Batch;
use crate::health::Signal;
use crate::sorted::Sorted;
use crate::status::Acknowledging;
use crate::worker::Worker;

/// Questions in a row without an answer after which the status says so.
const SILENT_AFTER: u32 = 3;
/// What the status says when taken events are not acknowledged.
const NOT_ACKNOWLEDGED: &str = "events were taken and not acknowledged in time; they are sent again. The indexers may be \
                                overloaded or restarting; or a load balancer sends requests of one session to different \
                                indexers: it must be sticky, by cookie or by address";

pub(crate) type Told = (Question, Result<Answer, TransportError>);
pub(crate) type Asking = Pin<Box<dyn Future<Output = Told> + Send>>;

impl Worker {
    /// Notes what an answer says about acknowledgement. What will be acknowledged is taken out of `sorted`: it is not
    /// delivered yet.
    pub(crate) async fn hear(
        &mut self,
        batch: &Batch,
        ack: Ack,
        headers: Option<&HeaderMap>,
        sorted: &mut Sorted,
        now: Instant,
    ) {
        let Some(post) = batch.post else { return };
        match headers {
            None => self.acks.lost(post, now),
            Some(headers) => {
                let is_given = matches!(ack, Ack::Given(_));
                let waiting = (is_given && sorted.has_taken()).then(|| {
                    let items: Vec<_> =
                        std::mem::take(&mut sorted.taken).into_iter().map(|(item, _)| item).collect();
                    batch.part(&items, self.setting.current.destination.frame(), now)
                });
                if sorted.has_taken() {
                    self.note_not_offered();
                    self.acks.took_for_good();
                }
                self.acks.answered(post, ack, headers, waiting, now);
            }
        }
        self.sort_acks(now).await;
    }

    fn note_not_offered(&self) {
        let wanted = self.setting.current.destination.acknowledgement();
        if wanted != Acknowledgement::Off && self.acks.offered() != Offered::No {
            tracing::warn!(
                consumer = self.setting.consumer.as_str(),
                "the token has no indexer acknowledgement: what Splunk takes is `accepted`, and can still be lost there"
            );
        }
    }

    /// The next question about acknowledgements, when one is due.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<Asking> {
        let question = self.acks.question(now, self.setting.clock.now(), &self.setting.random)?;
        let request = self.setting.current.destination.ack_request(&question.acks, &question.session)?;
        let transport = Arc::clone(&self.setting.transport);
        Some(Box::pin(async move {
            let result = transport.send(request).await;
            (question, result)
        }))
    }

    /// What became of a question.
    pub(crate) async fn told(&mut self, (question, result): Told) {
        let now = Instant::now();
        let verdict = match result {
            Ok(answer) => {
                self.acks.learn(&question, &answer.headers);
                self.setting.current.destination.classify_acks(&question.acks, &answer)
            }
            Err(error) => unanswered(&error),
        };
        let was_offered = self.acks.offered() == Offered::Yes;
        self.acks.told(&question, &verdict, now);
        self.note_told(&verdict, was_offered);
        self.sort_acks(now).await;
    }

    fn note_told(&self, verdict: &AckVerdict, was_offered: bool) {
        let is_required = self.setting.current.destination.acknowledgement() == Acknowledgement::Required;
        let (signal, reason) = match verdict {
            AckVerdict::Acknowledged(_) if is_required && !was_offered => {
                self.setting.status.lock().succeeded(Instant::now(), self.setting.clock.now());
                return;
            }
            AckVerdict::Off { reason } if is_required => (Signal::Hold, reason),
            AckVerdict::Hold { reason } => (Signal::Hold, reason),
            AckVerdict::Unanswered { reason } | AckVerdict::Lost { reason }
                if self.acks.n_unanswered() >= SILENT_AFTER =>
            {
                (Signal::Overdue, reason)
            }
            _ => return,
        };
        self.complain(signal, &format!("asking for acknowledgements: {reason}"));
    }

    /// Takes in what failed, and logs it unless it was the same before.
    pub(crate) fn complain(&self, signal: Signal, reason: &str) {
        let mut status = self.setting.status.lock();
        let before = status.state();
        let is_new = status.last_error.as_deref() != Some(reason);
        status.failed(signal, reason, Instant::now(), self.setting.clock.now());
        let state = status.state();
        if is_new || state != before {
            tracing::warn!(consumer = self.setting.consumer.as_str(), ?state, reason, "destination");
        }
    }

    /// Delivers what is confirmed, and sends again what is not believed or overdue.
    pub(crate) async fn sort_acks(&mut self, now: Instant) {
        self.acks.sort(now);
        let confirmed = self.acks.take_confirmed();
        if !confirmed.is_empty() {
            self.setting.status.lock().succeeded(now, self.setting.clock.now());
        }
        for batch in confirmed {
            let items: Vec<_> = batch.items.iter().map(|item| (item.clone(), Grade::Confirmed)).collect();
            self.deliver(&batch, items).await;
        }
        let again = self.acks.take_again();
        if again.is_empty() {
            return;
        }
        if again.iter().any(|(why, _)| *why == Why::Unacknowledged) {
            self.complain(Signal::Overdue, NOT_ACKNOWLEDGED);
        }
        for (why, batch) in again {
            // Slowly where the other side is at fault: more copies do not mend it.
            let backoff = match why {
                Why::Unacknowledged => self.setting.pace.hold,
                Why::Unknowable => self.setting.pace.backoff,
            };
            if batch.is_parked {
                self.put_off(&batch).await;
            } else {
                let wait = backoff.delay(batch.attempts, None, &self.setting.random);
                self.waiting.push_back(Batch { due: now + wait, ..batch });
            }
        }
    }

    /// Tells the status what waits.
    pub(crate) fn note_waiting(&self) {
        let wanted = self.setting.current.destination.acknowledgement();
        let (events, _) = self.acks.amount();
        let mut status = self.setting.status.lock();
        status.awaiting_acknowledgement = events;
        status.acknowledgement = match (wanted, self.acks.offered()) {
            (Acknowledgement::Off, _) => None,
            (_, Offered::Unknown) => Some(Acknowledging::Unknown),
            (_, Offered::Yes) => Some(Acknowledging::Offered),
            (_, Offered::No) => Some(Acknowledging::NotOffered),
        };
    }

    /// Waits until `end` for what was taken to be acknowledged, so that it need not be sent again after a restart.
    pub(crate) async fn drain_acks(&mut self, mut asking: Option<Asking>, end: Instant) {
        while self.acks.amount().0 > 0 && Instant::now() < end {
            let now = Instant::now();
            if asking.is_none() {
                asking = self.ask(now);
            }
            match asking.take() {
                Some(question) => match tokio::time::timeout_at(end, question).await {
                    Ok(told) => self.told(told).await,
                    Err(_) => return,
                },
                None => tokio::time::sleep_until(self.acks.changes_at(now).unwrap_or(end).min(end)).await,
            }
        }
    }
}

/// A question that never reached the other side has acknowledged nothing.
fn unanswered(error: &TransportError) -> AckVerdict {
    let reason = error.to_string();
    match error.kind() {
        FailureKind::Timeout | FailureKind::Broken => AckVerdict::Lost { reason },
        _ => AckVerdict::Unanswered { reason },
    }
}
