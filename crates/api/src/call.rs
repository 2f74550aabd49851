//! One call: the request, who makes it, and what it is made on. Calls are admitted before their bodies are read.

use std::future::Future;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::access::{ApiClient, Scope, admit};
use crate::audit::Peer;
use crate::body::{self, Held, Limits};
use crate::error::{ApiError, ErrorKey};
use crate::query::Query;
use crate::routes::{Access, Endpoint, Method};
use crate::sign_in;
use crate::state::{ApiState, BodyLimits};
use crate::strict;

/// How much of an administrative call's body is taken.
const ADMIN: Limits = Limits { max_body: 1 << 20, max_inflated: 1 << 20, beside: |_| 0 };

/// How much of a form is taken.
const FORM: Limits = Limits { max_body: 16 << 10, max_inflated: 16 << 10, beside: |_| 0 };

/// What a call answers.
pub(crate) type Answer = Result<Response, ApiError>;

/// A call that was admitted. `Who` is the API client that makes it, or `()` when the call is open or checks its own
/// credential.
pub(crate) struct Call<Who = ApiClient> {
    pub(crate) state: ApiState,
    pub(crate) who: Who,
    pub(crate) parts: Parts,
    body: Body,
    id: String,
    run: String,
}

/// A route for API clients that have `scope`.
pub(crate) fn granted<F, Fut>(method: Method, scope: Scope, call: F) -> Endpoint
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    admitted(method, Some(scope), &[], call)
}

/// A route for API clients that have `scope` and all of `more`.
pub(crate) fn granted_with<F, Fut>(method: Method, scope: Scope, more: &'static [Scope], call: F) -> Endpoint
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    admitted(method, Some(scope), more, call)
}

/// A route for every API client, whatever its scopes.
pub(crate) fn authenticated<F, Fut>(method: Method, call: F) -> Endpoint
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    admitted(method, None, &[], call)
}

fn admitted<F, Fut>(method: Method, scope: Option<Scope>, more: &'static [Scope], call: F) -> Endpoint
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let run = move |state: ApiState, request: Request| {
        let call = call.clone();
        async move {
            let now = state.clock.now();
            let admitted = admit(request.headers(), scope, &state.catalog, &state.keyring, now);
            let who = admitted.map_err(|denied| sign_in::denied(&state, &request, denied))?;
            let from = request.extensions().get::<Peer>().map(|peer| peer.0);
            state.uses().note(&who.id, now, from);
            who.require(more)?;
            call(Call::new(state, who, request).await?).await
        }
    };
    let access = scope.map_or(Access::Any, |scope| Access::Scopes([&[scope], more].concat()));
    route(method, access, run)
}

/// A route for everybody.
pub(crate) fn open<F, Fut>(method: Method, call: F) -> Endpoint
where
    F: Fn(Call<()>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    checking(method, Access::Open, call)
}

/// A route whose call sees for itself to it that `access` is kept.
pub(crate) fn checking<F, Fut>(method: Method, access: Access, call: F) -> Endpoint
where
    F: Fn(Call<()>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let run = move |state: ApiState, request: Request| {
        let call = call.clone();
        async move { call(Call::new(state, (), request).await?).await }
    };
    route(method, access, run)
}

/// Turns an error into the envelope, which names the path.
fn route<F, Fut>(method: Method, access: Access, run: F) -> Endpoint
where
    F: Fn(ApiState, Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let served = on(method.filter, move |State(state): State<ApiState>, request: Request| {
        let uri = request.uri().clone();
        let answer = run(state, request);
        async move { answer.await.unwrap_or_else(|error| error.answer(uri.path())) }
    });
    Endpoint::new(method, access, served)
}

impl<Who> Call<Who> {
    async fn new(state: ApiState, who: Who, request: Request) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let params = RawPathParams::from_request_parts(&mut parts, &state)
            .await
            .map_err(|_| ApiError::new(ErrorKey::NotFound, "the path is not percent-encoded UTF-8"))?;
        let named = |wanted: &str| {
            params.iter().find(|(name, _)| *name == wanted).map(|(_, id)| id.to_owned()).unwrap_or_default()
        };
        let (id, run) = (named("id"), named("run"));
        Ok(Self { state, who, parts, body, id, run })
    }

    /// The `{id}` of the path.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The `{run}` of the path.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// The last part of the path, as it was spelled.
    pub(crate) fn last_of_path(&self) -> &str {
        self.parts.uri.path().rsplit('/').next().unwrap_or_default()
    }

    /// The text of a header; `None` when it is not there or not visible ASCII.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The query.
    pub(crate) fn query(&self) -> Query {
        Query::parse(self.parts.uri.query().unwrap_or_default())
    }

    /// The body, decompressed, within the limits of the intake, with room for the events that are made of it.
    pub(crate) async fn events(&mut self) -> Result<Held, ApiError> {
        let BodyLimits { max_body, max_inflated, .. } = self.state.limits;
        self.read(Limits { max_body, max_inflated, beside: intake::working_bytes }).await
    }

    /// The body of an administrative call: JSON in which no object has a key twice.
    pub(crate) async fn json(&mut self) -> Result<Value, ApiError> {
        let content_type = self.header(CONTENT_TYPE).unwrap_or("application/json");
        body::expect_type(content_type, &["application/json"])?;
        let held = self.read(ADMIN).await?;
        strict::parse(&held.bytes)
            .map_err(|error| ApiError::new(ErrorKey::MalformedBody, format!("the body is not JSON: {error}")))
    }

    /// The same; no body is `{}`.
    pub(crate) async fn json_if_any(&mut self) -> Result<Value, ApiError> {
        if axum::body::HttpBody::is_end_stream(&self.body) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        self.json().await
    }

    /// The body of a form.
    pub(crate) async fn form(&mut self) -> Result<Query, ApiError> {
        let held = self.read(FORM).await?;
        Ok(Query::parse(&String::from_utf8_lossy(&held.bytes)))
    }

    async fn read(&mut self, limits: Limits) -> Result<Held, ApiError> {
        let body = std::mem::take(&mut self.body);
        body::read(&self.parts.headers, body, limits, self.state.budget()).await
    }

    /// Fails when the caller says with `If-Match` that it knows another revision.
    pub(crate) fn check_revision(&self, revision: u64) -> Result<(), ApiError> {
        let Some(known) = self.header(IF_MATCH) else { return Ok(()) };
        let current = etag_text(revision);
        if known.split(',').any(|tag| matches!(tag.trim(), tag if tag == "*" || tag == current)) {
            return Ok(());
        }
        let detail = format!("the current revision is {current}: read it again, then decide again");
        Err(ApiError::new(ErrorKey::PreconditionFailed, detail))
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(json_answer(status, serde_json::to_vec(value).map_err(ApiError::internal)?))
}

/// An answer whose body is JSON already.
pub(crate) fn json_text(body: String) -> Response {
    json_answer(StatusCode::OK, body.into_bytes())
}

fn json_answer(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

/// An answer without a body.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Names the revision of what is answered.
pub(crate) fn with_etag(response: Response, revision: u64) -> Response {
    with_header(response, ETAG, &etag_text(revision))
}

/// Says where what was created is found.
pub(crate) fn with_location(response: Response, path: &str) -> Response {
    with_header(response, LOCATION, path)
}

fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn etag_text(revision: u64) -> String {
    format!("\"{revision}\"")
}
