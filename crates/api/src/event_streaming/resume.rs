//! Going on after a pause: what a `PUT` that enables a configuration does about its backlog, and the call that makes the
//! choice.

use catalog::{Catalog, Found};
use delivery::{Backlog, Configuration, PauseError, Resume, ResumeFrom};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ENTITY, find, to_its_end, told};
use crate::audit::Action;
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::state::ApiState;

/// The field of both calls.
pub(super) const FIELD: &str = "resumeFrom";

/// What becomes of a pause, and what the audit log says of it.
pub(super) struct Decision {
    pub(super) resume: Resume,
    pub(super) note: Option<Value>,
}

/// The answer to a choice.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chosen<'a> {
    id: &'a str,
    resume_from: &'static str,
    /// Events that were given up.
    discarded: u64,
}

/// The choice that a body names, if it does.
pub(super) fn choice(fields: &Fields<'_>, complaints: &mut Complaints) -> Option<ResumeFrom> {
    let name = fields.text(FIELD, 1, 64, complaints)?;
    let choice = ResumeFrom::ALL.into_iter().find(|choice| choice.name() == name);
    if choice.is_none() {
        fields.complain(FIELD, "must be continue or now", complaints);
    }
    choice
}

/// What a replacing call, after which the configuration is `enabled`, does about a pause.
pub(super) async fn decide(
    state: &ApiState,
    before: &Configuration,
    enabled: bool,
    choice: Option<ResumeFrom>,
) -> Result<Decision, ApiError> {
    let ends_pause = before.paused_since.is_some() && choice.is_some();
    let was_paused = !before.enabled || before.resume.is_waiting() || ends_pause;
    if !(enabled && was_paused) {
        if choice == Some(ResumeFrom::Now) || (choice.is_some() && !enabled) {
            let message =
                "must be left out: the configuration is not enabled by this, nor does it await a choice";
            return Err(ApiError::field(ENTITY, FIELD, message));
        }
        let resume = if enabled { Resume::default() } else { before.resume.while_disabled() };
        return Ok(Decision { resume, note: None });
    }
    if choice.is_none()
        && !before.resume.is_waiting()
        && delivery::is_at_its_start(&*state.journal, before).await?
    {
        // It was asked to begin in the past.
        return Ok(Decision { resume: Resume::default(), note: None });
    }
    weigh(state, before, choice).await
}

/// What becomes of a pause that is to end, by the choice, else by how much has gathered.
async fn weigh(
    state: &ApiState,
    before: &Configuration,
    choice: Option<ResumeFrom>,
) -> Result<Decision, ApiError> {
    let backlog = Backlog::of(&*state.journal, &before.id).await?;
    let resume = before.resume.next(&backlog, choice, state.resume, state.clock.now());
    let says_something = choice.is_some() || (resume.is_waiting() && resume != before.resume);
    let note = says_something.then(|| {
        let from = choice.map_or("awaiting choice", ResumeFrom::name);
        json!({"from": from, "events": backlog.events, "bytes": backlog.bytes, "oldest": backlog.oldest})
    });
    Ok(Decision { resume, note })
}

/// Takes the last steps of a change that was stored: when it gives a backlog up, the journal moves, then the pause is over.
/// Answers what is stored in the end. A crash in between is made good at the next start.
pub(super) async fn carry_out(
    state: &ApiState,
    stored: Found<Configuration>,
) -> Result<Found<Configuration>, ApiError> {
    let Some(below) = stored.value.resume.gives_up_below else { return Ok(stored) };
    let id = stored.value.id;
    state.delivery.give_up(&id, below).await.map_err(not_given_up)?;
    state.change(move |catalog| Ok(delivery::end_pause(catalog, &id, below)?)).await
}

fn not_given_up(error: PauseError) -> ApiError {
    match error {
        PauseError::Journal(error) => error.into(),
        PauseError::Catalog(error) => ApiError::from(error).about(ENTITY),
    }
}

/// Ends a pause: as is chosen, or without a choice as the backlog allows. Chooses what becomes of the backlog of a
/// configuration that awaits it.
pub(crate) async fn resume(mut call: Call) -> Answer {
    let body = call.json_if_any().await?;
    let found = find(&call.state.catalog, call.id())?;
    call.check_revision(found.revision)?;
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(&body, &mut complaints);
    fields.only(&[FIELD], &mut complaints);
    let is_waiting = found.value.resume.is_waiting();
    if is_waiting || found.value.paused_since.is_none() {
        fields.require(FIELD, &mut complaints);
    }
    let chosen = choice(&fields, &mut complaints);
    complaints.check()?;
    if !(found.value.enabled && (is_waiting || found.value.paused_since.is_some())) {
        let detail = "the configuration is not paused, nor does it await a choice: nothing was done";
        return Err(ApiError::new(ErrorKey::NotAwaitingChoice, detail).about(ENTITY));
    }
    let decision = weigh(&call.state, &found.value, chosen).await?;
    let mut after = found.value.clone();
    after.resume = decision.resume;
    if !after.resume.is_waiting() {
        after.paused_since = None;
    }
    let is_awaiting = chosen.is_none() && after.resume.is_waiting();
    let change = told(Action::Update, Some(&found.value), Some(&after));
    let events = decision.note.as_ref().and_then(|note| note["events"].as_u64()).unwrap_or(0);
    let note = call.note(&change.with("resume", decision.note), Some(&body));
    let (state, id) = (call.state.clone(), after.id.clone());
    let steps = async move {
        let _turn = state.delivery.turn(&after.id).await;
        let store = move |catalog: &Catalog| {
            let replaced = catalog.replace(&after.id, &after, found.revision, Some(note));
            let revision = replaced.map_err(|error| ApiError::from(error).about(ENTITY))?;
            Ok(Found { value: after, revision })
        };
        let stored = state.change(store).await?;
        carry_out(&state, stored).await
    };
    let revision = to_its_end(steps).await?.revision;
    let discarded = if chosen == Some(ResumeFrom::Now) { events } else { 0 };
    let resume_from =
        if is_awaiting { "awaiting choice" } else { chosen.unwrap_or(ResumeFrom::Continue).name() };
    let answer = Chosen { id: &id, resume_from, discarded };
    Ok(call::with_etag(call::json(StatusCode::OK, &answer)?, revision))
}
