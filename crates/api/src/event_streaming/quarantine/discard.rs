//! Giving entries up: only what the caller has seen, and never without an audit log.
//!
//! The audit log is stored first, with how many entries were chosen. When fewer are given up than that (somebody else was
//! faster, or the journal failed), a second one says so.

use base::{EventId, Timestamp};
use catalog::{Catalog, CatalogError, Document, Note};
use delivery::Configuration;
use delivery::quarantined::{Ended, Ending};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parse::{self, Wanted};
use super::{ENTITY, find, untold};
use crate::audit::{Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::router::STREAMING;
use crate::state::{ApiState, to_its_end};

/// Most eventIDs that an audit log names.
const MAX_TOLD: usize = 100;

/// What was given up last of a configuration: what its audit log is stored with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastDiscard {
    at: Timestamp,
    by: String,
    /// Entries that were chosen.
    chosen: u64,
    /// Entries that were given up; absent until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discarded: Option<u64>,
}

impl Document for LastDiscard {
    const KIND: &'static str = "quarantineDiscard";
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiscardOut {
    dry_run: bool,
    /// Entries in quarantine that were meant.
    matching: u64,
    /// Entries that were given up.
    discarded: u64,
    /// Entries that were meant and stood elsewhere, by where they stood.
    skipped: Value,
    /// Events that were named and have no entry.
    unknown: u64,
    /// Entries that were meant and are left for another call.
    remaining: u64,
}

pub(crate) async fn discard(mut call: Call) -> Answer {
    let body = call.json().await?;
    let configuration = find(&call.state.catalog, call.id())?.value;
    let wanted = parse::wanted(&body)?;
    let quarantined = call.state.delivery.quarantined();
    let (mut chosen, matching) =
        quarantined.chosen(&configuration.id, &wanted.filter).await.map_err(untold)?;
    if let Some(expected) = wanted.expected.filter(|expected| *expected != matching) {
        let detail =
            format!("{matching} entries in quarantine are meant and not {expected}: nothing was given up");
        return Err(ApiError::new(ErrorKey::UnexpectedCount, detail).about(ENTITY));
    }
    if wanted.names_events {
        if chosen.is_empty() && !wanted.is_dry_run {
            let detail = "none of these events is in quarantine here: nothing was given up";
            return Err(ApiError::new(ErrorKey::NotInQuarantine, detail).about(ENTITY));
        }
        // With the others, so that the answer says where they stand.
        chosen.clone_from(&wanted.filter.events);
    }
    if wanted.is_dry_run || matching == 0 {
        return answer(wanted.is_dry_run, matching, &Ended::default());
    }
    let told = Told::of(&call, &configuration, &wanted, &chosen, matching);
    let (state, note) = (call.state.clone(), wanted.note);
    let ended = to_its_end(async move { carry_out(&state, told, chosen, note).await }).await?;
    answer(false, matching, &ended)
}

fn answer(is_dry_run: bool, matching: u64, ended: &Ended) -> Answer {
    let remaining = if is_dry_run { matching } else { matching.saturating_sub(ended.n_changed) };
    let answer = DiscardOut {
        dry_run: is_dry_run,
        matching,
        discarded: ended.n_changed,
        skipped: json!(ended.left),
        unknown: ended.n_unknown,
        remaining,
    };
    call::json(StatusCode::OK, &answer)
}

/// What the audit logs of one call say.
struct Told {
    id: String,
    by: String,
    n_chosen: u64,
    before: Note,
    /// The second one, which lacks how many there were.
    after: Note,
}

impl Told {
    fn of(call: &Call, of: &Configuration, wanted: &Wanted, chosen: &[EventId], matching: u64) -> Self {
        let n_chosen = if wanted.names_events { matching } else { chosen.len() as u64 };
        let events: Vec<String> = chosen.iter().take(MAX_TOLD).map(ToString::to_string).collect();
        let said = json!({
            "discarded": n_chosen,
            "eventIDs": events,
            "note": wanted.note,
            "filter": (!wanted.names_events).then(|| shown(wanted)),
        });
        let note = |after: Value| {
            let change = Change {
                action: Action::Update,
                entity_type: "EventStreamingQuarantine",
                name: &of.name,
                url: format!("{STREAMING}/{}/quarantine", of.id),
                before: None,
                after: Some(after),
            };
            call.note(&change, None)
        };
        Self {
            id: of.id.clone(),
            by: format!("{} ({})", call.who.name, call.who.id),
            n_chosen,
            before: note(said),
            after: note(json!({"chosen": n_chosen})),
        }
    }
}

/// The filter, for an audit log.
fn shown(wanted: &Wanted) -> Value {
    let filter = &wanted.filter;
    json!({
        "stream": filter.stream, "type": filter.event_type, "cause": filter.cause, "from": filter.from, "to": filter.until,
    })
}

/// Stores the audit log, then gives up, then tells when it were fewer.
async fn carry_out(
    state: &ApiState,
    told: Told,
    chosen: Vec<EventId>,
    note: Option<String>,
) -> Result<Ended, ApiError> {
    let Told { id, by, n_chosen, before, mut after } = told;
    let mut last = LastDiscard { at: state.clock.now(), by: by.clone(), chosen: n_chosen, discarded: None };
    store(state, &id, last.clone(), before).await?;
    let ended = state.delivery.quarantined().end_all(&id, &chosen, &Ending::Discarded { note }, &by).await;
    let n_discarded = ended.as_ref().map_or(0, |ended| ended.n_changed);
    if n_discarded != n_chosen {
        last.discarded = ended.as_ref().ok().map(|ended| ended.n_changed);
        let said = match &ended {
            Ok(ended) => json!({"chosen": n_chosen, "discarded": ended.n_changed}),
            Err(_) => {
                json!({"chosen": n_chosen, "outcome": "it failed: only some of them may have been given up"})
            }
        };
        after["response"] = said.clone();
        after["changes"] = json!([{"path": "", "after": said}]);
        store(state, &id, last, after).await?;
    }
    ended.map_err(untold)
}

async fn store(state: &ApiState, id: &str, last: LastDiscard, note: Note) -> Result<(), ApiError> {
    let id = id.to_owned();
    let store = move |catalog: &Catalog| {
        // Somebody may have deleted it since.
        catalog.revision::<Configuration>(&id).map_err(|error| ApiError::from(error).about(ENTITY))?;
        let stored = match catalog.revision::<LastDiscard>(&id) {
            Ok(revision) => catalog.replace(&id, &last, revision, Some(note)),
            Err(_) => catalog.create(&id, &last, Some(note)),
        };
        Ok(stored.map(drop)?)
    };
    state.change(store).await
}

/// Forgets what was given up last of a configuration that is gone.
pub(crate) fn forget(catalog: &Catalog, id: &str) -> Result<(), CatalogError> {
    match catalog.revision::<LastDiscard>(id) {
        Ok(revision) => catalog.delete::<LastDiscard>(id, revision, None),
        Err(_) => Ok(()),
    }
}
