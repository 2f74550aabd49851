//! The calls on erasures: every stored event of a subject, or one event, is made unreadable, then its bytes go.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{EventId, Secret, Timestamp};
use catalog::{Found, Note};
use custody::erasure::{Erasure, ErasureError, Erasures, Progress, Subject};
use delivery::Configuration;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::audit::{Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::page::{Column, page_of};
use crate::router::ERASURES;
use crate::state::{ApiState, new_id};

const ENTITY: &str = "erasure";

const COLUMNS: [Column<Found<Erasure>>; 2] = [
    ("id", |a, b| a.value.id.cmp(&b.value.id)),
    ("requestedAt", |a, b| a.value.requested_at.cmp(&b.value.requested_at)),
];

/// Shorter subjects would meet too many events by accident, in characters.
const MIN_SUBJECT: usize = 3;
/// Longer ones are none, in characters.
const MAX_SUBJECT: usize = 512;
/// Most requests that are not done.
const MAX_OPEN: usize = 100;
/// How long until what failed is tried again, for the first time.
const AGAIN: Duration = Duration::from_secs(5);
/// And at most.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// An erasure as it is answered: never with its subject.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErasureOut {
    id: String,
    requested_at: Timestamp,
    kind: String,
    digest: String,
    dry_run: bool,
    progress: Progress,
    n_events: u64,
    destinations: Vec<DestinationOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    /// Why the last try to carry it out failed; it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'static str>,
}

/// What a configuration's destination has had of the events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DestinationOut {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Settled before they were erased: at the destination, unless the configuration's settings left them out.
    received: u64,
    /// Not settled: not sent any more, but for what was under way.
    withheld: u64,
}

fn out(state: &ApiState, erasure: Erasure) -> ErasureOut {
    let destination = |received: &custody::erasure::Received| {
        let name = journal::ConsumerName::new(received.consumer.clone())?;
        let id = delivery::configuration_id(&name)?;
        let found = state.catalog.get::<Configuration>(id).ok();
        Some(DestinationOut {
            id: id.to_owned(),
            name: found.map(|found| found.value.name),
            received: received.done,
            withheld: received.pending,
        })
    };
    ErasureOut {
        last_error: state.erasing().failures.lock().get(&erasure.id).copied(),
        destinations: erasure.received.iter().filter_map(destination).collect(),
        id: erasure.id,
        requested_at: erasure.requested_at,
        kind: erasure.kind,
        digest: erasure.digest,
        dry_run: erasure.is_dry_run,
        progress: erasure.progress,
        n_events: erasure.n_events,
        finished_at: erasure.finished_at,
    }
}

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let found = call.state.catalog.list::<Erasure>()?;
    let page = page_of(&query, found, &COLUMNS, |found| out(&call.state, found.value.clone()))?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = call.state.catalog.get::<Erasure>(call.id());
    let found = found.map_err(|error| ApiError::from(error).about(ENTITY))?;
    call::json(StatusCode::OK, &out(&call.state, found.value))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let (subject, is_dry_run) = parse(&body)?;
    let Some(erasures) = call.state.erasures.clone() else {
        let detail = "this journal cannot erase: its backend does not rewrite what is stored";
        return Err(ApiError::new(ErrorKey::Unavailable, detail).about(ENTITY));
    };
    let id = new_id(call.state.clock.now(), &call.state.random);
    let path = format!("{ERASURES}/{id}");
    let note = told(&call, &path);
    let state = call.state.clone();
    let made = call.state.change(move |_| {
        if erasures.open().len() >= MAX_OPEN {
            let detail = format!("{MAX_OPEN} erasures are not done yet: ask again when one of them is");
            return Err(ApiError::new(ErrorKey::TooManyRequests, detail).about(ENTITY).retry_after(AGAIN));
        }
        let made = erasures.request(id, &subject, is_dry_run, note).map_err(ApiError::internal)?;
        // Here, for the caller may have hung up by now.
        state.erasing().wanted.notify_one();
        Ok(made)
    });
    let made = made.await?;
    let answer = call::json(StatusCode::ACCEPTED, &out(&call.state, made))?;
    Ok(call::with_location(answer, &path))
}

/// The audit log of a request: who asked for it, and the digest of what.
fn told(call: &Call, path: &str) -> impl FnOnce(&Erasure) -> Note + Send + use<> {
    let change = Change {
        action: Action::Create,
        entity_type: "Erasure",
        name: path.rsplit('/').next().unwrap_or_default(),
        url: path.to_owned(),
        before: None,
        after: None,
    };
    // Without the request's body: it holds what is to be forgotten.
    let mut note = call.note(&change, None);
    move |erasure| {
        let of = json!({"kind": erasure.kind, "digest": erasure.digest, "dryRun": erasure.is_dry_run});
        note["changes"] = json!([{"path": "", "after": of}]);
        note
    }
}

fn parse(body: &Value) -> Result<(Subject, bool), ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&["subject", "eventId", "dryRun"], &mut complaints);
    let (subject, event) = (fields.get("subject"), fields.get("eventId"));
    if subject.is_some() == event.is_some() {
        fields.complain("subject", "or eventId must be given, and not both", &mut complaints);
    }
    let named = fields.text("subject", MIN_SUBJECT, MAX_SUBJECT, &mut complaints);
    let id = fields.text("eventId", 1, MAX_SUBJECT, &mut complaints).map(EventId::parse);
    let is_dry_run = fields.boolean("dryRun", &mut complaints).unwrap_or(false);
    let subject = match (named, id) {
        (Some(text), _) => Some(Subject::Named(Secret::new(text))),
        (None, Some(Ok(id))) => Some(Subject::Event(id)),
        (None, Some(Err(_))) => {
            fields.complain("eventId", "must be the eventID of an event: a UUID", &mut complaints);
            None
        }
        (None, None) => None,
    };
    complaints.finish(subject).map(|subject| (subject, is_dry_run))
}

/// What the calls and [`carry_out_erasures`] tell each other.
#[derive(Default)]
pub(crate) struct Erasing {
    /// There is a new request.
    wanted: Notify,
    /// Why requests failed when they were last tried, in words for callers.
    failures: Mutex<BTreeMap<String, &'static str>>,
}

/// Carries out what is asked for, one request at a time, until `stop` turns true; goes on with those that the last end has
/// interrupted. One that fails is tried again, and keeps no other from being carried out.
pub async fn carry_out_erasures(state: ApiState, mut stop: watch::Receiver<bool>) {
    let Some(erasures) = state.erasures.clone() else { return };
    let mut failed_rounds = 0;
    loop {
        let is_done = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            is_done = carry_out_open(&state, &erasures) => is_done,
        };
        failed_rounds = if is_done { 0 } else { failed_rounds + 1 };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = state.erasing().wanted.notified() => {}
            () = tokio::time::sleep(wait_after(failed_rounds)) => {}
        }
    }
}

/// How long until what failed is tried again: 5 seconds, then double, up to 5 minutes.
fn wait_after(failed_rounds: u32) -> Duration {
    match failed_rounds {
        0 => Duration::MAX,
        n => AGAIN.saturating_mul(1 << (n - 1).min(6)).min(LONGEST_WAIT),
    }
}

/// False when one of them failed.
async fn carry_out_open(state: &ApiState, erasures: &Erasures) -> bool {
    let open = erasures.open();
    let mut is_done = true;
    for id in &open {
        let carried_out = erasures.carry_out(id, || state.delivery.stand_still()).await;
        let failures = &state.erasing().failures;
        match carried_out {
            Ok(()) => {
                failures.lock().remove(id);
                // What it knows of the events that are erased is forgotten.
                state.delivery.quarantined().forget().await;
            }
            Err(error) => {
                tracing::error!(id, %error, "an erasure could not be carried out; it is tried again");
                failures.lock().insert(id.clone(), in_public(&error));
                is_done = false;
            }
        }
    }
    is_done
}

const fn in_public(error: &ErasureError) -> &'static str {
    match error {
        ErasureError::Journal(_) => {
            "the journal could not be searched or rewritten; the server's log says why"
        }
        ErasureError::Catalog(_) => "how far it is could not be stored; the server's log says why",
        ErasureError::Key(_) => "the master key that the subject was sealed with is not at hand",
    }
}
