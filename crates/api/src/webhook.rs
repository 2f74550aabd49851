//! The way in for platforms: webhooks that are authenticated by a configured `Authorization` value.

use catalog::CatalogError;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use intake::Source;
use serde_json::json;
use sources::SourceKind;
use tokio::time::Instant;

use crate::access::{is_same, sha256_hex};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::sign_in;
use crate::state::ApiState;

/// Takes a delivery of an Auth0 log stream. Its content type is the sender's choice; the body tells its form.
pub(crate) async fn auth0(call: Call<()>) -> Answer {
    let state = call.state.clone();
    let answer = take(call).await;
    if let Err(error) = &answer {
        state.counts().refused(error.key());
    }
    answer
}

async fn take(mut call: Call<()>) -> Answer {
    let source = admit(&call.state, call.id(), SourceKind::Auth0, &call.parts)?;
    call.state.check_room()?;
    let held = call.events().await?;
    let begun = Instant::now();
    let receipt = call.state.intake.accept_source(&source, &held.bytes).await;
    call.state.counts().worked(held.bytes.len(), begun.elapsed());
    let receipt = receipt?;
    call.state.counts().from_source(&source.id, &receipt, call.state.clock.now());
    let answer = json!({
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "quarantined": receipt.quarantined,
    });
    call::json(StatusCode::OK, &answer)
}

/// The source that a delivery is for. An unknown source, one of another platform and a wrong value are answered
/// alike.
fn admit(state: &ApiState, id: &str, kind: SourceKind, parts: &Parts) -> Result<Source, ApiError> {
    let source = match state.catalog.get::<Source>(id) {
        Ok(found) => Some(found.value),
        Err(CatalogError::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let given = values.next().filter(|_| values.next().is_none());
    let digest = sha256_hex(given.map_or(b"".as_slice(), HeaderValue::as_bytes));
    let live = source.as_ref().map_or([].as_slice(), |source| source.authorization.as_slice());
    // Every live value is compared, whichever fits.
    let is_right = live.iter().fold(false, |is_right, each| is_right | is_same(each, &digest));
    let Some(source) = source.filter(|source| is_right && source.platform.kind == kind) else {
        if given.is_some() {
            sign_in::failed_delivery(state, parts)?;
        }
        let challenge = HeaderValue::from_static("Bearer realm=\"idstream source\"");
        let reason = "there is no such source, or its Authorization value is another one";
        return Err(ApiError::unauthorized(reason, challenge));
    };
    if !source.enabled {
        return Err(ApiError::new(ErrorKey::SourceDisabled, "the source is disabled: nothing is taken"));
    }
    Ok(source)
}
