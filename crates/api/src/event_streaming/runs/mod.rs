//! Runs of a configuration: replays and redrives. All of them additions to the contract.

mod parse;
mod redrive;
mod replay;
mod show;

use catalog::Found;
use delivery::{Configuration, Deed, MAX_OPEN_RUNS, Run, RunError, RunKind, enter_run, find_run, runs_of};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

pub(crate) use self::redrive::redrive;
use self::replay::MissingOut;
pub(crate) use self::replay::replay;
use self::show::{RunOut, WhatOut};
use super::find;
use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::page::{Column, page_of};
use crate::query::Query;
use crate::router::STREAMING;
use crate::state::{ApiState, to_its_end};

/// The entity's name in errors.
const ENTITY: &str = "run";

/// A run, and what is known of it by now.
type Known = (Found<Run>, RunOut);

const COLUMNS: [Column<Known>; 2] = [
    ("id", |a, b| a.0.value.id.cmp(&b.0.value.id)),
    ("createdAt", |a, b| a.0.value.created_at.cmp(&b.0.value.created_at)),
];

/// A run as it is answered to its creation: with what of it cannot be done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedOut<'a> {
    #[serde(flatten)]
    run: RunOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a MissingOut>,
}

pub(crate) async fn list(call: Call) -> Answer {
    find(&call.state.catalog, call.id())?;
    let query = call.query();
    let kind = match query.one("kind")? {
        None => None,
        Some(name) => {
            let known = RunKind::ALL.into_iter().find(|kind| kind.name() == name);
            Some(known.ok_or_else(|| Query::wrong("kind", "must be replay or redrive"))?)
        }
    };
    let mut known = Vec::new();
    for found in runs_of(&call.state.catalog, call.id()) {
        if kind.is_none_or(|kind| kind == found.value.kind) {
            let out = shown(&call.state, &found.value).await?;
            known.push((found, out));
        }
    }
    let page = page_of(&query, known, &COLUMNS, |(_, out)| serde_json::to_value(out).unwrap_or_default())?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = found(&call)?;
    answer(&call.state, &found).await
}

pub(crate) async fn pause(call: Call) -> Answer {
    change(call, Deed::Pause).await
}

pub(crate) async fn resume(call: Call) -> Answer {
    change(call, Deed::Resume).await
}

pub(crate) async fn cancel(call: Call) -> Answer {
    change(call, Deed::Cancel).await
}

/// Another rate.
pub(crate) async fn pace(mut call: Call) -> Answer {
    let body = call.json().await?;
    let found = found(&call)?;
    call.check_revision(found.revision)?;
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(&body, &mut complaints);
    fields.only(&[parse::RATE], &mut complaints);
    // Here `null` says something: as fast as the destination takes it.
    if body.get(parse::RATE).is_none() {
        fields.complain(
            parse::RATE,
            "must be given; null means as fast as the destination takes it",
            &mut complaints,
        );
    }
    let rate = parse::rate(&fields, &mut complaints);
    complaints.check()?;
    if found.value.state.is_over() {
        return Err(unfit(RunError::Unfit("over")));
    }
    let after = Run { max_events_per_second: rate, ..found.value.clone() };
    store(call, found, after, Some(&body)).await
}

async fn change(call: Call, deed: Deed) -> Answer {
    let found = found(&call)?;
    call.check_revision(found.revision)?;
    let after = found.value.after(deed, call.state.clock.now()).map_err(unfit)?;
    if after == found.value {
        return answer(&call.state, &found).await;
    }
    store(call, found, after, None).await
}

async fn store(call: Call, before: Found<Run>, after: Run, body: Option<&Value>) -> Answer {
    let of = find(&call.state.catalog, call.id())?.value;
    let note = call.note(&told(Action::Update, &of, Some(&before.value), &after), body);
    let state = call.state.clone();
    let stored = to_its_end(async move {
        let replace = move |catalog: &catalog::Catalog| {
            let replaced = catalog.replace(&after.id, &after, before.revision, Some(note));
            let revision = replaced.map_err(|error| ApiError::from(error).about(ENTITY))?;
            Ok(Found { value: after, revision })
        };
        state.change(replace).await
    });
    let stored = stored.await?;
    answer(&call.state, &stored).await
}

/// Stores a new run, and answers it.
async fn enter(
    call: Call,
    of: &Configuration,
    run: Run,
    body: &Value,
    missing: Option<&MissingOut>,
) -> Answer {
    let note = call.note(&told(Action::Create, of, None, &run), Some(body));
    let (state, path) = (call.state.clone(), path(&run));
    let stored = to_its_end(async move {
        let store = move |catalog: &catalog::Catalog| {
            // It may have been deleted since it was read.
            find(catalog, &run.configuration_id)?;
            let revision = enter_run(catalog, &run, note).map_err(unfit)?;
            Ok(Found { value: run, revision })
        };
        state.change(store).await
    });
    let stored = stored.await?;
    let run = shown(&call.state, &stored.value).await?;
    let answer = call::json(StatusCode::CREATED, &CreatedOut { run, missing })?;
    Ok(call::with_location(call::with_etag(answer, stored.revision), &path))
}

async fn answer(state: &ApiState, found: &Found<Run>) -> Answer {
    let answer = call::json(StatusCode::OK, &shown(state, &found.value).await?)?;
    Ok(call::with_etag(answer, found.revision))
}

async fn shown(state: &ApiState, run: &Run) -> Result<RunOut, ApiError> {
    Ok(RunOut::of(run, state.delivery.progress(run).await?))
}

fn found(call: &Call) -> Result<Found<Run>, ApiError> {
    find_run(&call.state.catalog, call.id(), call.run()).map_err(|error| ApiError::from(error).about(ENTITY))
}

fn path(run: &Run) -> String {
    format!("{STREAMING}/{}/runs/{}", run.configuration_id, run.id)
}

fn unfit(error: RunError) -> ApiError {
    match error {
        RunError::Catalog(error) => ApiError::from(error).about(ENTITY),
        RunError::TooMany => {
            let detail =
                format!("{MAX_OPEN_RUNS} runs of this configuration are not over yet: wait, or cancel one");
            ApiError::new(ErrorKey::LimitReached, detail).about(ENTITY)
        }
        error @ RunError::Unfit(_) => ApiError::new(ErrorKey::RunOver, error.to_string()).about(ENTITY),
    }
}

/// For the audit log: what was asked for, and whether it goes on.
fn told<'a>(action: Action, of: &'a Configuration, before: Option<&Run>, after: &Run) -> Change<'a> {
    let shown = |run: &Run| {
        let mut shown = audit::shown(&WhatOut::of(run))?;
        shown["state"] = serde_json::to_value(run.state).ok()?;
        Some(shown)
    };
    Change {
        action,
        entity_type: "EventStreamingRun",
        name: &of.name,
        url: path(after),
        before: before.and_then(shown),
        after: shown(after),
    }
}
