//! The calls on alarms: which stand, who has taken notice, from when on something is one.

use std::time::Duration;

use alarms::{Alarm, AlarmError, Alarms, Thresholds};
use base::Timestamp;
use catalog::{Catalog, Note};
use http::StatusCode;
use serde_json::{Value, json};

use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::page::{Column, page_of};
use crate::router::ALARMS;

const ENTITY: &str = "alarm";
const THRESHOLDS: &str = "alarmThresholds";
/// Longest silence, in hours.
const MAX_HOURS: u64 = 720;

const COLUMNS: [Column<Alarm>; 3] = [
    ("raisedAt", |a, b| a.raised_at.cmp(&b.raised_at)),
    ("severity", |a, b| a.severity.cmp(&b.severity)),
    ("kind", |a, b| a.kind.name().cmp(b.kind.name())),
];

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let mut alarms = call.state.alarms.list();
    match query.one("standing")? {
        None => {}
        Some("true") => alarms.retain(Alarm::stands),
        Some("false") => alarms.retain(|alarm| !alarm.stands()),
        Some(_) => return Err(ApiError::field("query", "standing", "must be true or false")),
    }
    call::json(StatusCode::OK, &page_of(&query, alarms, &COLUMNS, Alarm::shown)?)
}

pub(crate) async fn acknowledge(call: Call) -> Answer {
    let by = call.who.name.clone();
    let note = note(&call)?;
    let told = |before: &Alarm, after: &Alarm| audit::with_states(note, &before.shown(), &after.shown());
    let changed = call.state.alarms.acknowledge(call.id(), &by, told).await;
    answer(changed)
}

pub(crate) async fn silence(mut call: Call) -> Answer {
    let body = call.json().await?;
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(&body, &mut complaints);
    fields.only(&["hours"], &mut complaints);
    fields.require("hours", &mut complaints);
    let hours = fields.whole_number("hours", (0, MAX_HOURS), &mut complaints);
    let until: Timestamp = call.state.clock.now().plus(Duration::from_hours(complaints.finish(hours)?));
    let note = note(&call)?;
    let told = |before: &Alarm, after: &Alarm| audit::with_states(note, &before.shown(), &after.shown());
    let changed = call.state.alarms.silence(call.id(), until, told).await;
    answer(changed)
}

fn answer(changed: Result<Alarm, AlarmError>) -> Answer {
    match changed {
        Ok(alarm) => call::json(StatusCode::OK, &alarm.shown()),
        Err(error @ AlarmError::NotStanding) => Err(not_standing(&error)),
        Err(AlarmError::Catalog(error)) => Err(ApiError::from(error).about(ENTITY)),
    }
}

/// The audit log of a change of an alarm, without what changes.
fn note(call: &Call) -> Result<Note, ApiError> {
    let alarms = call.state.alarms.list();
    let alarm = alarms.into_iter().find(|alarm| alarm.id == call.id());
    let alarm = alarm.ok_or_else(|| not_standing(&AlarmError::NotStanding))?;
    let change = Change {
        action: Action::Update,
        entity_type: "Alarm",
        name: &alarm.title(),
        url: format!("{ALARMS}/{}", alarm.id),
        before: None,
        after: None,
    };
    Ok(call.note(&change, None))
}

fn not_standing(error: &AlarmError) -> ApiError {
    ApiError::new(ErrorKey::NotFound, error.to_string()).about(ENTITY)
}

pub(crate) async fn thresholds(call: Call) -> Answer {
    let found = call.state.alarms.thresholds().map_err(|error| ApiError::from(error).about(THRESHOLDS))?;
    Ok(call::with_etag(call::json(StatusCode::OK, &shown(&found.value))?, found.revision))
}

pub(crate) async fn set_thresholds(mut call: Call) -> Answer {
    let body = call.json().await?;
    let before = call.state.alarms.thresholds().map_err(|error| ApiError::from(error).about(THRESHOLDS))?;
    call.check_revision(before.revision)?;
    let thresholds = read(&body)?;
    let shown = shown(&thresholds);
    let change = Change {
        action: Action::Update,
        entity_type: "AlarmThresholds",
        name: "thresholds",
        url: format!("{ALARMS}/thresholds"),
        before: Some(self::shown(&before.value)),
        after: Some(shown.clone()),
    };
    let note = call.note(&change, Some(&body));
    let store = move |catalog: &Catalog| {
        let set = Alarms::set_thresholds(catalog, &thresholds, before.revision, note);
        set.map_err(|error| ApiError::from(error).about(THRESHOLDS))
    };
    let revision = call.state.change(store).await?;
    Ok(call::with_etag(call::json(StatusCode::OK, &shown)?, revision))
}

/// Also what is switched off when nothing is.
fn shown(thresholds: &Thresholds) -> Value {
    let mut shown = serde_json::to_value(thresholds).unwrap_or_default();
    shown["off"] = json!(thresholds.off);
    shown
}

/// What is left out has its default.
fn read(body: &Value) -> Result<Thresholds, ApiError> {
    let mut complaints = Complaints::about(THRESHOLDS);
    let fields = Fields::of(body, &mut complaints);
    let known = shown(&Thresholds::default());
    let names: Vec<&str> = known.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    fields.only(&names, &mut complaints);
    let mut given = serde_json::Map::new();
    for name in names.iter().filter(|name| **name != "off") {
        let number = fields.whole_number(name, (0, u32::MAX.into()), &mut complaints);
        given.extend(number.map(|number| ((*name).to_owned(), number.into())));
    }
    let kinds = alarms::Kind::ALL.map(alarms::Kind::name);
    let off = fields.list("off", &mut complaints).unwrap_or_default();
    if !off.iter().all(|kind| kind.as_str().is_some_and(|kind| kinds.contains(&kind))) {
        fields.complain(
            "off",
            format!("must hold kinds of alarms only: {}", kinds.join(", ")),
            &mut complaints,
        );
    }
    complaints.check()?;
    given.insert("off".to_owned(), off.into());
    let thresholds: Thresholds = serde_json::from_value(given.into()).map_err(ApiError::internal)?;
    let mut complaints = Complaints::about(THRESHOLDS);
    for (field, message) in thresholds.complaints() {
        complaints.add(field, message);
    }
    complaints.finish(Some(thresholds))
}
