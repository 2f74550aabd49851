//! What a worker says about itself: state, reason, since when, what happens next.

use base::Timestamp;
use serde::Serialize;

/// Whether events flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The worker has not sent anything yet.
    #[default]
    Starting,
    /// The last request proved something.
    Active,
    /// The last request proved nothing; it is tried again.
    Degraded,
    /// Only an operator can mend it; everything is kept, and tried again slowly.
    Holding,
    /// It is enabled again after a pause, and an operator must choose what becomes of what has gathered.
    PausedAwaitingChoice,
    /// No worker runs although one should; everything is kept. The last error says why.
    Stopped,
}

/// Whether a destination acknowledges later what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Acknowledging {
    /// Nothing has been sent yet.
    Unknown,
    /// It does: what is acknowledged is `confirmed`.
    Offered,
    /// It does not: what it takes is `accepted` and no more. For Splunk, switch indexer acknowledgement on for the token.
    NotOffered,
}

/// The live state of one configuration's worker. The books are the journal's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether events flow.
    pub state: State,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why not, in the destination's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Timestamp>,
    /// When something was last proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// Requests sent since the process started.
    pub requests: u64,
    /// Events sent again since the process started.
    pub retried: u64,
    /// Requests in flight now.
    pub in_flight: usize,
    /// Whether what the destination takes is acknowledged later; absent where that is not wanted or never offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledging>,
    /// Events that were taken and are not acknowledged yet. They are pending.
    pub awaiting_acknowledgement: u64,
    /// Events that the destination stumbles over: each is tried again alone, now and then. They are pending.
    pub parked: u64,
    /// The HTTP status of the last answer; `None` when there was none.
    #[serde(skip)]
    pub last_http_status: Option<u16>,
    /// When the next try goes out, while none may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

impl Status {
    pub(crate) fn turn(&mut self, state: State, now: Timestamp) {
        if self.state != state || self.since.is_none() {
            self.state = state;
            self.since = Some(now);
        }
    }

    pub(crate) fn succeeded(&mut self, now: Timestamp) {
        self.turn(State::Active, now);
        self.last_success_at = Some(now);
        self.next_try_at = None;
    }

    /// What held up the worker is out of its way.
    pub(crate) fn unstuck(&mut self, now: Timestamp) {
        self.turn(State::Active, now);
        self.next_try_at = None;
    }

    pub(crate) fn failed(&mut self, state: State, reason: &str, now: Timestamp) {
        self.turn(state, now);
        self.last_error = Some(reason.to_owned());
        self.last_error_at = Some(now);
        self.next_try_at = None;
    }
}
