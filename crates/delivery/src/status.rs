//! What a worker says about itself, and the states that a configuration is shown in.

use base::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::health::{Health, Signal, Standing};

/// Whether the events of a configuration flow. [`shown()`](crate::shown()) tells which it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Events wait, and nothing is known about its destination yet.
    #[default]
    Starting,
    /// The destination proves what it gets.
    Active,
    /// The destination proves little or nothing; what is not proven is tried again.
    Degraded,
    /// Only an operator can mend it; everything is kept, and tried again slowly.
    Holding,
    /// An operator has paused it: nothing is sent, and retention waits for it.
    Paused,
    /// After a pause, an operator must choose what becomes of what has gathered.
    AwaitingChoice,
    /// It is switched off: nothing is sent, and retention does not wait for it.
    Disabled,
    /// No worker runs although one should; everything is kept.
    Stopped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Active,
        Self::Degraded,
        Self::Holding,
        Self::Paused,
        Self::AwaitingChoice,
        Self::Disabled,
        Self::Stopped,
    ];

    /// The name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Holding => "holding",
            Self::Paused => "paused",
            Self::AwaitingChoice => "awaitingChoice",
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
        }
    }

    /// Whether somebody should look: it does not do what its settings say, or waits for a choice.
    pub const fn needs_attention(self) -> bool {
        matches!(self, Self::Degraded | Self::Holding | Self::AwaitingChoice | Self::Stopped)
    }
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

/// The live state of one configuration's worker. The books are the journal's; what both say together is in
/// [`shown()`](crate::shown()).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// How its destination fares.
    #[serde(skip)]
    health: Health,
    /// Why there is no worker although one should run.
    #[serde(skip)]
    stopped: Option<Timestamp>,
    /// What failed last, in the destination's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Timestamp>,
    /// When something was last proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// Requests sent since the worker started.
    pub requests: u64,
    /// Events sent again since the worker started.
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
    #[serde(skip)]
    pub next_try_at: Option<Timestamp>,
}

impl Status {
    /// Whether events flow, as far as the worker knows: never one of the states that somebody's settings cause.
    pub const fn state(&self) -> State {
        if self.stopped.is_some() {
            return State::Stopped;
        }
        match self.health.standing() {
            Standing::Fresh => State::Starting,
            Standing::Well => State::Active,
            Standing::Degraded => State::Degraded,
            Standing::Holding => State::Holding,
        }
    }

    /// Since when; `None` while nothing is known.
    pub fn since(&self) -> Option<Timestamp> {
        self.stopped.or(self.health.since())
    }

    /// Takes in that time has passed.
    pub(crate) fn pass(&mut self, at: Instant) {
        self.health.pass(at);
    }

    /// Why no worker runs.
    pub(crate) fn stopped(reason: &str, since: Timestamp, now: Timestamp) -> Self {
        let last_error = Some(reason.to_owned());
        Self { stopped: Some(since), last_error, last_error_at: Some(now), ..Self::default() }
    }

    /// Something was proven.
    pub(crate) fn succeeded(&mut self, at: Instant, now: Timestamp) {
        self.health.hear(Signal::Proof, at, now);
        self.last_success_at = Some(now);
        self.next_try_at = None;
    }

    /// What held up the worker is out of its way.
    pub(crate) fn unstuck(&mut self, at: Instant, now: Timestamp) {
        self.health.hear(Signal::Proof, at, now);
        self.next_try_at = None;
    }

    /// Something failed. `signal` may be a proof all the same: about other events of the same request.
    pub(crate) fn failed(&mut self, signal: Signal, reason: &str, at: Instant, now: Timestamp) {
        self.health.hear(signal, at, now);
        self.last_error = Some(reason.to_owned());
        self.last_error_at = Some(now);
        self.next_try_at = None;
    }

    /// The worker ends.
    pub(crate) fn ended(&mut self) {
        self.health = Health::default();
    }
}
