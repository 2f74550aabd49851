//! The native mapping of leases: messages of the server's own pull consumers.
//!
//! A lease is a delivered message that is neither acknowledged nor refused. The server knows one waiting time for all of a
//! consumer, so a lease that is to last longer is kept by telling it of progress, and one that is to end sooner is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use event::{Stream, StreamSet};
use futures::StreamExt;
use journal::{Block, ConsumerName, JournalError};

use crate::broker::{Broker, durable, failed};
use crate::envelope;

/// Messages asked for in one fetch.
const FETCH: usize = 256;

/// A message that the server counts as out with this process.
pub struct Held {
    pub block: Arc<Block>,
    message: Message,
}

/// The server's consumers behind one of ours, and what they have delivered.
pub struct Pull {
    consumers: Vec<(Stream, PullConsumer)>,
    pub held: BTreeMap<u64, Held>,
}

impl Pull {
    pub async fn open(
        broker: &Broker,
        name: &ConsumerName,
        of: StreamSet,
        start: u64,
    ) -> Result<Self, JournalError> {
        let mut consumers = Vec::new();
        for stream in Stream::ALL.into_iter().filter(|stream| of.contains(*stream)) {
            consumers.push((stream, broker.consumer(name, stream, start).await?));
        }
        Ok(Self { consumers, held: BTreeMap::new() })
    }

    /// Takes what the server has to give now, at most `wanted` blocks of each stream. Blocks that are done already are
    /// acknowledged: their acknowledgement was lost, or they lie beyond the consumer's end.
    pub async fn fetch(
        &mut self,
        streams: StreamSet,
        wanted: usize,
        is_done: impl Fn(u64) -> bool,
    ) -> Result<(), JournalError> {
        for (_, consumer) in self.consumers.iter().filter(|(stream, _)| streams.contains(*stream)) {
            let fetch = consumer.fetch().max_messages(wanted.clamp(1, FETCH));
            let mut messages = fetch.messages().await.map_err(failed)?;
            while let Some(message) = messages.next().await {
                let message = message.map_err(failed)?;
                let sequence = message.info().map_err(failed)?.stream_sequence;
                if is_done(sequence) {
                    message.ack().await.map_err(failed)?;
                } else if let Some(block) = envelope::open(sequence, &message.payload)?.block {
                    self.held.insert(sequence, Held { block: Arc::new(block), message });
                }
            }
        }
        Ok(())
    }

    /// Gives a block back to the server, for whoever fetches next, after `delay`. Returns when the server has taken note.
    pub async fn hand_back(&mut self, sequence: u64, delay: Duration) -> Result<(), JournalError> {
        let Some(held) = self.held.remove(&sequence) else { return Ok(()) };
        let delay = (!delay.is_zero()).then_some(delay);
        held.message.double_ack_with(AckKind::Nak(delay)).await.map_err(failed)
    }

    /// Tells the server that a block is done. Not before the books say so durably: it would never come again.
    pub async fn acknowledge(&mut self, is_done: impl Fn(u64) -> bool) -> Result<(), JournalError> {
        let done: Vec<u64> = self.held.keys().copied().filter(|sequence| is_done(*sequence)).collect();
        for sequence in done {
            if let Some(held) = self.held.remove(&sequence) {
                held.message.ack().await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Keeps everything that is held.
    pub async fn keep(&self) -> Result<(), JournalError> {
        for held in self.held.values() {
            held.message.ack_with(AckKind::Progress).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the server go on at `to`.
    pub async fn seek(&mut self, broker: &Broker, name: &ConsumerName, to: u64) -> Result<(), JournalError> {
        self.held.retain(|sequence, _| *sequence >= to);
        for (stream, _) in &self.consumers {
            broker.stream.reset_consumer(&durable(name, *stream), Some(to)).await.map_err(failed)?;
        }
        Ok(())
    }

    pub async fn remove(self, broker: &Broker, name: &ConsumerName) -> Result<(), JournalError> {
        for (stream, _) in &self.consumers {
            broker.stream.delete_consumer(&durable(name, *stream)).await.map_err(failed)?;
        }
        Ok(())
    }
}
