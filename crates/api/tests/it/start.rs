//! Where a new configuration begins.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

const HOUR: Duration = Duration::from_hours(1);

/// Three events, an hour apart; the last one an hour ago.
async fn with_events() -> App {
    let app = App::new().await;
    for number in 0..3 {
        let body = event(&format!(r#","subject":{{"userName":"user {number}"}}"#));
        assert_eq!(app.post(&[JSON], body).await.status, StatusCode::OK);
        app.clock.advance(HOUR);
    }
    app
}

async fn create(app: &App, name: &str, from: &str, enabled: bool) -> (String, Value) {
    let body = with(splunk(name), "/auditLogStreaming/enabled", json!(false));
    let body = with(with(body, "/startFrom", json!(from)), "/enabled", json!(enabled));
    let reply = app.call(Method::POST, STREAMING, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    (reply.header("location").to_owned(), reply.json())
}

/// Events that were delivered when nothing is pending.
async fn delivered(app: &App, path: &str) -> Value {
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let books = app.get(&format!("{path}/status")).await.json()["books"].clone();
        if books["pending"] == 0 {
            return books["accepted"].clone();
        }
    }
    panic!("it does not come to rest: {}", app.get(&format!("{path}/status")).await.text);
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_begins_now_or_where_it_is_told_and_says_what_lies_before_it() {
    let app = with_events().await;
    for (from, n_events) in
        [("now", 0), ("earliest", 3), ("2026-01-31T12:59:59Z", 2), ("2026-01-31T14:30:00Z", 0)]
    {
        let (path, shown) = create(&app, &format!("from {from}"), from, true).await;
        let starts_at = &shown["startsAt"];
        assert_eq!(starts_at["events"], n_events, "{from}: {shown}");
        assert_eq!(starts_at.get("storedAt").is_some(), n_events > 0, "{from}: {shown}");
        assert_eq!(delivered(&app, &path).await, n_events, "{from}");
        assert!(app.get(&path).await.json().get("startsAt").is_none(), "it is answered once");
        let status = app.get(&format!("{path}/status")).await.json();
        assert!(status["startedFrom"].is_string() && status.get("awaitingChoice").is_none(), "{status}");
    }
    let silent = app.create(STREAMING, splunk("says nothing")).await;
    assert!(silent.get("startsAt").is_none(), "{silent}");
}

#[tokio::test(start_paused = true)]
async fn a_start_beyond_retention_is_told() {
    let app = with_events().await;
    app.journal.trim(2).await.unwrap();
    let (_, shown) = create(&app, "from the past", "2026-01-31T12:00:00Z", true).await;
    assert_eq!(
        (&shown["startsAt"]["block"], &shown["startsAt"]["events"]),
        (&json!(2), &json!(2)),
        "{shown}"
    );
    assert!(shown["startsAt"]["remark"].as_str().unwrap().contains("retention"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_made_disabled_keeps_its_start_and_awaits_no_choice() {
    let app = with_events().await;
    let (path, shown) = create(&app, "made disabled", "earliest", false).await;
    app.clock.advance(HOUR * 48);
    let body = with(with(splunk("made disabled"), "/id", shown["id"].clone()), "/enabled", json!(true));
    let body = with(body, "/auditLogStreaming/enabled", json!(false));
    assert_eq!(app.call(Method::PUT, &path, body).await.status, StatusCode::OK);
    assert!(app.get(&path).await.json().get("awaitingChoiceSince").is_none());
    assert_eq!(delivered(&app, &path).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_makes_no_sense_is_refused_and_so_is_one_of_a_configuration_that_is_there() {
    let app = with_events().await;
    for from in [json!("tomorrow"), json!("2027-01-01T00:00:00Z"), json!(5), json!("")] {
        let body = with(splunk("from nowhere"), "/startFrom", from.clone());
        let reply = app.call(Method::POST, STREAMING, body).await;
        assert_eq!(
            (reply.status, reply.wrong_fields()),
            (StatusCode::BAD_REQUEST, vec!["startFrom".to_owned()]),
            "{from}"
        );
    }
    let (path, shown) = create(&app, "is there", "now", true).await;
    let body = with(with(splunk("is there"), "/id", shown["id"].clone()), "/startFrom", json!("earliest"));
    let reply = app.call(Method::PUT, &path, body).await;
    assert_eq!(reply.wrong_fields(), ["startFrom"]);
    assert!(reply.text.contains("use a replay"), "{}", reply.text);
}
