//! Which events a configuration selects, prepared from what its owner set.

use std::fmt;

use event::filter::{Rule, Sieve};
use event::{Record, Stream, StreamSet};

use crate::configuration::Epoch;

/// The switches of the streams and the filter, of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    streams: StreamSet,
    sieve: Option<Sieve>,
}

/// Why an event is not selected. Printed as the field of the configuration that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unselected {
    /// Its stream is switched off.
    Stream(Stream),
    /// The filter leaves it out.
    Filter(Rule),
}

impl fmt::Display for Unselected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "{stream}Streaming.enabled"),
            Self::Filter(rule) => rule.fmt(f),
        }
    }
}

impl Selector {
    pub(crate) fn of(epoch: &Epoch) -> Self {
        Self { streams: epoch.streams(), sieve: Sieve::of(&epoch.filter) }
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
        self.sieve.as_ref()?.left_out_by(record).map(Unselected::Filter)
    }
}
