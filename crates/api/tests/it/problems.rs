//! Errors that any call may meet, in the contract's envelope.

use api::{Access, Listed, Scope};
use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::json;

use crate::app::{App, CLIENTS, EVENTS, JSON, SOURCES, STREAMING};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    assert_snapshot!(App::new().await.get("/admin/api/v1/nothing").await.shown());
}

#[tokio::test]
async fn an_unknown_method_names_the_known_ones() {
    let app = App::new().await;
    assert_snapshot!(app.call(Method::PATCH, STREAMING, json!({})).await.shown());
    for path in ["/health", "/ready", EVENTS, CLIENTS, SOURCES] {
        let reply = app.call(Method::PATCH, path, json!({})).await;
        assert_eq!(reply.error_key(), "methodNotAllowed", "{path}");
        assert!(!reply.header("allow").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn no_token_and_a_wrong_token_are_unauthorized() {
    let app = App::new().await;
    assert_snapshot!("no_token", app.send(Method::GET, STREAMING, &[], "").await.shown());
    let mut wrong = app.admin.clone();
    wrong.pop();
    wrong.push(if app.admin.ends_with('A') { 'B' } else { 'A' });
    let bearer = format!("Bearer {wrong}");
    let reply = app.send(Method::GET, STREAMING, &[("authorization", &bearer)], "").await;
    assert_snapshot!("wrong_token", reply.shown());
    for value in ["Bearer ids_unknown_secret", "Bearer x", "Basic eDp5", &app.admin.clone()] {
        let reply = app.send(Method::POST, EVENTS, &[("authorization", value), JSON], "{}").await;
        assert_eq!((reply.status, reply.error_key()), (StatusCode::UNAUTHORIZED, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn every_call_that_is_not_open_needs_a_credential_before_its_body_is_looked_at() {
    let app = App::new().await;
    for Listed { method, path, access } in api::listed() {
        if access == Access::Open {
            continue;
        }
        let reply = app.send(method.parse().unwrap(), &of_nothing(&path), &[JSON], "not json").await;
        if access == Access::Page {
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            continue;
        }
        assert_eq!(reply.error_key(), "unauthorized", "{method} {path}");
        assert!(reply.header("www-authenticate").starts_with("Bearer "), "{method} {path}");
    }
}

#[tokio::test]
async fn every_scope_of_a_call_is_needed() {
    let app = App::new().await;
    for missing in Scope::ALL {
        let others: Vec<&str> =
            Scope::ALL.iter().filter(|scope| **scope != missing).map(|scope| scope.name()).collect();
        let token = app.client(missing.name(), &others).await;
        let bearer = format!("Bearer {}", token.expose());
        for Listed { method, path, access } in api::listed() {
            let Access::Scopes(scopes) = access else { continue };
            if !scopes.contains(&missing) {
                continue;
            }
            let headers = [("authorization", bearer.as_str()), JSON];
            let reply = app.send(method.parse().unwrap(), &of_nothing(&path), &headers, "not json").await;
            assert_eq!(reply.error_key(), "insufficientScope", "{missing}: {method} {path}");
        }
    }
}

/// A path with ids of what is not there.
fn of_nothing(path: &str) -> String {
    let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";
    let part = |part: &str| if part.starts_with('{') { id.to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_wrong_token_is_answered_while_the_body_is_still_to_come() {
    let app = App::new().await;
    let never = futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    let body = axum::body::Body::from_stream(never);
    let reply = app.send(Method::POST, EVENTS, &[("authorization", "Bearer ids_a_b"), JSON], body).await;
    assert_eq!(reply.error_key(), "unauthorized");
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let app = App::new().await;
    let token = app.client("reader", &["read:config_instance"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let reply = app.send(Method::POST, EVENTS, &[("authorization", &bearer), JSON], "{}").await;
    assert_snapshot!(reply.shown());
    let reply = app.send(Method::GET, STREAMING, &[("authorization", &bearer)], "").await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = app.send(Method::POST, STREAMING, &[("authorization", &bearer), JSON], "{}").await;
    assert_eq!(reply.error_key(), "insufficientScope");
}

#[tokio::test]
async fn administrative_bodies_are_json_with_each_key_once() {
    let app = App::new().await;
    let bearer = format!("Bearer {}", app.admin);
    let authorization = ("authorization", bearer.as_str());
    for body in ["", "{", r#"{"name":"one","name":"two"}"#, "{} {}", "\u{0}"] {
        let reply = app.send(Method::POST, STREAMING, &[authorization, JSON], body).await;
        assert_eq!(reply.error_key(), "malformedBody", "{body}");
    }
    for body in ["[]", "7", "null"] {
        let reply = app.send(Method::POST, STREAMING, &[authorization, JSON], body).await;
        assert_eq!(reply.error_key(), "validation", "{body}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    let reply = app.send(Method::POST, STREAMING, &[authorization, form], "a=b").await;
    assert_eq!(
        (reply.error_key().as_str(), reply.header("accept")),
        ("unsupportedMediaType", "application/json")
    );
    let reply = app.send(Method::POST, STREAMING, &[authorization, JSON], "x".repeat(2 << 20)).await;
    assert_eq!(reply.error_key(), "bodyTooLarge");
}

#[tokio::test]
async fn a_list_says_which_parameter_is_wrong() {
    let app = App::new().await;
    assert_snapshot!(app.get(&format!("{STREAMING}?size=0")).await.shown());
    for path in [STREAMING, CLIENTS, SOURCES] {
        for (query, field) in [("page=x", "page"), ("sort=secret", "sort"), ("name=a&name=b", "name")] {
            assert_eq!(app.get(&format!("{path}?{query}")).await.wrong_fields(), [field], "{path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_not_found() {
    assert_eq!(App::new().await.get(&format!("{STREAMING}/%ff")).await.error_key(), "notFound");
}

#[tokio::test]
async fn health_needs_no_token_and_ready_turns_red_when_the_server_stops() {
    let app = App::new().await;
    let health = app.send(Method::GET, "/health", &[], "").await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, r#"{"status":"up"}"#));
    let ready = app.send(Method::GET, "/ready", &[], "").await;
    assert_eq!((ready.status, ready.text.as_str()), (StatusCode::OK, r#"{"status":"ready"}"#));
    app.state.begin_shutdown();
    let ready = app.send(Method::GET, "/ready", &[], "").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = ready.json();
    assert_eq!(
        (&told["status"], &told["reasons"][0]["reason"]),
        (&json!("not ready"), &json!("stopping")),
        "{told}"
    );
    assert_eq!(told["reasons"].as_array().unwrap().len(), 1, "{told}");
}
