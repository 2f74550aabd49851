//! The server is killed again and again under load: nothing that it accepted is missing at either receiver.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, Random, SystemClock};
use bytes::Bytes;
use destinations::transport::HttpTransport;
use destinations::{Answer, Request, Transport, TransportError};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use receiver::{Options, Receiver};
use serde_json::{Value, json};

const KILLS: usize = 20;
const STREAMING: &str = "admin/api/v1/instance/eventStreaming";

struct Server {
    process: Child,
    base: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_idstream"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, base }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

struct Caller {
    transport: HttpTransport,
    token: String,
}

impl Caller {
    async fn call(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answer, TransportError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", self.token)).unwrap());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!("{}/{path}", server.base).parse().unwrap();
        self.transport.send(Request { url, method, headers, body: Bytes::from(body) }).await
    }

    async fn json(&self, server: &Server, method: Method, path: &str, body: String) -> Value {
        let answer = self.call(server, method, path, body).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// An event per line, with ids of its producer, so that a request without an answer can be sent again.
fn lines(random: &Random) -> String {
    let now = SystemClock.now();
    let line = |_| {
        json!({"eventID": EventId::draw(now, random), "type": "customerFlow", "endTimestamp": now})
            .to_string()
    };
    (0..25).map(line).collect::<Vec<_>>().join("\n")
}

/// Posts until a request stays without an answer; what was answered 2xx is accepted.
async fn post_until_killed(
    caller: Arc<Caller>,
    server: Arc<Server>,
    random: Arc<Random>,
) -> BTreeSet<String> {
    let mut accepted = BTreeSet::new();
    loop {
        let Ok(answer) = caller.call(&server, Method::POST, "intake/v1/events", lines(&random)).await else {
            return accepted;
        };
        let receipts: Value = serde_json::from_slice(&answer.body).unwrap();
        for receipt in receipts["accepted"].as_array().into_iter().flatten() {
            accepted.insert(receipt["eventID"].as_str().unwrap().to_owned());
        }
    }
}

async fn configure(caller: &Caller, server: &Server, vendor: &str, receiver: &Receiver) -> String {
    let configuration = json!({
        "type": vendor,
        "name": vendor,
        "accountEventStreaming": {"enabled": true, "nativeClaims": []},
        "auditLogStreaming": {"enabled": false},
        "eventHookLogStreaming": {"enabled": false},
        "configuration": {"url": format!("http://{}", receiver.address()), "apiKey": "credential"},
    });
    let created = caller.json(server, Method::POST, STREAMING, configuration.to_string()).await;
    created["id"].as_str().unwrap().to_owned()
}

/// Waits until nothing is pending; the books.
async fn settled(caller: &Caller, server: &Server, id: &str) -> Value {
    for _ in 0..3_000 {
        let status =
            caller.json(server, Method::GET, &format!("{STREAMING}/{id}/status"), String::new()).await;
        if status["books"]["pending"] == 0 {
            return status["books"].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("events are still pending after a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_server_is_killed_twenty_times_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let random = Arc::new(Random::from_seed(20));
    let receivers = [
        Receiver::start(Options::default()).await.unwrap(),
        Receiver::start(Options::default()).await.unwrap(),
    ];
    let mut server = Arc::new(Server::start(&data));
    let token = std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned();
    let caller = Arc::new(Caller { transport: HttpTransport::new().unwrap(), token });
    let splunk = configure(&caller, &server, "splunk", &receivers[0]).await;
    let elasticsearch = configure(&caller, &server, "elasticsearch", &receivers[1]).await;
    let mut accepted = BTreeSet::new();
    for round in 0..KILLS {
        let posting: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn(post_until_killed(Arc::clone(&caller), Arc::clone(&server), Arc::clone(&random)))
            })
            .collect();
        // Somewhere in the middle of the load: the moment is not the point, that it differs is.
        tokio::time::sleep(Duration::from_millis(60 + random.up_to(120))).await;
        let killed =
            std::process::Command::new("kill").args(["-9", &server.process.id().to_string()]).status();
        assert!(killed.unwrap().success(), "round {round}");
        for task in posting {
            accepted.extend(task.await.unwrap());
        }
        Arc::into_inner(server).unwrap().kill();
        server = Arc::new(Server::start(&data));
    }
    for (id, receiver) in [(&splunk, &receivers[0]), (&elasticsearch, &receivers[1])] {
        let books = settled(&caller, &server, id).await;
        let missing = accepted.iter().filter(|id| !receiver.has(&EventId::parse(id).unwrap())).count();
        assert_eq!(missing, 0, "of {} accepted events: {books}", accepted.len());
        let grades =
            ["skipped", "confirmed", "diverted", "accepted", "quarantined", "discarded", "expired", "erased"];
        let total: u64 = grades.iter().map(|grade| books[grade].as_u64().unwrap()).sum();
        assert_eq!(books["appended"], total, "{books}");
        assert!(books["appended"].as_u64().unwrap() >= accepted.len() as u64, "{books}");
    }
    assert!(accepted.len() > KILLS * 25, "the load was too small: {} events", accepted.len());
    Arc::into_inner(server).unwrap().kill();
}
