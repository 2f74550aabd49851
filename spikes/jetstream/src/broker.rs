//! The server's side: the stream of blocks, the bucket of checkpoints, and the words for what goes wrong there.

use std::fmt::Display;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, DirectGetErrorKind};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use event::Stream;
use journal::{ConsumerName, JournalError};

use crate::envelope::{self, MAX_MESSAGE_BYTES, Opened};

/// How long the server waits for an acknowledgement before it delivers again.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// Most blocks that the server has out at once, for each consumer and stream.
pub const MAX_OUT: i64 = 1_000;

/// The server refused, or did not answer: it can be asked again.
pub fn failed(error: impl Display) -> JournalError {
    JournalError::Disk(std::io::Error::other(error.to_string()))
}

/// What a publish came to.
pub enum Published {
    At(u64),
    /// Somebody else has written since.
    Behind,
    /// The message is stored, or it is not, or it will be.
    Unknown,
}

/// The places of one journal on the server.
pub struct Broker {
    pub context: Context,
    pub stream: stream::Stream,
    pub books: Store,
    prefix: String,
}

impl Broker {
    /// Finds or makes the stream and the bucket whose names begin with `prefix`.
    pub async fn open(client: async_nats::Client, prefix: &str) -> Result<Self, JournalError> {
        let mut context = jetstream::new(client);
        context.set_timeout(Duration::from_secs(5));
        let config = stream::Config {
            name: prefix.to_owned(),
            subjects: vec![format!("{prefix}.>")],
            max_message_size: MAX_MESSAGE_BYTES as i32,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            duplicate_window: Duration::from_secs(120),
            ..stream::Config::default()
        };
        let stream = context.get_or_create_stream(config).await.map_err(failed)?;
        let bucket = kv::Config { bucket: format!("{prefix}_books"), ..kv::Config::default() };
        let books = context.create_or_update_key_value(bucket).await.map_err(failed)?;
        Ok(Self { context, stream, books, prefix: prefix.to_owned() })
    }

    /// The subject of a stream's blocks; without a stream, of what is no block.
    pub fn subject(&self, stream: Option<Stream>) -> String {
        let prefix = &self.prefix;
        stream.map_or_else(|| format!("{prefix}.key"), |stream| format!("{prefix}.block.{}", stream as u8))
    }

    /// Publishes if nothing was stored after `last`. The server answers after its sync.
    pub async fn publish(
        &self,
        stream: Option<Stream>,
        message: Bytes,
        last: u64,
    ) -> Result<Published, JournalError> {
        let message = PublishMessage::build().payload(message).expected_last_sequence(last);
        let sent = self.context.send_publish(self.subject(stream), message).await;
        let answer = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(ack) => Ok(Published::At(ack.sequence)),
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence => Ok(Published::Behind),
                PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Ok(Published::Unknown),
                _ => Err(failed(error)),
            },
        }
    }

    /// The message with this sequence; `None` when it is gone.
    pub async fn read(&self, sequence: u64) -> Result<Option<Opened>, JournalError> {
        match self.stream.direct_get(sequence).await {
            Ok(message) => envelope::open(sequence, &message.payload).map(Some),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(JournalError::Read(std::io::Error::other(error.to_string()))),
        }
    }

    /// First and last sequence of the stream.
    pub async fn ends(&self) -> Result<(u64, u64), JournalError> {
        let state = self.stream.get_info().await.map_err(failed)?.state;
        Ok((state.first_sequence, state.last_sequence))
    }

    /// The server's own consumer of one stream for one of ours. It filters by subject for good, so there is one for each.
    pub async fn consumer(
        &self,
        name: &ConsumerName,
        of: Stream,
        start: u64,
    ) -> Result<PullConsumer, JournalError> {
        let durable = durable(name, of);
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_OUT,
            filter_subject: self.subject(Some(of)),
            ..pull::Config::default()
        };
        self.stream.get_or_create_consumer(&durable, config).await.map_err(failed)
    }
}

/// The server takes no `/` and no `.` in a consumer's name.
pub fn durable(name: &ConsumerName, of: Stream) -> String {
    format!("{}-{}", key(name), of as u8)
}

/// The key of a consumer's checkpoint.
pub fn key(name: &ConsumerName) -> String {
    name.as_str().bytes().map(|byte| format!("{byte:02x}")).collect()
}
