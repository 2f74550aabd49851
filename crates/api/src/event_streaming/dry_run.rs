//! What a configuration would send of the newest stored events, and the volume to expect. Additions to the contract.

use std::time::Duration;

use base::Timestamp;
use delivery::{Configuration, DryRun, Ended, Kind, LookError, MAX_EVENTS, PerDay, StreamRun};
use http::StatusCode;
use serde::Serialize;

use super::find;
use super::unsaved::{problem, unsaved_of};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::query::Query;

/// Events that are looked at unless the caller says otherwise.
const DEFAULT_EVENTS: u64 = 10_000;
/// When somebody may look again while others look.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRunOut {
    looked_at: usize,
    ended: Ended,
    matched: u64,
    /// Of documents in their envelopes, before compression.
    bytes: u64,
    streams: Vec<StreamOut>,
    estimate: EstimateOut,
}

/// What is to be expected if events go on as they came.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EstimateOut {
    /// When the oldest event that was looked at was received; `null` when there is none.
    since: Option<Timestamp>,
    until: Timestamp,
    span_seconds: u64,
    /// `null` when the span is shorter than a minute.
    events_per_day: Option<u64>,
    gigabytes_per_day: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamOut {
    stream: event::Stream,
    looked_at: u64,
    matched: u64,
    bytes: u64,
    /// The most frequent kinds of the matching ones.
    kinds: Vec<KindOut>,
    left_out: Vec<LeftOutOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KindOut {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_type: Option<String>,
    events: u64,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOutOut {
    /// The field that says so.
    by: String,
    events: u64,
}

pub(crate) async fn stored(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    answer(call, &found.value).await
}

pub(crate) async fn unsaved(mut call: Call) -> Answer {
    let configuration = unsaved_of(&mut call).await?;
    answer(call, &configuration).await
}

async fn answer(call: Call, configuration: &Configuration) -> Answer {
    let max_events = max_events(&call.query())?;
    let run = call.state.delivery.dry_run(configuration, max_events).await.map_err(unseen)?;
    call::json(StatusCode::OK, &DryRunOut::from(run))
}

/// How many events the caller wants to be looked at.
pub(super) fn max_events(query: &Query) -> Result<usize, ApiError> {
    Ok(query.number("events", DEFAULT_EVENTS, 1, MAX_EVENTS as u64)? as usize)
}

/// Why events could not be looked at.
pub(super) fn unseen(error: LookError) -> ApiError {
    match error {
        LookError::Trial(error) => problem(error),
        LookError::Journal(error) => error.into(),
        LookError::Busy => {
            let detail = "others are looking at stored events now: try again in a few seconds";
            ApiError::new(ErrorKey::Busy, detail).retry_after(AGAIN)
        }
        error @ LookError::Task(_) => ApiError::internal(error),
    }
}

impl From<DryRun> for DryRunOut {
    fn from(run: DryRun) -> Self {
        let span = run.since.map_or(Duration::ZERO, |since| run.until.since(since));
        Self {
            looked_at: run.n_looked_at,
            ended: run.ended,
            matched: run.streams.iter().map(|stream| stream.n_matched).sum(),
            bytes: run.streams.iter().map(|stream| stream.bytes).sum(),
            estimate: EstimateOut {
                since: run.since,
                until: run.until,
                span_seconds: span.as_secs(),
                events_per_day: run.per_day.map(|PerDay { events_per_day, .. }| events_per_day),
                gigabytes_per_day: run.per_day.map(|PerDay { gigabytes_per_day, .. }| gigabytes_per_day),
            },
            streams: run.streams.into_iter().map(StreamOut::from).collect(),
        }
    }
}

impl From<StreamRun> for StreamOut {
    fn from(run: StreamRun) -> Self {
        let left_out =
            run.left_out.iter().map(|(why, events)| LeftOutOut { by: why.to_string(), events: *events });
        Self {
            stream: run.stream,
            looked_at: run.n_looked_at,
            matched: run.n_matched,
            bytes: run.bytes,
            left_out: left_out.collect(),
            kinds: run.kinds.into_iter().map(KindOut::from).collect(),
        }
    }
}

impl From<Kind> for KindOut {
    fn from(kind: Kind) -> Self {
        Self {
            event_type: kind.event_type,
            source_event_type: kind.source_event_type,
            entity_type: kind.entity_type,
            events: kind.n_events,
            bytes: kind.bytes,
        }
    }
}
