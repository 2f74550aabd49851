//! Trying configurations out: what is sent, what is shown, and what is never sent or shown.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::net::Faults;

use crate::app::{App, STREAMING, splunk, with};

fn sent(app: &App) -> Vec<Value> {
    let body = app.net.taken(|taken| taken.last_body.clone());
    serde_json::Deserializer::from_slice(&body).into_iter().map(Result::unwrap).collect()
}

#[tokio::test(start_paused = true)]
async fn a_disabled_configuration_is_tried_with_a_complete_document_of_each_stream() {
    let app = App::new().await;
    let body = with(splunk("disabled"), "/enabled", json!(false));
    let body = with(
        body,
        "/accountEventStreaming",
        json!({
            "enabled": true, "includeActions": true, "nativeClaims": [{"id": "builtin-email"}],
        }),
    );
    let body = with(body, "/eventHookLogStreaming", json!({"enabled": false}));
    let path = app.call(Method::POST, STREAMING, body).await.header("location").to_owned();
    let tried = app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
    assert_eq!(tried.status, StatusCode::OK);
    assert_eq!(tried.json()["statusCode"], 200);
    assert_eq!(tried.json()["headers"]["content-type"], "application/json; charset=UTF-8");
    assert_eq!(tried.json()["body"], r#"{"code":0,"text":"Success"}"#);

    let events: Vec<Value> = sent(&app).into_iter().map(|envelope| envelope["event"].clone()).collect();
    let streams: Vec<&str> = events.iter().map(|event| event["stream"].as_str().unwrap()).collect();
    assert_eq!(streams, ["accountEvent", "auditLog"]);
    let ids: BTreeSet<&str> = events.iter().map(|event| event["eventID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2, "each has an id of its own");
    for event in &events {
        assert_eq!((&event["test"], event.get("journalOffset")), (&json!(true), None));
        assert!(event["eventLink"].as_str().unwrap().ends_with(event["eventID"].as_str().unwrap()));
    }
    assert_eq!(events[0]["nativeClaims"], json!({"email": "sample.user@example.com"}));
    assert!(events[0]["actions"].is_array() && events[0].get("raw").is_none());
    let books = app.get(&format!("{path}/status")).await.json()["books"].clone();
    assert_eq!((&books["appended"], &books["pending"]), (&json!(0), &json!(0)), "nothing of it is counted");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_cause_and_what_to_look_at_are_told() {
    let app = App::new().await;
    let path = app.call(Method::POST, STREAMING, splunk("down")).await.header("location").to_owned();
    for (faults, cause) in [
        (Faults { lost_request: 100, ..Faults::default() }, "the connection was refused: check"),
        (Faults { hang: 100, ..Faults::default() }, "no answer within 20 seconds: check"),
    ] {
        app.net.set_faults(faults);
        let tried = app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
        assert_eq!((tried.status, &tried.json()["statusCode"]), (StatusCode::OK, &json!(0)));
        assert!(tried.json()["body"].as_str().unwrap().starts_with(cause), "{}", tried.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_configuration_is_tried_before_it_is_stored_and_a_stored_secret_is_not_sent_elsewhere() {
    let app = App::new().await;
    let unsaved = format!("{STREAMING}/test");
    let tried = app.call(Method::POST, &unsaved, splunk("not yet")).await;
    assert_eq!((tried.status, &tried.json()["statusCode"]), (StatusCode::OK, &json!(200)));
    assert_eq!(app.get(STREAMING).await.json()["page"]["totalElements"], 0);

    let created = app.call(Method::POST, STREAMING, splunk("stored")).await.json();
    let url = created["configuration"]["url"].clone();
    let edited = with(splunk("edited"), "/id", created["id"].clone());
    let edited = with(edited, "/configuration", json!({"url": url}));
    let tried = app.call(Method::POST, &unsaved, edited.clone()).await;
    assert_eq!(tried.json()["statusCode"], 200, "{}", tried.text);
    let requests = app.net.taken(|taken| taken.requests);
    let elsewhere = with(edited, "/configuration/url", json!("https://elsewhere.example.com:8088"));
    let refused = app.call(Method::POST, &unsaved, elsewhere).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["fieldErrors"][0]["field"], "configuration.apiKey");
    assert_eq!(app.net.taken(|taken| taken.requests), requests, "nothing was sent");
    let unknown = with(splunk("x"), "/id", json!("nobody"));
    assert_eq!(app.call(Method::POST, &unsaved, unknown).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_repeats_the_credential_is_shown_without_it() {
    let app = App::new().await;
    app.net.set_faults(Faults { echo: 100, ..Faults::default() });
    for (vendor, settings) in [
        ("splunk", json!({"url": "https://s.example.com", "apiKey": "CANARY-1234"})),
        ("elasticsearch", json!({"url": "https://e.example.com", "apiKey": "id:CANARY-1234"})),
    ] {
        let body = with(with(splunk(vendor), "/type", json!(vendor)), "/configuration", settings);
        let tried = app.call(Method::POST, &format!("{STREAMING}/test"), body).await;
        assert_eq!(tried.json()["statusCode"], 401);
        let text = tried.text;
        // "id:CANARY-1234" as it is sent: base64.
        assert!(
            text.contains("[masked]") && !text.contains("CANARY") && !text.contains("aWQ6Q0FOQVJZ"),
            "{text}"
        );
    }
}
