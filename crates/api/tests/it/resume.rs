//! Going on after a pause: by itself, or as an operator chooses; and the books balance either way.

use std::time::Duration;

use api::audit::tell;
use delivery::{Configuration, Parts, State, Supervisor};
use event::{Section, Stream, StreamSet};
use http::{Method, StatusCode};
use journal::ReadRange;
use serde_json::{Value, json};
use testkit::net::Faults;

use crate::app::{App, JSON, STREAMING, event, splunk, with};

const HOUR: Duration = Duration::from_hours(1);

/// A configuration of account events, its path, and what is put.
struct Stage {
    app: App,
    path: String,
    body: Value,
}

impl Stage {
    async fn new() -> Self {
        let app = App::new().await;
        let body = with(splunk("paused"), "/auditLogStreaming/enabled", json!(false));
        let created = app.call(Method::POST, STREAMING, body.clone()).await;
        let body = with(body, "/id", created.json()["id"].clone());
        tell(&app.state).await;
        Self { path: created.header("location").to_owned(), app, body }
    }

    /// Disabled while `n_events` come in, then for `age`.
    async fn paused(n_events: usize, age: Duration) -> Self {
        let stage = Self::new().await;
        stage.post("before").await;
        stage.at_rest().await;
        assert_eq!(stage.enable(false).await, StatusCode::OK);
        for _ in 0..n_events {
            stage.post("meanwhile").await;
        }
        stage.app.clock.advance(age);
        stage
    }

    fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    async fn post(&self, user: &str) {
        let event = event(&format!(r#","subject":{{"userName":"{user}"}}"#));
        assert_eq!(self.app.post(&[JSON], event).await.status, StatusCode::OK);
    }

    async fn enable(&self, enabled: bool) -> StatusCode {
        self.put(json!({"enabled": enabled})).await.0
    }

    /// Puts the configuration with these members; the status and the ETag.
    async fn put(&self, members: Value) -> (StatusCode, String) {
        let body =
            members.as_object().unwrap().iter().fold(self.body.clone(), |body, (name, value)| {
                with(body, &format!("/{name}"), value.clone())
            });
        let reply = self.app.call(Method::PUT, &self.path, body).await;
        (reply.status, reply.header("etag").to_owned())
    }

    async fn choose(&self, from: &str) -> (StatusCode, Value) {
        let body = json!({"resumeFrom": from});
        let reply = self.app.call(Method::POST, &format!("{}/resume", self.path), body).await;
        (reply.status, reply.json())
    }

    async fn status(&self) -> Value {
        let status = self.app.get(&format!("{}/status", self.path)).await.json();
        let books = status["books"].as_object().unwrap();
        let count = |name: &str| books[name].as_u64().unwrap();
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
        assert_eq!(count("appended"), ends.iter().map(|name| count(name)).sum::<u64>(), "{status}");
        status
    }

    /// The status when the worker has taken up what the catalog holds, and nothing is left to do.
    async fn at_rest(&self) -> Value {
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let status = self.status().await;
            if status["books"]["pending"] == 0 || status.get("awaitingChoice").is_some() {
                return status;
            }
        }
        panic!("it does not come to rest: {}", self.status().await)
    }

    /// What the audit logs say of the pause, and who made the change.
    async fn told(&self) -> Vec<Value> {
        assert!(tell(&self.app.state).await);
        let streams = StreamSet::from_iter([Stream::AuditLog]);
        let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let mut told = Vec::new();
        for block in self.app.journal.read(range).await.unwrap() {
            for (_, record) in block.records() {
                let changes: Value = serde_json::from_str(record.section(Section::Changes).unwrap()).unwrap();
                let changes = changes.as_array().unwrap().clone();
                told.extend(changes.into_iter().filter(|change| change["path"] == "/resume"));
            }
        }
        told
    }

    /// The same catalog and journal after a restart.
    async fn restarted(&self) -> Supervisor {
        self.app.state.delivery.shutdown().await;
        let state = &self.app.state;
        Supervisor::start(Parts {
            journal: self.app.journal.clone(),
            catalog: self.app.catalog.clone(),
            keyring: state.keyring.clone(),
            transport: self.app.net.clone(),
            instance: state.instance.clone(),
            clock: state.clock.clone(),
            random: state.random.clone(),
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_goes_on_by_itself_with_all_that_came_meanwhile() {
    let stage = Stage::paused(3, 24 * HOUR).await;
    assert_eq!(stage.enable(true).await, StatusCode::OK);
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["accepted"], &status["books"]["discarded"]),
        (&json!(4), &json!(0)),
        "{status}"
    );
    assert_eq!(status.get("awaitingChoice"), None);
    assert_eq!(stage.told().await, [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_waits_and_says_how_much_there_is_and_what_to_do() {
    let stage = Stage::paused(3, 25 * HOUR).await;
    assert_eq!(stage.enable(true).await, StatusCode::OK);
    let status = stage.at_rest().await;
    assert_eq!((&status["enabled"], &status["state"]), (&json!(true), &json!("awaitingChoice")));
    let choice = &status["awaitingChoice"];
    assert_eq!(
        (&choice["since"], &choice["oldest"]),
        (&json!("2026-02-01T13:00:00.000Z"), &json!("2026-01-31T12:00:00.000Z"))
    );
    assert_eq!((&choice["events"], &status["since"]), (&status["books"]["pending"], &choice["since"]));
    assert!(choice["bytes"].as_u64().unwrap() > 100, "{choice}");
    assert!(choice["whatToDo"].as_str().unwrap().contains(&format!("POST {}/resume", stage.path)));
    assert_eq!(status["books"]["accepted"], 1, "nothing was sent");
    let told = stage.told().await;
    assert_eq!((told.len(), &told[0]["after"]["from"]), (1, &json!("awaiting choice")), "{told:?}");

    let (code, chosen) = stage.choose("continue").await;
    assert_eq!((code, &chosen["discarded"]), (StatusCode::OK, &json!(0)), "{chosen}");
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["accepted"], &status["books"]["discarded"]),
        (&json!(4), &json!(0)),
        "{status}"
    );
    assert_eq!(status.get("awaitingChoice"), None);
    let told = stage.told().await;
    assert_eq!((told.len(), &told[1]["after"]["from"]), (2, &json!("continue")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_in_the_books_and_in_the_audit_log() {
    let stage = Stage::paused(3, 25 * HOUR).await;
    stage.enable(true).await;
    let pending = stage.at_rest().await["books"]["pending"].clone();
    let (code, chosen) = stage.choose("now").await;
    assert_eq!(
        (code, &chosen["resumeFrom"], &chosen["discarded"]),
        (StatusCode::OK, &json!("now"), &pending)
    );
    stage.post("after").await;
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["discarded"], &status["books"]["accepted"]),
        (&pending, &json!(2)),
        "{status}"
    );
    assert_eq!(status["state"], "active");
    let told = stage.told().await;
    assert_eq!(
        (&told[1]["after"]["from"], &told[1]["after"]["events"]),
        (&json!("now"), &pending),
        "{told:?}"
    );
    let last = stage.app.net.taken(|taken| String::from_utf8(taken.last_body.to_vec()).unwrap());
    assert!(last.contains("after") && !last.contains("meanwhile"), "{last}");
    let again =
        stage.app.call(Method::POST, &format!("{}/resume", stage.path), json!({"resumeFrom": "now"})).await;
    assert_eq!((again.status, again.error_key().as_str()), (StatusCode::CONFLICT, "notAwaitingChoice"));
}

#[tokio::test(start_paused = true)]
async fn the_call_that_enables_can_choose_at_once() {
    for (from, accepted) in [("now", 1), ("continue", 4)] {
        let stage = Stage::paused(3, 25 * HOUR).await;
        let (code, etag) = stage.put(json!({"enabled": true, "resumeFrom": from})).await;
        assert_eq!((code, etag.as_str()), (StatusCode::OK, stage.app.get(&stage.path).await.header("etag")));
        let status = stage.at_rest().await;
        assert_eq!(status["books"]["accepted"], accepted, "{status}");
        assert_eq!(status["books"]["discarded"].as_u64().unwrap() > 0, from == "now", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_survives_a_restart_and_other_changes_and_ends_when_it_is_disabled() {
    let stage = Stage::paused(1, 25 * HOUR).await;
    stage.enable(true).await;
    assert_eq!(stage.put(json!({"enabled": true, "name": "renamed"})).await.0, StatusCode::OK);
    let restarted = stage.restarted().await;
    let report = restarted.report(stage.id()).await.unwrap().unwrap();
    assert_eq!(report.shown.state, State::AwaitingChoice);
    tokio::time::sleep(HOUR).await;
    assert_eq!(stage.status().await["books"]["accepted"], 1);
    stage.enable(false).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!((stage.status().await.get("awaitingChoice"), restarted.status(stage.id())), (None, None));
    assert_eq!(stage.choose("continue").await.0, StatusCode::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_of_giving_up_is_done_at_the_next_start() {
    let stage = Stage::paused(3, 25 * HOUR).await;
    stage.enable(true).await;
    let pending = stage.at_rest().await["books"]["pending"].clone();
    let mut found = stage.app.catalog.get::<Configuration>(stage.id()).unwrap();
    found.value.resume.gives_up_below = Some(stage.app.journal.head().next);
    stage.app.catalog.replace(stage.id(), &found.value, found.revision, None).unwrap();
    stage.post("after").await;
    let restarted = stage.restarted().await;
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["discarded"], &status["books"]["accepted"]),
        (&pending, &json!(2)),
        "{status}"
    );
    assert_eq!(restarted.status(stage.id()).unwrap().state(), State::Active);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_in_an_older_copy_of_the_journal() {
    let stage = Stage::paused(3, 25 * HOUR).await;
    let mut found = stage.app.catalog.get::<Configuration>(stage.id()).unwrap();
    found.value.enabled = true;
    found.value.resume.gives_up_below = Some(stage.app.journal.head().next + 1000);
    stage.app.catalog.replace(stage.id(), &found.value, found.revision, None).unwrap();
    stage.restarted().await;
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["discarded"], &status["books"]["accepted"]),
        (&json!(0), &json!(4)),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_retention_removed_in_the_pause_is_expired_and_not_asked_about() {
    let stage = Stage::paused(3, 25 * HOUR).await;
    let expired = stage.status().await["books"]["pending"].clone();
    stage.app.journal.trim(stage.app.journal.head().next).await.unwrap();
    stage.post("late").await;
    assert_eq!(stage.enable(true).await, StatusCode::OK);
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["expired"], &status["books"]["accepted"]),
        (&expired, &json!(2)),
        "{status}"
    );
    assert_eq!(status.get("awaitingChoice"), None);
}

#[tokio::test]
async fn a_choice_where_there_is_none_is_refused() {
    let stage = Stage::new().await;
    for (members, field) in [
        (json!({"resumeFrom": "now"}), Some("resumeFrom")),
        (json!({"resumeFrom": "continue"}), None),
        (json!({"resumeFrom": "later"}), Some("resumeFrom")),
        (json!({"enabled": false, "resumeFrom": "continue"}), Some("resumeFrom")),
    ] {
        let body =
            members.as_object().unwrap().iter().fold(stage.body.clone(), |body, (name, value)| {
                with(body, &format!("/{name}"), value.clone())
            });
        let reply = stage.app.call(Method::PUT, &stage.path, body).await;
        match field {
            Some(field) => assert_eq!(reply.wrong_fields(), [field], "{members}"),
            None => assert_eq!(reply.status, StatusCode::OK, "{}", reply.text),
        }
    }
    let new = with(splunk("new"), "/resumeFrom", json!("now"));
    assert_eq!(stage.app.call(Method::POST, STREAMING, new).await.wrong_fields(), ["resumeFrom"]);
    let resume = format!("{}/resume", stage.path);
    for body in [json!({}), json!({"resumeFrom": "later"}), json!({"resumeFrom": 1})] {
        let reply = stage.app.call(Method::POST, &resume, body).await;
        assert_eq!(reply.wrong_fields(), ["resumeFrom"]);
    }
    let nowhere =
        stage.app.call(Method::POST, &format!("{STREAMING}/x/resume"), json!({"resumeFrom": "now"})).await;
    assert_eq!(nowhere.error_key(), "notFound");
}

#[tokio::test(start_paused = true)]
async fn a_choice_by_somebody_who_knows_an_older_state_is_refused() {
    let stage = Stage::paused(1, 25 * HOUR).await;
    stage.enable(true).await;
    let token = format!("Bearer {}", stage.app.admin);
    let headers = [("authorization", token.as_str()), JSON, ("if-match", "\"1\"")];
    let body = json!({"resumeFrom": "now"}).to_string();
    let reply = stage.app.send(Method::POST, &format!("{}/resume", stage.path), &headers, body).await;
    assert_eq!(reply.error_key(), "preconditionFailed");
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_the_call_that_enables_says_that_it_waits_and_can_be_sent_back() {
    let stage = Stage::paused(1, 25 * HOUR).await;
    let body = with(stage.body.clone(), "/enabled", json!(true));
    let reply = stage.app.call(Method::PUT, &stage.path, body).await;
    assert_eq!(reply.json()["awaitingChoiceSince"], "2026-02-01T13:00:00.000Z", "{}", reply.text);
    assert_eq!(stage.app.get(&stage.path).await.json(), reply.json());
    let again = stage.app.call(Method::PUT, &stage.path, reply.json()).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, reply.json()), "nothing is chosen by that");
    stage.choose("continue").await;
    assert_eq!(stage.app.get(&stage.path).await.json().get("awaitingChoiceSince"), None);
}

#[tokio::test(start_paused = true)]
async fn of_two_choices_at_a_time_one_is_refused_and_nothing_of_it_done() {
    let stage = Stage::new().await;
    stage.app.net.set_faults(Faults { hang: 100, ..Faults::default() });
    stage.post("meanwhile").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.app.net.set_faults(Faults::default());
    // The worker leaves, with a request that hangs, while the choices are made.
    stage.enable(false).await;
    stage.app.clock.advance(25 * HOUR);
    stage.enable(true).await;
    let (now, going_on) = tokio::join!(stage.choose("now"), stage.choose("continue"));
    assert_eq!((now.0, going_on.0), (StatusCode::OK, StatusCode::CONFLICT), "{now:?} {going_on:?}");
    let status = stage.at_rest().await;
    assert_eq!(
        (&status["books"]["accepted"], &status["books"]["discarded"]),
        (&json!(0), &json!(1)),
        "{status}"
    );
}
