//! Sign-ins of API clients, and attempts at them, are account events of idstream's own: few, and without what was tried.

use std::time::Duration;

use api::sign_in::tell;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event::{Section, Stream, StreamSet};
use http::{Method, StatusCode};
use journal::{AppendError, JournalError, ReadRange};
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, EVENTS, Reply, SOURCES, STREAMING, event};
use crate::failures::broken;

const HERE: &str = "203.0.113.7";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const AGENT: (&str, &str) = ("user-agent", "curl/8");
/// Looks like an id, and is nobody's.
const NOBODY: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";

/// A client's id and secret.
async fn client(app: &App, name: &str) -> (String, String) {
    let body = json!({"name": name, "scopes": ["read:config_instance"]});
    let created = app.call(Method::POST, CLIENTS, body).await.json();
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    (text("id"), text("clientSecret"))
}

async fn ask(app: &App, id: &str, secret: &str) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let form = "grant_type=client_credentials&audience=https%3A%2F%2Fidstream.example.com&scope=read:config_instance";
    app.send_from(HERE, Method::POST, "/oauth2/token", &[("authorization", &basic), FORM, AGENT], form).await
}

async fn call(app: &App, path: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    app.send_from(HERE, Method::GET, path, &[("authorization", &bearer), AGENT], "").await
}

/// The account events in the journal, whole.
async fn told(app: &App) -> Vec<Value> {
    assert!(tell(&app.state).await);
    let streams = StreamSet::from_iter([Stream::AccountEvent]);
    let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let mut found = Vec::new();
    for block in app.journal.read(range).await.unwrap() {
        for (_, record) in block.records() {
            let mut event: Value =
                serde_json::from_str(&format!("{{{}}}", record.section(Section::Header).unwrap())).unwrap();
            event["actions"] = serde_json::from_str(record.section(Section::Actions).unwrap()).unwrap();
            assert_eq!(record.section(Section::Source), Some("idstream"));
            found.push(event);
        }
    }
    found
}

#[tokio::test]
async fn a_token_that_is_given_is_the_sign_in_of_its_client() {
    let app = App::new().await;
    let (id, secret) = client(&app, "reader").await;
    let token = ask(&app, &id, &secret).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(call(&app, STREAMING, &token).await.status, StatusCode::OK, "using it is no event");
    let events = told(&app).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(
        (&event["type"], &event["sourceEventType"]),
        (&json!("customerFlow"), &json!("client_credentials"))
    );
    assert_eq!((&event["outcome"], &event["labels"]), (&json!("success"), &json!(["success:login"])));
    assert_eq!(event["actorClient"], json!({"id": id, "name": "reader"}));
    assert_eq!(
        event["actor"],
        json!({"accountId": id, "userName": "reader", "ip": HERE, "userAgent": "curl/8"})
    );
    assert!(!format!("{events:?}").contains(&secret) && !format!("{events:?}").contains(&token));
}

#[tokio::test]
async fn each_way_to_fail_is_told_with_its_reason_and_never_with_what_was_tried() {
    let app = App::new().await;
    let (id, secret) = client(&app, "reader").await;
    let body =
        json!({"name": "short", "scopes": ["read:config_instance"], "expiresAt": "2026-01-31T12:00:10Z"});
    let short = app.call(Method::POST, CLIENTS, body).await.json();
    app.clock.advance(Duration::from_secs(10));
    ask(&app, &id, "CANARY-secret").await;
    ask(&app, "CANARY-in-the-wrong-field", &secret).await;
    call(&app, STREAMING, short["token"].as_str().unwrap()).await;
    call(&app, STREAMING, &format!("ids_{id}_CANARY")).await;
    call(&app, STREAMING, &format!("ids_{NOBODY}_CANARY")).await;
    call(&app, STREAMING, "idt_CANARY").await;
    call(&app, STREAMING, "CANARY").await;
    let events = told(&app).await;
    let shown: Vec<_> = events
        .iter()
        .map(|event| {
            (event["sourceEventType"].clone(), event["labels"][0].clone(), event["actorClient"]["id"].clone())
        })
        .collect();
    let expected = |way: &str, reason: &str, id: Value| (json!(way), json!(format!("failure:{reason}")), id);
    assert_eq!(
        shown,
        [
            expected("client_credentials", "wrong_secret", json!(id)),
            expected("client_credentials", "unknown_client", Value::Null),
            expected("bearer_token", "expired", short["id"].clone()),
            expected("bearer_token", "wrong_secret", json!(id)),
            expected("bearer_token", "unknown_client", json!(NOBODY)),
            expected("bearer_token", "wrong_token", Value::Null),
        ]
    );
    for event in &events {
        assert_eq!((&event["outcome"], &event["labels"][1]), (&json!("failure"), &json!("failure:login")));
        assert_eq!((&event["actor"]["ip"], &event["actor"]["userAgent"]), (&json!(HERE), &json!("curl/8")));
    }
    let text = format!("{events:?}");
    assert!(!text.contains("CANARY") && !text.contains(&secret), "{text}");
}

#[tokio::test]
async fn what_is_repeated_is_told_once_more_with_its_number() {
    let app = App::new().await;
    let (id, _) = client(&app, "reader").await;
    for _ in 0..50 {
        ask(&app, &id, "wrong").await;
        app.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(told(&app).await.len(), 1, "the first at once");
    app.clock.advance(Duration::from_secs(10));
    let events = told(&app).await;
    assert_eq!(events.len(), 2, "{events:?}");
    let repeated = &events[1];
    assert_eq!((&repeated["actions"][0]["count"], &repeated["durationMs"]), (&json!(49), &json!(48_000)));
    assert_eq!(
        (&repeated["actorClient"]["id"], &repeated["labels"][0]),
        (&json!(id), &json!("failure:wrong_secret"))
    );
}

#[tokio::test]
async fn a_flood_becomes_few_events_and_hides_no_success() {
    let app = App::new().await;
    let (id, secret) = client(&app, "reader").await;
    for n in 0..300 {
        let address = format!("198.51.100.{}", n % 100);
        let bearer = ("authorization", "Bearer ids_x_y");
        app.send_from(&address, Method::GET, STREAMING, &[bearer], "").await;
    }
    assert_eq!(ask(&app, &id, &secret).await.status, StatusCode::OK);
    app.clock.advance(Duration::from_mins(1));
    let events = told(&app).await;
    assert_eq!(events.len(), 60, "29 kinds, each repeated, the sum of the others, and the success");
    let count = |event: &Value| event["actions"][0]["count"].as_u64().unwrap();
    assert_eq!(events.iter().map(count).sum::<u64>(), 301);
    let sum = events.iter().find(|event| event["sourceEventType"] == "sign_ins").unwrap();
    assert_eq!((&sum["labels"][0], count(sum)), (&json!("failure:various"), 71 * 3));
    assert_eq!(events.iter().filter(|event| event["outcome"] == "success").count(), 1);
}

#[tokio::test]
async fn the_sum_of_many_that_succeeded_is_a_success() {
    let app = App::new().await;
    for n in 0..31 {
        let (id, secret) = client(&app, &format!("reader {n}")).await;
        assert_eq!(ask(&app, &id, &secret).await.status, StatusCode::OK);
    }
    app.clock.advance(Duration::from_mins(1));
    let events = told(&app).await;
    let sum = events.last().unwrap();
    assert_eq!((events.len(), &sum["sourceEventType"]), (30, &json!("sign_ins")));
    assert_eq!((&sum["outcome"], &sum["labels"]), (&json!("success"), &json!(["success:login"])));
    assert_eq!(sum["actions"][0]["count"], 2);
}

#[tokio::test]
async fn a_call_without_a_credential_is_no_event() {
    let app = App::new().await;
    app.send_from(HERE, Method::POST, EVENTS, &[], event("")).await;
    app.send_from(HERE, Method::GET, STREAMING, &[], "").await;
    assert_eq!(told(&app).await.len(), 0);
}

#[tokio::test]
async fn a_token_is_given_also_while_the_journal_takes_nothing() {
    let app = broken(|| AppendError::Journal(JournalError::Poisoned)).await;
    let (id, secret) = client(&app, "reader").await;
    assert_eq!(ask(&app, &id, &secret).await.status, StatusCode::OK);
    assert!(!tell(&app.state).await && !tell(&app.state).await, "its event goes on waiting");
    assert_eq!(ask(&app, &id, "wrong").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_credentials_at_the_intake_are_told_too() {
    let app = App::new().await;
    let source = json!({
        "name": "Auth0", "platform": {"kind": "auth0", "tenant": "shop.eu.auth0.com"},
        "authorization": ["Bearer a-long-random-value"],
    });
    let source = app.call(Method::POST, SOURCES, source).await.json();
    let webhook = format!("/intake/v1/sources/{}/auth0", source["id"].as_str().unwrap());
    for path in [EVENTS, &webhook] {
        let bearer = ("authorization", "Bearer ids_x_CANARY");
        let reply = app.send_from(HERE, Method::POST, path, &[bearer, AGENT], "{}").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        app.send_from(HERE, Method::POST, &webhook, &[AGENT], "{}").await.status,
        StatusCode::UNAUTHORIZED
    );
    let events = told(&app).await;
    let ways: Vec<_> = events.iter().map(|event| &event["sourceEventType"]).collect();
    assert_eq!(ways, ["bearer_token", "webhook"], "who brings none tries nothing");
    assert!(events.iter().all(|event| event["actor"]["ip"] == HERE), "{events:?}");
    assert!(!format!("{events:?}").contains("CANARY"));
}
