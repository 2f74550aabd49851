//! How configurations fare: the state that each is in, its books, kept by the journal, and what its worker says.

use base::Timestamp;
use delivery::{Backlog, Configuration, Measured, Recent, Report, ReportError, Shown, StartFrom, Status};
use http::StatusCode;
use journal::{Journal, JournalError};
use serde::Serialize;

use super::ENTITY;
use super::backlog::{BacklogOut, backlog};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::page::{Column, by_text, page_of};
use crate::router::STREAMING;

/// An addition to the contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusOut {
    id: String,
    /// `null` when the configuration cannot be read; `reason` says why.
    enabled: Option<bool>,
    /// Where it began, when that was chosen: `now`, `earliest` or a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_from: Option<StartFrom>,
    #[serde(flatten)]
    shown: Shown,
    books: Books,
    /// What it has not delivered, and how long that may go on; `null` when the configuration cannot be read.
    /// Why it is not known what is parked, nor what became of entries in quarantine: `books` says nothing about it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    books_error: Option<String>,
    backlog: Option<BacklogOut>,
    /// `null` when no worker runs.
    live: Option<Status>,
    /// How its requests fare; `null` as `volume` is.
    recent: Option<Recent>,
    /// What it delivers; `null` when it had no worker since the process started.
    volume: Option<Measured>,
    /// Present while an operator has to choose what becomes of what gathered in a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_choice: Option<AwaitingOut>,
}

/// One of all, in brief.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BriefOut {
    id: String,
    name: String,
    /// `null` when the configuration cannot be read.
    r#type: Option<&'static str>,
    #[serde(flatten)]
    shown: Shown,
    needs_attention: bool,
    pending: u64,
    pending_bytes: u64,
    lag_seconds: u64,
    quarantined: u64,
    expired: u64,
    /// Events that the destination stumbles over; they are among the pending ones.
    parked: u64,
    /// Delivered in the last minute.
    events_per_second: f64,
    bytes_per_second: f64,
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
    /// How long ago the oldest one was stored that is not parked; 0 when there is none.
    lag_seconds: u64,
}

const COLUMNS: [Column<Report>; 5] = [
    ("id", |a, b| a.id.cmp(&b.id)),
    ("name", |a, b| by_text(a.name(), b.name())),
    ("state", |a, b| a.shown.state.name().cmp(b.shown.state.name())),
    ("pending", |a, b| a.n_pending().cmp(&b.n_pending())),
    ("oldestPending", |a, b| a.books.oldest_pending.cmp(&b.books.oldest_pending)),
];

/// The state of every configuration.
pub(crate) async fn statuses(call: Call) -> Answer {
    let reports = call.state.delivery.reports().await.map_err(unknown)?;
    let now = call.state.clock.now();
    let page = page_of(&call.query(), reports, &COLUMNS, |report| brief(report, now))?;
    call::json(StatusCode::OK, &page)
}

/// The state of one configuration, with all that is known.
pub(crate) async fn status(call: Call) -> Answer {
    let report = call.state.delivery.report(call.id()).await.map_err(unknown)?;
    let missing = || ApiError::new(ErrorKey::NotFound, "there is none with this id").about(ENTITY);
    let report = report.ok_or_else(missing)?;
    let (journal, now) = (&*call.state.journal, call.state.clock.now());
    let status = StatusOut {
        awaiting_choice: match &report.configuration {
            Some(found) => awaiting(journal, found, report.books.tally.expired).await?,
            None => None,
        },
        backlog: match &report.configuration {
            Some(found) => Some(backlog(journal, &call.state.delivery, found, now).await?),
            None => None,
        },
        books: books(&report, now),
        books_error: report.unread,
        started_from: report.configuration.as_ref().and_then(|found| found.start_from),
        enabled: report.configuration.map(|found| found.enabled),
        id: report.id,
        shown: report.shown,
        live: report.live,
        recent: report.recent,
        volume: report.volume,
    };
    call::json(StatusCode::OK, &status)
}

fn unknown(error: ReportError) -> ApiError {
    match error {
        ReportError::Journal(error) => error.into(),
        ReportError::Catalog(error) => error.into(),
    }
}

fn brief(report: &Report, now: Timestamp) -> BriefOut {
    let rate = report.recent.as_ref().map(|recent| recent.last_minute);
    BriefOut {
        id: report.id.clone(),
        name: report.name().to_owned(),
        r#type: report.configuration.as_ref().map(|found| found.vendor.name()),
        shown: report.shown.clone(),
        needs_attention: report.shown.state.needs_attention(),
        pending: report.n_pending(),
        pending_bytes: report.books.pending_bytes,
        lag_seconds: report.lag_seconds(now),
        quarantined: report.books.tally.quarantined,
        expired: report.books.tally.expired,
        parked: report.parked,
        events_per_second: rate.map_or(0.0, |rate| rate.events_per_second),
        bytes_per_second: rate.map_or(0.0, |rate| rate.bytes_per_second),
    }
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
             give it up and go on with new events; nothing is sent until then; what becomes of it meanwhile stands in backlog"
        ),
    }))
}

fn books(report: &Report, now: Timestamp) -> Books {
    let state = &report.books;
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
        lag_seconds: report.lag_seconds(now),
    }
}
