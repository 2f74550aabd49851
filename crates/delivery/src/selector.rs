//! Which events a configuration selects, prepared from what its owner set.

use std::fmt;

use base::Timestamp;
use event::filter::{Rule, Sieve};
use event::{Record, Stream, StreamSet};

use crate::configuration::Epoch;

/// The switches of the streams and the filter, of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    streams: StreamSet,
    sieve: Option<Sieve>,
    since: Option<Timestamp>,
}

/// Why an event is not selected. Printed as the field of the configuration that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unselected {
    /// Its stream is switched off.
    Stream(Stream),
    /// It was received before the time that the configuration began with.
    Early,
    /// The filter leaves it out.
    Filter(Rule),
}

impl fmt::Display for Unselected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "{stream}Streaming.enabled"),
            Self::Early => f.write_str("startFrom"),
            Self::Filter(rule) => rule.fmt(f),
        }
    }
}

impl Selector {
    pub(crate) fn of(epoch: &Epoch) -> Self {
        Self { streams: epoch.streams(), sieve: Sieve::of(&epoch.filter), since: None }
    }

    /// The same, but for what was received before a time.
    pub(crate) fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    /// The streams that are switched on.
    pub(crate) const fn streams(&self) -> StreamSet {
        self.streams
    }

    /// Whether an event is selected.
    pub(crate) fn selects(&self, record: &Record<'_>) -> bool {
        self.why_not(record).is_none()
    }

    /// Why an event is not selected; `None` when it is.
    pub(crate) fn why_not(&self, record: &Record<'_>) -> Option<Unselected> {
        if !self.streams.contains(record.stream()) {
            return Some(Unselected::Stream(record.stream()));
        }
        if self.since.is_some_and(|since| record.received_at() < since) {
            return Some(Unselected::Early);
        }
        self.sieve.as_ref()?.left_out_by(record).map(Unselected::Filter)
    }
}
