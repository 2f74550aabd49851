//! What the traffic looks like to the server: every event is accepted, of the promised size, and keeps no secret.

#![cfg(test)]

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use base::mask::{MASK, MaskRule};
use base::{EventId, Timestamp};
use event::Record;
use event::model::incoming;
use event::native::{Instance, NativeProfile, Selection};
use testkit::schema::Validator;
use traffic::{Happening, Traffic};

fn start() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00Z").unwrap()
}

/// Enough to hold an attack or two. Told once for all tests.
static EVENTS: LazyLock<Vec<Happening>> = LazyLock::new(|| first(20_000, Traffic::new(1, start())));

/// The first `count` events, ten milliseconds apart.
fn first(count: u32, mut traffic: Traffic) -> Vec<Happening> {
    (0..count).map(|nth| traffic.next(start().plus(Duration::from_millis(10) * nth))).collect()
}

fn record(json: &str) -> Vec<u8> {
    let draft =
        incoming::parse(json, &MaskRule::default()).unwrap_or_else(|error| panic!("{error} in {json}"));
    let id = draft.event_id().unwrap_or_else(|| EventId::from_bytes([7; 16]));
    draft.record(id, start(), "platform", None).unwrap()
}

#[test]
fn every_event_is_accepted_in_the_stream_that_it_names() {
    for happening in EVENTS.iter().chain(&first(3_000, Traffic::new(2, start()).with_ids(true))) {
        let bytes = record(&happening.json);
        assert_eq!(Record::parse(&bytes).unwrap().stream().name(), happening.stream);
        assert!(!happening.json.contains('\n'), "one event is one line of NDJSON");
    }
}

#[test]
fn every_event_and_its_document_are_as_the_published_schemas_say() {
    let [account, audit, hook, intake] = event::schema::ALL.map(|schema| Validator::new(schema.text));
    let instance = Instance {
        name: "idstream".to_owned(),
        domain: "id.example.com".to_owned(),
        environment: "demo".to_owned(),
        public_url: None,
    };
    let selection = Selection { include_actions: true, include_bodies: true, ..Selection::default() };
    let profile = NativeProfile::new(&instance, selection);
    for happening in &EVENTS[..5_000] {
        let posted = serde_json::from_str(&happening.json).unwrap();
        assert_eq!(intake.faults(&posted), [""; 0], "{}", happening.json);
        let mut document = b"{".to_vec();
        let bytes = record(&happening.json);
        profile.append_members(&Record::parse(&bytes).unwrap(), Some((1, 0)), false, &mut document);
        document.push(b'}');
        let document = serde_json::from_slice(&document).unwrap();
        let validator = match happening.stream {
            "auditLog" => &audit,
            "eventHookLog" => &hook,
            _ => &account,
        };
        assert_eq!(validator.faults(&document), [""; 0], "{document}");
    }
}

#[test]
fn an_event_is_about_a_kilobyte() {
    let named = first(3_000, Traffic::new(2, start()).with_ids(true));
    for events in [&EVENTS[..], &EVENTS[..500], &named] {
        let mean = events.iter().map(|one| one.json.len()).sum::<usize>() / events.len();
        assert!((1_000..=1_160).contains(&mean), "mean of {} events: {mean} bytes", events.len());
        assert!(events.iter().all(|one| (450..2_000).contains(&one.json.len())));
    }
}

#[test]
fn nine_of_ten_events_are_account_events() {
    let share =
        |stream: &str| EVENTS.iter().filter(|one| one.stream == stream).count() * 1_000 / EVENTS.len();
    for stream in ["auditLog", "eventHookLog"] {
        assert!((40..=60).contains(&share(stream)), "{stream}: {} of 1,000", share(stream));
    }
    assert!((880..=920).contains(&share("accountEvent")));
}

#[test]
fn a_seed_tells_one_story_and_another_seed_another() {
    let told = |seed, with_ids| first(2_000, Traffic::new(seed, start()).with_ids(with_ids));
    assert_eq!(told(1, true), told(1, true));
    assert_ne!(told(1, false), told(2, false));
    assert_eq!(
        Traffic::new(1, start()).planted(),
        Traffic::new(1, start().plus(Duration::from_secs(9))).planted()
    );
    assert_ne!(Traffic::new(1, start()).planted(), Traffic::new(2, start()).planted());
}

#[test]
fn ids_are_unique_and_change_nothing_else() {
    let bare = &EVENTS[..5_000];
    let named = first(5_000, Traffic::new(1, start()).with_ids(true));
    let mut ids = HashSet::new();
    for (bare, named) in bare.iter().zip(&named) {
        let mut value: serde_json::Value = serde_json::from_str(&named.json).unwrap();
        let id = value.as_object_mut().unwrap().remove("eventID").unwrap();
        let id = EventId::parse(id.as_str().unwrap()).unwrap();
        assert_eq!(id.to_string().as_bytes()[14], b'7', "UUIDv7");
        assert!(ids.insert(id), "{id} comes twice");
        value.as_object_mut().unwrap().remove("accountEventId");
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(&bare.json).unwrap());
    }
}

#[test]
fn the_pace_changes_times_only() {
    let told = |step: Duration| {
        let mut traffic = Traffic::new(3, start());
        let labels = (0..1_000).map(|nth| {
            let value: serde_json::Value =
                serde_json::from_str(&traffic.next(start().plus(step * nth)).json).unwrap();
            (value["labels"].clone(), value["loginSessionId"].clone(), value["url"].clone())
        });
        labels.collect::<Vec<_>>()
    };
    assert_eq!(told(Duration::ZERO), told(Duration::from_mins(1)));
}

#[test]
fn secrets_of_audit_bodies_are_masked_once_parsed() {
    let mut n_secrets = 0;
    for happening in EVENTS.iter().filter(|one| one.stream == "auditLog" || one.json.contains("secret")) {
        let bytes = record(&happening.json);
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("made-up-secret-"), "{text}");
        if happening.json.contains("made-up-secret-") {
            assert_eq!(happening.stream, "auditLog");
            assert_eq!(text.matches(MASK).count(), 2, "in the request and in the changes: {text}");
            n_secrets += 1;
        }
    }
    assert!(n_secrets > 100, "{n_secrets} audit logs with a secret");
}

#[test]
fn nothing_leads_to_a_real_person_or_machine() {
    for happening in &EVENTS[..5_000] {
        let value: serde_json::Value = serde_json::from_str(&happening.json).unwrap();
        for who in ["actor", "subject"] {
            if let Some(name) = value[who]["userName"].as_str() {
                assert!(name.ends_with("example.com") || name.ends_with("example.org"), "{name}");
            }
        }
        if let Some(ip) = value["actor"]["ip"].as_str() {
            let is_documentation =
                ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"].iter().any(|net| ip.starts_with(net));
            assert!(is_documentation, "{ip}");
        }
    }
}

#[test]
fn one_of_each_stream_reads_like_this() {
    let events = first(2_000, Traffic::new(1, start()).with_ids(true));
    for (stream, needle) in [
        ("accountEvent", "success:mfa_authentication"),
        ("auditLog", "clientSecret"),
        ("eventHookLog", "\"error\":1"),
    ] {
        let found = events.iter().find(|one| one.stream == stream && one.json.contains(needle));
        let value: serde_json::Value = serde_json::from_str(&found.unwrap().json).unwrap();
        insta::assert_json_snapshot!(stream, value);
    }
}
