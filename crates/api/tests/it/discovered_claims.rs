//! Claims that events carry are offered until somebody names them.

use std::sync::Arc;

use api::{ApiParts, ApiState, native_claims};
use base::Random;
use base::mask::MaskRule;
use http::{Method, StatusCode};
use intake::{DiscoveredClaims, Intake, Limits, Posted, ProducerIdentity};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::{App, CLAIMS, JSON, LIMITS, event};

async fn offer(app: &App, query: &str) -> Vec<String> {
    let reply = app.get(&format!("{CLAIMS}/discovered?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let content = reply.json()["content"].as_array().unwrap().clone();
    content.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

async fn post(app: &App, claims: &str) {
    let reply = app.post(&[JSON], event(&format!(r#","nativeClaims":{claims}"#))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

/// What the server does once a second.
async fn keep(app: &App) {
    native_claims::run(app.state.clone(), watch::channel(true).1).await;
}

fn kept(app: &App) -> Vec<String> {
    let found = app.catalog.get::<DiscoveredClaims>(DiscoveredClaims::ID).unwrap();
    found.value.claims.into_iter().map(|each| each.name).collect()
}

#[tokio::test]
async fn a_claim_that_came_with_an_event_is_offered_with_when_and_from_whom() {
    let app = App::new().await;
    post(&app, r#"{"email":"e","tier":"gold","shoe-size":42,"none":null}"#).await;
    let first =
        json!({"name": "tier", "firstSeenAt": "2026-01-31T12:00:00.000Z", "sourceId": "administrator"});
    let reply = app.get(&format!("{CLAIMS}/discovered")).await.json();
    assert_eq!((&reply["content"], &reply["page"]["totalElements"]), (&json!([first]), &json!(1)));

    app.clock.advance(std::time::Duration::from_secs(1));
    keep(&app).await;
    post(&app, r#"{"tier":"silver","Level":1}"#).await;
    assert_eq!(offer(&app, "").await, ["tier", "Level"], "stored and fresh ones, each once");
    assert_eq!(offer(&app, "sort=name").await, ["Level", "tier"]);
    assert_eq!(offer(&app, "name=LEV").await, ["Level"]);
    assert_eq!(offer(&app, "sort=firstSeenAt,desc&size=1").await, ["Level"]);
    keep(&app).await;
    assert_eq!(kept(&app), ["tier", "Level"]);
    let revision = || app.catalog.get::<DiscoveredClaims>(DiscoveredClaims::ID).unwrap().revision;
    let before = revision();
    post(&app, r#"{"tier":"gold","Level":1}"#).await;
    keep(&app).await;
    assert_eq!(revision(), before, "nothing is new, so nothing is written");
}

#[tokio::test]
async fn an_event_that_was_not_stored_offers_nothing() {
    let app = App::new().await;
    let rejected = r#"{"type":"selfService","nativeClaims":{"tier":1}}"#;
    app.post(&[JSON], rejected).await;
    assert_eq!(offer(&app, "").await, [""; 0]);
}

#[tokio::test]
async fn a_claim_of_that_name_takes_it_out_of_the_offer_and_leaves_it_again() {
    let app = App::new().await;
    post(&app, r#"{"tier":1,"level":1,"points":1}"#).await;
    keep(&app).await;
    let created = app.create(CLAIMS, json!({"name": "tier", "displayName": "Tier"})).await;
    assert_eq!(offer(&app, "").await, ["level", "points"]);
    assert_eq!(kept(&app), ["level", "points"]);
    let path = format!("{CLAIMS}/{}", created["id"].as_str().unwrap());
    let body = json!({"id": created["id"], "name": "level", "displayName": "Tier"});
    assert_eq!(app.call(Method::PUT, &path, body).await.status, StatusCode::OK);
    assert_eq!(offer(&app, "").await, ["points"]);

    post(&app, r#"{"tier":1,"level":1}"#).await;
    assert_eq!(offer(&app, "").await, ["points", "tier"], "no claim has the name any more");
    app.call(Method::DELETE, &path, Value::Null).await;
    post(&app, r#"{"level":1}"#).await;
    assert_eq!(offer(&app, "").await, ["points", "tier", "level"]);
}

#[tokio::test]
async fn what_is_offered_is_known_after_a_restart() {
    let app = App::new().await;
    post(&app, r#"{"tier":1}"#).await;
    keep(&app).await;
    let old = &app.state;
    let random = Arc::new(Random::from_seed(9));
    let intake = Arc::new(Intake::new(
        Arc::clone(&app.journal),
        Arc::clone(&old.clock),
        random,
        MaskRule::default(),
        Limits::default(),
    ));
    let _restarted = ApiState::new(ApiParts {
        catalog: app.catalog.clone(),
        keyring: Arc::clone(&old.keyring),
        intake: Arc::clone(&intake),
        delivery: Arc::clone(&old.delivery),
        explorer: Arc::clone(&old.explorer),
        journal: Arc::clone(&old.journal),
        clock: Arc::clone(&old.clock),
        random: Arc::clone(&old.random),
        limits: LIMITS,
        rates: old.rates,
        resume: old.resume,
        instance: old.instance.clone(),
        erasures: old.erasures.clone(),
        alarms: Arc::clone(&old.alarms),
    });
    let body = event(r#","nativeClaims":{"tier":1,"level":1}"#);
    let producer = ProducerIdentity { id: "client:1".to_owned(), source: "shop".to_owned() };
    let posted = Posted { body: body.as_bytes(), are_lines: false, idempotency_key: None };
    intake.accept(&producer, posted).await.unwrap();
    let fresh: Vec<_> = intake.discovery().fresh().into_iter().map(|each| each.name).collect();
    assert_eq!(fresh, ["level"]);
}
