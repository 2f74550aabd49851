//! Every kind of error that a caller can meet, by name and status.

use http::StatusCode;

/// The `errorKey` of an answer. A name never changes its meaning; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKey {
    /// Fields or query parameters are wrong; `fieldErrors` names each.
    Validation,
    /// The body is not what its content type says.
    MalformedBody,
    /// The body holds no event.
    EmptyBody,
    /// Every event of the body was rejected; `rejected` says why.
    NoEventAccepted,
    /// It is built in: nobody changes or deletes it.
    ReadOnly,
    /// The `Idempotency-Key` is not 1 to 255 visible ASCII characters.
    IdempotencyKeyInvalid,
    /// There is no credential, or it is wrong or expired.
    Unauthorized,
    /// The API client lacks the scope that the call needs.
    InsufficientScope,
    /// The source is switched off.
    SourceDisabled,
    /// There is nothing at this path, or nothing with this id.
    NotFound,
    /// The event was removed, by retention or by erasure.
    EventRemoved,
    /// The event may be one that is not indexed yet; try again after `Retry-After`.
    EventNotIndexed,
    /// The id is that of a made-up event, which is not stored.
    TestEvent,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body came too slowly.
    RequestTimeout,
    /// Another one has this name.
    NameTaken,
    /// Something else needs it; `detail` names what.
    InUse,
    /// There are as many as may be kept.
    LimitReached,
    /// Somebody else changed it in the meantime.
    ChangedMeanwhile,
    /// The destination cannot be asked which events it holds.
    NotReconcilable,
    /// The configuration is disabled.
    NotEnabled,
    /// The configuration is not paused, nor does it await a choice.
    NotAwaitingChoice,
    /// Another number of entries is meant than the caller expects.
    UnexpectedCount,
    /// None of the events is in quarantine.
    NotInQuarantine,
    /// The run is over.
    RunOver,
    /// A request with this idempotency key is under way.
    IdempotencyKeyInFlight,
    /// `If-Match` names another revision.
    PreconditionFailed,
    /// The body is larger than allowed, as sent or decompressed.
    BodyTooLarge,
    /// The body holds more events than allowed.
    TooManyEvents,
    /// The content type is not taken here.
    UnsupportedMediaType,
    /// The content encoding is not taken here.
    UnsupportedEncoding,
    /// The idempotency key was used with another body.
    IdempotencyKeyReused,
    /// Too much is under way; try again after `Retry-After`.
    Busy,
    /// Too many calls in a short time; try again after `Retry-After`.
    TooManyRequests,
    /// idstream failed.
    Internal,
    /// The backlog budget of a configuration is spent, or the disk full but for its reserve; `detail` names whose and what to
    /// do. Try again after `Retry-After`.
    BacklogSpent,
    /// Events cannot be stored at the moment; try again after `Retry-After`.
    Unavailable,
}

impl ErrorKey {
    /// Every key.
    pub const ALL: [Self; 37] = [
        Self::Validation,
        Self::MalformedBody,
        Self::EmptyBody,
        Self::NoEventAccepted,
        Self::ReadOnly,
        Self::IdempotencyKeyInvalid,
        Self::Unauthorized,
        Self::InsufficientScope,
        Self::SourceDisabled,
        Self::NotFound,
        Self::EventRemoved,
        Self::EventNotIndexed,
        Self::TestEvent,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::NameTaken,
        Self::InUse,
        Self::LimitReached,
        Self::ChangedMeanwhile,
        Self::NotReconcilable,
        Self::NotEnabled,
        Self::NotAwaitingChoice,
        Self::UnexpectedCount,
        Self::NotInQuarantine,
        Self::RunOver,
        Self::IdempotencyKeyInFlight,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::TooManyEvents,
        Self::UnsupportedMediaType,
        Self::UnsupportedEncoding,
        Self::IdempotencyKeyReused,
        Self::Busy,
        Self::TooManyRequests,
        Self::Internal,
        Self::BacklogSpent,
        Self::Unavailable,
    ];

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The status that it is answered with.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::Validation => ("validation", StatusCode::BAD_REQUEST),
            Self::MalformedBody => ("malformedBody", StatusCode::BAD_REQUEST),
            Self::EmptyBody => ("emptyBody", StatusCode::BAD_REQUEST),
            Self::NoEventAccepted => ("noEventAccepted", StatusCode::BAD_REQUEST),
            Self::ReadOnly => ("readOnly", StatusCode::BAD_REQUEST),
            Self::IdempotencyKeyInvalid => ("idempotencyKeyInvalid", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Self::InsufficientScope => ("insufficientScope", StatusCode::FORBIDDEN),
            Self::SourceDisabled => ("sourceDisabled", StatusCode::FORBIDDEN),
            Self::NotFound => ("notFound", StatusCode::NOT_FOUND),
            Self::EventRemoved => ("eventRemoved", StatusCode::NOT_FOUND),
            Self::EventNotIndexed => ("eventNotIndexed", StatusCode::NOT_FOUND),
            Self::TestEvent => ("testEvent", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("methodNotAllowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::RequestTimeout => ("requestTimeout", StatusCode::REQUEST_TIMEOUT),
            Self::NameTaken => ("nameTaken", StatusCode::CONFLICT),
            Self::InUse => ("inUse", StatusCode::CONFLICT),
            Self::LimitReached => ("limitReached", StatusCode::CONFLICT),
            Self::ChangedMeanwhile => ("changedMeanwhile", StatusCode::CONFLICT),
            Self::NotReconcilable => ("notReconcilable", StatusCode::CONFLICT),
            Self::NotEnabled => ("notEnabled", StatusCode::CONFLICT),
            Self::NotAwaitingChoice => ("notAwaitingChoice", StatusCode::CONFLICT),
            Self::UnexpectedCount => ("unexpectedCount", StatusCode::CONFLICT),
            Self::NotInQuarantine => ("notInQuarantine", StatusCode::CONFLICT),
            Self::RunOver => ("runOver", StatusCode::CONFLICT),
            Self::IdempotencyKeyInFlight => ("idempotencyKeyInFlight", StatusCode::CONFLICT),
            Self::PreconditionFailed => ("preconditionFailed", StatusCode::PRECONDITION_FAILED),
            Self::BodyTooLarge => ("bodyTooLarge", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooManyEvents => ("tooManyEvents", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => ("unsupportedMediaType", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::UnsupportedEncoding => ("unsupportedEncoding", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::IdempotencyKeyReused => ("idempotencyKeyReused", StatusCode::UNPROCESSABLE_ENTITY),
            Self::Busy => ("busy", StatusCode::TOO_MANY_REQUESTS),
            Self::TooManyRequests => ("tooManyRequests", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Self::BacklogSpent => ("backlogSpent", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_with_its_status() {
        let page = include_str!("../../../../docs/API.md");
        for key in ErrorKey::ALL {
            let row = format!("| {} | `{}` |", key.status().as_u16(), key.name());
            assert!(page.contains(&row), "docs/API.md lacks: {row}");
        }
    }
}
