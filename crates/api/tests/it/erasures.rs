//! Erasing stored events: at once for every reader, then for good, and told without saying whose they were.

use std::sync::Arc;

use base::Secret;
use catalog::Keyring;
use custody::erasure::Subject;
use event::{Record, StreamSet};
use http::{Method, StatusCode};
use journal::{ConsumerCommand, ConsumerName, LeaseLimits, ReadRange, Settlement, StartAt, Tally};
use serde_json::{Value, json};

use testkit::net::Faults;

use crate::app::{App, EVENTS, JSON, STREAMING, splunk, with};

const ERASURES: &str = "/admin/api/v1/instance/erasures";

async fn post(app: &App, user: &str, number: u64) -> String {
    let body = json!({
        "type": "selfService", "endTimestamp": "2026-01-31T12:00:00Z",
        "eventID": format!("0197f3a0-6c1e-7000-8000-{number:012}"),
        "actor": {"userName": user},
    });
    let reply = app.call(Method::POST, EVENTS, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    format!("0197f3a0-6c1e-7000-8000-{number:012}")
}

/// Every stored record as text.
async fn stored(app: &App) -> Vec<String> {
    let streams: StreamSet = event::Stream::ALL.into_iter().collect();
    let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let blocks = app.journal.read(range).await.unwrap();
    let text = |record: Record<'_>| record.sections().map(|(_, text)| text.to_owned()).collect::<String>();
    blocks
        .iter()
        .flat_map(|block| block.records().map(|(_, record)| text(record)).collect::<Vec<_>>())
        .collect()
}

/// Waits for the end of an erasure: it is carried out beside the call.
async fn done(app: &App, path: &str) -> Value {
    loop {
        let reply = app.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let erasure = reply.json();
        if erasure["progress"] != "searching" && erasure["progress"] != "erasing" {
            return erasure;
        }
        tokio::task::yield_now().await;
    }
}

async fn erase(app: &App, body: Value) -> Value {
    let reply = app.call(Method::POST, ERASURES, body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    let path = reply.header("location").to_owned();
    done(app, &path).await
}

#[tokio::test]
async fn every_event_of_a_subject_is_gone_and_the_audit_log_does_not_say_whose() {
    let app = App::local().await;
    for (n, user) in ["ann@example.com", "bob@example.com", "ANN@example.com"].into_iter().enumerate() {
        post(&app, user, n as u64).await;
    }
    let counted = erase(&app, json!({"subject": "ann@example.com", "dryRun": true})).await;
    assert_eq!((&counted["nEvents"], &counted["progress"]), (&json!(2), &json!("done")));
    assert_eq!(stored(&app).await.iter().filter(|text| text.contains("userName")).count(), 3, "only counted");

    let erased = erase(&app, json!({"subject": "ann@example.com"})).await;
    assert_eq!(
        (&erased["nEvents"], &erased["progress"], &erased["kind"]),
        (&json!(2), &json!("done"), &json!("subject"))
    );
    assert!(erased["finishedAt"].is_string() && erased["digest"].as_str().unwrap().len() == 64);
    api::audit::tell(&app.state).await;
    let left = stored(&app).await;
    assert!(left.iter().any(|text| text.contains("bob@example.com")));
    assert!(
        left.iter().any(|text| text.contains(erased["digest"].as_str().unwrap())),
        "it is told: {left:?}"
    );
    let everything = format!("{left:?} {:?} {erased}", app.catalog.untold());
    assert!(!everything.to_lowercase().contains("ann@example"), "{everything}");
    let listed = app.get(ERASURES).await.json();
    assert_eq!(listed["content"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_event_is_erased_and_who_has_received_it_is_said() {
    let app = App::local().await;
    let name = ConsumerName::new("cfg/0197f3a0-6c1e-7000-8000-00000000c0f1").unwrap();
    let (streams, start) = (StreamSet::product(), StartAt::Now);
    let create = ConsumerCommand::Create { name: name.clone(), streams, start, until: None };
    app.journal.consumers(create).await.unwrap();
    let first = post(&app, "ann@example.com", 1).await;
    let second = post(&app, "ann@example.com", 2).await;
    let minute = std::time::Duration::from_mins(1);
    let limits = LeaseLimits { max_blocks: 1, max_bytes: 1, ttl: minute, wait: minute };
    let lease = app.journal.lease(&name, streams, limits).await.unwrap().remove(0);
    let tally = Tally { accepted: 1, ..Tally::default() };
    app.journal.settle(lease.id, Settlement::Done(tally)).await.unwrap();
    for (id, received, withheld) in [(first, 1, 0), (second, 0, 1)] {
        let erased = erase(&app, json!({"eventId": id})).await;
        assert_eq!((&erased["nEvents"], &erased["kind"]), (&json!(1), &json!("event")));
        let of = &erased["destinations"][0];
        assert_eq!((&of["received"], &of["withheld"]), (&json!(received), &json!(withheld)), "{erased}");
    }
    let lease = app.journal.lease(&name, streams, limits).await.unwrap().remove(0);
    assert_eq!((lease.block.n_records(), lease.block.n_gone()), (1, 1), "nothing of it is delivered");
}

/// Its destination was busy, so that the worker holds the event in memory and tries again.
#[tokio::test]
async fn what_a_worker_has_read_is_not_sent_any_more_once_it_is_erased() {
    let app = App::local().await;
    let created = app.call(Method::POST, STREAMING, splunk("watchtower")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    app.net.set_faults(Faults { busy: 100, ..Faults::default() });
    let requests = || app.net.taken(|taken| taken.requests);
    let before = requests();
    let erased_id = post(&app, "ann@example.com", 1).await;
    while requests() == before {
        tokio::task::yield_now().await;
    }
    let erased = erase(&app, json!({"eventId": erased_id})).await;
    assert_eq!(erased["destinations"][0]["withheld"], 1, "{erased}");
    app.net.set_faults(Faults::default());
    let kept_id = post(&app, "bob@example.com", 2).await;
    let is_taken = |id: &str| app.net.taken(|taken| taken.ids.contains_key(id));
    while !is_taken(&kept_id) {
        tokio::task::yield_now().await;
    }
    // The books close over both: nothing of the first is still to be sent.
    let path = format!("{}/status", created.header("location"));
    loop {
        let books = app.get(&path).await.json();
        if books.to_string().contains("\"pending\":0") {
            assert!(books.to_string().contains("\"erased\":1"), "{books}");
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!is_taken(&erased_id));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named_and_the_scope_is_its_own() {
    let app = App::local().await;
    for (body, fields) in [
        (json!({}), vec!["subject"]),
        (json!({"subject": "ann", "eventId": "x"}), vec!["subject"]),
        (json!({"subject": "an"}), vec!["subject"]),
        (json!({"eventId": "x"}), vec!["eventId"]),
        (json!({"subject": "ann", "dryRun": "yes"}), vec!["dryRun"]),
    ] {
        assert_eq!(app.call(Method::POST, ERASURES, body.clone()).await.wrong_fields(), fields, "{body}");
    }
    let token = app.client("changer", &["write:config_instance", "write:event"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let body = json!({"subject": "ann@example.com"}).to_string();
    let reply = app.send(Method::POST, ERASURES, &[("authorization", &bearer), JSON], body).await;
    assert_eq!(reply.error_key(), "insufficientScope");
    let model = App::new().await;
    let reply = model.call(Method::POST, ERASURES, json!({"subject": "ann@example.com"})).await;
    assert_eq!(reply.error_key(), "unavailable");
}

/// The server was stopped between the request and its end, or the caller hung up.
#[tokio::test]
async fn an_erasure_that_nobody_waits_for_is_carried_out_with_the_next_one() {
    let app = App::local().await;
    post(&app, "ann@example.com", 1).await;
    let erasures = app.state.erasures.clone().unwrap();
    let subject = Subject::Named(Secret::new("ann@example.com"));
    let made = erasures.request("e1".to_owned(), &subject, false, |_| json!({})).unwrap();
    assert_eq!(erasures.open(), std::slice::from_ref(&made.id));
    assert!(stored(&app).await.iter().any(|text| text.contains("ann@")), "it is not found yet");
    erase(&app, json!({"subject": "nobody@example.com"})).await;
    let erased = done(&app, &format!("{ERASURES}/{}", made.id)).await;
    assert_eq!(erased["nEvents"], 1);
    assert_eq!(erasures.open(), [""; 0]);
    assert!(!stored(&app).await.iter().any(|text| text.contains("ann@")));
}

/// A destination takes its time, and refuses the event only after it was searched for.
#[tokio::test]
async fn copies_that_a_worker_makes_while_the_event_is_erased_are_erased_too() {
    let app = App::local().await;
    let settings = json!({"url": "https://elastic.example.com", "apiKey": "k", "index": "i"});
    let body = with(splunk("watchtower"), "/type", json!("elasticsearch"));
    let created = app.call(Method::POST, STREAMING, with(body, "/configuration", settings)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let requests = || app.net.taken(|taken| taken.requests);
    let before = requests();
    app.net.set_faults(Faults { poison: 100, ..Faults::default() });
    app.net.hold_answers(true);
    post(&app, "ann@example.com", 1).await;
    while requests() == before {
        tokio::task::yield_now().await;
    }
    let reply = app.call(Method::POST, ERASURES, json!({"subject": "ann@example.com"})).await;
    let path = reply.header("location").to_owned();
    while app.get(&path).await.json()["progress"] != "erasing" {
        tokio::task::yield_now().await;
    }
    app.net.hold_answers(false);
    let erased = done(&app, &path).await;
    assert_eq!(erased["nEvents"], 2, "the event and its copy: {erased}");
    assert_eq!(erased["destinations"][0]["received"], 1, "it was done with: {erased}");
    let left = stored(&app).await;
    assert!(!left.iter().any(|text| text.contains("ann@")), "{left:?}");
}

/// The subject was sealed with a key that is gone.
#[tokio::test]
async fn an_erasure_that_fails_says_why_and_holds_up_no_other() {
    let app = App::local().await;
    post(&app, "bob@example.com", 1).await;
    let mut erasures = app.state.erasures.clone().unwrap();
    erasures.keyring = Arc::new(Keyring::new(&[8; 32]));
    let subject = Subject::Named(Secret::new("ann@example.com"));
    erasures.request("e1".to_owned(), &subject, false, |_| json!({})).unwrap();
    assert_eq!(erase(&app, json!({"subject": "bob@example.com"})).await["nEvents"], 1);
    let mut failed = app.get(&format!("{ERASURES}/e1")).await.json();
    // It may be tried after the other one.
    while failed.get("lastError").is_none() {
        tokio::task::yield_now().await;
        failed = app.get(&format!("{ERASURES}/e1")).await.json();
    }
    assert_eq!(failed["progress"], "searching");
    assert!(failed["lastError"].as_str().unwrap().contains("master key"), "{failed}");
}

#[tokio::test]
async fn only_so_many_erasures_are_open_at_a_time() {
    let app = App::local().await;
    let mut erasures = app.state.erasures.clone().unwrap();
    erasures.keyring = Arc::new(Keyring::new(&[8; 32]));
    let subject = Subject::Named(Secret::new("ann@example.com"));
    for n in 0..100 {
        erasures.request(format!("e{n}"), &subject, false, |_| json!({})).unwrap();
    }
    let reply = app.call(Method::POST, ERASURES, json!({"subject": "bob@example.com"})).await;
    assert_eq!(
        (reply.status, reply.error_key().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "tooManyRequests")
    );
    assert_eq!(erasures.open().len(), 100);
}
