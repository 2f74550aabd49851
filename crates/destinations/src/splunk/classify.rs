//! What the collector's answers prove.
//!
//! An answer is `{"text":…,"code":…}`, sometimes with `invalid-event-number`. Splunk 10.4.3 and Splunk Cloud were
//! measured to have indexed every object *before* the numbered one and none from there on. Servers that only imitate
//! the collector refuse the whole request; they are told apart by an error body that is not declared as JSON.
//!
//! A collector whose token has indexer acknowledgement adds an `ackId` to whatever it took, be it a prefix. Until that id
//! is acknowledged an event is taken and no more: it can still be lost on its way into the index.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::reason::Hush;
use crate::seam::{Ack, Acknowledgement, Answer, Grade, Outcome, Verdict};

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    code: u32,
    #[serde(rename = "invalid-event-number")]
    number: Option<usize>,
    /// Read apart: one of another form must not make the answer unreadable.
    #[serde(borrow, rename = "ackId", default)]
    ack: Option<&'a RawValue>,
}

/// What a collector says that took events and will not acknowledge them although it must.
const NOT_ACKNOWLEDGED: &str = "the collector took the events without an acknowledgement id: switch indexer \
                                acknowledgement (useACK) on for the token, or set acknowledgement to auto";

pub(crate) fn classify(n_events: usize, answer: &Answer, wanted: Acknowledgement, hush: &Hush) -> Verdict {
    let said: Option<Said<'_>> = serde_json::from_slice(&answer.body).ok();
    let ack = ack(said.as_ref());
    let exhausted = said.as_ref().is_some_and(|said| said.code == 27);
    let verdict = Verdict { exhausted, ..proof(n_events, answer, said, hush) };
    match (wanted, ack) {
        (Acknowledgement::Off, _) => verdict,
        (Acknowledgement::Auto, _) | (_, Ack::Given(_)) => Verdict { ack, ..verdict },
        (Acknowledgement::Required, _) => Verdict { ack, ..unacknowledged(verdict) },
    }
}

/// A collector that took nothing gave no id; after an internal error (8) nobody knows.
fn ack(said: Option<&Said<'_>>) -> Ack {
    match said {
        None | Some(Said { code: 8, .. }) => Ack::Lost,
        Some(said) => said.ack.and_then(|ack| ack.get().parse().ok()).map_or(Ack::None, Ack::Given),
    }
}

/// What an answer proves, acknowledgement left aside.
fn proof(n_events: usize, answer: &Answer, said: Option<Said<'_>>, hush: &Hush) -> Verdict {
    let reason = match &said {
        Some(said) => hush.reason(&format!("HEC code {}: {}", said.code, said.text)),
        None => hush.unknown(answer.status, &answer.body),
    };
    let all = |outcome: Outcome| Verdict::all(n_events, &outcome);
    match (answer.status, said) {
        (200, Some(Said { code: 0, number: None, .. })) => all(Outcome::Delivered(Grade::Accepted)),
        // Queues are filling up, but this request was taken.
        (200, Some(Said { code: 24 | 25, number: None, .. })) => {
            Verdict { slow_down: true, ..all(Outcome::Delivered(Grade::Accepted)) }
        }
        (413, _) => all(Outcome::Split { reason }),
        (408 | 429, _) => all(Outcome::Retry { reason }),
        (400..=499, Some(said)) => refused(n_events, &said, trusts_numbers(answer), reason),
        (401 | 403, None) => all(Outcome::Hold { reason }),
        // Splunk Cloud answers 404 for seconds while it is maintained; balancers answer anything at all.
        _ => all(Outcome::Retry { reason }),
    }
}

/// Nothing counts as delivered that will not be acknowledged. A part of a request is sent again, its whole is held.
fn unacknowledged(mut verdict: Verdict) -> Verdict {
    let reason = NOT_ACKNOWLEDGED.to_owned();
    let is_taken = |outcome: &Outcome| matches!(outcome, Outcome::Delivered(_));
    let instead = if verdict.outcomes.iter().all(is_taken) {
        Outcome::Hold { reason }
    } else {
        Outcome::Retry { reason }
    };
    verdict
        .outcomes
        .iter_mut()
        .filter(|outcome| is_taken(outcome))
        .for_each(|outcome| *outcome = instead.clone());
    verdict
}

/// A client error with one of the collector's codes.
fn refused(n_events: usize, said: &Said<'_>, trusted: bool, reason: String) -> Verdict {
    match (said.code, said.number) {
        // The index is the configuration's, not the event's. The number is of the object after the first bad one.
        (7, Some(number)) if (1..=n_events).contains(&number) => {
            prefix(n_events, number - 1, trusted, None, &Outcome::Hold { reason })
        }
        // Token, channel, index or acknowledgement are set up wrongly.
        (1..=4 | 7 | 10 | 11 | 14 | 16 | 21 | 22 | 28, _) => {
            Verdict::all(n_events, &Outcome::Hold { reason })
        }
        // A body over the server's limit is also answered with code 6 naming the first event: nothing was taken, and
        // halves will tell which of the two it was.
        (5, _) | (6, None | Some(0)) | (12 | 13 | 15, None) => {
            Verdict::all(n_events, &Outcome::Split { reason })
        }
        (6 | 12 | 13 | 15, Some(number)) if number < n_events => {
            let rest = Outcome::Retry { reason: reason.clone() };
            prefix(n_events, number, trusted, Some(Outcome::Quarantine { reason }), &rest)
        }
        _ => Verdict::all(n_events, &Outcome::Retry { reason }),
    }
}

/// The first `n_taken` events were taken if numbers are `trusted`; then comes `bad`, if one is named; then the `rest`.
fn prefix(n_events: usize, n_taken: usize, trusted: bool, bad: Option<Outcome>, rest: &Outcome) -> Verdict {
    let first = if trusted { Outcome::Delivered(Grade::Accepted) } else { rest.clone() };
    let mut verdict = Verdict::all(n_events, rest);
    verdict.outcomes.iter_mut().take(n_taken).for_each(|outcome| *outcome = first.clone());
    if let (Some(bad), Some(outcome)) = (bad, verdict.outcomes.get_mut(n_taken)) {
        *outcome = bad;
    }
    verdict
}

fn trusts_numbers(answer: &Answer) -> bool {
    let declared = answer.headers.get(CONTENT_TYPE);
    declared.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
