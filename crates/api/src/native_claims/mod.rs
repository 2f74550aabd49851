//! The contract's calls on native claims: the built-in ones, and those of one's own. Configurations select them by id;
//! documents carry them by name.

mod document;
mod offer;
mod parse;

use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, CatalogError, Found};
use event::claims;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::watch;

pub(crate) use self::document::ClaimNames;
use self::document::NativeClaim;
pub(crate) use self::offer::discovered;
use crate::audit::{self, Action, Change};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::event_streaming;
use crate::page::{Column, by_text, page_of, passes};
use crate::router::CLAIMS;
use crate::state::{ApiState, new_id, to_its_end};

/// The entity's name in errors.
const ENTITY: &str = "nativeClaim";
/// Most claims beside the built-in ones: a console lists them all.
const MAX_CLAIMS: usize = 1000;
/// How long new names wait before they are written down.
const PACE: Duration = Duration::from_secs(1);
/// Most configurations that an error names.
const MAX_NAMED: usize = 10;

const COLUMNS: [Column<NativeClaim>; 6] = [
    ("id", |a, b| a.id.cmp(&b.id)),
    ("name", |a, b| by_text(&a.name, &b.name)),
    ("displayName", |a, b| by_text(&a.display_name, &b.display_name)),
    ("description", |a, b| {
        by_text(a.description.as_deref().unwrap_or_default(), b.description.as_deref().unwrap_or_default())
    }),
    ("dialectUri", |a, b| by_text(&a.dialect_uri, &b.dialect_uri)),
    ("readonly", |a, b| a.is_built_in().cmp(&b.is_built_in())),
];

/// The contract's `NativeClaimResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimOut {
    id: String,
    name: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    dialect_uri: String,
    /// Whether the claim is built in, so that nobody changes it.
    readonly: bool,
    /// Whether values can only be read through the claim. Always so: idstream takes them from events, and writes none back
    /// to where they are from. The contract names the field and leaves it open.
    target_readonly: bool,
}

impl ClaimOut {
    fn of(claim: &NativeClaim) -> Self {
        Self {
            id: claim.id.clone(),
            name: claim.name.clone(),
            display_name: claim.display_name.clone(),
            description: claim.description.clone(),
            dialect_uri: claim.dialect_uri.clone(),
            readonly: claim.is_built_in(),
            target_readonly: true,
        }
    }
}

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let filter = query.one("name")?;
    let custom = call.state.catalog.list::<NativeClaim>()?.into_iter().map(|found| found.value);
    let mut all: Vec<NativeClaim> = NativeClaim::built_in().chain(custom).collect();
    all.retain(|claim| passes(&claim.name, filter));
    let page = page_of(&query, all, &COLUMNS, ClaimOut::of)?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    let answer = call::json(StatusCode::OK, &ClaimOut::of(&found.value))?;
    Ok(call::with_etag(answer, found.revision))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let claim = parse::wanted(&body, new_id(call.state.clock.now(), &call.state.random), false)?;
    let shown = ClaimOut::of(&claim);
    let note = call.note(&told(Action::Create, None, Some(&claim)), Some(&body));
    let store = move |catalog: &Catalog| {
        check_name(catalog, &claim)?;
        if catalog.list_each::<NativeClaim>().len() >= MAX_CLAIMS {
            let detail = format!(
                "there are {MAX_CLAIMS} native claims beside the built-in ones, and no more are kept: delete one"
            );
            return Err(ApiError::new(ErrorKey::LimitReached, detail).about(ENTITY));
        }
        Ok(catalog.create(&claim.id, &claim, Some(note))?)
    };
    let revision = change(&call.state, store).await?;
    let answer = call::json(StatusCode::CREATED, &shown)?;
    Ok(call::with_location(call::with_etag(answer, revision), &format!("{CLAIMS}/{}", shown.id)))
}

pub(crate) async fn replace(mut call: Call) -> Answer {
    let body = call.json().await?;
    let before = find(&call.state.catalog, call.id())?;
    check_own(&before.value, "changed")?;
    call.check_revision(before.revision)?;
    let claim = parse::wanted(&body, before.value.id.clone(), true)?;
    let shown = ClaimOut::of(&claim);
    let note = call.note(&told(Action::Update, Some(&before.value), Some(&claim)), Some(&body));
    let rename = async move {
        let store = move |catalog: &Catalog| {
            check_name(catalog, &claim)?;
            let replaced = catalog.replace(&claim.id, &claim, before.revision, Some(note));
            replaced.map_err(|error| ApiError::from(error).about(ENTITY))
        };
        let revision = change(&call.state, store).await?;
        let state = call.state.clone();
        // Whoever renames a claim changes what configurations send.
        event_streaming::adopt_names(&state, move |change| call.note(change, None)).await?;
        Ok(revision)
    };
    let revision = to_its_end(rename).await?;
    Ok(call::with_etag(call::json(StatusCode::OK, &shown)?, revision))
}

pub(crate) async fn delete(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    check_own(&found.value, "deleted")?;
    call.check_revision(found.revision)?;
    let note = call.note(&told(Action::Delete, Some(&found.value), None), None);
    let remove = move |catalog: &Catalog| {
        check_unused(catalog, &found.value)?;
        let deleted = catalog.delete::<NativeClaim>(&found.value.id, found.revision, Some(note));
        deleted.map_err(|error| ApiError::from(error).about(ENTITY))
    };
    change(&call.state, remove).await?;
    Ok(call::no_content())
}

/// Completes what a crash cut short: every configuration sends its claims by the names that they have. To be called before
/// events are taken. False when that failed; [`run`] tries again.
pub async fn begin(state: &ApiState) -> bool {
    let (clock, random) = (Arc::clone(&state.clock), Arc::clone(&state.random));
    let tell = move |change: &Change<'_>| change.by_the_server(clock.now(), &random);
    match event_streaming::adopt_names(state, tell).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(?error, "configurations may send claims by earlier names; trying again");
            false
        }
    }
}

/// Writes names of discovered claims down as they come, at most once a second, until `stop` turns true; then what is left.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let mut is_begun = false;
    loop {
        let is_last = tokio::time::timeout(PACE, stop.wait_for(|stop| *stop)).await.is_ok();
        is_begun = is_begun || begin(&state).await;
        offer::keep(&state).await;
        if is_last {
            break;
        }
    }
}

/// Makes a change of the claims, and the offer right with it.
async fn change<T: Send + 'static>(
    state: &ApiState,
    change: impl FnOnce(&Catalog) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let intake = Arc::clone(&state.intake);
    let both = move |catalog: &Catalog| {
        let done = change(catalog)?;
        if let Err(error) = offer::update(catalog, intake.discovery()) {
            // The next change, or new name, makes it right; what has a claim is not offered even so.
            tracing::error!(%error, "the offer of discovered claims could not be stored");
        }
        Ok(done)
    };
    state.change(both).await
}

/// For the audit log.
fn told<'a>(action: Action, before: Option<&'a NativeClaim>, after: Option<&'a NativeClaim>) -> Change<'a> {
    let (id, name) = after.or(before).map_or(("", ""), |claim| (&claim.id, &claim.name));
    let shown = |claim: Option<&NativeClaim>| claim.and_then(|claim| audit::shown(&ClaimOut::of(claim)));
    Change {
        action,
        entity_type: "NativeClaim",
        name,
        url: format!("{CLAIMS}/{id}"),
        before: shown(before),
        after: shown(after),
    }
}

/// The claim with this id. A built-in one is at revision 0 for ever.
fn find(catalog: &Catalog, id: &str) -> Result<Found<NativeClaim>, ApiError> {
    if let Some(value) = NativeClaim::built_in().find(|claim| claim.id == id) {
        return Ok(Found { value, revision: 0 });
    }
    catalog.get::<NativeClaim>(id).map_err(|error| ApiError::from(error).about(ENTITY))
}

/// The contract has a status for a selected claim that is deleted (409), so what it has beside it for a request that is
/// well formed (400) is for a claim that nobody can delete.
fn check_own(claim: &NativeClaim, done: &str) -> Result<(), ApiError> {
    if claim.is_built_in() {
        let detail = format!("the native claim {} is built in: it cannot be {done}", claim.id);
        return Err(ApiError::new(ErrorKey::ReadOnly, detail).about(ENTITY));
    }
    Ok(())
}

/// A claim is sent by its name, so two with one name would be one.
fn check_name(catalog: &Catalog, claim: &NativeClaim) -> Result<(), ApiError> {
    let taken = |id: &str| {
        let detail = format!("the native claim {id} has this name, and a claim is sent by its name");
        Err(ApiError::new(ErrorKey::NameTaken, detail).about(ENTITY))
    };
    if let Some(id) = claims::id_of(&claim.name) {
        return taken(id);
    }
    let others = catalog.list::<NativeClaim>()?;
    let other = others.iter().find(|other| other.value.id != claim.id && other.value.name == claim.name);
    other.map_or(Ok(()), |other| taken(&other.value.id))
}

fn check_unused(catalog: &Catalog, claim: &NativeClaim) -> Result<(), ApiError> {
    let users = event_streaming::that_select(catalog, &claim.id);
    if users.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = users.iter().take(MAX_NAMED).map(|name| format!("{name:?}")).collect();
    let more = match users.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        n_more => format!(" and {n_more} more"),
    };
    let detail = format!(
        "event streaming configurations select it: {}{more}; take it out of them, then delete it",
        named.join(", ")
    );
    Err(ApiError::new(ErrorKey::InUse, detail).about(ENTITY))
}

/// Tells the intake which names are known, before it takes events.
pub(crate) fn acquaint(catalog: &Catalog, intake: &intake::Intake) -> Result<(), CatalogError> {
    offer::update(catalog, intake.discovery())
}
