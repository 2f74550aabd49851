//! Reconciliation over REST: what may be asked, what is answered, and that a replay by ids mends what is missing.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

const FROM: &str = "2026-01-31T00:00:00Z";

/// A search cluster that took three events five minutes ago.
struct Stage {
    app: App,
    path: String,
    ids: Vec<String>,
}

impl Stage {
    async fn new() -> Self {
        let app = App::new().await;
        let configuration = json!({
            "url": "https://search.example.com:9200", "apiKey": "id:key", "readCredential": "reader:key",
        });
        let body = with(splunk("search"), "/type", json!("elasticsearch"));
        let body = with(body, "/configuration", configuration);
        let body = with(body, "/auditLogStreaming/enabled", json!(false));
        let created = app.create(STREAMING, body).await;
        assert_eq!(created["configuration"]["readCredentialSet"], true);
        assert!(!created.to_string().contains("reader"), "it is never answered: {created}");
        let path = format!("{STREAMING}/{}", created["id"].as_str().unwrap());
        let mut ids = Vec::new();
        for user in ["ann", "bob", "cem"] {
            let event = event(&format!(r#","subject":{{"userName":"{user}"}}"#));
            let reply = app.post(&[JSON], event).await.json();
            ids.push(reply["accepted"][0]["eventID"].as_str().unwrap().to_owned());
        }
        let stage = Self { app, path, ids };
        stage.until("status", |status| status["books"]["confirmed"] == 3).await;
        stage.app.clock.advance(Duration::from_mins(5));
        stage
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if is_so(&self.app.get(&format!("{}/{what}", self.path)).await.json()) {
                return;
            }
        }
        panic!("{what} does not come to that");
    }

    async fn reconciled(&self) -> Value {
        let body = json!({"from": FROM});
        let reply = self.app.call(Method::POST, &format!("{}/reconcile", self.path), body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_cluster_has_lost_is_named_and_a_replay_brings_it_back() {
    let stage = Stage::new().await;
    let whole = stage.reconciled().await;
    assert_eq!(
        (&whole["lookedAt"], &whole["expected"], &whole["ended"]),
        (&json!(3), &json!(3), &json!("done"))
    );
    assert_eq!((&whole["missing"], &whole["cursor"]), (&json!([]), &Value::Null));
    let headers = stage.app.net.taken(|taken| taken.last_headers.clone());
    assert_eq!(
        headers["authorization"], "ApiKey cmVhZGVyOmtleQ==",
        "searches show the credential for reading"
    );

    stage.app.net.lose(&stage.ids[1]);
    let lacking = stage.reconciled().await;
    assert_eq!(lacking["missing"].as_array().unwrap().len(), 1);
    assert_eq!(lacking["missing"][0]["eventID"], stage.ids[1]);
    let replays = format!("{}/replays", stage.path);
    let run = stage.app.call(Method::POST, &replays, json!({"eventIDs": [stage.ids[1]]})).await.json();
    let run = format!("runs/{}", run["id"].as_str().unwrap());
    stage.until(&run, |run| run["state"] == "completed").await;
    assert_eq!(stage.reconciled().await["missing"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn periods_that_cannot_be_judged_are_refused_by_field() {
    let stage = Stage::new().await;
    for (body, field) in [
        (json!({}), "from"),
        (json!({"from": "yesterday"}), "from"),
        (json!({"from": "2026-01-31T12:04:00Z", "to": "2026-01-31T12:03:00Z"}), "from"),
        (json!({"from": FROM, "to": "2026-01-31T12:04:30Z"}), "to"),
        (json!({"from": FROM, "cursor": "x"}), "cursor"),
        (json!({"from": FROM, "until": FROM}), "until"),
    ] {
        let reply = stage.app.call(Method::POST, &format!("{}/reconcile", stage.path), body.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.wrong_fields(), [field], "{body}");
    }
    let path = stage.app.call(Method::POST, STREAMING, splunk("hec")).await.header("location").to_owned();
    let reply = stage.app.call(Method::POST, &format!("{path}/reconcile"), json!({"from": FROM})).await;
    assert_eq!((reply.status, reply.error_key().as_str()), (StatusCode::CONFLICT, "notReconcilable"));
}
