//! Leasing, extending and settling, in both mappings.

use std::sync::Arc;
use std::time::Duration;

use event::StreamSet;
use journal::{Block, ConsumerName, JournalError, Lease, LeaseError, LeaseId, LeaseLimits, Settlement};
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use crate::books::{Books, Out};
use crate::jet::{Inner, Mapping};
use crate::pull::Pull;
use crate::view::Meta;

/// Longer durations are cut to this.
const LONGEST: Duration = Duration::from_secs(3600 * 24 * 365);
/// How often the server is asked while a lease waits: it does not say when a lease of another process ends.
const ASK: Duration = Duration::from_secs(1);
/// The same when something is due: the server's timers are a little late.
const ASK_SOON: Duration = Duration::from_millis(20);

impl Inner {
    pub(crate) fn turn(&self, consumer: &ConsumerName) -> Result<Arc<Turn<Option<Pull>>>, LeaseError> {
        self.pulls.lock().get(consumer).cloned().ok_or(LeaseError::NoConsumer)
    }

    fn with<T>(&self, consumer: &ConsumerName, act: impl FnOnce(&mut Books) -> T) -> Result<T, LeaseError> {
        self.books.lock().get_mut(consumer).map(act).ok_or(LeaseError::NoConsumer)
    }

    pub(crate) async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        let deadline = Instant::now() + limits.wait.min(LONGEST);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let leases = self.lease_now(consumer, streams, &limits).await?;
            let now = Instant::now();
            if !leases.is_empty() || now >= deadline {
                return Ok(leases);
            }
            let release = self.with(consumer, |books| books.next_release(now))?;
            let is_due =
                self.with(consumer, |books| books.out.keys().any(|sequence| books.is_free(*sequence, now)))?;
            let ask = (self.mapping == Mapping::Pull).then(|| now + if is_due { ASK_SOON } else { ASK });
            let next = [release, ask, Some(deadline)].into_iter().flatten().min().unwrap_or(deadline);
            let _woken = tokio::time::timeout_at(next, changed).await;
        }
    }

    async fn lease_now(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: &LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        let turn = self.turn(consumer)?;
        let mut pull = turn.lock().await;
        let now = Instant::now();
        if let Some(pull) = pull.as_mut() {
            self.fetch(consumer, pull, streams, limits, now).await?;
        }
        let chosen = self.choose(consumer, pull.as_ref(), streams, limits, now)?;
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        for meta in chosen {
            match pull.as_ref() {
                Some(pull) => {
                    blocks.extend(pull.held.get(&meta.sequence).map(|held| Arc::clone(&held.block)))
                }
                None => {
                    let opened = self.broker.read(meta.sequence).await?;
                    blocks.extend(opened.and_then(|opened| opened.block).map(Arc::new));
                }
            }
        }
        // From here on nothing waits, so that a dropped call has leased nothing.
        let until = Instant::now() + limits.ttl.min(LONGEST);
        let leases = blocks.into_iter().map(|block| {
            let (id, sequence) = (self.lease_id(), block.sequence());
            let deliveries = self.with(consumer, |books| books.lease(sequence, id, until))?;
            self.leases.lock().insert(id, (consumer.clone(), sequence));
            Ok(Lease { id, block, deliveries })
        });
        leases.collect()
    }

    /// Gives back to the server what has expired here, and takes what it has.
    async fn fetch(
        &self,
        consumer: &ConsumerName,
        pull: &mut Pull,
        streams: StreamSet,
        limits: &LeaseLimits,
        now: Instant,
    ) -> Result<(), LeaseError> {
        for sequence in self.with(consumer, |books| books.expired(now))? {
            pull.hand_back(sequence, Duration::ZERO).await?;
            self.with(consumer, |books| books.out.insert(sequence, Out::Back { at: now }))?;
        }
        let n_free = self.with(consumer, |books| {
            pull.held
                .keys()
                .filter(|sequence| books.is_free(**sequence, now) && !books.is_done(**sequence))
                .count()
        })?;
        let wanted = limits.max_blocks.max(1).saturating_sub(n_free);
        if wanted > 0 {
            let is_done = |sequence| self.with(consumer, |books| books.is_done(sequence)).unwrap_or(false);
            pull.fetch(streams, wanted, is_done).await?;
        }
        let newest = pull.held.last_key_value().map_or(0, |(sequence, _)| *sequence);
        if newest > self.view.lock().last {
            let _writing = self.writing.lock().await;
            self.catch_up().await?;
        }
        Ok(())
    }

    fn choose(
        &self,
        consumer: &ConsumerName,
        pull: Option<&Pull>,
        streams: StreamSet,
        limits: &LeaseLimits,
        now: Instant,
    ) -> Result<Vec<Meta>, LeaseError> {
        let view = self.view.lock();
        let mut waiting = self.with(consumer, |books| books.waiting(&view, streams, now))?;
        if let Some(pull) = pull {
            waiting.retain(|meta| pull.held.contains_key(&meta.sequence));
        }
        let mut bytes = 0;
        let n = waiting.iter().take(limits.max_blocks.max(1)).enumerate().take_while(|(at, meta)| {
            bytes += meta.bytes as usize;
            *at == 0 || bytes <= limits.max_bytes
        });
        let n = n.count();
        waiting.truncate(n);
        Ok(waiting)
    }

    fn find_lease(&self, lease: LeaseId) -> Result<(ConsumerName, u64), LeaseError> {
        let (consumer, sequence) = self.leases.lock().get(&lease).cloned().ok_or(LeaseError::Stale)?;
        match self.with(&consumer, |books| books.holds(sequence, lease)) {
            Ok(true) => Ok((consumer, sequence)),
            _ => Err(LeaseError::Stale),
        }
    }

    pub(crate) fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        let (consumer, sequence) = self.find_lease(lease)?;
        let until = Instant::now() + ttl.min(LONGEST);
        self.with(&consumer, |books| books.out.insert(sequence, Out::Leased { id: lease, until }))?;
        self.changed.notify_waiters();
        Ok(())
    }

    pub(crate) async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        let (consumer, sequence) = self.find_lease(lease)?;
        match settlement {
            Settlement::Done(tally) => {
                let n_records = self.view.lock().blocks.get(&sequence).map_or(0, |meta| meta.n_records);
                if tally.total() != n_records {
                    let why = "a settled block's tally must count each of its events once";
                    return Err(JournalError::Refused(why).into());
                }
                self.with(&consumer, |books| books.done(sequence, &tally))?;
            }
            Settlement::HandBack(delay) => {
                let delay = delay.min(LONGEST);
                let at = Instant::now() + delay;
                self.with(&consumer, |books| books.out.insert(sequence, Out::Back { at }))?;
                if let Some(pull) = self.turn(&consumer)?.lock().await.as_mut() {
                    pull.hand_back(sequence, delay).await?;
                }
            }
        }
        self.leases.lock().remove(&lease);
        self.changed.notify_waiters();
        Ok(())
    }
}
