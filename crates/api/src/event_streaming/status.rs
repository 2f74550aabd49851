//! How a configuration fares: its books, kept by the journal, and what its worker says about itself.

use base::Timestamp;
use catalog::CatalogError;
use delivery::{Backlog, Configuration, Measured, StartFrom, Status};
use http::StatusCode;
use journal::{ConsumerState, Journal, JournalError};
use serde::Serialize;

use super::ENTITY;
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::router::STREAMING;

/// An addition to the contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusOut {
    id: String,
    /// `null` when the configuration cannot be read; `live` says why.
    enabled: Option<bool>,
    /// Where it began, when that was chosen: `now`, `earliest` or a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_from: Option<StartFrom>,
    books: Books,
    /// `null` when no worker runs.
    live: Option<Status>,
    /// What it delivers; `null` when it had no worker since the process started.
    volume: Option<Measured>,
    /// Present while an operator has to choose what becomes of what gathered in a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_choice: Option<AwaitingOut>,
}

/// What there is to choose about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AwaitingOut {
    since: Timestamp,
    /// Of the whole backlog, whether the settings select it or not; it may be trimmed by retention meanwhile.
    events: u64,
    bytes: u64,
    oldest: Option<Timestamp>,
    /// Events that retention has removed before they were sent, also before the pause.
    expired: u64,
    what_to_do: String,
}

/// Events since the configuration's start: `appended` is the sum of all others.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Books {
    appended: u64,
    skipped: u64,
    confirmed: u64,
    diverted: u64,
    accepted: u64,
    quarantined: u64,
    discarded: u64,
    expired: u64,
    erased: u64,
    pending: u64,
    /// Bytes of the journal that hold pending events.
    pending_bytes: u64,
    /// When the oldest pending event was stored.
    oldest_pending: Option<Timestamp>,
    /// How long ago that was; 0 when nothing is pending.
    lag_seconds: u64,
}

pub(crate) async fn status(call: Call) -> Answer {
    let id = call.id();
    let found = match call.state.catalog.get::<Configuration>(id) {
        Ok(found) => Some(found.value),
        Err(CatalogError::Damaged { .. }) => None,
        Err(error) => return Err(ApiError::from(error).about(ENTITY)),
    };
    let state = delivery::books(&*call.state.journal, id).await?;
    let now = call.state.clock.now();
    let books = state.map_or_else(Books::default, |state| books(&state, now));
    let status = StatusOut {
        awaiting_choice: match &found {
            Some(found) => awaiting(&*call.state.journal, found, books.expired).await?,
            None => None,
        },
        books,
        live: call.state.delivery.status(id),
        volume: call.state.delivery.volume(id),
        started_from: found.as_ref().and_then(|found| found.start_from),
        enabled: found.map(|found| found.enabled),
        id: id.to_owned(),
    };
    call::json(StatusCode::OK, &status)
}

async fn awaiting(
    journal: &dyn Journal,
    configuration: &Configuration,
    expired: u64,
) -> Result<Option<AwaitingOut>, JournalError> {
    let waits = configuration.resume.awaits_since.filter(|_| configuration.enabled);
    let Some(since) = waits else { return Ok(None) };
    // Without parked events, whose blocks are settled.
    let backlog = Backlog::of(journal, &configuration.id).await?;
    let path = format!("{STREAMING}/{}/resume", configuration.id);
    Ok(Some(AwaitingOut {
        since,
        events: backlog.events,
        bytes: backlog.bytes,
        oldest: backlog.oldest,
        expired,
        what_to_do: format!(
            "POST {path} with {{\"resumeFrom\": \"continue\"}} to send all of it, or with {{\"resumeFrom\": \"now\"}} to \
             give it up and go on with new events; nothing is sent until then, and retention removes what becomes too old"
        ),
    }))
}

fn books(state: &ConsumerState, now: Timestamp) -> Books {
    let tally = state.tally;
    Books {
        appended: state.appended,
        skipped: tally.skipped,
        confirmed: tally.confirmed,
        diverted: tally.diverted,
        accepted: tally.accepted,
        quarantined: tally.quarantined,
        discarded: tally.discarded,
        expired: tally.expired,
        erased: tally.erased,
        pending: state.appended.saturating_sub(tally.total()),
        pending_bytes: state.pending_bytes,
        oldest_pending: state.oldest_pending,
        lag_seconds: state.oldest_pending.map_or(0, |oldest| now.since(oldest).as_secs()),
    }
}
