//! The published schemas say what the code takes and writes: neither less nor more.

#![cfg(test)]

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use event::model::incoming;
use event::native::{Instance, NativeProfile, Selection};
use event::schema::{self, ACCOUNT_EVENT, AUDIT_LOG, EVENT_HOOK_LOG, INTAKE_EVENT, Schema};
use event::{Record, Stream, claims, sample};
use serde_json::{Value, json};
use testkit::schema::Validator;

const STREAMED: [(Stream, Schema); 3] = [
    (Stream::AccountEvent, ACCOUNT_EVENT),
    (Stream::AuditLog, AUDIT_LOG),
    (Stream::EventHookLog, EVENT_HOOK_LOG),
];

fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00Z").unwrap()
}

/// The document of a record, with everything that a destination can ask for.
fn document(record: &[u8], is_replay: bool) -> Value {
    let instance = Instance {
        name: "idstream".to_owned(),
        domain: "id.example.com".to_owned(),
        environment: "production".to_owned(),
        public_url: Some("https://idstream.example.com".to_owned()),
    };
    let selection = Selection {
        claims: claims::BUILT_IN.iter().map(|(_, name, _)| (*name).to_owned()).collect(),
        include_actions: true,
        include_bodies: true,
        include_raw: true,
        include_audit_raw: true,
        include_hook_raw: true,
    };
    let mut out = b"{".to_vec();
    let record = Record::parse(record).unwrap();
    NativeProfile::new(&instance, selection).append_members(&record, Some((1, 0)), is_replay, &mut out);
    out.push(b'}');
    serde_json::from_slice(&out).unwrap()
}

fn sample_of(stream: Stream) -> Value {
    let names: Vec<String> = claims::BUILT_IN.iter().map(|(_, name, _)| (*name).to_owned()).collect();
    document(&sample::record(stream, EventId::derive(now(), &["sample"]), now(), &names).unwrap(), true)
}

/// Every field that can be posted, for each stream.
fn posted() -> [Value; 3] {
    let named = json!({"id": "i", "name": "n"});
    let token = json!({"iss": "https://id.example.com", "sub": "s"});
    let resolved = |more: Value| {
        let mut all = json!({
            "accountId": "a", "userName": "u", "store": "s", "resolvedApplication": named, "resolvedClient": named,
            "token": token,
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let actor = resolved(json!({
        "ip": "203.0.113.7", "userAgent": "x", "bulkJobId": "b", "inboundConnectionId": "c",
        "outboundProvisionTargetId": "p", "ruleId": "r",
        "location": {
            "type": "Feature", "properties": {"city": "Graz"},
            "geometry": {"type": "Point", "coordinates": [15.44, 47.07]},
        },
    }));
    let audit_actor = json!({"accountId": "a", "userName": "u", "ip": "2001:db8::1", "userAgent": "x"});
    let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";
    [
        json!({
            "stream": "accountEvent", "eventID": id, "type": "customerFlow", "sourceEventType": "login",
            "labels": ["success:password", "failure:mfa"], "outcome": "failure",
            "startTimestamp": "2026-01-31T11:59:57Z", "endTimestamp": "2026-01-31T12:00:00Z",
            "loginSessionId": "s", "variantId": "v", "actor": actor, "actorApplication": named,
            "actorClient": named, "subject": resolved(json!({"requestedSubject": "r"})),
            "nativeClaims": {"email": "ann@example.com"}, "actions": [{"action": "password"}], "raw": {"a": 1},
        }),
        json!({
            "stream": "auditLog", "eventID": id, "date": "2026-01-31T12:00:00Z", "action": "Update",
            "entityType": "Policy", "name": "n", "url": "/x", "method": "PUT", "version": 3,
            "outcome": "success", "sourceEventType": "sapi", "actor": audit_actor, "actorClient": named,
            "request": "{\"a\":1}", "response": {"a": 1}, "nativeClaims": {"a": 1}, "raw": "x",
            "changes": [{"path": "/a", "before": 8, "after": {"b": 12}}],
        }),
        json!({
            "stream": "eventHookLog", "eventID": id, "timestamp": "2026-01-31T12:00:00Z",
            "hook": {"id": "h", "name": "n", "type": "t"}, "application": named, "client": named,
            "identityStore": "customers", "accountId": "a", "accountEventId": id,
            "logSummary": {"info": 1, "error": 0, "exception": false}, "nativeClaims": {"a": 1}, "raw": [1],
            "logs": [{"level": "info", "message": "m", "timestamp": "2026-01-31T12:00:00Z"}],
        }),
    ]
}

fn parses(event: &Value) -> bool {
    incoming::parse(&event.to_string(), &MaskRule::default()).is_ok()
}

/// `value` once for each of its members, with that member replaced by `with`, or taken away; and which one it is.
fn variations(value: &Value, with: Option<&Value>, path: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        let mut replace = |path: String, new: Option<Value>| {
            let mut changed = value.clone();
            let members = changed.as_object_mut().unwrap();
            match new {
                Some(new) => drop(members.insert(name.clone(), new)),
                None => drop(members.remove(name)),
            }
            found.push((path, changed));
        };
        replace(path.clone(), with.cloned());
        for (path, inner) in variations(member, with, &path) {
            replace(path, Some(inner));
        }
        let first = member.as_array().and_then(|list| list.first());
        for (path, inner) in first.map(|first| variations(first, with, &path)).unwrap_or_default() {
            replace(path, Some(json!([inner])));
        }
    }
    found
}

#[test]
fn everything_that_is_streamed_is_described() {
    for (stream, schema) in STREAMED {
        let closed = Validator::new(schema.text).closed();
        assert_eq!(closed.faults(&sample_of(stream)), [""; 0], "{}", schema.path);
    }
    for (posted, (_, schema)) in posted().into_iter().zip(STREAMED) {
        let draft = incoming::parse(&posted.to_string(), &MaskRule::default()).unwrap();
        let id = draft.event_id().unwrap();
        let record = draft.record(id, now(), "my-platform", Some(id)).unwrap();
        let document = document(&record, false);
        assert_eq!(Validator::new(schema.text).closed().faults(&document), [""; 0], "{}", schema.path);
    }
}

#[test]
fn a_document_with_a_wrong_field_is_refused_and_one_with_a_new_field_is_not() {
    for (stream, schema) in STREAMED {
        let (validator, sample) = (Validator::new(schema.text), sample_of(stream));
        for (path, changed) in variations(&sample, Some(&json!({"odd": []})), "") {
            let is_free = ["/nativeClaims", "/raw", "/actions/", "/before", "/after"];
            let is_free = is_free.iter().any(|free| path.contains(free)) || is_object(&sample, &path);
            assert_eq!(validator.faults(&changed).is_empty(), is_free, "{} {path}", schema.path);
        }
        for required in ["eventID", "stream", "schemaVersion", "instance", "receivedAt"] {
            let mut changed = sample.clone();
            changed.as_object_mut().unwrap().remove(required);
            assert_eq!(validator.faults(&changed).len(), 1, "{} {required}", schema.path);
        }
        let mut newer = sample.clone();
        newer["aFieldOfTheFuture"] = json!(1);
        assert_eq!(validator.faults(&newer), [""; 0], "{}", schema.path);
        for (other, _) in STREAMED.iter().filter(|(other, _)| *other != stream) {
            assert!(!validator.faults(&sample_of(*other)).is_empty(), "{} takes {other}", schema.path);
        }
    }
}

/// Whether the place holds an object that may have any members, and need have none.
fn is_object(document: &Value, path: &str) -> bool {
    let is_strict = path == "/instance" || path.ends_with("/properties");
    !is_strict && document.pointer(path).is_some_and(Value::is_object)
}

#[test]
fn what_the_intake_schema_takes_is_taken_and_what_it_refuses_is_refused() {
    let validator = Validator::new(INTAKE_EVENT.text);
    let with = ["", "x"].map(Value::from).into_iter();
    let with = with.chain([json!(null), json!(7), json!(1.5), json!(true), json!([]), json!({}), json!([7])]);
    let with: Vec<Option<Value>> = with.map(Some).chain([None]).collect();
    let mut n_refused = 0;
    for event in posted() {
        assert!(parses(&event) && validator.faults(&event).is_empty(), "{:?}", validator.faults(&event));
        for with in &with {
            for (path, changed) in variations(&event, with.as_ref(), "") {
                // No schema of ours says what an address looks like: it may have a port.
                if path.ends_with("/ip") && with == &Some(json!("x")) {
                    continue;
                }
                let faults = validator.faults(&changed);
                assert_eq!(faults.is_empty(), parses(&changed), "{path} {with:?} {faults:?}");
                n_refused += usize::from(!faults.is_empty());
            }
        }
        let mut unknown = event.clone();
        unknown["aFieldOfNoStream"] = json!("x");
        assert!(!validator.faults(&unknown).is_empty() && !parses(&unknown));
    }
    assert!(n_refused > 100, "{n_refused}");
}

#[test]
fn each_schema_says_its_title_and_its_place() {
    for schema in schema::ALL {
        let value: Value = serde_json::from_str(schema.text).unwrap();
        assert_eq!(value["title"], schema.title);
        let id = format!("urn:idstream:schema:{}", schema.path.replace('/', ":").replace(".json", ""));
        assert_eq!(value["$id"], id);
        assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

/// Readers rely on them: within a major version a field may be added, and nothing else be changed.
#[test]
fn the_schemas_are_those_that_were_published() {
    for schema in schema::ALL {
        let name = schema.path.replace(['/', '.'], "-");
        insta::assert_snapshot!(name, schema.text);
    }
}
