//! The calls on API clients. A token is shown once, when its client is created.

use base::Timestamp;
use catalog::{Catalog, Found, Note};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::access::{ApiClient, Made, NewClient, Scope, make};
use crate::audit::{Action, Change, shown};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::fields::{Complaints, Fields};
use crate::names;
use crate::page::{Column, by_text, page_of, passes};
use crate::router::CLIENTS;
use crate::state::ApiState;
use crate::uses::{self, ClientUse};

const ENTITY: &str = "apiClient";

const COLUMNS: [Column<Found<ApiClient>>; 3] = [
    ("id", |a, b| a.value.id.cmp(&b.value.id)),
    ("name", |a, b| by_text(&a.value.name, &b.value.name)),
    ("createdAt", |a, b| a.value.created_at.cmp(&b.value.created_at)),
];

/// A client as it is answered: never with its secret's digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientOut {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// When it was last admitted, and from where.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    last_use: Option<ClientUse>,
}

/// The answer to the creation: the secret is shown this once, alone for `/oauth2/token` and within the bearer token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewClientOut<'a> {
    #[serde(flatten)]
    client: ClientOut,
    client_secret: &'a str,
    token: &'a str,
}

impl ClientOut {
    fn of(client: &ApiClient) -> Self {
        Self {
            id: client.id.clone(),
            name: client.name.clone(),
            scopes: client.scopes.clone(),
            created_at: client.created_at,
            expires_at: client.expires_at,
            last_use: None,
        }
    }

    /// With its last use.
    fn used(client: &ApiClient, state: &ApiState) -> Self {
        Self { last_use: state.uses().of(&client.id, &state.catalog), ..Self::of(client) }
    }
}

pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let filter = query.one("name")?;
    let mut clients = call.state.catalog.list::<ApiClient>()?;
    clients.retain(|client| passes(&client.value.name, filter));
    let page = page_of(&query, clients, &COLUMNS, |found| ClientOut::used(&found.value, &call.state))?;
    call::json(StatusCode::OK, &page)
}

pub(crate) async fn get(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    call::json(StatusCode::OK, &ClientOut::used(&found.value, &call.state))
}

pub(crate) async fn create(mut call: Call) -> Answer {
    let body = call.json().await?;
    let now = call.state.clock.now();
    // As it is stored: an access token ends long before the client that it was given to.
    let creator = find(&call.state.catalog, &call.who.id)?.value;
    let new = parse(&body, now, creator.expires_at)?;
    // Nobody hands on more than they have, or the right to make clients would be every right.
    if let Some(scope) = new.scopes.iter().find(|scope| !call.who.may(**scope)) {
        let detail = format!("an API client cannot give the scope {scope}, which it lacks itself");
        return Err(ApiError::new(ErrorKey::InsufficientScope, detail).about(ENTITY));
    }
    let Made { client, secret, token } = make(new, now, &call.state.random);
    let path = format!("{CLIENTS}/{}", client.id);
    let shown = ClientOut::of(&client);
    let note = call.note(&told(Action::Create, &client), Some(&body));
    call.state.change(move |catalog| store(catalog, &client, note)).await?;
    let answer = call::json(
        StatusCode::CREATED,
        &NewClientOut { client: shown, client_secret: secret.expose(), token: token.expose() },
    )?;
    Ok(call::with_location(answer, &path))
}

pub(crate) async fn delete(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    let note = call.note(&told(Action::Delete, &found.value), None);
    let remove = move |catalog: &Catalog| {
        catalog.delete::<ApiClient>(&found.value.id, found.revision, Some(note))?;
        Ok(uses::remove(catalog, &found.value.id)?)
    };
    call.state.change(remove).await?;
    Ok(call::no_content())
}

/// For the audit log: what is done to a client, which never changes in between.
pub(crate) fn told(action: Action, client: &ApiClient) -> Change<'_> {
    let state = shown(&ClientOut::of(client));
    let (before, after) = if action == Action::Delete { (state, None) } else { (None, state) };
    let url = format!("{CLIENTS}/{}", client.id);
    Change { action, entity_type: "ApiClient", name: &client.name, url, before, after }
}

fn find(catalog: &Catalog, id: &str) -> Result<Found<ApiClient>, ApiError> {
    catalog.get::<ApiClient>(id).map_err(|error| ApiError::from(error).about(ENTITY))
}

fn store(catalog: &Catalog, client: &ApiClient, note: Note) -> Result<(), ApiError> {
    names::check_free(catalog, &client.name, ENTITY)?;
    catalog.create(&client.id, client, Some(note))?;
    Ok(())
}

fn parse(body: &Value, now: Timestamp, creator_ends: Option<Timestamp>) -> Result<NewClient, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    let name = names::given(&fields, None, &mut complaints);
    let scopes =
        fields.require("scopes", &mut complaints).and_then(|_| fields.list("scopes", &mut complaints));
    let scopes = scopes.map(|given| {
        let known: Vec<Scope> = given.iter().filter_map(|scope| Scope::from_name(scope.as_str()?)).collect();
        let n_distinct = Scope::ALL.iter().filter(|scope| known.contains(scope)).count();
        if known.len() != given.len() || n_distinct != given.len() || given.is_empty() {
            let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            fields.complain(
                "scopes",
                format!("must name one or more of, each once: {}", names.join(", ")),
                &mut complaints,
            );
        }
        known
    });
    let expires_at = expiry(&fields, now, creator_ends, &mut complaints);
    complaints.finish(name.zip(scopes).map(|(name, scopes)| NewClient {
        name: name.to_owned(),
        scopes,
        expires_at,
    }))
}

/// When a client ends: not after the one that creates it, which could otherwise go on under another name for ever.
fn expiry(
    fields: &Fields<'_>,
    now: Timestamp,
    creator_ends: Option<Timestamp>,
    complaints: &mut Complaints,
) -> Option<Timestamp> {
    const FIELD: &str = "expiresAt";
    let expires_at = match fields.text(FIELD, 1, 64, complaints).map(Timestamp::parse) {
        Some(Err(error)) => {
            fields.complain(FIELD, format!("is {error}"), complaints);
            return None;
        }
        given => given.and_then(Result::ok),
    };
    if expires_at.is_some_and(|expiry| expiry <= now) {
        fields.complain(FIELD, "must be in the future", complaints);
    }
    if let Some(end) = creator_ends.filter(|end| expires_at.is_none_or(|expiry| expiry > *end)) {
        let message = format!("must be given and at most {end}, when the client that creates it expires");
        fields.complain(FIELD, message, complaints);
    }
    expires_at
}
