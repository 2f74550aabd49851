//! The contract's calls on event streaming configurations, and our status of one.

mod attempts;
mod backlog;
mod change;
mod dry_run;
pub(crate) mod filter;
mod parse;
mod pause;
mod preview;
mod quarantine;
mod reconcile;
mod renaming;
mod resume;
mod runs;
mod show;
mod start;
mod status;
mod trial;
mod unsaved;

use std::collections::BTreeMap;

use base::Secret;
use base::mask::MASK;
use catalog::{Catalog, CatalogError, Found, Note, Sealed};
use delivery::{Configuration, Resume};
use destinations::{SecretName, Secrets};
use event::native::Selection;
use http::StatusCode;
use serde_json::Value;

pub(crate) use self::attempts::{attempt, attempts};
pub(crate) use self::dry_run::{stored as dry_run_stored, unsaved as dry_run_unsaved};
pub(crate) use self::filter::presets;
use self::parse::{Known, Wanted};
pub(crate) use self::pause::pause;
pub(crate) use self::preview::{of_stored as preview_stored, of_unsaved as preview_unsaved};
pub(crate) use self::quarantine::{
    discard as discard_quarantined, inspect as inspect_quarantined, list as list_quarantined,
};
pub(crate) use self::reconcile::reconcile;
pub(crate) use self::renaming::{adopt_names, that_select};
pub(crate) use self::resume::resume;
pub(crate) use self::runs::{
    cancel as cancel_run, get as get_run, list as list_runs, pace as pace_run, pause as pause_run, redrive,
    replay, resume as resume_run,
};
use self::show::ConfigurationOut;
use self::start::StartsAtOut;
pub(crate) use self::status::{status, statuses};
pub(crate) use self::trial::{stored as test_stored, unsaved as test_unsaved};
use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey, FieldError};
use crate::native_claims::ClaimNames;
use crate::page::{Column, by_text, page_of, passes};
use crate::router::STREAMING;
use crate::state::{ApiState, new_id, to_its_end};

/// The entity's name in errors.
const ENTITY: &str = "eventStreaming";

const COLUMNS: [Column<Found<Configuration>>; 5] = [
    ("id", |a, b| a.value.id.cmp(&b.value.id)),
    ("name", |a, b| by_text(&a.value.name, &b.value.name)),
    ("type", |a, b| a.value.vendor.name().cmp(b.value.vendor.name())),
    ("enabled", |a, b| a.value.enabled.cmp(&b.value.enabled)),
    ("description", |a, b| {
        let text = |found: &Found<Configuration>| found.value.description.clone().unwrap_or_default();
        by_text(&text(a), &text(b))
    }),
];

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let filter = query.one("name")?;
    let mut found = readable(&call.state.catalog);
    found.retain(|each| passes(&each.value.name, filter));
    let page = page_of(&query, found, &COLUMNS, |each| ConfigurationOut::of(&each.value))?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    let answer = call::json(StatusCode::OK, &ConfigurationOut::of(&found.value))?;
    Ok(call::with_etag(answer, found.revision))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let wanted = parse::wanted(&body, None, &ClaimNames::of(&call.state.catalog), call.state.clock.now())?;
    let id = new_id(call.state.clock.now(), &call.state.random);
    let mut configuration = complete(&call.state, id, wanted, None)?;
    configuration.disabled_since = Some(call.state.clock.now()).filter(|_| !configuration.enabled);
    let path = format!("{STREAMING}/{}", configuration.id);
    let mut shown = ConfigurationOut::of(&configuration);
    let told = told(Action::Create, None, Some(&configuration));
    let told = told.with(start::FIELD, configuration.start_from.map(|from| from.to_string().into()));
    let note = call.note(&told, Some(&hushed(&body)));
    let state = call.state.clone();
    let (revision, starts_at) = to_its_end(async move { enter(&state, configuration, note).await }).await?;
    shown.starts_at = starts_at;
    let answer = call::json(StatusCode::CREATED, &shown)?;
    Ok(call::with_location(call::with_etag(answer, revision), &path))
}

pub(crate) async fn replace(mut call: Call) -> Answer {
    let body = call.json().await?;
    let found = find(&call.state.catalog, call.id())?;
    call.check_revision(found.revision)?;
    let known = Known::of(&found.value).map_err(ApiError::internal)?;
    let wanted =
        parse::wanted(&body, Some(&known), &ClaimNames::of(&call.state.catalog), call.state.clock.now())?;
    let choice = wanted.resume_from;
    let mut configuration = complete(&call.state, found.value.id.clone(), wanted, Some(&found.value))?;
    let pause = resume::decide(&call.state, &found.value, configuration.enabled, choice).await?;
    configuration.resume = pause.resume;
    configuration.paused_since = pause::after_change(&found.value, configuration.enabled, choice);
    configuration.disabled_since = match (configuration.enabled, found.value.enabled) {
        (true, _) => None,
        (false, true) => Some(call.state.clock.now()),
        (false, false) => found.value.disabled_since,
    };
    let told = told(Action::Update, Some(&found.value), Some(&configuration)).with("resume", pause.note);
    let note = call.note(&told, Some(&hushed(&body)));
    let state = call.state.clone();
    let steps = async move { change::replace(&state, found, configuration, note).await };
    let stored = to_its_end(steps).await?;
    Ok(call::with_etag(call::json(StatusCode::OK, &ConfigurationOut::of(&stored.value))?, stored.revision))
}

/// Also deletes one that cannot be read: nobody could get rid of it otherwise.
pub(crate) async fn delete(call: Call) -> Answer {
    let (catalog, id) = (&call.state.catalog, call.id().to_owned());
    let (before, revision) = match catalog.get::<Configuration>(&id) {
        Ok(found) => (Some(found.value), found.revision),
        Err(CatalogError::Damaged { .. }) => (None, revision(catalog, &id)?),
        Err(error) => return Err(ApiError::from(error).about(ENTITY)),
    };
    call.check_revision(revision)?;
    let change = match &before {
        Some(before) => told(Action::Delete, Some(before), None),
        None => told_of(Action::Delete, &id, &id),
    };
    let note = call.note(&change, None);
    let state = call.state.clone();
    to_its_end(async move { change::delete(&state, &id, before, revision, note).await }).await?;
    Ok(call::no_content())
}

/// For the audit log. Beside the ids of claims it names their names: an id of one's own claim tells a reader nothing, and
/// a claim that is renamed changes what is sent.
fn told<'a>(
    action: Action,
    before: Option<&'a Configuration>,
    after: Option<&'a Configuration>,
) -> Change<'a> {
    let (id, name) = after.or(before).map_or(("", ""), |each| (&each.id, &each.name));
    let shown = |each: Option<&Configuration>| {
        let mut shown = audit::shown(&ConfigurationOut::of(each?))?;
        if let Some(claims) = shown.pointer_mut("/accountEventStreaming/nativeClaims") {
            *claims = audit::shown(&each?.account.claims)?;
        }
        Some(shown)
    };
    Change { before: shown(before), after: shown(after), ..told_of(action, id, name) }
}

/// For the audit log, without its content.
fn told_of<'a>(action: Action, id: &str, name: &'a str) -> Change<'a> {
    let url = format!("{STREAMING}/{id}");
    Change { action, entity_type: "EventStreaming", name, url, before: None, after: None }
}

/// A request without its secrets, wherever somebody put them.
fn hushed(body: &Value) -> Value {
    let is_secret =
        |name: &str| SecretName::ALL.iter().any(|secret| secret.field().rsplit('.').next() == Some(name));
    match body {
        Value::Array(list) => list.iter().map(hushed).collect(),
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| {
                (name.clone(), if is_secret(name) { MASK.into() } else { hushed(value) })
            };
            object.iter().map(member).collect()
        }
        other => other.clone(),
    }
}

fn find(catalog: &Catalog, id: &str) -> Result<Found<Configuration>, ApiError> {
    catalog.get::<Configuration>(id).map_err(|error| ApiError::from(error).about(ENTITY))
}

fn revision(catalog: &Catalog, id: &str) -> Result<u64, ApiError> {
    catalog.revision::<Configuration>(id).map_err(|error| ApiError::from(error).about(ENTITY))
}

/// All configurations but those that cannot be read: one document that a newer idstream wrote, or that is damaged, must not
/// stop the calls on all others. The supervisor names it in the log and in its status.
fn readable(catalog: &Catalog) -> Vec<Found<Configuration>> {
    catalog.list_each::<Configuration>().into_iter().filter_map(|(_, found)| found.ok()).collect()
}

/// Gives a new configuration its place in the journal, then stores it: no event that is accepted after the answer is
/// missed.
async fn enter(
    state: &ApiState,
    mut configuration: Configuration,
    note: Note,
) -> Result<(u64, Option<StartsAtOut>), ApiError> {
    let id = configuration.id.clone();
    let starts_at = start::admit(state, &configuration).await?;
    let begun = state.delivery.floor(&id).await;
    let store = move |catalog: &Catalog| {
        configuration.sends_from = Some(begun?);
        check_name(catalog, &configuration)?;
        check_claims(catalog, &configuration)?;
        Ok(catalog.create(&configuration.id, &configuration, Some(note))?)
    };
    let stored = state.change(store).await;
    if stored.is_err() {
        forget(state, &id).await;
    }
    Ok((stored?, starts_at))
}

/// Takes a place in the journal away that no configuration has any more.
async fn forget(state: &ApiState, id: &str) {
    if let Err(error) = delivery::dismiss(&*state.journal, id).await {
        tracing::error!(id, %error, "the place of a configuration that is gone cannot be taken from the journal");
    }
}

fn check_name(catalog: &Catalog, configuration: &Configuration) -> Result<(), ApiError> {
    let is_other = |other: &Configuration| other.id != configuration.id && other.name == configuration.name;
    if readable(catalog).iter().any(|other| is_other(&other.value)) {
        return Err(ApiError::name_taken(ENTITY));
    }
    Ok(())
}

/// Claims are renamed and deleted by others, perhaps since the request was read.
fn check_claims(catalog: &Catalog, configuration: &Configuration) -> Result<(), ApiError> {
    let names = ClaimNames::of(catalog);
    let mut selected = configuration.account.claims.iter();
    match selected.find(|claim| names.name_of(&claim.id) != Some(&claim.name)) {
        None => Ok(()),
        Some(claim) => {
            let detail =
                format!("the native claim {} was renamed or deleted in the meantime: decide again", claim.id);
            Err(ApiError::new(ErrorKey::ChangedMeanwhile, detail).about(ENTITY))
        }
    }
}

/// The document of what is wanted. Its secrets are checked against the settings, then sealed; of those that are not given
/// the stored ones stay, as far as they have a use.
fn complete(
    state: &ApiState,
    id: String,
    wanted: Wanted,
    before: Option<&Configuration>,
) -> Result<Configuration, ApiError> {
    let (mut opened, mut sealed) = kept(state, &wanted, before)?;
    for (name, secret) in wanted.secrets.iter() {
        if secret.expose().is_empty() {
            continue;
        }
        opened.insert(name, secret.clone());
        sealed.insert(name, delivery::seal(&state.keyring, &id, name, secret, &state.random)?);
    }
    check_secrets(state, &wanted.settings, &opened.into_iter().collect())?;
    Ok(Configuration {
        id,
        name: wanted.name,
        description: wanted.description,
        enabled: wanted.enabled.or(before.map(|before| before.enabled)).unwrap_or(true),
        vendor: wanted.settings.vendor(),
        settings: wanted.settings.to_json(),
        secrets: sealed,
        account: wanted.account,
        audit: wanted.audit,
        hook: wanted.hook,
        filter: wanted.filter,
        earlier: Vec::new(),
        sends_from: None,
        start_from: before.map_or(wanted.start_from, |before| before.start_from),
        backlog: wanted.backlog,
        paused_since: None,
        disabled_since: None,
        resume: Resume::default(),
    })
}

/// The stored secrets that still have a use and are not given anew, opened and sealed. Those that are given are not opened:
/// giving them is how somebody mends a configuration whose secrets cannot be opened any more.
type Kept = (BTreeMap<SecretName, Secret>, BTreeMap<SecretName, Sealed>);

fn kept(state: &ApiState, wanted: &Wanted, before: Option<&Configuration>) -> Result<Kept, ApiError> {
    let mut kept = Kept::default();
    let Some(before) = before else { return Ok(kept) };
    let stays = |name| wanted.settings.has_use_for(name) && wanted.secrets.get(name).is_none();
    for (name, sealed) in before.secrets.iter().filter(|(name, _)| stays(**name)) {
        kept.0.extend(before.open_one(&state.keyring, *name)?.map(|secret| (*name, secret)));
        kept.1.insert(*name, sealed.clone());
    }
    Ok(kept)
}

fn check_secrets(
    state: &ApiState,
    settings: &destinations::Settings,
    secrets: &Secrets,
) -> Result<(), ApiError> {
    let built = settings.build(secrets, &state.instance, Selection::default());
    built.map(drop).map_err(|errors| ApiError::fields(errors.into_iter().map(field_error).collect()))
}

/// A vendor's complaint, named as the caller spelled the field.
fn field_error(error: destinations::SettingsError) -> FieldError {
    let field = match error.field.as_str() {
        "configuration" => error.field,
        field => format!("configuration.{field}"),
    };
    FieldError { object_name: ENTITY, field, message: error.message }
}
