//! Access tokens: given for an API client's secret, good for an hour, sealed with the master key and kept nowhere.
//!
//! A token names its client, some of the client's scopes, and its end. It ends with its client, and with the client's
//! secret, because it holds a part of the secret's digest.

use std::time::Duration;

use base::{Random, Secret, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::{Catalog, KeyError, Keyring, Sealed};
use serde::{Deserialize, Serialize};

use super::client::{ApiClient, find};
use super::scope::Scope;
use super::secret::is_same;
use crate::error::ApiError;

/// What a token begins with.
const PREFIX: &str = "idt_";
/// What tokens are sealed for.
const PLACE: &str = "oauth2/token";
/// How long a token is good for; the contract's hour.
const LIFETIME: Duration = Duration::from_secs(3599);

#[derive(Serialize, Deserialize)]
struct Claims {
    client: String,
    /// The SHA-256 of the client's secret, in hex.
    secret: String,
    scopes: Vec<Scope>,
    expires_at: Timestamp,
}

/// A token, and how long it is good for.
pub(crate) struct Issued {
    pub(crate) token: Secret,
    pub(crate) expires_in: Duration,
}

/// A token for some of a client's scopes. It does not outlive the client.
pub(crate) fn issue(
    client: &ApiClient,
    scopes: Vec<Scope>,
    now: Timestamp,
    keyring: &Keyring,
    random: &Random,
) -> Result<Issued, KeyError> {
    let end = now.plus(LIFETIME);
    let expires_at = client.expires_at.map_or(end, |expiry| expiry.min(end));
    let claims =
        Claims { client: client.id.clone(), secret: client.secret_sha256.clone(), scopes, expires_at };
    let text = Secret::new(serde_json::to_string(&claims).unwrap_or_default());
    let sealed = serde_json::to_vec(&keyring.seal(&text, PLACE, random)?).unwrap_or_default();
    let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)));
    Ok(Issued { token, expires_in: expires_at.since(now) })
}

/// The client that a token stands for, with the token's scopes and end. `None` when it is no token of ours.
pub(crate) fn client_of(
    token: &str,
    catalog: &Catalog,
    keyring: &Keyring,
) -> Result<Option<ApiClient>, ApiError> {
    let Some(claims) = claims(token, keyring) else { return Ok(None) };
    let found =
        find(catalog, &claims.client)?.filter(|client| is_same(&client.secret_sha256, &claims.secret));
    Ok(found.map(|mut client| {
        client.scopes.retain(|scope| claims.scopes.contains(scope));
        client.expires_at =
            Some(client.expires_at.map_or(claims.expires_at, |end| end.min(claims.expires_at)));
        client
    }))
}

/// Whether a bearer token has the form of an access token.
pub(crate) fn is_access_token(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn claims(token: &str, keyring: &Keyring) -> Option<Claims> {
    let sealed = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let sealed: Sealed = serde_json::from_slice(&sealed).ok()?;
    let text = keyring.open(&sealed, PLACE).ok()?;
    serde_json::from_str(text.expose()).ok()
}
