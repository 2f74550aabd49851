//! Trying a configuration out: the stored one, or one that is not stored yet.

use std::collections::BTreeMap;

use delivery::{Configuration, Trial};
use explorer::TestNote;
use http::StatusCode;
use serde::Serialize;

use super::find;
use super::unsaved::{problem, unsaved_of};
use crate::call::{self, Answer, Call};
use crate::state::ApiState;

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

/// Tries out what the body describes, without storing it.
pub(crate) async fn unsaved(mut call: Call) -> Answer {
    let configuration = unsaved_of(&mut call).await?;
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
        Err(error) => Err(problem(error)),
    }
}
