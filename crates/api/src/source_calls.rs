//! The calls on sources: platforms that post to a webhook. Their `Authorization` values are hashed and never shown.

use catalog::{Catalog, Found};
use http::StatusCode;
use intake::Source;
use serde::Serialize;
use serde_json::Value;
use sources::Platform;

use crate::access::sha256_hex;
use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::fields::{Complaints, Fields};
use crate::names;
use crate::page::{Column, by_text, page_of, passes};
use crate::router::{SOURCES, WEBHOOKS};
use crate::state::{ApiState, new_id};

const ENTITY: &str = "source";
/// Live `Authorization` values of one source: two while one is being changed for the other.
const MAX_AUTHORIZATIONS: usize = 2;

/// How long a source may be expected to say nothing, in minutes: up to 30 days.
const SILENT_AFTER: (u64, u64) = (5, 43_200);

const COLUMNS: [Column<Found<Source>>; 3] = [
    ("id", |a, b| a.value.id.cmp(&b.value.id)),
    ("name", |a, b| by_text(&a.value.name, &b.value.name)),
    ("enabled", |a, b| a.value.enabled.cmp(&b.value.enabled)),
];

/// A source as it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceOut {
    id: String,
    name: String,
    enabled: bool,
    platform: Platform,
    /// How many values are live.
    authorizations: usize,
    /// Where the platform posts to.
    webhook: String,
    /// After how many minutes without a delivery there is an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_after_minutes: Option<u32>,
}

impl SourceOut {
    fn of(source: &Source, state: &ApiState) -> Self {
        let base = state.instance.public_url.as_deref().unwrap_or_default();
        let kind = serde_json::to_value(source.platform.kind).unwrap_or_default();
        Self {
            id: source.id.clone(),
            name: source.name.clone(),
            enabled: source.enabled,
            platform: source.platform.clone(),
            authorizations: source.authorization.len(),
            silent_after_minutes: source.silent_after_minutes,
            webhook: format!("{base}{WEBHOOKS}/{}/{}", source.id, kind.as_str().unwrap_or_default()),
        }
    }
}

/// What a valid request asks for.
struct Wanted {
    name: String,
    enabled: Option<bool>,
    platform: Platform,
    authorization: Option<Vec<String>>,
    silent_after_minutes: Option<u32>,
}

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let filter = query.one("name")?;
    let mut found = call.state.catalog.list::<Source>()?;
    found.retain(|each| passes(&each.value.name, filter));
    let page = page_of(&query, found, &COLUMNS, |each| SourceOut::of(&each.value, &call.state))?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    let answer = call::json(StatusCode::OK, &SourceOut::of(&found.value, &call.state))?;
    Ok(call::with_etag(answer, found.revision))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let wanted = parse(&body, None)?;
    let source = Source {
        id: new_id(call.state.clock.now(), &call.state.random),
        name: wanted.name,
        enabled: wanted.enabled.unwrap_or(true),
        platform: wanted.platform,
        authorization: wanted.authorization.unwrap_or_default(),
        silent_after_minutes: wanted.silent_after_minutes,
    };
    let shown = SourceOut::of(&source, &call.state);
    let note = call.note(&told(Action::Create, None, Some(&shown)), Some(&body));
    let store = move |catalog: &Catalog| {
        names::check_free(catalog, &source.name, ENTITY)?;
        Ok(catalog.create(&source.id, &source, Some(note))?)
    };
    let revision = call.state.change(store).await?;
    let answer = call::json(StatusCode::CREATED, &shown)?;
    Ok(call::with_location(call::with_etag(answer, revision), &format!("{SOURCES}/{}", shown.id)))
}

pub(crate) async fn replace(mut call: Call) -> Answer {
    let body = call.json().await?;
    let Found { value: before, revision } = find(&call.state.catalog, call.id())?;
    call.check_revision(revision)?;
    let wanted = parse(&body, Some(&before))?;
    let shown_before = SourceOut::of(&before, &call.state);
    let source = Source {
        id: before.id.clone(),
        name: wanted.name,
        enabled: wanted.enabled.unwrap_or(before.enabled),
        platform: wanted.platform,
        authorization: wanted.authorization.unwrap_or(before.authorization),
        silent_after_minutes: wanted.silent_after_minutes,
    };
    let shown = SourceOut::of(&source, &call.state);
    let note = call.note(&told(Action::Update, Some(&shown_before), Some(&shown)), Some(&body));
    let is_renamed = source.name != before.name;
    let store = move |catalog: &Catalog| {
        if is_renamed {
            names::check_free(catalog, &source.name, ENTITY)?;
        }
        let replaced = catalog.replace(&source.id, &source, revision, Some(note));
        replaced.map_err(|error| ApiError::from(error).about(ENTITY))
    };
    let revision = call.state.change(store).await?;
    Ok(call::with_etag(call::json(StatusCode::OK, &shown)?, revision))
}

pub(crate) async fn delete(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    call.check_revision(found.revision)?;
    let note = call.note(&told(Action::Delete, Some(&SourceOut::of(&found.value, &call.state)), None), None);
    let remove =
        move |catalog: &Catalog| Ok(catalog.delete::<Source>(&found.value.id, found.revision, Some(note))?);
    call.state.change(remove).await?;
    Ok(call::no_content())
}

/// For the audit log.
fn told<'a>(action: Action, before: Option<&'a SourceOut>, after: Option<&'a SourceOut>) -> Change<'a> {
    let (id, name) = after.or(before).map_or(("", ""), |source| (&source.id, &source.name));
    let url = format!("{SOURCES}/{id}");
    Change {
        action,
        entity_type: "Source",
        name,
        url,
        before: before.and_then(audit::shown),
        after: after.and_then(audit::shown),
    }
}

fn find(catalog: &Catalog, id: &str) -> Result<Found<Source>, ApiError> {
    catalog.get::<Source>(id).map_err(|error| ApiError::from(error).about(ENTITY))
}

fn parse(body: &Value, before: Option<&Source>) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    if let Some(before) = before {
        let id = fields.required_text("id", 1, 64, &mut complaints);
        if id.is_some_and(|id| id != before.id) {
            fields.complain("id", "must be the id of the path", &mut complaints);
        }
    } else {
        fields.require("authorization", &mut complaints);
    }
    let name = names::given(&fields, before.map(|before| before.name.as_str()), &mut complaints);
    let enabled = fields.boolean("enabled", &mut complaints);
    let platform = platform(&fields, &mut complaints);
    let authorization = authorization(&fields, &mut complaints);
    let silent_after = fields.whole_number("silentAfterMinutes", SILENT_AFTER, &mut complaints);
    complaints.finish(name.zip(platform).map(|(name, platform)| Wanted {
        name: name.to_owned(),
        enabled,
        platform,
        authorization,
        silent_after_minutes: silent_after.and_then(|minutes| u32::try_from(minutes).ok()),
    }))
}

fn platform(fields: &Fields<'_>, complaints: &mut Complaints) -> Option<Platform> {
    let platform = fields.object("platform", complaints);
    let kind = platform.required_text("kind", 1, 64, complaints).and_then(|kind| {
        let known = serde_json::from_value(Value::from(kind)).ok();
        if known.is_none() {
            platform.complain("kind", "must be one of: auth0", complaints);
        }
        known
    });
    let tenant = platform.required_text("tenant", 1, 253, complaints);
    if tenant.is_some_and(|tenant| tenant.chars().any(|c| c.is_control() || c.is_whitespace())) {
        platform.complain("tenant", "must not contain spaces or control characters", complaints);
    }
    kind.zip(tenant).map(|(kind, tenant)| Platform { kind, tenant: tenant.to_owned() })
}

/// The digests of the values; `None` when there are none.
fn authorization(fields: &Fields<'_>, complaints: &mut Complaints) -> Option<Vec<String>> {
    const FIELD: &str = "authorization";
    let values = fields.list(FIELD, complaints)?;
    let texts: Vec<&str> =
        values.iter().filter_map(Value::as_str).filter(|text| is_header_value(text)).collect();
    if texts.len() != values.len() || !(1..=MAX_AUTHORIZATIONS).contains(&values.len()) {
        let message =
            "must be 1 or 2 texts of 16 to 512 printable ASCII characters, without spaces at their ends";
        fields.complain(FIELD, message, complaints);
        return None;
    }
    Some(texts.into_iter().map(|text| sha256_hex(text.as_bytes())).collect())
}

/// Whether a text arrives in a header as it was sent: HTTP cuts spaces at the ends (RFC 9110 section 5.5).
fn is_header_value(text: &str) -> bool {
    (16..=512).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.trim() == text
}
