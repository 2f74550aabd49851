//! Every route, and the scope that it needs, on one screen.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;

use crate::access::Scope;
use crate::call::{authenticated, checking, granted, granted_with, open};
use crate::error::{ApiError, ErrorKey};
use crate::limits::limit;
use crate::routes::{Access, Listed, Method, Routes};
use crate::state::ApiState;
use crate::{
    alarming, clients, console, erasures, event_streaming, health, intake_calls, metrics, native_claims,
    oauth, schemas, source_calls, stored, webhook,
};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;
const SEE: Scope = Scope::ReadConfigInstance;
const CHANGE: Scope = Scope::WriteConfigInstance;
const ERASE: Scope = Scope::DeleteEvent;
/// For calls whose answers tell of events of any stream.
const EVENTS: &[Scope] = &[
    Scope::ReadEventAccount,
    Scope::ReadAdminEventAccount,
    Scope::ReadAdminEventAudit,
    Scope::ReadEventHookLog,
];

/// Where event streaming configurations are; the contract's path.
pub(crate) const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";
/// Where native claims are; the contract's path.
pub(crate) const CLAIMS: &str = "/admin/api/v1/claim/native";
/// Where API clients are.
pub(crate) const CLIENTS: &str = "/admin/api/v1/instance/apiClients";
/// Where sources are.
pub(crate) const SOURCES: &str = "/admin/api/v1/instance/sources";
/// Where erasures are.
pub(crate) const ERASURES: &str = "/admin/api/v1/instance/erasures";
/// Where alarms are.
pub(crate) const ALARMS: &str = "/admin/api/v1/instance/alarms";
/// Where the channels for alarms are.
pub(crate) const ALARM_CHANNELS: &str = "/admin/api/v1/instance/alarmChannels";
/// Where account events are; the contract's path.
pub(crate) const ACCOUNT_EVENTS: &str = "/admin/api/v1/events/account";
/// Where audit logs are; the contract's path.
pub(crate) const AUDIT_LOGS: &str = "/admin/api/v2/admin/events/audit";
/// Where event hook logs are; the contract's path.
pub(crate) const HOOK_LOGS: &str = "/admin/api/v1/eventHooks/logs";
/// Where an `eventLink` leads.
pub(crate) const LINKS: &str = "/console/e";
/// How the instance is.
pub(crate) const INSTANCE: &str = "/admin/api/v1/instance/status";
/// How far the explorer is.
pub(crate) const EXPLORER: &str = "/admin/api/v1/instance/explorer";
/// Where sources' webhooks are.
pub(crate) const WEBHOOKS: &str = "/intake/v1/sources";
/// Where the published JSON Schemas are.
pub(crate) const SCHEMAS: &str = "/schemas/";

/// The whole API.
pub fn router(state: ApiState) -> Router {
    routes()
        .into_router()
        .fallback(|request: Request| async move {
            ApiError::new(ErrorKey::NotFound, "there is nothing at this path").answer(request.uri().path())
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = format!("{} is not a method of this path", request.method());
            ApiError::new(ErrorKey::MethodNotAllowed, detail).answer(request.uri().path())
        })
        .layer(from_fn_with_state(state.clone(), limit))
        .with_state(state)
}

/// Every call that is served, and who may make it.
pub fn listed() -> Vec<Listed> {
    routes().into_list()
}

fn routes() -> Routes {
    let below = |path: &str, rest: &str| format!("{path}/{{id}}{rest}");
    Routes::default()
        .route("/health", open(GET, health::health))
        .route("/ready", open(GET, health::ready))
        .route("/metrics", granted(GET, Scope::ReadMetrics, metrics::metrics))
        .route(INSTANCE, granted(GET, SEE, health::instance))
        .route(SCHEMAS, open(GET, schemas::index))
        .route(SCHEMAS.trim_end_matches('/'), open(GET, schemas::index))
        .route(&format!("{SCHEMAS}v1/{{id}}"), open(GET, schemas::get))
        .route("/oauth2/token", open(POST, oauth::token))
        .route("/intake/v1/events", granted(POST, Scope::WriteEvent, intake_calls::post))
        .route(&below(WEBHOOKS, "/auth0"), checking(POST, Access::Source, webhook::auth0))
        .route(&below(ACCOUNT_EVENTS, ""), granted(GET, Scope::ReadEventAccount, stored::account_event))
        .route(&below(AUDIT_LOGS, ""), granted(GET, Scope::ReadAdminEventAudit, stored::audit_log))
        .route(&below(HOOK_LOGS, ""), granted(GET, Scope::ReadEventHookLog, stored::hook_log))
        .route(&below(LINKS, ""), checking(GET, Access::Page, console::event))
        .route(EXPLORER, granted(GET, SEE, stored::status))
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
        .route(&below(STREAMING, "/test"), granted(POST, CHANGE, event_streaming::test_stored))
        .route(&format!("{STREAMING}/presets"), granted(GET, SEE, event_streaming::presets))
        .route(&format!("{STREAMING}/test"), granted(POST, CHANGE, event_streaming::test_unsaved))
        .merge(faring())
        .merge(looking())
        .merge(runs())
        .merge(quarantine())
        .merge(claims())
        .merge(api_clients())
        .merge(erasures())
        .merge(alarms())
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
}

/// How configurations fare, and pauses.
fn faring() -> Routes {
    let below = |rest: &str| format!("{STREAMING}/{{id}}/{rest}");
    Routes::default()
        .route(&below("status"), granted(GET, SEE, event_streaming::status))
        .route(&format!("{STREAMING}/status"), granted(GET, SEE, event_streaming::statuses))
        .route(&below("attempts"), granted(GET, SEE, event_streaming::attempts))
        .route(&below("pause"), granted(POST, CHANGE, event_streaming::pause))
        .route(&below("resume"), granted(POST, CHANGE, event_streaming::resume))
}

/// What a configuration would send of stored events, and what it has sent: for those who may read them.
fn looking() -> Routes {
    let below = |rest: &str| format!("{STREAMING}/{{id}}/{rest}");
    let beside = |rest: &str| format!("{STREAMING}/{rest}");
    Routes::default()
        .route(&below("attempts/{n}"), granted_with(GET, SEE, EVENTS, event_streaming::attempt))
        .route(&below("dryRun"), granted_with(GET, SEE, EVENTS, event_streaming::dry_run_stored))
        .route(&beside("dryRun"), granted_with(POST, CHANGE, EVENTS, event_streaming::dry_run_unsaved))
        .route(&below("preview"), granted_with(GET, SEE, EVENTS, event_streaming::preview_stored))
        .route(&below("reconcile"), granted_with(POST, CHANGE, EVENTS, event_streaming::reconcile))
        .route(&beside("preview"), granted_with(POST, CHANGE, EVENTS, event_streaming::preview_unsaved))
}

/// Events that are sent again. A replay tells of stored events: for those who may read them.
fn runs() -> Routes {
    let below = |rest: &str| format!("{STREAMING}/{{id}}/{rest}");
    Routes::default()
        .route(&below("replays"), granted_with(POST, CHANGE, EVENTS, event_streaming::replay))
        .route(&below("quarantine/redrive"), granted(POST, CHANGE, event_streaming::redrive))
        .route(&below("runs"), granted(GET, SEE, event_streaming::list_runs))
        .route(
            &below("runs/{run}"),
            granted(GET, SEE, event_streaming::get_run).merge(granted(
                PATCH,
                CHANGE,
                event_streaming::pace_run,
            )),
        )
        .route(&below("runs/{run}/pause"), granted(POST, CHANGE, event_streaming::pause_run))
        .route(&below("runs/{run}/resume"), granted(POST, CHANGE, event_streaming::resume_run))
        .route(&below("runs/{run}/cancel"), granted(POST, CHANGE, event_streaming::cancel_run))
}

/// What a destination will never take. Its document shows an event: for those who may read them.
fn quarantine() -> Routes {
    let below = |rest: &str| format!("{STREAMING}/{{id}}/quarantine{rest}");
    Routes::default()
        .route(&below(""), granted(GET, SEE, event_streaming::list_quarantined))
        .route(&below("/{event}"), granted_with(GET, SEE, EVENTS, event_streaming::inspect_quarantined))
        .route(&below("/discard"), granted(POST, CHANGE, event_streaming::discard_quarantined))
}

/// Native claims. The contract lets every API client list them.
fn claims() -> Routes {
    let create = granted(POST, Scope::WriteConfigClaim, native_claims::create);
    let discovered = granted(GET, Scope::ReadConfigClaim, native_claims::discovered);
    Routes::default()
        .route(CLAIMS, authenticated(GET, native_claims::list).merge(create))
        .route(
            &format!("{CLAIMS}/{{id}}"),
            granted(GET, Scope::ReadConfigClaim, native_claims::get)
                .merge(granted(PUT, Scope::WriteConfigClaim, native_claims::replace))
                .merge(granted(DELETE, Scope::DeleteConfigClaim, native_claims::delete)),
        )
        .route(&format!("{CLAIMS}/discovered"), discovered)
}

/// API clients: who may call.
fn api_clients() -> Routes {
    Routes::default()
        .route(CLIENTS, granted(GET, SEE, clients::list).merge(granted(POST, CHANGE, clients::create)))
        .route(
            &format!("{CLIENTS}/{{id}}"),
            granted(GET, SEE, clients::get).merge(granted(DELETE, CHANGE, clients::delete)),
        )
}

/// Erasures: of all that is stored of somebody, or of one event.
fn erasures() -> Routes {
    Routes::default()
        .route(ERASURES, granted(GET, SEE, erasures::list).merge(granted(POST, ERASE, erasures::create)))
        .route(&format!("{ERASURES}/{{id}}"), granted(GET, SEE, erasures::get))
}

/// Alarms: what is wrong, from when on it is, and who is told.
fn alarms() -> Routes {
    use alarming::{channels, standing};
    const READ: Scope = Scope::ReadAlarm;
    const WRITE: Scope = Scope::WriteAlarm;
    let below = |path: &str, rest: &str| format!("{path}/{{id}}{rest}");
    Routes::default()
        .route(ALARMS, granted(GET, READ, standing::list))
        .route(&below(ALARMS, "/acknowledge"), granted(POST, WRITE, standing::acknowledge))
        .route(&below(ALARMS, "/silence"), granted(POST, WRITE, standing::silence))
        .route(
            &format!("{ALARMS}/thresholds"),
            granted(GET, READ, standing::thresholds).merge(granted(PUT, WRITE, standing::set_thresholds)),
        )
        .route(
            ALARM_CHANNELS,
            granted(GET, READ, channels::list).merge(granted(POST, WRITE, channels::create)),
        )
        .route(
            &below(ALARM_CHANNELS, ""),
            granted(GET, READ, channels::get).merge(granted(PUT, WRITE, channels::replace)).merge(granted(
                DELETE,
                WRITE,
                channels::delete,
            )),
        )
        .route(&below(ALARM_CHANNELS, "/test"), granted(POST, WRITE, channels::test))
}
