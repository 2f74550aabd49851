//! How many administrative calls are taken, and what the answers say of it.

use std::sync::Arc;
use std::time::Duration;

use api::RateLimits;
use base::{Clock, ManualClock, Random, Timestamp};
use http::{Method, StatusCode};
use journal::model::{ModelJournal, ModelOptions};
use serde_json::json;

use crate::app::{App, CLIENTS, EVENTS, Reply, SOURCES, STREAMING, event};

const HERE: &str = "203.0.113.7";
const THERE: &str = "198.51.100.9";

async fn app(rates: RateLimits) -> App {
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
    let as_clock: Arc<dyn Clock> = clock.clone();
    let journal = ModelJournal::new(as_clock, Arc::new(Random::from_seed(1)), ModelOptions::default());
    App::with_rates(Arc::new(journal), clock, rates).await
}

/// The administrator's call from an address.
async fn list(app: &App, from: &str) -> Reply {
    let token = app.admin.clone();
    app.send_from(from, Method::GET, STREAMING, &[("authorization", &format!("Bearer {token}"))], "").await
}

/// A call with a token that was guessed.
async fn guess(app: &App, from: &str, token: &str) -> Reply {
    app.send_from(from, Method::GET, STREAMING, &[("authorization", &format!("Bearer {token}"))], "").await
}

async fn ask_for_token(app: &App, from: &str, secret: &str) -> Reply {
    let form = format!("grant_type=client_credentials&client_id=x&client_secret={secret}");
    let header = ("content-type", "application/x-www-form-urlencoded");
    app.send_from(from, Method::POST, "/oauth2/token", &[header], form).await
}

fn headers(reply: &Reply, name: &str) -> Vec<String> {
    reply.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_administrative_answer_says_what_is_left_of_each_bucket() {
    let app = app(RateLimits::default()).await;
    let reply = list(&app, HERE).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        headers(&reply, "x-ratelimit-limit"),
        ["50, 50;w=1", "500, 500;w=60", "10, 10;w=1", "100, 100;w=60"]
    );
    assert_eq!(headers(&reply, "x-ratelimit-remaining"), ["49", "499", "9", "99"]);
    assert_eq!(headers(&reply, "x-ratelimit-reset"), ["1", "60", "1", "60"]);
    for (method, path, status) in [
        (Method::GET, "/admin/api/v1/nothing", StatusCode::NOT_FOUND),
        (Method::PATCH, STREAMING, StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, STREAMING, StatusCode::UNAUTHORIZED),
        (Method::POST, "/oauth2/token", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let reply = app.send_from(HERE, method, path, &[], "").await;
        assert_eq!((reply.status, headers(&reply, "x-ratelimit-limit").len()), (status, 4), "{path}");
    }
    assert_eq!(headers(&list(&app, HERE).await, "x-ratelimit-remaining"), ["44", "494", "4", "94"]);
}

#[tokio::test]
async fn a_browser_that_is_refused_is_shown_a_page() {
    let app = app(RateLimits { address_per_second: 1, ..RateLimits::default() }).await;
    let link = "/console/e/0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
    list(&app, HERE).await;
    for (accept, expected) in [("text/html", "text/html"), ("application/json", "application/problem+json")] {
        let reply = app.send_from(HERE, Method::GET, link, &[("accept", accept)], "").await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.text);
        assert!(reply.header("content-type").starts_with(expected), "{}", reply.text);
        assert_eq!(reply.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn one_address_is_refused_in_the_contracts_envelope_and_told_when_to_come_again() {
    let app = app(RateLimits::default()).await;
    for _ in 0..10 {
        assert_eq!(list(&app, HERE).await.status, StatusCode::OK);
    }
    let refused = list(&app, HERE).await;
    assert_eq!(
        (refused.status, refused.error_key().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "tooManyRequests")
    );
    assert_eq!(refused.json()["path"], STREAMING);
    assert_eq!(headers(&refused, "retry-after"), ["1"]);
    assert_eq!(headers(&refused, "x-ratelimit-remaining"), ["40", "490", "0", "90"]);
    assert_eq!(list(&app, THERE).await.status, StatusCode::OK, "others are not held up");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(list(&app, HERE).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_whole_instance_has_an_end_too_wherever_calls_come_from() {
    let app = app(RateLimits { instance_per_minute: 20, ..RateLimits::default() }).await;
    for n in 0..20 {
        assert_eq!(list(&app, &format!("203.0.113.{n}")).await.status, StatusCode::OK);
    }
    let refused = list(&app, HERE).await;
    assert_eq!(
        (refused.status, headers(&refused, "retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, vec!["60".into()])
    );
    assert!(refused.text.contains("more than 20 calls in one minute from all addresses"), "{}", refused.text);
}

#[tokio::test]
async fn where_a_call_comes_from_unknown_only_the_instances_buckets_count() {
    let app = app(RateLimits::default()).await;
    for left in (30..50).rev() {
        let reply = app.get(SOURCES).await;
        assert_eq!(headers(&reply, "x-ratelimit-remaining")[0], left.to_string());
    }
}

#[tokio::test]
async fn neither_the_intake_nor_health_is_limited() {
    let app = app(RateLimits { instance_per_minute: 1, address_per_minute: 1, ..RateLimits::OFF }).await;
    assert_eq!(list(&app, HERE).await.status, StatusCode::OK);
    assert_eq!(list(&app, HERE).await.status, StatusCode::TOO_MANY_REQUESTS);
    let token = format!("Bearer {}", app.admin);
    for _ in 0..3 {
        let headers = [("authorization", token.as_str())];
        let posted = app.send_from(HERE, Method::POST, EVENTS, &headers, event("")).await;
        assert_eq!(
            (posted.status, posted.headers.contains_key("x-ratelimit-limit")),
            (StatusCode::OK, false)
        );
        for path in ["/health", "/ready"] {
            assert_eq!(app.send_from(HERE, Method::GET, path, &[], "").await.status, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn limits_that_are_off_leave_no_trace() {
    let app = app(RateLimits::OFF).await;
    for _ in 0..200 {
        let reply = list(&app, HERE).await;
        assert_eq!((reply.status, reply.headers.contains_key("x-ratelimit-limit")), (StatusCode::OK, false));
    }
    for _ in 0..30 {
        assert_eq!(guess(&app, HERE, "ids_x_y").await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn who_guesses_is_soon_told_nothing_and_locks_nobody_out() {
    let app = app(RateLimits { failures_per_minute: 4, ..RateLimits::OFF }).await;
    let client =
        app.call(Method::POST, CLIENTS, json!({"name": "guessed", "scopes": ["write:event"]})).await.json();
    let known = format!("ids_{}_wrong", client["id"].as_str().unwrap());
    for token in ["ids_x_y", known.as_str(), "idt_AAAA", "nothing"] {
        assert_eq!(guess(&app, HERE, token).await.status, StatusCode::UNAUTHORIZED);
    }
    let told: Vec<_> = [
        guess(&app, HERE, "ids_x_y").await,
        guess(&app, HERE, &known).await,
        guess(&app, HERE, "idt_AAAA").await,
        ask_for_token(&app, HERE, "guess").await,
    ]
    .into_iter()
    .map(|reply| (reply.status, reply.json()["detail"].clone(), headers(&reply, "retry-after")))
    .collect();
    assert_eq!((told[0].0, &told[0].2), (StatusCode::TOO_MANY_REQUESTS, &vec!["60".to_owned()]));
    assert!(told.iter().all(|each| *each == told[0]), "{told:?}");
    assert_eq!(guess(&app, THERE, "ids_x_y").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(list(&app, HERE).await.status, StatusCode::OK, "who shares the address and is right goes on");
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(guess(&app, HERE, "ids_x_y").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_guesses_at_the_intake_is_told_as_little_and_the_right_one_goes_on_posting() {
    let app = app(RateLimits { failures_per_minute: 2, ..RateLimits::OFF }).await;
    let post = async |token: &str| {
        let bearer = format!("Bearer {token}");
        app.send_from(HERE, Method::POST, EVENTS, &[("authorization", bearer.as_str())], event(""))
            .await
            .status
    };
    for _ in 0..2 {
        assert_eq!(post("ids_x_y").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(post("ids_x_y").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(post(&app.admin).await, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_has_expired_and_one_that_is_missing_are_no_guesses() {
    let app = app(RateLimits { failures_per_minute: 1, ..RateLimits::OFF }).await;
    let body =
        json!({"name": "short", "scopes": ["read:config_instance"], "expiresAt": "2026-01-31T12:00:10Z"});
    let token = app.call(Method::POST, CLIENTS, body).await.json()["token"].as_str().unwrap().to_owned();
    app.clock.advance(Duration::from_secs(10));
    for _ in 0..3 {
        assert_eq!(guess(&app, HERE, &token).await.status, StatusCode::UNAUTHORIZED);
        let missing = app.send_from(HERE, Method::GET, STREAMING, &[], "").await;
        assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    }
}
