//! Events as typed values: what a producer says is what the document says, or the event is refused with the reason.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

use base::mask::{MaskRule, Secrecy};
use base::{EventId, Timestamp};
use event::fragment::canonical;
use event::model::{AccountEvent, AccountEventType, Draft, FreeForm, HookLine, Outcome, incoming};
use event::native::{Instance, NativeProfile, Selection};
use event::{Record, Section};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the profile adds to every document.
const ADDED: [&str; 6] = ["eventID", "stream", "schemaVersion", "instance", "sourceId", "receivedAt"];

fn parse(event: &Value) -> Result<Draft, String> {
    incoming::parse(&event.to_string(), &MaskRule::default()).map_err(|error| error.to_string())
}

fn record(draft: &Draft) -> Vec<u8> {
    let id = EventId::parse("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f").unwrap();
    draft.record(id, Timestamp::parse("2026-01-31T12:00:00Z").unwrap(), "src_1", None).unwrap()
}

/// The whole text of the document, with everything selected.
fn document(draft: &Draft, claims: &[&str]) -> String {
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
fn selected(draft: &Draft, selection: Selection) -> String {
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
fn said(event: &Value) -> Value {
    let draft = parse(event).unwrap_or_else(|error| panic!("{error}: {event}"));
    let mut document: Value = serde_json::from_str(&document(&draft, &["email", "city"])).unwrap();
    document.as_object_mut().unwrap().retain(|name, _| !ADDED.contains(&name.as_str()));
    document
}

fn refusal(event: &Value) -> String {
    parse(event).map(|_| "taken").unwrap_err()
}

fn with(event: &Value, more: &Value) -> Value {
    let mut event = event.as_object().unwrap().clone();
    event.extend(more.as_object().unwrap().clone());
    Value::Object(event)
}

fn whole_account_event() -> Value {
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

fn whole_audit_log() -> Value {
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

fn whole_hook_log() -> Value {
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

fn whole_events() -> [(&'static str, Value); 3] {
    [
        ("accountEvent", whole_account_event()),
        ("auditLog", whole_audit_log()),
        ("eventHookLog", whole_hook_log()),
    ]
}

#[test]
fn a_document_says_what_the_producer_said_and_how_long_it_took() {
    for (stream, event) in whole_events() {
        let mut expected = event.clone();
        if stream == "accountEvent" {
            expected = with(&expected, &json!({"durationMs": 1500}));
        } else {
            // Native claims are an account event's: kept in the record, not sent.
            expected.as_object_mut().unwrap().remove("nativeClaims");
        }
        assert_eq!(said(&with(&event, &json!({"stream": stream}))), expected);
    }
}

#[test]
fn each_switch_is_for_its_stream_only() {
    let sent = |stream: &str, event: &Value, selection: Selection| {
        let draft = parse(&with(event, &json!({"stream": stream}))).unwrap();
        let document: Value = serde_json::from_str(&selected(&draft, selection)).unwrap();
        let optional = ["nativeClaims", "actions", "request", "response", "raw"];
        optional.into_iter().filter(|name| document.get(name).is_some()).collect::<Vec<_>>()
    };
    let [account, audit, hook] = [whole_account_event(), whole_audit_log(), whole_hook_log()];
    let none = Selection::default;
    let of_accounts =
        || Selection { claims: vec!["email".to_owned()], include_actions: true, include_raw: true, ..none() };
    assert_eq!(sent("accountEvent", &account, of_accounts()), ["nativeClaims", "actions", "raw"]);
    assert_eq!(sent("auditLog", &audit, of_accounts()), [""; 0]);
    assert_eq!(sent("eventHookLog", &hook, of_accounts()), [""; 0]);

    let with_bodies = || Selection { include_bodies: true, ..none() };
    assert_eq!(sent("auditLog", &audit, with_bodies()), ["request", "response"]);
    let with_raw = Selection { include_audit_raw: true, ..with_bodies() };
    assert_eq!(sent("auditLog", &audit, with_raw), ["request", "response", "raw"]);
    // The raw event holds the bodies that are not to be sent.
    assert_eq!(sent("auditLog", &audit, Selection { include_audit_raw: true, ..none() }), [""; 0]);

    let of_hooks = || Selection { include_hook_raw: true, ..none() };
    assert_eq!(sent("eventHookLog", &hook, of_hooks()), ["raw"]);
    assert_eq!(sent("accountEvent", &account, of_hooks()), [""; 0]);
}

#[test]
fn the_stream_is_account_events_unless_said_and_never_an_internal_one() {
    assert_eq!(parse(&whole_account_event()).unwrap().stream().name(), "accountEvent");
    for stream in ["quarantine", "intakeQuarantine", "AuditLog", ""] {
        let refused = refusal(&with(&whole_account_event(), &json!({"stream": stream})));
        assert!(refused.starts_with("stream: not a stream"), "{refused}");
    }
}

#[test]
fn a_field_of_another_stream_is_refused_by_its_name() {
    let mut refused_fields = 0;
    for (stream, event) in whole_events() {
        let least = match stream {
            "accountEvent" => json!({"type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z"}),
            "auditLog" => json!({"stream": stream, "date": "2026-01-31T12:00:00Z"}),
            _ => json!({"stream": stream, "timestamp": "2026-01-31T12:00:00Z"}),
        };
        parse(&least).unwrap();
        for (_, other) in whole_events() {
            for (name, value) in other.as_object().unwrap() {
                if event.get(name).is_none() {
                    let refused = refusal(&with(&least, &json!({ name: value })));
                    assert_eq!(refused, format!("{name}: is not a field of the stream {stream}"));
                    refused_fields += 1;
                }
            }
        }
    }
    assert!(refused_fields > 50, "{refused_fields}");
}

#[test]
fn what_is_missing_or_misspelled_is_named() {
    let account = json!({"type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z"});
    for (event, reason) in [
        (json!({"endTimestamp": "2026-01-31T12:00:00Z"}), "type: is required"),
        (json!({"type": "selfService"}), "endTimestamp: is required"),
        (json!({"stream": "auditLog"}), "date: is required"),
        (json!({"stream": "eventHookLog"}), "timestamp: is required"),
        (json!([]), "event: "),
        (with(&account, &json!({"typ": 1})), "typ: unknown field `typ`"),
        (with(&account, &json!({"actor": {"mail": "x"}})), "actor.mail: unknown field `mail`"),
        (with(&account, &json!({"actor": 7})), "actor: invalid type"),
        (with(&account, &json!({"actor": {"ip": "99.xxx.1.1"}})), "actor.ip: invalid IP address"),
        (
            with(&account, &json!({"actor": {"ip": 7}})),
            "actor.ip: invalid type: integer `7`, expected a string",
        ),
        (
            with(&account, &json!({"actor": {"location": {"properties": {"city": "Graz", "zip": 8010}}}})),
            "actor.location.properties.zip: invalid type",
        ),
        (
            with(&account, &json!({"actor": {"location": {"geometry": {"coordinates": [15.4, "47"]}}}})),
            "actor.location.geometry.coordinates[1]: invalid type",
        ),
        (with(&account, &json!({"type": "login"})), "type: unknown variant `login`"),
        (with(&account, &json!({"type": ""})), "type: is required"),
        (with(&account, &json!({"outcome": "ok"})), "outcome: unknown variant `ok`"),
        (with(&account, &json!({"endTimestamp": "2026-01-31"})), "endTimestamp: not an RFC 3339 date-time"),
        (with(&account, &json!({"eventID": "00000000-0000-0000-0000-000000000000"})), "eventID: not a UUID"),
        (with(&account, &json!({"labels": ["login"]})), "labels: a label is"),
        (with(&account, &json!({"actions": {}})), "actions: must be an array"),
        (with(&account, &json!({"nativeClaims": ["email"]})), "nativeClaims: "),
    ] {
        let refused = refusal(&event);
        assert!(refused.starts_with(reason), "{refused}");
    }
}

#[test]
fn a_key_that_occurs_twice_is_refused_wherever_it_stands() {
    let account =
        |more: &str| format!(r#"{{"type":"selfService","endTimestamp":"2026-01-31T12:00:00Z",{more}}}"#);
    let audit = |more: &str| format!(r#"{{"stream":"auditLog","date":"2026-01-31T12:00:00Z",{more}}}"#);
    let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";
    for (event, field, reason) in [
        (account(&format!(r#""eventID":"{id}","id":"{id}""#)), "id", "duplicate field"),
        (account(r#""actor":{"ip":"::1","ip":"::1"}"#), "actor.ip", "duplicate field"),
        (
            account(r#""actor":{"location":{"properties":{"city":"Graz","city":"Linz"}}}"#),
            "actor.location.properties.city",
            "occurs twice",
        ),
        (account(r#""nativeClaims":{"a":1,"a":2}"#), "nativeClaims", "occurs twice"),
        (audit(r#""changes":[{"path":"/a","before":{"b":1,"b":2}}]"#), "changes", "occurs twice"),
        (audit(r#""changes":[{"path":"/a","path":"/b"}]"#), "changes", "occurs twice"),
        (audit(r#""changes":[{"path":"/a"},{"before":1}]"#), "changes[1]", "missing field `path`"),
        (audit(r#""changes":[{"path":7}]"#), "changes[0].path", "expected a string"),
        (audit(r#""changes":{}"#), "changes", "invalid type"),
        (audit(r#""changes":[{"path":"/a","was":1}]"#), "changes[0].was", "unknown field `was`"),
    ] {
        let refused = incoming::parse(&event, &MaskRule::default()).unwrap_err();
        assert_eq!(refused.field, field, "{refused}");
        assert!(refused.reason.contains(reason), "{refused}");
    }
}

#[test]
fn what_is_empty_is_absent() {
    let least = json!({"type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z"});
    let empty = json!({
        "eventID": "", "outcome": "", "startTimestamp": "", "labels": null, "actor": {"ip": "", "userName": "",
            "location": {"properties": null, "geometry": {"coordinates": null}}},
    });
    assert_eq!(said(&with(&least, &empty)), said(&least));
    let some = json!({"actor": {"location": {"properties": {"city": "Graz", "zip": null, "state": ""}}}});
    assert_eq!(said(&with(&least, &some))["actor"]["location"]["properties"], json!({"city": "Graz"}));
    let audit = json!({"stream": "auditLog", "date": "2026-01-31T12:00:00Z"});
    let empty = json!({"outcome": "", "actor": {"ip": ""}, "changes": null});
    assert_eq!(said(&with(&audit, &empty)), said(&audit));
}

#[test]
fn an_address_may_have_a_port_which_is_dropped() {
    for (sent, kept) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        let event = with(&whole_account_event(), &json!({"actor": {"ip": sent}}));
        assert_eq!(said(&event)["actor"]["ip"], kept);
    }
    for sent in ["203.0.113.7:", "203.0.113.7:x", "203.0.113", "h:1"] {
        let refused = refusal(&with(&whole_account_event(), &json!({"actor": {"ip": sent}})));
        assert!(refused.starts_with("actor.ip: invalid IP address"), "{refused}");
    }
}

#[test]
fn a_producers_id_is_kept_under_each_of_its_spellings() {
    for spelling in ["eventID", "eventId", "id"] {
        let event = with(&whole_account_event(), &json!({spelling: "0197F3A0-6C1E-7C3A-9D2B-0A1B2C3D4E5F"}));
        let id = parse(&event).unwrap().event_id().unwrap();
        assert_eq!(id.to_string(), "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f");
    }
    assert_eq!(parse(&whole_account_event()).unwrap().event_id(), None);
}

#[test]
fn each_streams_own_time_is_the_events_time() {
    for (stream, event) in whole_events() {
        let draft = parse(&with(&event, &json!({"stream": stream}))).unwrap();
        assert_eq!(draft.time().to_string(), "2026-01-31T12:00:00.000Z");
        assert_eq!(Record::parse(&record(&draft)).unwrap().time(), draft.time());
    }
}

#[test]
fn the_outcome_is_as_stated_else_as_the_last_label_says() {
    let outcome = |labels: &[&str], stated: Option<Outcome>| {
        let mut event = AccountEvent::new(AccountEventType::CustomerFlow, Timestamp::default());
        event.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        event.outcome = stated;
        event.outcome()
    };
    assert_eq!(outcome(&[], None), Outcome::Unknown);
    assert_eq!(outcome(&["failure:mfa_authentication", "success:login"], None), Outcome::Success);
    assert_eq!(outcome(&["success:identification", "failure:login"], None), Outcome::Failure);
    assert_eq!(outcome(&["success:login"], Some(Outcome::Failure)), Outcome::Failure);
}

#[test]
fn an_event_that_ends_before_it_begins_has_no_duration() {
    let event = json!({"type": "scheduled", "startTimestamp": "2026-01-31T12:00:01Z", "endTimestamp": "2026-01-31T12:00:00Z"});
    assert_eq!(said(&event).get("durationMs"), None);
    assert_eq!(said(&event)["startTimestamp"], "2026-01-31T12:00:01.000Z");
}

#[test]
fn secrets_are_masked_in_every_free_part() {
    let secret = json!({"password": "canary", "n": [{"client_secret": {"x": "canary"}}]});
    let account = with(
        &whole_account_event(),
        &json!({"nativeClaims": {"email": "e", "city": secret, "otp": "canary"}, "actions": [secret], "raw": secret}),
    );
    let text = json!(secret.to_string());
    let audit = with(
        &whole_audit_log(),
        &json!({
            "stream": "auditLog", "request": text, "response": secret, "url": "https://ann:canary@h/x?token=canary",
            "raw": {"t": "a=1&password=canary", "u": "https://h/?access_token=canary"},
            "changes": [{"path": "/auth/client_secret/0", "before": "canary", "after": {"deep": "canary"}},
                {"path": "/settings", "before": secret, "after": text}]
        }),
    );
    let hook = with(
        &whole_hook_log(),
        &json!({"stream": "eventHookLog", "logs": [{"message": secret.to_string()}], "raw": secret}),
    );
    for event in [account, audit, hook] {
        let draft = parse(&event).unwrap();
        let text = document(&draft, &["email", "city", "otp"]);
        assert!(!text.contains("canary") && text.contains("[masked]"), "{text}");
        assert!(!String::from_utf8_lossy(&record(&draft)).contains("canary"));
    }
}

#[test]
fn texts_of_the_contracts_fields_are_masked_whatever_else_an_event_holds() {
    let agent = |agent: &str, more: Value| {
        let actor = json!({"userAgent": agent, "userName": "token", "token": {"iss": "https://i.example", "sub": "s"}});
        let event = with(
            &whole_account_event(),
            &json!({"actor": actor, "actions": [], "nativeClaims": {}, "raw": null}),
        );
        said(&with(&event, &more))["actor"].clone()
    };
    // With and without what once decided whether a header is looked at: a `=`, something empty.
    for more in [json!({}), json!({"variantId": "a=b"}), json!({"loginSessionId": ""})] {
        for (sent, kept) in [
            ("App/1.0 (pin=5; x)", "App/1.0 (pin=[masked]; x)"),
            ("x Authorization: Bearer abc", "x Authorization: [masked]"),
            ("https://ann:pw@h/", "https://ann:[masked]@h/"),
            (r#"say {"password":"x"}"#, r#"say {"password":"[masked]"}"#),
            ("Mozilla/5.0 (X11; rv:128.0)", "Mozilla/5.0 (X11; rv:128.0)"),
        ] {
            let actor = agent(sent, more.clone());
            assert_eq!(actor["userAgent"], kept, "{more}");
            assert_eq!((&actor["userName"], &actor["token"]["sub"]), (&json!("token"), &json!("s")));
        }
    }
}

#[test]
fn a_body_becomes_one_text_and_an_empty_one_none() {
    let request = |json: &str| {
        let mut free = FreeForm::default();
        free.set_request(json, &MaskRule::default()).unwrap();
        free.request.map(|text| serde_json::from_str::<String>(&text).unwrap())
    };
    for (json, text) in [
        (r#"{"b": 1, "a": [ ]}"#, r#"{"b":1,"a":[]}"#),
        (r#""{\"b\": 1}""#, r#"{"b": 1}"#),
        (r#""{\"password\": 1, \"b\": 2}""#, r#"{"password":"[masked]","b":2}"#),
        (r#""a=1&password=x""#, "a=1&password=[masked]"),
        ("[]", "[]"),
        ("17", "17"),
    ] {
        assert_eq!(request(json).as_deref(), Some(text), "{json}");
    }
    for json in ["null", r#""""#, "{}", r#""{}""#] {
        assert_eq!(request(json), None, "{json}");
    }
    let mut free = FreeForm::default();
    for json in [r#"{"a":1,"a":2}"#, "{", "1e999"] {
        assert_eq!(free.set_response(json, &MaskRule::default()).unwrap_err().field, "response", "{json}");
    }
}

#[test]
fn claims_are_bounded_named_and_sorted() {
    let set = |claims: &Value| {
        let mut free = FreeForm::default();
        free.set_claims(&claims.to_string(), &MaskRule::default()).map(|()| free.native_claims)
    };
    let many = |n: usize| (0..n).map(|i| (format!("c{i}"), json!(i))).collect::<Value>();
    assert_eq!(set(&many(512)).unwrap().len(), 512);
    assert!(set(&many(513)).unwrap_err().reason.contains("more than 512"));
    set(&json!({"é".repeat(256): 1})).unwrap();
    for name in [String::new(), "é".repeat(257)] {
        assert!(set(&json!({name: 1})).unwrap_err().reason.contains("1 to 256 characters"));
    }
    let names = set(&json!({"b": 1, "a": {"x": null}, "c": null, "B": false})).unwrap();
    assert_eq!(names, [r#""B":false"#, r#""a":{"x":null}"#, r#""b":1"#]);
}

#[test]
fn an_audit_logs_actor_has_no_field_of_an_account_events_actor() {
    for (name, value) in whole_account_event()["actor"].as_object().unwrap() {
        let event = with(&whole_audit_log(), &json!({"stream": "auditLog", "actor": {name: value}}));
        let is_common = ["accountId", "userName", "ip", "userAgent"].contains(&name.as_str());
        assert_eq!(parse(&event).is_ok(), is_common, "{name}");
    }
}

#[test]
fn empty_lists_are_left_out_and_a_test_event_is_marked() {
    let event =
        with(&whole_account_event(), &json!({"actions": [], "nativeClaims": {}, "labels": [], "raw": null}));
    let said = said(&event);
    for name in ["actions", "nativeClaims", "labels", "raw"] {
        assert_eq!(said.get(name), None, "{name}");
    }
    let mut free = FreeForm::default();
    free.set_changes("[]", &MaskRule::default()).unwrap();
    free.set_logs(&[], &MaskRule::default()).unwrap();
    assert_eq!(free, FreeForm::default());
    let draft = parse(&event).unwrap();
    assert!(!Record::parse(&record(&draft)).unwrap().is_test());
    assert!(Record::parse(&record(&draft.test())).unwrap().is_test());
}

#[test]
fn sections_are_laid_out_small_and_searched_ones_first() {
    let kinds = |event: &Value| -> Vec<Section> {
        Record::parse(&record(&parse(event).unwrap())).unwrap().sections().map(|(kind, _)| kind).collect()
    };
    assert_eq!(
        kinds(&whole_account_event()),
        [Section::Source, Section::Header, Section::Claim, Section::Claim, Section::Actions, Section::Raw]
    );
    assert_eq!(
        kinds(&with(&whole_audit_log(), &json!({"stream": "auditLog"}))),
        [
            Section::Source,
            Section::Header,
            Section::Claim,
            Section::Changes,
            Section::Request,
            Section::Response,
            Section::Raw
        ]
    );
    assert_eq!(
        kinds(&with(&whole_hook_log(), &json!({"stream": "eventHookLog"}))),
        [Section::Source, Section::Header, Section::Claim, Section::Logs, Section::Raw]
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-z=&?:/@]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,8}|password", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn foreign_text_never_panics(text in ".*", value in any_json()) {
        let _ = incoming::parse(&text, &MaskRule::default());
        let _ = parse(&value);
    }

    #[test]
    fn whatever_a_producer_puts_into_the_free_parts_the_document_is_json_with_unique_keys(
        which in 0_usize..3,
        claims in proptest::collection::btree_map(".{1,10}", any_json(), 0..6),
        free in any_json(),
        text in ".*",
    ) {
        let (stream, event) = whole_events()[which].clone();
        let more = match stream {
            "accountEvent" => json!({"actions": [{"metadata": free}], "loginSessionId": text}),
            "auditLog" => json!({"request": free, "response": text, "url": text, "name": text}),
            _ => json!({"logs": [{"message": text}], "accountId": text}),
        };
        let event = with(&with(&event, &more), &json!({"stream": stream, "nativeClaims": claims, "raw": free}));
        let draft = parse(&event).unwrap();
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        let document = document(&draft, &names);
        prop_assert!(canonical(&document, &MaskRule::default()).is_ok(), "{}", document);
    }

    #[test]
    fn changes_and_lines_keep_all_but_their_secrets(path in "(/[a-z]{1,6}){1,3}", value in any_json(), line in ".*") {
        let rule = MaskRule::default();
        let mut free = FreeForm::default();
        let change = json!([{"path": path, "before": value}]);
        free.set_changes(&change.to_string(), &rule).unwrap();
        let is_nothing = matches!(value.to_string().as_str(), "null" | "true" | "false" | "[]" | "{}");
        let is_secret = rule.judge_path(&path) == Secrecy::Whole && !is_nothing;
        let before: Value = if is_secret { "[masked]".into() } else {
            serde_json::from_str(&canonical(&value.to_string(), &rule).unwrap()).unwrap()
        };
        let kept: Value = serde_json::from_str(&free.changes.unwrap()).unwrap();
        prop_assert_eq!(&kept, &json!([{"path": path, "before": before}]));
        free = FreeForm::default();
        free.set_logs(&[HookLine { message: Some(line.clone()), ..HookLine::default() }], &rule).unwrap();
        let kept: Value = serde_json::from_str(&free.logs.unwrap()).unwrap();
        let expected = event::fragment::mask_text(&line, &rule);
        prop_assert_eq!(kept[0]["message"].as_str(), Some(&*expected));
    }

    #[test]
    fn a_label_is_an_outcome_a_colon_and_a_plain_name(
        label in prop_oneof!["(success|failure):[a-zA-Z0-9_.-]{1,20}", "[a-z]{0,9}:?[a-z: é]{0,9}", ".*"],
    ) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let named = label.strip_prefix("success:").or_else(|| label.strip_prefix("failure:"));
        let expected = label.len() <= 128 && named.is_some_and(|name| !name.is_empty() && name.chars().all(is_plain));
        let event = with(&whole_account_event(), &json!({"labels": [label]}));
        prop_assert_eq!(parse(&event).is_ok(), expected);
    }
}
