//! Filters against records of every stream, and against a model that parses everything.

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::incoming;
use crate::{Record, Stream};

fn record(event: &Value, source: &str) -> Vec<u8> {
    let draft = incoming::parse(&event.to_string(), &MaskRule::default()).unwrap();
    let id = EventId::derive(Timestamp::default(), &[&event.to_string()]);
    draft.record(id, Timestamp::default(), source, None).unwrap()
}

fn filter(value: Value) -> Filter {
    serde_json::from_value(value).unwrap()
}

fn rule(value: Value, event: &Value) -> Option<String> {
    let bytes = record(event, "shop");
    let sieve = Sieve::of(&filter(value)).unwrap();
    sieve.left_out_by(&Record::parse(&bytes).unwrap()).map(|rule| rule.to_string())
}

fn login() -> Value {
    json!({
        "type": "customerFlow", "endTimestamp": "2026-01-31T12:00:00Z", "sourceEventType": "s",
        "labels": ["success:password", "failure:mfa"],
        "actor": {"store": "admins"}, "subject": {"store": "customers", "userName": "a\"b"},
        "actorApplication": {"id": "shop-1", "name": "Web \"shop\""},
    })
}

fn change() -> Value {
    json!({"stream": "auditLog", "date": "2026-01-31T12:00:00Z", "entityType": "Policy", "sourceEventType": "sapi"})
}

fn hook() -> Value {
    json!({
        "stream": "eventHookLog", "timestamp": "2026-01-31T12:00:00Z", "identityStore": "customers",
        "application": {"name": "Web shop"},
    })
}

fn token(code: &str, outcome: &str) -> Value {
    json!({
        "type": "customerFlow", "endTimestamp": "2026-01-31T12:00:00Z", "sourceEventType": code,
        "outcome": outcome,
    })
}

#[test]
fn a_filter_that_says_nothing_is_no_sieve() {
    assert!(Sieve::of(&Filter::default()).is_none());
    assert_eq!(serde_json::to_value(Filter::default()).unwrap(), json!({}));
}

#[test]
fn each_criterion_is_found_where_its_stream_keeps_it() {
    for (list, value, event) in [
        ("types", "customerFlow", login()),
        ("sourceEventTypes", "s", login()),
        ("sourceEventTypes", "sapi", change()),
        ("labels", "failure:mfa", login()),
        ("identityStores", "customers", login()),
        ("identityStores", "customers", hook()),
        ("applications", "shop-1", login()),
        ("applications", "Web \"shop\"", login()),
        ("applications", "Web shop", hook()),
        ("entityTypes", "Policy", change()),
        ("sources", "shop", hook()),
    ] {
        let named = rule(json!({"exclude": {list: [value, "x"]}}), &event);
        assert_eq!(named, Some(format!("filter.exclude.{list}")), "{value}");
        assert_eq!(rule(json!({"include": {list: ["x", value]}}), &event), None, "{value}");
        assert_eq!(rule(json!({"exclude": {list: ["x"]}}), &event), None, "{value}");
        let missing = rule(json!({"include": {list: ["x"]}}), &event);
        assert_eq!(missing, Some(format!("filter.include.{list}")), "{value}");
    }
    assert_eq!(
        rule(json!({"exclude": {"identityStores": ["admins"]}}), &login()),
        None,
        "the subject's counts"
    );
}

#[test]
fn a_list_says_nothing_about_streams_without_its_property() {
    let only = |list: &str| json!({"include": {list: ["x"]}});
    for list in ["types", "labels", "identityStores", "applications"] {
        assert_eq!(rule(only(list), &change()), None, "{list}");
    }
    for list in ["types", "sourceEventTypes", "labels", "entityTypes"] {
        assert_eq!(rule(only(list), &hook()), None, "{list}");
    }
    assert_eq!(rule(only("entityTypes"), &login()), None);
    let bare = json!({"type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z"});
    assert!(rule(only("applications"), &bare).is_some(), "an event without a value is in no list");
}

#[test]
fn what_is_excluded_stays_out_although_it_is_included() {
    let both = json!({"include": {"types": ["customerFlow"]}, "exclude": {"labels": ["failure:mfa"]}});
    assert_eq!(rule(both, &login()).as_deref(), Some("filter.exclude.labels"));
    let all = json!({"include": {"types": ["customerFlow"], "labels": ["success:x"]}});
    assert_eq!(rule(all, &login()).as_deref(), Some("filter.include.labels"), "all lists must name it");
}

#[test]
fn token_noise_is_what_programs_do_by_themselves_and_only_when_it_works() {
    let rule = |event: &Value| rule(json!({"presets": ["withoutTokenNoise"]}), event);
    for left_out in Preset::WithoutTokenNoise.leaves_out() {
        for code in left_out.source_event_types {
            for outcome in ["success", "unknown"] {
                let named = rule(&token(code, outcome));
                assert_eq!(named.as_deref(), Some("filter.presets.withoutTokenNoise"), "{code}");
            }
            assert_eq!(rule(&token(code, "failure")), None, "{code}");
        }
    }
    for code in ["s", "sepft", "ferrt", "srrt", "TOKEN_EXCHANGE", "app.oauth2.token.grant.id_jag"] {
        assert_eq!(rule(&token(code, "success")), None, "{code}");
    }
    let audit = json!({"stream": "auditLog", "date": "2026-01-31T12:00:00Z", "sourceEventType": "sertft"});
    assert_eq!(rule(&audit), None);
}

/// What the documentation says, on parsed documents.
fn model(filter: &Filter, stream: Stream, header: &Value, source: &str) -> bool {
    let text = |pointer: &str| header.pointer(pointer).and_then(Value::as_str);
    let is_hook = stream == Stream::EventHookLog;
    let values = |criterion: &Criterion| -> Vec<&str> {
        let found = match criterion {
            Criterion::Types => vec![text("/type")],
            Criterion::SourceEventTypes => vec![text("/sourceEventType")],
            Criterion::Labels => {
                let labels = header["labels"].as_array();
                labels.into_iter().flatten().map(Value::as_str).collect()
            }
            Criterion::IdentityStores if is_hook => vec![text("/identityStore")],
            Criterion::IdentityStores => vec![text("/subject/store").or(text("/actor/store"))],
            Criterion::Applications if is_hook => vec![text("/application/id"), text("/application/name")],
            Criterion::Applications => vec![text("/actorApplication/id"), text("/actorApplication/name")],
            Criterion::EntityTypes => vec![text("/entityType")],
            Criterion::Sources => vec![Some(source)],
        };
        found.into_iter().flatten().collect()
    };
    let names = |(criterion, list): (&Criterion, &Vec<String>)| {
        criterion.concerns(stream)
            && values(criterion).iter().any(|value| list.iter().any(|each| each == value))
    };
    let is_included = filter.include.iter().all(|list| !list.0.concerns(stream) || names(list));
    is_included && !filter.exclude.iter().any(names)
}

fn lists() -> impl Strategy<Value = Lists> {
    let criterion = (0..Criterion::ALL.len()).prop_map(|at| Criterion::ALL[at]);
    let values = proptest::collection::vec("[ab\"é]|success:[ab]|customerFlow|selfService", 1..4);
    proptest::collection::btree_map(criterion, values, 0..3)
}

fn events() -> impl Strategy<Value = Value> {
    let word = || proptest::option::of("[ab\"é]");
    let named = || (word(), word()).prop_map(|(id, name)| json!({"id": id, "name": name}));
    let account = (
        prop_oneof![Just("customerFlow"), Just("selfService")],
        word(),
        proptest::collection::vec("success:[ab]", 0..3),
        named(),
        (word(), word()),
    )
        .prop_map(|(kind, code, labels, application, (actor, subject))| {
            json!({
                "type": kind, "sourceEventType": code, "labels": labels, "actorApplication": application,
                "actor": {"store": actor}, "subject": {"store": subject}, "endTimestamp": "2026-01-31T12:00:00Z",
            })
        });
    let audit = (word(), word()).prop_map(|(kind, code)| {
        json!({"stream": "auditLog", "date": "2026-01-31T12:00:00Z", "entityType": kind, "sourceEventType": code})
    });
    let hook = (word(), named()).prop_map(|(store, application)| {
        json!({
            "stream": "eventHookLog", "timestamp": "2026-01-31T12:00:00Z", "identityStore": store,
            "application": application,
        })
    });
    prop_oneof![account, audit, hook]
}

proptest! {
    #[test]
    fn a_sieve_admits_what_the_model_admits(
        event in events(),
        source in "[ab]",
        include in lists(),
        exclude in lists(),
    ) {
        let filter = Filter { presets: Vec::new(), include, exclude };
        let bytes = record(&event, &source);
        let record = Record::parse(&bytes).unwrap();
        let header = record.section(crate::Section::Header).unwrap();
        let header: Value = serde_json::from_str(&format!("{{{header}}}")).unwrap();
        let admitted = Sieve::of(&filter).is_none_or(|sieve| sieve.admits(&record));
        prop_assert_eq!(admitted, model(&filter, record.stream(), &header, &source), "{:?}", filter);
        prop_assert_eq!(&serde_json::from_value::<Filter>(serde_json::to_value(&filter).unwrap()).unwrap(), &filter);
    }
}
