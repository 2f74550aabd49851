//! The worker of one configuration: lease → select → encode → send → settle, until it is told to stop.
//!
//! Everything that decides lives in values that know no I/O ([`Ledger`], [`Filling`], [`Gate`]); this file moves events
//! between them, the journal and the transport.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::{Backoff, Clock, EventId, Random};
use destinations::{Destination, Transport};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use journal::{Block, ConsumerName, Journal, Lease, LeaseError, LeaseId, LeaseLimits, Settlement, Tally};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::acks::Acks;
use crate::batch::{Batch, Filling, Place};
use crate::confirming::{Asking, Told};
use crate::gate::Gate;
use crate::health::Signal;
use crate::lasting::Lasting;
use crate::ledger::{Final, Ledger};
use crate::outgoing::{self, Exchange};
use crate::parking::Parking;
use crate::quarantine::Quarantine;
use crate::runs::Orders;
use crate::selector::Selector;
use crate::status::Status;

/// How long a block is left alone that belongs to newer settings than the worker's.
const LEFT_FOR: Duration = Duration::from_millis(100);

/// How a worker paces itself.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Payload bytes of leased blocks above which no more are leased.
    pub max_leased_bytes: usize,
    /// How long a block stays leased without a sign of life.
    pub lease_ttl: Duration,
    /// How long a batch may wait to be filled while other requests are in flight.
    pub linger: Duration,
    /// Waits after requests that proved nothing.
    pub backoff: Backoff,
    /// Waits after answers that only an operator can mend.
    pub hold: Backoff,
    /// How long a worker that is told to stop waits for requests in flight.
    pub drain: Duration,
}

/// Everything that a worker works with.
pub(crate) struct Setting {
    pub(crate) consumer: ConsumerName,
    /// For blocks that were appended under earlier settings, oldest first.
    pub(crate) earlier: Vec<Chapter>,
    /// For all others; also the one that requests are made and answers are read by.
    pub(crate) current: Chapter,
    /// Of the document that this is made from.
    pub(crate) revision: u64,
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) quarantine: Quarantine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) pace: Pace,
    pub(crate) status: Arc<Mutex<Status>>,
    /// Of the run that it carries out; `None`: it delivers what is new.
    pub(crate) orders: Option<Arc<Orders>>,
}

/// What is selected, and how it is encoded, of the blocks below a sequence.
pub(crate) struct Chapter {
    pub(crate) until: u64,
    pub(crate) selector: Arc<Selector>,
    pub(crate) destination: Arc<dyn Destination>,
}

type Leased = Result<Vec<Lease>, LeaseError>;
pub(crate) type Leasing = Pin<Box<dyn Future<Output = Leased> + Send>>;
pub(crate) type Answered = (Batch, Exchange);
pub(crate) type Sending = Pin<Box<dyn Future<Output = Answered> + Send>>;

pub(crate) struct Worker {
    pub(crate) setting: Setting,
    pub(crate) ledger: Ledger,
    pub(crate) filling: Option<Filling>,
    /// Full batches, and batches to be sent again.
    pub(crate) waiting: VecDeque<Batch>,
    pub(crate) in_flight: FuturesUnordered<Sending>,
    pub(crate) gate: Gate,
    pub(crate) acks: Acks,
    pub(crate) parking: Parking,
    /// Parked events that are being tried.
    pub(crate) n_parked_out: usize,
    /// No lease is asked for before, after the journal refused one.
    pub(crate) lease_after: Instant,
}

/// What woke the worker.
enum Wake {
    Leased(Leased),
    LeasedParked(Leased),
    Told(Box<Told>),
    Answered(Box<Answered>),
    Timer,
    KeepAlive,
    Stop,
}

impl Worker {
    pub(crate) fn new(setting: Setting) -> Self {
        let acks = Acks::new(setting.current.destination.acknowledgement());
        Self {
            setting,
            acks,
            parking: Parking::default(),
            n_parked_out: 0,
            ledger: Ledger::default(),
            filling: None,
            waiting: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            gate: Gate::default(),
            lease_after: Instant::now(),
        }
    }

    /// Works until `stop` turns true, then waits for what is in flight and hands the rest back.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.load_parking(&mut stop).await;
        let mut keep_alive = tokio::time::interval(self.setting.pace.lease_ttl / 3);
        let (mut leasing, mut leasing_parked): (Option<Leasing>, Option<Leasing>) = (None, None);
        let mut asking: Option<Asking> = None;
        loop {
            // One instant for all: what is not due at it is waited for from it.
            let now = Instant::now();
            self.sort_acks(now).await;
            self.park_due(now).await;
            self.send_due(now);
            if leasing.is_none() && self.wants_more(now) {
                leasing = Some(self.lease());
            }
            leasing_parked = leasing_parked.or_else(|| self.lease_parked(now));
            asking = asking.or_else(|| self.ask(now));
            let timer = self.next_timer(now);
            let wake = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Wake::Stop,
                Some(answered) = self.in_flight.next() => Wake::Answered(Box::new(answered)),
                Some(told) = poll_some(&mut asking) => Wake::Told(Box::new(told)),
                Some(leased) = poll_some(&mut leasing) => Wake::Leased(leased),
                Some(leased) = poll_some(&mut leasing_parked) => Wake::LeasedParked(leased),
                () = sleep_until(timer) => Wake::Timer,
                _ = keep_alive.tick() => Wake::KeepAlive,
            };
            match wake {
                Wake::Stop => break,
                Wake::Answered(answered) => {
                    let (batch, exchange) = *answered;
                    self.answered(batch, exchange).await;
                }
                Wake::Told(told) => {
                    asking = None;
                    self.told(*told).await;
                }
                Wake::Leased(leased) => {
                    leasing = None;
                    let leases = self.leased(leased);
                    if leases.is_empty() && self.is_over().await {
                        break;
                    }
                    for lease in leases {
                        self.take(lease).await;
                    }
                }
                Wake::LeasedParked(leased) => {
                    leasing_parked = None;
                    for lease in self.leased(leased) {
                        self.take_parked(lease).await;
                    }
                }
                Wake::Timer => {}
                Wake::KeepAlive => self.setting.keep_alive(self.ledger.leases()).await,
            }
        }
        drop((leasing, leasing_parked));
        self.drain(asking).await;
    }

    fn wants_more(&self, now: Instant) -> bool {
        self.ledger.bytes() < self.window() && now >= self.lease_after
    }

    /// Payload bytes that may be leased. What waits for an acknowledgement does not fill it at once, so that a second of
    /// waiting does not stop a busy worker; but it does in the end.
    fn window(&self) -> usize {
        let max = self.setting.pace.max_leased_bytes;
        let (_, waiting) = self.acks.amount();
        max + waiting.min(max * 3)
    }

    fn lease(&self) -> Leasing {
        let journal = Arc::clone(&self.setting.journal);
        let consumer = self.setting.consumer.clone();
        let streams = self.setting.streams();
        let limits = LeaseLimits {
            max_blocks: 64,
            max_bytes: self.window().saturating_sub(self.ledger.bytes()).min(2 << 20),
            ttl: self.setting.pace.lease_ttl,
            wait: self.setting.lease_wait(),
        };
        Box::pin(async move { journal.lease(&consumer, streams, limits).await })
    }

    fn leased(&mut self, leased: Leased) -> Vec<Lease> {
        leased.unwrap_or_else(|error| {
            // Its place is gone when its configuration was deleted: it is about to be told to stop.
            if !matches!(error, LeaseError::NoConsumer) {
                tracing::warn!(consumer = self.setting.consumer.as_str(), %error, "cannot lease events");
            }
            self.lease_after = Instant::now() + Duration::from_secs(1);
            Vec::new()
        })
    }

    /// Selects and encodes the events of a leased block.
    async fn take(&mut self, lease: Lease) {
        if self.setting.is_redrive() {
            self.take_copies(lease).await;
            return;
        }
        if self.ledger.renew(&lease) {
            return;
        }
        let block = Arc::clone(&lease.block);
        if self.setting.lasting.fence.is_beyond(block.sequence(), self.setting.revision) {
            self.leave(lease.id).await;
            return;
        }
        let n_gone = block.n_gone();
        let chapter = self.setting.chapter(block.sequence());
        let (mut n_selected, mut n_parked) = (0, 0);
        if self.setting.concerns(&chapter.selector, &block) {
            let (selector, destination) = (Arc::clone(&chapter.selector), Arc::clone(&chapter.destination));
            let (mut n_read, mut n_left_out) = (0, 0);
            for (offset, record) in block.records() {
                n_read += 1;
                if self.parking.knows(record.event_id()) {
                    // It was selected once. The block comes again after a crash, and its parked event is cared for
                    // elsewhere.
                    n_parked += 1;
                } else if self.setting.selects(&selector, offset, &record) {
                    self.add(&*destination, offset.block, offset.index, &record);
                } else {
                    n_left_out += 1;
                }
            }
            let n_there = block.n_records() - n_gone;
            n_selected = n_there - n_left_out;
            if n_read < n_there {
                // Bytes that passed their checksum and are no record: nothing may be said of them, so the block stays.
                self.report_unreadable(&block, n_there - n_read);
            }
        }
        if let Some((id, tally)) = self.ledger.open(lease, n_selected, n_gone) {
            self.setting.settle(id, tally).await;
        }
        for _ in 0..n_parked {
            self.close(block.sequence(), Final::Parked).await;
        }
    }

    /// Leaves a block to the worker with the newer settings, which is on its way.
    async fn leave(&mut self, lease: LeaseId) {
        self.lease_after = Instant::now() + LEFT_FOR;
        self.setting.hand_back(lease, LEFT_FOR).await;
    }

    fn report_unreadable(&self, block: &Block, n_records: usize) {
        let reason =
            format!("{n_records} records of block {} cannot be read: the block is kept", block.sequence());
        self.complain(Signal::Hold, &reason);
    }

    fn add(&mut self, destination: &dyn Destination, block: u64, index: u32, record: &event::Record<'_>) {
        let is_replay = self.setting.is_replay();
        self.add_piece(destination, (block, index), record.event_id(), |body| {
            destination.encode(record, Some((block, index)), is_replay, body);
        });
    }

    /// Adds one event's piece to the batch that is being filled.
    pub(crate) fn add_piece(
        &mut self,
        destination: &dyn Destination,
        place: Place,
        id: EventId,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let (limits, frame, now) = (self.setting.limits(), destination.frame(), Instant::now());
        let filling = self.filling.get_or_insert_with(|| Filling::new(frame, now));
        filling.push(place, id, encode);
        let overflow = filling.pop_overflow(limits);
        if overflow.is_some() || filling.is_full(limits) {
            self.waiting.extend(self.filling.take().map(|full| full.finish(now)));
        }
        if let Some((item, piece)) = overflow {
            let mut next = Filling::new(frame, now);
            next.push(item.place(), item.id, |body| body.extend_from_slice(&piece));
            self.filling = Some(next);
        }
    }

    /// Sends what is due, as far as the gate and the destination's limit allow.
    fn send_due(&mut self, now: Instant) {
        let max = self.gate.allowance(now, self.setting.limits().max_in_flight);
        while self.in_flight.len() < max && self.acks.may_send() && self.setting.may_send(now) {
            let Some(batch) = self.next_batch(now) else { break };
            self.send(batch);
        }
        self.note_waiting();
        let mut status = self.setting.status.lock();
        status.in_flight = self.in_flight.len();
        status.parked = self.parking.n_parked() as u64;
    }

    /// The next batch to send: one that waits, else what is being filled when nothing is in flight or it is old enough.
    fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        let tries_parked = self.may_try_parked(now);
        let may_go = |batch: &Batch| batch.parks.is_none() && (tries_parked || !batch.is_parked);
        let is_due = |batch: &Batch| batch.due <= now && may_go(batch);
        if let Some(at) = self.waiting.iter().position(is_due) {
            return self.waiting.remove(at);
        }
        let ripe = |filling: &Filling| now >= filling.started() + self.setting.pace.linger;
        let filling = self.filling.take_if(|filling| self.in_flight.is_empty() || ripe(filling))?;
        Some(filling.finish(now))
    }

    fn send(&mut self, mut batch: Batch) {
        // A parked event was parked because others are taken, and is sent only while that is so.
        if batch.attempts == 0 && !batch.is_parked {
            batch.deliveries_before = self.deliveries();
        }
        batch.attempts += 1;
        self.setting.note_sent(Instant::now(), batch.items.len());
        let destination = Arc::clone(&self.setting.current.destination);
        let now = self.setting.clock.now();
        let transport = Arc::clone(&self.setting.transport);
        let (post, session) = self.acks.post(now, &self.setting.random);
        batch.post = Some(post);
        {
            let mut status = self.setting.status.lock();
            status.requests += 1;
            status.retried += if batch.attempts > 1 { batch.items.len() as u64 } else { 0 };
        }
        if batch.attempts > 1 {
            self.setting.lasting.retried(batch.items.len() as u64);
        }
        self.in_flight.push(Box::pin(async move {
            let exchange = outgoing::send(destination, transport, batch.body.clone(), session, now).await;
            (batch, exchange)
        }));
    }

    /// When something becomes due that nobody will report.
    fn next_timer(&self, now: Instant) -> Option<Instant> {
        let due = self.waiting.iter().map(|batch| batch.due).filter(|due| *due > now).min();
        let ripe = self.filling.as_ref().map(|filling| filling.started() + self.setting.pace.linger);
        let lease = (self.lease_after > now).then_some(self.lease_after);
        let acks = self.acks.changes_at(now);
        due.into_iter()
            .chain(self.gate.changes_at(now))
            .chain(ripe.filter(|at| *at > now))
            .chain(lease)
            .chain(acks)
            .chain(self.setting.may_send_at(now))
            .min()
    }

    async fn drain(&mut self, asking: Option<Asking>) {
        let end = Instant::now() + self.setting.pace.drain;
        while let Ok(Some((batch, exchange))) = tokio::time::timeout_at(end, self.in_flight.next()).await {
            self.answered(batch, exchange).await;
        }
        self.drain_acks(asking, end).await;
        for lease in self.ledger.leases() {
            self.setting.hand_back(lease, Duration::ZERO).await;
        }
        self.setting.status.lock().ended();
    }
}

impl Setting {
    /// The chapter that a block belongs to.
    pub(crate) fn chapter(&self, sequence: u64) -> &Chapter {
        self.earlier.iter().find(|chapter| sequence < chapter.until).unwrap_or(&self.current)
    }

    pub(crate) async fn settle(&self, id: LeaseId, tally: Tally) {
        // A lost settle only means that the block comes again.
        if let Err(error) = self.journal.settle(id, Settlement::Done(tally)).await {
            tracing::debug!(consumer = self.consumer.as_str(), %error, "a block was not settled");
        }
    }

    /// It comes again after the delay; a failure only delays that until the lease expires.
    pub(crate) async fn hand_back(&self, id: LeaseId, delay: Duration) {
        if let Err(error) = self.journal.settle(id, Settlement::HandBack(delay)).await {
            tracing::debug!(consumer = self.consumer.as_str(), %error, "a block was not handed back");
        }
    }

    async fn keep_alive(&self, leases: Vec<LeaseId>) {
        for lease in leases {
            if let Err(error) = self.journal.extend(lease, self.pace.lease_ttl).await {
                tracing::debug!(consumer = self.consumer.as_str(), %error, "a lease was not kept");
            }
        }
    }
}

/// The future's output, when there is a future; otherwise never ready.
async fn poll_some<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> Option<T> {
    match future {
        Some(future) => Some(future.await),
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
