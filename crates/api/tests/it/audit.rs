//! Every change of idstream's own settings is an audit log, once, without a credential.

use api::audit::tell;
use event::{Record, Section, Stream, StreamSet};
use http::{Method, StatusCode};
use journal::ReadRange;
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, SOURCES, STREAMING, splunk, with};

/// The audit logs in the journal: eventID, and the header's members with bodies and changes.
pub(crate) async fn audit_logs(app: &App) -> Vec<(String, Value)> {
    let streams = StreamSet::from_iter([Stream::AuditLog]);
    let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let mut found = Vec::new();
    for block in app.journal.read(range).await.unwrap() {
        for (_, record) in block.records() {
            found.push((record.event_id().to_string(), entry(&record)));
        }
    }
    found
}

fn entry(record: &Record<'_>) -> Value {
    let mut entry: Value =
        serde_json::from_str(&format!("{{{}}}", record.section(Section::Header).unwrap())).unwrap();
    for (name, section) in [("changes", Section::Changes), ("request", Section::Request)] {
        entry[name] = record.section(section).map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    }
    assert_eq!(record.section(Section::Source), Some("idstream"));
    assert!(!format!("{entry}").contains("CANARY"), "{entry}");
    entry
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once_with_who_and_before_and_after() {
    let app = App::new().await;
    let body = with(splunk("first"), "/configuration/apiKey", json!("CANARY-key"));
    let created = app.call(Method::POST, STREAMING, body).await;
    let path = created.header("location").to_owned();
    let body = with(splunk("second"), "/id", created.json()["id"].clone());
    let body = with(body, "/configuration/apiKey", json!("CANARY-next"));
    let body = with(body, "/auditLogStreaming/enabled", json!(false));
    assert_eq!(app.call(Method::PUT, &path, body).await.status, StatusCode::OK);
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert!(tell(&app.state).await && tell(&app.state).await);

    let logs: Vec<Value> = audit_logs(&app).await.into_iter().map(|(_, log)| log).collect();
    let told: Vec<_> = logs.iter().filter(|log| log["entityType"] == "EventStreaming").collect();
    let actions: Vec<_> = told.iter().map(|log| log["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["Create", "Update", "Delete"]);
    for log in &told {
        assert_eq!((&log["url"], &log["outcome"]), (&json!(path), &json!("success")));
        assert_eq!(log["actorClient"]["name"], "administrator");
    }
    assert_eq!(
        told[1]["changes"],
        json!([
            {"path": "/auditLogStreaming/enabled", "before": true, "after": false},
            {"path": "/name", "before": "first", "after": "second"},
        ])
    );
    assert!(
        told[1]["request"].as_str().unwrap().contains("\"apiKey\":\"[masked]\""),
        "{}",
        told[1]["request"]
    );
}

#[tokio::test]
async fn clients_and_sources_are_told_too_and_the_first_administrator() {
    let app = App::new().await;
    let client = json!({"name": "shop", "scopes": ["write:event"]});
    let client = app.call(Method::POST, CLIENTS, client).await.header("location").to_owned();
    app.call(Method::DELETE, &client, Value::Null).await;
    let source = json!({
        "name": "Auth0", "platform": {"kind": "auth0", "tenant": "t"}, "authorization": ["Bearer CANARY-value"],
    });
    let source = app.call(Method::POST, SOURCES, source).await.header("location").to_owned();
    app.call(Method::DELETE, &source, Value::Null).await;
    assert!(tell(&app.state).await);
    let logs = audit_logs(&app).await;
    let told = |entity: &str| -> Vec<(String, String)> {
        let of = logs.iter().filter(|(_, log)| log["entityType"] == entity);
        of.map(|(_, log)| {
            (log["action"].as_str().unwrap().to_owned(), log["name"].as_str().unwrap().to_owned())
        })
        .collect()
    };
    let pair = |action: &str, name: &str| (action.to_owned(), name.to_owned());
    assert_eq!(told("Source"), [pair("Create", "Auth0"), pair("Delete", "Auth0")]);
    let mut clients = told("ApiClient");
    clients.sort();
    let expected = [pair("Create", "administrator"), pair("Create", "shop"), pair("Delete", "shop")];
    assert_eq!(clients, expected);
}

#[tokio::test]
async fn a_refused_change_is_not_told() {
    let app = App::new().await;
    tell(&app.state).await;
    let before = audit_logs(&app).await.len();
    app.call(Method::POST, STREAMING, with(splunk("x"), "/name", json!("x"))).await;
    app.call(Method::DELETE, &format!("{STREAMING}/nothing"), Value::Null).await;
    tell(&app.state).await;
    assert_eq!(audit_logs(&app).await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_destination_hears_of_its_own_end_before_it_comes() {
    let app = App::new().await;
    let body = with(splunk("watchtower"), "/auditLogStreaming/enabled", json!(true));
    let created = app.call(Method::POST, STREAMING, body.clone()).await;
    let path = created.header("location").to_owned();
    let off = with(with(body, "/id", created.json()["id"].clone()), "/enabled", json!(false));
    app.call(Method::PUT, &path, off).await;
    let last = app.net.taken(|taken| taken.last_body.clone());
    let last: Value = serde_json::from_slice(&last).unwrap();
    let change = json!([{"path": "/enabled", "before": true, "after": false}]);
    assert_eq!((&last["event"]["action"], &last["event"]["changes"]), (&json!("Update"), &change));
    tell(&app.state).await;
    let logs = audit_logs(&app).await;
    assert!(
        logs.iter().any(|(id, _)| last["event"]["eventID"] == json!(id)),
        "what it heard is what all others are told"
    );
}
