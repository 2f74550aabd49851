//! Access tokens: who gets one, what it opens, and when it ends.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, Reply, STREAMING};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const AUDIENCE: &str = "audience=https%3A%2F%2Fidstream.example.com%2F";

/// A client with two scopes: its id and secret.
async fn client(app: &App) -> (String, String) {
    let body = json!({"name": "reader", "scopes": ["read:config_instance", "write:event"]});
    let created = app.call(Method::POST, CLIENTS, body).await.json();
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    assert_eq!(text("token"), format!("ids_{}_{}", text("id"), text("clientSecret")));
    (text("id"), text("clientSecret"))
}

async fn ask(app: &App, id: &str, secret: &str, form: &str) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    app.send(Method::POST, "/oauth2/token", &[("authorization", &basic), FORM], form.to_owned()).await
}

async fn token(app: &App, id: &str, secret: &str, scope: &str) -> String {
    let form = format!("grant_type=client_credentials&{AUDIENCE}&scope={scope}");
    let reply = ask(app, id, secret, &form).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn list(app: &App, token: &str) -> StatusCode {
    let header = format!("Bearer {token}");
    app.send(Method::GET, STREAMING, &[("authorization", &header)], "").await.status
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_for_an_hour() {
    let app = App::new().await;
    let (id, secret) = client(&app).await;
    let form = format!("grant_type=client_credentials&{AUDIENCE}&scope=read:config_instance");
    let reply = ask(&app, &id, &secret, &form).await;
    let answer = reply.json();
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(3599)));
    assert_eq!(answer["scope"], "read:config_instance");
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(list(&app, token).await, StatusCode::OK);
    let header = format!("Bearer {token}");
    let event = app.send(Method::POST, "/intake/v1/events", &[("authorization", &header)], "{}").await;
    assert_eq!(event.status, StatusCode::FORBIDDEN, "the client may, the token may not");
    app.clock.advance(Duration::from_secs(3599));
    assert_eq!(list(&app, token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_ends_with_its_client() {
    let app = App::new().await;
    let (id, secret) = client(&app).await;
    let token = token(&app, &id, &secret, "read:config_instance").await;
    app.call(Method::DELETE, &format!("{CLIENTS}/{id}"), Value::Null).await;
    assert_eq!(list(&app, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_that_was_tampered_with_opens_nothing() {
    let app = App::new().await;
    let (id, secret) = client(&app).await;
    let token = token(&app, &id, &secret, "read:config_instance").await;
    for at in [4, 40, token.len() / 2, token.len() - 2] {
        let mut forged: Vec<u8> = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(list(&app, &String::from_utf8(forged).unwrap()).await, StatusCode::UNAUTHORIZED, "{at}");
    }
    for token in ["idt_", "idt_AAAA", "idt_e30", "idt_ü"] {
        assert_eq!(list(&app, token).await, StatusCode::UNAUTHORIZED, "{token}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_oauths_own_words() {
    let app = App::new().await;
    let (id, secret) = client(&app).await;
    let scope = "scope=write:event";
    let grant = "grant_type=client_credentials";
    for (id, secret, form, status, error) in [
        (&*id, "not-the-secret", format!("{grant}&{AUDIENCE}&{scope}"), 401, "invalid_client"),
        ("nobody", &*secret, format!("{grant}&{AUDIENCE}&{scope}"), 401, "invalid_client"),
        ("", "", format!("{grant}&{AUDIENCE}&{scope}"), 401, "invalid_client"),
        (&id, &secret, format!("grant_type=password&{AUDIENCE}&{scope}"), 400, "unsupported_grant_type"),
        (&id, &secret, format!("{grant}&{scope}"), 400, "invalid_request"),
        (&id, &secret, format!("{grant}&{scope}&audience=https://other.example.com"), 400, "invalid_target"),
        (&id, &secret, format!("{grant}&{AUDIENCE}"), 400, "invalid_scope"),
        (&id, &secret, format!("{grant}&{AUDIENCE}&scope=write:config_instance"), 400, "invalid_scope"),
        (&id, &secret, format!("{grant}&{AUDIENCE}&scope=nothing"), 400, "invalid_scope"),
    ] {
        let reply = ask(&app, id, secret, &form).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (status, &json!(error)), "{form}");
        assert!(!reply.text.contains(&app.admin) && (secret.is_empty() || !reply.text.contains(secret)));
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    let json = app.send(Method::POST, "/oauth2/token", &[("content-type", "application/json")], "{}").await;
    assert_eq!(json.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_client_may_send_its_credentials_in_the_form() {
    let app = App::new().await;
    let (id, secret) = client(&app).await;
    let form = format!(
        "grant_type=client_credentials&{AUDIENCE}&scope=write:event&client_id={id}&client_secret={secret}"
    );
    let reply = app.send(Method::POST, "/oauth2/token", &[FORM], form).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}
