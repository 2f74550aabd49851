//! The server is killed again and again under load: nothing that it accepted is missing at either receiver.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
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
    process: Mutex<Child>,
    base: String,
    /// Answers until it is killed.
    n_left: AtomicI64,
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
        Self { process: Mutex::new(process), base, n_left: AtomicI64::new(i64::MAX) }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(&self) {
        self.process.lock().unwrap().kill().unwrap();
    }

    /// Called for each answer, at once: the moment after an answer is the one in which a receipt that came too early would
    /// not be true.
    fn count_down(&self) {
        if self.n_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.kill();
        }
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
        self.transport
            .send(Request { url, method, headers, body: Bytes::from(body), route: Arc::default() })
            .await
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

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        self.process.lock().unwrap().wait().unwrap();
    }
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
        server.count_down();
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
    for _ in 0..KILLS {
        // Somewhere in the middle of the load: where is not the point, that it differs is.
        server.n_left.store(i64::try_from(10 + random.up_to(30)).unwrap(), Ordering::SeqCst);
        let posting: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn(post_until_killed(Arc::clone(&caller), Arc::clone(&server), Arc::clone(&random)))
            })
            .collect();
        for task in posting {
            accepted.extend(task.await.unwrap());
        }
        drop(Arc::into_inner(server).unwrap());
        server = Arc::new(Server::start(&data));
    }
    let mut n_sent_again = 0;
    for (id, receiver) in [(&splunk, &receivers[0]), (&elasticsearch, &receivers[1])] {
        let books = settled(&caller, &server, id).await;
        let missing = accepted.iter().filter(|id| !receiver.has(&EventId::parse(id).unwrap())).count();
        assert_eq!(missing, 0, "of {} accepted events: {books}", accepted.len());
        let grades =
            ["skipped", "confirmed", "diverted", "accepted", "quarantined", "discarded", "expired", "erased"];
        let total: u64 = grades.iter().map(|grade| books[grade].as_u64().unwrap()).sum();
        assert_eq!(books["appended"], total, "{books}");
        assert!(books["appended"].as_u64().unwrap() >= accepted.len() as u64, "{books}");
        // Sent again after a kill, an event has the id that it had before: as many documents as events, each under an
        // `_id` of its own. What came again was refused by the cluster (409), and is one event more in Splunk.
        let stats = receiver.stats();
        // The server's own audit logs are skipped here.
        let sent = books["appended"].as_u64().unwrap() - books["skipped"].as_u64().unwrap();
        assert_eq!(sent, stats.distinct, "{stats}");
        assert_eq!(stats.events, stats.distinct + stats.duplicates, "{stats}");
        n_sent_again += stats.duplicates;
    }
    assert!(n_sent_again > 0, "no kill came between a delivery and its settling: the kills prove too little");
    assert!(accepted.len() > KILLS * 25, "the load was too small: {} events", accepted.len());
}
