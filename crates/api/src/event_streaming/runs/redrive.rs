//! Asking that what is in quarantine be tried again.

use std::collections::HashSet;

use base::EventId;
use delivery::quarantined::ToSend;
use delivery::{Picked, Run, RunKind, RunState};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{ENTITY, enter, parse};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::event_streaming::{find, quarantine};
use crate::fields::{Complaints, Fields};
use crate::state::new_id;

/// What would be tried again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRunOut {
    dry_run: bool,
    /// Entries in quarantine that are meant.
    matching: u64,
}

/// A redrive that is asked for.
struct Wanted {
    picked: Picked,
    rate: Option<u32>,
    is_dry_run: bool,
}

pub(crate) async fn redrive(mut call: Call) -> Answer {
    let body = call.json().await?;
    let configuration = find(&call.state.catalog, call.id())?.value;
    let Wanted { picked, rate, is_dry_run } = wanted(&body)?;
    let events: Option<HashSet<EventId>> = picked.n_events.map(|_| picked.events.iter().copied().collect());
    let entries = call.state.delivery.quarantined();
    let found = entries.to_send(&configuration.id, &picked.in_quarantine(), events.as_ref()).await;
    let ToSend { n_entries, first, last } = found.map_err(quarantine::untold)?;
    if is_dry_run {
        return call::json(StatusCode::OK, &DryRunOut { dry_run: true, matching: n_entries });
    }
    if n_entries == 0 {
        let detail = "nothing of what is meant is in quarantine here: there is nothing to send";
        return Err(ApiError::new(ErrorKey::NotInQuarantine, detail).about(ENTITY));
    }
    let now = call.state.clock.now();
    let run = Run {
        id: new_id(now, &call.state.random),
        configuration_id: configuration.id.clone(),
        kind: RunKind::Redrive,
        picked,
        from: first,
        until: last + 1,
        max_events_per_second: rate,
        created_at: now,
        created_by: call.who.name.clone(),
        state: RunState::Running,
        failure: None,
        ended_at: None,
        figures: None,
    };
    enter(call, &configuration, run, &body, None).await
}

fn wanted(body: &Value) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&["eventIDs", "filter", "all", "dryRun", parse::RATE], &mut complaints);
    let is_all = fields.boolean("all", &mut complaints) == Some(true);
    let ways = [fields.get("eventIDs").is_some(), fields.get("filter").is_some(), is_all];
    if ways.iter().filter(|is_given| **is_given).count() != 1 {
        let message = "or filter or \"all\": true must be given, and only one of them";
        fields.complain("eventIDs", message, &mut complaints);
    }
    let events = quarantine::events(&fields, &mut complaints);
    let n_events = fields.get("eventIDs").map(|_| events.len() as u64);
    let picked = match fields.optional_object("filter", &mut complaints) {
        Some(inner) => {
            let picked = Picked::of_entries(&quarantine::filter(&inner, &mut complaints));
            if picked == Picked::default() {
                fields.complain("filter", "must say something; \"all\": true means all", &mut complaints);
            }
            picked
        }
        None => Picked { events, n_events, ..Picked::default() },
    };
    let rate = parse::rate(&fields, &mut complaints);
    let is_dry_run = fields.boolean("dryRun", &mut complaints).unwrap_or(false);
    complaints.finish(Some(Wanted { picked, rate, is_dry_run }))
}

#[cfg(test)]
mod tests {
    use event::Stream;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_redrive_says_what_it_means() {
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        for body in [
            json!({}),
            json!({"all": false}),
            json!({"all": true, "eventIDs": [id]}),
            json!({"filter": {}}),
            json!({"filter": {"colour": "red"}}),
            json!({"filter": {"stream": "quarantine"}}),
            json!({"eventIDs": []}),
            json!({"all": true, "expectedCount": 3}),
        ] {
            assert!(wanted(&body).is_err(), "{body}");
        }
        let by_cause = wanted(&json!({"filter": {"cause": "mapper", "stream": "auditLog"}})).unwrap();
        assert_eq!((by_cause.picked.streams, by_cause.picked.n_events), (vec![Stream::AuditLog], None));
        assert_eq!(wanted(&json!({"eventIDs": [id, id]})).unwrap().picked.n_events, Some(1));
    }
}
