//! What is wrong with an event is named by its field; what is empty is absent.

use base::mask::MaskRule;
use event::Record;
use event::model::{FreeForm, incoming};
use serde_json::json;

use crate::shared::{
    parse, record, refusal, said, whole_account_event, whole_audit_log, whole_events, whole_hook_log, with,
};

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
fn an_array_is_not_taken_for_an_object_whose_names_were_left_out() {
    let audit_log = with(&whole_audit_log(), &json!({"stream": "auditLog"}));
    let hook_log = with(&whole_hook_log(), &json!({"stream": "eventHookLog"}));
    for (event, path, array) in [
        (&whole_account_event(), "/actor", json!(["a-1"])),
        (&whole_account_event(), "/actor/location", json!([])),
        (&whole_account_event(), "/actor/location/geometry", json!(["Point", [1.0, 2.0]])),
        (&whole_account_event(), "/subject", json!([])),
        (&whole_account_event(), "/actorClient", json!(["id", "name"])),
        (&audit_log, "/actor", json!([])),
        (&audit_log, "/changes/0", json!(["/a", 1, 2])),
        (&hook_log, "/hook", json!(["h", "n", "t"])),
        (&hook_log, "/logSummary", json!([1, 0, false])),
        (&hook_log, "/logs/0", json!(["info", "m"])),
    ] {
        let mut changed = event.clone();
        *changed.pointer_mut(path).unwrap() = array;
        assert!(refusal(&changed).contains("expected an object"), "{path}: {}", refusal(&changed));
    }
    assert!(refusal(&json!([null])).contains("expected an object"));
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
