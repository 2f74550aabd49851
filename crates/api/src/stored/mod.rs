//! Stored events by their ids: the contract's calls on one account event, audit log or event hook log.

mod shape;

use std::time::Duration;

use base::{EventId, Timestamp};
use event::Stream;
use explorer::{Found, Removed, Stored, TestNote};
use http::StatusCode;
use serde::Serialize;

use crate::access::{ApiClient, Scope};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;

/// When to ask again for an event that is not indexed yet.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);

pub(crate) async fn account_event(call: Call) -> Answer {
    let found = of_stream(call, Stream::AccountEvent, "accountEvent").await?;
    Ok(call::json_text(shape::account_event(&found.record()?)))
}

pub(crate) async fn audit_log(call: Call) -> Answer {
    let found = of_stream(call, Stream::AuditLog, "auditEntry").await?;
    Ok(call::json_text(shape::audit_log(&found.record()?)))
}

pub(crate) async fn hook_log(call: Call) -> Answer {
    let found = of_stream(call, Stream::EventHookLog, "eventHookLog").await?;
    Ok(call::json_text(shape::hook_log(&found.record()?)))
}

/// An addition to the contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusOut {
    complete_as_of: Option<Timestamp>,
    blocks_behind: u64,
    blocks_unreadable: u64,
}

/// How far the explorer is.
pub(crate) async fn status(call: Call) -> Answer {
    let status = call.state.explorer.status();
    let out = StatusOut {
        complete_as_of: status.complete_as_of,
        blocks_behind: status.blocks_behind,
        blocks_unreadable: status.blocks_unreadable,
    };
    call::json(StatusCode::OK, &out)
}

/// The scope that shows the events of a stream; `None` for idstream's own, which nobody is shown here.
const fn scope_of(stream: Stream) -> Option<Scope> {
    match stream {
        Stream::AccountEvent => Some(Scope::ReadEventAccount),
        Stream::AuditLog => Some(Scope::ReadAdminEventAudit),
        Stream::EventHookLog => Some(Scope::ReadEventHookLog),
        Stream::Quarantine | Stream::IntakeQuarantine => None,
    }
}

/// Whether a client is shown the events of a stream.
pub(crate) fn may_see(who: &ApiClient, stream: Stream) -> bool {
    scope_of(stream).is_some_and(|scope| who.may(scope))
}

/// What there is under an id.
pub(crate) enum Kept {
    Event(Stored),
    Test(TestNote),
}

/// What there is under an id as a path gives it, as far as `who` may know. An error says what became of the event, as far
/// as that is known. Of what is not stored the stream is not known, so that is told only to those who are shown all
/// streams; to the others it is as if there had never been such an event.
pub(crate) async fn kept(state: &ApiState, who: &ApiClient, id: &str) -> Result<Kept, ApiError> {
    let id = EventId::parse(id).map_err(|error| {
        ApiError::new(ErrorKey::NotFound, format!("there is no event with this id: it is {error}"))
    })?;
    let gone = |detail: String| Err(ApiError::new(ErrorKey::EventRemoved, detail));
    let found = state.explorer.find(id).await?;
    let sees_all = Stream::PRODUCT.into_iter().all(|stream| may_see(who, stream));
    match found {
        Found::Stored(stored) if may_see(who, stored.record()?.stream()) => Ok(Kept::Event(stored)),
        Found::BeingIndexed => {
            let detail =
                "not found yet: events are stored that are still being indexed, and it may be one of them";
            Err(ApiError::new(ErrorKey::EventNotIndexed, detail).retry_after(AGAIN))
        }
        Found::Stored(_) | Found::Unknown => Err(unknown(who)),
        _ if !sees_all => Err(unknown(who)),
        Found::Test(note) => Ok(Kept::Test(note)),
        Found::Removed(removed) => gone(format!("the event was removed by retention {}", when(removed))),
        Found::ProbablyRemoved(removed) => gone(format!(
            "the event is not stored: what is as old as its id says was removed by retention {}",
            when(removed)
        )),
        Found::Erased => gone(
            "the event was removed, by erasure or by retention; when, the journal does not keep".to_owned(),
        ),
        Found::Lost => gone(
            "the event is lost: the journal was damaged where it lay, and it was given up in a repair"
                .to_owned(),
        ),
    }
}

/// The stored event of an id as a path gives it.
pub(crate) async fn find(state: &ApiState, who: &ApiClient, id: &str) -> Result<Stored, ApiError> {
    match kept(state, who, id).await? {
        Kept::Event(stored) => Ok(stored),
        Kept::Test(note) => {
            let TestNote { sent_at, sent_by, configuration, .. } = note;
            let detail = format!(
                "a test event, which is not stored: {sent_by:?} sent it at {sent_at} to try {configuration:?} out"
            );
            Err(ApiError::new(ErrorKey::TestEvent, detail))
        }
    }
}

async fn of_stream(call: Call, stream: Stream, entity: &'static str) -> Result<Stored, ApiError> {
    let found = find(&call.state, &call.who, call.id()).await.map_err(|error| error.about(entity))?;
    if found.record()?.stream() == stream { Ok(found) } else { Err(unknown(&call.who).about(entity)) }
}

/// The same whatever there is that `who` may not know of.
fn unknown(who: &ApiClient) -> ApiError {
    let sees_all = Stream::PRODUCT.into_iter().all(|stream| may_see(who, stream));
    let detail = if sees_all {
        "there is no event with this id"
    } else {
        "there is no event with this id that the scopes of this API client show"
    };
    ApiError::new(ErrorKey::NotFound, detail)
}

/// The day, in UTC.
fn when(removed: Removed) -> String {
    let day: String = removed.at.to_string().chars().take(10).collect();
    format!("on {day}{}", if removed.or_before { " or before" } else { "" })
}
