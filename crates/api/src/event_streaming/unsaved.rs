//! Configurations that are tried, or looked at, before they are stored.

use delivery::{Configuration, TrialError};

use super::parse::{self, Known};
use super::{ENTITY, complete, field_error, find};
use crate::call::Call;
use crate::error::ApiError;
use crate::native_claims::ClaimNames;

/// The id of a configuration that has none.
const UNSAVED: &str = "unsaved";

/// What the body describes. With the `id` of a stored configuration its secrets are used where the body brings none,
/// unless the body leads elsewhere.
pub(super) async fn unsaved_of(call: &mut Call) -> Result<Configuration, ApiError> {
    let body = call.json().await?;
    let before = match body.get("id").and_then(serde_json::Value::as_str) {
        Some(id) => Some(find(&call.state.catalog, id)?.value),
        None => None,
    };
    let known = before.as_ref().map(Known::of).transpose().map_err(ApiError::internal)?;
    let wanted =
        parse::wanted(&body, known.as_ref(), &ClaimNames::of(&call.state.catalog), call.state.clock.now())?;
    let id = before.as_ref().map_or(UNSAVED, |before| &before.id).to_owned();
    complete(&call.state, id, wanted, before.as_ref())
}

/// Why a configuration cannot be used.
pub(super) fn problem(error: TrialError) -> ApiError {
    match error {
        TrialError::Settings(errors) => {
            ApiError::fields(errors.into_iter().map(field_error).collect()).about(ENTITY)
        }
        error => ApiError::internal(error),
    }
}
