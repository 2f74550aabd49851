//! What must hold after every loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event::{Stream, StreamSet};
use journal::conformance::{limits, name};
use journal::{Block, Consumer, ConsumerCommand, Journal, ReadRange, Settlement};

use super::consumers::Promised;
use super::world::{Promises, SeenBlock, World};

impl World {
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        let blocks = self.read_all().await?;
        let first = self.journal()?.head().first;
        events_are_as_promised(&blocks, first, &self.promises)?;
        // Whatever can be read is durable from here on, whether or not its append was answered.
        for (offset, record) in blocks.iter().flat_map(|block| block.records()) {
            let event = (offset, record.as_bytes().to_vec());
            self.promises.acknowledged.insert(record.event_id(), event);
        }
        for block in &blocks {
            let seen = SeenBlock { stream: block.stream(), n_records: block.n_records() as u64 };
            self.promises.blocks.insert(block.sequence(), seen);
        }
        let journal = self.journal()?;
        let verified = self.drive(async move { journal.verify().await }).await?;
        let verified = verified.map_err(|error| format!("the hash chain: {error}"))?;
        if verified.next != self.journal()?.head().next {
            return Err(format!("the hash chain ends at {}", verified.next));
        }
        self.check_consumers(first).await?;
        self.append_one_more().await
    }

    async fn read_all(&mut self) -> Result<Vec<Arc<Block>>, String> {
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        loop {
            let from = blocks.last().map_or(0, |block| block.sequence() + 1);
            let streams = Stream::ALL.into_iter().collect();
            let range = ReadRange { streams, from, until: u64::MAX, max_bytes: 2_000 };
            let journal = self.journal()?;
            let read = self.drive(async move { journal.read(range).await }).await?;
            let read = read.map_err(|error| format!("cannot read from {from} on: {error:?}"))?;
            if read.is_empty() {
                return Ok(blocks);
            }
            blocks.extend(read);
        }
    }

    async fn check_consumers(&mut self, first: u64) -> Result<(), String> {
        let journal = self.journal()?;
        let all = self.drive(async move { journal.consumers(ConsumerCommand::List).await }).await?;
        let all = all.map_err(|error| format!("cannot list consumers: {error}"))?;
        let is_there = |consumer: &String| all.iter().any(|found| found.name == name(consumer));
        if let Some(back) = self.promises.removed.iter().find(|consumer| is_there(consumer)) {
            return Err(format!("the consumer {back} was removed and is back"));
        }
        let (there, gone): (Vec<_>, Vec<_>) = self.promises.consumers.keys().cloned().partition(is_there);
        for consumer in gone {
            if !self.promises.consumers.remove(&consumer).is_some_and(|promised| promised.maybe_removed) {
                return Err(format!("the consumer {consumer} is gone"));
            }
            self.promises.removed.insert(consumer);
        }
        for consumer in there {
            let leased = self.lease_all(&consumer).await?;
            let journal = self.journal()?;
            let all = self.drive(async move { journal.consumers(ConsumerCommand::List).await }).await?;
            let all = all.map_err(|error| format!("cannot list consumers: {error}"))?;
            let found = all.into_iter().find(|found| found.name == name(&consumer));
            let found = found.ok_or_else(|| format!("the consumer {consumer} is gone"))?;
            let blocks = &self.promises.blocks;
            let Some(promised) = self.promises.consumers.get_mut(&consumer) else { continue };
            books_are_as_promised(&found, promised, &leased, blocks, first)
                .map_err(|violation| format!("consumer {consumer}: {violation}"))?;
            // What comes again is as if it had not been settled, nor passed.
            promised.maybe_removed = false;
            let passed = blocks.range(..promised.maybe_passed).map(|(sequence, _)| *sequence);
            promised.gone.extend(passed.filter(|sequence| !leased.contains(sequence)));
            promised.maybe_passed = promised.passed;
            promised.settled.retain(|sequence| !leased.contains(sequence));
        }
        Ok(())
    }

    /// Leases everything that a consumer has left, and hands it back.
    async fn lease_all(&mut self, consumer: &str) -> Result<BTreeSet<u64>, String> {
        let mut sequences = BTreeSet::new();
        let mut leases = Vec::new();
        loop {
            let (journal, consumer) = (self.journal()?, name(consumer));
            let streams: StreamSet = Stream::ALL.into_iter().collect();
            let leased = self.drive(async move { journal.lease(&consumer, streams, limits()).await }).await?;
            let leased = leased.map_err(|error| format!("cannot lease: {error}"))?;
            if leased.is_empty() {
                break;
            }
            sequences.extend(leased.iter().map(|lease| lease.block.sequence()));
            leases.extend(leased);
        }
        for lease in leases {
            let journal = self.journal()?;
            let back = Settlement::HandBack(Duration::ZERO);
            let answer = self.drive(async move { journal.settle(lease.id, back).await }).await?;
            answer.map_err(|error| format!("cannot hand back: {error}"))?;
        }
        Ok(sequences)
    }
}

fn events_are_as_promised(blocks: &[Arc<Block>], first: u64, promises: &Promises) -> Result<(), String> {
    if first > promises.trimmed.max(1) {
        return Err(format!(
            "blocks below {first} are gone, but only those below {} were to go",
            promises.trimmed
        ));
    }
    let mut stored = BTreeMap::new();
    for block in blocks {
        for (offset, record) in block.records() {
            let id = record.event_id();
            if let Some((before, _)) = stored.insert(id, (offset, record.as_bytes())) {
                return Err(format!("{id} is stored at {before} and at {offset}"));
            }
            if promises.erased.contains(&offset) {
                return Err(format!("{id} at {offset} was erased and is back"));
            }
            if !promises.sent.get(&id).is_some_and(|sent| sent.contains(record.as_bytes())) {
                return Err(format!("{id} at {offset} is not what was sent"));
            }
        }
    }
    for (id, (offset, bytes)) in &promises.acknowledged {
        if offset.block < first || promises.maybe_erased.contains(offset) {
            continue;
        }
        match stored.get(id) {
            Some((found, record)) if found == offset && record == bytes => {}
            Some((found, _)) => return Err(format!("{id} was acknowledged at {offset} and is at {found}")),
            None => return Err(format!("{id} was acknowledged at {offset} and is lost")),
        }
    }
    Ok(())
}

fn books_are_as_promised(
    found: &Consumer,
    promised: &Promised,
    leased: &BTreeSet<u64>,
    blocks: &BTreeMap<u64, SeenBlock>,
    first: u64,
) -> Result<(), String> {
    let its = || {
        let from_start = blocks.range(promised.started_at..promised.until.max(promised.started_at));
        from_start.filter(|(_, block)| promised.streams.contains(block.stream) && block.n_records > 0)
    };
    let appended: u64 = its().map(|(_, block)| block.n_records).sum();
    if found.state.appended != appended {
        return Err(format!("{appended} events were appended, its books say {}", found.state.appended));
    }
    let pending: u64 = its().filter(|(at, _)| leased.contains(at)).map(|(_, block)| block.n_records).sum();
    if appended != found.state.tally.total() + pending {
        return Err(format!("{appended} appended, {pending} pending, {:?}", found.state.tally));
    }
    for (sequence, _) in its() {
        let is_settled = promised.settled.contains(sequence)
            || promised.gone.contains(sequence)
            || *sequence < first.max(promised.maybe_passed);
        if !leased.contains(sequence) && !is_settled {
            return Err(format!("block {sequence} was never settled and does not come"));
        }
        if leased.contains(sequence) && (promised.saved.contains(sequence) || *sequence < promised.passed) {
            return Err(format!("block {sequence} was settled and saved, and comes again"));
        }
        if !is_settled && *sequence < found.state.floor {
            return Err(format!("block {sequence} was never settled, the floor is {}", found.state.floor));
        }
    }
    let settled: u64 =
        its().filter(|(at, _)| promised.settled.contains(at)).map(|(_, block)| block.n_records).sum();
    if found.state.tally.confirmed > settled {
        return Err(format!(
            "{settled} events were confirmed, its books say {}",
            found.state.tally.confirmed
        ));
    }
    Ok(())
}
