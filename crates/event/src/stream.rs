//! The streams of the journal: the three that customers know, and two of idstream's own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A named sequence of records in the journal. The numbers are part of the on-disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Stream {
    /// Log-ins, MFA, password changes: what happened to an account.
    AccountEvent = 1,
    /// Who changed the platform: before, after.
    AuditLog = 2,
    /// What the platform's own extension code did.
    EventHookLog = 3,
    /// Copies of records that a destination proved it will never take.
    Quarantine = 4,
    /// Items of an authenticated delivery that no source could parse.
    IntakeQuarantine = 5,
}

/// A text that names no product stream.
#[derive(Debug, thiserror::Error)]
#[error("not a stream: use accountEvent, auditLog or eventHookLog")]
pub struct UnknownStream;

impl Stream {
    /// The streams that destinations can be given.
    pub const PRODUCT: [Self; 3] = [Self::AccountEvent, Self::AuditLog, Self::EventHookLog];
    /// Every stream.
    pub const ALL: [Self; 5] =
        [Self::AccountEvent, Self::AuditLog, Self::EventHookLog, Self::Quarantine, Self::IntakeQuarantine];

    /// The stream with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| *stream as u8 == number)
    }

    /// Whether customers' events are in it.
    pub fn is_product(self) -> bool {
        Self::PRODUCT.contains(&self)
    }

    /// The name in documents, the API and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountEvent => "accountEvent",
            Self::AuditLog => "auditLog",
            Self::EventHookLog => "eventHookLog",
            Self::Quarantine => "quarantine",
            Self::IntakeQuarantine => "intakeQuarantine",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stream {
    type Err = UnknownStream;

    fn from_str(text: &str) -> Result<Self, UnknownStream> {
        Self::PRODUCT.into_iter().find(|stream| stream.name() == text).ok_or(UnknownStream)
    }
}

/// A set of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamSet(u8);

impl StreamSet {
    /// The three product streams.
    pub fn product() -> Self {
        Stream::PRODUCT.into_iter().collect()
    }

    /// Whether `stream` is in the set.
    pub const fn contains(self, stream: Stream) -> bool {
        self.0 & (1 << stream as u8) != 0
    }

    /// Whether no stream is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as bits, bit `n` for stream number `n`: its on-disk form.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of these bits; bits of unknown streams are dropped.
    pub fn from_bits(bits: u8) -> Self {
        Stream::ALL.into_iter().filter(|stream| bits & (1 << *stream as u8) != 0).collect()
    }
}

impl FromIterator<Stream> for StreamSet {
    fn from_iter<I: IntoIterator<Item = Stream>>(streams: I) -> Self {
        Self(streams.into_iter().fold(0, |bits, stream| bits | (1 << stream as u8)))
    }
}

impl From<Stream> for StreamSet {
    fn from(stream: Stream) -> Self {
        [stream].into_iter().collect()
    }
}
