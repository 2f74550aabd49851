//! The calls on the channels that people are told of alarms by. Their secrets, a webhook's address among them, are sealed
//! and never shown.

use alarms::channel::{Channel, MAX_CHANNELS, MediumKind, Opened};
use alarms::{Health, Severity};
use catalog::{Catalog, Found};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::page::{Column, by_text, page_of};
use crate::router::ALARM_CHANNELS;
use crate::state::{ApiState, new_id};

const ENTITY: &str = "alarmChannel";
const SEVERITIES: [Severity; 2] = [Severity::Warning, Severity::Critical];

const COLUMNS: [Column<Found<Channel>>; 2] =
    [("id", |a, b| a.value.id.cmp(&b.value.id)), ("name", |a, b| by_text(&a.value.name, &b.value.name))];

/// A channel as it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChannelOut {
    id: String,
    name: String,
    enabled: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    min_severity: Severity,
    configuration: Value,
    /// How it fares; absent in audit logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Health>,
}

impl ChannelOut {
    /// What its owner has set.
    fn set(channel: &Channel, state: &ApiState) -> Self {
        Self {
            id: channel.id.clone(),
            name: channel.name.clone(),
            enabled: channel.enabled,
            kind: channel.kind(),
            min_severity: channel.min_severity,
            configuration: channel.shown(&state.keyring),
            status: None,
        }
    }

    fn of(channel: &Channel, state: &ApiState) -> Self {
        Self { status: Some(state.alarms.health(&channel.id)), ..Self::set(channel, state) }
    }
}

/// What a valid request asks for.
struct Wanted {
    name: String,
    enabled: Option<bool>,
    min_severity: Option<Severity>,
    opened: Opened,
}

pub(crate) async fn list(call: Call) -> Answer {
    let found = call.state.catalog.list::<Channel>()?;
    let page = page_of(&call.query(), found, &COLUMNS, |each| ChannelOut::of(&each.value, &call.state))?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = find(&call)?;
    let answer = call::json(StatusCode::OK, &ChannelOut::of(&found.value, &call.state))?;
    Ok(call::with_etag(answer, found.revision))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let wanted = parse(&body, None)?;
    let id = new_id(call.state.clock.now(), &call.state.random);
    let channel = made(&call.state, id, wanted, None)?;
    // Without the request's body: a webhook's address is a secret, and does not look like one.
    let note = call.note(&told(&call, Action::Create, None, Some(&channel)), None);
    let shown = ChannelOut::of(&channel, &call.state);
    let store = move |catalog: &Catalog| {
        check_name(catalog, &channel)?;
        if catalog.list_each::<Channel>().len() >= MAX_CHANNELS {
            let detail = format!("there are {MAX_CHANNELS} channels already: delete one first");
            return Err(ApiError::new(ErrorKey::LimitReached, detail).about(ENTITY));
        }
        Ok(catalog.create(&channel.id, &channel, Some(note))?)
    };
    let revision = call.state.change(store).await?;
    let answer = call::json(StatusCode::CREATED, &shown)?;
    Ok(call::with_location(call::with_etag(answer, revision), &format!("{ALARM_CHANNELS}/{}", shown.id)))
}

pub(crate) async fn replace(mut call: Call) -> Answer {
    let body = call.json().await?;
    let Found { value: before, revision } = find(&call)?;
    call.check_revision(revision)?;
    let opened = before.open(&call.state.keyring).map_err(ApiError::internal)?;
    let wanted = parse(&body, Some((&before, &opened)))?;
    let channel = made(&call.state, before.id.clone(), wanted, Some(&before))?;
    let note = call.note(&told(&call, Action::Update, Some(&before), Some(&channel)), None);
    let shown = ChannelOut::of(&channel, &call.state);
    let store = move |catalog: &Catalog| {
        check_name(catalog, &channel)?;
        let replaced = catalog.replace(&channel.id, &channel, revision, Some(note));
        replaced.map_err(|error| ApiError::from(error).about(ENTITY))
    };
    let revision = call.state.change(store).await?;
    Ok(call::with_etag(call::json(StatusCode::OK, &shown)?, revision))
}

pub(crate) async fn delete(call: Call) -> Answer {
    let found = find(&call)?;
    call.check_revision(found.revision)?;
    let note = call.note(&told(&call, Action::Delete, Some(&found.value), None), None);
    let remove = move |catalog: &Catalog| {
        let deleted = catalog.delete::<Channel>(&found.value.id, found.revision, Some(note));
        deleted.map_err(|error| ApiError::from(error).about(ENTITY))
    };
    call.state.change(remove).await?;
    Ok(call::no_content())
}

pub(crate) async fn test(call: Call) -> Answer {
    let found = find(&call)?;
    let tried = alarms::try_out(&call.state.alarms, &found.value).await;
    let answer = match tried {
        Ok(()) => json!({"taken": true}),
        Err(error) => json!({"taken": false, "reason": error.reason}),
    };
    call::json(StatusCode::OK, &answer)
}

fn find(call: &Call) -> Result<Found<Channel>, ApiError> {
    call.state.alarms.channel(call.id()).map_err(|error| ApiError::from(error).about(ENTITY))
}

fn check_name(catalog: &Catalog, channel: &Channel) -> Result<(), ApiError> {
    let mut others = catalog.list_each::<Channel>().into_iter().filter_map(|(_, found)| found.ok());
    let is_taken = others.any(|other| other.value.id != channel.id && other.value.name == channel.name);
    if is_taken { Err(ApiError::name_taken(ENTITY)) } else { Ok(()) }
}

fn made(state: &ApiState, id: String, wanted: Wanted, before: Option<&Channel>) -> Result<Channel, ApiError> {
    let secrets = wanted.opened.seal(&id, &state.keyring, &state.random).map_err(ApiError::internal)?;
    Ok(Channel {
        id,
        name: wanted.name,
        enabled: wanted.enabled.unwrap_or_else(|| before.is_none_or(|before| before.enabled)),
        min_severity: wanted.min_severity.unwrap_or(Severity::Warning),
        medium: wanted.opened.medium,
        secrets,
    })
}

/// For the audit log.
fn told<'a>(
    call: &Call,
    action: Action,
    before: Option<&'a Channel>,
    after: Option<&'a Channel>,
) -> Change<'a> {
    let (id, name) = after.or(before).map_or(("", ""), |channel| (&channel.id, &channel.name));
    let shown = |channel: &Channel| audit::shown(&ChannelOut::set(channel, &call.state));
    Change {
        action,
        entity_type: "AlarmChannel",
        name,
        url: format!("{ALARM_CHANNELS}/{id}"),
        before: before.and_then(shown),
        after: after.and_then(shown),
    }
}

fn parse(body: &Value, before: Option<(&Channel, &Opened)>) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields
        .only(&["id", "name", "enabled", "type", "minSeverity", "configuration", "status"], &mut complaints);
    if let Some((before, _)) = before {
        let id = fields.required_text("id", 1, 64, &mut complaints);
        if id.is_some_and(|id| id != before.id) {
            fields.complain("id", "must be the id of the path", &mut complaints);
        }
    }
    let name = fields.name(&mut complaints);
    let enabled = fields.boolean("enabled", &mut complaints);
    let min_severity = fields.text("minSeverity", 1, 64, &mut complaints).and_then(|name| {
        let found = SEVERITIES.into_iter().find(|severity| severity.name() == name);
        if found.is_none() {
            fields.complain("minSeverity", "must be warning or critical", &mut complaints);
        }
        found
    });
    let kind = fields.required_text("type", 1, 64, &mut complaints).and_then(|name| {
        let found = MediumKind::from_name(name);
        if found.is_none() {
            fields.complain("type", "must be one of: webhook, mail", &mut complaints);
        }
        found
    });
    let configuration = fields.object("configuration", &mut complaints);
    let given = body.get("configuration").filter(|given| given.is_object());
    let opened = kind.zip(given).and_then(|(kind, given)| {
        configuration.only(kind.fields(), &mut complaints);
        let parsed = kind.parse(given, before.map(|(_, opened)| opened));
        let complain = |errors: Vec<destinations::SettingsError>| {
            for error in errors {
                configuration.complain(&error.field, error.message, &mut complaints);
            }
        };
        parsed.map_err(complain).ok()
    });
    complaints.finish(name.zip(opened).map(|(name, opened)| Wanted {
        name: name.to_owned(),
        enabled,
        min_severity,
        opened,
    }))
}
