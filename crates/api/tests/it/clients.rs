//! API clients: made, listed, expired, deleted.

use std::time::Duration;

use api::audit::tell;
use api::{ApiClient, uses};
use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, EVENTS, JSON, event};

#[tokio::test]
async fn a_token_is_shown_once() {
    let app = App::new().await;
    let body = json!({"name": "shop", "scopes": ["write:event"], "expiresAt": "2026-02-01T13:00:00+01:00"});
    let created = app.call(Method::POST, CLIENTS, body).await;
    assert_snapshot!("created", created.shown());
    let token = created.json()["token"].as_str().unwrap().to_owned();
    let secret = token.rsplit_once(created.json()["id"].as_str().unwrap()).unwrap().1;
    assert_eq!(secret.len(), "_".len() + 43, "32 bytes in base64url");
    for path in [CLIENTS.to_owned(), created.header("location").to_owned()] {
        let reply = app.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.text.contains(secret) && !reply.text.contains("oken"), "{}", reply.text);
    }
    assert_snapshot!("listed", app.get(&format!("{CLIENTS}?sort=name,desc")).await.shown());
}

#[tokio::test]
async fn a_client_is_refused_from_its_expiry_on_and_after_it_is_deleted() {
    let app = App::new().await;
    let body = json!({"name": "shop", "scopes": ["write:event"], "expiresAt": "2026-01-31T12:00:10Z"});
    let created = app.call(Method::POST, CLIENTS, body).await;
    let bearer = format!("Bearer {}", created.json()["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), JSON];
    let post = || app.send(Method::POST, EVENTS, &headers, event(""));
    app.clock.advance(Duration::from_secs(9));
    assert_eq!(post().await.status, StatusCode::OK);
    app.clock.advance(Duration::from_secs(1));
    let reply = post().await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.json()["detail"], "the bearer token has expired");

    let token = app.client("other", &["write:event"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let id = app.get(&format!("{CLIENTS}?name=other")).await.json()["content"][0]["id"].clone();
    let path = format!("{CLIENTS}/{}", id.as_str().unwrap());
    let deleted = app.call(Method::DELETE, &path, json!(null)).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let reply = app.send(Method::POST, EVENTS, &[("authorization", &bearer), JSON], event("")).await;
    assert_eq!(reply.error_key(), "unauthorized");
    assert_eq!(app.call(Method::DELETE, &path, json!(null)).await.error_key(), "notFound");
    assert_eq!(app.get(&path).await.error_key(), "notFound");
}

#[tokio::test]
async fn what_is_wrong_with_a_client_is_named() {
    let app = App::new().await;
    for (body, fields) in [
        (json!({}), vec!["name", "scopes"]),
        (json!({"name": "ab", "scopes": []}), vec!["name", "scopes"]),
        (json!({"name": "a<b>", "scopes": ["write:event"]}), vec!["name"]),
        (json!({"name": "abc", "scopes": ["write:everything"]}), vec!["scopes"]),
        (json!({"name": "abc", "scopes": ["write:event", "write:event"]}), vec!["scopes"]),
        (json!({"name": "abc", "scopes": "write:event"}), vec!["scopes"]),
        (json!({"name": "abc", "scopes": ["write:event"], "expiresAt": "tomorrow"}), vec!["expiresAt"]),
        (
            json!({"name": "abc", "scopes": ["write:event"], "expiresAt": "2026-01-31T12:00:00Z"}),
            vec!["expiresAt"],
        ),
    ] {
        assert_eq!(app.call(Method::POST, CLIENTS, body.clone()).await.wrong_fields(), fields, "{body}");
    }
    app.client("taken", &["write:event"]).await;
    let again = app.call(Method::POST, CLIENTS, json!({"name": "taken", "scopes": ["write:event"]})).await;
    assert_eq!((again.status, again.error_key()), (StatusCode::CONFLICT, "nameTaken".to_owned()));
}

#[tokio::test]
async fn nobody_gives_scopes_that_they_lack() {
    let app = App::new().await;
    let token = app.client("deputy", &["write:config_instance"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let body = json!({"name": "mole", "scopes": ["write:config_instance", "write:event"]}).to_string();
    let reply = app.send(Method::POST, CLIENTS, &[("authorization", &bearer), JSON], body).await;
    assert_eq!(reply.error_key(), "insufficientScope");
    assert!(reply.json()["detail"].as_str().unwrap().contains("write:event"), "{}", reply.text);
}

#[tokio::test]
async fn nobody_makes_a_client_that_outlives_its_maker() {
    let app = App::new().await;
    let body = json!({"name": "deputy", "scopes": ["write:config_instance", "write:event"], "expiresAt": "2026-01-31T13:00:00Z"});
    let made = app.call(Method::POST, CLIENTS, body).await.json();
    let deputy = format!("Bearer {}", made["token"].as_str().unwrap());
    let make = async |bearer: &str, name: &str, expires_at: &str| {
        let body = json!({"name": name, "scopes": ["write:event"], "expiresAt": expires_at});
        let body =
            if expires_at.is_empty() { json!({"name": name, "scopes": ["write:event"]}) } else { body };
        app.send(Method::POST, CLIENTS, &[("authorization", bearer), JSON], body.to_string()).await
    };
    for expires_at in ["", "2026-01-31T13:00:00.001Z"] {
        let refused = make(&deputy, "mole", expires_at).await;
        assert_eq!(refused.wrong_fields(), ["expiresAt"], "{expires_at}");
        assert!(refused.text.contains("at most 2026-01-31T13:00:00.000Z"), "{}", refused.text);
    }
    assert_eq!(make(&deputy, "helper", "2026-01-31T13:00:00Z").await.status, StatusCode::CREATED);

    // An access token ends within the hour; what counts is the client that it was given to.
    let admin = app.get(&format!("{CLIENTS}?name=administrator")).await.json()["content"][0]["id"].clone();
    let secret =
        app.admin.rsplit_once(admin.as_str().unwrap()).unwrap().1.strip_prefix('_').unwrap().to_owned();
    let form = format!(
        "grant_type=client_credentials&audience=https://idstream.example.com&scope=write:config_instance+write:event&client_id={}&client_secret={secret}",
        admin.as_str().unwrap(),
    );
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let token = app.send(Method::POST, "/oauth2/token", &[form_type], form).await;
    let token = format!("Bearer {}", token.json()["access_token"].as_str().unwrap());
    assert_eq!(make(&token, "for good", "").await.status, StatusCode::CREATED);
}

const HERE: &str = "203.0.113.7";

/// A client that may see API clients: its id, and its bearer token.
async fn reader(app: &App) -> (String, String) {
    let body = json!({"name": "reader", "scopes": ["read:config_instance"]});
    let created = app.call(Method::POST, CLIENTS, body).await.json();
    (created["id"].as_str().unwrap().to_owned(), format!("Bearer {}", created["token"].as_str().unwrap()))
}

async fn last_use(app: &App, id: &str) -> (Value, Value) {
    let shown = app.get(&format!("{CLIENTS}/{id}")).await.json();
    let listed = app.get(CLIENTS).await.json();
    let listed = listed["content"].as_array().unwrap().iter().find(|each| each["id"] == id).unwrap().clone();
    assert_eq!(listed, shown);
    (shown["lastUsedAt"].clone(), shown["lastUsedFrom"].clone())
}

/// How many uses are stored.
fn n_uses(app: &App) -> usize {
    app.catalog.list::<Anything>().unwrap().len()
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Anything(Value);

impl catalog::Document for Anything {
    const KIND: &'static str = "clientUse";
}

#[tokio::test]
async fn a_client_shows_when_and_from_where_it_was_last_admitted() {
    let app = App::new().await;
    let (id, token) = reader(&app).await;
    assert_eq!(last_use(&app, &id).await, (Value::Null, Value::Null));
    app.clock.advance(Duration::from_secs(5));
    app.send_from(HERE, Method::GET, CLIENTS, &[("authorization", &token)], "").await;
    let used = (json!("2026-01-31T12:00:05.000Z"), json!(HERE));
    assert_eq!(last_use(&app, &id).await, used);
    app.clock.advance(Duration::from_secs(5));
    app.send_from("198.51.100.9", Method::GET, CLIENTS, &[("authorization", &format!("{token}x"))], "").await;
    app.send_from(
        "198.51.100.9",
        Method::DELETE,
        &format!("{CLIENTS}/{id}"),
        &[("authorization", &token)],
        "",
    )
    .await;
    assert_eq!(last_use(&app, &id).await, used, "neither a wrong token nor a missing scope is a use");
}

#[tokio::test]
async fn uses_are_stored_once_in_a_while_beside_the_clients_and_without_a_word() {
    let app = App::new().await;
    let (id, token) = reader(&app).await;
    tell(&app.state).await;
    app.send_from(HERE, Method::GET, CLIENTS, &[("authorization", &token)], "").await;
    assert_eq!(n_uses(&app), 0, "a call writes nothing");
    uses::save(&app.state).await;
    assert_eq!(n_uses(&app), 2, "the administrator's and the reader's");
    let changes = app.catalog.watch();
    uses::save(&app.state).await;
    assert!(!changes.has_changed().unwrap(), "nothing is new");
    assert!(app.catalog.untold().is_empty(), "no change of settings");
    let client = app.catalog.get::<ApiClient>(&id).unwrap();
    assert_eq!(client.revision, 1);
    let again = app.restarted();
    let shown = again.get(&format!("{CLIENTS}/{id}")).await.json();
    assert_eq!(
        (&shown["lastUsedAt"], &shown["lastUsedFrom"]),
        (&json!("2026-01-31T12:00:00.000Z"), &json!(HERE))
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_client_that_is_gone() {
    let app = App::new().await;
    let (id, token) = reader(&app).await;
    app.send(Method::GET, CLIENTS, &[("authorization", &token)], "").await;
    uses::save(&app.state).await;
    app.send(Method::GET, CLIENTS, &[("authorization", &token)], "").await;
    app.call(Method::DELETE, &format!("{CLIENTS}/{id}"), Value::Null).await;
    uses::save(&app.state).await;
    assert_eq!(n_uses(&app), 1, "the administrator's");
}
