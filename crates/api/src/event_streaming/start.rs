//! Where a new configuration begins: with what is accepted from now on, or with events that are stored.

use base::Timestamp;
use delivery::{Configuration, StartFrom, StartsAt};
use serde::Serialize;

use crate::error::ApiError;
use crate::fields::{Complaints, Fields};
use crate::state::ApiState;

/// The field of the call that creates.
pub(super) const FIELD: &str = "startFrom";

/// What lies before it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartsAtOut {
    /// What was asked for.
    start_from: StartFrom,
    /// The block of the journal.
    block: u64,
    /// When the first events that are for it were stored; absent when there are none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_at: Option<Timestamp>,
    /// Stored events from there on, before its settings select.
    events: u64,
    /// Their bytes in the journal.
    bytes: u64,
    /// That older events are not stored any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'static str>,
}

impl StartsAtOut {
    fn of(start_from: StartFrom, at: StartsAt) -> Self {
        let remark = "it begins with the oldest event that is stored: what is older was removed by retention";
        Self {
            start_from,
            block: at.block,
            stored_at: at.appended_at,
            events: at.events,
            bytes: at.bytes,
            remark: at.is_trimmed.then_some(remark),
        }
    }
}

/// The start that a body names, if it does. `is_known`: the configuration is there, and has a place.
pub(super) fn choice(
    fields: &Fields<'_>,
    is_known: bool,
    now: Timestamp,
    complaints: &mut Complaints,
) -> Option<StartFrom> {
    let text = fields.text(FIELD, 1, 64, complaints)?;
    if is_known {
        let message = "must be left out: a configuration that is there keeps its place; use a replay to send stored events \
                       again";
        fields.complain(FIELD, message, complaints);
        return None;
    }
    match StartFrom::parse(text) {
        Ok(StartFrom::Time(time)) if time > now => {
            fields.complain(FIELD, "must not be in the future", complaints);
            None
        }
        Ok(start) => Some(start),
        Err(error) => {
            fields.complain(FIELD, error.to_string(), complaints);
            None
        }
    }
}

/// Gives a new configuration its place. Answers what lies before it, when it was asked where to begin.
pub(super) async fn admit(
    state: &ApiState,
    configuration: &Configuration,
) -> Result<Option<StartsAtOut>, ApiError> {
    let from = configuration.start_from;
    let at = delivery::admit_from(&*state.journal, &configuration.id, from.unwrap_or(StartFrom::Now)).await?;
    Ok(from.zip(at).map(|(from, at)| StartsAtOut::of(from, at)))
}
