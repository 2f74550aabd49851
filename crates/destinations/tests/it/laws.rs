//! What holds for every record and every answer.

use std::collections::HashSet;

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use destinations::{AckVerdict, Destination, Grade, Outcome, Vendor};
use event::{Record, RecordBuilder, Section, Stream, fragment};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::material::{answer, ids, plain};

/// An object's members without its braces.
fn members(object: &str) -> &str {
    object.strip_prefix('{').and_then(|object| object.strip_suffix('}')).unwrap()
}

/// Canonical members with unique names that no document uses otherwise.
fn header(values: Vec<(u8, String)>) -> String {
    let mut seen = HashSet::new();
    let members: Vec<String> = values
        .into_iter()
        .filter(|(name, _)| seen.insert(*name))
        .map(|(name, value)| {
            fragment::canonical(&json!({ format!("h\"{name}"): value }).to_string(), &MaskRule::default())
                .unwrap()
        })
        .map(|object| members(&object).to_owned())
        .collect();
    members.join(",")
}

prop_compose! {
    fn any_record()(
        stream in prop::sample::select(Stream::PRODUCT.to_vec()),
        id in any::<[u8; 16]>(),
        time in -62_167_219_200_000_i64..=253_402_300_799_999,
        source in ".{0,12}",
        values in prop::collection::vec((any::<u8>(), ".{0,20}"), 0..6),
        email in ".{0,20}",
    ) -> Vec<u8> {
        let time = Timestamp::from_millis(time).unwrap();
        let mut builder = RecordBuilder::new(stream, EventId::from_bytes(id), time, time);
        builder.section(Section::Source, &source);
        builder.section(Section::Header, &header(values));
        let claim = json!({ "email": email }).to_string();
        builder.section(Section::Claim, members(&claim));
        builder.section(Section::Request, &json!(source).to_string());
        builder.finish().unwrap()
    }
}

/// Parses a JSON text, refusing duplicate names anywhere.
fn strict(text: &str) -> Value {
    let canonical = fragment::canonical(text, &MaskRule::default()).unwrap();
    let names = |text: &str| text.matches("\":").count();
    assert_eq!(names(&canonical), names(text), "{text}");
    serde_json::from_str(text).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn piece(vendor: Vendor, record: &Record<'_>, offset: Option<(u64, u32)>, is_replay: bool) -> String {
    let mut out = Vec::new();
    plain(vendor).encode(record, offset, is_replay, &mut out);
    String::from_utf8(out).unwrap()
}

fn check_document(document: &Value, record: &Record<'_>, is_replay: bool) {
    assert_eq!(document["eventID"], record.event_id().to_string());
    assert_eq!(document["stream"], record.stream().name());
    assert_eq!(document.get("replay").is_some(), is_replay);
}

proptest! {
    #[test]
    fn every_record_is_valid_on_every_wire(
        bytes in any_record(),
        offset in prop::option::of(any::<(u64, u32)>()),
        is_replay: bool,
    ) {
        let record = Record::parse(&bytes).unwrap();
        let id = record.event_id().to_string();

        let splunk = piece(Vendor::Splunk, &record, offset, is_replay);
        prop_assert!(!splunk.contains('\n'));
        let envelope = strict(&splunk);
        prop_assert_eq!(keys(&envelope), ["event", "fields", "host", "source", "sourcetype", "time"]);
        prop_assert_eq!(&envelope["fields"], &json!({"idstream_id": id, "idstream_stream": record.stream().name()}));
        let time: f64 = envelope["time"].as_str().unwrap().parse().unwrap();
        prop_assert!((time * 1000.0 - record.time().as_millis() as f64).abs() < 0.1);
        check_document(&envelope["event"], &record, is_replay);

        let lines = piece(Vendor::Elasticsearch, &record, offset, is_replay);
        let (action, document) = lines.split_once('\n').unwrap();
        prop_assert!(!document.contains('\n'));
        let action = strict(action);
        prop_assert_eq!(keys(&action), ["create"]);
        prop_assert_eq!(keys(&action["create"]), ["_id", "_index"]);
        prop_assert_eq!(&action["create"]["_id"], &json!(id));
        let document = strict(document);
        prop_assert_eq!(&document["@timestamp"], &json!(record.time().to_string()));
        check_document(&document, &record, is_replay);

        check_document(&strict(&piece(Vendor::Https, &record, offset, is_replay)), &record, is_replay);
    }

    #[test]
    fn every_answer_gets_one_outcome_for_each_event_and_only_success_proves_delivery(
        status in prop_oneof![Just(200_u16), Just(400), 100_u16..600],
        n_events in 0_usize..9,
        body in any_body(),
    ) {
        for vendor in Vendor::ALL {
            let mut said = answer(status, body.clone());
            said.headers.insert("content-type", "application/json".parse().unwrap());
            let verdict = plain(vendor).classify(&ids(n_events), &said);
            prop_assert_eq!(verdict.outcomes.len(), n_events);
            if (200..300).contains(&status) {
                continue;
            }
            let n_taken = verdict.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Delivered(_))).count();
            // The one exception: a collector names the first object that it did not take.
            let named = serde_json::from_slice::<Value>(&body)
                .ok()
                .and_then(|said| said["invalid-event-number"].as_u64())
                .filter(|named| *named <= n_events as u64)
                .filter(|_| vendor == Vendor::Splunk && (400..500).contains(&status));
            prop_assert!(n_taken as u64 <= named.unwrap_or(0));
        }
    }

    #[test]
    fn no_answer_puts_more_events_into_quarantine_than_it_names(
        status in prop_oneof![Just(200_u16), Just(400), 100_u16..600],
        n_events in 0_usize..9,
        body in any_body(),
    ) {
        for vendor in Vendor::ALL {
            let mut said = answer(status, body.clone());
            said.headers.insert("content-type", "application/json".parse().unwrap());
            let outcomes = plain(vendor).classify(&ids(n_events), &said).outcomes;
            let n_refused = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Quarantine { .. })).count();
            let parsed = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            let n_named = match vendor {
                Vendor::Splunk => usize::from((400..500).contains(&status) && parsed["invalid-event-number"].is_u64()),
                Vendor::Elasticsearch if (200..300).contains(&status) => {
                    let items = parsed["items"].as_array().cloned().unwrap_or_default();
                    items.iter().filter(|item| item["create"]["status"] == 400).count()
                }
                _ => 0,
            };
            prop_assert!(n_refused <= n_named, "{vendor}: {n_refused} of {n_named}");
        }
    }

    #[test]
    fn no_answer_acknowledges_what_was_not_asked_for_or_not_said_to_be_true(
        status in prop_oneof![Just(200_u16), Just(400), 100_u16..600],
        asked in prop::collection::vec(0_u64..6, 0..6),
        body in prop_oneof![any_acks(), any_body()],
    ) {
        for vendor in Vendor::ALL {
            let verdict = plain(vendor).classify_acks(&asked, &answer(status, body.clone()));
            let AckVerdict::Acknowledged(acks) = verdict else { continue };
            prop_assert!(vendor == Vendor::Splunk && status == 200);
            let said: Value = serde_json::from_slice(&body).unwrap();
            let is_true = |ack: &u64| asked.contains(ack) && said["acks"][ack.to_string()] == true;
            prop_assert!(acks.iter().all(is_true));
        }
    }

    #[test]
    fn an_item_is_delivered_only_by_success_or_by_its_own_id_being_there(
        items in prop::collection::vec((any_item_status(), any_kind(), any::<bool>()), 1..6),
    ) {
        let body = json!({"items": items.iter().map(|(status, kind, fails)| {
            let error = fails.then(|| json!({"type": kind, "reason": "x"}));
            json!({"create": {"status": status, "error": error}})
        }).collect::<Vec<_>>()});
        let destination = plain(Vendor::Elasticsearch);
        let verdict = destination.classify(&ids(items.len()), &answer(200, body.to_string()));
        for ((status, kind, fails), outcome) in items.iter().zip(verdict.outcomes) {
            let proven = match status {
                200 | 201 => !fails,
                409 => *fails && *kind == "version_conflict_engine_exception",
                _ => false,
            };
            prop_assert_eq!(outcome == Outcome::Delivered(Grade::Confirmed), proven);
        }
    }
}

fn any_acks() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_map(0_u64..9, any::<bool>(), 0..9)
        .prop_map(|acks| json!({ "acks": acks }).to_string().into_bytes())
}

fn any_item_status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200_u16), Just(201), Just(409), Just(429), any::<u16>()]
}

fn any_kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "version_conflict_engine_exception",
        "mapper_parsing_exception",
        "cluster_block_exception",
        "illegal_argument_exception",
        "",
    ])
}

/// Arbitrary bytes, and bodies that look like a collector's or a cluster's.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let hec = (0_u32..30, prop::option::of(0_u64..12)).prop_map(|(code, number)| {
        json!({"text": "t", "code": code, "invalid-event-number": number}).to_string()
    });
    let bulk = (any_kind(), any::<u16>(), 0_usize..9).prop_map(|(kind, status, n_items)| {
        let item = json!({"create": {"status": status, "error": {"type": kind, "reason": "r"}}});
        json!({"items": vec![item; n_items]}).to_string()
    });
    let refusal = any_kind().prop_map(|kind| json!({"error": {"type": kind, "reason": "r"}}).to_string());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        hec.prop_map(String::into_bytes),
        bulk.prop_map(String::into_bytes),
        refusal.prop_map(String::into_bytes),
    ]
}

#[test]
fn bodies_are_within_what_vendors_ask_for() {
    let limits = plain(Vendor::Splunk).limits();
    assert!(limits.max_bytes <= 1_000_000);
    for vendor in Vendor::ALL {
        let destination: &dyn Destination = &*plain(vendor);
        assert!(destination.limits().max_in_flight > 0 && destination.limits().max_events > 0);
    }
}
