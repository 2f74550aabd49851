//! The document says what the producer said, as far as it is selected.

use base::Timestamp;
use event::model::{AccountEvent, AccountEventType, Outcome};
use event::native::Selection;
use event::{Record, Section};
use serde_json::{Value, json};

use crate::shared::{
    parse, record, refusal, said, selected, whole_account_event, whole_audit_log, whole_events,
    whole_hook_log, with,
};

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
