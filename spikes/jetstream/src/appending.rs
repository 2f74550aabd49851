//! Appending by several writers at once, without a lock between them.
//!
//! Each message expects the sequence before it. A writer that is behind is refused, takes in what others wrote, judges its
//! ids anew, and tries again. So every id is stored once, every receipt names its place, and the log has one order.

use std::time::Duration;

use base::{EventId, Timestamp};
use event::{Record, Stream};
use journal::{
    Append, AppendError, Appended, Entry, JournalError, MAX_BLOCK_BYTES, Offset, Receipt, RequestKey,
    max_record_bytes,
};

use crate::broker::Published;
use crate::envelope::{self, Envelope, MAX_MESSAGE_BYTES, MAX_RECORDS, Owner, TABLE_BYTES};
use crate::jet::Inner;
use crate::view::{Key, judge};

/// Tries before an append whose outcome is unknown is given up.
const TRIES: u32 = 5;

struct Known {
    id: EventId,
    owner: Owner,
}

/// Entries that become one message.
struct Part {
    envelope: Envelope,
    payload: Vec<u8>,
    /// The entries' places in the append.
    places: Vec<usize>,
    ids: Vec<(EventId, Owner)>,
}

fn check(append: &Append) -> Result<Vec<Known>, AppendError> {
    let known = append.entries.iter().enumerate().map(|(index, entry)| {
        let record = Record::parse(&entry.record).map_err(|_| AppendError::Invalid { index })?;
        if record.stream() != append.stream || entry.record.len() > max_record_bytes(append.stream) {
            return Err(AppendError::Invalid { index });
        }
        Ok(Known { id: record.event_id(), owner: Owner::of(&record, entry.producer) })
    });
    known.collect()
}

impl Inner {
    pub(crate) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let known = check(&append)?;
        let mut receipts: Vec<Option<Receipt>> = vec![None; append.entries.len()];
        let mut is_keyed = append.request_key.is_none();
        let _writing = self.writing.lock().await;
        loop {
            let now = self.clock.now();
            if let (false, Some(key)) = (is_keyed, &append.request_key) {
                match self.view.lock().key(key, now) {
                    Key::Reused => return Err(AppendError::KeyReused),
                    Key::Known => is_keyed = true,
                    Key::New => {}
                }
            }
            let key = append.request_key.filter(|_| !is_keyed);
            let Some(part) = self.next_part(&append, &known, &mut receipts, now, key) else {
                return Ok(Appended { receipts: receipts.into_iter().flatten().collect() });
            };
            let stream = part.envelope.stream;
            if let Some(sequence) = self.store(stream, &part).await? {
                is_keyed = true;
                for (index, place) in part.places.into_iter().enumerate() {
                    let offset = Offset { block: sequence, index: index as u32 };
                    if let Some(receipt) = receipts.get_mut(place) {
                        *receipt = Some(Receipt::Stored(offset));
                    }
                }
            }
        }
    }

    /// Judges what has no receipt yet and fills one message with what is new.
    fn next_part(
        &self,
        append: &Append,
        known: &[Known],
        receipts: &mut [Option<Receipt>],
        now: Timestamp,
        key: Option<RequestKey>,
    ) -> Option<Part> {
        let nonce = self.random.up_to(u64::MAX - 1);
        let mut part = Part::new(Envelope::new(Some(append.stream), now, nonce, key));
        let view = self.view.lock();
        for (place, (entry, known)) in append.entries.iter().zip(known).enumerate() {
            let Some(receipt) = receipts.get_mut(place).filter(|receipt| receipt.is_none()) else { continue };
            let here = part.ids.iter().find(|(id, _)| *id == known.id);
            let judged = match here {
                Some((_, owner)) => Some(judge(*owner, known.owner, entry.on_conflict)),
                None => view.judge(known.id, known.owner, entry.on_conflict, now),
            };
            if judged.is_some() {
                *receipt = judged;
            } else if part.has_room_for(entry) {
                part.push(entry, known, place);
            } else {
                break;
            }
        }
        if part.places.is_empty() {
            // Nothing is new: the key is remembered by a message that is no block.
            part.envelope.stream = None;
            return key.map(|_| part);
        }
        Some(part)
    }

    /// Stores one message; `None` when somebody else has written since. A lost answer is cleared up: the same message is
    /// sent again, expecting the same sequence, so that it is stored once at most; if it is there, its nonce tells.
    async fn store(&self, stream: Option<Stream>, part: &Part) -> Result<Option<u64>, JournalError> {
        let message = part.envelope.message(&part.payload);
        let mut is_unclear = false;
        for _ in 0..TRIES {
            let last = self.view.lock().last;
            match self.broker.publish(stream, message.clone(), last).await? {
                Published::At(sequence) => {
                    let opened = envelope::open(sequence, &message)?;
                    self.view.lock().apply(sequence, Some(&opened));
                    self.appended();
                    return Ok(Some(sequence));
                }
                Published::Behind => {
                    self.catch_up().await?;
                    return if is_unclear {
                        self.find(last + 1, part.envelope.nonce).await
                    } else {
                        Ok(None)
                    };
                }
                Published::Unknown => is_unclear = true,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(JournalError::Disk(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the server does not answer; what was appended may be stored",
        )))
    }

    /// The sequence of the message with this nonce, if it is the one after what was known.
    async fn find(&self, sequence: u64, nonce: u64) -> Result<Option<u64>, JournalError> {
        let opened = self.broker.read(sequence).await?;
        Ok(opened.filter(|opened| opened.envelope.nonce == nonce).map(|_| sequence))
    }
}

impl Part {
    fn new(envelope: Envelope) -> Self {
        Self { envelope, payload: Vec::new(), places: Vec::new(), ids: Vec::new() }
    }

    fn has_room_for(&self, entry: &Entry) -> bool {
        let n = self.places.len() + 1;
        let bytes = self.payload.len() + entry.record.len();
        n <= MAX_RECORDS && bytes <= MAX_BLOCK_BYTES && bytes + (n + 8) * TABLE_BYTES <= MAX_MESSAGE_BYTES
    }

    fn push(&mut self, entry: &Entry, known: &Known, place: usize) {
        self.envelope.push(&mut self.payload, &entry.record, entry.producer);
        self.places.push(place);
        self.ids.push((known.id, known.owner));
    }
}
