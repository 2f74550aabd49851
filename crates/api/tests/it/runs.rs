//! Replays and redrives over REST: asked about, made, watched, stopped; each change with its audit log.

use std::time::Duration;

use api::audit::tell;
use event::{Section, Stream, StreamSet};
use http::{Method, StatusCode};
use journal::ReadRange;
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

/// A configuration of account events, and ten of them delivered.
struct Stage {
    app: App,
    path: String,
    ids: Vec<String>,
}

impl Stage {
    async fn new(app: App) -> Self {
        let body = with(splunk("main"), "/auditLogStreaming/enabled", json!(false));
        let path = app.call(Method::POST, STREAMING, body).await.header("location").to_owned();
        let mut stage = Self { app, path, ids: Vec::new() };
        for n in 0..10 {
            stage.app.clock.advance(Duration::from_hours(1));
            stage.post(&format!("user-{n}")).await;
        }
        stage.at_rest().await;
        stage
    }

    async fn post(&mut self, user: &str) {
        let event = event(&format!(r#","subject":{{"userName":"{user}"}}"#));
        let reply = self.app.post(&[JSON], event).await.json();
        self.ids.push(reply["accepted"][0]["eventID"].as_str().unwrap().to_owned());
    }

    async fn at_rest(&self) {
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let status = self.app.get(&format!("{}/status", self.path)).await.json();
            if status["books"]["pending"] == 0 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    async fn replay(&self, body: Value) -> (StatusCode, Value) {
        let reply = self.app.call(Method::POST, &format!("{}/replays", self.path), body).await;
        (reply.status, reply.json())
    }

    /// A run once it is over.
    async fn over(&self, id: &str) -> Value {
        let path = format!("{}/runs/{id}", self.path);
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let run = self.app.get(&path).await.json();
            if run.get("endedAt").is_some() && run["progress"]["percent"] == 100 {
                return run;
            }
        }
        panic!("it does not end: {}", self.app.get(&path).await.text);
    }

    async fn deed(&self, id: &Value, deed: &str) -> (StatusCode, Value) {
        let path = format!("{}/runs/{}/{deed}", self.path, id.as_str().unwrap());
        let reply = self.app.call(Method::POST, &path, Value::Null).await;
        (reply.status, reply.json())
    }

    fn sent(&self, id: &str) -> u64 {
        self.app.net.taken(|taken| taken.ids.get(id).copied().unwrap_or(0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_sends_nothing_and_a_replay_sends_what_it_counted() {
    for app in [App::new().await, App::local().await] {
        let stage = Stage::new(app).await;
        let wanted = json!({"from": "2026-01-31T15:00:00Z", "to": "2026-01-31T18:00:00Z"});
        let (status, counted) = stage.replay(with(wanted.clone(), "/dryRun", json!(true))).await;
        assert_eq!(status, StatusCode::OK, "{counted}");
        assert_eq!(
            (&counted["matching"], &counted["counted"]["complete"]),
            (&json!(3), &json!(true)),
            "{counted}"
        );
        assert!(
            counted["bytes"].as_u64().unwrap() > 300 && counted["beginsBeforeStored"] == false,
            "{counted}"
        );
        assert_eq!(counted["oldest"], "2026-01-31T15:00:00.000Z");
        assert!(stage.ids.iter().all(|id| stage.sent(id) == 1));

        let reply = stage.app.call(Method::POST, &format!("{}/replays", stage.path), wanted).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        let run = reply.json();
        assert!(reply.header("location").ends_with(&format!("/runs/{}", run["id"].as_str().unwrap())));
        let over = stage.over(run["id"].as_str().unwrap()).await;
        assert_eq!((&over["state"], &over["books"]["accepted"]), (&json!("completed"), &json!(3)), "{over}");
        let sent: Vec<u64> = stage.ids.iter().map(|id| stage.sent(id)).collect();
        assert_eq!(sent, [1, 1, 2, 2, 2, 1, 1, 1, 1, 1]);
        stage.app.net.taken(|taken| assert_eq!(taken.events[&stage.ids[2]]["replay"], json!(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_by_ids_sends_those_that_are_stored_and_says_which_are_not() {
    let stage = Stage::new(App::new().await).await;
    let unknown = "0197f3a0-6c1e-4c3a-9d2b-0a1b2c3d4e51";
    let ids = json!([stage.ids[1], stage.ids[8], unknown, stage.ids[1]]);
    let (status, counted) = stage.replay(json!({"eventIDs": ids, "dryRun": true})).await;
    assert_eq!((status, &counted["matching"]), (StatusCode::OK, &json!(2)), "{counted}");
    assert_eq!(counted["missing"], json!({"byReason": {"unknown": 1}, "eventIDs": [unknown]}));
    let (status, run) = stage.replay(json!({"eventIDs": ids})).await;
    assert_eq!((status, &run["events"]["eventIDs"]), (StatusCode::CREATED, &json!(2)), "{run}");
    assert_eq!(run["missing"]["byReason"], json!({"unknown": 1}));
    assert_eq!(stage.over(run["id"].as_str().unwrap()).await["books"]["accepted"], 2);
    assert_eq!(stage.ids.iter().map(|id| stage.sent(id)).sum::<u64>(), 12);
    let (status, problem) = stage.replay(json!({"eventIDs": [unknown]})).await;
    assert_eq!((status, &problem["errorKey"]), (StatusCode::NOT_FOUND, &json!("notFound")));
    assert!(problem["detail"].as_str().unwrap().contains("1 unknown"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_listed_paused_paced_and_cancelled_and_every_change_is_told() {
    let stage = Stage::new(App::new().await).await;
    let (_, run) = stage.replay(json!({"from": "earliest", "maxEventsPerSecond": 1})).await;
    let id = &run["id"];
    let (status, paused) = stage.deed(id, "pause").await;
    assert_eq!((status, &paused["state"]), (StatusCode::OK, &json!("paused")), "{paused}");
    let path = format!("{}/runs/{}", stage.path, id.as_str().unwrap());
    let paced = stage.app.call(Method::PATCH, &path, json!({"maxEventsPerSecond": 2})).await;
    assert_eq!((paced.status, &paced.json()["maxEventsPerSecond"]), (StatusCode::OK, &json!(2)));
    for wrong in [json!({}), json!({"maxEventsPerSecond": 0}), json!({"rate": 1})] {
        assert_eq!(stage.app.call(Method::PATCH, &path, wrong).await.status, StatusCode::BAD_REQUEST);
    }
    let unpaced = stage.app.call(Method::PATCH, &path, json!({"maxEventsPerSecond": null})).await;
    assert_eq!(unpaced.json()["maxEventsPerSecond"], Value::Null);
    let resumed = stage.deed(id, "resume").await.1["state"].clone();
    assert!(resumed == "queued" || resumed == "running", "{resumed}: by whether its worker has started yet");
    let (status, cancelled) = stage.deed(id, "cancel").await;
    assert_eq!((status, &cancelled["state"]), (StatusCode::OK, &json!("cancelled")), "{cancelled}");
    let (status, problem) = stage.deed(id, "resume").await;
    assert_eq!((status, &problem["errorKey"]), (StatusCode::CONFLICT, &json!("runOver")));

    let list = stage.app.get(&format!("{}/runs?kind=replay", stage.path)).await.json();
    assert_eq!((&list["page"]["totalElements"], &list["content"][0]["id"]), (&json!(1), id));
    assert_eq!(
        stage.app.get(&format!("{}/runs?kind=redrive", stage.path)).await.json()["content"],
        json!([])
    );
    assert_eq!(stage.app.get(&format!("{}/runs?kind=x", stage.path)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.app.get(&format!("{}/runs/none", stage.path)).await.status, StatusCode::NOT_FOUND);

    assert!(tell(&stage.app.state).await);
    let range = ReadRange {
        streams: StreamSet::from_iter([Stream::AuditLog]),
        from: 0,
        until: u64::MAX,
        max_bytes: usize::MAX,
    };
    let (mut n_told, mut states) = (0, Vec::new());
    for block in stage.app.journal.read(range).await.unwrap() {
        for (_, record) in block.records() {
            let header = record.section(Section::Header).unwrap_or_default();
            let changes = record.section(Section::Changes).unwrap_or_default();
            if header.contains("EventStreamingRun") {
                n_told += 1;
                states.extend(
                    ["running", "paused", "cancelled"]
                        .into_iter()
                        .filter(|state| changes.contains(&format!("\"after\":\"{state}\""))),
                );
            }
        }
    }
    assert_eq!((n_told, states), (6, vec!["paused", "running", "cancelled"]), "made, and changed five times");
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_while_a_replay_goes_on_is_not_sent_and_counts_as_erased() {
    let stage = Stage::new(App::local().await).await;
    let (_, run) = stage.replay(json!({"from": "earliest", "maxEventsPerSecond": 1})).await;
    let id = run["id"].as_str().unwrap().to_owned();
    stage.deed(&run["id"], "pause").await;
    let erased = stage.ids[9].clone();
    let path = "/admin/api/v1/instance/erasures";
    let asked = stage.app.call(Method::POST, path, json!({"eventId": erased})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.text);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if stage.app.get(asked.header("location")).await.json()["progress"] == "done" {
            break;
        }
    }
    stage.deed(&run["id"], "resume").await;
    let over = stage.over(&id).await;
    assert_eq!((&over["books"]["erased"], &over["books"]["accepted"]), (&json!(1), &json!(9)), "{over}");
    assert_eq!(stage.sent(&erased), 1, "when it was new");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_is_tried_again_as_asked() {
    let mut stage = Stage::new(App::new().await).await;
    // The answer waits, so that it is refused before it is taken.
    stage.app.net.hold_answers(true);
    stage.post("refused").await;
    let refused = stage.ids.last().unwrap().clone();
    stage.app.net.reject(&refused);
    stage.app.net.hold_answers(false);
    // Others are taken: so it is this one that is unfit.
    for n in 0..30 {
        stage.post(&format!("other-{n}")).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    stage.at_rest().await;
    let redrive = async |body: Value| {
        let reply = stage.app.call(Method::POST, &format!("{}/quarantine/redrive", stage.path), body).await;
        (reply.status, reply.json())
    };
    let books = async || stage.app.get(&format!("{}/status", stage.path)).await.json()["books"].clone();
    assert_eq!(books().await["quarantined"], 1);
    assert_eq!(redrive(json!({"all": true, "dryRun": true})).await.1, json!({"dryRun": true, "matching": 1}));
    assert_eq!(redrive(json!({})).await.0, StatusCode::BAD_REQUEST);
    let (status, problem) = redrive(json!({"eventIDs": [stage.ids[0]]})).await;
    assert_eq!((status, &problem["errorKey"]), (StatusCode::CONFLICT, &json!("notInQuarantine")));

    let (status, run) = redrive(json!({"eventIDs": [refused]})).await;
    assert_eq!((status, &run["kind"]), (StatusCode::CREATED, &json!("redrive")), "{run}");
    assert_eq!(stage.over(run["id"].as_str().unwrap()).await["books"]["quarantined"], 1, "refused once more");
    stage.app.net.mend(&refused);
    let (_, run) = redrive(json!({"filter": {"stream": "accountEvent"}})).await;
    assert_eq!(stage.over(run["id"].as_str().unwrap()).await["books"]["accepted"], 1);
    let books = books().await;
    assert_eq!((&books["quarantined"], &books["accepted"]), (&json!(0), &json!(41)));
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_for_those_who_may_read_events_and_each_run_belongs_to_its_configuration() {
    let stage = Stage::new(App::new().await).await;
    let changer = stage.app.client("changer", &["read:config_instance", "write:config_instance"]).await;
    let authorization = format!("Bearer {}", changer.expose());
    let headers = [("authorization", authorization.as_str()), JSON];
    let replays = format!("{}/replays", stage.path);
    let reply = stage.app.send(Method::POST, &replays, &headers, r#"{"from": "earliest"}"#).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let (_, run) = stage.replay(json!({"from": "earliest"})).await;
    let other = stage.app.call(Method::POST, STREAMING, splunk("other")).await.header("location").to_owned();
    let id = run["id"].as_str().unwrap();
    assert_eq!(stage.app.get(&format!("{other}/runs/{id}")).await.status, StatusCode::NOT_FOUND);
    let missing = format!("{STREAMING}/none/runs");
    assert_eq!(stage.app.get(&missing).await.status, StatusCode::NOT_FOUND);
    stage.over(id).await;

    let gone = stage.app.call(Method::DELETE, &stage.path, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(delivery::runs_of(&stage.app.catalog, stage.path.rsplit('/').next().unwrap()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_run_answers_has_a_fixed_form() {
    let stage = Stage::new(App::new().await).await;
    let path = format!("{}/replays", stage.path);
    let filter = json!({"include": {"types": ["selfService"]}});
    let body = json!({"from": "earliest", "toOffset": "9.0", "streams": ["accountEvent"], "filter": filter});
    let dry_run = stage.app.call(Method::POST, &path, with(body.clone(), "/dryRun", json!(true))).await;
    insta::assert_snapshot!("replay_dry_run", dry_run.shown());
    let configuration = with(splunk("main"), "/auditLogStreaming/enabled", json!(false));
    let configuration = with(configuration, "/id", stage.path.rsplit('/').next().unwrap().into());
    let enable = async |enabled: bool| {
        let body = with(configuration.clone(), "/enabled", json!(enabled));
        assert_eq!(stage.app.call(Method::PUT, &stage.path, body).await.status, StatusCode::OK);
    };
    enable(false).await;
    let made = stage.app.call(Method::POST, &path, body).await;
    insta::assert_snapshot!("replay_created", made.shown());
    enable(true).await;
    stage.over(made.json()["id"].as_str().unwrap()).await;
    let over = stage.app.get(made.header("location")).await;
    insta::assert_snapshot!("replay_completed", over.shown());
    let wrong = stage.app.call(Method::POST, &path, json!({"to": "tomorrow", "fromBlock": 1})).await;
    insta::assert_snapshot!("replay_refused", wrong.shown());
}
