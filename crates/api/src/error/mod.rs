//! The one error of the API: what the caller is told, and apart from it the cause that only the diagnostics see.

mod from;
mod key;

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use intake::Receipts;
use serde::Serialize;

pub use self::key::ErrorKey;

/// Why a call did not do what was asked.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Problem>);

#[derive(Debug)]
struct Problem {
    key: ErrorKey,
    detail: Cow<'static, str>,
    entity: Option<&'static str>,
    field_errors: Vec<FieldError>,
    headers: HeaderMap,
    receipts: Option<Receipts>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldError {
    /// What the field belongs to.
    pub(crate) object_name: &'static str,
    /// Its path, such as `configuration.url`.
    pub(crate) field: String,
    /// An end of the sentence "the field …".
    pub(crate) message: String,
}

/// The contract's `ProblemJson`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    error_key: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_name: Option<&'a str>,
    path: &'a str,
    params: [(); 0],
    field_errors: &'a [FieldError],
    #[serde(flatten)]
    receipts: Option<&'a Receipts>,
}

impl ApiError {
    /// What kind of error it is.
    pub(crate) const fn key(&self) -> ErrorKey {
        self.0.key
    }

    pub(crate) fn new(key: ErrorKey, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Problem {
            key,
            detail: detail.into(),
            entity: None,
            field_errors: Vec::new(),
            headers: HeaderMap::new(),
            receipts: None,
            cause: None,
        }))
    }

    /// A failure of our own. The caller learns only that it is one.
    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(ErrorKey::Internal, "idstream failed to answer; its diagnostics say why");
        error.0.cause = Some(cause.into());
        error
    }

    /// Fields that are wrong.
    pub(crate) fn fields(field_errors: Vec<FieldError>) -> Self {
        let shown: Vec<String> = field_errors
            .iter()
            .map(|error| format!("{} {}", error.field, error.message).trim().to_owned())
            .collect();
        let mut error = Self::new(ErrorKey::Validation, shown.join("; "));
        error.0.entity = field_errors.first().map(|first| first.object_name);
        error.0.field_errors = field_errors;
        error
    }

    /// One field that is wrong.
    pub(crate) fn field(object_name: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { object_name, field: field.to_owned(), message: message.into() }])
    }

    /// Another entity of this kind has the name.
    pub(crate) fn name_taken(entity: &'static str) -> Self {
        let mut error = Self::field(entity, "name", "is taken: another one has it");
        error.0.key = ErrorKey::NameTaken;
        error
    }

    /// No valid credential. `reason` is for the caller, `challenge` for its HTTP library.
    pub(crate) fn unauthorized(reason: &'static str, challenge: HeaderValue) -> Self {
        Self::new(ErrorKey::Unauthorized, reason).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Says what kind of thing the error is about.
    #[must_use]
    pub(crate) fn about(mut self, entity: &'static str) -> Self {
        self.0.entity = Some(entity);
        self
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// When to try again: whole seconds, at least one.
    #[must_use]
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The cause, for the diagnostics only.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What became of each event, beside the error.
    #[must_use]
    pub(crate) fn with_receipts(mut self, receipts: Receipts) -> Self {
        self.0.receipts = Some(receipts);
        self
    }

    /// What a page for people is made of: status, detail, headers.
    pub(crate) fn for_page(self, path: &str) -> (StatusCode, Cow<'static, str>, HeaderMap) {
        let problem = self.logged(path);
        (problem.key.status(), problem.detail, problem.headers)
    }

    /// The place where a cause is logged, once.
    fn logged(self, path: &str) -> Problem {
        let problem = *self.0;
        // That intake refuses for want of room is told once, when it begins.
        if problem.key.status().is_server_error() && problem.key != ErrorKey::BacklogSpent {
            let cause = problem.cause.as_deref().map(chain).unwrap_or_default();
            tracing::error!(path, error_key = problem.key.name(), cause, "a call failed");
        }
        problem
    }

    /// The answer to a request for `path`.
    pub(crate) fn answer(self, path: &str) -> Response {
        let problem = self.logged(path);
        let status = problem.key.status();
        let envelope = Envelope {
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &problem.detail,
            error_key: problem.key.name(),
            message: format!("error.{}", problem.key.name()),
            entity_name: problem.entity,
            path,
            params: [],
            field_errors: &problem.field_errors,
            receipts: problem.receipts.as_ref(),
        };
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(problem.headers);
        response
    }
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut shown = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(": ");
        shown.push_str(&error.to_string());
        cause = error.source();
    }
    shown
}
