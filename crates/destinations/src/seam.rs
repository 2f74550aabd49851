//! The destination seam: what every vendor implements, all of it pure.

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use event::Record;

use crate::network::Route;

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

    /// The request that carries a finished body and is sent `now`.
    fn request(&self, body: Bytes, now: Timestamp) -> Request;

    /// Whether making a request takes so long (packing, signing) that it should be kept off the async threads.
    fn is_costly(&self) -> bool;

    /// What the answer to a request of `n_events` events proves about each of them. Always `n_events` outcomes.
    fn classify(&self, n_events: usize, answer: &Answer) -> Verdict;

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
}

impl Verdict {
    /// The same outcome for every event.
    pub fn all(n_events: usize, outcome: &Outcome) -> Self {
        Self { outcomes: vec![outcome.clone(); n_events], slow_down: false }
    }
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
