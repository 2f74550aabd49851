//! What a producer is told.

use std::time::Duration;

use base::EventId;
use journal::AppendError;
use serde::Serialize;

/// What became of one delivery, event by event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipts {
    /// Stored, durably.
    pub accepted: Vec<Accepted>,
    /// Not stored, and why. Sending them again unchanged will not help.
    pub rejected: Vec<Rejected>,
}

/// One stored event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Its place in the delivery, from 0.
    pub index: usize,
    /// Its id, in every document that is streamed and in the console.
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// It had been stored before; this time nothing was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// One refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its place in the delivery, from 0.
    pub index: usize,
    /// What kind of mistake: `malformedJson`, `invalidEvent`, `eventTooLarge`, `eventIdConflict`.
    pub error_key: &'static str,
    /// The field at fault, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to mend.
    pub detail: String,
}

/// Why a whole delivery was refused; nothing of it was stored, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body is neither an event, nor an array, nor lines of JSON.
    #[error("the body is not well-formed: {0}")]
    Malformed(String),
    /// The body holds no event.
    #[error("the body holds no event")]
    Empty,
    /// More events than one delivery may hold.
    #[error("more than {limit} events in one request")]
    TooManyEvents {
        /// How many are allowed.
        limit: usize,
    },
    /// The idempotency key was used with another body.
    #[error("the Idempotency-Key was used with another body within the last 24 hours")]
    KeyReused,
    /// A request with the same idempotency key is under way.
    #[error("a request with this Idempotency-Key is under way")]
    KeyInFlight,
    /// Too much is waiting. Some events may be stored already: those with an id or under an
    /// idempotency key are not stored twice when all are sent again.
    #[error("intake is busy; send the same request again")]
    Busy {
        /// After how long.
        retry_after: Duration,
    },
    /// The disk is full or the journal cannot go on. Some events may be stored already: those with an id or under an
    /// idempotency key are not stored twice when all are sent again.
    #[error("events cannot be stored at the moment; send the same request again later")]
    Unavailable {
        /// After how long.
        retry_after: Duration,
        /// The cause, for the diagnostics only.
        #[source]
        cause: AppendError,
    },
}

impl From<AppendError> for IntakeError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::KeyReused => Self::KeyReused,
            AppendError::Busy => Self::Busy { retry_after: Duration::from_secs(1) },
            cause => Self::Unavailable { retry_after: Duration::from_secs(10), cause },
        }
    }
}
