//! What the errors of other crates become at the API's edge.

use catalog::{CatalogError, KeyError};
use event::RecordError;
use explorer::FindError;
use intake::IntakeError;
use journal::JournalError;

use super::{ApiError, ErrorKey};

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound => Self::new(ErrorKey::NotFound, "there is none with this id"),
            CatalogError::Conflict | CatalogError::Exists => Self::new(
                ErrorKey::ChangedMeanwhile,
                "it was changed in the meantime: read it again, then decide again",
            ),
            CatalogError::Damaged { .. } | CatalogError::Store(_) => Self::internal(error),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        Self::internal(error)
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        Self::internal(error)
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        Self::internal(error)
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        Self::internal(error)
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::Malformed(_) => Self::new(ErrorKey::MalformedBody, detail),
            IntakeError::Empty => Self::new(ErrorKey::EmptyBody, detail),
            IntakeError::TooManyEvents { .. } => Self::new(ErrorKey::TooManyEvents, detail),
            IntakeError::KeyReused => Self::new(ErrorKey::IdempotencyKeyReused, detail),
            IntakeError::KeyInFlight => Self::new(ErrorKey::IdempotencyKeyInFlight, detail),
            IntakeError::Busy { retry_after } => Self::new(ErrorKey::Busy, detail).retry_after(retry_after),
            IntakeError::Unavailable { retry_after, cause } => {
                Self::new(ErrorKey::Unavailable, detail).retry_after(retry_after).caused_by(cause)
            }
        }
    }
}
