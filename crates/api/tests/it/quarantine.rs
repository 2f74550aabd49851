//! What a destination will never take, over REST: found, looked at, given up with an audit log, once.

use std::time::Duration;

use api::audit::tell;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::net::Faults;

use crate::app::{App, JSON, STREAMING, event, splunk, with};
use crate::audit::audit_logs;

/// A configuration some of whose events are in quarantine.
struct Stage {
    app: App,
    path: String,
    name: &'static str,
}

impl Stage {
    async fn with_refused(app: App, n: u64) -> Self {
        let name = "quarantining";
        let body = with(splunk(name), "/auditLogStreaming/enabled", json!(false));
        let path = app.call(Method::POST, STREAMING, body).await.header("location").to_owned();
        let stage = Self { app, path, name };
        stage.app.net.set_faults(Faults::default());
        for number in 1..=n {
            let id = format!("0197f3a0-6c1e-7c3a-9d2b-0000000000{number:02}");
            stage.app.net.refuse(&id);
            stage.post(&format!(r#","eventID":"{id}""#)).await;
        }
        for _ in 0..600 {
            // That the destination takes others shows that it is about these.
            stage.post("").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stage.books().await["quarantined"] == n {
                return stage;
            }
        }
        panic!("nothing is refused: {}", stage.app.get(&format!("{}/status", stage.path)).await.text);
    }

    async fn post(&self, more: &str) {
        assert_eq!(self.app.post(&[JSON], event(more)).await.status, StatusCode::OK);
    }

    async fn books(&self) -> Value {
        let books = self.app.get(&format!("{}/status", self.path)).await.json()["books"].clone();
        let ends = [
            "skipped",
            "confirmed",
            "diverted",
            "accepted",
            "quarantined",
            "discarded",
            "expired",
            "erased",
            "pending",
        ];
        let sum: u64 = ends.iter().map(|name| books[name].as_u64().unwrap()).sum();
        assert_eq!(books["appended"], sum, "{books}");
        books
    }

    async fn list(&self, query: &str) -> Value {
        let reply = self.app.get(&format!("{}/quarantine?{query}", self.path)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        let content = self.list(query).await["content"].clone();
        let ids =
            content.as_array().unwrap().iter().map(|entry| entry["eventID"].as_str().unwrap().to_owned());
        ids.collect()
    }

    async fn discard(&self, body: Value) -> (StatusCode, Value) {
        let reply = self.app.call(Method::POST, &format!("{}/quarantine/discard", self.path), body).await;
        (reply.status, reply.json())
    }
}

#[tokio::test(start_paused = true)]
async fn entries_are_listed_with_their_reasons_and_counted_by_cause() {
    let stage = Stage::with_refused(App::new().await, 5).await;
    let all = stage.list("order=oldest").await;
    assert_eq!(
        (&all["matching"], &all["totals"]["quarantined"], all.get("nextCursor")),
        (&json!(5), &json!(5), None)
    );
    let causes = all["causes"].as_array().unwrap();
    assert_eq!(causes.iter().map(|cause| cause["quarantined"].as_u64().unwrap()).sum::<u64>(), 5);
    let first = &all["content"][0];
    for member in [
        "eventID",
        "stream",
        "type",
        "time",
        "receivedAt",
        "quarantinedAt",
        "reason",
        "cause",
        "journalOffset",
    ] {
        assert!(first[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {first}");
    }
    assert_eq!((&first["standing"], &first["stream"]), (&json!("quarantined"), &json!("accountEvent")));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stage.list(&format!("order=oldest&size=2{cursor}")).await;
        let content = page["content"].as_array().unwrap();
        seen.extend(content.iter().map(|entry| entry["eventID"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, stage.ids("order=oldest").await);
    let (kind, id) = (first["type"].as_str().unwrap(), &seen[0]);
    for (query, n) in [
        ("stream=accountEvent".to_owned(), 5),
        ("stream=auditLog".to_owned(), 0),
        ("standing=discarded&standing=delivered".to_owned(), 0),
        (format!("type={kind}"), 5),
        ("type=other".to_owned(), 0),
        ("cause=no%20such%20thing".to_owned(), 0),
        ("from=2026-02-01T00:00:00Z".to_owned(), 0),
        ("to=2026-02-01T00:00:00Z".to_owned(), 5),
        (format!("eventID={id}"), 1),
    ] {
        assert_eq!(stage.list(&query).await["matching"], n, "{query}");
    }
    for query in
        ["standing=lost", "stream=quarantine", "from=today", "order=up", "cursor=x", "size=201", "eventID=1"]
    {
        let reply = stage.app.get(&format!("{}/quarantine?{query}", stage.path)).await;
        assert_eq!(reply.error_key(), "validation", "{query}");
    }
    let nowhere =
        stage.app.get(&format!("{STREAMING}/0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51/quarantine")).await;
    assert_eq!(nowhere.error_key(), "notFound");
}

#[tokio::test(start_paused = true)]
async fn one_entry_is_shown_with_its_history_and_the_document_that_would_be_sent() {
    let stage = Stage::with_refused(App::new().await, 1).await;
    let id = stage.ids("").await.remove(0);
    let path = format!("{}/quarantine/{id}", stage.path);
    let entry = stage.app.get(&path).await.json();
    let history = entry["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["standing"]), (1, &json!("quarantined")));
    assert_eq!(history[0]["reason"], entry["reason"]);
    let body = entry["document"]["body"].as_str().unwrap();
    assert_eq!(entry["document"]["bodyBytes"], body.len());
    let sent: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&sent["event"]["eventID"], &sent["event"]["journalOffset"]),
        (&json!(id), &entry["journalOffset"])
    );

    let note = json!({"eventIDs": [id], "note": "a test account"});
    assert_eq!(stage.discard(note).await.1["discarded"], 1);
    let entry = stage.app.get(&path).await.json();
    let last = &entry["history"][1];
    assert_eq!(
        (&entry["standing"], &last["standing"], &last["reason"]),
        (&json!("discarded"), &json!("discarded"), &json!("a test account"))
    );
    assert!(last["by"].as_str().unwrap().starts_with("administrator ("));
    for other in ["0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51", "x"] {
        let reply = stage.app.get(&format!("{}/quarantine/{other}", stage.path)).await;
        assert_eq!(reply.error_key(), "notFound");
    }
    // Its document shows an event: not for those who may only see settings.
    let token = stage.app.client("watcher", &["read:config_instance"]).await;
    let headers = [("authorization", format!("Bearer {}", token.expose()))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = stage.app.send(Method::GET, &path, &headers, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn nobody_gives_up_more_than_they_have_seen_and_every_time_is_told() {
    let stage = Stage::with_refused(App::new().await, 4).await;
    let before = stage.books().await;
    let ids = stage.ids("order=oldest").await;
    let asked = stage.discard(json!({"all": true, "dryRun": true})).await;
    assert_eq!(
        asked,
        (
            StatusCode::OK,
            json!({"dryRun": true, "matching": 4, "discarded": 0, "skipped": {}, "unknown": 0, "remaining": 4})
        )
    );
    let (status, refused) = stage.discard(json!({"all": true, "expectedCount": 3})).await;
    assert_eq!((status, &refused["errorKey"]), (StatusCode::CONFLICT, &json!("unexpectedCount")));
    assert_eq!(stage.books().await, before);

    let stranger = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
    let (status, done) = stage.discard(json!({"eventIDs": [ids[0], stranger]})).await;
    assert_eq!((status, &done["discarded"], &done["unknown"]), (StatusCode::OK, &json!(1), &json!(1)));
    let (status, again) = stage.discard(json!({"eventIDs": [ids[0]]})).await;
    assert_eq!((status, &again["errorKey"]), (StatusCode::CONFLICT, &json!("notInQuarantine")));
    let (_, done) = stage.discard(json!({"eventIDs": [ids[0], ids[1]]})).await;
    assert_eq!((&done["discarded"], &done["skipped"]), (&json!(1), &json!({"discarded": 1})));
    let filter = json!({"filter": {"stream": "accountEvent"}, "expectedCount": 2, "note": "gone"});
    assert_eq!(stage.discard(filter).await.1["discarded"], 2);
    let books = stage.books().await;
    assert_eq!(
        (&books["quarantined"], &books["discarded"], &books["appended"]),
        (&json!(0), &json!(4), &before["appended"])
    );
    assert_eq!(stage.list("standing=discarded").await["matching"], 4);

    assert!(tell(&stage.app.state).await);
    let logs: Vec<Value> = audit_logs(&stage.app).await.into_iter().map(|(_, log)| log).collect();
    let told: Vec<&Value> =
        logs.iter().filter(|log| log["entityType"] == "EventStreamingQuarantine").collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for log in &told {
        assert_eq!(
            (&log["name"], &log["actorClient"]["name"]),
            (&json!(stage.name), &json!("administrator"))
        );
        assert_eq!(log["url"], format!("{}/quarantine", stage.path));
    }
    let said = &told[2]["changes"][0]["after"];
    assert_eq!(
        (&said["discarded"], &said["note"], &said["filter"]["stream"]),
        (&json!(2), &json!("gone"), &json!("accountEvent"))
    );
    assert_eq!(said["eventIDs"], json!(ids[2..]));

    assert_eq!(stage.app.call(Method::DELETE, &stage.path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.app.get(&format!("{}/quarantine", stage.path)).await.error_key(), "notFound");
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_leaves_quarantine_too() {
    let stage = Stage::with_refused(App::local().await, 3).await;
    let ids = stage.ids("order=oldest").await;
    let erased =
        stage.app.call(Method::POST, "/admin/api/v1/instance/erasures", json!({"eventId": ids[1]})).await;
    assert_eq!(erased.status, StatusCode::ACCEPTED, "{}", erased.text);
    let path = erased.header("location").to_owned();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if stage.app.get(&path).await.json()["progress"] == "done" {
            break;
        }
    }
    assert_eq!(stage.app.get(&path).await.json()["progress"], "done");
    assert_eq!(stage.ids("order=oldest").await, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(stage.list("").await["totals"]["quarantined"], 2);
    let (_, done) = stage.discard(json!({"all": true, "expectedCount": 2})).await;
    assert_eq!(done["discarded"], 2);
    let books = stage.books().await;
    assert_eq!(
        (&books["quarantined"], &books["discarded"]),
        (&json!(1), &json!(2)),
        "its copy was erased, and it stays counted"
    );
}
