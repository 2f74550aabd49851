//! Reconciliation: which delivered events a destination does not hold, or holds several times. An addition to the contract.

use std::time::Duration;

use base::Timestamp;
use delivery::{Expected, Paused, Period, ReconcileError, Reconciled};
use event::Stream;
use http::StatusCode;
use journal::Offset;
use serde::Serialize;

use super::quarantine::untold;
use super::unsaved::problem;
use super::{ENTITY, find};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};

/// When somebody may reconcile again while others look at events.
const AGAIN: Duration = Duration::from_secs(5);
/// What a search finds is this old: indices show new documents once a second when nothing else is set, and up to once in
/// half a minute where that is.
const SHOWN_AFTER: Duration = Duration::from_mins(1);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReconciledOut {
    from: Timestamp,
    to: Timestamp,
    looked_at: u64,
    expected: u64,
    /// Of these, sent under settings that are not known any more, if at all.
    assumed: u64,
    /// Stored under settings that are not known any more; later ones leave them out.
    unknown: u64,
    /// Parked, in quarantine or discarded.
    set_aside: u64,
    /// Blocks that are damaged.
    unreadable: u64,
    /// Events that the configuration has given up in all its time.
    given_up: u64,
    missing: Vec<EventOut>,
    repeated: Vec<EventOut>,
    ended: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what_to_do: Option<&'static str>,
    /// For the call that goes on; `null` when the period is done.
    cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventOut {
    #[serde(rename = "eventID")]
    event_id: String,
    stream: Stream,
    journal_offset: String,
    received_at: Timestamp,
    /// Of one that was found several times: where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indices: Vec<String>,
}

/// What a valid request asks for.
struct Wanted {
    period: Period,
    from: Offset,
}

pub(crate) async fn reconcile(mut call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    let body = call.json().await?;
    let wanted = wanted(&body, call.state.clock.now())?;
    let done = call.state.delivery.reconcile(&found.value, wanted.period, wanted.from).await;
    call::json(StatusCode::OK, &ReconciledOut::of(wanted.period, done.map_err(refused)?))
}

fn wanted(body: &serde_json::Value, now: Timestamp) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&["from", "to", "cursor"], &mut complaints);
    let from = time(&fields, "from", &mut complaints);
    let latest = now.minus(SHOWN_AFTER);
    let to = match fields.get("to") {
        Some(_) => time(&fields, "to", &mut complaints),
        None => Some(latest),
    };
    if to.is_some_and(|to| to > latest) {
        let message = "must be a minute ago at least: what was stored since cannot be found by a search yet";
        fields.complain("to", message, &mut complaints);
    }
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        fields.complain("from", "must be before to", &mut complaints);
    }
    let cursor = fields.text("cursor", 1, 31, &mut complaints);
    let start = cursor.map_or(Some(Offset { block: 0, index: 0 }), place);
    if start.is_none() {
        fields.complain("cursor", "must be the cursor of an answer", &mut complaints);
    }
    let period = from.zip(to).map(|(from, until)| Period { from, until });
    complaints.finish(period.zip(start)).map(|(period, from)| Wanted { period, from })
}

/// Where a call goes on; a block alone is meant from its first event on.
fn place(cursor: &str) -> Option<Offset> {
    let (block, index) = cursor.split_once('.').unwrap_or((cursor, "0"));
    Some(Offset { block: block.parse().ok()?, index: index.parse().ok()? })
}

fn time(fields: &Fields<'_>, field: &str, complaints: &mut Complaints) -> Option<Timestamp> {
    let text = fields.required_text(field, 1, 64, complaints)?;
    let time = Timestamp::parse(text).ok();
    if time.is_none() {
        fields.complain(field, "must be a time such as 2026-01-31T12:00:00Z", complaints);
    }
    time
}

fn refused(error: ReconcileError) -> ApiError {
    match error {
        ReconcileError::Trial(error) => problem(error),
        ReconcileError::Journal(error) => error.into(),
        ReconcileError::Quarantine(error) => untold(error),
        ReconcileError::Unable(why) => ApiError::new(ErrorKey::NotReconcilable, why).about(ENTITY),
        ReconcileError::Busy => {
            let detail = "others are looking at stored events now: try again in a few seconds";
            ApiError::new(ErrorKey::Busy, detail).retry_after(AGAIN)
        }
    }
}

impl ReconciledOut {
    fn of(period: Period, done: Reconciled) -> Self {
        let (ended, cursor, reason) = match done.ended {
            Paused::Done => ("done", None, None),
            Paused::More(next) => ("more", Some(next), None),
            Paused::Unsettled(next) => ("unsettled", Some(next), None),
            Paused::Unanswered(next, reason) => ("unanswered", Some(next), Some(reason)),
            Paused::Refused(next, reason) => ("refused", Some(next), Some(reason)),
        };
        Self {
            from: period.from,
            to: period.until,
            looked_at: done.n_looked_at,
            expected: done.n_expected,
            assumed: done.n_assumed,
            unknown: done.n_unknown,
            set_aside: done.n_set_aside,
            unreadable: done.n_unreadable,
            given_up: done.n_given_up,
            missing: done.missing.into_iter().map(|event| EventOut::of(&event, Vec::new())).collect(),
            repeated: done.repeated.into_iter().map(|(event, places)| EventOut::of(&event, places)).collect(),
            ended,
            reason,
            what_to_do: what_to_do(ended),
            cursor: cursor.map(|cursor| cursor.to_string()),
        }
    }
}

/// What a caller does next.
fn what_to_do(ended: &str) -> Option<&'static str> {
    match ended {
        "more" => Some("call again with the cursor"),
        "unsettled" => Some(
            "the rest is on its way, or the configuration sends nothing: see its status, and call again with the cursor later",
        ),
        "unanswered" => Some("call again with the cursor in a while"),
        "refused" => Some(
            "give the configuration a readCredential that may read what it sends, then call again with the cursor",
        ),
        _ => None,
    }
}

impl EventOut {
    fn of(event: &Expected, indices: Vec<String>) -> Self {
        Self {
            event_id: event.id.to_string(),
            stream: event.stream,
            journal_offset: event.offset.to_string(),
            received_at: event.received_at,
            indices,
        }
    }
}
