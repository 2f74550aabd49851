//! Pausing a configuration: nothing is sent, and what comes is kept for it. `resume` ends it.

use base::Timestamp;
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
    let id = found.value.id.clone();
    let (paused_since, revision) = match found.value.paused_since {
        Some(since) => (Some(since), found.revision),
        None => {
            let mut after = found.value.clone();
            after.paused_since = Some(call.state.clock.now());
            let note = call.note(&told(Action::Update, Some(&found.value), Some(&after)), None);
            let state = call.state.clone();
            let stored = to_its_end(async move { change::replace(&state, found, after, note).await }).await?;
            (stored.value.paused_since, stored.revision)
        }
    };
    let answer = call::json(StatusCode::OK, &PausedOut { id: &id, paused_since })?;
    Ok(call::with_etag(answer, revision))
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
