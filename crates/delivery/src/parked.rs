//! How a worker parks an event, and tries parked ones again.

use std::sync::Arc;
use std::time::Duration;

use event::Record;
use event::quarantine::{self, Change, Standing};
use event::{Stream, StreamSet};
use journal::{Lease, LeaseLimits};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::batch::{Batch, Filling, Item};
use crate::copies::parsed;
use crate::ledger::Final;
use crate::parking::{self, Parking};
use crate::places::parked_name;
use crate::quarantine::{KeepError, Refused, shortened};
use crate::worker::{Leasing, Worker};

/// Most parked blocks that are tried at a time, and their bytes.
const MAX_BLOCKS: usize = 4;
const MAX_BYTES: usize = 1 << 20;
/// The wait, at least, before it is tried again to park an event.
const AGAIN: Duration = Duration::from_secs(1);
/// The wait before it is tried again to learn what is parked.
const LOAD_AGAIN: Duration = Duration::from_secs(5);

impl Worker {
    /// Learns what is parked: before that nothing is sent, since what is parked would be sent once more. Tries until it can
    /// be read, or `stop` turns true. A run parks nothing.
    pub(crate) async fn load_parking(&mut self, stop: &mut watch::Receiver<bool>) {
        if self.setting.orders.is_some() {
            return;
        }
        let id = &self.setting.quarantine.configuration_id;
        loop {
            match Parking::load(&*self.setting.journal, id).await {
                Ok(parking) => break self.parking = parking,
                Err(error) => {
                    tracing::error!(configuration = id, %error, "what is parked cannot be read; trying again in a few seconds");
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOAD_AGAIN) => {}
            }
        }
    }

    /// Parks what could not be parked before, and is due.
    pub(crate) async fn park_due(&mut self, now: Instant) {
        let is_due = |batch: &Batch| batch.parks.is_some() && batch.due <= now;
        while let Some(at) = self.waiting.iter().position(is_due) {
            let Some(mut batch) = self.waiting.remove(at) else { return };
            let reason = batch.parks.take().unwrap_or_default();
            self.park(batch, reason).await;
        }
    }

    /// Parks the only event of a batch. When it is not known whether its copy is stored, that is tried again until it is;
    /// when there can be no copy, the event is sent again like any other.
    pub(crate) async fn park(&mut self, batch: Batch, reason: String) {
        let Some(item) = batch.items.first().cloned() else { return };
        if self.setting.orders.is_some() {
            self.leave_behind(batch, reason).await;
            return;
        }
        match self.keep_parked(&item, &reason, batch.attempts).await {
            Ok(()) => {
                tracing::warn!(
                    consumer = self.setting.consumer.as_str(), event = %item.id, reason,
                    "the destination stumbles over an event: it is parked, and tried again alone"
                );
                self.parking.park(item.id, item.block);
                self.setting.status.lock().unstuck(Instant::now(), self.setting.clock.now());
                self.close(item.block, Final::Parked).await;
            }
            Err(error) => {
                tracing::error!(consumer = self.setting.consumer.as_str(), %error, "cannot park an event");
                let is_unknown = matches!(error, KeepError::Journal(_) | KeepError::Consumer(_));
                let due = batch.due.max(Instant::now() + AGAIN);
                self.waiting.push_back(Batch { parks: is_unknown.then_some(reason), due, ..batch });
            }
        }
    }

    async fn keep_parked(&mut self, item: &Item, reason: &str, attempts: u32) -> Result<(), KeepError> {
        let quarantine = &self.setting.quarantine;
        self.parking.open(&*quarantine.journal, &quarantine.configuration_id).await?;
        let record = self.ledger.record(item.block, item.index).ok_or(KeepError::Gone)?;
        let (offset, standing) = (item.place(), Standing::Parked);
        quarantine.keep(&Refused { record, offset, reason, attempts, standing }).await
    }

    /// A parked event is no probe of a destination that is down, unless there is nothing else to send.
    pub(crate) fn may_try_parked(&self, now: Instant) -> bool {
        let is_idle = self.in_flight.is_empty() && self.filling.is_none();
        self.gate.is_open(now) || (is_idle && self.waiting.iter().all(|batch| batch.is_parked))
    }

    /// Parked blocks are leased a few at a time, while the destination takes others.
    pub(crate) fn lease_parked(&self, now: Instant) -> Option<Leasing> {
        let is_due = self.parking.is_open() && self.n_parked_out == 0 && self.may_try_parked(now);
        if !is_due || now < self.lease_after {
            return None;
        }
        let name = parked_name(&self.setting.quarantine.configuration_id)?;
        let journal = Arc::clone(&self.setting.journal);
        let (ttl, wait) = (self.setting.pace.lease_ttl, self.setting.pace.lease_ttl / 2);
        let limits = LeaseLimits { max_blocks: MAX_BLOCKS, max_bytes: MAX_BYTES, ttl, wait };
        let streams = StreamSet::from_iter([Stream::Quarantine]);
        Some(Box::pin(async move { journal.lease(&name, streams, limits).await }))
    }

    /// Sends the parked events of a block, each alone. Other entries of the stream are skipped.
    pub(crate) async fn take_parked(&mut self, lease: Lease) {
        if self.ledger.renew(&lease) {
            return;
        }
        let (block, id, deliveries) = (Arc::clone(&lease.block), lease.id, lease.deliveries);
        let own: Vec<(u32, quarantine::Reason, Record<'_>)> = block
            .records()
            .filter_map(|(offset, copy)| Some((offset.index, quarantine::reason(&copy)?, copy)))
            .filter(|(_, reason, _)| {
                reason.standing == Standing::Parked
                    && reason.configuration_id == self.setting.quarantine.configuration_id
            })
            .collect();
        if deliveries == 1 && !own.is_empty() {
            // It has just been tried, by this worker or the one before.
            self.setting.hand_back(id, parking::wait(deliveries, &self.setting.random)).await;
            return;
        }
        if let Some((id, tally)) = self.ledger.open(lease, own.len(), block.n_gone()) {
            self.setting.settle(id, tally).await;
            return;
        }
        for (index, reason, copy) in own {
            match (
                self.parking.end(reason.event_id),
                self.parked_batch(block.sequence(), index, &reason, &copy),
            ) {
                (Some(end), _) => self.close(block.sequence(), end).await,
                (None, Some(batch)) => {
                    self.n_parked_out += 1;
                    self.waiting.push_back(batch);
                }
                (None, None) => self.close(block.sequence(), Final::Later).await,
            }
        }
    }

    /// The request of one parked event, encoded as its original is by the settings in force at its offset.
    fn parked_batch(
        &self,
        block: u64,
        index: u32,
        reason: &quarantine::Reason,
        copy: &Record<'_>,
    ) -> Option<Batch> {
        let (_, original) = quarantine::unwrap(copy)?;
        let original = Record::parse(&original).ok()?;
        let offset = parsed(&reason.journal_offset)?;
        let place = (offset.block, offset.index);
        let destination = &self.setting.chapter(place.0).destination;
        let now = Instant::now();
        let mut filling = Filling::new(destination.frame(), now);
        filling.push((block, index), reason.event_id, |body| {
            destination.encode(&original, Some(place), false, body);
        });
        Some(Batch { is_parked: true, ..filling.finish(now) })
    }

    /// A parked event has its end: that is noted, durably, before its block is settled.
    pub(crate) async fn end_parked(&mut self, item: &Item, end: Final, reason: Option<String>) {
        let (standing, grade) = parking::told_as(end);
        let id = self.setting.quarantine.configuration_id.clone();
        let change = Change {
            grade: grade.map(str::to_owned),
            reason: reason.as_deref().map(shortened),
            ..Change::new(id, item.id, self.setting.clock.now(), standing)
        };
        let time = self.ledger.record(item.block, item.index).map(|copy| copy.time());
        let noted = self.setting.quarantine.change(&change, time.unwrap_or_default()).await;
        self.n_parked_out = self.n_parked_out.saturating_sub(1);
        match noted {
            Ok(()) => {
                self.parking.note_end(item.id, item.block, end);
                self.forget_ended().await;
                self.close(item.block, end).await;
            }
            Err(error) => {
                let consumer = self.setting.consumer.as_str();
                tracing::error!(consumer, %error, "the end of a parked event cannot be noted; it is tried again");
                self.close(item.block, Final::Later).await;
            }
        }
    }

    /// Forgets parkings that ended long ago, when there are many.
    async fn forget_ended(&mut self) {
        if !self.parking.is_crowded() {
            return;
        }
        let id = &self.setting.quarantine.configuration_id;
        if let Err(error) = self.parking.forget_ended(&*self.setting.journal, id).await {
            tracing::warn!(configuration = id, %error, "what has ended of its parked events is not forgotten yet");
        }
    }

    /// Nothing is proven about a parked event: it waits for its next turn.
    pub(crate) async fn put_off(&mut self, batch: &Batch) {
        for item in &batch.items {
            self.n_parked_out = self.n_parked_out.saturating_sub(1);
            self.close(item.block, Final::Later).await;
        }
    }
}
