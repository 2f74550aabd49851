//! Pausing a configuration: nothing is sent, and what comes is kept for it. `resume` ends it.

use base::Timestamp;
use catalog::Found;
use delivery::{Configuration, ResumeFrom};
use http::StatusCode;
use serde::Serialize;

use super::{ENTITY, change, find, to_its_end, told};
use crate::audit::Action;
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};

/// Since when, in the answer and in the configuration; sent back, it is passed over.
pub(super) const PAUSED: &str = "pausedSince";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PausedOut<'a> {
    id: &'a str,
    paused_since: Option<Timestamp>,
}

/// Pauses an enabled configuration. One that is paused stays so.
pub(crate) async fn pause(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    call.check_revision(found.revision)?;
    if !found.value.enabled {
        let detail = "the configuration is disabled, so that nothing is sent anyway: enable it first";
        return Err(ApiError::new(ErrorKey::NotEnabled, detail).about(ENTITY));
    }
    if found.value.paused_since.is_some() {
        return answer(&found);
    }
    let mut after = found.value.clone();
    after.paused_since = Some(call.state.clock.now());
    let note = call.note(&told(Action::Update, Some(&found.value), Some(&after)), None);
    let state = call.state.clone();
    answer(&to_its_end(async move { change::replace(&state, found, after, note).await }).await?)
}

fn answer(stored: &Found<Configuration>) -> Answer {
    let out = PausedOut { id: &stored.value.id, paused_since: stored.value.paused_since };
    Ok(call::with_etag(call::json(StatusCode::OK, &out)?, stored.revision))
}

/// Since when a configuration is paused after a change: only being disabled, or the choice to go on, ends a pause here.
/// Giving the backlog up ends it when the journal has moved.
pub(super) fn after_change(
    before: &Configuration,
    enabled: bool,
    choice: Option<ResumeFrom>,
) -> Option<Timestamp> {
    before.paused_since.filter(|_| enabled && choice != Some(ResumeFrom::Continue))
}
