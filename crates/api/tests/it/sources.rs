//! Sources and their webhooks.

use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, JSON, SOURCES, with};

const VALUE: &str = "Bearer a-long-random-value";
const NEXT: &str = "Bearer the-next-random-value";
const ITEM: &str = r#"{"log_id":"90020260131115900","data":{"date":"2026-01-31T11:59:00.000Z","type":"s","user_id":"auth0|1","log_id":"90020260131115900"}}"#;

fn source() -> Value {
    json!({
        "name": "Auth0 (production)",
        "platform": {"kind": "auth0", "tenant": "shop.eu.auth0.com"},
        "authorization": [VALUE],
    })
}

async fn create(app: &App) -> Value {
    let reply = app.call(Method::POST, SOURCES, source()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()
}

fn webhook(source: &Value) -> String {
    source["webhook"].as_str().unwrap().strip_prefix("https://idstream.example.com").unwrap().to_owned()
}

#[tokio::test]
async fn a_source_is_created_listed_replaced_and_deleted() {
    let app = App::new().await;
    let created = app.call(Method::POST, SOURCES, source()).await;
    assert_snapshot!("created", created.shown());
    let path = created.header("location").to_owned();
    assert_eq!(app.get(&path).await.json(), created.json());
    let paged = app.get(&format!("{SOURCES}?name=AUTH0&sort=enabled")).await.json();
    assert_eq!((&paged["content"][0], &paged["page"]["totalElements"]), (&created.json(), &json!(1)));

    let mut body = with(source(), "/id", created.json()["id"].clone());
    body = with(with(body, "/authorization", json!([VALUE, NEXT])), "/enabled", json!(false));
    let replaced = app.call(Method::PUT, &path, body.clone()).await;
    assert_snapshot!("replaced", replaced.shown());
    let kept = app.call(Method::PUT, &path, with(body, "/authorization", Value::Null)).await;
    assert_eq!((&kept.json()["authorizations"], &kept.json()["enabled"]), (&json!(2), &json!(false)));

    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path).await.error_key(), "notFound");
}

#[tokio::test]
async fn what_is_wrong_with_a_source_is_named() {
    let app = App::new().await;
    for (body, fields) in [
        (json!({}), vec!["authorization", "name", "platform"]),
        (with(source(), "/platform/kind", json!("okta")), vec!["platform.kind"]),
        (with(source(), "/platform/tenant", json!("a b")), vec!["platform.tenant"]),
        (with(source(), "/authorization", json!([])), vec!["authorization"]),
        (with(source(), "/authorization", json!(["too short"])), vec!["authorization"]),
        (
            with(source(), "/authorization", json!([VALUE, NEXT, "Bearer and-a-third-one"])),
            vec!["authorization"],
        ),
        (with(source(), "/authorization", json!(["line\nbreak in a long value"])), vec!["authorization"]),
        (with(source(), "/authorization", json!([" a space before a long value"])), vec!["authorization"]),
        (with(source(), "/authorization", json!(["x".repeat(513)])), vec!["authorization"]),
        (with(source(), "/authorization", json!(VALUE)), vec!["authorization"]),
    ] {
        assert_eq!(app.call(Method::POST, SOURCES, body.clone()).await.wrong_fields(), fields, "{body}");
    }
    let created = create(&app).await;
    assert_eq!(app.call(Method::POST, SOURCES, source()).await.error_key(), "nameTaken");
    let path = format!("{SOURCES}/{}", created["id"].as_str().unwrap());
    assert_eq!(app.call(Method::PUT, &path, source()).await.wrong_fields(), ["id"]);
}

#[tokio::test]
async fn a_delivery_is_counted_and_what_is_no_event_is_quarantined() {
    let app = App::new().await;
    let hook = webhook(&create(&app).await);
    let headers = [("authorization", VALUE), ("content-type", "text/plain")];
    let reply = app.send(Method::POST, &hook, &headers, format!("[{ITEM},{{\"no\":\"event\"}}]")).await;
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (StatusCode::OK, r#"{"accepted":1,"duplicates":0,"quarantined":1}"#,)
    );
    let again = app.send(Method::POST, &hook, &headers, ITEM).await;
    assert_eq!(again.text, r#"{"accepted":0,"duplicates":1,"quarantined":0}"#);
    assert_eq!(app.n_stored().await, 1);
    let malformed = app.send(Method::POST, &hook, &headers, "[").await;
    assert_eq!(malformed.error_key(), "malformedBody");
}

#[tokio::test]
async fn both_live_values_are_taken_and_a_retired_one_is_not() {
    let app = App::new().await;
    let created = create(&app).await;
    let hook = webhook(&created);
    let path = format!("{SOURCES}/{}", created["id"].as_str().unwrap());
    let put = |authorization: Value| {
        let body = with(with(source(), "/id", created["id"].clone()), "/authorization", authorization);
        app.call(Method::PUT, &path, body)
    };
    let post =
        async |value: &str| app.send(Method::POST, &hook, &[("authorization", value)], ITEM).await.status;
    assert_eq!((post(VALUE).await, post(NEXT).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    put(json!([VALUE, NEXT])).await;
    assert_eq!((post(VALUE).await, post(NEXT).await), (StatusCode::OK, StatusCode::OK));
    put(json!([NEXT])).await;
    assert_eq!((post(VALUE).await, post(NEXT).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
}

#[tokio::test]
async fn an_unknown_source_and_a_wrong_value_are_answered_alike() {
    let app = App::new().await;
    let hook = webhook(&create(&app).await);
    let wrong = app.send(Method::POST, &hook, &[("authorization", NEXT), JSON], ITEM).await;
    assert_snapshot!(wrong.shown());
    let unknown = "/intake/v1/sources/unknown/auth0";
    let unknown = app.send(Method::POST, unknown, &[("authorization", VALUE), JSON], ITEM).await;
    let mut expected = wrong.json();
    expected["path"] = "/intake/v1/sources/unknown/auth0".into();
    assert_eq!((unknown.status, unknown.json()), (wrong.status, expected));
    let twice = [("authorization", VALUE), ("authorization", VALUE)];
    assert_eq!(app.send(Method::POST, &hook, &twice, ITEM).await.error_key(), "unauthorized");
    assert_eq!(app.send(Method::POST, &hook, &[], ITEM).await.error_key(), "unauthorized");
}

#[tokio::test]
async fn a_disabled_source_takes_nothing() {
    let app = App::new().await;
    let created = app.call(Method::POST, SOURCES, with(source(), "/enabled", json!(false))).await.json();
    let reply = app.send(Method::POST, &webhook(&created), &[("authorization", VALUE)], ITEM).await;
    assert_eq!((reply.status, reply.error_key()), (StatusCode::FORBIDDEN, "sourceDisabled".to_owned()));
    assert_eq!(app.n_stored().await, 0);
}

#[tokio::test]
async fn clients_and_sources_share_their_names_and_none_has_the_servers() {
    let app = App::new().await;
    for name in ["idstream", "IDStream"] {
        let client = json!({"name": name, "scopes": ["write:event"]});
        assert_eq!(app.call(Method::POST, CLIENTS, client).await.wrong_fields(), ["name"], "{name}");
        let named = with(source(), "/name", json!(name));
        assert_eq!(app.call(Method::POST, SOURCES, named).await.wrong_fields(), ["name"], "{name}");
    }
    let shop = create(&app).await;
    let taken = json!({"name": "Auth0 (production)", "scopes": ["write:event"]});
    let refused = app.call(Method::POST, CLIENTS, taken).await;
    assert_eq!((refused.status, refused.error_key()), (StatusCode::CONFLICT, "nameTaken".to_owned()));
    app.client("shop", &["write:event"]).await;
    let named = with(source(), "/name", json!("shop"));
    assert_eq!(app.call(Method::POST, SOURCES, named.clone()).await.error_key(), "nameTaken");
    let path = format!("{SOURCES}/{}", shop["id"].as_str().unwrap());
    let renamed = with(named, "/id", shop["id"].clone());
    assert_eq!(app.call(Method::PUT, &path, renamed).await.error_key(), "nameTaken");
}

/// Names that were given before this was ruled stay.
#[tokio::test]
async fn a_stored_source_with_a_reserved_or_shared_name_is_replaced_as_any_other() {
    let app = App::new().await;
    app.client("shop", &["write:event"]).await;
    let created = create(&app).await;
    let id = created["id"].as_str().unwrap();
    for name in ["idstream", "shop"] {
        let stored = app.catalog.get::<intake::Source>(id).unwrap();
        let older = intake::Source { name: name.to_owned(), ..stored.value };
        app.catalog.replace(id, &older, stored.revision, None).unwrap();
        let body = with(with(source(), "/name", json!(name)), "/id", json!(id));
        let body = with(body, "/enabled", json!(false));
        let replaced = app.call(Method::PUT, &format!("{SOURCES}/{id}"), body).await;
        assert_eq!((replaced.status, &replaced.json()["enabled"]), (StatusCode::OK, &json!(false)), "{name}");
    }
}
