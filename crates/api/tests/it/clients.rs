//! API clients: made, listed, expired, deleted.

use std::time::Duration;

use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::json;

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
