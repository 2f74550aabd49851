//! `POST /oauth2/token`: an access token for an API client's id and secret (RFC 6749 section 4.4).

use http::header::{AUTHORIZATION, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::access::{ApiClient, Attempt, BASIC, Reason, Scope, authenticate, basic, issue};
use crate::audit::Peer;
use crate::body;
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::query::Query;
use crate::sign_in;

/// RFC 6749 section 5.1.
#[derive(Serialize)]
struct TokenOut<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

/// RFC 6749 section 5.2: not the problem envelope, because OAuth clients read this one.
#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    error_description: String,
}

pub(crate) async fn token(mut call: Call<()>) -> Answer {
    body::expect_type(call.header(CONTENT_TYPE).unwrap_or_default(), &["application/x-www-form-urlencoded"])?;
    let form = call.form().await?;
    match grant(&call, &form)? {
        Ok((client, scopes)) => {
            let now = call.state.clock.now();
            call.state.uses().note(&client.id, now, call.parts.extensions.get::<Peer>().map(|peer| peer.0));
            let issued = issue(&client, scopes.clone(), now, &call.state.keyring, &call.state.random)?;
            sign_in::succeeded(&call.state, &call.parts, &client);
            let out = TokenOut {
                access_token: issued.token.expose(),
                token_type: "bearer",
                expires_in: issued.expires_in.as_secs(),
                scope: scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            };
            let mut answer = call::json(StatusCode::OK, &out)?;
            answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
            Ok(answer)
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The client and the scopes that the form asks for. The outer error is one of ours, the inner one the caller's.
fn grant(call: &Call<()>, form: &Query) -> Result<Result<(ApiClient, Vec<Scope>), Refusal>, ApiError> {
    let refuse =
        |error, description: &str| Ok(Err(Refusal { error, error_description: description.to_owned() }));
    if form.one("grant_type")? != Some("client_credentials") {
        return refuse("unsupported_grant_type", "grant_type must be client_credentials");
    }
    let now = call.state.clock.now();
    let Some((id, secret)) = credentials(call, form)? else {
        return refuse("invalid_client", "the client's id and secret are needed: Authorization: Basic …");
    };
    let client = match authenticate(&call.state.catalog, &id, &secret)? {
        Ok(client) if client.is_live(now) => client,
        denied => {
            let attempt =
                denied.map_or_else(|attempt| attempt, |client| Attempt::of(Reason::Expired, &client));
            sign_in::failed(&call.state, &call.parts, &attempt)?;
            return refuse("invalid_client", "the client's id or secret is wrong, or it has expired");
        }
    };
    let own = call.state.instance.public_url.as_deref();
    match (form.one("audience")?.map(|url| url.trim_end_matches('/')), own) {
        (None, _) => return refuse("invalid_request", "audience is needed: the address of this server"),
        (Some(audience), Some(own)) if audience != own => {
            return refuse("invalid_target", &format!("audience must be {own}"));
        }
        _ => {}
    }
    let asked: Vec<&str> = form.one("scope")?.unwrap_or_default().split_ascii_whitespace().collect();
    if asked.is_empty() {
        return refuse("invalid_scope", "scope is needed: one or more, separated by spaces");
    }
    let mut scopes = Vec::new();
    for name in asked {
        match Scope::from_name(name).filter(|scope| client.may(*scope)) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => return refuse("invalid_scope", &format!("the client does not have the scope {name:?}")),
        }
    }
    Ok(Ok((client, scopes)))
}

/// From `Authorization: Basic` (both parts form-encoded, RFC 6749 section 2.3.1), else from the form.
fn credentials(call: &Call<()>, form: &Query) -> Result<Option<(String, String)>, ApiError> {
    if let Some(header) = call.header(AUTHORIZATION) {
        return Ok(basic(header));
    }
    let (id, secret) = (form.one("client_id")?, form.one("client_secret")?);
    Ok(id.zip(secret).map(|(id, secret)| (id.to_owned(), secret.to_owned())))
}

fn refused(refusal: &Refusal) -> Answer {
    if refusal.error != "invalid_client" {
        return call::json(StatusCode::BAD_REQUEST, refusal);
    }
    let mut answer = call::json(StatusCode::UNAUTHORIZED, refusal)?;
    answer.headers_mut().insert(WWW_AUTHENTICATE, BASIC);
    Ok(answer)
}
