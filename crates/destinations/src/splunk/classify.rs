//! What the collector's answers prove.
//!
//! An answer is `{"text":…,"code":…}`, sometimes with `invalid-event-number`. Splunk 10.4.3 and Splunk Cloud were
//! measured to have indexed every object *before* the numbered one and none from there on. Servers that only imitate
//! the collector refuse the whole request; they are told apart by an error body that is not declared as JSON.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::reason::Hush;
use crate::seam::{Answer, Grade, Outcome, Verdict};

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    code: u32,
    #[serde(rename = "invalid-event-number")]
    number: Option<usize>,
}

pub(crate) fn classify(n_events: usize, answer: &Answer, hush: &Hush) -> Verdict {
    let said: Option<Said<'_>> = serde_json::from_slice(&answer.body).ok();
    let reason = match &said {
        Some(said) => hush.reason(&format!("HEC code {}: {}", said.code, said.text)),
        None => hush.unknown(answer.status, &answer.body),
    };
    let all = |outcome: Outcome| Verdict::all(n_events, &outcome);
    match (answer.status, said) {
        (200, Some(Said { code: 0, .. })) => all(Outcome::Delivered(Grade::Accepted)),
        // Queues are filling up, but this request was taken.
        (200, Some(Said { code: 24 | 25, .. })) => {
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
