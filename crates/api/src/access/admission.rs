//! Who makes a call, by its bearer token, and whether they may.

use base::Timestamp;
use catalog::{Catalog, Keyring};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use super::attempt::{Attempt, Reason};
use super::client::{ApiClient, authenticate};
use super::scope::Scope;
use super::token::{client_of, is_access_token};
use crate::error::{ApiError, ErrorKey};

/// What `WWW-Authenticate` says where a bearer token is taken.
pub(crate) const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"idstream\"");

/// Why a call is not admitted.
#[derive(Debug)]
pub(crate) enum Denied {
    /// It brings no bearer token.
    Missing,
    /// Its token opens nothing.
    Wrong(Attempt),
    /// Who makes it is known, and may not.
    Lacks(Scope),
    /// That could not be found out.
    Failed(ApiError),
}

impl From<ApiError> for Denied {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let wrong = |reason| {
            let challenge = HeaderValue::from_static("Bearer realm=\"idstream\", error=\"invalid_token\"");
            Self::unauthorized(reason, challenge)
        };
        match denied {
            Denied::Missing => {
                Self::unauthorized("a bearer token is needed: Authorization: Bearer ids_…", BEARER)
            }
            Denied::Wrong(Attempt { reason: Reason::Expired, .. }) => wrong("the bearer token has expired"),
            Denied::Wrong(_) => wrong("the bearer token is wrong"),
            Denied::Lacks(scope) => lacks(scope),
            Denied::Failed(error) => error,
        }
    }
}

/// The client that a request's bearer token belongs to, when it may do what `scope` stands for; without one,
/// any client.
pub(crate) fn admit(
    headers: &HeaderMap,
    scope: Option<Scope>,
    catalog: &Catalog,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<ApiClient, Denied> {
    let token = bearer(headers).ok_or(Denied::Missing)?;
    let client = live(of_token(token, catalog, keyring)?, now)?;
    match scope.filter(|scope| !client.may(*scope)) {
        Some(scope) => Err(Denied::Lacks(scope)),
        None => Ok(client),
    }
}

/// The client that a token belongs to; it may have expired.
pub(super) fn of_token(
    token: &str,
    catalog: &Catalog,
    keyring: &Keyring,
) -> Result<Result<ApiClient, Attempt>, ApiError> {
    if is_access_token(token) {
        Ok(client_of(token, catalog, keyring)?.ok_or(Attempt::with_wrong_token()))
    } else if let Some((id, secret)) = split(token) {
        authenticate(catalog, id, secret)
    } else {
        Ok(Err(Attempt::with_wrong_token()))
    }
}

/// The client, unless it has come to its end.
pub(super) fn live(client: Result<ApiClient, Attempt>, now: Timestamp) -> Result<ApiClient, Denied> {
    match client {
        Ok(client) if client.is_live(now) => Ok(client),
        Ok(client) => Err(Denied::Wrong(Attempt::of(Reason::Expired, &client))),
        Err(attempt) => Err(Denied::Wrong(attempt)),
    }
}

/// The client may not do what `scope` stands for.
pub(crate) fn lacks(scope: Scope) -> ApiError {
    let error = ApiError::new(ErrorKey::InsufficientScope, format!("the API client lacks the scope {scope}"));
    let challenge = format!("Bearer realm=\"idstream\", error=\"insufficient_scope\", scope=\"{scope}\"");
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => error.with_header(WWW_AUTHENTICATE, challenge),
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

    use catalog::MemoryStore;

    use super::*;

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
            let refused = admit(&headers, None, &catalog, &Keyring::new(&[7; 32]), Timestamp::default());
            assert!(refused.is_err(), "{value}");
        }
    }
}
