//! Trying a configuration out: the stored one, or one that is not stored yet.

use std::collections::BTreeMap;

use delivery::{Configuration, Trial, TrialError};
use explorer::TestNote;
use http::StatusCode;
use serde::Serialize;

use super::parse::{self, Known};
use super::{ENTITY, complete, field_error, find};
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::native_claims::ClaimNames;
use crate::state::ApiState;

/// The id of a configuration that has none.
const UNSAVED: &str = "unsaved";

/// The contract's `EventStreamingTestResponse`: the destination's own answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TrialOut {
    /// 0 when there was no answer.
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl From<Trial> for TrialOut {
    fn from(trial: Trial) -> Self {
        Self { status_code: trial.status, headers: trial.headers, body: trial.body }
    }
}

/// Tries the stored configuration out, enabled or not.
pub(crate) async fn stored(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    answer(&call.state, &call.who.name, &found.value).await
}

/// Tries out what the body describes, without storing it. With the `id` of a stored configuration its secrets are used
/// where the body brings none, unless the body leads elsewhere.
pub(crate) async fn unsaved(mut call: Call) -> Answer {
    let body = call.json().await?;
    let before = match body.get("id").and_then(serde_json::Value::as_str) {
        Some(id) => Some(find(&call.state.catalog, id)?.value),
        None => None,
    };
    let known = before.as_ref().map(Known::of).transpose().map_err(ApiError::internal)?;
    let wanted = parse::wanted(&body, known.as_ref(), &ClaimNames::of(&call.state.catalog))?;
    let id = before.as_ref().map_or(UNSAVED, |before| &before.id).to_owned();
    let configuration = complete(&call.state, id, wanted, before.as_ref())?;
    answer(&call.state, &call.who.name, &configuration).await
}

async fn answer(state: &ApiState, who: &str, configuration: &Configuration) -> Answer {
    let events = state.delivery.test_events(configuration);
    // Before they are sent: whoever receives one may follow its link at once.
    let note = |(_, event_id): &(_, _)| TestNote {
        event_id: *event_id,
        sent_at: state.clock.now(),
        sent_by: who.to_owned(),
        configuration: configuration.name.clone(),
    };
    state.explorer.note_tests(events.iter().map(note).collect()).await;
    match state.delivery.try_out(configuration, &events).await {
        Ok(trial) => call::json(StatusCode::OK, &TrialOut::from(trial)),
        Err(TrialError::Settings(errors)) => {
            Err(ApiError::fields(errors.into_iter().map(field_error).collect()).about(ENTITY))
        }
        Err(error) => Err(ApiError::internal(error)),
    }
}
