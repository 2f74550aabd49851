//! Backlog budgets by API: what is taken and shown, how much time is left, and what the intake answers when one is spent.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ManualClock, Random, Timestamp};
use delivery::DiskSpace;
use http::{Method, StatusCode};
use journal::Journal;
use journal::local::{LocalJournal, LocalOptions};
use serde_json::{Value, json};
use testkit::disk::{Faults, SimDisk};
use testkit::net;

use crate::app::{App, JSON, SOURCES, STREAMING, event, splunk, with};

const VALUE: &str = "Bearer a-long-random-value";

/// An event of about so many bytes.
fn large_event(bytes: usize) -> String {
    event(&format!(r#","nativeClaims":{{"note":"{}"}}"#, "x".repeat(bytes)))
}

fn budgeted(name: &str, backlog: Value) -> Value {
    with(splunk(name), "/backlog", backlog)
}

impl App {
    /// Looks at backlogs, as the server does every ten seconds.
    async fn look(&self) {
        self.state.delivery.look_at_backlogs(0, Some(Duration::from_hours(720))).await.unwrap();
    }

    /// Stores events until more than a megabyte waits.
    async fn fill(&self) {
        for _ in 0..12 {
            let events: Vec<String> = (0..8).map(|_| large_event(12_000)).collect();
            for body in events.chunks(4) {
                let reply = self.post(&[JSON], format!("[{}]", body.join(","))).await;
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
            }
        }
    }
}

#[tokio::test]
async fn a_budget_is_shown_as_it_was_given_and_goes_when_it_is_omitted() {
    let app = App::new().await;
    let budget = json!({"maxBytes": 1 << 30, "maxAgeHours": 72, "whenSpent": "release"});
    let reply = app.call(Method::POST, STREAMING, budgeted("budgeted", budget.clone())).await;
    let path = reply.header("location").to_owned();
    let mut shown = app.get(&path).await.json();
    assert_eq!(shown["backlog"], budget);
    let same = app.call(Method::PUT, &path, shown.clone()).await;
    assert_eq!((same.status, &same.json()["backlog"]), (StatusCode::OK, &budget), "{}", same.text);
    shown.as_object_mut().unwrap().remove("backlog");
    assert_eq!(app.call(Method::PUT, &path, shown).await.json().get("backlog"), None);
    let written =
        app.create(STREAMING, budgeted("written", json!({"maxBytes": 1.5e9, "maxAgeHours": 72.0}))).await;
    assert_eq!(
        written["backlog"],
        json!({"maxBytes": 1_500_000_000, "maxAgeHours": 72, "whenSpent": "keep"})
    );
    let says_nothing = app.create(STREAMING, budgeted("same", json!({"whenSpent": "keep"}))).await;
    assert_eq!(says_nothing.get("backlog"), None, "{says_nothing}");
}

#[tokio::test]
async fn a_budget_that_makes_no_sense_is_refused_field_by_field() {
    let app = App::new().await;
    for (budget, field) in [
        (json!(5), "backlog"),
        (json!({"maxBytes": 1024}), "backlog.maxBytes"),
        (json!({"maxBytes": "1 GiB"}), "backlog.maxBytes"),
        (json!({"maxBytes": 1_500_000_000.5}), "backlog.maxBytes"),
        (json!({"maxAgeHours": 0}), "backlog.maxAgeHours"),
        (json!({"maxAgeHours": 876_001}), "backlog.maxAgeHours"),
        (json!({"whenSpent": "drop"}), "backlog.whenSpent"),
        (json!({"maxbytes": 1 << 30}), "backlog.maxbytes"),
    ] {
        let reply = app.call(Method::POST, STREAMING, budgeted("budgeted", budget.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{budget}");
        assert_eq!(reply.wrong_fields(), [field], "{budget}");
    }
}

#[tokio::test]
async fn intake_says_whose_budget_is_spent_and_takes_events_again_by_itself() {
    let app = App::new().await;
    app.net.set_faults(net::Faults { lost_request: 100, ..net::Faults::default() });
    let reply = app.call(Method::POST, STREAMING, budgeted("narrow", json!({"maxBytes": 1 << 20}))).await;
    let path = reply.header("location").to_owned();
    let source = json!({
        "name": "Auth0 (production)",
        "platform": {"kind": "auth0", "tenant": "shop.eu.auth0.com"},
        "authorization": [VALUE],
    });
    let source = app.create(SOURCES, source).await;
    app.fill().await;
    app.look().await;

    let refused = app.post(&[JSON], event("")).await;
    assert_eq!(
        (refused.status, refused.error_key()),
        (StatusCode::SERVICE_UNAVAILABLE, "backlogSpent".to_owned())
    );
    assert_eq!(refused.header("retry-after"), "30");
    for part in ["\"narrow\"", path.rsplit('/').next().unwrap(), "maxBytes", "1.0 MiB"] {
        assert!(refused.text.contains(&part.replace('"', "\\\"")), "{part}: {}", refused.text);
    }
    let webhook = format!("/intake/v1/sources/{}/auth0", source["id"].as_str().unwrap());
    let delivered = app.send(Method::POST, &webhook, &[("authorization", VALUE), JSON], "[]").await;
    assert_eq!(delivered.error_key(), "backlogSpent", "{}", delivered.text);

    // What idstream tells of itself is taken, and the configuration can be mended.
    let stored = app.n_stored().await;
    let wide = with(app.get(&path).await.json(), "/backlog/maxBytes", json!(1_u64 << 40));
    assert_eq!(app.call(Method::PUT, &path, wide).await.status, StatusCode::OK);
    assert!(api::audit::tell(&app.state).await);
    assert!(app.n_stored().await > stored, "the change is in the audit log");
    app.look().await;
    assert_eq!(app.post(&[JSON], event("")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_status_says_what_waits_and_how_much_time_is_left() {
    let app = App::new().await;
    app.net.set_faults(net::Faults { lost_request: 100, ..net::Faults::default() });
    let budget = json!({"maxBytes": 1 << 30, "maxAgeHours": 48, "whenSpent": "keep"});
    let reply = app.call(Method::POST, STREAMING, budgeted("budgeted", budget.clone())).await;
    let path = reply.header("location").to_owned();
    let backlog = async || app.get(&format!("{path}/status")).await.json()["backlog"].clone();
    assert!(api::audit::tell(&app.state).await);
    for _ in 0..2 {
        app.post(&[JSON], event("")).await;
    }
    app.look().await;
    app.clock.advance(Duration::from_hours(12));
    let status = backlog().await;
    assert_eq!(status["budget"], budget);
    assert_eq!(status["ageSeconds"], 12 * 3600);
    assert!(status["events"].as_u64().unwrap() >= 2 && status["bytes"].as_u64().unwrap() > 0, "{status}");
    assert_eq!((&status["limit"], &status["secondsLeft"]), (&json!("age"), &json!(36 * 3600)), "{status}");
    assert_eq!(status["spentAt"], "2026-02-02T12:00:00.000Z");
    assert_eq!(status["holdsRetention"], true);
    assert!(status["whatThen"].as_str().unwrap().contains("503"), "{status}");

    let releases = with(app.get(&path).await.json(), "/backlog", json!({"whenSpent": "release"}));
    assert_eq!(app.call(Method::PUT, &path, releases).await.status, StatusCode::OK);
    let status = backlog().await;
    assert_eq!(
        (&status["limit"], &status["holdsRetention"]),
        (&json!("retention"), &json!(false)),
        "{status}"
    );
    assert_eq!(status["secondsLeft"], (720 - 12) * 3600);
}

/// A journal on a disk of four megabytes, of which intake leaves one.
#[tokio::test]
async fn intake_refuses_before_the_disk_is_full_and_changes_are_still_told() {
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
    let disk = Arc::new(SimDisk::new(1));
    disk.set_faults(Faults { capacity: Some(4 << 20), ..Faults::default() });
    let as_clock: Arc<dyn Clock> = clock.clone();
    let journal =
        LocalJournal::open(disk, as_clock, Arc::new(Random::from_seed(1)), LocalOptions::default()).unwrap();
    let journal = Arc::new(journal);
    let app = App::with_journal(journal.clone(), clock).await;
    app.net.set_faults(net::Faults { lost_request: 100, ..net::Faults::default() });
    app.create(STREAMING, splunk("stuck")).await;
    let body = format!("[{}]", vec![large_event(10_000); 5].join(","));
    let space = journal.space().unwrap().unwrap();
    let stored = journal.head().stored_bytes;
    // Looked at once: what comes in afterwards counts.
    let measured = DiskSpace { free: space.free, reserve: 1 << 20, stored };
    app.state.delivery.backlogs().note_disk(Some(measured), app.state.clock.now());
    let mut n_taken = 0;
    let refused = loop {
        let reply = app.post(&[JSON], body.clone()).await;
        match reply.status {
            StatusCode::OK => n_taken += 1,
            _ => break reply,
        }
        assert!(n_taken < 1_000, "it was never refused");
    };
    assert_eq!(refused.error_key(), "backlogSpent", "{}", refused.text);
    assert!(refused.text.contains("reserve") && n_taken > 10, "{n_taken}: {}", refused.text);
    let free = journal.space().unwrap().unwrap().free;
    assert!(free > (1 << 20) - (1 << 18), "{free} bytes are left");

    app.create(STREAMING, splunk("another")).await;
    assert!(api::audit::tell(&app.state).await, "it is in the audit log");
}
