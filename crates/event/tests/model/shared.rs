//! What the tests share: whole events of each stream, and what becomes of them.

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use event::Record;
use event::model::{Draft, incoming};
use event::native::{Instance, NativeProfile, Selection};
use serde_json::{Value, json};

/// What the profile adds to every document.
pub(crate) const ADDED: [&str; 6] =
    ["eventID", "stream", "schemaVersion", "instance", "sourceId", "receivedAt"];

pub(crate) fn parse(event: &Value) -> Result<Draft, String> {
    incoming::parse(&event.to_string(), &MaskRule::default()).map_err(|error| error.to_string())
}

pub(crate) fn record(draft: &Draft) -> Vec<u8> {
    let id = EventId::parse("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f").unwrap();
    draft.record(id, Timestamp::parse("2026-01-31T12:00:00Z").unwrap(), "src_1", None).unwrap()
}

/// The whole text of the document, with everything selected.
pub(crate) fn document(draft: &Draft, claims: &[&str]) -> String {
    selected(
        draft,
        Selection {
            claims: claims.iter().map(|name| (*name).to_owned()).collect(),
            include_actions: true,
            include_bodies: true,
            include_raw: true,
            include_audit_raw: true,
            include_hook_raw: true,
        },
    )
}

/// The whole text of the document, with what is selected.
pub(crate) fn selected(draft: &Draft, selection: Selection) -> String {
    let text = || "x".to_owned();
    let instance = Instance { name: text(), domain: text(), environment: text(), public_url: None };
    let bytes = record(draft);
    let mut out = b"{".to_vec();
    NativeProfile::new(&instance, selection).append_members(
        &Record::parse(&bytes).unwrap(),
        None,
        false,
        &mut out,
    );
    out.push(b'}');
    String::from_utf8(out).unwrap()
}

/// The event's own members of the document.
pub(crate) fn said(event: &Value) -> Value {
    let draft = parse(event).unwrap_or_else(|error| panic!("{error}: {event}"));
    let mut document: Value = serde_json::from_str(&document(&draft, &["email", "city"])).unwrap();
    document.as_object_mut().unwrap().retain(|name, _| !ADDED.contains(&name.as_str()));
    document
}

pub(crate) fn refusal(event: &Value) -> String {
    parse(event).map(|_| "taken").unwrap_err()
}

pub(crate) fn with(event: &Value, more: &Value) -> Value {
    let mut event = event.as_object().unwrap().clone();
    event.extend(more.as_object().unwrap().clone());
    Value::Object(event)
}

pub(crate) fn whole_account_event() -> Value {
    json!({
        "type": "customerFlow",
        "sourceEventType": "LOGIN",
        "labels": ["success:password_authentication", "failure:login"],
        "outcome": "failure",
        "startTimestamp": "2026-01-31T11:59:58.500Z",
        "endTimestamp": "2026-01-31T12:00:00.000Z",
        "loginSessionId": "sid",
        "variantId": "b",
        "actor": {
            "accountId": "a", "userName": "ann", "store": "customers", "ip": "2001:db8::1", "userAgent": "curl/8",
            "location": {"type": "Feature", "properties": {"city": "Graz"},
                "geometry": {"type": "Point", "coordinates": [15.44, 47.07]}},
            "bulkJobId": "j", "inboundConnectionId": "i", "outboundProvisionTargetId": "o", "ruleId": "r",
            "resolvedApplication": {"id": "1", "name": "n"}, "resolvedClient": {"id": "2"},
            "token": {"iss": "https://issuer.example", "sub": "s"}
        },
        "actorApplication": {"id": "app", "name": "Shop"},
        "actorClient": {"id": "client"},
        "subject": {"accountId": "a", "userName": "ann", "store": "customers", "requestedSubject": "q"},
        "nativeClaims": {"city": "Graz", "email": "ann@example.com"},
        "actions": [{"type": "customerFlow", "details": [{"name": "password"}]}],
        "raw": {"vendor": [1, 2.5, null]}
    })
}

pub(crate) fn whole_audit_log() -> Value {
    json!({
        "date": "2026-01-31T12:00:00.000Z", "action": "Update", "entityType": "Client", "name": "Shop",
        "url": "/clients/1?page=2", "method": "PUT", "version": 7, "outcome": "success", "sourceEventType": "UPDATE",
        "actor": {"accountId": "root", "userName": "admin", "ip": "192.0.2.1", "userAgent": "curl/8"},
        "actorClient": {"id": "console", "name": "Console"},
        "nativeClaims": {"email": "admin@example.com"},
        "changes": [{"path": "/name", "before": "Store", "after": "Shop"}, {"path": "/new", "after": [1]}],
        "request": "{\"name\":\"Shop\"}", "response": "ok", "raw": "text"
    })
}

pub(crate) fn whole_hook_log() -> Value {
    json!({
        "timestamp": "2026-01-31T12:00:00.000Z",
        "hook": {"id": "h", "name": "greet", "type": "POST_ACCOUNT_LOGIN"},
        "application": {"id": "app", "name": "Shop"}, "client": {"id": "c", "name": "web"},
        "identityStore": "customers", "accountId": "a", "accountEventId": "e",
        "logSummary": {"info": 1, "error": 0, "exception": false},
        "logs": [{"level": "info", "message": "hello", "timestamp": "12:00"}],
        "nativeClaims": {"email": "ann@example.com"}, "raw": [true]
    })
}

pub(crate) fn whole_events() -> [(&'static str, Value); 3] {
    [
        ("accountEvent", whole_account_event()),
        ("auditLog", whole_audit_log()),
        ("eventHookLog", whole_hook_log()),
    ]
}
