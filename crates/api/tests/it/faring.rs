//! How configurations fare, as it is told: their states, pauses, and the attempts log.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::net::Faults;

use crate::app::{App, JSON, STREAMING, event, splunk, with};

/// A configuration of account events; its path.
async fn configured(app: &App, name: &str) -> String {
    let body = with(splunk(name), "/auditLogStreaming/enabled", json!(false));
    let created = app.call(Method::POST, STREAMING, body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    created.header("location").to_owned()
}

async fn post(app: &App) -> String {
    let reply = app.post(&[JSON], event("")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["accepted"][0]["eventID"].as_str().unwrap().to_owned()
}

/// Lets the worker do what there is to do.
async fn status(app: &App, path: &str) -> Value {
    tokio::time::sleep(Duration::from_secs(20)).await;
    app.get(&format!("{path}/status")).await.json()
}

#[tokio::test(start_paused = true)]
async fn a_status_says_the_state_its_reason_and_what_is_next() {
    let app = App::new().await;
    let path = configured(&app, "well").await;
    post(&app).await;
    let well = status(&app, &path).await;
    assert_eq!((&well["state"], &well["books"]["accepted"]), (&json!("active"), &json!(1)), "{well}");
    assert_eq!(well["recent"]["answers"]["200"], 1, "{well}");
    assert!(well["recent"]["lastMinute"]["eventsPerSecond"].as_f64().unwrap() > 0.0, "{well}");
    assert_eq!(well.get("reason"), None);

    app.net.set_faults(Faults { lost_request: 100, ..Faults::default() });
    post(&app).await;
    let down = status(&app, &path).await;
    assert_eq!(down["state"], "degraded", "{down}");
    assert!(
        down["reason"].is_string() && down["nextTryAt"].is_string() && down["since"].is_string(),
        "{down}"
    );
    assert!(down["whatNext"].as_str().unwrap().contains("sent again; the next try is at"), "{down}");
    assert!(down["recent"]["errors"][0]["count"].as_u64() > Some(1), "{down}");

    let all = app.get(&format!("{STREAMING}/status")).await.json();
    let brief = &all["content"][0];
    assert_eq!(
        (&brief["name"], &brief["state"], &brief["needsAttention"]),
        (&json!("well"), &json!("degraded"), &json!(true))
    );
    assert_eq!((&brief["pending"], &all["page"]["totalElements"]), (&json!(1), &json!(1)), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_configuration_sends_nothing_until_it_is_resumed_and_then_all() {
    let app = App::new().await;
    let path = configured(&app, "paused").await;
    let paused = app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.text);
    let again = app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    assert_eq!(
        (again.json(), again.header("etag")),
        (paused.json(), paused.header("etag")),
        "it stays paused"
    );
    post(&app).await;
    let held = status(&app, &path).await;
    assert_eq!((&held["state"], &held["since"]), (&json!("paused"), &paused.json()["pausedSince"]), "{held}");
    assert_eq!(
        (&held["enabled"], &held["books"]["pending"], &held["live"]),
        (&json!(true), &json!(1), &Value::Null)
    );
    assert_eq!(held["backlog"]["holdsRetention"], true);

    // What is read and put back leaves the pause as it is.
    let read = with(app.get(&path).await.json(), "/configuration/apiKeySet", Value::Null);
    assert_eq!(app.call(Method::PUT, &path, read).await.status, StatusCode::OK);
    assert_eq!(status(&app, &path).await["state"], "paused");

    // Without a body, as `whatNext` says it.
    let resumed = app.call(Method::POST, &format!("{path}/resume"), Value::Null).await;
    assert_eq!(
        (resumed.status, &resumed.json()["resumeFrom"]),
        (StatusCode::OK, &json!("continue")),
        "{}",
        resumed.text
    );
    let on = status(&app, &path).await;
    assert_eq!((&on["state"], &on["books"]["accepted"]), (&json!("active"), &json!(1)), "{on}");
    let twice = app.call(Method::POST, &format!("{path}/resume"), json!({"resumeFrom": "continue"})).await;
    assert_eq!(twice.error_key(), "notAwaitingChoice");
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_ends_in_a_choice_and_holds_what_it_held_until_then() {
    let app = App::new().await;
    let path = configured(&app, "long").await;
    app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    post(&app).await;
    app.clock.advance(Duration::from_hours(25));
    let asked = app.call(Method::POST, &format!("{path}/resume"), json!({})).await;
    assert_eq!(asked.json()["resumeFrom"], "awaiting choice", "{}", asked.text);
    let waiting = status(&app, &path).await;
    assert_eq!(
        (&waiting["state"], &waiting["books"]["pending"]),
        (&json!("awaitingChoice"), &json!(1)),
        "{waiting}"
    );
    assert_eq!(waiting["backlog"]["holdsRetention"], true);
    let given_up = app.call(Method::POST, &format!("{path}/resume"), json!({"resumeFrom": "now"})).await;
    assert_eq!(given_up.json()["discarded"], 1, "{}", given_up.text);
    post(&app).await;
    let on = status(&app, &path).await;
    assert_eq!(
        (&on["state"], &on["books"]["discarded"], &on["books"]["accepted"]),
        (&json!("active"), &json!(1), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_disabled_configuration_is_disabled_since_then_and_cannot_be_paused() {
    let app = App::new().await;
    let path = configured(&app, "off").await;
    app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    let body = with(app.get(&path).await.json(), "/enabled", json!(false));
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(app.call(Method::PUT, &path, body).await.status, StatusCode::OK);
    let off = status(&app, &path).await;
    assert_eq!(
        (&off["state"], &off["since"]),
        (&json!("disabled"), &json!("2026-01-31T13:00:00.000Z")),
        "{off}"
    );
    assert_eq!(app.get(&path).await.json().get("pausedSince"), None, "the pause is over");
    let refused = app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    assert_eq!(refused.error_key(), "notEnabled");
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_an_event_are_found_with_what_was_sent_and_received() {
    let app = App::new().await;
    let path = configured(&app, "attempts").await;
    let first = post(&app).await;
    status(&app, &path).await;
    app.net.set_faults(Faults { busy: 100, ..Faults::default() });
    let second = post(&app).await;
    status(&app, &path).await;

    let all = app.get(&format!("{path}/attempts?size=1000")).await.json();
    let failed = app.get(&format!("{path}/attempts?failed=true&size=1000")).await.json();
    let (n_all, n_failed) = (&all["page"]["totalElements"], &failed["page"]["totalElements"]);
    assert_eq!(n_all.as_u64().unwrap(), n_failed.as_u64().unwrap() + 1, "{all}");
    let newest = &failed["content"][0];
    assert_eq!(
        (&newest["events"], &newest["outcomes"]["retry"], &newest["streams"]),
        (&json!(1), &json!(1), &json!(["accountEvent"]))
    );
    assert!(newest["reason"].is_string() && newest["tries"].as_u64() > Some(1), "{newest}");

    let of_first = app.get(&format!("{path}/attempts?eventID={first}")).await.json();
    assert_eq!(of_first["page"]["totalElements"], 1, "{of_first}");
    let n = &of_first["content"][0]["n"];
    let seen = app.get(&format!("{path}/attempts/{n}")).await.json();
    let detail = &seen["detail"];
    assert_eq!(
        (&detail["method"], &detail["request"]["headers"]["authorization"]),
        (&json!("POST"), &json!("[masked]")),
        "{seen}"
    );
    assert!(detail["request"]["body"].as_str().unwrap().contains(&first), "{seen}");
    assert!(!detail["request"]["body"].as_str().unwrap().contains(&second), "{seen}");
    assert!(detail["answer"]["body"].is_string() && detail["eventIDs"] == json!([first]), "{seen}");

    assert_eq!(app.get(&format!("{path}/attempts/99999")).await.error_key(), "notFound");
    assert_eq!(app.get(&format!("{path}/attempts?failed=yes")).await.wrong_fields(), ["failed"]);
    let blind = app.client("blind", &["read:config_instance"]).await;
    let as_blind = format!("Bearer {}", blind.expose());
    let ask = |path: String, token: &str| {
        let headers = [("authorization", token.to_owned())];
        let app = &app;
        async move {
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            app.send(Method::GET, &path, &headers, "").await.status
        }
    };
    assert_eq!(ask(format!("{path}/attempts"), &as_blind).await, StatusCode::OK);
    assert_eq!(
        ask(format!("{path}/attempts/{n}"), &as_blind).await,
        StatusCode::FORBIDDEN,
        "bodies hold events"
    );
}
