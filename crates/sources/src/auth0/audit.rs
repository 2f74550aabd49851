//! Audit logs of Auth0: what was done to the tenant over the Management API, and by the platform to its own settings.

use base::mask::MaskRule;
use event::model::{AuditActor, AuditLog, Outcome};
use serde_json::Value;

use super::account::free_form;
use super::claims;
use super::fields::{client, first_ip, first_text, spelled, text};
use super::item::Log;
use crate::Unparseable;

/// Where the name of the changed thing stands: in the answer, else in the request, else what Auth0 calls the operation.
const NAME: [&str; 5] = [
    "/details/response/body/name",
    "/details/request/body/name",
    "/details/connection_name",
    "/details/domain",
    "/description",
];

/// The audit log of a log. `outcome`, `entity_type` and `action` hold where the log does not tell them itself.
pub(super) fn entry(
    log: &Log,
    outcome: Outcome,
    entity_type: &str,
    action: &str,
    rule: &MaskRule,
) -> Result<AuditLog, Unparseable> {
    let data = &log.data;
    let path = text(data, "/details/request/path");
    let method = text(data, "/details/request/method").map(|method| method.to_uppercase());
    let outcome = answered(data).unwrap_or(outcome);
    let of_path = path.as_deref().and_then(|path| claims::endpoint(path).next());
    let target = claims::of_target(path.as_deref().unwrap_or_default(), outcome == Outcome::Success, data);

    let mut entry = AuditLog::new(log.date);
    entry.source_event_type = Some(log.code.clone());
    entry.action =
        Some(method.as_deref().and_then(action_of).unwrap_or(action).to_owned()).filter(|a| !a.is_empty());
    entry.entity_type = Some(of_path.unwrap_or(entity_type).to_owned()).filter(|entity| !entity.is_empty());
    entry.name = first_text(data, &NAME);
    entry.url = path;
    entry.method = method;
    entry.outcome = Some(outcome);
    entry.actor = Some(actor(data)).filter(|actor| *actor != AuditActor::default());
    entry.actor_client = client(data);
    entry.free = free_form(log, &target, rule)?;
    if let Some(body) = spelled(&log.raw, &log.keys(&["details", "request", "body"])) {
        entry.free.set_request(body.get(), rule)?;
    }
    if let Some(body) = spelled(&log.raw, &log.keys(&["details", "response", "body"])) {
        entry.free.set_response(body.get(), rule)?;
    }
    Ok(entry)
}

/// The outcome by the answer's status code; `None` when the log carries none.
fn answered(data: &Value) -> Option<Outcome> {
    let status: u16 = text(data, "/details/response/statusCode")?.parse().ok()?;
    Some(if status < 400 { Outcome::Success } else { Outcome::Failure })
}

fn action_of(method: &str) -> Option<&'static str> {
    match method {
        "POST" => Some("Create"),
        "PATCH" | "PUT" => Some("Update"),
        "DELETE" => Some("Delete"),
        "GET" | "HEAD" => Some("Read"),
        _ => None,
    }
}

/// Who called: the user that the call was authorized for. Of a machine, only its client is known.
fn actor(data: &Value) -> AuditActor {
    AuditActor {
        account_id: first_text(data, &["/details/request/auth/user/user_id", "/user_id"]),
        user_name: first_text(
            data,
            &["/details/request/auth/user/email", "/details/request/auth/user/name", "/user_name"],
        ),
        ip: first_ip(data, &["/ip", "/details/request/ip", "/client_ip"]),
        user_agent: first_text(data, &["/details/request/userAgent", "/user_agent"]),
    }
}
