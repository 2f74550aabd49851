//! The consumers of the world: what they are asked to do, and what they were promised.

use std::collections::BTreeSet;
use std::time::Duration;

use event::{Stream, StreamSet};
use journal::conformance::{confirmed, limits, name};
use journal::{ConsumerCommand, Journal, JournalError, LeaseError, LeaseLimits, Settlement, StartAt};

use crate::world::{STREAMS, World};

/// What one consumer was promised.
#[derive(Clone, Default)]
pub(crate) struct Promised {
    pub(crate) streams: StreamSet,
    pub(crate) started_at: u64,
    /// The first sequence that is not for it.
    pub(crate) until: u64,
    /// Blocks that were settled, whether or not that was saved.
    pub(crate) settled: BTreeSet<u64>,
    /// Those of them that were settled before a checkpoint that went well.
    pub(crate) saved: BTreeSet<u64>,
    /// Blocks that were passed by a seek that was not answered.
    pub(crate) gone: BTreeSet<u64>,
    /// Blocks below were passed by seeking, durably.
    pub(crate) passed: u64,
    /// Blocks below may have been.
    pub(crate) maybe_passed: u64,
    pub(crate) maybe_removed: bool,
}

impl World {
    fn some_consumer(&self) -> Option<String> {
        let last = self.promises.consumers.len().checked_sub(1)?;
        self.promises.consumers.keys().nth(self.up_to(last as u64) as usize).cloned()
    }

    /// Leases some blocks; settles some, hands some back, keeps some.
    pub(crate) async fn consume(&mut self) -> Result<(), String> {
        let Some(consumer) = self.some_consumer() else { return Ok(()) };
        let limits = LeaseLimits { max_blocks: 1 + self.up_to(5) as usize, ..limits() };
        let (journal, named) = (self.journal()?, name(&consumer));
        let all = Stream::ALL.into_iter().collect();
        let leased = self.drive(async move { journal.lease(&named, all, limits).await }).await?;
        let leased = match leased {
            Err(LeaseError::Journal(JournalError::Poisoned)) => return Ok(()),
            leased => leased.map_err(|error| error.to_string())?,
        };
        for lease in leased {
            let settlement = match self.up_to(4) {
                0 => continue,
                1 => Settlement::HandBack(Duration::ZERO),
                _ => Settlement::Done(confirmed(&lease.block)),
            };
            let journal = self.journal()?;
            let answer = self.drive(async move { journal.settle(lease.id, settlement).await }).await?;
            answer.map_err(|error| error.to_string())?;
            if let (Settlement::Done(_), Some(promised)) =
                (settlement, self.promises.consumers.get_mut(&consumer))
            {
                promised.settled.insert(lease.block.sequence());
            }
        }
        Ok(())
    }

    /// The attempt may be one of several: the answer to an earlier one may have been lost.
    pub(crate) async fn create_consumer(&mut self) -> Result<(), String> {
        let n = self.promises.consumers.len() + self.promises.removed.len();
        if self.promises.consumers.len() > 4 {
            return Ok(());
        }
        let consumer = format!("c{n}");
        // Its end follows from its name, because the answer does not tell it.
        let until = if n % 3 == 1 { 10 * n as u64 + 5 } else { u64::MAX };
        let streams: StreamSet =
            if self.up_to(1) == 0 { STREAMS[self.up_to(2) as usize].into() } else { StreamSet::product() };
        let start = if self.up_to(1) == 0 { StartAt::Earliest } else { StartAt::Now };
        let until_or_never = (until < u64::MAX).then_some(until);
        let command =
            ConsumerCommand::Create { name: name(&consumer), streams, start, until: until_or_never };
        let journal = self.journal()?;
        let created = self.drive(async move { journal.consumers(command).await }).await?;
        if let Some(created) = created.ok().and_then(|mut created| created.pop()) {
            self.saved();
            // An earlier attempt that was not answered may have created it differently.
            let (streams, started_at) = (created.streams, created.state.started_at);
            let promised = Promised { streams, started_at, until, ..Promised::default() };
            self.promises.consumers.insert(consumer, promised);
        }
        Ok(())
    }

    /// Moves a consumer somewhere; backwards is refused.
    pub(crate) async fn seek(&mut self) -> Result<(), String> {
        let Some(consumer) = self.some_consumer() else { return Ok(()) };
        let head = self.journal()?.head();
        let to = head.first + self.up_to(head.next - head.first);
        let command = ConsumerCommand::Seek { name: name(&consumer), to: StartAt::Block(to) };
        let journal = self.journal()?;
        let moved = self.drive(async move { journal.consumers(command).await }).await?;
        let Some(promised) = self.promises.consumers.get_mut(&consumer) else { return Ok(()) };
        if !matches!(moved, Err(JournalError::Refused(_))) {
            promised.maybe_passed = promised.maybe_passed.max(to);
        }
        if moved.is_ok() {
            promised.passed = promised.passed.max(to);
            self.saved();
        }
        Ok(())
    }

    pub(crate) async fn remove_consumer(&mut self) -> Result<(), String> {
        let Some(consumer) = self.some_consumer() else { return Ok(()) };
        let command = ConsumerCommand::Remove { name: name(&consumer) };
        let journal = self.journal()?;
        let removed = self.drive(async move { journal.consumers(command).await }).await?;
        if removed.is_ok() {
            self.promises.consumers.remove(&consumer);
            self.promises.removed.insert(consumer);
            self.saved();
        } else if let Some(promised) = self.promises.consumers.get_mut(&consumer) {
            promised.maybe_removed = true;
        }
        Ok(())
    }
}
