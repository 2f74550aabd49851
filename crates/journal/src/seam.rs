//! The seam: what every journal backend promises, and the words it is said in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{EventId, Timestamp};
use event::{Stream, StreamSet};
use sha2::{Digest, Sha256};

use crate::Block;
use crate::error::{AppendError, JournalError, LeaseError};

/// The largest payload of a block, in bytes.
pub const MAX_BLOCK_BYTES: usize = 768 * 1024;
/// Longer waits, leases and delays are cut to this, so that no instant overflows.
pub(crate) const LONGEST: Duration = Duration::from_hours(24 * 365 * 10);
/// Why a settle is refused: the books would not balance any more.
pub(crate) const TALLY_MISMATCH: &str = "a settled block's tally must count each of its events once";
/// Why a journal is not opened.
pub(crate) const IN_USE: &str = "another process has this journal open";
/// Why a journal is not opened.
pub(crate) const NEWER: &str = "a newer idstream wrote this journal";
/// Why a command on a consumer is refused.
pub(crate) const NO_CONSUMER: &str = "there is no consumer of this name";
/// Why a seek is refused.
pub(crate) const SEEK_BACK: &str = "a consumer cannot be moved back: replay with a consumer of its own";

/// The largest record of an event, in bytes. Intake's own limit (256 KiB by default) is below it.
pub const MAX_RECORD_BYTES: usize = 512 * 1024;
/// Room for the reason that is put around a record in quarantine, in bytes.
const WRAPPING_BYTES: usize = 16 * 1024;

/// The largest record of a stream, in bytes: any event's record fits into quarantine with a reason around it.
pub const fn max_record_bytes(stream: Stream) -> usize {
    match stream {
        Stream::Quarantine => MAX_RECORD_BYTES + WRAPPING_BYTES,
        _ => MAX_RECORD_BYTES,
    }
}

/// The durable, append-only store.
///
/// ```text
///            trimmed          settled by every consumer    leased        fresh
///   lane  ───┬─────────────┬───────────────────────────┬──────────────┬────────────┬──▶
///            0          trim point               consumer's floor            head
///                                                (per consumer)       (durable up to here)
/// ```
///
/// * A **block** holds 1…N records of one stream, at most 768 KiB, and has a sequence number. It is the unit of append,
///   lease and settle. An **offset** is (block sequence, index in the block): logical, never a file position.
/// * `append` returns when what it stored would survive the loss of power. Each event has a receipt of its own:
///   atomicity is per event, not per call.
///   Sequences rise and may have gaps: numbers that belong to no block.
/// * A **consumer** has a start and sees every block of its streams from there on at least once. A leased block is not
///   leased again until its lease expires, is handed back, or the process restarts. Several leases of one consumer may
///   be out at once, and blocks may be leased again out of order. One process at a time works a consumer; when another
///   takes over, the leases of the first one are stale.
/// * A settled block is never leased again, except those settled within the last second before a crash.
/// * A lease that expired answers [`LeaseError::Stale`] when it is settled or extended; a settle may also be lost. Both
///   mean only that the block comes again.
/// * A call that fails with a [`JournalError`] may have been done all the same: the answer was lost. Appended again, its
///   entries are duplicates; settled again, its lease is stale.
/// * Records come back exactly as they were appended.
///
/// Who retries: every error says whether trying again can help ([`JournalError::is_retryable`]).
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Stores records of one stream; one receipt per entry, in order. Durable when it returns.
    ///
    /// Dedupe: an entry whose id was stored within the window is not stored again, see [`Receipt`]. Entries of one
    /// call see each other.
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// Leases the oldest unsettled, unleased blocks of `streams`. Waits up to `limits.wait` for the first one; an empty
    /// answer means that there was none. The consumer must exist (see [`Journal::consumers`]).
    ///
    /// What cannot be read does not hold up the rest: it is left out, and named in an error when nothing else came.
    /// Dropping the call hands back what it had leased.
    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError>;

    /// Keeps a lease for `ttl` from now.
    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError>;

    /// Ends a lease: the block is done, or it is handed back.
    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError>;

    /// Blocks of the range in order of sequence, at most `range.max_bytes` of payload but at least one block. Settled
    /// blocks are included until they are trimmed. Fewer blocks than asked for does not mean that the end is reached:
    /// go on from the last one's sequence + 1 until the answer is empty. An answer ends before what cannot be read; a
    /// range that begins there is an error.
    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError>;

    /// Creates, removes, moves or lists consumers. Durable when it returns.
    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError>;

    /// Drops blocks below `up_to` (a block sequence): at least none, at most all of them, never one at or above it.
    /// Consumers whose floor is below are moved up; what they had not settled counts as expired in their tally.
    async fn trim(&self, up_to: u64) -> Result<(), JournalError>;

    /// Where the journal begins and ends, as far as this process knows: every block whose append was answered here lies
    /// below `next`. Where several processes append, others may have gone on.
    fn head(&self) -> Head;
}

/// The position of an event: block sequence and index in the block. Printed as `sequence.index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    /// The block's sequence number, from 1.
    pub block: u64,
    /// The record's place in the block, from 0.
    pub index: u32,
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.block, self.index)
    }
}

/// Who brought an event, as a number: the first 8 bytes of SHA-256 over the producer's identity. Two producers with
/// one number would dedupe each other's events only if they also chose the same event ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer(pub u64);

impl Producer {
    /// The number of an identity.
    pub fn of(identity: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(identity.as_bytes()).into();
        Self(u64::from_le_bytes(std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default())))
    }
}

/// What happens when a producer sends an id again with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// An API client made a mistake: [`Receipt::Conflict`].
    Refuse,
    /// A platform repeats itself: the first one wins, [`Receipt::Duplicate`].
    KeepFirst,
}

/// One record to store. Its bytes must be a valid [`event::Record`] of the append's stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record's bytes, at most [`max_record_bytes`] of the stream.
    pub record: Vec<u8>,
    /// Who brought it.
    pub producer: Producer,
    /// What to do when the same producer sent the id before with other content.
    pub on_conflict: OnConflict,
}

/// An idempotency key, remembered for 24 hours: an append with a known key and another digest stores nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Derived from the API client and the key.
    pub id: EventId,
    /// The first 8 bytes of SHA-256 over the request's body.
    pub digest: [u8; 8],
}

/// Records of one stream to store together.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream of every entry.
    pub stream: Stream,
    /// The records, 1 or more.
    pub entries: Vec<Entry>,
    /// The idempotency key of the request that brought them.
    pub request_key: Option<RequestKey>,
}

/// The answer to one append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// One receipt per entry, in order.
    pub receipts: Vec<Receipt>,
}

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Stored, durably.
    Stored(Offset),
    /// The same producer stored this id before (with the same content, or the first one wins). Durable.
    Duplicate,
    /// The same producer stored this id before, with other content. Not stored.
    Conflict,
    /// Another producer owns this id. Not stored: append it again under an id of its own.
    Foreign,
}

/// How much to lease, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LeaseLimits {
    /// At most this many blocks, 1 or more.
    pub max_blocks: usize,
    /// At most this many payload bytes, but at least one block.
    pub max_bytes: usize,
    /// How long the blocks stay leased.
    pub ttl: Duration,
    /// How long to wait for the first block.
    pub wait: Duration,
}

/// Names one lease of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

/// A leased block.
#[derive(Clone, Debug)]
pub struct Lease {
    /// For extend and settle.
    pub id: LeaseId,
    /// The block.
    pub block: Arc<Block>,
    /// How often this block has been leased to this consumer since the process started; 1 is the first time.
    pub deliveries: u32,
}

/// How a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The block is done. The tally is added to the consumer's, in the same checkpoint as the cursor. It must count
    /// each record that the block was appended with once (erased ones too), else the settle is refused and the lease
    /// goes on.
    Done(Tally),
    /// The block is handed back and can be leased again after the delay. Nothing is counted.
    HandBack(Duration),
}

/// The books of one consumer: what became of events, by grade. All but `appended` and `pending`, which the journal
/// counts itself: `appended = sum of the tally + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not selected: stream switch, filter, source.
    pub skipped: u64,
    /// Delivered and proven.
    pub confirmed: u64,
    /// Delivered into a failure store.
    pub diverted: u64,
    /// Delivered as far as the other side says.
    pub accepted: u64,
    /// Copied to quarantine.
    pub quarantined: u64,
    /// Given up by an operator.
    pub discarded: u64,
    /// Removed by retention or budget before delivery.
    pub expired: u64,
    /// Removed by erasure before delivery.
    pub erased: u64,
}

impl Tally {
    /// The grades in their on-disk order.
    pub const fn counts(&self) -> [u64; 8] {
        [
            self.skipped,
            self.confirmed,
            self.diverted,
            self.accepted,
            self.quarantined,
            self.discarded,
            self.expired,
            self.erased,
        ]
    }

    /// From the grades in their on-disk order.
    pub const fn from_counts(counts: [u64; 8]) -> Self {
        let [skipped, confirmed, diverted, accepted, quarantined, discarded, expired, erased] = counts;
        Self { skipped, confirmed, diverted, accepted, quarantined, discarded, expired, erased }
    }

    /// Every event counted.
    pub fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Delivered in any grade.
    pub const fn delivered(&self) -> u64 {
        self.confirmed + self.diverted + self.accepted
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let (a, b) = (self.counts(), other.counts());
        Self::from_counts(std::array::from_fn(|i| {
            a.get(i).copied().unwrap_or(0).saturating_add(b.get(i).copied().unwrap_or(0))
        }))
    }
}

/// Blocks to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRange {
    /// Blocks of these streams only.
    pub streams: StreamSet,
    /// From this block sequence on.
    pub from: u64,
    /// Below this block sequence; `u64::MAX` for the head.
    pub until: u64,
    /// At most this many payload bytes, but at least one block.
    pub max_bytes: usize,
}

/// The name of a consumer: 1 to 128 characters of `a-z A-Z 0-9 - _ / .`, such as `cfg/9f…` or `explorer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName(String);

impl ConsumerName {
    /// `None` when the text is not a consumer's name.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.'));
        fits.then_some(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a new or moved consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// After the last block that is durable now.
    Now,
    /// At the oldest block that is stored.
    Earliest,
    /// At this block sequence, or at the nearest end of the journal when it is not there (any more, or yet).
    Block(u64),
}

/// What to do with consumers. Every command answers the consumers that it names; `List` answers all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerCommand {
    /// Creates the consumer; one that exists is left as it is.
    Create {
        /// Its name.
        name: ConsumerName,
        /// The streams whose events its books count. It may lease fewer.
        streams: StreamSet,
        /// Where it begins.
        start: StartAt,
        /// Where it ends: the first block sequence that is not for it (replay, redrive). `None`: never.
        until: Option<u64>,
    },
    /// Moves an existing consumer; what it had not settled in between was given up by an operator: it counts as discarded.
    Seek {
        /// Its name.
        name: ConsumerName,
        /// Its new floor. Backwards is refused: replay with a consumer of its own.
        to: StartAt,
    },
    /// Moves an existing consumer up, as a trim does: what it had not settled counts as expired. Backwards does nothing.
    Expire {
        /// Its name.
        name: ConsumerName,
        /// Its new floor.
        to: StartAt,
    },
    /// Removes the consumer and its leases; one that does not exist is no error.
    Remove {
        /// Its name.
        name: ConsumerName,
    },
    /// Lists all consumers.
    List,
}

/// A consumer and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: ConsumerName,
    /// The streams that its books count.
    pub streams: StreamSet,
    /// How far it is.
    pub state: ConsumerState,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerState {
    /// The block sequence at which it began.
    pub started_at: u64,
    /// Every block of its streams below this sequence is settled.
    pub floor: u64,
    /// Events appended to its streams since it began (and before its end).
    pub appended: u64,
    /// What became of the settled ones. `appended - tally.total()` are pending.
    pub tally: Tally,
    /// Blocks leased now.
    pub n_leased: usize,
    /// When the oldest block that is not settled was appended.
    pub oldest_pending: Option<Timestamp>,
    /// Payload bytes of the blocks that are not settled.
    pub pending_bytes: u64,
}

/// Where the journal begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The sequence of the oldest stored block; equal to `next` when there is none.
    pub first: u64,
    /// The sequence that the next block will have, or less. There need not be a block just below.
    pub next: u64,
    /// Bytes on disk (or in memory).
    pub stored_bytes: u64,
    /// The last commit failed and nothing more is accepted until a restart.
    pub poisoned: bool,
}
