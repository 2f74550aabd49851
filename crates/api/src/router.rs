//! Every route, and the scope that it needs, on one screen.

use axum::Router;
use axum::extract::Request;
use axum::routing::MethodFilter;

use crate::access::Scope;
use crate::call::{granted, granted_with, open};
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;
use crate::{clients, event_streaming, health, intake_calls, oauth, source_calls, webhook};

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;
const DELETE: MethodFilter = MethodFilter::DELETE;
const SEE: Scope = Scope::ReadConfigInstance;
const CHANGE: Scope = Scope::WriteConfigInstance;
/// For calls whose answers tell of events of any stream.
const EVENTS: &[Scope] = &[
    Scope::ReadEventAccount,
    Scope::ReadAdminEventAccount,
    Scope::ReadAdminEventAudit,
    Scope::ReadEventHookLog,
];

/// Where event streaming configurations are; the contract's path.
pub(crate) const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";
/// Where API clients are.
pub(crate) const CLIENTS: &str = "/admin/api/v1/instance/apiClients";
/// Where sources are.
pub(crate) const SOURCES: &str = "/admin/api/v1/instance/sources";
/// Where sources' webhooks are.
pub(crate) const WEBHOOKS: &str = "/intake/v1/sources";

/// The whole API.
pub fn router(state: ApiState) -> Router {
    let below = |path: &str, rest: &str| format!("{path}/{{id}}{rest}");
    Router::new()
        .route("/health", open(GET, health::health))
        .route("/ready", open(GET, health::ready))
        .route("/oauth2/token", open(POST, oauth::token))
        .route("/intake/v1/events", granted(POST, Scope::WriteEvent, intake_calls::post))
        .route(&below(WEBHOOKS, "/auth0"), open(POST, webhook::auth0))
        .route(
            STREAMING,
            granted(GET, SEE, event_streaming::list).merge(granted(POST, CHANGE, event_streaming::create)),
        )
        .route(
            &below(STREAMING, ""),
            granted(GET, SEE, event_streaming::get)
                .merge(granted(PUT, CHANGE, event_streaming::replace))
                .merge(granted(DELETE, CHANGE, event_streaming::delete)),
        )
        .route(&below(STREAMING, "/status"), granted(GET, SEE, event_streaming::status))
        .route(&below(STREAMING, "/test"), granted(POST, CHANGE, event_streaming::test_stored))
        .route(&format!("{STREAMING}/presets"), granted(GET, SEE, event_streaming::presets))
        .route(&format!("{STREAMING}/test"), granted(POST, CHANGE, event_streaming::test_unsaved))
        .route(&below(STREAMING, "/dryRun"), granted_with(GET, SEE, EVENTS, event_streaming::dry_run_stored))
        .route(
            &format!("{STREAMING}/dryRun"),
            granted_with(POST, CHANGE, EVENTS, event_streaming::dry_run_unsaved),
        )
        .route(&below(STREAMING, "/preview"), granted_with(GET, SEE, EVENTS, event_streaming::preview_stored))
        .route(
            &format!("{STREAMING}/preview"),
            granted_with(POST, CHANGE, EVENTS, event_streaming::preview_unsaved),
        )
        .route(CLIENTS, granted(GET, SEE, clients::list).merge(granted(POST, CHANGE, clients::create)))
        .route(
            &below(CLIENTS, ""),
            granted(GET, SEE, clients::get).merge(granted(DELETE, CHANGE, clients::delete)),
        )
        .route(
            SOURCES,
            granted(GET, SEE, source_calls::list).merge(granted(POST, CHANGE, source_calls::create)),
        )
        .route(
            &below(SOURCES, ""),
            granted(GET, SEE, source_calls::get)
                .merge(granted(PUT, CHANGE, source_calls::replace))
                .merge(granted(DELETE, CHANGE, source_calls::delete)),
        )
        .fallback(|request: Request| async move {
            ApiError::new(ErrorKey::NotFound, "there is nothing at this path").answer(request.uri().path())
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = format!("{} is not a method of this path", request.method());
            ApiError::new(ErrorKey::MethodNotAllowed, detail).answer(request.uri().path())
        })
        .with_state(state)
}
