//! The destination seam: what every vendor implements, all of it pure.

use std::sync::Arc;
use std::time::Duration;

use base::{EventId, Timestamp};
use bytes::Bytes;
use event::{Record, Stream};

use crate::network::Route;
use crate::session::Session;

/// One vendor's way of taking events, built from valid settings and a credential.
///
/// A batch is encoded event by event into *pieces*; a request's body is the pieces within a [`Frame`], so that what has
/// to be sent again is put together from the same pieces without encoding anew.
pub trait Destination: Send + Sync + 'static {
    /// How much goes into one request.
    fn limits(&self) -> BatchLimits;

    /// What stands around and between the pieces.
    fn frame(&self) -> Frame;

    /// Appends one event's piece. `offset` is the record's (block, index) in the journal, `None` for a test event.
    fn encode(&self, record: &Record<'_>, offset: Option<(u64, u32)>, is_replay: bool, out: &mut Vec<u8>);

    /// The request that carries a finished body and is sent `now`, as one of a session.
    fn request(&self, body: Bytes, session: &Session, now: Timestamp) -> Request;

    /// Whether making a request takes so long (packing, signing) that it should be kept off the async threads.
    fn is_costly(&self) -> bool;

    /// What the answer to a request that carried the events `ids` proves about each of them. Always as many outcomes.
    fn classify(&self, ids: &[EventId], answer: &Answer) -> Verdict;

    /// Whether what is taken is acknowledged later, under an id that the answer gives (see [`Verdict::ack`]). A vendor
    /// that answers anything but [`Acknowledgement::Off`] has the two functions below.
    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Off
    }

    /// The question which of these ids are acknowledged. `None`: this vendor acknowledges nothing.
    fn ack_request(&self, _acks: &[u64], _session: &Session) -> Option<Request> {
        None
    }

    /// What the answer to [`Destination::ack_request`] proves.
    fn classify_acks(&self, _acks: &[u64], answer: &Answer) -> AckVerdict {
        AckVerdict::Lost { reason: format!("HTTP {}", answer.status) }
    }

    /// The question which of these events of one stream are stored, [`Destination::max_lookup`] of them at most. Nothing is
    /// changed by it. `None`: nobody can ask.
    fn lookup_request(&self, _stream: Stream, _ids: &[EventId]) -> Option<Request> {
        None
    }

    /// Most events of one [`Destination::lookup_request`]; 0: nobody can ask.
    fn max_lookup(&self) -> usize {
        0
    }

    /// What the answer to [`Destination::lookup_request`] proves.
    fn classify_lookup(&self, _ids: &[EventId], answer: &Answer) -> Lookup {
        Lookup::Unanswered { reason: format!("HTTP {}", answer.status) }
    }

    /// `text` with the credential masked in every form in which it is sent. For whoever shows an answer as it came.
    fn scrub(&self, text: &str) -> String;
}

/// How much goes into one request, and how many requests are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of a body before compression.
    pub max_bytes: usize,
    /// Events of a body.
    pub max_events: usize,
    /// Requests in flight at once.
    pub max_in_flight: usize,
}

/// What stands around and between the pieces of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before the first piece.
    pub open: &'static str,
    /// Between two pieces.
    pub between: &'static str,
    /// After the last piece.
    pub close: &'static str,
}

/// One HTTP request. Header values may be credentials: they are marked sensitive and never printed.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to, a valid absolute URL.
    pub url: url::Url,
    /// `POST`, but for probes.
    pub method: http::Method,
    /// The headers, credentials among them.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How it gets there.
    pub route: Arc<Route>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the other side asked to wait, in either form of `Retry-After` (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, cut at the transport's limit.
    pub body: Bytes,
}

/// What an answer proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One outcome per event of the request, in order.
    pub outcomes: Vec<Outcome>,
    /// The other side is near its limits: send less for a while.
    pub slow_down: bool,
    /// Whether what was taken will be acknowledged.
    pub ack: Ack,
    /// The session is used up: go on in a new one.
    pub exhausted: bool,
}

impl Verdict {
    /// These outcomes, and nothing else.
    pub const fn of(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, slow_down: false, ack: Ack::None, exhausted: false }
    }

    /// The same outcome for every event.
    pub fn all(n_events: usize, outcome: &Outcome) -> Self {
        Self::of(vec![outcome.clone(); n_events])
    }
}

/// What an answer says about a later acknowledgement of what was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// There will be none.
    None,
    /// The events with [`Outcome::Delivered`] will be acknowledged under this id, in this session. Until then they are
    /// only taken, whatever their grade.
    Given(u64),
    /// The answer is not the vendor's own, or does not say what was done: an id may have been given out that nobody knows.
    Lost,
}

/// Whether a destination acknowledges later what it takes, as its owner wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgement {
    /// Where the other side offers it. Where not, what it takes is [`Grade::Accepted`].
    #[default]
    Auto,
    /// Nothing is delivered before it is acknowledged, and nothing is sent to a side that acknowledges nothing.
    Required,
    /// Never asked for.
    Off,
}

/// What an answer about acknowledgements proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckVerdict {
    /// These ids, all of them asked for, are acknowledged. Nothing is said of the others: an id that is unknown, or was
    /// acknowledged in an answer that got lost, looks like one that is waited for.
    Acknowledged(Vec<u64>),
    /// The other side acknowledges nothing (any more).
    Off {
        /// Why, in the destination's words, and what to do.
        reason: String,
    },
    /// Only an operator can mend it.
    Hold {
        /// Why, in the destination's words.
        reason: String,
    },
    /// The question was not answered, in the vendor's own words: it can be asked again.
    Unanswered {
        /// Why, in the destination's words.
        reason: String,
    },
    /// The answer is not the vendor's own, or did not come: ids may have been acknowledged in it, and be forgotten.
    Lost {
        /// Why, in the destination's words.
        reason: String,
    },
}

/// What an answer proves about which events are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// For each event that was asked for, in order: where it lies, once for each copy. Empty: it is not there, or cannot be
    /// found yet.
    Held(Vec<Vec<String>>),
    /// Nothing is proven; it can be asked again.
    Unanswered {
        /// Why, in the destination's words.
        reason: String,
    },
    /// Only an operator can mend it, such as a credential that may not read.
    Refused {
        /// Why, in the destination's words.
        reason: String,
    },
}

/// What an answer proves about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, as far as the grade says.
    Delivered(Grade),
    /// Nothing is proven: send it again. The reason is the destination's own words, shortened.
    Retry {
        /// Why, in the destination's words.
        reason: String,
    },
    /// Only an operator can mend it (credential, index, permission): keep everything, try again slowly, raise an alarm.
    Hold {
        /// Why, in the destination's words.
        reason: String,
    },
    /// The destination named this very event and proved that it will never take it.
    Quarantine {
        /// Why, in the destination's words.
        reason: String,
    },
    /// The request was refused as a whole and nothing of it was taken, because it is too large or because something in
    /// it is unfit: send it in halves. A single event that is refused so goes to quarantine if the destination takes
    /// others; a destination that refuses everything is held.
    Split {
        /// Why, in the destination's words.
        reason: String,
    },
}

/// How sure a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Stored, and said so about this event.
    Confirmed,
    /// Stored, but in a failure store.
    Diverted,
    /// Taken; the other side does not say more.
    Accepted,
}
