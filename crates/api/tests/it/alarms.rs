//! Alarms from end to end: raised once, told by webhook and to other destinations, taken back once, and changed by calls.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::net::Faults;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, STREAMING, event, splunk, with};
use crate::hooks::Got;

const ALARMS: &str = "/admin/api/v1/instance/alarms";
const CHANNELS: &str = "/admin/api/v1/instance/alarmChannels";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An app whose alarms and audit logs run.
struct Running {
    app: App,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(app: App) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(api::alarming::run(app.state.clone(), stopped.clone())),
            tokio::spawn(api::audit::run(app.state.clone(), stopped)),
        ];
        Self { app, stop, tasks }
    }

    /// Lets time pass, for the clock and for timers alike.
    async fn pass(&self, minutes: u64) {
        for _ in 0..minutes * 6 {
            self.app.clock.advance(Duration::from_secs(10));
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }

    async fn end(self) -> App {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.app
    }

    /// The audit logs of alarms that a host has got, by action.
    fn told_to(&self, host: &str) -> Vec<String> {
        self.app.net.taken(|taken| {
            let documents = taken.documents.get(host).into_iter().flatten();
            let alarms = documents.filter(|document| document["entityType"] == "Alarm");
            let says = |document: &Value| document.to_string().contains("and says: HEC code 3");
            let alarms = alarms.inspect(|document| assert!(says(document), "{document}"));
            alarms.map(|document| format!("{} {}", document["action"], document["name"])).collect()
        })
    }
}

fn webhook() -> Value {
    json!({
        "name": "On call", "type": "webhook",
        "configuration": {"url": "https://hook.example.com/services/T0/B0/s3cret", "signingSecrets": [SIGNING]},
    })
}

fn leading_to(name: &str, host: &str) -> Value {
    with(splunk(name), "/configuration/url", json!(format!("https://{host}:8088")))
}

/// HMAC as RFC 2104 writes it, with nothing but the hash.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |byte: u8| block.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn check_signature(got: &Got) {
    let key = STANDARD.decode(SIGNING.strip_prefix("whsec_").unwrap()).unwrap();
    let head = format!("{}.{}.", got.header("webhook-id"), got.header("webhook-timestamp"));
    let expected = STANDARD.encode(hmac(&key, &[head.as_bytes(), &got.body].concat()));
    assert_eq!(got.header("webhook-signature"), format!("v1,{expected}"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_told_once_to_a_webhook_and_the_other_destination_and_so_is_its_recovery() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    let refusing = app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    app.create(STREAMING, leading_to("Other", "other.example.com")).await;
    app.create(CHANNELS, webhook()).await;
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(60).await;

    let got = app.hooks.take();
    assert_eq!(got.len(), 1, "{:?}", got.iter().map(Got::json).collect::<Vec<_>>());
    check_signature(&got[0]);
    assert_eq!(got[0].path, "/services/T0/B0/s3cret");
    let document = got[0].json();
    assert_eq!(document["type"], "alarm.raised");
    assert_eq!(document["data"]["alarm"]["kind"], "credentialRejected");
    assert_eq!(document["data"]["alarm"]["subject"]["id"], refusing["id"]);
    assert!(document["text"].as_str().unwrap().contains("What to do: give the configuration a credential"));
    assert!(!got[0].json().to_string().contains("hec-token-1"), "{document}");
    let raised = r#""Raise" "Refusing (credentialRejected)""#.to_owned();
    assert_eq!(running.told_to("other.example.com"), std::slice::from_ref(&raised));
    assert_eq!(running.told_to("refusing.example.com"), [""; 0]);
    let standing = app.get(&format!("{ALARMS}?standing=true")).await.json();
    assert_eq!(standing["page"]["totalElements"], 1, "{standing}");

    app.net.set_faults_of("refusing.example.com", Faults::default());
    running.pass(120).await;
    let got = app.hooks.take();
    assert_eq!(got.iter().map(|got| got.json()["type"].clone()).collect::<Vec<_>>(), ["alarm.cleared"]);
    let cleared = r#""Clear" "Refusing (credentialRejected)""#.to_owned();
    assert_eq!(running.told_to("other.example.com"), [raised.clone(), cleared.clone()]);
    let mut late = running.told_to("refusing.example.com");
    late.sort();
    assert_eq!(late, [cleared, raised], "it gets what it missed");
    let over = app.get(ALARMS).await.json();
    assert!(over["content"][0]["clearedAt"].is_string(), "{over}");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn that_intake_refuses_is_an_alarm_until_it_takes_events_again() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    app.create(CHANNELS, webhook()).await;
    let disk = |free| {
        let measured = delivery::DiskSpace { free, reserve: 1 << 20, stored: 1 << 40 };
        app.state.delivery.backlogs().note_disk(Some(measured), app.state.clock.now());
    };
    disk(1 << 10);
    running.pass(5).await;
    let got: Vec<_> = app.hooks.take().iter().map(Got::json).collect();
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(
        (&got[0]["type"], &got[0]["data"]["alarm"]["kind"]),
        (&json!("alarm.raised"), &json!("intakeRefuses"))
    );
    assert_eq!(got[0]["data"]["alarm"]["severity"], "critical");
    assert!(got[0]["text"].as_str().unwrap().contains("1.0 MiB are its reserve"), "{}", got[0]);
    disk(1 << 30);
    running.pass(5).await;
    let got: Vec<_> = app.hooks.take().iter().map(Got::json).collect();
    assert_eq!(got.iter().map(|got| got["type"].clone()).collect::<Vec<_>>(), ["alarm.cleared"]);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_is_not_told_again_after_a_restart_and_a_channel_that_was_down_is_told_late() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    app.create(CHANNELS, webhook()).await;
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.hooks.answer(503);
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(20).await;
    let tries = app.hooks.take();
    assert!(tries.len() > 3 && tries.iter().all(|got| got.body == tries[0].body), "{}", tries.len());
    assert!(tries.iter().all(|got| got.header("webhook-id") == tries[0].header("webhook-id")));
    let channel = app.get(CHANNELS).await.json()["content"][0].clone();
    assert_eq!(channel["status"]["waiting"], 1, "{channel}");
    assert_eq!(channel["status"]["lastError"], "HTTP 503: what it says");

    let app = running.end().await.restarted();
    app.hooks.answer(204);
    let running = Running::start(app);
    running.pass(60).await;
    let got = running.app.hooks.take();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].body, tries[0].body, "the same notice");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_disabled_or_deleted_is_told_to_others() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    let made = app.create(STREAMING, leading_to("Watched", "watched.example.com")).await;
    app.create(CHANNELS, webhook()).await;
    running.pass(1).await;
    let path = format!("{STREAMING}/{}", made["id"].as_str().unwrap());
    let off = with(leading_to("Watched", "watched.example.com"), "/enabled", json!(false));
    let reply = app.call(Method::PUT, &path, with(off, "/id", made["id"].clone())).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    running.pass(1).await;
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    running.pass(10).await;
    let kinds: Vec<Value> =
        app.hooks.take().iter().map(|got| got.json()["data"]["alarm"]["kind"].clone()).collect();
    assert_eq!(kinds, ["configurationDisabled", "configurationDeleted"]);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_what_is_paused_is_ended_by_an_operator_and_raised_again_when_it_goes_on() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    let made = app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    app.create(CHANNELS, webhook()).await;
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(5).await;
    let path = format!("{STREAMING}/{}", made["id"].as_str().unwrap());
    let paused = app.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    assert!(paused.status.is_success(), "{}", paused.text);
    running.pass(5).await;
    let over = app.get(ALARMS).await.json()["content"][0].clone();
    assert_eq!((&over["kind"], &over["withdrawn"]), (&json!("credentialRejected"), &json!(true)), "{over}");
    let resumed = app.call(Method::POST, &format!("{path}/resume"), json!({})).await;
    assert!(resumed.status.is_success(), "{}", resumed.text);
    running.pass(30).await;
    let told: Vec<Value> = app.hooks.take().iter().map(|got| got.json()["type"].clone()).collect();
    assert_eq!(told, ["alarm.raised", "alarm.withdrawn", "alarm.raised"]);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_stays_paused_is_told_of_after_hours() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    let made = app.create(STREAMING, leading_to("Watched", "watched.example.com")).await;
    app.create(CHANNELS, webhook()).await;
    app.call(Method::POST, &format!("{STREAMING}/{}/pause", made["id"].as_str().unwrap()), Value::Null).await;
    running.pass(239).await;
    assert!(app.hooks.take().is_empty());
    running.pass(2).await;
    let got = app.hooks.take();
    assert_eq!(
        got.iter().map(|got| got.json()["data"]["alarm"]["kind"].clone()).collect::<Vec<_>>(),
        ["paused"]
    );
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_only_an_operator_can_mend_at_a_channel_is_tried_seldom_and_never_given_up() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    let made = app.create(CHANNELS, webhook()).await;
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.hooks.answer(401);
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(12 * 60).await;
    let n_tries = app.hooks.take().len();
    assert!((20..=25).contains(&n_tries), "{n_tries}");
    let path = format!("{CHANNELS}/{}", made["id"].as_str().unwrap());
    let status = app.get(&path).await.json()["status"].clone();
    assert_eq!((&status["waiting"], &status["givenUp"]), (&json!(1), &json!(0)), "{status}");
    app.hooks.answer(204);
    let changed = app.call(Method::PUT, &path, with(made, "/minSeverity", json!("critical"))).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    running.pass(1).await;
    assert_eq!(app.hooks.take().len(), 1, "at once when the channel was changed");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_not_told_what_happened_while_it_was_switched_off() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    let made = app.create(CHANNELS, webhook()).await;
    let path = format!("{CHANNELS}/{}", made["id"].as_str().unwrap());
    running.pass(1).await;
    let off = app.call(Method::PUT, &path, with(made.clone(), "/enabled", json!(false))).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.text);
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(5).await;
    assert_eq!(app.get(&path).await.json()["status"]["waiting"], 0);
    let on = app.call(Method::PUT, &path, made).await;
    assert_eq!(on.status, StatusCode::OK, "{}", on.text);
    running.pass(5).await;
    assert!(app.hooks.take().is_empty());
    app.net.set_faults_of("refusing.example.com", Faults::default());
    running.pass(120).await;
    let told: Vec<Value> = app.hooks.take().iter().map(|got| got.json()["type"].clone()).collect();
    assert_eq!(told, ["alarm.cleared"], "it is told what comes now");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_acknowledged_and_silenced_by_name_and_that_is_audited() {
    let running = Running::start(App::new().await);
    let app = &running.app;
    app.create(STREAMING, leading_to("Refusing", "refusing.example.com")).await;
    app.create(STREAMING, leading_to("Other", "other.example.com")).await;
    app.net.set_faults_of("refusing.example.com", Faults { echo: 100, ..Faults::default() });
    app.post(&[crate::app::JSON], event("")).await;
    running.pass(5).await;
    let alarm = app.get(ALARMS).await.json()["content"][0].clone();
    let path = format!("{ALARMS}/{}", alarm["id"].as_str().unwrap());
    let reply = app.call(Method::POST, &format!("{path}/acknowledge"), Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(reply.json()["acknowledged"]["by"].is_string(), "{}", reply.text);
    let reply = app.call(Method::POST, &format!("{path}/silence"), json!({"hours": 4})).await;
    assert!(reply.json()["silencedUntil"].is_string(), "{}", reply.text);
    let wrong = app.call(Method::POST, &format!("{path}/silence"), json!({"hours": 721})).await;
    assert_eq!(wrong.wrong_fields(), ["hours"]);
    let unknown = app.call(Method::POST, &format!("{ALARMS}/nobody/acknowledge"), Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    running.pass(2).await;
    let told = running.told_to("other.example.com");
    assert_eq!(told.iter().filter(|told| told.starts_with("\"Update\"")).count(), 2, "{told:?}");
    running.end().await;
}

#[tokio::test]
async fn thresholds_are_read_set_and_checked() {
    let app = App::new().await;
    let path = format!("{ALARMS}/thresholds");
    insta::assert_snapshot!("thresholds", app.get(&path).await.shown());
    let set = app.call(Method::PUT, &path, json!({"lagWarningMinutes": 9, "off": ["disk"]})).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let read = app.get(&path).await.json();
    assert_eq!(
        (&read["lagWarningMinutes"], &read["lagCriticalMinutes"], &read["off"]),
        (&json!(9), &json!(30), &json!(["disk"]))
    );
    for (body, fields) in [
        (json!({"lagWarningMinutes": 31}), vec!["lagCriticalMinutes"]),
        (json!({"off": ["disk", "rain"]}), vec!["off"]),
        (json!({"lagMinutes": 1}), vec!["lagMinutes"]),
        (json!({"clearMinutes": 0, "remindHours": -1}), vec!["remindHours"]),
        (json!({"clearMinutes": 0}), vec!["clearMinutes"]),
    ] {
        assert_eq!(app.call(Method::PUT, &path, body.clone()).await.wrong_fields(), fields, "{body}");
    }
}

#[tokio::test]
async fn a_channel_is_made_shown_without_secrets_changed_tried_and_deleted() {
    let app = App::new().await;
    let made = app.call(Method::POST, CHANNELS, webhook()).await;
    insta::assert_snapshot!("channel", made.shown());
    let path = made.header("location").to_owned();
    let shown = app.get(&path).await;
    assert!(!shown.text.contains("s3cret") && !shown.text.contains(SIGNING), "{}", shown.text);
    // What is answered can be sent back.
    let same = app.call(Method::PUT, &path, shown.json()).await;
    assert_eq!(same.status, StatusCode::OK, "{}", same.text);
    let tried = app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
    assert_eq!(tried.json(), json!({"taken": true}));
    let got = app.hooks.take();
    assert_eq!(
        (got[0].path.as_str(), &got[0].json()["type"]),
        ("/services/T0/B0/s3cret", &json!("alarm.test"))
    );
    check_signature(&got[0]);
    app.hooks.answer(404);
    let tried = app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
    assert_eq!(tried.json(), json!({"taken": false, "reason": "HTTP 404: what it says"}));

    let elsewhere = with(shown.json(), "/configuration/url", json!("https://evil.example.com/"));
    let reply = app.call(Method::PUT, &path, elsewhere).await;
    assert_eq!(reply.wrong_fields(), ["configuration.signingSecrets"], "a secret is never sent elsewhere");
    let taken = app.call(Method::POST, CHANNELS, webhook()).await;
    assert_eq!(taken.error_key(), "nameTaken");
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path).await.status, StatusCode::NOT_FOUND);
    for untold in app.catalog.untold() {
        let notes = format!("{:?}", untold.notes);
        assert!(!notes.contains("s3cret") && !notes.contains("MfKQ9r8"), "{notes}");
    }
}

#[tokio::test]
async fn a_stored_address_of_a_webhook_is_never_sent_by_another_way() {
    let app = App::new().await;
    let hook = json!({"name": "Chat", "type": "webhook",
                      "configuration": {"url": "https://hook.example.com/services/T0/B0/s3cret"}});
    let made = app.create(CHANNELS, hook.clone()).await;
    let path = format!("{CHANNELS}/{}", made["id"].as_str().unwrap());
    let through =
        with(made.clone(), "/configuration/network", json!({"proxy": "http://proxy.example.com:3128"}));
    for url in [made["configuration"]["url"].clone(), Value::Null] {
        let body = with(through.clone(), "/configuration/url", url);
        assert_eq!(app.call(Method::PUT, &path, body).await.wrong_fields(), ["configuration.url"]);
    }
    let header = with(made, "/configuration/headerName", json!("x-other"));
    assert_eq!(app.call(Method::PUT, &path, header).await.wrong_fields(), ["configuration.url"]);
    let whole = with(through, "/configuration/url", hook["configuration"]["url"].clone());
    let reply = app.call(Method::PUT, &path, whole).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_is_named() {
    let app = App::new().await;
    let mail = |more: Value| {
        let mut configuration =
            json!({"host": "mail.example.com", "from": "a@example.com", "to": ["b@example.com"]});
        configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": "Mail", "type": "mail", "configuration": configuration})
    };
    for (body, fields) in [
        (json!({"name": "Pager", "type": "pager", "configuration": {}}), vec!["type"]),
        (with(webhook(), "/configuration/url", json!("http://169.254.169.254/")), vec!["configuration.url"]),
        (
            with(webhook(), "/configuration/signingSecrets", json!(["x"])),
            vec!["configuration.signingSecrets"],
        ),
        (with(webhook(), "/configuration/format", json!("ndjson")), vec!["configuration.format"]),
        (mail(json!({"host": "169.254.169.254"})), vec!["configuration.host"]),
        (mail(json!({"to": []})), vec!["configuration.to"]),
        (mail(json!({"to": ["b@example.com\r\nBcc: c@example.com"]})), vec!["configuration.to[0]"]),
        (mail(json!({"username": "ann"})), vec!["configuration.password"]),
        (
            mail(json!({"security": "none", "username": "ann", "password": "pw"})),
            vec!["configuration.username"],
        ),
    ] {
        assert_eq!(app.call(Method::POST, CHANNELS, body.clone()).await.wrong_fields(), fields, "{body}");
    }
    let made = app.create(CHANNELS, mail(json!({"username": "ann", "password": "pw-1"}))).await;
    assert_eq!(
        (&made["configuration"]["port"], &made["configuration"]["passwordSet"]),
        (&json!(587), &json!(true))
    );
    let path = format!("{CHANNELS}/{}", made["id"].as_str().unwrap());
    assert_eq!(app.call(Method::PUT, &path, made.clone()).await.status, StatusCode::OK);
    let elsewhere = with(made, "/configuration/host", json!("evil.example.com"));
    assert_eq!(app.call(Method::PUT, &path, elsewhere).await.wrong_fields(), ["configuration.password"]);
}

#[tokio::test]
async fn alarms_are_for_those_who_may() {
    let app = App::new().await;
    let reader = app.client("Reader", &["read:alarm"]).await;
    let authorization = format!("Bearer {}", reader.expose());
    let headers = [("authorization", authorization.as_str()), crate::app::JSON];
    assert_eq!(app.send(Method::GET, ALARMS, &headers, "").await.status, StatusCode::OK);
    let denied = app.send(Method::POST, CHANNELS, &headers, webhook().to_string()).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
}
