//! The attempts log of a configuration. An addition to the contract.

use std::sync::Arc;

use base::EventId;
use delivery::Attempt;
use http::StatusCode;

use super::{ENTITY, revision};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::page::{Column, page_of};
use crate::query::Query;

const COLUMNS: [Column<Arc<Attempt>>; 3] = [
    ("n", |a, b| a.n.cmp(&b.n)),
    ("durationMs", |a, b| a.duration_ms.cmp(&b.duration_ms)),
    ("events", |a, b| a.events.cmp(&b.events)),
];

/// The last attempts, the newest first.
pub(crate) async fn attempts(call: Call) -> Answer {
    revision(&call.state.catalog, call.id())?;
    let query = call.query();
    let only_failed = match query.one("failed")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Query::wrong("failed", "must be true or false")),
    };
    let event = query.one("eventID")?.map(EventId::parse).transpose();
    let event = event.map_err(|_| Query::wrong("eventID", "must be a UUID"))?;
    let found = call.state.delivery.attempts(call.id(), only_failed, event);
    let page = page_of(&query, found, &COLUMNS, |attempt| Attempt::clone(attempt))?;
    call::json(StatusCode::OK, &page)
}

/// One of them, with what was sent and received.
pub(crate) async fn attempt(call: Call) -> Answer {
    revision(&call.state.catalog, call.id())?;
    let n = call.parts.uri.path().rsplit('/').next().and_then(|n| n.parse().ok());
    let seen = n.and_then(|n| call.state.delivery.attempt(call.id(), n));
    let missing = || ApiError::new(ErrorKey::NotFound, "there is none with this number, or not any more");
    call::json(StatusCode::OK, &seen.ok_or_else(|| missing().about(ENTITY))?)
}
