//! Why a journal does not do what is asked. When it may be asked again stands on the trait.

/// Why an append has no receipts.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting to be written. Nothing was stored; try again after a moment.
    #[error("the journal is busy")]
    Busy,
    /// The disk has no room. Nothing was stored; try again when there is room.
    #[error("the journal's disk is full")]
    Full,
    /// The request key was used with another body. Nothing was stored.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// An entry is not a record of the stream, or larger than a record may be. Nothing was stored.
    #[error("entry {index} is not a record of this stream, or is too large")]
    Invalid {
        /// The entry's place.
        index: usize,
    },
    /// The journal cannot go on; see the cause. Some of it may be stored.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why a lease could not be had, kept or settled.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease has expired or was settled before: the block comes again, or is done.
    #[error("the lease is stale")]
    Stale,
    /// The consumer does not exist.
    #[error("there is no consumer of this name")]
    NoConsumer,
    /// The journal cannot go on; see the cause.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why the journal could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A write or sync failed. The state of the disk is unknown: nothing is accepted until a restart, no lease and no
    /// settle either, because they could not be saved. What is stored can be read.
    #[error("a write to the journal failed; it accepts nothing until idstream is restarted")]
    Poisoned,
    /// The journal is shutting down.
    #[error("the journal is closed")]
    Closed,
    /// Bytes that were known to be durable are not what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// The disk refused to read.
    #[error("cannot read the journal")]
    Read(#[source] std::io::Error),
    /// The disk refused something else, for want of room mostly. What was asked did not happen, or not wholly; it can
    /// be asked again.
    #[error("the journal's disk refused")]
    Disk(#[source] std::io::Error),
    /// The command makes no sense; the text says why.
    #[error("{0}")]
    Refused(&'static str),
}

impl JournalError {
    /// The same answer once more.
    pub(crate) fn again(&self) -> Self {
        let same = |error: &std::io::Error| std::io::Error::new(error.kind(), error.to_string());
        match self {
            Self::Poisoned => Self::Poisoned,
            Self::Closed => Self::Closed,
            Self::Damaged(what) => Self::Damaged(what.clone()),
            Self::Read(error) => Self::Read(same(error)),
            Self::Disk(error) => Self::Disk(same(error)),
            Self::Refused(why) => Self::Refused(why),
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Disk(_))
    }
}
