//! What producers are told: good events are kept, bad ones are named, nothing is stored twice.

#![cfg(test)]

use std::sync::Arc;

use base::mask::MaskRule;
use base::{Clock, ManualClock, Random, Timestamp};
use event::{Stream, StreamSet};
use intake::{Intake, IntakeError, Limits, Posted, ProducerIdentity, Receipts, Source};
use journal::model::{ModelJournal, ModelOptions};
use journal::{Journal, ReadRange};
use sources::{Platform, SourceKind};

const ID: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";

struct World {
    intake: Intake,
    journal: Arc<ModelJournal>,
}

fn world() -> World {
    world_with(Limits { max_events: 200, max_event_bytes: 2_000 })
}

fn world_with(limits: Limits) -> World {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
    let random = Arc::new(Random::from_seed(3));
    let journal =
        Arc::new(ModelJournal::new(Arc::clone(&clock), Arc::clone(&random), ModelOptions::default()));
    let intake = Intake::new(journal.clone(), clock, random, MaskRule::default(), limits);
    World { intake, journal }
}

fn event(more: &str) -> String {
    format!(r#"{{"type":"customerFlow","endTimestamp":"2026-01-31T11:00:00Z"{more}}}"#)
}

impl World {
    async fn post_as(&self, producer: &str, key: Option<&str>, body: &str) -> Result<Receipts, IntakeError> {
        let producer = ProducerIdentity { id: producer.to_owned(), source: producer.to_owned() };
        let posted = Posted { body: body.as_bytes(), are_lines: false, idempotency_key: key };
        self.intake.accept(&producer, posted).await
    }

    async fn post(&self, body: &str) -> Receipts {
        self.post_as("client:a", None, body).await.unwrap()
    }

    async fn stored(&self, streams: StreamSet) -> Vec<(String, String)> {
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let blocks = self.journal.read(range).await.unwrap();
        let records = blocks.iter().flat_map(|block| block.records());
        records
            .map(|(_, record)| {
                let text: Vec<_> = record.sections().map(|(_, text)| text.to_owned()).collect();
                (record.event_id().to_string(), text.join(" "))
            })
            .collect()
    }
}

#[tokio::test]
async fn one_bad_event_among_a_hundred_costs_only_itself() {
    let world = world();
    let mut lines: Vec<String> = (0..100).map(|_| event("")).collect();
    lines[42] = event(r#","labels":["login"]"#);
    let receipts = world.post(&lines.join("\n")).await;
    assert_eq!(receipts.accepted.len(), 99);
    assert_eq!(receipts.rejected.len(), 1);
    let rejected = &receipts.rejected[0];
    assert_eq!(
        (rejected.index, rejected.error_key, rejected.field.as_deref()),
        (42, "invalidEvent", Some("labels"))
    );
    assert!(rejected.detail.contains("success:"), "{}", rejected.detail);
    assert_eq!(world.stored(StreamSet::product()).await.len(), 99);
}

#[tokio::test]
async fn every_kind_of_mistake_has_its_own_answer() {
    let world = world();
    let large = event(&format!(r#","loginSessionId":"{}""#, "x".repeat(2_000)));
    let cases = [
        ("{broken", "malformedJson", ""),
        (r#"{"type":"customerFlow","type":"customerFlow"}"#, "invalidEvent", "duplicate field `type`"),
        (&event(&format!(r#","{}":1"#, "x".repeat(1_500))), "invalidEvent", "…"),
        (&event(r#","nativeClaims":{"a":1,"a":2}"#), "invalidEvent", "occurs twice"),
        (&event(r#","colour":"red""#), "invalidEvent", "unknown field `colour`"),
        (
            &event(r#","date":"2026-01-31T11:00:00Z""#),
            "invalidEvent",
            "is not a field of the stream accountEvent",
        ),
        (r#"{"type":"customerFlow"}"#, "invalidEvent", "is required"),
        (&event(r#","actor":{"ip":"99.xxx.1.1"}"#), "invalidEvent", "IP address"),
        (&event(r#","eventID":"42""#), "invalidEvent", "UUID"),
        (&large, "eventTooLarge", "at most 2000"),
    ];
    for (body, key, detail) in cases {
        let lines = format!("{body}\n{}", event(""));
        let receipts = world.post(&lines).await;
        assert_eq!(receipts.accepted.len(), 1, "{body}");
        assert_eq!(receipts.rejected[0].error_key, key, "{body}: {:?}", receipts.rejected);
        assert!(receipts.rejected[0].detail.contains(detail), "{body}: {}", receipts.rejected[0].detail);
    }
}

#[tokio::test]
async fn an_event_posted_twice_is_stored_once_and_other_content_under_its_id_is_refused() {
    let world = world();
    let first = event(&format!(r#","eventID":"{ID}""#));
    assert!(!world.post(&first).await.accepted[0].duplicate);
    assert!(world.post(&first).await.accepted[0].duplicate);
    let other = event(&format!(r#","eventID":"{ID}","variantId":"b""#));
    let receipts = world.post(&other).await;
    assert_eq!(receipts.rejected[0].error_key, "eventIdConflict");
    assert_eq!(world.stored(StreamSet::product()).await.len(), 1);
}

#[tokio::test]
async fn an_id_of_another_producer_is_kept_as_the_source_event_id() {
    let world = world();
    let body = event(&format!(r#","eventID":"{ID}""#));
    world.post_as("client:a", None, &body).await.unwrap();
    let foreign = world.post_as("client:b", None, &body).await.unwrap();
    assert_ne!(foreign.accepted[0].event_id.to_string(), ID);
    let again = world.post_as("client:b", None, &body).await.unwrap();
    assert_eq!(again.accepted[0].event_id, foreign.accepted[0].event_id);
    assert!(again.accepted[0].duplicate);
    let stored = world.stored(StreamSet::product()).await;
    assert_eq!(stored.len(), 2);
    assert!(stored[1].1.contains(ID), "{stored:?}");
}

#[tokio::test]
async fn a_keyed_request_may_be_repeated_and_not_reused() {
    let world = world();
    let body = format!("[{},{}]", event(""), event(""));
    let first = world.post_as("client:a", Some("k1"), &body).await.unwrap();
    let again = world.post_as("client:a", Some("k1"), &body).await.unwrap();
    let ids = |receipts: &Receipts| receipts.accepted.iter().map(|a| a.event_id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    assert!(again.accepted.iter().all(|accepted| accepted.duplicate));
    let reused = world.post_as("client:a", Some("k1"), &event("")).await;
    assert!(matches!(reused, Err(IntakeError::KeyReused)), "{reused:?}");
    world.post_as("client:b", Some("k1"), &event("")).await.unwrap();
    assert_eq!(world.stored(StreamSet::product()).await.len(), 3);
}

#[tokio::test]
async fn streams_of_one_request_go_to_their_places_and_secrets_nowhere() {
    let world = world();
    let audit = r#"{"stream":"auditLog","date":"2026-01-31T11:00:00Z","request":"{\"client_secret\":\"CANARY\"}","url":"/x?token=CANARY"}"#;
    let hook = r#"{"stream":"eventHookLog","timestamp":"2026-01-31T11:00:00Z","logs":[{"message":"password=CANARY"}]}"#;
    let account =
        event(r#","nativeClaims":{"password":"CANARY","city":"Graz"},"raw":{"a":{"otp":"CANARY"}}"#);
    let receipts = world.post(&format!("{audit}\n{hook}\n{account}")).await;
    assert_eq!(receipts.accepted.iter().map(|a| a.index).collect::<Vec<_>>(), [0, 1, 2], "{receipts:?}");
    for stream in Stream::PRODUCT {
        let stored = world.stored(stream.into()).await;
        assert_eq!(stored.len(), 1, "{stream}");
        assert!(!stored[0].1.contains("CANARY"), "{stream}: {}", stored[0].1);
    }
}

fn source() -> Source {
    Source {
        id: "s1".to_owned(),
        name: "tenant".to_owned(),
        enabled: true,
        platform: Platform { kind: SourceKind::Auth0, tenant: "example.eu.auth0.com".to_owned() },
        authorization: Vec::new(),
        silent_after_minutes: None,
    }
}

#[tokio::test]
async fn a_platforms_delivery_is_taken_whole_and_what_is_no_event_goes_to_quarantine() {
    let world = world();
    let source = source();
    let good = r#"{"log_id":"9002","data":{"log_id":"9002","date":"2026-01-31T11:00:00.000Z","type":"s","user_id":"auth0|1"}}"#;
    let body = format!("{good}\n{{broken, token=CANARY\n{{\"data\":{{\"type\":\"s\"}}}}\n");
    let receipt = world.intake.accept_source(&source, body.as_bytes()).await.unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates, receipt.quarantined), (1, 0, 2));
    let again = world.intake.accept_source(&source, good.as_bytes()).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (0, 1));
    let kept = world.stored(Stream::IntakeQuarantine.into()).await;
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().any(|(_, text)| text.contains("broken")), "{kept:?}");
    assert!(kept.iter().all(|(_, text)| !text.contains("CANARY")), "{kept:?}");
}

/// How many records each of the streams holds.
async fn n_stored(world: &World) -> usize {
    world.stored(StreamSet::product()).await.len() + world.stored(Stream::IntakeQuarantine.into()).await.len()
}

fn log(code: &str, more: &str) -> String {
    format!(r#"{{"log_id":"{code}-1","data":{{"date":"2026-01-31T11:00:00.000Z","type":"{code}"{more}}}}}"#)
}

#[tokio::test]
async fn no_item_of_a_platforms_delivery_is_lost_however_large_it_becomes() {
    let world = world_with(Limits::default());
    let rows = vec![r#""q\"x\"""#; 24_000].join(",");
    // As a text within a text its quotes are escaped twice: 216 KB become 360 KB, beside the raw event.
    let body = log(
        "sapi",
        &format!(r#","details":{{"request":{{"method":"post","path":"/v2/x","body":{{"rows":[{rows}]}}}}}}"#),
    );
    let numbers = format!("[{}]", vec!["1e15"; 45_000].join(","));
    let control = format!(r#"{{"type":"s","a":"{}"}}"#, "\\u0001".repeat(40_000));
    let oversize = log("s", &format!(r#","password":"CANARY","a":"{}""#, "x".repeat(600_000)));
    let huge =
        log("s", &format!(r#","a":"{}","password":"{}""#, "x".repeat(30_000), "CANARY".repeat(400_000)));
    let good = log("s", "");
    let items = [body.as_str(), &numbers, &control, &oversize, &huge, &good, &good, "{broken", "{broken"];
    let receipt = world.intake.accept_source(&source(), items.join("\n").as_bytes()).await.unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates, receipt.quarantined), (2, 2, 5));
    assert_eq!(receipt.accepted + receipt.quarantined, n_stored(&world).await);

    let audit = &world.stored(Stream::AuditLog.into()).await[0].1;
    assert!(
        audit.contains("too large for a record") && audit.contains("rows"),
        "the body stays, the raw event goes"
    );
    let kept = world.stored(Stream::IntakeQuarantine.into()).await;
    assert!(kept.iter().any(|(_, text)| text.contains("1e15,1e15")), "numbers are kept as they were spelled");
    for large in [&oversize, &huge] {
        let cut = &kept.iter().find(|(_, text)| text.contains(&large.len().to_string())).unwrap().1;
        assert!(
            cut.contains("s-1") && cut.contains("xxx") && !cut.contains("CANARY"),
            "its true size is told"
        );
    }

    let again = world.intake.accept_source(&source(), items.join("\n").as_bytes()).await.unwrap();
    assert_eq!((again.accepted, again.duplicates, again.quarantined), (0, 9, 0));
    assert_eq!(n_stored(&world).await, 7);
}

#[tokio::test]
async fn an_item_in_quarantine_loses_its_secrets_and_nothing_else() {
    let world = world();
    let items = [
        r#"{"log_id":"9001","log_id":"9001","password":"CANARY"}"#,
        r#"{"log_id":"9002","a":"\ud800","data":{"ticket":"CANARY"}}"#,
        r#"{"log_id":"9003","client_secret":"CANARY","a":"#,
        r#"{"log_id":"9004","headers":[["Authorization","CANARY"]],"a":1e999}"#,
    ];
    let receipt = world.intake.accept_source(&source(), items.join("\n").as_bytes()).await.unwrap();
    assert_eq!(receipt.quarantined, 4);
    let kept = world.stored(Stream::IntakeQuarantine.into()).await;
    for (log_id, (_, text)) in ["9001", "9002", "9003", "9004"].into_iter().zip(&kept) {
        assert!(text.contains(log_id) && text.contains("[masked]") && !text.contains("CANARY"), "{text}");
    }
}

#[tokio::test]
async fn a_bad_line_costs_only_itself_wherever_it_stands() {
    let world = world();
    let body =
        [b"garbage\n".as_slice(), event("").as_bytes(), b"\n{\"type\":\"\xff\"}\n", event("").as_bytes()]
            .concat();
    let producer = ProducerIdentity { id: "client:a".to_owned(), source: "a".to_owned() };
    let posted = Posted { body: &body, are_lines: true, idempotency_key: None };
    let receipts = world.intake.accept(&producer, posted).await.unwrap();
    assert_eq!(receipts.accepted.iter().map(|each| each.index).collect::<Vec<_>>(), [1, 3]);
    let rejected: Vec<_> = receipts.rejected.iter().map(|each| (each.index, each.error_key)).collect();
    assert_eq!(rejected, [(0, "malformedJson"), (2, "malformedJson")]);
    assert_eq!(receipts.rejected[1].detail, "not UTF-8 after byte 9");

    let pretty = format!("{:#}\n", serde_json::from_str::<serde_json::Value>(&event("")).unwrap());
    assert_eq!(world.post(&pretty.repeat(3)).await.accepted.len(), 3);

    let log = log("s", "");
    let body = [b"\xff\xfe\n".as_slice(), log.as_bytes(), b"\n{\"password\":\"\xff\"}"].concat();
    let receipt = world.intake.accept_source(&source(), &body).await.unwrap();
    assert_eq!((receipt.accepted, receipt.quarantined), (1, 2));
    let kept = world.stored(Stream::IntakeQuarantine.into()).await;
    assert!(kept.iter().all(|(_, text)| text.contains("not UTF-8")), "{kept:?}");
}

#[tokio::test]
async fn a_key_is_one_requests_whatever_streams_its_events_belong_to() {
    let world = world();
    let audit = r#"{"stream":"auditLog","date":"2026-01-31T11:00:00Z"}"#;
    let hook = r#"{"stream":"eventHookLog","timestamp":"2026-01-31T11:00:00Z"}"#;
    let mixed = format!("{}\n{audit}", event(""));
    assert_eq!(world.post_as("client:a", Some("k"), &mixed).await.unwrap().accepted.len(), 2);
    for other in [audit, hook, &format!("{hook}\n{}", event(""))] {
        let reused = world.post_as("client:a", Some("k"), other).await;
        assert!(matches!(reused, Err(IntakeError::KeyReused)), "{reused:?}");
    }
    assert_eq!(n_stored(&world).await, 2);
    let again = world.post_as("client:a", Some("k"), &mixed).await.unwrap();
    assert!(again.accepted.iter().all(|accepted| accepted.duplicate) && again.accepted.len() == 2);
}

#[tokio::test]
async fn a_large_delivery_is_stored_in_slices_and_answered_as_one() {
    let world = world_with(Limits { max_events: 200, ..Limits::default() });
    let large = event(&format!(r#","raw":"{}""#, "x".repeat(100_000)));
    let body = vec![large.as_str(); 100].join("\n");
    let first = world.post_as("client:a", Some("k"), &body).await.unwrap();
    assert_eq!(
        first.accepted.iter().map(|each| each.index).collect::<Vec<_>>(),
        (0..100).collect::<Vec<_>>()
    );
    assert_eq!(world.stored(StreamSet::product()).await.len(), 100);
    let again = world.post_as("client:a", Some("k"), &body).await.unwrap();
    assert!(again.accepted.iter().all(|accepted| accepted.duplicate));
    // What is needed beside the body does not grow with it.
    assert_eq!(intake::working_bytes(1 << 30), intake::working_bytes(32 << 20));
    assert!(intake::working_bytes(1 << 30) < body.len());
}
