//! The published JSON Schemas.

use event::schema;
use http::{Method, StatusCode};
use serde_json::Value;
use testkit::schema::Validator;

use crate::app::{App, STREAMING, splunk, with};

#[tokio::test]
async fn everybody_finds_every_schema_by_the_index() {
    let app = App::new().await;
    let index = app.send(Method::GET, "/schemas/", &[], "").await;
    assert_eq!((index.status, index.header("content-type")), (StatusCode::OK, "application/json"));
    let entries = index.json()["schemas"].as_array().unwrap().clone();
    assert_eq!(entries.len(), schema::ALL.len());
    for (entry, schema) in entries.iter().zip(schema::ALL) {
        let reply = app.send(Method::GET, entry["path"].as_str().unwrap(), &[], "").await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, schema.text));
        assert_eq!(reply.header("content-type"), "application/schema+json");
        assert_eq!(reply.json()["title"], entry["title"]);
    }
}

#[tokio::test]
async fn a_schema_that_is_known_is_not_sent_again() {
    let app = App::new().await;
    let path = "/schemas/v1/audit-log.json";
    let first = app.send(Method::GET, path, &[], "").await;
    assert_eq!(first.header("cache-control"), "public, max-age=3600");
    let tag = first.header("etag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = app.send(Method::GET, path, &[("if-none-match", &known)], "").await;
        assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(
            (again.header("etag"), again.header("cache-control")),
            (tag.as_str(), "public, max-age=3600")
        );
    }
    let other = app.send(Method::GET, path, &[("if-none-match", "\"x\"")], "").await;
    assert_eq!(other.text, first.text);
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_not_found() {
    let app = App::new().await;
    for path in ["/schemas/v1/nothing.json", "/schemas/v1/account-event", "/schemas/v2/account-event.json"] {
        assert_eq!(app.send(Method::GET, path, &[], "").await.error_key(), "notFound", "{path}");
    }
}

#[tokio::test]
async fn the_documents_of_a_test_are_as_the_schemas_say() {
    let app = App::new().await;
    let mut body = with(splunk("all streams"), "/eventHookLogStreaming/enabled", true.into());
    body = with(body, "/auditLogStreaming/enabled", true.into());
    let reply = app.call(Method::POST, &format!("{STREAMING}/test"), body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let sent = app.net.taken(|taken| taken.last_body.clone());
    let mut documents: Vec<Value> = serde_json::Deserializer::from_slice(&sent)
        .into_iter::<Value>()
        .map(|envelope| envelope.unwrap()["event"].take())
        .collect();
    documents.sort_by_key(|document| document["stream"].to_string());
    for (document, schema) in
        documents.iter().zip([schema::ACCOUNT_EVENT, schema::AUDIT_LOG, schema::EVENT_HOOK_LOG])
    {
        assert_eq!(Validator::new(schema.text).closed().faults(document), [""; 0]);
    }
    assert_eq!(documents.len(), 3);
}
