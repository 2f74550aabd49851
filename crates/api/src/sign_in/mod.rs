//! What becomes of credentials that open nothing: counted by address, and after too many answered without a word about
//! them.

use std::time::Duration;

use axum::extract::Request;
use http::Extensions;
use http::request::Parts;

use crate::access::{Attempt, Denied};
use crate::audit::Peer;
use crate::error::{ApiError, ErrorKey};
use crate::limits::is_limited;
use crate::state::ApiState;

/// What a call is told whose bearer token does not admit it.
pub(crate) fn denied(state: &ApiState, request: &Request, denied: Denied) -> ApiError {
    if let Denied::Wrong(attempt) = &denied
        && is_limited(request.uri().path())
        && let Err(refused) = count(state, request.extensions(), attempt)
    {
        return refused;
    }
    denied.into()
}

/// Counts a wrong id or secret. Fails when there have been too many from this address.
pub(crate) fn failed(state: &ApiState, parts: &Parts, attempt: Attempt) -> Result<(), ApiError> {
    count(state, &parts.extensions, &attempt)
}

/// Right credentials are never refused for wrong ones from the same address: behind a proxy all share one. Secrets are
/// random, so what is spared is work and noise, not a guess that could succeed.
fn count(state: &ApiState, extensions: &Extensions, attempt: &Attempt) -> Result<(), ApiError> {
    let address = extensions.get::<Peer>().map(|peer| peer.0);
    let refused = attempt.is_guess().then(|| state.limiter().failed(address, state.clock.now())).flatten();
    let Some(wait) = refused else { return Ok(()) };
    let detail = "too many wrong credentials came from this address in the last minute: check yours, then send it again";
    Err(ApiError::new(ErrorKey::TooManyRequests, detail).retry_after(Duration::from_secs(wait)))
}
