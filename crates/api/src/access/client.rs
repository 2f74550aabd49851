//! API clients and their bearer tokens: `ids_{clientId}_{secret}`.

use base::{Clock, Random, Secret, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::{Catalog, CatalogError, Document, Keyring};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use super::secret::{is_same, sha256_hex};
use super::token::{client_of, is_access_token};
use crate::audit::Action;
use crate::clients::told;
use crate::error::{ApiError, ErrorKey};
use crate::state::new_id;

/// Who may call, as the catalog keeps it. The secret itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiClient {
    /// Its id, a UUID; part of its token.
    pub id: String,
    /// Its name, unique; the `sourceId` of the events that it posts.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256, in hex, of its secret.
    pub secret_sha256: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it may do nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Document for ApiClient {
    const KIND: &'static str = "apiClient";
}

impl ApiClient {
    /// Whether it may still call.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expiry| now < expiry)
    }

    /// Whether it may do what `scope` stands for.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Fails when it lacks one of `scopes`.
    pub(crate) fn require(&self, scopes: &[Scope]) -> Result<(), ApiError> {
        scopes.iter().find(|scope| !self.may(**scope)).map_or(Ok(()), |scope| Err(lacks(*scope)))
    }
}

/// What a new client is made from.
pub(crate) struct NewClient {
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A client with its secret, which cannot be shown a second time.
pub(crate) struct Made {
    pub(crate) client: ApiClient,
    pub(crate) secret: Secret,
    /// The bearer token that holds the secret.
    pub(crate) token: Secret,
}

/// Makes a client.
pub(crate) fn make(new: NewClient, now: Timestamp, random: &Random) -> Made {
    let id = new_id(now, random);
    let secret = Secret::new(URL_SAFE_NO_PAD.encode(random.bytes::<32>()));
    let token = Secret::new(format!("ids_{id}_{}", secret.expose()));
    let client = ApiClient {
        id,
        name: new.name,
        scopes: new.scopes,
        secret_sha256: sha256_hex(secret.expose().as_bytes()),
        created_at: now,
        expires_at: new.expires_at,
    };
    Made { client, secret, token }
}

/// Makes a client with every scope, named `administrator`, unless one lives that may administer. Its token is given to
/// `hand_over` before the client is stored, so that no crash leaves a client whose token nobody has, and returned.
///
/// So a new installation has its first client, and one whose last administrator was deleted or has expired is reached
/// again by a restart.
pub fn bootstrap_client<E: From<CatalogError>>(
    catalog: &Catalog,
    clock: &dyn Clock,
    random: &Random,
    hand_over: impl FnOnce(&Secret) -> Result<(), E>,
) -> Result<Option<Secret>, E> {
    let now = clock.now();
    let clients = catalog.list::<ApiClient>()?;
    if clients.iter().any(|client| client.value.may(Scope::WriteConfigInstance) && client.value.is_live(now))
    {
        return Ok(None);
    }
    let is_taken = |name: &String| clients.iter().any(|client| client.value.name == *name);
    let mut names =
        std::iter::once("administrator".to_owned()).chain((2..).map(|n| format!("administrator {n}")));
    let name = names.find(|name| !is_taken(name)).unwrap_or_default();
    let Made { client, token, .. } =
        make(NewClient { name, scopes: Scope::ALL.to_vec(), expires_at: None }, now, random);
    hand_over(&token)?;
    let note = told(Action::Create, &client).by_the_server(now, random);
    catalog.create(&client.id, &client, Some(note))?;
    Ok(Some(token))
}

/// The client that a request's bearer token belongs to, when it may do what `scope` stands for.
pub(crate) fn admit(
    headers: &HeaderMap,
    scope: Scope,
    catalog: &Catalog,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<ApiClient, ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::unauthorized(
            "a bearer token is needed: Authorization: Bearer ids_…",
            HeaderValue::from_static("Bearer realm=\"idstream\""),
        ));
    };
    let wrong = |reason| {
        let challenge = HeaderValue::from_static("Bearer realm=\"idstream\", error=\"invalid_token\"");
        ApiError::unauthorized(reason, challenge)
    };
    let client = if is_access_token(token) {
        client_of(token, catalog, keyring)?
    } else {
        let (id, secret) = split(token).unwrap_or_default();
        authenticate(catalog, id, secret)?
    };
    let client = client.ok_or_else(|| wrong("the bearer token is wrong"))?;
    if !client.is_live(now) {
        return Err(wrong("the bearer token has expired"));
    }
    client.require(&[scope])?;
    Ok(client)
}

/// The client with this id, when the secret is its own; it may have expired. An unknown client takes as long as a wrong
/// secret; the digests are compared in constant time.
pub(crate) fn authenticate(catalog: &Catalog, id: &str, secret: &str) -> Result<Option<ApiClient>, ApiError> {
    let client = find(catalog, id)?;
    let expected = client.as_ref().map_or("", |client| client.secret_sha256.as_str());
    let is_right = is_same(&sha256_hex(secret.as_bytes()), expected);
    Ok(client.filter(|_| is_right))
}

/// The client with this id.
pub(super) fn find(catalog: &Catalog, id: &str) -> Result<Option<ApiClient>, ApiError> {
    match catalog.get::<ApiClient>(id) {
        Ok(found) => Ok(Some(found.value)),
        Err(CatalogError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn lacks(scope: Scope) -> ApiError {
    let error = ApiError::new(ErrorKey::InsufficientScope, format!("the API client lacks the scope {scope}"));
    let challenge = format!("Bearer realm=\"idstream\", error=\"insufficient_scope\", scope=\"{scope}\"");
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => error.with_header(http::header::WWW_AUTHENTICATE, challenge),
        Err(_) => error,
    }
}

/// The token of the one `Authorization` header. The scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Client id and secret. An id has no underscore; a secret may.
fn split(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix("ids_")?.split_once('_')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use base::ManualClock;
    use catalog::MemoryStore;

    use super::*;

    #[test]
    fn an_administrator_is_made_when_nobody_can_administer() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let clock = ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap());
        let random = Random::from_seed(1);
        let bootstrap = || bootstrap_client::<CatalogError>(&catalog, &clock, &random, |_| Ok(()));
        assert!(bootstrap().unwrap().is_some());
        assert!(bootstrap().unwrap().is_none());

        let mut client = catalog.list::<ApiClient>().unwrap().remove(0);
        client.value.expires_at = Some(clock.now().plus(Duration::from_secs(1)));
        catalog.replace(&client.value.id, &client.value, client.revision, None).unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(bootstrap().unwrap().is_some(), "the first one has expired");
        let mut names: Vec<_> =
            catalog.list::<ApiClient>().unwrap().into_iter().map(|found| found.value.name).collect();
        names.sort();
        assert_eq!(names, ["administrator", "administrator 2"]);
    }

    #[test]
    fn a_token_that_could_not_be_handed_over_is_made_anew_at_the_next_start() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let clock = ManualClock::new(Timestamp::default());
        let random = Random::from_seed(1);
        let failed = bootstrap_client(&catalog, &clock, &random, |_| Err(CatalogError::NotFound));
        assert!(failed.is_err());
        let made = bootstrap_client::<CatalogError>(&catalog, &clock, &random, |_| Ok(()));
        assert!(made.unwrap().is_some());
    }

    #[test]
    fn a_token_is_cut_where_its_secret_begins() {
        assert_eq!(split("ids_0197-a_b_c"), Some(("0197-a", "b_c")));
        for token in ["", "ids_", "ids_a", "abc", "IDS_a_b"] {
            assert_eq!(
                split(token).filter(|(id, secret)| !id.is_empty() && !secret.is_empty()),
                None,
                "{token}"
            );
        }
    }

    #[test]
    fn an_empty_token_never_matches() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        for value in ["Bearer", "Bearer ", "Bearer ids__", "Bearer x", "Basic eDp5", ""] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            let refused =
                admit(&headers, Scope::WriteEvent, &catalog, &Keyring::new(&[7; 32]), Timestamp::default());
            assert!(refused.is_err(), "{value}");
        }
    }
}
