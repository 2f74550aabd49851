//! The state in which a configuration is shown, everywhere the same: what its settings say, what its worker says, and what
//! the books say, taken together.

use base::Timestamp;
use journal::ConsumerState;
use serde::Serialize;

use crate::configuration::Configuration;
use crate::status::{State, Status};

/// What a configuration does, why, since when, and what happens next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Whether events flow.
    pub state: State,
    /// Why they do not, mostly in the destination's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when; `None` when nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What happens next, and what somebody can do about it.
    pub what_next: String,
    /// When it is tried again, while nothing may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

const DISABLED: &str =
    "nothing is sent; its place is kept, but retention removes what becomes too old. Enable it to go on";
const PAUSED: &str = "nothing is sent, and what comes is kept for it. POST …/resume to go on";
const AWAITING: &str = "POST …/resume with {\"resumeFrom\": \"continue\"} sends all that has gathered, with {\"resumeFrom\": \
                        \"now\"} it is given up and new events are sent";
const STOPPED: &str =
    "everything is kept; the start is tried again every few seconds, and when the configuration is saved";
const STARTING: &str = "the first request is on its way";
const ACTIVE: &str = "events are sent as they come";

/// The state of a configuration. `configuration` is `None` when its document cannot be read, `live` when no worker has said
/// anything, `books` when it has no place in the journal.
pub fn shown(
    configuration: Option<&Configuration>,
    live: Option<&Status>,
    books: Option<&ConsumerState>,
) -> Shown {
    let set = |state, since, what_next: &str| Shown {
        state,
        reason: None,
        since,
        what_next: what_next.to_owned(),
        next_try_at: None,
    };
    match configuration {
        Some(of) if !of.enabled => set(State::Disabled, of.disabled_since, DISABLED),
        Some(of) if of.resume.is_waiting() => Shown {
            reason: Some("more has gathered in a pause than is sent unasked".to_owned()),
            ..set(State::AwaitingChoice, of.resume.awaits_since, AWAITING)
        },
        Some(of) if of.paused_since.is_some() => set(State::Paused, of.paused_since, PAUSED),
        Some(_) => at_work(live, books),
        None => Shown {
            reason: live.and_then(|live| live.last_error.clone()),
            ..set(State::Stopped, live.and_then(Status::since), STOPPED)
        },
    }
}

/// The state of one whose worker should run.
fn at_work(live: Option<&Status>, books: Option<&ConsumerState>) -> Shown {
    let n_pending = books.map_or(0, |books| books.appended.saturating_sub(books.tally.total()));
    let known = live.map_or(State::Starting, Status::state);
    // One that has nothing to do does it well.
    let state =
        if known == State::Starting && live.is_some() && n_pending == 0 { State::Active } else { known };
    let tells_why = matches!(state, State::Degraded | State::Holding | State::Stopped);
    let next_try_at = live.and_then(|live| live.next_try_at).filter(|_| tells_why);
    let again = next_try_at.map_or_else(String::new, |at| format!("; the next try is at {at}"));
    Shown {
        state,
        reason: live.and_then(|live| live.last_error.clone()).filter(|_| tells_why),
        since: live.and_then(Status::since),
        what_next: match state {
            State::Degraded => format!("nothing is lost: what is not proven is sent again{again}"),
            State::Holding => format!(
                "mend what the reason says, at the destination or in the configuration; everything is kept, and tried \
                 again slowly{again}"
            ),
            State::Stopped => STOPPED.to_owned(),
            State::Starting => STARTING.to_owned(),
            _ => active(live, n_pending),
        },
        next_try_at,
    }
}

fn active(live: Option<&Status>, n_pending: u64) -> String {
    match live.map_or(0, |live| live.parked) {
        0 if n_pending == 0 => "nothing waits; events are sent as they come".to_owned(),
        0 => ACTIVE.to_owned(),
        n => format!("{ACTIVE}; {n} that the destination stumbles over are tried again alone"),
    }
}

#[cfg(test)]
mod tests {
    use journal::Tally;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::health::Signal;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(std::time::Duration::from_secs(seconds))
    }

    fn configuration(more: serde_json::Value) -> Configuration {
        let mut stored = json!({
            "id": "c", "name": "c", "enabled": true, "type": "splunk", "settings": {}, "secrets": {},
            "account": {}, "audit": {}, "hook": {},
        });
        for (name, value) in more.as_object().unwrap() {
            stored[name] = value.clone();
        }
        serde_json::from_value(stored).unwrap()
    }

    fn pending(n: u64) -> ConsumerState {
        let tally = Tally { confirmed: 10, ..Tally::default() };
        ConsumerState { appended: 10 + n, tally, ..ConsumerState::default() }
    }

    fn failing(signal: Signal) -> Status {
        let mut status = Status::default();
        status.failed(signal, "HTTP 503: busy", Instant::now(), at(5));
        status.next_try_at = Some(at(7));
        status
    }

    #[tokio::test]
    async fn what_an_operator_has_set_comes_before_what_a_worker_says() {
        let live = failing(Signal::Hold);
        let since = "2026-01-31T12:00:01.000Z";
        let waiting = json!({"awaitsSince": since});
        for (stored, state) in [
            (json!({"enabled": false, "pausedSince": at(9), "disabledSince": since}), State::Disabled),
            (json!({"pausedSince": at(9), "resume": waiting}), State::AwaitingChoice),
            (json!({"pausedSince": since}), State::Paused),
        ] {
            let told = shown(Some(&configuration(stored)), Some(&live), Some(&pending(3)));
            assert_eq!((told.state, told.since), (state, Some(at(1))));
            assert!(told.reason.as_deref().is_none_or(|reason| !reason.contains("503")), "{told:?}");
            assert!(!told.what_next.is_empty() && told.next_try_at.is_none());
        }
    }

    #[tokio::test]
    async fn a_failure_is_shown_with_its_reason_and_the_time_of_the_next_try() {
        for (signal, state) in [(Signal::Overdue, State::Degraded), (Signal::Hold, State::Holding)] {
            let told = shown(Some(&configuration(json!({}))), Some(&failing(signal)), Some(&pending(3)));
            assert_eq!((told.state, told.since, told.next_try_at), (state, Some(at(5)), Some(at(7))));
            assert_eq!(told.reason.as_deref(), Some("HTTP 503: busy"));
            assert!(
                told.what_next.ends_with("the next try is at 2026-01-31T12:00:07.000Z"),
                "{}",
                told.what_next
            );
        }
    }

    #[tokio::test]
    async fn a_state_keeps_its_since_when_only_the_reason_changes() {
        let mut live = failing(Signal::Hold);
        live.failed(Signal::Hold, "HTTP 403: other words", Instant::now(), at(60));
        let told = shown(Some(&configuration(json!({}))), Some(&live), None);
        assert_eq!((told.since, told.reason.as_deref()), (Some(at(5)), Some("HTTP 403: other words")));
    }

    #[tokio::test]
    async fn one_that_has_nothing_to_send_is_active_and_one_that_has_is_starting() {
        let (fresh, of) = (Status::default(), configuration(json!({})));
        assert_eq!(shown(Some(&of), Some(&fresh), Some(&pending(0))).state, State::Active);
        assert_eq!(shown(Some(&of), Some(&fresh), Some(&pending(1))).state, State::Starting);
        assert_eq!(shown(Some(&of), None, Some(&pending(0))).state, State::Starting, "its worker is to come");
        let mut proven = Status::default();
        proven.succeeded(Instant::now(), at(2));
        let told = shown(Some(&of), Some(&proven), Some(&pending(1)));
        assert_eq!((told.state, told.since, told.reason), (State::Active, Some(at(2)), None));
    }

    #[test]
    fn one_that_cannot_run_is_stopped_and_says_why() {
        let live = Status::stopped("no key opens it", at(1), at(4));
        for of in [None, Some(configuration(json!({})))] {
            let told = shown(of.as_ref(), Some(&live), None);
            assert_eq!((told.state, told.since), (State::Stopped, Some(at(1))));
            assert_eq!(told.reason.as_deref(), Some("no key opens it"));
        }
        assert_eq!(shown(None, None, None).state, State::Stopped);
    }

    #[test]
    fn a_state_has_one_name_everywhere() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
