//! A block as one message: what the journal knows of it before the records themselves.
//!
//! It lies in the payload, not in headers: NATS keeps at most 64 KiB of those, and a block may have thousands of records.

use base::{EventId, Timestamp};
use bytes::Bytes;
use event::{Record, Stream};
use journal::{Block, JournalError, Producer, RequestKey};
use serde::{Deserialize, Serialize};

/// Most records that this backend puts into one block.
pub const MAX_RECORDS: usize = 4_096;
/// Most bytes of the table of a record in the first line, roughly.
pub const TABLE_BYTES: usize = 40;
/// NATS refuses messages above 1 MiB unless its operator says otherwise.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// What stands before the records: one line of JSON. A real backend would have a table of bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Envelope {
    /// A random number: after a lost answer it tells whether the message is there.
    pub nonce: u64,
    /// `None` where the message is no block and only remembers a request key.
    pub stream: Option<Stream>,
    pub appended_at: i64,
    /// Where each record ends.
    pub ends: Vec<u32>,
    /// Who brought each record.
    pub producers: Vec<u64>,
    pub key: Option<(EventId, [u8; 8])>,
}

impl Envelope {
    pub fn new(stream: Option<Stream>, at: Timestamp, nonce: u64, key: Option<RequestKey>) -> Self {
        let key = key.map(|key| (key.id, key.digest));
        Self { nonce, stream, appended_at: at.as_millis(), key, ..Self::default() }
    }

    pub fn push(&mut self, payload: &mut Vec<u8>, record: &[u8], producer: Producer) {
        payload.extend_from_slice(record);
        self.ends.push(payload.len() as u32);
        self.producers.push(producer.0);
    }

    /// The message.
    pub fn message(&self, payload: &[u8]) -> Bytes {
        let mut message = serde_json::to_vec(self).unwrap_or_default();
        message.push(b'\n');
        message.extend_from_slice(payload);
        message.into()
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.appended_at).unwrap_or_default()
    }
}

/// A message that was read.
pub struct Opened {
    pub envelope: Envelope,
    /// `None` for a message that only remembers a key.
    pub block: Option<Block>,
}

/// Takes a message apart.
pub fn open(sequence: u64, message: &Bytes) -> Result<Opened, JournalError> {
    let damaged = || JournalError::Damaged(format!("message {sequence} is no block"));
    let line = message.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
    let envelope: Envelope = serde_json::from_slice(&message[..line]).map_err(|_| damaged())?;
    let payload = message.slice(line + 1..);
    let block = envelope
        .stream
        .map(|stream| Block::new(sequence, stream, envelope.at(), payload, envelope.ends.clone()));
    Ok(Opened { envelope, block })
}

/// Who stored an id, and with what content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub producer: Producer,
    pub content: [u8; 8],
}

impl Owner {
    pub fn of(record: &Record<'_>, producer: Producer) -> Self {
        let content = record.content_digest().first_chunk().copied().unwrap_or_default();
        Self { producer, content }
    }
}
