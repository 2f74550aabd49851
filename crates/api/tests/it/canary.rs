//! Secrets planted everywhere must appear in no answer, no diagnostic and no debug output, whatever is asked.

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

use delivery::Configuration;
use http::Method;
use serde_json::{Value, json};
use testkit::net::Faults;
use testkit::tls::Certified;

use crate::app::{AUDIT_LOGS, App, CLIENTS, JSON, Reply, SOURCES, STREAMING, event, splunk, with};

const API_KEY: &str = "CANARY-api-key";
const NEXT_API_KEY: &str = "CANARY-next-api-key";
const AUTHORIZATION: &str = "Bearer CANARY-authorization";

const PROXY_CREDENTIAL: &str = "CANARY-proxy-user:CANARY-proxy-password";
/// "CANARY" lies in its base64.
const SIGNING_SECRET: &str = "whsec_CANARYAAAAAAAAAAAAAAAAAAAAAAAAAA";

thread_local! {
    /// What the diagnostics say on this thread, where somebody listens.
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Where diagnostics go. The subscriber is the whole process's: one of a single thread hears nothing of what other threads
/// came by first, while nobody listened.
struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HEARD.with_borrow_mut(|heard| heard.as_mut().map_or(Ok(bytes.len()), |heard| heard.write(bytes)))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// With every secret that a configuration can have beside its credential.
fn routed(body: Value, client: &Certified) -> Value {
    let network = json!({
        "clientCertificate": client.pem, "clientKey": client.key_pem,
        "proxy": "http://proxy.example.com:3128", "proxyCredential": PROXY_CREDENTIAL,
    });
    let signing = if body["type"] == "https" { json!([SIGNING_SECRET, SIGNING_SECRET]) } else { Value::Null };
    with(with(body, "/configuration/network", network), "/configuration/signingSecrets", signing)
}

/// Asks, and keeps what was answered.
struct Asking<'a> {
    app: &'a App,
    answers: Vec<String>,
}

impl Asking<'_> {
    async fn ask(&mut self, method: Method, path: &str, body: Value) -> Reply {
        let reply = self.app.call(method, path, body).await;
        self.answers.push(format!("{:?} {}", reply.headers, reply.text));
        reply
    }

    /// A configuration's whole life, and every way to get one of its secrets wrong.
    async fn configure(&mut self, vendor: &str, client: &Certified) {
        let mut body = with(splunk(vendor), "/type", json!(vendor));
        body = with(body, "/configuration/apiKey", json!(API_KEY));
        if vendor == "https" {
            body = with(body, "/configuration", json!({"headerName": "x-api-key", "apiKey": API_KEY}));
            body = with(body, "/configuration/url", json!("https://h.example.com/in"));
        }
        body = routed(body, client);
        let path = self.ask(Method::POST, STREAMING, body.clone()).await.header("location").to_owned();
        self.ask(Method::GET, &path, Value::Null).await;
        self.ask(Method::POST, &(path.clone() + "/test"), Value::Null).await;
        let id = path.rsplit('/').next().unwrap();
        body = with(with(body, "/id", json!(id)), "/configuration/apiKey", json!(NEXT_API_KEY));
        self.ask(Method::PUT, &path, body.clone()).await;
        for (pointer, value) in wrong(client) {
            self.ask(Method::PUT, &path, with(body.clone(), pointer, value.clone())).await;
            self.ask(Method::POST, STREAMING, with(body.clone(), pointer, value)).await;
        }
    }

    /// An event goes to who repeats the credential; then everybody says how they fare.
    async fn deliver(&mut self) {
        self.app.post(&[JSON], event("")).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        for found in self.app.catalog.list::<Configuration>().unwrap() {
            let path = format!("{STREAMING}/{}/status", found.value.id);
            let status = self.ask(Method::GET, &path, Value::Null).await;
            assert_eq!(status.json()["state"], "holding", "{}", status.text);
            let path = format!("{STREAMING}/{}/attempts", found.value.id);
            let attempts = self.ask(Method::GET, &path, Value::Null).await.json();
            let attempts = attempts["content"].as_array().unwrap().clone();
            assert!(!attempts.is_empty(), "nothing was attempted");
            for attempt in attempts {
                let seen =
                    self.ask(Method::GET, &format!("{path}/{}", attempt["n"]), Value::Null).await.json();
                assert!(seen["detail"]["answer"]["body"].is_string(), "{seen}");
            }
        }
    }

    /// What idstream tells of its own changes, and the events themselves.
    async fn ask_for_every_event(&mut self) {
        assert!(api::audit::tell(&self.app.state).await);
        let streams = event::StreamSet::product();
        let range = journal::ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let blocks = self.app.journal.read(range).await.unwrap();
        let ids: Vec<_> =
            blocks.iter().flat_map(|block| block.records()).map(|(_, record)| record.event_id()).collect();
        assert!(ids.len() > 5, "{ids:?}");
        for id in ids {
            let shown = self.ask(Method::GET, &format!("/console/e/{id}"), Value::Null).await;
            assert_eq!(shown.status, 200, "{}", shown.text);
            self.ask(Method::GET, &format!("{AUDIT_LOGS}/{id}"), Value::Null).await;
        }
    }

    async fn ask_for_the_rest(&mut self) {
        let source = json!({
            "name": "Auth0",
            "platform": {"kind": "auth0", "tenant": "t"},
            "authorization": [AUTHORIZATION],
        });
        let path = self.ask(Method::POST, SOURCES, source.clone()).await.header("location").to_owned();
        self.ask(Method::GET, &path, Value::Null).await;
        let long = json!([AUTHORIZATION.repeat(50)]);
        self.ask(Method::POST, SOURCES, with(source, "/authorization", long)).await;
        for list in [STREAMING, SOURCES, CLIENTS, "/metrics", "/admin/api/v1/instance/status"] {
            self.ask(Method::GET, list, Value::Null).await;
        }
        self.ask_for_every_event().await;
        let wrong = format!("Bearer {}x", self.app.admin);
        let reply = self.app.send(Method::GET, STREAMING, &[("authorization", &wrong)], "").await;
        self.answers.push(reply.text);
    }
}

/// What is put in place of a right value.
fn wrong(client: &Certified) -> Vec<(&'static str, Value)> {
    let other_key = client.key_pem.replace('A', "B") + API_KEY;
    vec![
        ("/name", json!("x")),
        ("/type", json!(API_KEY)),
        ("/configuration/url", json!(format!("https://user:{API_KEY}@h/"))),
        ("/configuration/url", json!(format!("ftp://{API_KEY}/"))),
        ("/configuration/apiKey", json!(format!("{API_KEY}\r\nx: y"))),
        ("/configuration/apiKey", json!(API_KEY.repeat(500))),
        ("/configuration/apiKey", json!([API_KEY])),
        ("/configuration/network/clientKey", json!(other_key)),
        ("/configuration/network/clientKey", json!([client.key_pem])),
        ("/configuration/network/clientCertificate", json!(client.key_pem)),
        ("/configuration/network/caCertificate", json!(client.key_pem)),
        ("/configuration/network/caCertificate", json!(API_KEY)),
        ("/configuration/network/proxyCredential", json!(API_KEY)),
        ("/configuration/network/proxyCredential", json!([PROXY_CREDENTIAL])),
        ("/configuration/network/proxy", json!(format!("http://{PROXY_CREDENTIAL}@p:1"))),
        ("/configuration/network/noProxy", json!([API_KEY, format!("{API_KEY}/8")])),
        ("/configuration/signingSecrets", json!([format!("{SIGNING_SECRET}A")])),
        ("/configuration/signingSecrets", json!([SIGNING_SECRET, [SIGNING_SECRET]])),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_planted_secret_ever_comes_back() {
    HEARD.set(Some(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| Diagnostics)
        .finish();
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).unwrap();
    let client = Certified::by_itself(&["idstream"]).unwrap();
    let app = App::new().await;
    app.net.set_faults(Faults { echo: 100, ..Faults::default() });
    let mut asking = Asking { app: &app, answers: Vec::new() };
    for vendor in ["splunk", "elasticsearch", "https"] {
        asking.configure(vendor, &client).await;
    }
    asking.deliver().await;
    asking.ask_for_the_rest().await;

    let stored = app.catalog.list::<Configuration>().unwrap();
    let documents = stored.iter().map(|found| serde_json::to_string(&found.value).unwrap());
    let said = String::from_utf8(HEARD.take().unwrap()).unwrap();
    assert!(said.contains("destination"), "nothing was heard: {said}");
    let answers = asking.answers;
    assert!(answers.len() > 120 && !answers.iter().any(|answer| answer.contains("ciphertext")));
    let quiet: Vec<String> = [format!("{stored:?}"), said].into_iter().chain(documents).collect();
    let digest = app.catalog.list::<api::ApiClient>().unwrap()[0].value.secret_sha256.clone();
    let admin_secret = app.admin.rsplit_once('-').unwrap().1;
    let key_line = client.key_pem.lines().nth(1).unwrap();
    // The third is "CANARY" in base64.
    for secret in ["CANARY", "canary", "Q0FOQVJZ", key_line, &*digest, admin_secret] {
        for text in answers.iter().chain(&quiet) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
