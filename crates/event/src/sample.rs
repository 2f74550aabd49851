//! Made-up events with every field set, for trying a configuration out.

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use serde_json::{Map, Value, json};

use crate::model::{DraftError, incoming};
use crate::{RecordError, Stream, claims};

/// Why a sample could not be made. It cannot happen: a test makes every sample.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The sample is not an event.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The sample is not a record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The record of a complete event of `stream` that happened at `now`, marked as a test, with each of the `claims` set.
pub fn record(
    stream: Stream,
    id: EventId,
    now: Timestamp,
    claims: &[String],
) -> Result<Vec<u8>, SampleError> {
    let text = match stream {
        Stream::AuditLog => audit_log(now),
        Stream::EventHookLog => event_hook_log(now),
        _ => account_event(now, claims),
    };
    let draft = incoming::parse(&text.to_string(), &MaskRule::default())?;
    Ok(draft.test().record(id, now, "idstream", None)?)
}

fn account_event(now: Timestamp, claims: &[String]) -> Value {
    json!({
        "stream": "accountEvent",
        "type": "customerFlow",
        "sourceEventType": "login",
        "labels": ["success:identification", "success:password_authentication", "success:login"],
        "startTimestamp": now,
        "endTimestamp": now,
        "loginSessionId": "sample-session",
        "variantId": "sample-variant",
        "actor": actor(),
        "actorApplication": {"id": "sample-application", "name": "Sample application"},
        "actorClient": {"id": "sample-client", "name": "Sample client"},
        "subject": {
            "accountId": "sample-account",
            "userName": "sample.user@example.com",
            "store": "Sample store",
            "requestedSubject": "sample.user@example.com",
        },
        "nativeClaims": claims.iter().map(|name| (name.clone(), claim(name))).collect::<Map<_, _>>(),
        "actions": [{
            "type": "customerFlow",
            "timestamp": now,
            "actor": actor(),
            "details": [{
                "type": "block", "name": "password", "label": "success:password_authentication",
                "outcome": "authenticated", "timestamp": now,
            }],
        }],
        "raw": {"note": "a made-up event that idstream sends when a configuration is tried out"},
    })
}

fn actor() -> Value {
    json!({
        "accountId": "sample-account",
        "userName": "sample.user@example.com",
        "store": "Sample store",
        // RFC 5737: an address that belongs to nobody.
        "ip": "203.0.113.7",
        "userAgent": "idstream test",
        "location": {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [15.44, 47.07]},
            "properties": {"city": "Graz", "country": "AT"},
        },
    })
}

fn claim(name: &str) -> Value {
    match claims::id_of(name) {
        Some("builtin-email" | "builtin-username") => "sample.user@example.com".into(),
        Some("builtin-phone-number") => "+1 555 0100".into(),
        Some("builtin-country") => "AT".into(),
        _ => format!("sample {name}").into(),
    }
}

fn audit_log(now: Timestamp) -> Value {
    json!({
        "stream": "auditLog",
        "date": now,
        "action": "Update",
        "entityType": "SamplePolicy",
        "name": "Sample policy",
        "url": "/admin/api/v1/sample/policies/1",
        "method": "PUT",
        "version": 2,
        "outcome": "success",
        "sourceEventType": "update",
        "actor": {
            "accountId": "sample-administrator",
            "userName": "sample.administrator@example.com",
            "ip": "203.0.113.8",
            "userAgent": "idstream test",
        },
        "actorClient": {"id": "sample-client", "name": "Sample client"},
        "request": {"minLength": 12},
        "response": {"minLength": 12, "version": 2},
        "changes": [{"path": "/minLength", "before": 8, "after": 12}],
    })
}

fn event_hook_log(now: Timestamp) -> Value {
    json!({
        "stream": "eventHookLog",
        "timestamp": now,
        "hook": {"id": "sample-hook", "name": "Sample hook", "type": "POST_ACCOUNT_LOGIN"},
        "application": {"id": "sample-application", "name": "Sample application"},
        "client": {"id": "sample-client", "name": "Sample client"},
        "identityStore": "Sample store",
        "accountId": "sample-account",
        "logSummary": {"info": 1, "error": 0, "exception": false},
        "logs": [{"level": "info", "message": "a made-up line", "timestamp": now}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, Section};

    #[test]
    fn every_stream_has_a_sample_that_says_that_it_is_one() {
        let now = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let names: Vec<String> = claims::BUILT_IN.iter().map(|(_, name, _)| (*name).to_owned()).collect();
        for stream in Stream::PRODUCT {
            let bytes = record(stream, EventId::derive(now, &["sample"]), now, &names).unwrap();
            let sample = Record::parse(&bytes).unwrap();
            assert_eq!((sample.stream(), sample.is_test(), sample.time()), (stream, true, now));
            let n_claims = sample.sections().filter(|(kind, _)| *kind == Section::Claim).count();
            assert_eq!(n_claims, if stream == Stream::AccountEvent { names.len() } else { 0 });
            assert!(!String::from_utf8_lossy(&bytes).contains("[masked]"), "{stream:?}");
        }
    }
}
