//! Changes of configurations that fail, or meet what is damaged or somebody else's: nothing else is touched by them.

use base::Clock;
use catalog::Document;
use delivery::Configuration;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

/// A stored configuration of any form.
#[derive(Serialize, Deserialize)]
struct Raw(Value);

impl Document for Raw {
    const KIND: &'static str = Configuration::KIND;
}

/// A configuration: its path, and what is put.
async fn created(app: &App, body: Value) -> (String, Value) {
    let created = app.call(Method::POST, STREAMING, body.clone()).await;
    let id = created.json()["id"].clone();
    (created.header("location").to_owned(), with(body, "/id", id))
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_read_stops_no_other_and_can_be_deleted() {
    let app = App::new().await;
    let (path, body) = created(&app, splunk("readable")).await;
    app.catalog.create("broken", &Raw(json!({"from": "the future"})), None).unwrap();
    let page = app.get(STREAMING).await.json();
    assert_eq!(
        (&page["page"]["totalElements"], &page["content"][0]["name"]),
        (&json!(1), &json!("readable"))
    );
    let renamed = with(body, "/name", json!("renamed"));
    assert_eq!(app.call(Method::PUT, &path, renamed).await.status, StatusCode::OK);
    assert_eq!(app.call(Method::POST, STREAMING, splunk("another")).await.status, StatusCode::CREATED);

    let broken = format!("{STREAMING}/broken");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let status = app.get(&format!("{broken}/status")).await.json();
    assert_eq!((&status["enabled"], &status["state"]), (&Value::Null, &json!("stopped")), "{status}");
    assert!(status["live"]["lastError"].as_str().unwrap().contains("broken cannot be read"), "{status}");

    let token = format!("Bearer {}", app.admin);
    let stale = [("authorization", token.as_str()), ("if-match", "\"2\"")];
    let refused = app.send(Method::DELETE, &broken, &stale, "").await;
    assert_eq!(refused.error_key(), "preconditionFailed");
    let known = [("authorization", token.as_str()), ("if-match", "\"1\"")];
    assert_eq!(app.send(Method::DELETE, &broken, &known, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.call(Method::DELETE, &broken, Value::Null).await.error_key(), "notFound");
    assert_eq!(app.get(&format!("{broken}/status")).await.error_key(), "notFound");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_is_not_announced_and_makes_no_place() {
    let app = App::new().await;
    let (path, body) = created(&app, splunk("one")).await;
    created(&app, splunk("two")).await;
    let id = body["id"].as_str().unwrap();
    delivery::dismiss(&*app.journal, id).await.unwrap();
    let n_requests = || app.net.taken(|taken| taken.requests);
    let before = n_requests();
    let silenced = with(with(body.clone(), "/enabled", json!(false)), "/name", json!("two"));
    assert_eq!(app.call(Method::PUT, &path, silenced).await.error_key(), "nameTaken");
    assert_eq!(n_requests(), before);
    assert!(!delivery::is_admitted(&*app.journal, id).await.unwrap());

    let silenced = with(body.clone(), "/enabled", json!(false));
    assert_eq!(app.call(Method::PUT, &path, silenced).await.status, StatusCode::OK);
    assert_eq!(n_requests(), before + 1, "its last words");
    assert!(delivery::is_admitted(&*app.journal, id).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_delivers_nothing_is_told_nothing_when_it_is_changed_or_deleted() {
    let app = App::new().await;
    let (path, body) = created(&app, splunk("one")).await;
    let mut found = app.catalog.get::<Configuration>(body["id"].as_str().unwrap()).unwrap();
    found.value.resume.awaits_since = Some(app.clock.now());
    app.catalog.replace(&found.value.id, &found.value, found.revision, None).unwrap();
    let before = app.net.taken(|taken| taken.requests);
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.net.taken(|taken| taken.requests), before);
}

#[tokio::test(start_paused = true)]
async fn selections_whose_events_are_not_settled_are_kept_up_to_a_number_and_others_are_merged() {
    let app = App::new().await;
    let (path, body) = created(&app, with(splunk("full"), "/enabled", json!(false))).await;
    let put = async |n: usize| {
        let on = json!(n.is_multiple_of(2));
        app.call(Method::PUT, &path, with(body.clone(), "/eventHookLogStreaming", json!({"enabled": on})))
            .await
    };
    for n in 0..200 {
        assert_eq!(put(n).await.status, StatusCode::OK, "no event came in between");
    }
    for n in 0..100 {
        assert_eq!(app.post(&[JSON], event("")).await.status, StatusCode::OK);
        assert_eq!(put(n).await.status, StatusCode::OK, "{n}");
    }
    app.post(&[JSON], event("")).await;
    let refused = put(100).await;
    assert_eq!((refused.status, refused.error_key().as_str()), (StatusCode::CONFLICT, "limitReached"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("resumeFrom"), "{}", refused.text);
    assert_eq!(put(99).await.status, StatusCode::OK, "it selects the same");
    let enabled = with(with(body.clone(), "/enabled", json!(true)), "/resumeFrom", json!("now"));
    let enabled = with(enabled, "/eventHookLogStreaming", json!({"enabled": false}));
    assert_eq!(app.call(Method::PUT, &path, enabled).await.status, StatusCode::OK);
    assert_eq!(put(100).await.status, StatusCode::OK, "what was kept is settled");
}
