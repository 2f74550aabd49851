//! Asking for a replay: what it would send, or that it be sent.

use std::collections::BTreeMap;

use base::{EventId, Timestamp};
use delivery::{Configuration, Counted, Picked, Run, RunKind, RunState, Span};
use event::Stream;
use explorer::Found;
use futures::StreamExt;
use http::StatusCode;
use serde::Serialize;

use super::show::RangeOut;
use super::{ENTITY, enter, parse};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::event_streaming::dry_run::unseen;
use crate::event_streaming::find;
use crate::state::{ApiState, new_id};
use crate::stored::AGAIN;

/// Events that are looked up at a time.
const AT_A_TIME: usize = 8;
/// Most events that are named as missing.
const MAX_MISSING: usize = 100;

/// What would be sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRunOut {
    dry_run: bool,
    /// Events that would be sent, of the blocks that were counted.
    matching: u64,
    /// Bytes of their documents in their envelopes, before compression.
    bytes: u64,
    streams: Vec<StreamOut>,
    /// Events that are asked for and that the configuration does not select as it is now.
    unselected: u64,
    /// When the oldest of the matching was received, and the newest.
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    range: RangeOut,
    counted: CountedOut,
    /// Whether what was asked for begins before the oldest event that is stored.
    begins_before_stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<MissingOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamOut {
    stream: Stream,
    matching: u64,
    bytes: u64,
}

/// How much of the range was counted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountedOut {
    blocks: u64,
    of_blocks: u64,
    complete: bool,
}

/// Events that were named and cannot be sent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MissingOut {
    /// How many, by why.
    by_reason: BTreeMap<&'static str, u64>,
    /// The first 100 of them.
    #[serde(rename = "eventIDs")]
    event_ids: Vec<String>,
}

impl MissingOut {
    fn add(&mut self, event: EventId, why: &'static str) {
        *self.by_reason.entry(why).or_default() += 1;
        if self.event_ids.len() < MAX_MISSING {
            self.event_ids.push(event.to_string());
        }
    }

    fn is_empty(&self) -> bool {
        self.by_reason.is_empty()
    }
}

pub(crate) async fn replay(mut call: Call) -> Answer {
    let body = call.json().await?;
    let configuration = find(&call.state.catalog, call.id())?.value;
    let mut wanted = parse::replay(&body)?;
    let mut missing = MissingOut::default();
    if let Some(events) = &wanted.events {
        let floor = call.state.delivery.span(&configuration.id, &Picked::default()).await?.until;
        let found = places(&call.state, events, floor).await?;
        (wanted.picked.places, missing) = found;
        wanted.picked.n_events = Some(wanted.picked.places.len() as u64);
    }
    let span = call.state.delivery.span(&configuration.id, &wanted.picked).await?;
    if wanted.is_dry_run {
        return dry_run(&call.state, &configuration, &wanted.picked, span, missing).await;
    }
    if wanted.picked.n_events == Some(0) {
        let detail = format!("none of these events can be sent: {}", said(&missing));
        return Err(ApiError::new(ErrorKey::NotFound, detail).about(ENTITY));
    }
    let now = call.state.clock.now();
    let run = Run {
        id: new_id(now, &call.state.random),
        configuration_id: configuration.id.clone(),
        kind: RunKind::Replay,
        picked: wanted.picked,
        from: span.from,
        until: span.until,
        max_events_per_second: wanted.rate,
        created_at: now,
        created_by: call.who.name.clone(),
        state: RunState::Running,
        failure: None,
        ended_at: None,
        figures: None,
    };
    let missing = (!missing.is_empty()).then_some(missing);
    enter(call, &configuration, run, &body, missing.as_ref()).await
}

fn said(missing: &MissingOut) -> String {
    missing.by_reason.iter().map(|(why, n)| format!("{n} {why}")).collect::<Vec<_>>().join(", ")
}

/// Where events lie, in order, and those that cannot be sent. What lies at `floor` or behind it is pending.
async fn places(
    state: &ApiState,
    events: &[EventId],
    floor: u64,
) -> Result<(Vec<(u64, u32)>, MissingOut), ApiError> {
    let look = async |event: EventId| Ok::<_, ApiError>((event, state.explorer.find(event).await?));
    let mut looking = futures::stream::iter(events.iter().copied()).map(look).buffered(AT_A_TIME);
    let (mut places, mut missing) = (Vec::new(), MissingOut::default());
    while let Some(found) = looking.next().await {
        let (event, found) = found?;
        match found {
            Found::Stored(stored) if stored.offset().block >= floor => missing.add(event, "pending"),
            Found::Stored(stored) => places.push((stored.offset().block, stored.offset().index)),
            Found::BeingIndexed => {
                let detail = "events are stored that are still being indexed, and these may be among them";
                return Err(ApiError::new(ErrorKey::EventNotIndexed, detail)
                    .about(ENTITY)
                    .retry_after(AGAIN));
            }
            Found::Removed(_) | Found::ProbablyRemoved(_) => missing.add(event, "removed"),
            Found::Erased => missing.add(event, "erased"),
            Found::Lost => missing.add(event, "lost"),
            Found::Test(_) => missing.add(event, "test"),
            Found::Unknown => missing.add(event, "unknown"),
        }
    }
    places.sort_unstable();
    Ok((places, missing))
}

async fn dry_run(
    state: &ApiState,
    configuration: &Configuration,
    picked: &Picked,
    span: Span,
    missing: MissingOut,
) -> Answer {
    let counted = state.delivery.count(configuration, picked, span).await.map_err(unseen)?;
    let (matching, bytes) = counted.sum();
    let Counted { streams, n_unselected, oldest, newest, n_blocks, of_blocks } = &counted;
    let stream = |(stream, (matching, bytes)): (&Stream, &(u64, u64))| StreamOut {
        stream: *stream,
        matching: *matching,
        bytes: *bytes,
    };
    let out = DryRunOut {
        dry_run: true,
        matching,
        bytes,
        streams: streams.iter().map(stream).collect(),
        unselected: *n_unselected,
        oldest: *oldest,
        newest: *newest,
        range: RangeOut::of(span.from, span.until),
        counted: CountedOut { blocks: *n_blocks, of_blocks: *of_blocks, complete: counted.is_complete() },
        begins_before_stored: span.begins_before_stored,
        missing: (!missing.is_empty()).then_some(missing),
    };
    call::json(StatusCode::OK, &out)
}
