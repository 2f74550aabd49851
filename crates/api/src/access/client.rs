//! API clients and their bearer tokens: `ids_{clientId}_{secret}`.

use base::{Clock, Random, Secret, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::{Catalog, CatalogError, Document};
use intake::Source;
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Reason};
use super::scope::Scope;
use super::secret::{is_same, sha256_hex};
use crate::audit::Action;
use crate::clients::told;
use crate::error::ApiError;
use crate::state::new_id;

/// As long as a digest, and none: what is compared with when there is no client.
const NO_DIGEST: &str = "----------------------------------------------------------------";

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
        scopes.iter().find(|scope| !self.may(**scope)).map_or(Ok(()), |scope| Err(super::lacks(*scope)))
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
    let sources = catalog.list::<Source>()?;
    let is_taken = |name: &String| {
        clients.iter().any(|client| client.value.name == *name)
            || sources.iter().any(|source| source.value.name == *name)
    };
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

/// The client with this id, when the secret is its own; it may have expired. An unknown client takes as long as a wrong
/// secret; the digests are compared in constant time.
pub(crate) fn authenticate(
    catalog: &Catalog,
    id: &str,
    secret: &str,
) -> Result<Result<ApiClient, Attempt>, ApiError> {
    let client = find(catalog, id)?;
    let expected = client.as_ref().map_or(NO_DIGEST, |client| client.secret_sha256.as_str());
    let is_right = is_same(&sha256_hex(secret.as_bytes()), expected);
    Ok(match client {
        Some(client) if is_right => Ok(client),
        Some(client) => Err(Attempt::of(Reason::WrongSecret, &client)),
        None => Err(Attempt::by_unknown(id)),
    })
}

/// The client with this id.
pub(super) fn find(catalog: &Catalog, id: &str) -> Result<Option<ApiClient>, ApiError> {
    match catalog.get::<ApiClient>(id) {
        Ok(found) => Ok(Some(found.value)),
        Err(CatalogError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
}
